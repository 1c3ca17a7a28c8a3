//! What is kept, and what it keeps apart.

use super::*;
use crate::protocol::StateMessage;
use crate::state::{KEPT_PASTS, StreamBegin, StreamNumbers, StreamStart};

fn store() -> (tempfile::TempDir, SqliteStateStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStateStore::open(&folder.path().join(".lockgate/state.db")).unwrap();
    (folder, store)
}

fn state(text: &str) -> StateMessage {
    StateMessage::from_airbyte(Json::parse(text).unwrap()).unwrap()
}

fn stream(name: &str, at: u64) -> StateMessage {
    let state = Json::parse(format!(r#"{{"at":{at}}}"#)).unwrap();
    StateMessage::stream(StreamDescriptor::new(name), Some(&state))
}

fn bodies(store: &SqliteStateStore, connection: &str) -> Vec<String> {
    let states = StoredState::shown(store.load(connection).unwrap());
    states.iter().map(|s| s.body().get().to_owned()).collect()
}

fn keep<const N: usize>(store: &SqliteStateStore, connection: &str, states: [StateMessage; N]) {
    store.store(connection, &states.map(StoredState::incremental), None).unwrap();
}

#[test]
fn states_of_full_reads_are_beside_the_others() {
    let (_folder, store) = store();
    keep(&store, "a", [stream("s", 1)]);
    let full = |state| StoredState { of_full_read: true, ..StoredState::incremental(state) };
    store.store("a", &[full(stream("s", 7)), full(stream("t", 7))], None).unwrap();
    let stored = store.load("a").unwrap();
    assert_eq!(stored.iter().filter(|s| !s.of_full_read).count(), 1);
    let shown = [stream("s", 1), stream("t", 7)].map(|s| s.body().get().to_owned());
    assert_eq!(bodies(&store, "a"), shown);
    let global = state(r#"{"type":"GLOBAL","global":{"stream_states":[]}}"#);
    store.store("a", &[full(global)], None).unwrap();
    assert_eq!(bodies(&store, "a"), [stream("s", 1).body().get()]);
}

#[test]
fn states_are_kept_per_connection_and_stream() {
    let (_folder, store) = store();
    keep(&store, "a", [stream("s", 1), stream("t", 1)]);
    keep(&store, "b", [stream("s", 9)]);
    keep(&store, "a", [stream("s", 2)]);
    assert_eq!(
        bodies(&store, "a"),
        [stream("s", 2), stream("t", 1)].map(|s| s.body().get().to_owned())
    );
    assert_eq!(bodies(&store, "b").len(), 1);
    assert_eq!(store.clear("a", Some(&[StreamDescriptor::new("t")])).unwrap(), 1);
    assert_eq!(store.clear("a", None).unwrap(), 1);
    assert_eq!(bodies(&store, "b").len(), 1);
}

#[test]
fn a_global_state_replaces_all_and_is_replaced_by_one() {
    let (_folder, store) = store();
    let global = state(r#"{"type":"GLOBAL","global":{"stream_states":[]},"x":1e400}"#);
    keep(&store, "a", [stream("s", 1), global.clone()]);
    assert_eq!(bodies(&store, "a"), [global.body().get()]);
    keep(&store, "a", [stream("s", 2)]);
    assert_eq!(bodies(&store, "a"), [stream("s", 2).body().get()]);
}

#[test]
fn numbers_grow() {
    let (_folder, store) = store();
    let read = StreamBegin::FullRead { truncates: true, resumable: false };
    let begins = [("s", read), ("t", StreamBegin::GoOn)];
    let streams = begins.map(|(name, begin)| {
        let descriptor = StreamDescriptor::new(name);
        StreamStart { descriptor, begin }
    });
    let start = SyncStart { streams: streams.into(), ..SyncStart::default() };
    let begin = |start: &SyncStart| {
        let numbers = store.begin_sync("a", start, None).unwrap();
        let of = |n: &StreamNumbers| (n.generation, n.minimum_generation);
        (numbers.sync_id, numbers.streams.iter().map(of).collect::<Vec<_>>())
    };
    assert_eq!(begin(&start), (1, vec![(1, 1), (1, 0)]));
    assert_eq!(begin(&start), (2, vec![(2, 2), (1, 0)]));
    let again = SyncStart { again: Some(2), ..start };
    assert_eq!(begin(&again), (2, vec![(2, 2), (1, 0)]));
}

#[test]
fn an_interrupted_refresh_goes_on_and_ends_when_it_is_complete() {
    let (_folder, store) = store();
    let descriptor = StreamDescriptor::new("s");
    let begin = |begin| {
        let streams = vec![StreamStart { descriptor: descriptor.clone(), begin }];
        let start = SyncStart { streams, rows_stay: true, ..SyncStart::default() };
        store.begin_sync("a", &start, None).unwrap().streams[0]
    };
    begin(StreamBegin::GoOn);
    let first = begin(StreamBegin::Refresh { truncates: true, resumable: true });
    assert_eq!((first.generation, first.minimum_generation, first.since), (2, 2, 2));
    let generations = [(descriptor.clone(), 2)].into();
    let stored = StoredState { generations, ..StoredState::incremental(stream("s", 5)) };
    store.store("a", &[stored], None).unwrap();
    let next = begin(StreamBegin::GoOn);
    assert_eq!((next.generation, next.minimum_generation, next.goes_on), (2, 2, true));
    store.complete("a", std::slice::from_ref(&descriptor), None).unwrap();
    let next = begin(StreamBegin::GoOn);
    assert_eq!((next.generation, next.minimum_generation, next.goes_on), (2, 0, false));
}

#[test]
fn what_was_there_before_is_remembered() {
    let (_folder, store) = store();
    keep(&store, "a", [stream("s", 1)]);
    store.begin_sync("a", &SyncStart::default(), None).unwrap();
    keep(&store, "a", [stream("s", 2)]);
    store.clear("a", None).unwrap();
    let past = store.past("a").unwrap();
    let bodies = |p: &PastStates| p.states[0].state.body().get().to_owned();
    assert_eq!(
        past.iter().map(bodies).collect::<Vec<_>>(),
        [2, 1].map(|at| { stream("s", at).body().get().to_owned() })
    );
    for _ in 0..2 * KEPT_PASTS {
        keep(&store, "a", [stream("s", 3)]);
        store.clear("a", None).unwrap();
    }
    assert_eq!(store.past("a").unwrap().len() as u64, KEPT_PASTS);
}

#[test]
fn one_holder_at_a_time() {
    let (_folder, store) = store();
    let elsewhere = Holder { host: "b".into(), process: 1, start: String::new(), run: None };
    let time = Duration::from_secs(60);
    let lease = store.acquire("a", &elsewhere, time).unwrap();
    let here = Holder::this_process(None);
    let error = store.acquire("a", &here, time).unwrap_err();
    assert!(error.to_string().contains("process 1 on b"), "{error}");
    store.acquire("other", &here, time).unwrap();
    // It ends by itself, and what comes under it afterwards is refused.
    store.renew(&lease, Duration::ZERO).unwrap();
    keep(&store, "a", []);
    store.store("a", &[StoredState::incremental(stream("s", 1))], Some(lease.token)).unwrap();
    let second = store.acquire("a", &here, time).unwrap();
    let late = store.store("a", &[StoredState::incremental(stream("s", 0))], Some(lease.token));
    assert!(matches!(late, Err(StateStoreError::Lost { .. })));
    assert!(matches!(store.renew(&lease, time), Err(StateStoreError::Lost { .. })));
    store.release(&lease).unwrap();
    store.renew(&second, time).unwrap();
    store.release(&second).unwrap();
    store.acquire("a", &elsewhere, time).unwrap();
    // Of a process of this machine that is gone, the lease is over at once.
    let mut child = std::process::Command::new("true").spawn().unwrap();
    let gone = Holder { process: child.id(), ..here.clone() };
    child.wait().unwrap();
    store.acquire("b", &gone, time).unwrap();
    store.acquire("b", &here, time).unwrap();
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

#[test]
fn changed_members_belong_to_one_configuration() {
    let (_folder, store) = store();
    let change = |text: &str| Json::parse(text).unwrap();
    store.change_config("a", "source", "d1", &change(r#"{"t":"1","u":"1"}"#)).unwrap();
    store.change_config("a", "source", "d1", &change(r#"{"t":"2"}"#)).unwrap();
    let read = store.changed_config("a", "source", "d1").unwrap().unwrap();
    assert!(read.same(&change(r#"{"t":"2","u":"1"}"#)));
    assert!(store.changed_config("a", "source", "d2").unwrap().is_none());
    assert!(store.changed_config("a", "destination", "d1").unwrap().is_none());
}

#[test]
fn a_later_layout_is_refused() {
    let (folder, store) = store();
    store.lock().pragma_update(None, "user_version", 99).unwrap();
    drop(store);
    let error = SqliteStateStore::open(&folder.path().join(".lockgate/state.db")).unwrap_err();
    assert!(matches!(error, StateStoreError::Layout { found: 99, .. }));
}
