//! The connector on the machine's own files.

use lockgate_sdk::testing::{self, DestinationRun, Feed};
use lockgate_sdk::{
    Catalog, ConfiguredStream, DestinationSyncMode, Failure, FailureKind, SyncMode, destination,
};
use tempfile::TempDir;

use crate::Jsonl;

struct Scratch(TempDir);

impl Scratch {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a scratch directory"))
    }

    fn config(&self) -> String {
        serde_json::json!({ "path": self.0.path() }).to_string()
    }

    fn put(&self, name: &str, text: &str) {
        std::fs::write(self.0.path().join(name), text).expect("it can be written");
    }

    fn run(&self, catalog: &Catalog, feed: Feed) -> DestinationRun {
        testing::write::<Jsonl>(&self.config(), catalog, feed)
    }

    /// Every file by name, with its text.
    fn files(&self) -> Vec<(String, String)> {
        let mut files: Vec<_> = std::fs::read_dir(self.0.path())
            .expect("it is there")
            .map(|entry| {
                let entry = entry.expect("it can be listed");
                let text = std::fs::read_to_string(entry.path()).expect("it is text");
                (entry.file_name().into_string().expect("it is text"), text)
            })
            .collect();
        files.sort();
        files
    }
}

fn overwritten(name: &str, generation: u64) -> ConfiguredStream {
    ConfiguredStream {
        destination_sync_mode: DestinationSyncMode::Overwrite,
        generation_id: generation,
        minimum_generation_id: generation,
        ..testing::stream(name)
    }
}

fn files<const N: usize>(files: [(&str, &str); N]) -> Vec<(String, String)> {
    files.map(|(name, text)| (name.to_owned(), text.to_owned())).to_vec()
}

#[test]
fn rows_are_appended() {
    let scratch = Scratch::new();
    let catalog = testing::catalog([testing::stream("a"), testing::stream("b")]);
    let feed = || {
        Feed::new()
            .rows(0, &["{\"n\":1}", "{\"n\":2}"])
            .checkpoint()
            .rows(1, &["{}"])
            .rows(0, &["{\"n\":3}"])
            .complete(0)
            .complete(1)
            .checkpoint()
    };
    let run = scratch.run(&catalog, feed());
    assert_eq!(run.result, Ok(()));
    let last = run.commits.last().expect("the last checkpoint is committed");
    assert_eq!(last.checkpoint, 2);
    assert_eq!(last.totals[0].written, 3);
    let a = "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n";
    assert_eq!(scratch.files(), files([("a.jsonl", a), ("b.jsonl", "{}\n")]));

    assert_eq!(scratch.run(&catalog, feed()).result, Ok(()));
    assert_eq!(scratch.files(), files([("a.jsonl", &a.repeat(2)), ("b.jsonl", "{}\n{}\n")]));
}

#[test]
fn an_unfinished_row_is_cut_before_rows_are_appended() {
    let long = "x".repeat(200_000);
    for (before, kept) in [
        ("{\"n\":1}\n{\"n\":", "{\"n\":1}\n"),
        ("{\"n\":1}\n", "{\"n\":1}\n"),
        ("{\"n\":", ""),
        ("", ""),
        (&*format!("{{}}\n{long}"), "{}\n"),
        (&*long, ""),
        (&*format!("{long}\n"), &*format!("{long}\n")),
    ] {
        let scratch = Scratch::new();
        scratch.put("a.jsonl", before);
        let catalog = testing::catalog([testing::stream("a")]);
        let run = scratch.run(&catalog, Feed::new().rows(0, &["{}"]).complete(0).checkpoint());
        assert_eq!(run.result, Ok(()));
        assert_eq!(scratch.files(), files([("a.jsonl", &format!("{kept}{{}}\n"))]));
        assert_eq!(run.logs.len(), usize::from(before != kept));
    }
}

#[test]
fn a_last_row_that_lacks_only_its_end_is_kept() {
    let scratch = Scratch::new();
    scratch.put("a.jsonl", "{\"n\":1}\n{\"n\":2}");
    let catalog = testing::catalog([testing::stream("a")]);
    let run = scratch.run(&catalog, Feed::new().rows(0, &["{}"]).complete(0).checkpoint());
    assert_eq!(run.result, Ok(()));
    assert_eq!(scratch.files(), files([("a.jsonl", "{\"n\":1}\n{\"n\":2}\n{}\n")]));
}

