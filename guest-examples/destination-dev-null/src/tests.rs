//! The connector in memory.

use lockgate_sdk::testing::{self, DestinationRun, Feed};
use lockgate_sdk::{Failure, destination};

use crate::DevNull;

fn run(behavior: &str, rows: usize) -> DestinationRun {
    let config = format!(r#"{{"test_destination":{behavior}}}"#);
    let rows: Vec<_> = (1..=rows).map(|n| format!("{{\"n\":{n}}}")).collect();
    let mut feed = Feed::new();
    for batch in rows.chunks(7) {
        feed = feed.rows(0, batch).checkpoint();
    }
    let catalog = testing::catalog([testing::stream("a")]);
    testing::write::<DevNull>(&config, &catalog, feed.complete(0))
}

fn logged(run: &DestinationRun) -> Vec<&str> {
    run.logs.iter().map(|(_, message)| &**message).collect()
}

#[test]
fn rows_are_counted_and_dropped() {
    let run = run(r#"{"test_destination_type":"SILENT"}"#, 20);
    assert_eq!(run.result, Ok(()));
    assert_eq!(run.commits.len(), 3);
    assert_eq!(run.commits[2].totals[0].written, 20);
    assert!(run.logs.is_empty());
}

#[test]
fn an_empty_configuration_is_silent() {
    assert_eq!(destination::check::<DevNull>("{}"), Ok(()));
}

#[test]
fn the_first_rows_are_logged() {
    let run = run(
        r#"{"test_destination_type":"LOGGING","logging_config":{"logging_type":"FirstN","max_entry_count":2}}"#,
        20,
    );
    assert_eq!(run.result, Ok(()));
    assert_eq!(logged(&run), [r#"a row 1: {"n":1}"#, r#"a row 2: {"n":2}"#]);
}

#[test]
fn every_nth_row_is_logged() {
    let run = run(
        r#"{"test_destination_type":"LOGGING","logging_config":{"logging_type":"EveryNth","nth_entry_to_log":9}}"#,
        20,
    );
    assert_eq!(run.result, Ok(()));
    assert_eq!(logged(&run), [r#"a row 9: {"n":9}"#, r#"a row 18: {"n":18}"#]);
}

#[test]
fn a_random_part_of_the_rows_is_logged() {
    let behavior = r#"{"test_destination_type":"LOGGING","logging_config":{"logging_type":"RandomSampling","sampling_ratio":0.5,"seed":3,"max_entry_count":1000}}"#;
    let (first, second) = (run(behavior, 200), run(behavior, 200));
    assert_eq!(logged(&first), logged(&second));
    assert!((60..140).contains(&first.logs.len()), "{}", first.logs.len());
}

#[test]
fn it_fails_after_so_many_rows() {
    let run = run(r#"{"test_destination_type":"FAILING","num_messages":10}"#, 20);
    assert_eq!(run.result, Err(Failure::system("failing on purpose after 10 rows")));
    assert_eq!(run.commits.len(), 1);
}

#[test]
fn it_takes_its_time() {
    let start = std::time::Instant::now();
    let run = run(r#"{"test_destination_type":"THROTTLED","millis_per_record":2}"#, 20);
    assert_eq!(run.result, Ok(()));
    assert!(start.elapsed().as_millis() >= 40);
}

#[test]
fn unknown_behavior_is_refused() {
    let config = r#"{"test_destination":{"test_destination_type":"EXPLODING"}}"#;
    let failure = destination::check::<DevNull>(config).expect_err("there is no such type");
    assert_eq!(
        failure.message,
        "the configuration: `test_destination.test_destination_type` is not one of `SILENT`, \
         `LOGGING`, `THROTTLED`, `FAILING`"
    );
}
