//! Change data capture: what is written at the source is in the copy, deleted rows included.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::common::{guest, target};
use crate::scene::{Scene, numbers, records, stream};

/// A table whose changes can be read.
const ITEMS: &str = "CREATE TABLE items (id integer PRIMARY KEY, at integer, text text); \
                     INSERT INTO items SELECT i, 0, repeat(md5(i::text), 20) \
                     FROM generate_series(1, 5000) AS i; ";

/// With what changes are read by. A slot is dropped with its database.
fn captured(sql: &str) -> Scene {
    let mut scene = Scene::new(sql);
    let slot = scene.from.clone();
    scene.run("CREATE PUBLICATION changes FOR ALL TABLES");
    scene.run(&format!("SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput')"));
    scene.config = json!({"replication": {"slot": slot, "publication": "changes"}});
    scene
}

fn last_state(messages: &[Value]) -> Value {
    messages
        .iter()
        .rfind(|message| message["type"] == "STATE")
        .unwrap_or_else(|| panic!("no state"))
        .clone()
}

#[test]
fn changes_are_messages_with_one_state_of_all() {
    let scene = captured(&format!("{ITEMS} DELETE FROM items WHERE id > 3"));
    let told = scene.exec(&["check"], true);
    assert!(
        told.messages.iter().any(|message| message["connectionStatus"]["status"] == "SUCCEEDED"),
        "{told:?}"
    );
    let told = scene.exec(&["discover"], true);
    let catalog = told.messages.iter().find(|message| message["type"] == "CATALOG");
    let found = &catalog.expect("a catalog")["catalog"]["streams"][0];
    assert_eq!(found["source_defined_cursor"], true);
    assert_eq!(found["default_cursor_field"], json!(["_ab_cdc_lsn"]));
    let items = stream("items", Some("_ab_cdc_lsn"));
    let first = scene.read(&items, None);
    assert_eq!(numbers(&records(&first), "id"), [1, 2, 3]);
    let state = last_state(&first);
    assert_eq!(state["state"]["type"], "GLOBAL");
    assert!(state["state"]["global"]["shared_state"]["lsn"].is_string(), "{state}");
    scene.run("UPDATE items SET at = 1 WHERE id = 1");
    scene.run("DELETE FROM items WHERE id = 2");
    let second = scene.read(&items, Some(&state));
    let rows = records(&second);
    assert_eq!(numbers(&rows, "id"), [1, 2]);
    assert_eq!((&rows[0]["at"], &rows[0]["_ab_cdc_deleted_at"]), (&json!(1), &Value::Null));
    assert!(rows[1]["_ab_cdc_deleted_at"].is_string(), "{}", rows[1]);
    assert_eq!(records(&scene.read(&items, Some(&last_state(&second)))), [] as [Value; 0]);
}

#[test]
fn a_copy_follows_its_table_however_often_it_is_killed() {
    let mut scene = captured(ITEMS);
    scene.config["chunk_pages"] = json!(30);
    scene.config["fetch_size"] = json!(100);
    scene.project("merge", "");
    let all =
        "SELECT count(*), md5(string_agg(id || ':' || at || text, ',' ORDER BY id)) FROM items";
    for turn in 0..8_u64 {
        let mut child = scene
            .sync_command()
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("lockgate runs");
        std::thread::sleep(Duration::from_millis(200 + 150 * turn));
        scene.run(&format!(
            "UPDATE items SET at = {turn} WHERE id % 50 = {turn}; DELETE FROM items WHERE id % 90 = {turn}; \
             UPDATE items SET id = id + 100000 WHERE id % 70 = {turn} AND id < 100000; \
             INSERT INTO items SELECT 200000 + 1000 * {turn} + i, {turn}, 'new' \
             FROM generate_series(1, 300) AS i"
        ));
        let _ = child.kill();
        child.wait().expect("it ends");
    }
    scene.sync();
    assert_eq!(scene.written(all), scene.run(all));
    // And once more, from a state that is stored.
    scene.run("DELETE FROM items WHERE id % 2 = 0");
    scene.sync();
    assert_eq!(scene.written(all), scene.run(all));
    // The server need not keep what the copy has.
    scene.sync();
    let kept = "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn) < 32 << 20 \
                FROM pg_replication_slots WHERE slot_name = current_database()";
    assert_eq!(scene.run(kept), ["t"]);
}

#[test]
fn a_transaction_that_is_larger_than_the_memory_is_read() {
    let scene = captured("CREATE TABLE items (id integer PRIMARY KEY, text text)");
    let items = stream("items", Some("_ab_cdc_lsn"));
    let state = last_state(&scene.read(&items, None));
    scene.run("INSERT INTO items SELECT i, repeat('x', 1 << 20) FROM generate_series(1, 150) AS i");
    scene.folder.write("catalog.json", &json!({"streams": [items]}).to_string());
    scene.folder.write("state.json", &json!([state["state"]]).to_string());
    scene.folder.write("config.json", &scene.source_config().to_string());
    let output = Command::new(env!("CARGO_BIN_EXE_lockgate"))
        .current_dir(scene.folder.path())
        .env("LOCKGATE_CACHE_DIR", target().join("test-cache"))
        .arg("exec")
        .arg(guest("source-postgres"))
        .args(["--allow-net", &scene.grant(), "--max-memory", "48MiB", "--config", "config.json"])
        .args(["read", "--catalog", "catalog.json", "--state", "state.json"])
        .output()
        .expect("lockgate runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let is_row = |line: &&[u8]| line.starts_with(b"{\"type\":\"RECORD\"") && line.len() > 1 << 20;
    assert_eq!(output.stdout.split(|byte| *byte == b'\n').filter(is_row).count(), 150);
}

#[test]
fn a_slot_that_is_gone_is_told_with_what_mends_it() {
    let scene = captured(ITEMS);
    scene.project("merge", "");
    scene.sync();
    scene.run("SELECT pg_drop_replication_slot(current_database())");
    let output = scene.sync_command().output().expect("lockgate runs");
    assert!(!output.status.success());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("pg_create_logical_replication_slot"), "{errors}");
    assert!(errors.contains("sync --refresh truncate"), "{errors}");
    // What it says mends it: rows that went while nothing kept the log are gone in the copy too.
    scene.run("DELETE FROM items WHERE id % 2 = 0");
    scene.run("SELECT pg_create_logical_replication_slot(current_database(), 'pgoutput')");
    let output = scene.sync_command().args(["--refresh", "truncate"]).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let all = "SELECT count(*), sum(id) FROM items";
    assert_eq!(scene.written(all), scene.run(all));
}