#[test]
fn old_rows_stay_until_the_new_ones_are_complete() {
    let scratch = Scratch::new();
    scratch.put("a.jsonl", "old\n");
    let catalog = testing::catalog([overwritten("a", 7)]);

    // Stopped amid the rows.
    let stop = Failure::new(FailureKind::Cancelled, "stop");
    let feed = Feed::new().rows(0, &["{}"]).checkpoint().flush().fail(stop.clone());
    let run = scratch.run(&catalog, feed);
    assert_eq!(run.result, Err(stop));
    assert_eq!(run.commits.len(), 1);
    let partial = ".a.jsonl.partial-7";
    assert_eq!(scratch.files(), files([(partial, "{}\n"), ("a.jsonl", "old\n")]));

    // The source failed: what the first run left is gone too.
    let stop = Failure::new(FailureKind::Cancelled, "stop");
    let feed = Feed::new().rows(0, &["{}"]).incomplete(0).fail(stop);
    assert!(scratch.run(&catalog, feed).result.is_err());
    assert_eq!(scratch.files(), files([("a.jsonl", "old\n")]));

    let feed = Feed::new().rows(0, &["{\"n\":1}"]).complete(0).checkpoint();
    assert_eq!(scratch.run(&catalog, feed).result, Ok(()));
    assert_eq!(scratch.files(), files([("a.jsonl", "{\"n\":1}\n")]));
}

#[test]
fn an_empty_stream_leaves_an_empty_file() {
    let scratch = Scratch::new();
    scratch.put("b.jsonl", "old\n");
    scratch.put("c.jsonl", "old\n");
    let catalog = testing::catalog([
        testing::stream("a"),
        overwritten("b", 2),
        testing::stream("c"),
        testing::stream("d"),
    ]);
    let feed = Feed::new().complete(0).complete(1).complete(2).incomplete(3).checkpoint();
    assert_eq!(scratch.run(&catalog, feed).result, Ok(()));
    assert_eq!(scratch.files(), files([("a.jsonl", ""), ("b.jsonl", ""), ("c.jsonl", "old\n")]));
}

#[test]
fn a_partial_file_is_gone_on_with_only_when_the_source_goes_on() {
    let scratch = Scratch::new();
    let leave = || {
        scratch.put(".a.jsonl.partial-3", "{\"n\":1}\n{\"n\"");
        scratch.put(".a.jsonl.partial-2", "stale\n");
        scratch.put(".other.jsonl.partial-2", "somebody else's\n");
        scratch.put(".a.jsonl.partial-x", "no partial file\n");
    };
    let others = [
        (".a.jsonl.partial-x", "no partial file\n"),
        (".other.jsonl.partial-2", "somebody else's\n"),
    ];
    let feed = || Feed::new().rows(0, &["{\"n\":2}"]).complete(0).checkpoint();

    leave();
    let incremental = ConfiguredStream { sync_mode: SyncMode::Incremental, ..overwritten("a", 3) };
    let run = scratch.run(&testing::catalog([incremental]), feed());
    assert_eq!(run.result, Ok(()));
    let both = "{\"n\":1}\n{\"n\":2}\n";
    assert_eq!(scratch.files(), files([others[0], others[1], ("a.jsonl", both)]));

    leave();
    let run = scratch.run(&testing::catalog([overwritten("a", 3)]), feed());
    assert_eq!(run.result, Ok(()));
    assert_eq!(scratch.files(), files([others[0], others[1], ("a.jsonl", "{\"n\":2}\n")]));

    leave();
    let run = scratch.run(&testing::catalog([testing::stream("a")]), feed());
    assert_eq!(run.result, Ok(()));
    let twice = "{\"n\":2}\n".repeat(2);
    assert_eq!(scratch.files(), files([others[0], others[1], ("a.jsonl", &twice)]));
}

