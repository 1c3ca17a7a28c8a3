//! Natively, into a folder of this machine.

use lockgate_sdk::testing::{self, DestinationRun, Feed};
use lockgate_sdk::{Catalog, DestinationSyncMode, FailureKind, StreamDescriptor, destination};

use crate::Append;

fn config(folder: &tempfile::TempDir) -> String {
    format!("{{\"path\": {:?}}}", folder.path())
}

fn write(folder: &tempfile::TempDir, catalog: &Catalog, feed: Feed) -> DestinationRun {
    testing::write::<Append>(&config(folder), catalog, feed)
}

#[test]
fn rows_are_appended_and_committed() {
    let folder = tempfile::tempdir().unwrap();
    let mut shop = testing::stream("orders");
    shop.descriptor = StreamDescriptor::in_namespace("shop", "orders");
    let catalog = testing::catalog([testing::stream("users"), shop]);
    let feed = || {
        Feed::new()
            .rows(0, &[r#"{"id":1}"#, r#"{"id":2}"#])
            .rows(1, &[r#"{"id":3}"#])
            .complete(0)
            .complete(1)
            .checkpoint()
    };
    let run = write(&folder, &catalog, feed());
    assert_eq!(run.result, Ok(()));
    assert_eq!(run.commits.len(), 1);
    assert_eq!(run.commits[0].totals[0].written, 2);
    assert_eq!(write(&folder, &catalog, feed()).result, Ok(()));
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!(read("users.jsonl"), "{\"id\":1}\n{\"id\":2}\n".repeat(2));
    assert_eq!(read("shop.orders.jsonl"), "{\"id\":3}\n".repeat(2));
}

#[test]
fn a_row_that_was_cut_is_removed() {
    let (long, tail) = ("x".repeat(200_000), "y".repeat(100_000));
    for (before, kept) in [
        ("", String::new()),
        ("{\"id\":0}\n", "{\"id\":0}\n".to_owned()),
        ("{\"id\":0}\n{\"i", "{\"id\":0}\n".to_owned()),
        ("{\"i", String::new()),
        (&long, String::new()),
        (&format!("{long}\n{tail}"), format!("{long}\n")),
    ] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("users.jsonl"), before).unwrap();
        let catalog = testing::catalog([testing::stream("users")]);
        let feed = Feed::new().rows(0, &[r#"{"id":1}"#]).complete(0).checkpoint();
        assert_eq!(write(&folder, &catalog, feed).result, Ok(()));
        let text = std::fs::read_to_string(folder.path().join("users.jsonl")).unwrap();
        assert!(text == format!("{kept}{{\"id\":1}}\n"), "{} bytes before", before.len());
    }
}

#[test]
fn what_is_not_its_business_is_refused_before_a_file_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let mut replace = testing::stream("orders");
    replace.destination_sync_mode = DestinationSyncMode::Overwrite;
    let cases = [
        testing::stream("../orders"),
        testing::stream("a.b"),
        testing::stream(""),
        testing::stream(&"a".repeat(101)),
        replace,
    ];
    for stream in cases {
        let catalog = testing::catalog([stream]);
        let failure = write(&folder, &catalog, Feed::new()).result.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Config, "{}", failure.message);
        assert!(failure.stream.is_some());
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_refresh_replaces_once_it_is_complete() {
    let folder = tempfile::tempdir().unwrap();
    let read = || std::fs::read_to_string(folder.path().join("users.jsonl")).unwrap();
    let stream = |minimum, generation| {
        let mut stream = testing::stream("users");
        (stream.minimum_generation_id, stream.generation_id) = (minimum, generation);
        testing::catalog([stream])
    };
    let feed = |row| Feed::new().rows(0, &[row]);
    let first = feed(r#"{"id":1}"#).complete(0).checkpoint();
    assert_eq!(write(&folder, &stream(0, 1), first).result, Ok(()));
    let half = feed(r#"{"id":2}"#).checkpoint().incomplete(0);
    let _ = write(&folder, &stream(2, 2), half);
    assert_eq!(read(), "{\"id\":1}\n");
    let whole = feed(r#"{"id":3}"#).complete(0).checkpoint();
    assert_eq!(write(&folder, &stream(2, 2), whole).result, Ok(()));
    assert_eq!(read(), "{\"id\":3}\n");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn check_leaves_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(destination::check::<Append>(&config(&folder)), Ok(()));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let failure = destination::check::<Append>(r#"{"path": "/nowhere"}"#).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Config);
}
