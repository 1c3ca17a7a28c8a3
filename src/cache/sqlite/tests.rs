use super::*;

fn with(test: fn(&dyn RecordCache)) {
    let folder = tempfile::tempdir().unwrap();
    test(&SqliteCache::open(&folder.path().join("cache/default.db")).unwrap());
}

crate::cache::tests::conformance!(with);

#[test]
fn the_file_is_the_owners_alone_and_is_opened_again() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cache/default.db");
    let id = SqliteCache::open(&path).unwrap().describe().id;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    assert_eq!(id.len(), 32);
    assert_eq!(SqliteCache::open(&path).unwrap().describe().id, id);
}

#[test]
fn a_later_layout_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("default.db");
    SqliteCache::open(&path).unwrap();
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch("UPDATE _lockgate_cache SET layout = 9").unwrap();
    let error = SqliteCache::open(&path).unwrap_err();
    assert!(matches!(error, CacheError::Layout { found: 9, known: 1, .. }), "{error}");
}

#[test]
fn a_state_store_may_be_in_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("both.db");
    let cache = SqliteCache::open(&path).unwrap();
    let store = crate::state::SqliteStateStore::open(&path).unwrap();
    use crate::state::StateStore as _;
    assert!(store.load("c").unwrap().is_empty());
    SqliteCache::open(&path).unwrap();
    crate::cache::tests::append_keeps_everything(&cache);
}

#[test]
fn another_kind_of_file_is_no_cache() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("text.db");
    std::fs::write(&path, "this is no database, and long enough to be seen as none at all")
        .unwrap();
    assert!(matches!(SqliteCache::open(&path), Err(CacheError::Database { .. })));
}

#[test]
fn a_view_of_a_table_sees_the_rows_that_replaced_others() {
    with(|cache| {
        let path = std::path::PathBuf::from(cache.describe().place);
        crate::cache::tests::replacing_waits_for_the_end(cache);
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch("CREATE VIEW seen AS SELECT id FROM users").unwrap();
        crate::cache::tests::replaces(cache, &[r#"{"id":40}"#]);
        crate::cache::tests::replaces(cache, &[r#"{"id":41}"#]);
        let rows = cache.query("SELECT * FROM seen", 10).unwrap().rows;
        assert_eq!(rows, [[serde_json::json!(41)]]);
    });
}

/// Not a test of anything: `cargo test --release --lib how_fast -- --ignored --nocapture`.
#[test]
#[ignore = "measures"]
fn how_fast_rows_come_in() {
    use crate::protocol::{EmittedAt, Json, Rows, StateMessage};
    const ROWS: u64 = 1_000_000;
    const BATCH: u64 = 400;
    let schema = r#"{"properties":{"id":{"type":"integer"},"name":{"type":"string"},"email":{"type":"string"},
        "created_at":{"type":"string","format":"date-time"},"amount":{"type":"number"},
        "active":{"type":"boolean"},"tags":{"type":"array"}}}"#;
    for (mode, key) in [("append", "[]"), ("append_dedup", r#"[["id"]]"#)] {
        let catalog = Catalog::from_airbyte(&format!(
            r#"{{"streams":[{{"stream":{{"name":"rows","json_schema":{schema}}},"sync_mode":"incremental",
            "destination_sync_mode":"{mode}","primary_key":{key}}}]}}"#
        ))
        .unwrap();
        let batches: Vec<Rows> = (0..ROWS / BATCH)
            .map(|batch| {
                let mut data = String::new();
                for id in batch * BATCH..(batch + 1) * BATCH {
                    data.push_str(&format!(
                        r#"{{"id":{id},"name":"Somebody Number {id}","email":"somebody.{id}@example.com","created_at":"2024-02-29T10:00:00.123Z","amount":{}.25,"active":true,"tags":["a","b"]}}"#,
                        id % 1000
                    ));
                    data.push('\n');
                }
                let count = u32::try_from(BATCH).unwrap();
                let emitted_at = EmittedAt::All(1_700_000_000_123);
                Rows { stream: 0, count, data: data.into_bytes(), emitted_at, meta: Vec::new(), parsed: true }
            })
            .collect();
        let bytes: usize = batches.iter().map(|rows| rows.data.len()).sum();
        let folder = tempfile::tempdir_in(".").unwrap();
        let cache = SqliteCache::open(&folder.path().join("c.db")).unwrap();
        let begun = std::time::Instant::now();
        let mut writer = cache.fill("s", "s", &catalog).unwrap();
        let state =
            StateMessage::stream(StreamDescriptor::new("rows"), Some(&Json::empty_object()));
        for (i, rows) in batches.iter().enumerate() {
            writer.rows(rows).unwrap();
            if i % 100 == 99 {
                writer.checkpoint(&state).unwrap();
                writer.commit().unwrap();
            }
        }
        writer.end().unwrap();
        let took = begun.elapsed().as_secs_f64();
        let size = std::fs::metadata(folder.path().join("c.db")).unwrap().len();
        println!(
            "{mode}: {:.0} rows/s, {} bytes a row, file {} MB",
            ROWS as f64 / took,
            bytes as u64 / ROWS,
            size >> 20
        );
    }
}
