//! What a killed sync leaves, and two syncs at once.

use std::sync::Arc;

use destination_s3::S3;
use lockgate_sdk::bindings::input::{Event, StreamTotal};
use lockgate_sdk::bindings::types::Rows;
use lockgate_sdk::port::InputPort;
use lockgate_sdk::testing::{self, Feed};
use lockgate_sdk::{Failure, FailureKind, destination};
use s3_client::Upload;
use serde_json::json;

use crate::scene::{Scene, numbers, stream};

fn whole(rows: &[String]) -> Feed {
    Feed::new().rows(0, rows).complete(0).checkpoint()
}

/// The name of an object that no manifest knows.
const LOST: &str = "0000000001-0000000001-0123456789abcdef-000001.jsonl";

#[test]
fn what_no_manifest_names_is_removed_and_what_is_not_ours_stays() {
    let scene = Scene::new();
    scene.write(stream("a", 1, false), whole(&numbers(0..2)));
    scene.put(&format!("lake/a/{LOST}"), "{\"n\":99}\n");
    scene.put("lake/a/notes.txt", "somebody's");
    scene.put(&format!("lake/b/{LOST}"), "another stream's");
    let open = format!("lake/a/{}", LOST.replace("000001.jsonl", "000002.jsonl"));
    let id = scene.bucket.begin(&open, "text/plain").expect("an upload");
    scene.bucket.put_part(&open, &id, 1, b"x").expect("a part");
    assert_eq!(scene.rows("a"), numbers(0..2), "no reader of the manifest sees it");

    let run = scene.write(stream("a", 1, false), whole(&numbers(2..3)));
    assert_eq!(scene.rows("a"), numbers(0..3));
    let left: Vec<_> =
        scene.keys().into_iter().filter(|key| !scene.named("a").contains(key)).collect();
    let b = format!("lake/b/{LOST}");
    assert_eq!(left, ["lake/a/_manifest.json", "lake/a/notes.txt", &b]);
    assert_eq!(scene.bucket.open_uploads("lake/").expect("a list").0, []);
    let said = run.logs.iter().any(|(_, text)| text.contains("removed 1 objects and 1 uploads"));
    assert!(said, "{:?}", run.logs);
}

#[test]
fn rows_without_a_manifest_are_not_touched() {
    let scene = Scene::new();
    let key = format!("lake/a/{LOST}");
    scene.put(&key, "{}\n");
    let catalog = testing::catalog([stream("a", 1, false)]);
    let failure = scene.run(&catalog, whole(&numbers(0..1))).result.expect_err("it is refused");
    assert_eq!(failure.kind, FailureKind::Config);
    assert!(failure.message.contains("put the manifest back"), "{}", failure.message);
    assert_eq!(scene.keys(), [key]);
}

#[test]
fn a_manifest_that_is_not_the_streams_is_refused() {
    let scene = Scene::new();
    scene.write(stream("a", 1, false), whole(&numbers(0..1)));
    let good = scene.manifest("a");
    let catalog = testing::catalog([stream("a", 1, false)]);
    for (member, value, reason) in [
        ("name", json!("b"), "of another stream"),
        ("version", json!(2), "version 2"),
        (
            "objects",
            json!([{"key": "else/x", "bytes": 1, "rows": 1, "generation": 1, "sync": 1}]),
            "not in its folder",
        ),
        ("objects", json!(7), "no manifest of this connector"),
    ] {
        let mut manifest = good.clone();
        manifest[member] = value;
        scene.put("lake/a/_manifest.json", &manifest.to_string());
        let failure = scene.run(&catalog, whole(&numbers(1..2))).result.expect_err(reason);
        assert_eq!(failure.kind, FailureKind::Config);
        assert!(failure.message.contains(reason), "{}", failure.message);
        assert_eq!(scene.objects().len(), 1);
    }
}

#[test]
fn an_upload_that_is_given_up_is_aborted() {
    let scene = Scene::new();
    let mut upload = Upload::new(Arc::clone(&scene.bucket), "x", "text/plain", 5 << 20);
    upload.push(&vec![b'x'; 11 << 20]).expect("parts");
    assert_eq!(scene.bucket.open_uploads("").expect("a list").0.len(), 1);
    drop(upload);
    assert_eq!(scene.bucket.open_uploads("").expect("a list").0, []);
    assert_eq!(scene.keys(), [""; 0]);
}

/// The host stops a sync in the middle of an object of parts.
#[test]
fn a_sync_that_is_stopped_leaves_no_upload() {
    let mut scene = Scene::new();
    scene.config = json!({"part_bytes": 5 << 20});
    let row = format!(r#"{{"t":"{}"}}"#, "x".repeat(11 << 20));
    let stop = Failure::new(FailureKind::Cancelled, "stop");
    let feed = Feed::new().rows(0, &[&row]).fail(stop.clone());
    let run = scene.run(&testing::catalog([stream("a", 1, false)]), feed);
    assert_eq!(run.result, Err(stop));
    assert_eq!(scene.bucket.open_uploads("").expect("a list").0, []);
    assert_eq!(scene.keys(), ["lake/a/_manifest.json"]);
    assert_eq!(scene.named("a"), [""; 0]);
}

/// The input of a sync, in the middle of which another one writes the same stream to its end.
struct Overtaken<'a> {
    scene: &'a Scene,
    step: u32,
    committed: bool,
}

impl InputPort for Overtaken<'_> {
    fn next(&mut self) -> Result<Option<Event>, Failure> {
        self.step += 1;
        Ok(Some(match self.step {
            1 => Event::Rows(Rows {
                stream: 0,
                count: 1,
                data: b"{\"n\":98}\n".to_vec(),
                emitted_at: vec![1],
                meta: Vec::new(),
            }),
            2 => {
                self.scene.write(stream("a", 1, false), whole(&numbers(1..2)));
                Event::Checkpoint(1)
            }
            _ => Event::Flush,
        }))
    }

    fn committed(&mut self, _: u64, _: &[StreamTotal]) -> Result<(), Failure> {
        self.committed = true;
        Ok(())
    }
}

/// One that was taken for dead and is not: it commits nothing, and what the other one wrote stays.
#[test]
fn a_sync_that_was_overtaken_changes_nothing() {
    let scene = Scene::new();
    scene.write(stream("a", 1, false), whole(&numbers(0..1)));
    let catalog = testing::catalog([stream("a", 1, false)]);
    let mut input = Overtaken { scene: &scene, step: 0, committed: false };
    let failure = destination::write::<S3>(&scene.config(), &catalog, &mut input);
    let failure = failure.expect_err("it was overtaken");
    assert!(!input.committed);
    assert_eq!(failure.kind, FailureKind::Config);
    assert!(failure.message.contains("another sync writes to"), "{}", failure.message);
    assert_eq!(scene.rows("a"), numbers(0..2));
    // The next one removes its object.
    scene.write(stream("a", 1, false), whole(&numbers(2..3)));
    assert_eq!(scene.rows("a"), numbers(0..3));
    assert_eq!(scene.objects().len(), 3);
}
