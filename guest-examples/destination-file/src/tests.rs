//! The connector on the machine's own files.

use std::path::Path;

use lockgate_sdk::testing::{self, DestinationRun, Feed};
use lockgate_sdk::{
    Catalog, ConfiguredStream, DestinationSyncMode, Failure, FailureKind, SyncMode, destination,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::Files;
use crate::plan::{Hidden, parse_hidden};

struct Scratch(TempDir);

impl Scratch {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a scratch directory"))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn run_with(&self, options: Value, catalog: &Catalog, feed: Feed) -> DestinationRun {
        let mut config = json!({ "path": self.path(), "commit_seconds": 0 });
        for (name, value) in options.as_object().expect("an object") {
            config[name] = value.clone();
        }
        testing::write::<Files>(&config.to_string(), catalog, feed)
    }

    fn run(&self, catalog: &Catalog, feed: Feed) -> DestinationRun {
        self.run_with(json!({}), catalog, feed)
    }

    fn put(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("it can be created");
        std::fs::write(path, text).expect("it can be written");
    }

    /// Every file by its path, with its text.
    fn files(&self) -> Vec<(String, String)> {
        let mut files = Vec::new();
        let mut folders = vec![self.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("it is there") {
                let path = entry.expect("it can be listed").path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let text = std::fs::read_to_string(&path).expect("it is text");
                let name = path.strip_prefix(self.path()).expect("it is in it");
                files.push((name.to_str().expect("it is text").to_owned(), text));
            }
        }
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

fn refreshed(name: &str, generation: u64) -> ConfiguredStream {
    ConfiguredStream { sync_mode: SyncMode::Incremental, ..overwritten(name, generation) }
}

fn files<const N: usize>(files: [(&str, &str); N]) -> Vec<(String, String)> {
    files.map(|(name, text)| (name.to_owned(), text.to_owned())).to_vec()
}

#[test]
fn appended_rows_are_further_files() {
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
    assert_eq!(run.commits.iter().map(|commit| commit.checkpoint).collect::<Vec<_>>(), [1, 2]);
    let first = [
        ("a/1-000001.jsonl", "{\"n\":1}\n{\"n\":2}\n"),
        ("a/1-000002.jsonl", "{\"n\":3}\n"),
        ("b/1-000001.jsonl", "{}\n"),
    ];
    assert_eq!(scratch.files(), files(first));
    // Another sync adds to them; a longer interval makes fewer files.
    let run = scratch.run_with(json!({"commit_seconds": 3600}), &catalog, feed());
    assert_eq!(run.result, Ok(()));
    assert_eq!(run.commits.len(), 1);
    let mut both = files(first);
    both.push(("a/1-000003.jsonl".to_owned(), "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n".to_owned()));
    both.push(("b/1-000002.jsonl".to_owned(), "{}\n".to_owned()));
    both.sort();
    assert_eq!(scratch.files(), both);
}

#[test]
fn a_flush_commits_and_a_full_file_is_followed_by_another() {
    let scratch = Scratch::new();
    let catalog = testing::catalog([testing::stream("a")]);
    let row = format!("{{\"n\":\"{}\"}}", "x".repeat(40_000));
    let feed = Feed::new()
        .rows(0, &[&row])
        .rows(0, &[&row])
        .rows(0, &[&row])
        .checkpoint()
        .rows(0, &["{}"])
        .checkpoint()
        .flush()
        .complete(0)
        .checkpoint();
    let options = json!({"commit_seconds": 3600, "file_bytes": 65536});
    let run = scratch.run_with(options, &catalog, feed);
    assert_eq!(run.result, Ok(()));
    assert_eq!(run.commits.iter().map(|commit| commit.checkpoint).collect::<Vec<_>>(), [1, 2, 3]);
    let names: Vec<(String, usize)> =
        scratch.files().into_iter().map(|(name, text)| (name, text.lines().count())).collect();
    let expected = [("a/1-000001.jsonl", 2), ("a/1-000002.jsonl", 1), ("a/1-000003.jsonl", 1)];
    assert_eq!(names, expected.map(|(name, rows)| (name.to_owned(), rows)));
}

#[test]
fn rows_that_replace_others_are_seen_when_all_are_there() {
    let scratch = Scratch::new();
    scratch.put("a/1-000001.jsonl", "old\n");
    scratch.put("a/1-000002.jsonl", "old\n");
    let catalog = testing::catalog([overwritten("a", 2)]);
    let failed = Feed::new()
        .rows(0, &["{\"n\":1}"])
        .checkpoint()
        .fail(Failure::new(FailureKind::Cancelled, "stopped"));
    assert!(scratch.run(&catalog, failed).result.is_err());
    let killed = files([
        (".a.new-2/2-000001.jsonl", "{\"n\":1}\n"),
        ("a/1-000001.jsonl", "old\n"),
        ("a/1-000002.jsonl", "old\n"),
    ]);
    assert_eq!(scratch.files(), killed);
    // A stream that is not complete replaces nothing, and one that starts again goes on with nothing.
    let incomplete = Feed::new().rows(0, &["{\"n\":2}"]).incomplete(0).checkpoint();
    assert_eq!(scratch.run(&catalog, incomplete).result, Ok(()));
    assert_eq!(scratch.files(), killed[1..]);
    let complete = Feed::new().rows(0, &["{\"n\":3}"]).complete(0).checkpoint();
    assert_eq!(scratch.run(&catalog, complete).result, Ok(()));
    assert_eq!(scratch.files(), files([("a/2-000001.jsonl", "{\"n\":3}\n")]));
    // Nothing replaces all as well.
    let empty = testing::catalog([overwritten("a", 3)]);
    assert_eq!(scratch.run(&empty, Feed::new().complete(0).checkpoint()).result, Ok(()));
    assert_eq!(scratch.files(), files([("a/3-000001.jsonl", "")]));
}

#[test]
fn a_refresh_goes_on_with_the_files_of_an_earlier_run() {
    let scratch = Scratch::new();
    scratch.put("a/1-000001.jsonl", "old\n");
    let catalog = testing::catalog([refreshed("a", 2)]);
    let cut = Feed::new()
        .rows(0, &["{\"n\":1}"])
        .checkpoint()
        .rows(0, &["{\"n\":2}"])
        .fail(Failure::transient("the server is away"));
    let run = scratch.run(&catalog, cut);
    assert_eq!(run.commits.len(), 1);
    let rest = || Feed::new().rows(0, &["{\"n\":2}"]).complete(0).checkpoint();
    assert_eq!(scratch.run(&catalog, rest()).result, Ok(()));
    let both = files([("a/2-000001.jsonl", "{\"n\":1}\n"), ("a/2-000002.jsonl", "{\"n\":2}\n")]);
    assert_eq!(scratch.files(), both);
    // Killed before the state that says it was complete: the rest comes again, and replaces nothing.
    assert_eq!(scratch.run(&catalog, rest()).result, Ok(()));
    assert_eq!(scratch.files()[..2], both);
    assert_eq!(scratch.files().len(), 3);
    // Another refresh replaces all.
    let next = testing::catalog([refreshed("a", 3)]);
    assert_eq!(scratch.run(&next, rest()).result, Ok(()));
    assert_eq!(scratch.files(), files([("a/3-000001.jsonl", "{\"n\":2}\n")]));
}

#[test]
fn what_a_kill_left_is_completed_or_removed() {
    let append = || Feed::new().rows(0, &["{}"]).complete(0).checkpoint();
    let catalog = testing::catalog([testing::stream("a")]);
    for (left, kept) in [
        // Between the two renames.
        (
            &[(".a.old-2/1-000001.jsonl", "old\n"), (".a.new-2/2-000001.jsonl", "new\n")][..],
            "new\n",
        ),
        // Before the old folder was removed.
        (&[(".a.old-2/1-000001.jsonl", "old\n"), ("a/2-000001.jsonl", "new\n")], "new\n"),
        // Before the first rename; the next run appends.
        (&[("a/1-000001.jsonl", "old\n"), (".a.new-2/2-000001.jsonl", "new\n")], "old\n"),
        // While a file was written.
        (&[("a/1-000001.jsonl", "old\n"), ("a/.1-000002.jsonl.part", "{\"n")], "old\n"),
        // Whoever takes the new folder away does not take the old rows as well.
        (&[(".a.old-2/1-000001.jsonl", "old\n")], "old\n"),
    ] {
        let scratch = Scratch::new();
        for (name, text) in left {
            scratch.put(name, text);
        }
        assert_eq!(scratch.run(&catalog, append()).result, Ok(()));
        let found = scratch.files();
        let texts: Vec<&str> = found.iter().map(|(_, text)| &**text).collect();
        assert_eq!(texts.len(), 2, "{left:?} {found:?}");
        assert!(texts.contains(&kept) && texts.contains(&"{}\n"), "{left:?} {found:?}");
        assert!(found.iter().all(|(name, _)| name.starts_with("a/") && !name.contains("/.")));
    }
}

#[test]
fn what_belongs_to_others_stays() {
    let scratch = Scratch::new();
    let others =
        files([(".b.new-1/x", "x"), ("a/README", "x"), ("a/notes-1.txt", "x"), ("c.jsonl", "x")]);
    for (name, text) in &others {
        scratch.put(name, text);
    }
    let catalog = testing::catalog([testing::stream("a")]);
    assert_eq!(
        scratch.run(&catalog, Feed::new().rows(0, &["{}"]).complete(0).checkpoint()).result,
        Ok(())
    );
    let mut all = others;
    all.push(("a/1-000001.jsonl".to_owned(), "{}\n".to_owned()));
    all.sort();
    assert_eq!(scratch.files(), all);
}

#[test]
fn many_streams_are_written_at_once() {
    let scratch = Scratch::new();
    let names: Vec<String> = (0..150).map(|n| format!("s{n}")).collect();
    let catalog = testing::catalog(names.iter().map(|name| testing::stream(name)));
    let mut feed = Feed::new();
    for _ in 0..2 {
        for stream in 0..150 {
            feed = feed.rows(stream, &["{}"]);
        }
    }
    for stream in 0..150 {
        feed = feed.complete(stream);
    }
    let run = scratch.run(&catalog, feed.checkpoint());
    assert_eq!(run.result, Ok(()));
    let rows: usize = scratch.files().iter().map(|(_, text)| text.lines().count()).sum();
    assert_eq!(rows, 300);
}

#[test]
fn what_cannot_be_written_is_refused_before_any_file_is_touched() {
    let scratch = Scratch::new();
    let merged = ConfiguredStream {
        destination_sync_mode: DestinationSyncMode::AppendDedup,
        ..testing::stream("a")
    };
    let refused = |options: Value, stream: ConfiguredStream| {
        let catalog = testing::catalog([testing::stream("first"), stream]);
        let run = scratch.run_with(options, &catalog, Feed::new().rows(0, &["{}"]).checkpoint());
        let failure = run.result.expect_err("it is refused");
        assert_eq!(failure.kind, FailureKind::Config);
        assert!(scratch.files().is_empty());
        failure.message
    };
    assert!(refused(json!({}), merged).contains("append and overwrite only"));
    assert!(refused(json!({}), testing::stream("first")).contains("twice"));
    let both = json!({"format": "parquet", "compression": "gzip"});
    assert!(refused(both, testing::stream("b")).contains("Snappy"));
    assert!(refused(json!({"file_bytes": 10}), testing::stream("b")).contains("file_bytes"));
    assert!(refused(json!({"format": "xml"}), testing::stream("b")).contains("format"));
}

#[test]
fn a_check_tries_and_leaves_nothing() {
    let scratch = Scratch::new();
    let check = |path: &Path| destination::check::<Files>(&json!({ "path": path }).to_string());
    assert_eq!(check(scratch.path()), Ok(()));
    assert!(scratch.files().is_empty());
    let failure = check(&scratch.path().join("missing")).expect_err("it is not there");
    assert!(failure.message.contains("--allow-dir"), "{}", failure.message);
}

#[test]
fn hidden_folders_are_told_apart_from_names_that_look_like_them() {
    for (name, expected) in [
        (".a.new-4", Some((Hidden::Partial, "a", 4))),
        (".x.new-5.old-4", Some((Hidden::Replaced, "x.new-5", 4))),
        (".x.old-5.new-4", Some((Hidden::Partial, "x.old-5", 4))),
        (".a-b.new-4", Some((Hidden::Partial, "a-b", 4))),
        ("a.new-4", None),
        (".a.new-x", None),
        (".a.tmp-4", None),
        (".a", None),
    ] {
        assert_eq!(parse_hidden(name), expected, "{name}");
    }
}
