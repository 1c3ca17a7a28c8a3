//! What a destination receives and what becomes of its commits.

use std::cell::RefCell;

use lockgate_sdk::bindings::input::StreamTotal;
use lockgate_sdk::testing::{self, DestinationRun, Feed};
use lockgate_sdk::{
    Catalog, Destination, Event, Failure, FailureKind, Input, Spec, log, update_config,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

type Script = fn(&mut Input<'_>) -> Result<(), Failure>;

thread_local! {
    static SCRIPT: RefCell<Option<Script>> = const { RefCell::new(None) };
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Config {}

/// Does in `write` what the test says.
struct Scripted;

impl Destination for Scripted {
    type Config = Config;

    fn spec() -> Spec {
        Spec::new("destination-scripted", "1.0.0")
    }

    fn check(_: Config) -> Result<(), Failure> {
        Ok(())
    }

    fn write(_: Config, _: &Catalog, input: &mut Input<'_>) -> Result<(), Failure> {
        SCRIPT.with_borrow(|script| script.expect("a script")(input))
    }
}

fn run(feed: Feed, script: Script) -> DestinationRun {
    SCRIPT.set(Some(script));
    let catalog = testing::catalog([testing::stream("a"), testing::stream("b")]);
    testing::write::<Scripted>("{}", &catalog, feed)
}

fn two_checkpoints() -> Feed {
    Feed::new()
        .rows(0, &["{}", r#"{"x":1}"#])
        .checkpoint()
        .rows(1, &["{}"])
        .rows(0, &["{}"])
        .checkpoint()
        .complete(0)
        .complete(1)
}

fn total(stream: u32, written: u64, rejected: u64, bytes: u64) -> StreamTotal {
    StreamTotal { stream, written, rejected, bytes }
}

#[test]
fn commits_carry_the_totals_of_their_checkpoint() {
    let run = run(two_checkpoints(), |input| {
        while let Some(event) = input.next()? {
            if let Event::Checkpoint(checkpoint) = event {
                input.commit(checkpoint)?;
            }
        }
        Ok(())
    });
    assert_eq!(run.result, Ok(()));
    assert_eq!(run.commits.len(), 2);
    assert_eq!(run.commits[0].checkpoint, 1);
    assert_eq!(run.commits[0].totals, [total(0, 2, 0, 11)]);
    assert_eq!(run.commits[1].totals, [total(0, 3, 0, 14), total(1, 1, 0, 3)]);
}

#[test]
fn a_late_commit_counts_only_what_came_before_its_checkpoint() {
    let run = run(two_checkpoints(), |input| {
        let mut kept = Vec::new();
        while let Some(event) = input.next()? {
            if let Event::Checkpoint(checkpoint) = event {
                kept.push(checkpoint);
            }
        }
        kept.into_iter().try_for_each(|checkpoint| input.commit(checkpoint))
    });
    assert_eq!(run.result, Ok(()));
    assert_eq!(run.commits[0].totals, [total(0, 2, 0, 11)]);
    assert_eq!(run.commits[1].totals, [total(0, 3, 0, 14), total(1, 1, 0, 3)]);
}

#[test]
fn the_last_checkpoint_is_committed_for_the_destination() {
    let run = run(two_checkpoints(), |input| {
        while input.next()?.is_some() {}
        Ok(())
    });
    assert_eq!(run.result, Ok(()));
    assert_eq!(run.commits.len(), 1);
    assert_eq!(run.commits[0].checkpoint, 2);
}

#[test]
fn rejected_rows_belong_to_their_checkpoint() {
    let run = run(two_checkpoints(), |input| {
        let (mut kept, mut batches) = (Vec::new(), Vec::new());
        while let Some(event) = input.next()? {
            match event {
                Event::Rows(rows) => batches.push(rows.batch()),
                Event::Checkpoint(checkpoint) => kept.push(checkpoint),
                _ => {}
            }
        }
        // Both are refused when all has arrived; the first was before the first checkpoint.
        input.reject(batches[2], 1, 3);
        input.reject(batches[0], 1, 8);
        kept.into_iter().try_for_each(|checkpoint| input.commit(checkpoint))
    });
    assert_eq!(run.result, Ok(()));
    assert_eq!(run.commits[0].totals, [total(0, 1, 1, 3)]);
    assert_eq!(run.commits[1].totals, [total(0, 1, 2, 3), total(1, 1, 0, 3)]);
}

#[test]
fn more_cannot_be_refused_than_came() {
    let run = run(two_checkpoints(), |input| {
        while let Some(event) = input.next()? {
            match event {
                Event::Rows(rows) => input.reject(rows.batch(), 3, 11),
                Event::Checkpoint(checkpoint) => input.commit(checkpoint)?,
                _ => {}
            }
        }
        Ok(())
    });
    let failure = run.result.expect_err("two rows came");
    assert_eq!(
        failure.message,
        "the destination refused more rows of the stream `a` than it received"
    );
    assert_eq!(run.commits, []);
}

#[test]
fn commits_go_forward() {
    let run = run(two_checkpoints(), |input| {
        let mut kept = Vec::new();
        while let Some(event) = input.next()? {
            if let Event::Checkpoint(checkpoint) = event {
                kept.push(checkpoint);
            }
        }
        kept.into_iter().rev().try_for_each(|checkpoint| input.commit(checkpoint))
    });
    assert_eq!(
        run.result.expect_err("the second came first").message,
        "the destination committed checkpoint 1 after a later one"
    );
    assert_eq!(run.commits.len(), 1);
}

#[test]
fn the_input_is_read_to_its_end() {
    let run = run(two_checkpoints(), |input| input.next().map(|_| ()));
    let failure = run.result.expect_err("there is more");
    assert_eq!(failure.kind, FailureKind::System);
    assert_eq!(run.commits, []);
}

#[test]
fn after_the_hosts_failure_nothing_is_committed() {
    let stop = Failure::new(FailureKind::Cancelled, "stop");
    let feed = Feed::new().rows(0, &["{}"]).checkpoint().fail(stop.clone());
    let run = run(feed, |input| {
        let mut kept = None;
        while let Ok(Some(event)) = input.next() {
            if let Event::Checkpoint(checkpoint) = event {
                kept = Some(checkpoint);
            }
        }
        let result = input.commit(kept.expect("there was one"));
        assert!(result.is_err_and(|failure| failure.is_cancelled()));
        Ok(())
    });
    assert_eq!(run.result, Err(stop));
    assert_eq!(run.commits, []);
}

#[test]
fn a_commit_that_fails_stops_the_destination() {
    let failure = Failure::system("the state store is full");
    let feed = two_checkpoints().refuse_commits(failure.clone());
    let run = run(feed, |input| {
        while let Some(event) = input.next()? {
            if let Event::Checkpoint(checkpoint) = event {
                let _ = input.commit(checkpoint);
            }
        }
        Ok(())
    });
    assert_eq!(run.result, Err(failure));
}

#[test]
fn rows_can_be_taken_as_bytes_lines_and_records() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Row {
        id: u64,
    }
    let feed = Feed::new().rows(0, &[r#"{"id":1}"#, r#"{"id":2}"#]).meta(1, r#"{"m":1}"#);
    let run = run(feed, |input| {
        let Some(Event::Rows(rows)) = input.next()? else {
            panic!("rows come first");
        };
        assert_eq!((rows.stream(), rows.count()), (0, 2));
        assert_eq!(rows.bytes(), b"{\"id\":1}\n{\"id\":2}\n");
        let lines: Vec<_> = rows.lines().collect();
        assert_eq!(lines, [br#"{"id":1}"#, br#"{"id":2}"#]);
        let records: Result<Vec<Row>, _> = rows.records().collect();
        assert_eq!(records?, [Row { id: 1 }, Row { id: 2 }]);
        assert_eq!((rows.emitted_at(0), rows.emitted_at(1)), (1, 1));
        assert_eq!((rows.meta(0), rows.meta(1)), (None, Some(r#"{"m":1}"#)));
        assert_eq!(rows.metas().len(), 1);
        let wrong = rows.records::<Vec<u8>>().next().expect("there is one");
        assert_eq!(
            wrong.map_err(|failure| failure.message),
            Err("row 0 of a batch cannot be read".to_owned())
        );
        assert_eq!(rows.into_bytes().len(), 18);
        input.next().map(|_| ())
    });
    assert_eq!(run.result, Ok(()));
}

#[test]
fn what_is_said_is_recorded() {
    let run = run(Feed::new(), |input| {
        log::warn(format_args!("{} rows", 3));
        update_config(&json!({ "token": "next" }))?;
        assert!(update_config(&[1]).is_err());
        input.next().map(|_| ())
    });
    assert_eq!(run.result, Ok(()));
    assert_eq!(run.logs, [(log::Level::Warn, "3 rows".to_owned())]);
    assert_eq!(run.configs, [r#"{"token":"next"}"#]);
    // Without a recorder there is nobody to store it.
    assert!(update_config(&json!({})).is_err());
}
