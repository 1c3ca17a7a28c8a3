//! Rows come to objects as they are, and objects have their sizes.

use arrow_array::cast::AsArray as _;
use arrow_array::types::Int64Type;
use destination_s3::S3;
use lockgate_sdk::testing::{self, Feed};
use lockgate_sdk::{Failure, FailureKind, destination};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::json;

use crate::scene::{Scene, numbers, stream};

#[test]
fn rows_are_appended_and_nothing_else_is_left() {
    let scene = Scene::new();
    let catalog = testing::catalog([stream("a", 1, false), stream("b", 1, false)]);
    let feed = || {
        Feed::new()
            .rows(0, &numbers(0..2))
            .checkpoint()
            .rows(1, &["{}"])
            .rows(0, &numbers(2..3))
            .complete(0)
            .complete(1)
            .checkpoint()
    };
    let run = scene.run(&catalog, feed());
    assert_eq!(run.result, Ok(()));
    assert_eq!(run.commits.last().map(|commit| commit.checkpoint), Some(2));
    assert_eq!(scene.rows("a"), numbers(0..3));
    assert_eq!(scene.rows("b"), ["{}"]);
    // One object a stream, not one a checkpoint.
    assert_eq!(scene.objects().len(), 2);
    assert_eq!(scene.run(&catalog, feed()).result, Ok(()));
    assert_eq!(scene.rows("a"), [numbers(0..3), numbers(0..3)].concat());
    assert_eq!(scene.objects().len(), 4);
}

#[test]
fn an_empty_stream_has_a_manifest() {
    let scene = Scene::new();
    scene.write(stream("a", 1, false), Feed::new().complete(0).checkpoint());
    assert_eq!(scene.keys(), ["lake/a/_manifest.json"]);
    assert_eq!(scene.named("a"), [""; 0]);
    assert_eq!(scene.manifest("a")["name"], "a");
}

