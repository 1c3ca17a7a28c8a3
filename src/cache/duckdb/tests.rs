use super::*;

fn with(test: fn(&dyn RecordCache)) {
    let folder = tempfile::tempdir().unwrap();
    test(&DuckdbCache::open(&folder.path().join("cache/default.duckdb")).unwrap());
}

crate::cache::tests::conformance!(with);

#[test]
fn a_process_has_its_file_open_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("one.duckdb");
    let first = DuckdbCache::open(&path).unwrap();
    std::os::unix::fs::symlink(&path, folder.path().join("link")).unwrap();
    let second = DuckdbCache::open(&folder.path().join("link")).unwrap();
    assert!(Arc::ptr_eq(&first.0, &second.0));
    crate::cache::tests::replaces(&first, &[r#"{"id":1}"#]);
    drop(first);
    assert_eq!(second.streams(None).unwrap()[0].rows, 1);
    drop(second);
    // Closed, and opened again.
    let third = DuckdbCache::open(&path).unwrap();
    assert_eq!(third.streams(None).unwrap()[0].rows, 1);
    let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
}

#[test]
fn queries_reach_nothing_but_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret.csv");
    std::fs::write(&secret, "hunter2\n").unwrap();
    let cache = DuckdbCache::open(&folder.path().join("c.duckdb")).unwrap();
    for sql in [
        format!("SELECT * FROM read_csv('{}')", secret.display()),
        format!("SELECT * FROM read_text('{}')", secret.display()),
        format!("FROM '{}'", secret.display()),
        format!("SELECT * FROM glob('{}/*')", folder.path().display()),
        "SELECT * FROM read_csv('https://db.example/x.csv')".into(),
        "SET memory_limit = '1GB'".into(),
        "SELECT 1); COMMIT; CREATE TABLE t (a INT); SELECT (1".into(),
        "INSTALL httpfs".into(),
        "LOAD httpfs".into(),
    ] {
        let refused = cache.query(&sql, 10);
        assert!(matches!(refused, Err(CacheError::Query { .. })), "{sql}: {refused:?}");
        assert!(!format!("{refused:?}").contains("hunter2"));
    }
}

#[test]
fn a_later_layout_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.duckdb");
    drop(DuckdbCache::open(&path).unwrap());
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch("UPDATE _lockgate_cache SET layout = 9").unwrap();
    drop(connection);
    let error = DuckdbCache::open(&path).unwrap_err();
    assert!(matches!(error, CacheError::Layout { found: 9, known: 1, .. }), "{error}");
}