#[test]
fn a_refresh_replaces_appended_rows() {
    let scratch = Scratch::new();
    scratch.put("a.jsonl", "old\n");
    let refreshed = ConfiguredStream {
        destination_sync_mode: DestinationSyncMode::Append,
        ..overwritten("a", 2)
    };
    let feed = Feed::new().rows(0, &["{}"]).complete(0).checkpoint();
    assert_eq!(scratch.run(&testing::catalog([refreshed]), feed).result, Ok(()));
    assert_eq!(scratch.files(), files([("a.jsonl", "{}\n")]));
}

#[test]
fn other_modes_are_refused_before_anything_is_written() {
    for mode in [
        DestinationSyncMode::AppendDedup,
        DestinationSyncMode::Update,
        DestinationSyncMode::SoftDelete,
    ] {
        let scratch = Scratch::new();
        let changed = ConfiguredStream { destination_sync_mode: mode, ..testing::stream("b") };
        let catalog = testing::catalog([testing::stream("a"), changed]);
        let failure = scratch.run(&catalog, Feed::new().rows(0, &["{}"])).result;
        let failure = failure.expect_err("it is not supported");
        assert_eq!(failure.kind, FailureKind::Config);
        assert!(failure.message.starts_with("the stream `b` "), "{}", failure.message);
        assert!(failure.stream.is_some_and(|stream| stream.name == "b"));
        assert_eq!(scratch.files(), []);
    }
    let catalog = testing::catalog([testing::stream("a"), testing::stream("a")]);
    let failure = Scratch::new().run(&catalog, Feed::new()).result.expect_err("it is there twice");
    assert_eq!(failure.message, "the stream `a` is in the catalog twice");
}

#[test]
fn small_checkpoints_share_a_commit() {
    let scratch = Scratch::new();
    let catalog = testing::catalog([testing::stream("a")]);
    let mut feed = Feed::new();
    for _ in 0..100 {
        feed = feed.rows(0, &["{}"]).checkpoint();
    }
    feed = feed.flush();
    for _ in 0..100 {
        feed = feed.rows(0, &["{}"]).checkpoint();
    }
    let run = scratch.run(&catalog, feed.complete(0));
    assert_eq!(run.result, Ok(()));
    // On a slow machine a second may pass in between.
    assert!(run.commits.len() < 10, "{}", run.commits.len());
    assert!(run.commits.iter().any(|commit| commit.checkpoint == 100));
    assert_eq!(run.commits.last().map(|commit| commit.checkpoint), Some(200));
}

#[test]
fn much_data_is_committed_without_waiting() {
    let scratch = Scratch::new();
    let catalog = testing::catalog([testing::stream("a")]);
    let row = format!("{{\"x\":\"{}\"}}", "x".repeat(9 * 1024 * 1024));
    let feed = Feed::new().rows(0, &[&row]).checkpoint().rows(0, &["{}"]).checkpoint();
    let run = scratch.run(&catalog, feed.complete(0));
    assert_eq!(run.result, Ok(()));
    assert_eq!(run.commits.len(), 2);
}

#[test]
fn a_check_leaves_no_trace() {
    let scratch = Scratch::new();
    assert_eq!(destination::check::<Jsonl>(&scratch.config()), Ok(()));
    assert_eq!(scratch.files(), []);

    let refused = |config: &str| {
        let failure = destination::check::<Jsonl>(config).expect_err("it cannot work");
        assert_eq!(failure.kind, FailureKind::Config);
        failure.message
    };
    assert_eq!(
        refused(r#"{"path":"/no/such/out"}"#),
        "directory /no/such/out is not granted: pass --allow-dir HOST_DIR::/no/such/out \
         (in sync: --destination-allow-dir)"
    );
    assert_eq!(refused(r#"{"path":"out"}"#), "`path` is not an absolute path in the sandbox: out");
    assert_eq!(refused("{}"), "the configuration has no member `path`");
}

#[test]
fn the_specification_asks_for_the_directory() {
    let spec = destination::spec::<Jsonl>();
    assert_eq!(spec.needs[0].capability, "directory-write");
    assert_eq!(spec.needs[0].pattern, "${path}");
    let schema: serde_json::Value =
        serde_json::from_str(&spec.config_schema).expect("a schema is JSON");
    assert_eq!(schema["required"], serde_json::json!(["path"]));
    assert_eq!(schema["additionalProperties"], false);
}