/// More than one part, each of them full but the last, and a row that is larger than a part.
#[test]
fn a_large_object_comes_in_parts() {
    let mut scene = Scene::new();
    scene.config = json!({"part_bytes": 5 << 20, "object_bytes": 64 << 20});
    let long = format!(r#"{{"t":"{}"}}"#, "x".repeat(12 << 20));
    let feed = Feed::new().rows(0, &numbers(0..10)).rows(0, &[&long]).rows(0, &numbers(10..20));
    scene.write(stream("a", 1, false), feed.complete(0).checkpoint());
    let [key] = &scene.named("a")[..] else { panic!("one object") };
    let rows = scene.rows("a");
    assert_eq!(rows.len(), 21);
    assert_eq!(rows[10], long);
    assert_eq!([&rows[..10], &rows[11..]].concat(), numbers(0..20));
    let tag = scene.bucket.get(key, 64 << 20).expect("an answer").expect("it is there").tag;
    // S3 marks an object of parts so.
    assert!(tag.trim_matches('"').ends_with("-3"), "{tag}");
    assert_eq!(scene.bucket.open_uploads("").expect("a list"), (Vec::new(), false));
}

#[test]
fn objects_end_where_they_are_full() {
    let mut scene = Scene::new();
    scene.config = json!({"object_bytes": 65_536});
    let mut feed = Feed::new();
    for batch in 0..40 {
        // About 1 KiB a batch: one that is full has 64 of them.
        feed = feed.rows(0, &numbers(batch * 1000..batch * 1000 + 1000)).checkpoint();
    }
    let run = scene.write(stream("a", 1, false), feed.complete(0).checkpoint());
    assert_eq!(scene.rows("a"), numbers(0..40_000));
    let counts = scene.counts("a");
    assert!((5..=11).contains(&counts.len()), "{counts:?}");
    assert!(counts.values().all(|rows| rows % 1000 == 0), "{counts:?}");
    // Each is committed with the checkpoint that follows it.
    assert!((5..=11).contains(&run.commits.len()), "{}", run.commits.len());
}

#[test]
fn formats_are_read_back_by_value() {
    let rows = [r#"{"n":1,"t":"a,\"b\"\n"}"#, r#"{"n":null,"t":"é","x":true}"#];
    let feed = || Feed::new().rows(0, &rows).complete(0).checkpoint();
    let mut scene = Scene::new();

    scene.config = json!({"compression": "gzip"});
    scene.write(stream("gz", 1, false), feed());
    assert_eq!(scene.rows("gz"), rows);
    assert!(scene.named("gz")[0].ends_with(".jsonl.gz"));

    scene.config = json!({"format": "csv", "metadata": false});
    scene.write(stream("csv", 1, false), feed());
    assert_eq!(scene.get(&scene.named("csv")[0]), "n,t\n1,\"a,\"\"b\"\"\n\"\n,é\n".as_bytes());

    scene.config = json!({"format": "parquet"});
    scene.write(stream("parquet", 7, false), feed());
    let bytes = scene.get(&scene.named("parquet")[0]);
    let file = std::env::temp_dir().join(format!("{}.parquet", scene.name));
    std::fs::write(&file, bytes).expect("a file");
    let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(&file).expect("it"))
        .and_then(ParquetRecordBatchReaderBuilder::build)
        .expect("it is Parquet");
    let batches: Vec<_> = reader.collect::<Result<_, _>>().expect("rows");
    std::fs::remove_file(&file).expect("it is there");
    let [batch] = &batches[..] else { panic!("one batch") };
    let integers = |name: &str| {
        let column = batch.column_by_name(name).expect(name).as_primitive::<Int64Type>();
        column.iter().collect::<Vec<_>>()
    };
    assert_eq!(integers("n"), [Some(1), None]);
    assert_eq!(integers("_airbyte_generation_id"), [Some(7), Some(7)]);
    let texts = batch.column_by_name("t").expect("t").as_string::<i32>();
    assert_eq!(texts.iter().collect::<Vec<_>>(), [Some("a,\"b\"\n"), Some("é")]);
}

/// Objects of more streams than may be open at once, in turns.
#[test]
fn many_streams_in_turns_lose_nothing() {
    let scene = Scene::new();
    let names: Vec<_> = (0..40).map(|number| format!("s{number}")).collect();
    let catalog = testing::catalog(names.iter().map(|name| stream(name, 1, false)));
    let mut feed = Feed::new();
    for round in 0..3 {
        for at in 0..40 {
            feed = feed.rows(at, &numbers(round..round + 1));
        }
        feed = feed.checkpoint();
    }
    for at in 0..40 {
        feed = feed.complete(at);
    }
    assert_eq!(scene.run(&catalog, feed.checkpoint()).result, Ok(()));
    for name in names {
        assert_eq!(scene.rows(&name), numbers(0..3), "{name}");
    }
}

#[test]
fn a_flush_commits_what_came_before_the_checkpoint_and_no_more() {
    let scene = Scene::new();
    let stop = Failure::new(FailureKind::Cancelled, "stop");
    let feed = Feed::new()
        .rows(0, &numbers(0..2))
        .checkpoint()
        .rows(0, &numbers(2..3))
        .flush()
        .fail(stop.clone());
    let run = scene.run(&testing::catalog([stream("a", 1, false)]), feed);
    assert_eq!(run.result, Err(stop));
    assert_eq!(run.commits.len(), 1);
    assert_eq!(scene.rows("a"), numbers(0..2));
    assert_eq!(scene.objects().len(), 1);
}

#[test]
fn flushes_are_not_objects_each() {
    let mut scene = Scene::new();
    scene.config = json!({"flush_seconds": 3600});
    let mut feed = Feed::new();
    for n in 0..20 {
        feed = feed.rows(0, &numbers(n..n + 1)).checkpoint().flush();
    }
    let run = scene.write(stream("a", 1, false), feed.complete(0).checkpoint());
    // The first, for whoever waits, and the end.
    assert_eq!(run.commits.iter().map(|commit| commit.checkpoint).collect::<Vec<_>>(), [1, 21]);
    assert_eq!(scene.rows("a"), numbers(0..20));
    assert_eq!(scene.objects().len(), 2);
}

/// What follows a checkpoint that is not worth an object goes with the next one.
#[test]
fn much_after_a_checkpoint_takes_its_place() {
    let scene = Scene::new();
    let row = format!(r#"{{"t":"{}"}}"#, "x".repeat(9 << 20));
    let feed = Feed::new()
        .rows(0, &["{}"])
        .checkpoint()
        .rows(0, &[&row])
        .rows(0, &[&row])
        .rows(0, &["{}"])
        .flush()
        .checkpoint()
        .complete(0)
        .checkpoint();
    let run = scene.write(stream("a", 1, false), feed);
    assert_eq!(run.commits.iter().map(|commit| commit.checkpoint).collect::<Vec<_>>(), [3]);
    assert_eq!(scene.rows("a"), ["{}", &row, &row, "{}"]);
    assert_eq!(scene.objects().len(), 1);
}

#[test]
fn a_check_leaves_no_trace_and_says_what_is_wrong() {
    let mut scene = Scene::new();
    assert_eq!(destination::check::<S3>(&scene.config()), Ok(()));
    assert_eq!(scene.keys(), [""; 0]);
    for (config, reason) in [
        (json!({"bucket": "no-such-bucket-here"}), "no such bucket"),
        (json!({"endpoint": "http://127.0.0.1:1"}), "the connection was refused"),
        (json!({"endpoint": "127.0.0.1:9000"}), "`endpoint`"),
        (json!({"prefix": "/x"}), "`prefix`"),
        (json!({"format": "parquet", "compression": "gzip"}), "`compression`"),
    ] {
        scene.config = config;
        let failure = destination::check::<S3>(&scene.config()).expect_err(reason);
        assert!(failure.message.contains(reason), "{}", failure.message);
        assert!(!format!("{failure:?}").contains("t0ps3cret"), "{failure:?}");
    }
}
