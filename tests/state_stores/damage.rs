//! What cannot be read is said, and can be cleared.

use lockgate::fault::Fault;
use lockgate::state::StateStoreError;

use crate::{Place, bodies, keep, stream, texts};

crate::of_each_store!(
    a_damaged_state_is_named_and_can_be_cleared,
    a_later_layout_is_refused,
    only_its_user_may_read_it,
);

/// Runs SQL, or replaces a text in the file.
fn change(place: &Place, sql: &str, [from, to]: [&str; 2]) {
    match place {
        Place::Sqlite(_) => {
            rusqlite::Connection::open(place.file()).unwrap().execute_batch(sql).unwrap();
        }
        Place::Json(_) => {
            let text = std::fs::read_to_string(place.file()).unwrap();
            assert!(text.contains(from), "{text}");
            std::fs::write(place.file(), text.replacen(from, to, 1)).unwrap();
        }
        Place::Postgres(schema) => schema.run(sql),
    }
}

fn a_damaged_state_is_named_and_can_be_cleared(place: &Place) {
    let store = place.open();
    keep(store.as_ref(), "a", [stream("s", 1)]);
    keep(store.as_ref(), "b", [stream("s", 2)]);
    let sql = r#"UPDATE _lockgate_states SET body = '{"type":"SHARD"}' WHERE connection = 'a'"#;
    change(place, sql, [r#""type":"STREAM""#, r#""type":"SHARD""#]);
    let store = place.open();
    let error = store.load("a").unwrap_err();
    assert_eq!(error.code(), "STATE_STORE_DAMAGED");
    assert!(error.to_string().contains("SHARD"), "{error}");
    assert!(matches!(error, StateStoreError::Damaged { connection, .. } if connection == "a"));
    assert_eq!(bodies(store.as_ref(), "b"), texts([stream("s", 2)]));
    assert_eq!(store.clear("a", None).unwrap(), 1);
    assert!(store.load("a").unwrap().is_empty());
}

fn a_later_layout_is_refused(place: &Place) {
    keep(place.open().as_ref(), "a", [stream("s", 1)]);
    let sql = match place {
        Place::Sqlite(_) => "PRAGMA user_version = 99",
        _ => "UPDATE _lockgate_state_layout SET layout = 99",
    };
    change(place, sql, [r#""layout": 1"#, r#""layout": 99, "more": {}"#]);
    let error = place.try_open().unwrap_err();
    assert!(matches!(error, StateStoreError::Layout { found: 99, .. }), "{error}");
    assert_eq!(error.code(), "STATE_STORE_LAYOUT");
}

fn only_its_user_may_read_it(place: &Place) {
    use std::os::unix::fs::PermissionsExt;
    keep(place.open().as_ref(), "a", [stream("s", 1)]);
    if matches!(place, Place::Postgres(_)) {
        return;
    }
    for entry in std::fs::read_dir(place.file().parent().unwrap()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}", entry.path().display());
    }
    let folder = place.file().parent().unwrap().metadata().unwrap();
    assert_eq!(folder.permissions().mode() & 0o077, 0);
}

#[test]
fn a_torn_json_file_is_refused_and_stays() {
    let place = Place::json();
    keep(place.open().as_ref(), "a", [stream("s", 1)]);
    let text = std::fs::read_to_string(place.file()).unwrap();
    let torn = &text[..text.len() / 2];
    std::fs::write(place.file(), torn).unwrap();
    let error = place.try_open().unwrap_err();
    assert!(matches!(error, StateStoreError::Unreadable { .. }), "{error}");
    assert_eq!(error.code(), "STATE_STORE_DAMAGED");
    assert_eq!(std::fs::read_to_string(place.file()).unwrap(), torn);
}

#[test]
fn a_json_file_behind_a_link_is_replaced_and_the_link_stays() {
    let place = Place::json();
    keep(place.open().as_ref(), "a", [stream("s", 1)]);
    let other = tempfile::tempdir().unwrap();
    let link = other.path().join("link.json");
    std::os::unix::fs::symlink(place.file(), &link).unwrap();
    let store = crate::open(&format!("json:{}", link.display())).unwrap();
    keep(store.as_ref(), "a", [stream("s", 2)]);
    assert!(link.symlink_metadata().unwrap().is_symlink());
    assert_eq!(bodies(place.open().as_ref(), "a"), texts([stream("s", 2)]));
}
