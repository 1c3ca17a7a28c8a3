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
