//! `lockgate state`: what is shown, set and cleared, with the real binary.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something is missing"
)]

mod common;

use lockgate::protocol::{Json, StateMessage, StreamDescriptor};
use lockgate::state::{StoredState, StreamBegin, StreamStart, SyncStart};
use lockgate::{JsonStateStore, SqliteStateStore, StateStore};
use serde_json::Value;

use common::Folder;

/// What a command printed.
#[derive(Debug)]
struct Said {
    code: i32,
    stdout: String,
    stderr: String,
}

fn run_in(folder: &Folder, place: &str, arguments: &[&str]) -> Said {
    let mut command = folder.lockgate();
    let output = command.current_dir(folder.path().join(place)).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let code = output.status.code().expect("it ended by itself");
    Said { code, stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn state(folder: &Folder, arguments: &[&str]) -> Said {
    run_in(folder, "", &[&["state"], arguments].concat())
}

fn well(folder: &Folder, arguments: &[&str]) -> Said {
    let said = state(folder, arguments);
    assert_eq!(said.code, 0, "{said:?}");
    said
}

/// The default store of a folder.
fn store(folder: &Folder) -> SqliteStateStore {
    SqliteStateStore::open(&folder.path().join(".lockgate/state.db")).unwrap()
}

fn text(name: &str, at: &str) -> String {
    format!(
        r#"{{"type":"STREAM","stream":{{"stream_descriptor":{name},"stream_state":{{"at":{at}}}}}}}"#
    )
}

fn message(text: &str) -> StateMessage {
    StateMessage::from_airbyte(Json::parse(text).unwrap()).unwrap()
}

fn keep(store: &dyn StateStore, text: &str) {
    store.store("k", &[StoredState::incremental(message(text))], None).unwrap();
}

const USERS: &str = r#"{"name":"users"}"#;
const ORDERS: &str = r#"{"name":"orders","namespace":"shop"}"#;
const GLOBAL: &str = r#"{"type":"GLOBAL","global":{"shared_state":{"lsn":92233720368547758079},"stream_states":[{"stream_descriptor":{"name":"users"},"stream_state":{"at":1}},{"stream_descriptor":{"name":"orders","namespace":"shop"},"stream_state":{"at":2}}]}}"#;

/// Begins a stream in a second generation, after a refresh.
fn refresh(store: &dyn StateStore, name: &str) {
    let descriptor = StreamDescriptor::new(name);
    for begin in [StreamBegin::GoOn, StreamBegin::Refresh { truncates: true, resumable: true }] {
        let streams = vec![StreamStart { descriptor: descriptor.clone(), begin }];
        let start = SyncStart { streams, ..SyncStart::default() };
        store.begin_sync("k", &start, None).unwrap();
    }
}

#[test]
fn what_was_shown_and_is_set_again_is_the_same() {
    let long = text(USERS, "123456789012345678901234567890.10");
    let legacy = r#"{"type":"LEGACY","data":{"cursor":92233720368547758079}}"#;
    let full = text(r#"{"name":"whole"}"#, "[1E+2]");
    for bodies in [vec![long.as_str(), &full], vec![GLOBAL], vec![legacy]] {
        let folder = Folder::new();
        let store = store(&folder);
        refresh(&store, "users");
        for body in &bodies {
            let of_full_read = *body == full;
            let generations = [(StreamDescriptor::new("whole"), 1)].into();
            let stored = match of_full_read {
                true => StoredState { state: message(body), of_full_read, generations },
                false => StoredState::incremental(message(body)),
            };
            store.store("k", &[stored], None).unwrap();
        }
        let before = store.load("k").unwrap();
        let shown = well(&folder, &["show", "k"]).stdout;
        folder.write("states.json", &shown);
        well(&folder, &["set", "k", "states.json"]);
        assert_eq!(well(&folder, &["show", "k", "--output", "json"]).stdout, shown);
        let of = |s: &StoredState| (s.state.body().get().to_owned(), s.of_full_read);
        let after = store.load("k").unwrap();
        assert_eq!(
            after.iter().map(of).collect::<Vec<_>>(),
            before.iter().map(of).collect::<Vec<_>>()
        );
    }
}

#[test]
fn what_is_set_counts_after_a_refresh() {
    let folder = Folder::new();
    let store = store(&folder);
    keep(&store, &text(USERS, "1"));
    refresh(&store, "users");
    let listed = well(&folder, &["show"]);
    assert!(
        listed.stdout.contains("users: generation 2, a refresh that replaces open"),
        "{listed:?}"
    );
    let shown = well(&folder, &["show", "k"]);
    assert!(shown.stderr.contains("users: a refresh that replaces is not complete"), "{shown:?}");
    folder.write("states.json", &shown.stdout);
    well(&folder, &["set", "k", "states.json"]);
    let stored = store.load("k").unwrap();
    assert_eq!(stored[0].generations[&StreamDescriptor::new("users")], 2);
    let json = well(&folder, &["show", "--output", "json"]).stdout;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json[0]["streams"][0]["generation"], 2);
    assert_eq!(json[0]["streams"][0]["open"], "truncating_refresh");
    assert_eq!(json[0]["held"], Value::Null);
}

#[test]
fn one_stream_is_shown_set_and_cleared() {
    let folder = Folder::new();
    let store = store(&folder);
    keep(&store, &text(USERS, "1"));
    keep(&store, &text(ORDERS, "2"));
    let one = well(&folder, &["show", "k", "--stream", "shop.orders"]).stdout;
    assert_eq!(one, format!("[{}]\n", text(ORDERS, "2")));
    // Of a file the stream's state alone, out of a global one too.
    folder.write("new.json", &format!("[{},{}]", text(USERS, "7"), text(ORDERS, "8")));
    well(&folder, &["set", "k", "new.json", "--stream", "orders"]);
    let both = format!("[{},{}]\n", text(USERS, "1"), text(ORDERS, "8"));
    let shown = well(&folder, &["show", "k"]).stdout;
    let parsed = |text: &str| {
        let mut all: Vec<Value> = serde_json::from_str(text).unwrap();
        all.sort_by_key(ToString::to_string);
        all
    };
    assert_eq!(parsed(&shown), parsed(&both));
    folder.write("global.json", &format!("[{GLOBAL}]"));
    well(&folder, &["set", "k", "global.json", "--stream", "users"]);
    assert_eq!(
        well(&folder, &["show", "k", "--stream", "users"]).stdout,
        format!("[{}]\n", text(USERS, "1"))
    );
    well(&folder, &["clear", "k", "--stream", "shop.orders"]);
    assert_eq!(well(&folder, &["show", "k"]).stdout, format!("[{}]\n", text(USERS, "1")));
    let missing = state(&folder, &["clear", "k", "--stream", "orders"]);
    assert_eq!(missing.code, 2, "{missing:?}");
    assert!(missing.stderr.contains("it has users"), "{missing:?}");
    let missing = state(&folder, &["set", "k", "new.json", "--stream", "other"]);
    assert!(missing.stderr.contains("the file has no state of stream"), "{missing:?}");
}

#[test]
fn one_stream_is_changed_inside_a_global_state() {
    let folder = Folder::new();
    let store = store(&folder);
    keep(&store, GLOBAL);
    folder.write("new.json", &format!("[{}]", text(USERS, "7.10")));
    well(&folder, &["set", "k", "new.json", "--stream", "users"]);
    let parts = store.load("k").unwrap()[0].state.parts();
    let states: Vec<_> = parts.iter().map(|p| p.state.as_ref().unwrap().get()).collect();
    assert_eq!(states, [r#"{"at":7.10}"#, r#"{"at":2}"#]);
    well(&folder, &["clear", "k", "--stream", "users"]);
    let shown = well(&folder, &["show", "k"]).stdout;
    assert!(shown.contains(r#""lsn":92233720368547758079"#) && shown.contains("orders"), "{shown}");
    assert!(!shown.contains("users"), "{shown}");
    let only = well(&folder, &["show", "k", "--stream", "orders"]).stdout;
    assert_eq!(only, shown);
    keep(&store, r#"{"type":"LEGACY","data":{"cursor":5}}"#);
    let refused = state(&folder, &["set", "k", "new.json", "--stream", "users"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.stderr.contains("set all of it"), "{refused:?}");
}

#[test]
fn a_name_that_several_streams_have_is_refused() {
    let folder = Folder::new();
    let store = store(&folder);
    keep(&store, &text(r#"{"name":"a","namespace":"x"}"#, "1"));
    keep(&store, &text(r#"{"name":"a","namespace":"y"}"#, "1"));
    keep(&store, &text(r#"{"name":"b.c"}"#, "1"));
    keep(&store, &text(r#"{"name":"c","namespace":"b"}"#, "1"));
    for name in ["a", "b.c"] {
        let said = state(&folder, &["clear", "k", "--stream", name]);
        assert_eq!(said.code, 2, "{said:?}");
        assert!(said.stderr.contains("several streams of k are named"), "{said:?}");
    }
    well(&folder, &["clear", "k", "--stream", "x.a", "--stream", "y.a"]);
    assert_eq!(store.load("k").unwrap().len(), 2);
}

#[test]
fn the_past_is_listed_and_can_be_gone_back_to() {
    let folder = Folder::new();
    let store = store(&folder);
    keep(&store, &text(USERS, "1"));
    store.begin_sync("k", &SyncStart::default(), None).unwrap();
    keep(&store, &text(USERS, "2"));
    well(&folder, &["clear", "k"]);
    let listed = well(&folder, &["show", "k", "--past"]).stdout;
    let lines: Vec<&str> = listed.lines().collect();
    assert!(lines[0].starts_with("  2  20") && lines[0].ends_with("1 state"), "{listed}");
    assert!(lines[1].starts_with("  1  20"), "{listed}");
    let json = well(&folder, &["show", "k", "--past", "--output", "json"]).stdout;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json[1]["states"][0]["stream"]["stream_state"]["at"], 1);
    let before = well(&folder, &["show", "k", "--past", "1"]).stdout;
    assert_eq!(before, format!("[{}]\n", text(USERS, "1")));
    folder.write("before.json", &before);
    well(&folder, &["set", "k", "before.json"]);
    assert_eq!(well(&folder, &["show", "k"]).stdout, before);
    let none = state(&folder, &["show", "k", "--past", "9"]);
    assert_eq!(none.code, 2, "{none:?}");
    assert!(none.stderr.contains("it has 2, 1"), "{none:?}");
}

#[test]
fn a_connection_of_the_project_has_its_own_store() {
    let folder = Folder::new();
    let source = folder.write("source", include_str!("../examples/source-greetings"));
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&source, mode).unwrap();
    folder.write(
        "lockgate.toml",
        &format!(
            "[sources.s]\nconnector = \"exec:{}\"\n[destinations.d]\nconnector = \"destination-dev-null\"\n\
             [connections.k]\nsource = \"s\"\ndestination = \"d\"\nstate = \"json:kept/states.json\"\n",
            source.display()
        ),
    );
    folder.write("below/here", "");
    let said = run_in(&folder, "below", &["sync", "k"]);
    assert_eq!(said.code, 0, "{said:?}");
    let store = JsonStateStore::open(&folder.path().join("kept/states.json")).unwrap();
    assert_eq!(store.generations("k").unwrap().len(), 1);
    assert!(!folder.path().join(".lockgate/state.db").exists());
    keep(&store, &text(USERS, "1"));
    let shown = run_in(&folder, "below", &["state", "show", "k"]);
    assert_eq!(shown.stdout, format!("[{}]\n", text(USERS, "1")), "{shown:?}");
    // The option wins.
    let other = run_in(&folder, "", &["state", "show", "k", "--state", "sqlite:other.db"]);
    assert_eq!(other.stdout, "[]\n", "{other:?}");
}

#[test]
fn a_connection_moves_to_another_store() {
    let folder = Folder::new();
    let store = store(&folder);
    refresh(&store, "users");
    keep(&store, &text(USERS, "1"));
    let said = well(&folder, &["copy", "k", "json:moved.json"]);
    assert_eq!(said.stderr, "1 state of k copied\n", "{said:?}");
    let shown = well(&folder, &["show", "k", "--state", "json:moved.json"]).stdout;
    assert_eq!(shown, format!("[{}]\n", text(USERS, "1")));
    let moved = JsonStateStore::open(&folder.path().join("moved.json")).unwrap();
    assert_eq!(moved.generations("k").unwrap(), store.generations("k").unwrap());
    assert_eq!(moved.last_sync("k").unwrap(), 2);
    // Into itself: it is held already.
    let itself = state(&folder, &["copy", "k", "default"]);
    assert_eq!(itself.code, 1, "{itself:?}");
    assert!(itself.stderr.contains("CONNECTION_BUSY"), "{itself:?}");
    assert_eq!(state(&folder, &["copy", "k", "none"]).code, 2);
}

#[test]
fn what_is_no_store_is_refused_without_its_password() {
    let folder = Folder::new();
    for (choice, word) in [
        ("redis", "\"redis\" is not one of default, sqlite:PATH, json:PATH, postgres:URL and none"),
        ("postgress://me:hunter2@db/x", "is not one of"),
        ("postgres://me:hunter2@db/x?sslmode=prefer", "sslmode"),
        ("postgres:mysql://me:hunter2@db/x", "does not begin with postgres://"),
        ("json:", "is not one of"),
    ] {
        let said = state(&folder, &["show", "--state", choice]);
        assert_eq!(said.code, 2, "{said:?}");
        assert!(said.stderr.contains(word) && !said.stderr.contains("hunter2"), "{said:?}");
    }
}
