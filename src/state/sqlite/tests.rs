//! What only this store has: files of earlier versions. What all stores keep to is in
//! `tests/state_stores.rs`.

use super::*;
use crate::protocol::StateMessage;
use crate::state::{StreamBegin, StreamStart};

fn stream(name: &str, at: u64) -> StateMessage {
    let state = Json::parse(format!(r#"{{"at":{at}}}"#)).unwrap();
    StateMessage::stream(StreamDescriptor::new(name), Some(&state))
}

fn bodies(store: &SqliteStateStore, connection: &str) -> Vec<String> {
    let states = StoredState::shown(store.load(connection).unwrap());
    states.iter().map(|s| s.body().get().to_owned()).collect()
}

#[test]
fn what_an_earlier_layout_kept_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let old = Connection::open(&path).unwrap();
    old.execute_batch(
        r#"CREATE TABLE syncs (connection TEXT PRIMARY KEY, last_sync_id INTEGER NOT NULL) WITHOUT ROWID;
        CREATE TABLE generations (connection TEXT NOT NULL, stream TEXT NOT NULL,
            generation INTEGER NOT NULL, PRIMARY KEY (connection, stream)) WITHOUT ROWID;
        CREATE TABLE states (connection TEXT NOT NULL, full_read INTEGER NOT NULL, stream TEXT NOT NULL,
            body TEXT NOT NULL, stored_at INTEGER NOT NULL,
            PRIMARY KEY (connection, full_read, stream)) WITHOUT ROWID;
        CREATE TABLE config_changes (connection TEXT NOT NULL, side TEXT NOT NULL, digest TEXT NOT NULL,
            members TEXT NOT NULL, PRIMARY KEY (connection, side)) WITHOUT ROWID;
        INSERT INTO syncs VALUES ('a', 7);
        INSERT INTO generations VALUES ('a', '{"name":"s"}', 3);
        INSERT INTO states VALUES ('a', 0, '{"name":"s"}',
            '{"type":"STREAM","stream":{"stream_descriptor":{"name":"s"},"stream_state":{"at":1}}}', 5);
        INSERT INTO config_changes VALUES ('a', 'source', 'd', '{"t":1}');
        PRAGMA user_version = 1;"#,
    )
    .unwrap();
    drop(old);
    let store = SqliteStateStore::open(&path).unwrap();
    assert_eq!(bodies(&store, "a"), [stream("s", 1).body().get()]);
    assert!(store.changed_config("a", "source", "d").unwrap().is_some());
    let descriptor = StreamDescriptor::new("s");
    let streams = vec![StreamStart { descriptor, begin: StreamBegin::GoOn }];
    let start = SyncStart { streams, ..SyncStart::default() };
    let numbers = store.begin_sync("a", &start, None).unwrap();
    assert_eq!((numbers.sync_id, numbers.streams[0].generation), (8, 3));
}
