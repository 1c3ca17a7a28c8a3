//! Read results, through the library.

use std::sync::Arc;

use lockgate::cache::{CacheError, RecordCache, SqliteCache};
use lockgate::fault::Fault;
use lockgate::protocol::{Json, StreamDescriptor};
use lockgate::{
    ConnectorOptions, Destination, Host, ReadOptions, ReadResult, Source, SqliteStateStore,
    StateStore, StreamSelection, WriteOptions, WriteStrategy,
};
use serde_json::json;

use crate::common::guest;
use crate::world::{World, numbered};

fn source(world: &World) -> Source {
    let options = ConnectorOptions { sandbox: Some("off".into()), ..ConnectorOptions::default() };
    let source = Host::new().get_source(world.source(), &options, Json::empty_object());
    source.expect("a source")
}

/// Files in a folder of the world.
fn destination(world: &World, out: &str) -> Destination {
    let folder = world.folder.path().join(out);
    std::fs::create_dir_all(&folder).expect("a folder");
    let options = ConnectorOptions {
        allow_dir: vec![format!("{}::/out", folder.display())],
        ..ConnectorOptions::default()
    };
    let config = Json::object(r#"{"path":"/out"}"#).expect("JSON");
    let name = guest("destination-jsonl").display().to_string();
    Host::new().get_destination(&name, &options, config).expect("a destination")
}

fn cache(world: &World) -> Arc<dyn RecordCache> {
    let path = world.folder.path().join(".lockgate/cache/default.db");
    Arc::new(SqliteCache::open(&path).expect("a cache"))
}

fn with_states(world: &World) -> WriteOptions {
    let store = SqliteStateStore::open(&world.folder.path().join("state.db")).expect("a store");
    let store: Arc<dyn StateStore> = Arc::new(store);
    WriteOptions { state: Some(store), ..WriteOptions::default() }
}

fn ids(world: &World, out: &str) -> Vec<u64> {
    let rows = world.folder.rows(&format!("{out}/a.jsonl"));
    rows.iter().map(|row| row["id"].as_u64().expect("a number")).collect()
}

async fn read(world: &World, cache: &Arc<dyn RecordCache>) -> ReadResult {
    let read = source(world).read(cache, &ReadOptions::default()).await;
    read.expect("it is read")
}

#[tokio::test]
async fn a_result_covers_what_its_read_brought() {
    let world = World::new();
    let cache = cache(&world);
    world.tables(json!({"streams": [numbered("a", 0..3), numbered("b", 0..2)]}));
    let first = read(&world, &cache).await;
    world.tables(json!({"streams": [numbered("a", 0..5), numbered("b", 0..2)]}));
    let second = read(&world, &cache).await;

    assert_eq!((first.processed_records(), second.processed_records()), (5, 2));
    let a = StreamDescriptor::new("a");
    assert_eq!((first.row_counts()[&a], second.row_counts()[&a]), (3, 2));
    let text = |result: &ReadResult| -> Vec<String> {
        let rows = result.rows("a").expect("a stream");
        rows.map(|row| row.expect("a row").get().to_owned()).collect()
    };
    assert_eq!(text(&first), [r#"{"id":0}"#, r#"{"id":1}"#, r#"{"id":2}"#]);
    assert_eq!(text(&second), [r#"{"id":3}"#, r#"{"id":4}"#]);
    let batches = second.record_batches("a").expect("a stream");
    let counts = batches.map(|batch| batch.expect("a batch").num_rows());
    assert_eq!(counts.sum::<usize>(), 2);
    let counted = second.query("SELECT count(*) AS n FROM a").expect("an answer");
    assert_eq!((counted.columns, counted.rows), (vec!["n".to_owned()], vec![vec![json!(5)]]));
    assert_eq!(first.rows("c").expect_err("no such stream").code(), "CACHE_UNKNOWN");
    assert_eq!(second.report.records_cached, 2);

    // What the second covered, though there is more in the cache.
    let to = destination(&world, "two");
    let options = with_states(&world);
    assert_eq!(to.write(&second, &options).await.expect("written").records_committed(), 2);
    assert_eq!(ids(&world, "two"), [3, 4]);
    // And what that destination has not confirmed of it: nothing.
    assert_eq!(to.write(&second, &options).await.expect("written").records_committed(), 0);
    // Without states it is all that the read covered, each time.
    let off = WriteOptions::default();
    for times in 1..3 {
        destination(&world, "off").write(&first, &off).await.expect("written");
        assert_eq!(ids(&world, "off").len(), 3 * times);
    }
    // Another destination of the same cache, in the order of the reads.
    let both = destination(&world, "both");
    both.write(&first, &options).await.expect("written");
    both.write(&second, &options).await.expect("written");
    assert_eq!(ids(&world, "both"), [0, 1, 2, 3, 4]);
    // All that the read covered again, because the operator asks for it.
    let full =
        WriteOptions { full_refresh: true, strategy: WriteStrategy::Append, ..options.clone() };
    both.write(&second, &full).await.expect("written");
    assert_eq!(ids(&world, "both"), [0, 1, 2, 3, 4, 3, 4]);
}

#[tokio::test]
async fn streams_are_chosen_among_those_of_the_result() {
    let world = World::new();
    let cache = cache(&world);
    world.tables(json!({"streams": [numbered("a", 0..3), numbered("b", 0..2)]}));
    let result = read(&world, &cache).await;
    let only = |names: &str| WriteOptions {
        streams: StreamSelection::parse(names),
        ..WriteOptions::default()
    };
    let to = destination(&world, "out");
    let report = to.write(&result, &only("b")).await.expect("written").report;
    assert_eq!((report.streams.len(), report.records_committed), (1, 2));
    let failure = to.write(&result, &only("c")).await.expect_err("no such stream");
    assert_eq!(failure.error.code(), "STREAM_UNKNOWN");
}

#[tokio::test]
async fn an_argument_that_a_result_has_no_use_for_is_refused() {
    let world = World::new();
    let cache = cache(&world);
    world.tables(json!({"streams": [numbered("a", 0..3)]}));
    let result = read(&world, &cache).await;
    let to = destination(&world, "out");
    for (options, named) in [
        (WriteOptions { cache: Some(cache.clone()), ..WriteOptions::default() }, "cache"),
        (WriteOptions { source_key: Some("k".into()), ..WriteOptions::default() }, "source_key"),
        (WriteOptions { from_cache: true, ..WriteOptions::default() }, "from_cache"),
        (WriteOptions { clear: true, ..WriteOptions::default() }, "clear"),
    ] {
        let error = to.write(&result, &options).await.expect_err("refused").error;
        assert_eq!(error.code(), "ARGUMENT_UNUSED");
        assert!(error.to_string().starts_with(named), "{error}");
    }
    let without = WriteOptions { source_key: Some("k".into()), ..WriteOptions::default() };
    let error = to.write(&source(&world), &without).await.expect_err("refused").error;
    assert_eq!(error.code(), "ARGUMENT_UNUSED");
}

#[tokio::test]
async fn rows_that_a_later_read_replaced_are_missed() {
    let world = World::new();
    let cache = cache(&world);
    // Replaced as a whole.
    let replace = ReadOptions { strategy: WriteStrategy::Replace, ..ReadOptions::default() };
    world.tables(json!({"streams": [numbered("a", 0..3)]}));
    let first = source(&world).read(&cache, &replace).await.expect("it is read");
    let second = source(&world).read(&cache, &replace).await.expect("it is read");
    let to = destination(&world, "out");
    let off = WriteOptions::default();
    let error = to.write(&first, &off).await.expect_err("replaced").error;
    assert_eq!(error.code(), "CACHE_REPLACED");
    let last = first.rows("a").expect("a stream").last();
    assert!(matches!(last, Some(Err(CacheError::Replaced { .. }))), "{last:?}");
    to.write(&second, &off).await.expect("written");
    assert_eq!(ids(&world, "out"), [0, 1, 2]);

    // Row by row, by their key.
    let keyed =
        |rows: &[String]| json!({"streams": [{"name": "k", "key": [["id"]], "rows": rows}]});
    let mut rows: Vec<String> = (0..4).map(|id| format!(r#"{{"id":{id},"v":1}}"#)).collect();
    world.tables(keyed(&rows));
    let first = read(&world, &cache).await;
    rows.push(r#"{"id":2,"v":2}"#.into());
    world.tables(keyed(&rows));
    let second = read(&world, &cache).await;
    assert_eq!((second.processed_records(), second.rows("k").expect("a stream").count()), (1, 1));
    let error = to.write(&first, &off).await.expect_err("replaced").error;
    assert_eq!(error.code(), "CACHE_REPLACED");
}
