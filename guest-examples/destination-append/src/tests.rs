//! Natively, into a folder of this machine.

use lockgate_sdk::testing::{self, DestinationRun, Feed};
use lockgate_sdk::{Catalog, FailureKind, StreamDescriptor, destination};

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
fn what_is_not_its_business_is_refused_before_a_file_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let mut replace = testing::stream("orders");
    replace.minimum_generation_id = 1;
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
fn check_leaves_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(destination::check::<Append>(&config(&folder)), Ok(()));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let failure = destination::check::<Append>(r#"{"path": "/nowhere"}"#).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Config);
}
