//! What every cache does, on each of them.

use super::*;
use crate::protocol::{EmittedAt, Json, RowMeta, StateScope};

/// A configured stream; `schema`: its properties.
fn stream(name: &str, mode: &str, destination_mode: &str, key: &str, schema: &str) -> String {
    format!(
        r#"{{"stream":{{"name":"{name}","json_schema":{{"properties":{{{schema}}}}}}},"sync_mode":"{mode}",
        "destination_sync_mode":"{destination_mode}","primary_key":{key}}}"#
    )
}

fn catalog(streams: &[String]) -> Catalog {
    Catalog::from_airbyte(&format!(r#"{{"streams":[{}]}}"#, streams.join(","))).unwrap()
}

const USERS: &str = r#""id":{"type":"integer"},"name":{"type":["null","string"]}"#;

fn append(schema: &str) -> Catalog {
    catalog(&[stream("users", "incremental", "append", "[]", schema)])
}

fn overwrite() -> Catalog {
    catalog(&[stream("users", "full_refresh", "overwrite", "[]", USERS)])
}

fn merge(key: &str) -> Catalog {
    catalog(&[stream("users", "incremental", "append_dedup", key, USERS)])
}

fn batch(stream: u32, lines: &[&str]) -> Rows {
    let mut data = lines.join("\n").into_bytes();
    data.push(b'\n');
    let count = u32::try_from(lines.len()).unwrap();
    Rows {
        stream,
        count,
        data,
        emitted_at: EmittedAt::All(1_700_000_000_123),
        meta: Vec::new(),
        parsed: false,
    }
}

fn state(name: &str, at: u64) -> StateMessage {
    let at = Json::parse(format!(r#"{{"at":{at}}}"#)).unwrap();
    StateMessage::stream(StreamDescriptor::new(name), Some(&at))
}

fn users() -> StreamDescriptor {
    StreamDescriptor::new("users")
}

/// Fills with some rows, a state and the end.
fn fill(cache: &dyn RecordCache, source: &str, catalog: &Catalog, lines: &[&str]) -> CachedRead {
    let mut writer = cache.fill(source, source, catalog).unwrap();
    if !lines.is_empty() {
        writer.rows(&batch(0, lines)).unwrap();
    }
    writer.checkpoint(&state("users", lines.len() as u64)).unwrap();
    writer.complete(0).unwrap();
    writer.end().unwrap().remove(0)
}

/// Replaces the users.
pub(super) fn replaces(cache: &dyn RecordCache, lines: &[&str]) {
    fill(cache, "s", &overwrite(), lines);
}

/// All records of a stream.
fn records(cache: &dyn RecordCache, source: &str, stream: &StreamDescriptor) -> Vec<String> {
    let (mut all, mut after) = (Vec::new(), 0);
    while let Some(rows) = cache.rows(source, stream, after, u64::MAX >> 1, 64).unwrap() {
        assert!(rows.last > after);
        after = rows.last;
        rows.rows.verify().unwrap();
        let lines = rows.rows.lines().map(|line| String::from_utf8(line.to_vec()).unwrap());
        all.extend(lines);
    }
    all
}

fn one(cache: &dyn RecordCache, source: &str) -> CachedStream {
    let mut streams = cache.streams(Some(source)).unwrap();
    assert_eq!(streams.len(), 1);
    streams.remove(0)
}

fn query(cache: &dyn RecordCache, sql: &str) -> Vec<Vec<serde_json::Value>> {
    cache.query(sql, 1000).unwrap().rows
}

pub(super) fn append_keeps_everything(cache: &dyn RecordCache) {
    assert!(cache.streams(None).unwrap().is_empty());
    let first = fill(cache, "s", &append(USERS), &[r#"{"id":1,"name":"a"}"#, r#"{"id":2}"#]);
    assert_eq!((first.records, first.rows, first.complete), (2, 2, true));
    assert_eq!((first.from, first.to.row), (CachePosition::default(), 2));
    let second = fill(cache, "s", &append(USERS), &[r#"{"id":2,"name":"b"}"#]);
    assert_eq!(second.from, first.to);
    assert_eq!(second.to, CachePosition { generation: first.to.generation, row: 3 });
    let all = records(cache, "s", &users());
    assert_eq!(all, [r#"{"id":1,"name":"a"}"#, r#"{"id":2}"#, r#"{"id":2,"name":"b"}"#]);
    let shown = one(cache, "s");
    assert_eq!((shown.rows, shown.position, shown.merged), (3, second.to, false));
    assert!(shown.updated_at.is_some());
    let rows =
        query(cache, &format!("SELECT id, name FROM {} ORDER BY _lockgate_row", shown.table));
    assert_eq!(serde_json::json!(rows), serde_json::json!([[1, "a"], [2, null], [2, "b"]]));
    // A read of nothing changes nothing.
    let third = fill(cache, "s", &append(USERS), &[]);
    assert_eq!((third.records, third.from, third.to), (0, second.to, second.to));
}

pub(super) fn records_are_exact(cache: &dyn RecordCache) {
    let lines = [
        r#"{"z":1, "a":50000.0000000000000001,"b":1e400,"c":9223372036854775809}"#,
        r#"{"a":"\ud800\u0000é😀","nested":{"x":[1,2,{"y":null}]},"a":"twice"}"#,
        r"{}",
    ];
    let mut rows = batch(0, &lines);
    rows.emitted_at = EmittedAt::Each(vec![5, -1, 1_700_000_000_000]);
    let meta = r#"{"changes":[{"field":"a","change":"NULLED","reason":"SOURCE_RETRIEVAL_ERROR"}],"n":1e400}"#;
    rows.meta.push(RowMeta { row: 1, meta: Json::object(meta).unwrap() });
    let schema = r#""a":{"type":"string"},"b":{"type":"number"},"c":{"type":"integer"},"nested":{"type":"object"}"#;
    let mut writer = cache.fill("s", "s", &append(schema)).unwrap();
    writer.rows(&rows).unwrap();
    writer.end().unwrap();
    let back = cache.rows("s", &users(), 0, 3, 1 << 20).unwrap().unwrap();
    assert_eq!(String::from_utf8(back.rows.data).unwrap(), format!("{}\n", lines.join("\n")));
    assert_eq!(back.rows.emitted_at, rows.emitted_at);
    assert_eq!(back.rows.meta.len(), 1);
    assert_eq!((back.rows.meta[0].row, back.rows.meta[0].meta.get()), (1, meta));
    assert_eq!((back.rows.stream, back.last), (0, 3));
    let table = one(cache, "s").table;
    let rows =
        query(cache, &format!("SELECT a, c, _airbyte_meta FROM {table} ORDER BY _lockgate_row"));
    // The number has no column that holds it, and the row says so.
    assert_eq!(rows[0][1], serde_json::Value::Null);
    let changes = rows[0][2].to_string();
    assert!(
        changes.contains("DESTINATION_FIELD_SIZE_LIMITATION") && changes.contains("\\\"c\\\""),
        "{changes}"
    );
    assert!(rows[1][2].to_string().contains("SOURCE_RETRIEVAL_ERROR"));
    let count = format!("SELECT count(DISTINCT _airbyte_raw_id) FROM {table}");
    assert_eq!(query(cache, &count)[0][0], 3);
}

pub(super) fn replacing_waits_for_the_end(cache: &dyn RecordCache) {
    let first = fill(cache, "s", &overwrite(), &[r#"{"id":1}"#, r#"{"id":2}"#]);
    assert_eq!((first.rows, first.to.row), (2, 2));
    // Incomplete: nothing changes, and no state of it is kept.
    let mut writer = cache.fill("s", "s", &overwrite()).unwrap();
    writer.rows(&batch(0, &[r#"{"id":3}"#])).unwrap();
    writer.checkpoint(&state("users", 77)).unwrap();
    writer.commit().unwrap();
    assert_eq!(records(cache, "s", &users()), [r#"{"id":1}"#, r#"{"id":2}"#]);
    assert_eq!(one(cache, "s").position, first.to);
    let read = writer.end().unwrap().remove(0);
    assert_eq!((read.records, read.rows, read.complete), (1, 0, false));
    assert_eq!((read.from, read.to), (first.to, first.to));
    assert_eq!(records(cache, "s", &users()).len(), 2);
    assert!(
        cache.checkpoints("s", 0, 10).unwrap().iter().all(|c| !c.state.body().get().contains("77"))
    );
    // Complete: they are there with the next commit, and so are the states.
    let mut writer = cache.fill("s", "s", &overwrite()).unwrap();
    writer.rows(&batch(0, &[r#"{"id":4}"#])).unwrap();
    writer.checkpoint(&state("users", 78)).unwrap();
    writer.complete(0).unwrap();
    assert_eq!(records(cache, "s", &users()).len(), 2);
    writer.commit().unwrap();
    assert_eq!(records(cache, "s", &users()), [r#"{"id":4}"#]);
    let read = writer.end().unwrap().remove(0);
    assert_eq!(read.to, CachePosition { generation: first.to.generation + 1, row: 3 });
    assert_eq!(read.rows, 1);
    let last = cache.checkpoints("s", 0, 10).unwrap().pop().unwrap();
    assert!(last.of_full_read && last.state.body().get().contains("78"));
    assert_eq!(last.positions, [(users(), read.to)]);
    // By nothing as well.
    let empty = fill(cache, "s", &overwrite(), &[]);
    assert_eq!((empty.rows, empty.to.generation), (0, read.to.generation + 1));
    assert!(records(cache, "s", &users()).is_empty());
    assert_eq!(one(cache, "s").rows, 0);
}

pub(super) fn merging_keeps_the_last(cache: &dyn RecordCache) {
    let key = r#"[["id"]]"#;
    let read = fill(
        cache,
        "s",
        &merge(key),
        &[
            r#"{"id":1,"name":"a"}"#,
            r#"{"id":2,"name":"b"}"#,
            r#"{"id":1.0,"name":"c"}"#,
            r#"{"name":"none"}"#,
        ],
    );
    assert_eq!((read.records, read.rows), (4, 3));
    let all = records(cache, "s", &users());
    assert_eq!(all, [r#"{"id":2,"name":"b"}"#, r#"{"id":1.0,"name":"c"}"#, r#"{"name":"none"}"#]);
    let read =
        fill(cache, "s", &merge(key), &[r#"{"id":2,"name":"d"}"#, r#"{"id":null,"name":"e"}"#]);
    assert_eq!((read.rows, one(cache, "s").rows), (2, 3));
    assert!(one(cache, "s").merged);
    let all = records(cache, "s", &users());
    assert_eq!(
        all,
        [r#"{"id":1.0,"name":"c"}"#, r#"{"id":2,"name":"d"}"#, r#"{"id":null,"name":"e"}"#]
    );
    // Another key: what is there is merged by it first. Then rows are kept as they come, and merged again.
    fill(cache, "s", &merge(r#"[["name"],["id"]]"#), &[r#"{"id":1,"name":"x"}"#]);
    assert_eq!(one(cache, "s").rows, 4);
    fill(cache, "s", &append(USERS), &[r#"{"id":1,"name":"x"}"#, r#"{"id":9,"name":"x"}"#]);
    assert_eq!((one(cache, "s").rows, one(cache, "s").merged), (6, false));
    fill(cache, "s", &merge(key), &[]);
    let all = records(cache, "s", &users());
    assert_eq!(
        all,
        [
            r#"{"id":2,"name":"d"}"#,
            r#"{"id":null,"name":"e"}"#,
            r#"{"id":1,"name":"x"}"#,
            r#"{"id":9,"name":"x"}"#
        ]
    );
    assert_eq!(one(cache, "s").rows, 4);
}

pub(super) fn columns_grow(cache: &dyn RecordCache) {
    let integer = r#""v":{"type":"integer"}"#;
    fill(cache, "s", &append(integer), &[r#"{"v":1}"#, r#"{"v":1.5,"w":"later"}"#]);
    let table = one(cache, "s").table;
    let values = |column: &str| {
        let sql = format!("SELECT {column} FROM {table} ORDER BY _lockgate_row");
        query(cache, &sql).into_iter().map(|mut row| row.remove(0)).collect::<Vec<_>>()
    };
    assert_eq!(values("v"), [serde_json::json!(1), serde_json::json!(null)]);
    let wider = r#""v":{"type":"number"},"w":{"type":"string"}"#;
    fill(cache, "s", &append(wider), &[r#"{"v":2.25,"w":"new"}"#]);
    // The table was written anew: what did not fit before does now.
    let numbers: Vec<String> = values("v").iter().map(|v| v.to_string().replace('"', "")).collect();
    assert_eq!(numbers, ["1", "1.5", "2.25"]);
    fill(cache, "s", &append(r#""v":{"type":"string"}"#), &[r#"{"v":"text"}"#]);
    assert_eq!(values("v"), ["1", "1.5", "2.25", "text"]);
    assert_eq!(values("w").len(), 4);
    let kinds: Vec<_> = one(cache, "s").columns.iter().map(|c| c.kind).collect();
    assert_eq!(kinds, [ColumnType::String, ColumnType::String]);
    fill(cache, "s", &append(r#""v":{"type":"object"}"#), &[r#"{"v":{"a":1}}"#]);
    assert_eq!(one(cache, "s").columns[0].kind, ColumnType::Json);
    assert_eq!(records(cache, "s", &users()).len(), 5);
    assert_eq!(one(cache, "s").rows, 5);
}

pub(super) fn every_type_has_its_value(cache: &dyn RecordCache) {
    let schema = r#""s":{"type":"string"},"b":{"type":"boolean"},"i":{"type":"integer"},"n":{"type":"number"},
        "d":{"type":"string","format":"date"},"ts":{"type":"string","format":"date-time"},
        "tl":{"type":"string","format":"date-time","airbyte_type":"timestamp_without_timezone"},
        "t":{"type":"string","format":"time","airbyte_type":"time_without_timezone"},
        "tz":{"type":"string","format":"time"},"j":{"type":["object","null"]}"#;
    let full = r#"{"s":"é","b":true,"i":-9223372036854775808,"n":0.1,"d":"2024-02-29","ts":"2024-02-29T10:00:00.5+02:00","tl":"2024-02-29T10:00:00","t":"23:59:59.999999","tz":"10:00:00+02:00","j":{"a":[1]}}"#;
    let odd = r#"{"s":5,"b":"true","i":"1","n":"1","d":"2023-02-29","ts":"now","tl":1,"t":"24:00","tz":"x","j":[]}"#;
    fill(cache, "s", &append(schema), &[full, odd, "{}"]);
    let table = one(cache, "s").table;
    let text = |column: &str| {
        let sql = format!("SELECT CAST({column} AS TEXT) FROM {table} ORDER BY _lockgate_row");
        query(cache, &sql).into_iter().map(|mut row| row.remove(0)).collect::<Vec<_>>()
    };
    assert_eq!(text("s")[0], "é");
    assert_eq!(text("s")[1], "5");
    assert_eq!(text("i")[0], "-9223372036854775808");
    assert_eq!(text("n")[0], "0.1");
    assert_eq!(text("d")[0], "2024-02-29");
    assert!(text("ts")[0].as_str().unwrap().replace('T', " ").starts_with("2024-02-29 08:00:00.5"));
    assert!(text("tl")[0].as_str().unwrap().replace('T', " ").starts_with("2024-02-29 10:00:00"));
    assert!(text("t")[0].as_str().unwrap().starts_with("23:59:59.999999"));
    assert!(text("tz")[0].as_str().unwrap().starts_with("10:00:00"));
    assert_eq!(text("j")[0], r#"{"a":[1]}"#);
    for column in ["b", "i", "n", "d", "ts", "tl", "t", "tz"] {
        assert!(text(column)[1].is_null() && text(column)[2].is_null(), "{column}");
        assert!(!text(column)[0].is_null(), "{column}");
    }
    let meta = format!("SELECT _airbyte_meta FROM {table} ORDER BY _lockgate_row");
    let metas: Vec<String> = query(cache, &meta).iter().map(|row| row[0].to_string()).collect();
    assert_eq!(metas[1].matches("DESTINATION_SERIALIZATION_ERROR").count(), 8, "{}", metas[1]);
    assert_eq!(metas[0].matches("NULLED").count() + metas[2].matches("NULLED").count(), 0);
}

pub(super) fn states_are_of_their_rows(cache: &dyn RecordCache) {
    let two = catalog(&[
        stream("a", "incremental", "append", "[]", USERS),
        stream("b", "incremental", "append", "[]", USERS),
    ]);
    let mut writer = cache.fill("s", "s", &two).unwrap();
    writer.rows(&batch(0, &[r#"{"id":1}"#, r#"{"id":2}"#])).unwrap();
    writer.checkpoint(&state("a", 1)).unwrap();
    writer.rows(&batch(1, &[r#"{"id":1}"#])).unwrap();
    writer.rows(&batch(0, &[r#"{"id":3}"#])).unwrap();
    assert!(cache.states("s").unwrap().is_empty());
    writer.commit().unwrap();
    let global = r#"{"type":"GLOBAL","global":{"shared_state":{"n":12345678901234567890123},"stream_states":[]},"x":1}"#;
    let global = StateMessage::from_airbyte(Json::parse(global).unwrap()).unwrap();
    writer.checkpoint(&state("b", 2)).unwrap();
    assert_eq!(cache.states("s").unwrap().len(), 1);
    writer.commit().unwrap();
    assert_eq!(cache.states("s").unwrap().len(), 2);
    writer.checkpoint(&global).unwrap();
    // Not committed, so not there.
    drop(writer);
    assert_eq!(cache.states("s").unwrap().len(), 2);
    let mut writer = cache.fill("s", "s", &two).unwrap();
    writer.checkpoint(&global).unwrap();
    writer.end().unwrap();
    let states = cache.states("s").unwrap();
    assert_eq!(states.len(), 1);
    assert_eq!(states[0].state.body().get(), global.body().get());
    assert_eq!(states[0].state.scope(), &StateScope::Global);
    let all = cache.checkpoints("s", 0, 10).unwrap();
    let rows: Vec<Vec<u64>> =
        all.iter().map(|c| c.positions.iter().map(|(_, at)| at.row).collect()).collect();
    assert_eq!(rows, [vec![2], vec![1], vec![3, 1]]);
    assert!(all.windows(2).all(|pair| pair[0].id < pair[1].id));
    assert_eq!(cache.checkpoints("s", all[0].id, 1).unwrap()[0].id, all[1].id);
    assert!(
        cache.states("other").unwrap().is_empty()
            && cache.checkpoints("other", 0, 9).unwrap().is_empty()
    );
}

pub(super) fn what_is_dropped_leaves_what_was_committed(cache: &dyn RecordCache) {
    let mut writer = cache.fill("s", "s", &append(USERS)).unwrap();
    writer.rows(&batch(0, &[r#"{"id":1}"#])).unwrap();
    writer.checkpoint(&state("users", 1)).unwrap();
    writer.commit().unwrap();
    let big = format!(r#"{{"name":"{}"}}"#, "x".repeat(700_000));
    for _ in 0..5 {
        writer.rows(&batch(0, &[&big])).unwrap();
    }
    writer.checkpoint(&state("users", 2)).unwrap();
    drop(writer);
    assert_eq!(records(cache, "s", &users()), [r#"{"id":1}"#]);
    assert!(cache.states("s").unwrap()[0].state.body().get().contains(r#""at":1"#));
    let read = fill(cache, "s", &append(USERS), &[r#"{"id":2}"#]);
    assert_eq!((read.from.row, read.to.row), (1, 2));
}

pub(super) fn one_fills_at_a_time(cache: &dyn RecordCache) {
    let writer = cache.fill("s", "shop", &append(USERS)).unwrap();
    let busy = cache.fill("s", "shop", &append(USERS)).err().unwrap();
    assert!(
        matches!(&busy, CacheError::Busy { source_name, holder, .. }
        if source_name == "shop" && holder.contains(&std::process::id().to_string())),
        "{busy}"
    );
    assert!(matches!(cache.remove("s", None), Err(CacheError::Busy { .. })));
    drop(cache.fill("other", "other", &append(USERS)).unwrap());
    drop(writer);
    // Who lets go has let go when that returns.
    for _ in 0..50 {
        drop(cache.fill("s", "shop", &append(USERS)).unwrap());
    }
}

pub(super) fn sources_never_meet(cache: &dyn RecordCache) {
    fill(cache, "one", &append(USERS), &[r#"{"id":1}"#]);
    fill(cache, "two", &append(USERS), &[r#"{"id":2}"#]);
    let in_namespace = catalog(&[stream("x_users", "incremental", "append", "[]", USERS)
        .replace(r#""name":"x_users""#, r#""name":"users","namespace":"x""#)]);
    let plain = catalog(&[stream("x_users", "incremental", "append", "[]", USERS)]);
    let (mut a, mut b) =
        (cache.fill("a", "a", &in_namespace).unwrap(), cache.fill("b", "b", &plain).unwrap());
    a.rows(&batch(0, &[r#"{"id":3}"#])).unwrap();
    a.commit().unwrap();
    b.rows(&batch(0, &[r#"{"id":4}"#])).unwrap();
    b.commit().unwrap();
    let (a, b) = (a.end().unwrap(), b.end().unwrap());
    assert_ne!(a[0].table, b[0].table);
    let tables: std::collections::HashSet<String> =
        cache.streams(None).unwrap().into_iter().map(|s| s.table).collect();
    assert_eq!(tables.len(), 4);
    assert_eq!(records(cache, "one", &users()), [r#"{"id":1}"#]);
    assert_eq!(records(cache, "two", &users()), [r#"{"id":2}"#]);
    let unknown = cache.rows("one", &StreamDescriptor::new("x"), 0, 1, 1).unwrap_err();
    assert!(matches!(unknown, CacheError::Unknown { .. }), "{unknown}");
}

pub(super) fn what_is_removed_is_not_taken_for_what_comes(cache: &dyn RecordCache) {
    let before = fill(cache, "s", &append(USERS), &[r#"{"id":1}"#, r#"{"id":2}"#]);
    fill(cache, "other", &append(USERS), &[r#"{"id":5}"#]);
    assert!(matches!(
        cache.remove("s", Some(&StreamDescriptor::new("x"))),
        Err(CacheError::Unknown { .. })
    ));
    assert_eq!(cache.remove("s", Some(&users())).unwrap(), 1);
    assert!(cache.states("s").unwrap().is_empty());
    assert!(cache.streams(Some("s")).unwrap().is_empty());
    assert!(matches!(cache.rows("s", &users(), 0, 9, 9), Err(CacheError::Unknown { .. })));
    assert_eq!(cache.remove("s", None).unwrap(), 0);
    let after = fill(cache, "s", &append(USERS), &[r#"{"id":3}"#]);
    assert_eq!(after.to.generation, before.to.generation + 1);
    assert!(after.to.row > before.to.row);
    assert_eq!(records(cache, "s", &users()), [r#"{"id":3}"#]);
    assert_eq!(records(cache, "other", &users()), [r#"{"id":5}"#]);
}

pub(super) fn rows_that_are_none_end_the_read(cache: &dyn RecordCache) {
    for wrong in ["[]", "{\"a\":", "null", "{}{}"] {
        let mut writer = cache.fill("s", "s", &append(USERS)).unwrap();
        let taken = writer.rows(&batch(0, &[r#"{"id":1}"#, wrong])).and_then(|()| writer.commit());
        assert!(matches!(taken, Err(CacheError::Row { .. })), "{wrong}");
        drop(writer);
        assert!(records(cache, "s", &users()).is_empty());
    }
}

pub(super) fn queries_only_read(cache: &dyn RecordCache) {
    fill(cache, "s", &append(USERS), &[r#"{"id":1}"#, r#"{"id":2}"#, r#"{"id":3}"#]);
    let table = one(cache, "s").table;
    let some = cache.query(&format!("SELECT id AS n FROM {table} ORDER BY 1"), 2).unwrap();
    assert_eq!((some.columns, some.rows.len(), some.more), (vec!["n".to_owned()], 2, true));
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other.db");
    for wrong in [
        format!("DELETE FROM {table}"),
        format!("INSERT INTO {table} (_lockgate_record) VALUES ('x')"),
        format!("UPDATE {table} SET id = 5"),
        format!("DROP TABLE {table}"),
        format!("CREATE TABLE t AS SELECT * FROM {table}"),
        format!("SELECT 1; DELETE FROM {table}"),
        format!("WITH d AS (DELETE FROM {table} RETURNING *) SELECT * FROM d"),
        format!("ATTACH '{}' AS other", other.display()),
        "COMMIT".into(),
        "PRAGMA query_only = 0".into(),
        "VACUUM INTO '/tmp/x'".into(),
        "SELECT load_extension('x')".into(),
        "SELECT nothing FROM nowhere".into(),
        "COPY (SELECT 1) TO '/tmp/x'".into(),
        String::new(),
    ] {
        let refused = cache.query(&wrong, 10);
        assert!(matches!(refused, Err(CacheError::Query { .. })), "{wrong}: {refused:?}");
    }
    assert!(!other.exists());
    assert_eq!(records(cache, "s", &users()).len(), 3);
}

pub(super) fn readers_read_while_a_sync_writes(cache: &dyn RecordCache) {
    let mut writer = cache.fill("s", "s", &append(USERS)).unwrap();
    let table = one(cache, "s").table;
    let count = format!("SELECT count(*) FROM {table}");
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = Vec::new();
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let rows = cache.query(&count, 1).unwrap().rows;
                seen.push(rows[0][0].as_u64().unwrap());
                assert!(cache.streams(Some("s")).unwrap()[0].rows.is_multiple_of(100));
            }
            seen
        });
        let line = r#"{"id":1,"name":"somebody"}"#;
        for i in 0..30 {
            writer.rows(&batch(0, &[line; 100])).unwrap();
            writer.checkpoint(&state("users", i)).unwrap();
            writer.commit().unwrap();
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        let seen = reader.join().unwrap();
        assert!(seen.iter().all(|n| n % 100 == 0) && seen.is_sorted(), "{seen:?}");
    });
    writer.end().unwrap();
    assert_eq!(one(cache, "s").rows, 3000);
}

/// All of the above as tests of one kind of cache; `$with` runs one on a new cache.
macro_rules! conformance {
    ($with:path: $($name:ident),* $(,)?) => {
        $(#[test]
        fn $name() {
            $with(crate::cache::tests::$name);
        })*
    };
    ($with:path) => {
        crate::cache::tests::conformance!($with:
            append_keeps_everything, records_are_exact, replacing_waits_for_the_end,
            merging_keeps_the_last, columns_grow, every_type_has_its_value,
            states_are_of_their_rows, what_is_dropped_leaves_what_was_committed,
            one_fills_at_a_time, sources_never_meet, what_is_removed_is_not_taken_for_what_comes,
            rows_that_are_none_end_the_read, queries_only_read, readers_read_while_a_sync_writes,
        );
    };
}
pub(super) use conformance;
