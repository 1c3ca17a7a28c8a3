//! The component as an executable that speaks Airbyte's protocol.

use serde_json::{Value, json};

use crate::scene::{Scene, numbers, records, stream};

const ROWS: &str = "CREATE TABLE items AS SELECT i AS id, i / 3 AS at, repeat(md5(i::text), 32) AS text \
                    FROM generate_series(1, 1000) AS i";

#[test]
fn it_reaches_nothing_without_a_grant() {
    let scene = Scene::new(ROWS);
    let told = scene.exec(&["check"], false);
    let status = told.messages.iter().find(|message| message["type"] == "CONNECTION_STATUS");
    let status = &status.expect("an answer")["connectionStatus"];
    assert_eq!(status["status"], "FAILED");
    assert!(format!("{status}").contains("granted"), "{status}");
    let told = scene.exec(&["check"], true);
    assert!(
        told.messages.iter().any(|message| message["connectionStatus"]["status"] == "SUCCEEDED")
    );
}

#[test]
fn a_password_that_is_wrong_is_named_and_not_told() {
    let mut scene = Scene::new(ROWS);
    scene.config = json!({"password": "hunter2hunter2"});
    let told = scene.exec(&["check"], true);
    let text = format!("{:?}{}", told.messages, told.errors);
    assert!(text.contains("28P01"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn streams_are_discovered() {
    let scene =
        Scene::new("CREATE TABLE items (id bigint PRIMARY KEY, \"At\" timestamptz, doc jsonb)");
    let told = scene.exec(&["discover"], true);
    let catalog = told.messages.iter().find(|message| message["type"] == "CATALOG");
    let stream = &catalog.expect("a catalog")["catalog"]["streams"][0];
    assert_eq!((&stream["name"], &stream["namespace"]), (&json!("items"), &json!("public")));
    assert_eq!(stream["source_defined_primary_key"], json!([["id"]]));
    assert_eq!(stream["supported_sync_modes"], json!(["full_refresh", "incremental"]));
    assert_eq!(stream["is_resumable"], true);
    let properties = &stream["json_schema"]["properties"];
    assert_eq!(properties["id"]["airbyte_type"], "integer");
    assert_eq!(properties["At"]["airbyte_type"], "timestamp_with_timezone");
}

/// Reads on from each STATE message, and finds every row once.
#[track_caller]
fn goes_on_from_every_state(scene: &Scene, stream: &Value) {
    let all: Vec<i64> = (1..=1000).collect();
    let messages = scene.read(stream, None);
    assert_eq!(numbers(&records(&messages), "id"), all);
    let states: Vec<_> =
        (0..messages.len()).filter(|place| messages[*place]["type"] == "STATE").collect();
    assert!(states.len() > 3, "{}", states.len());
    for place in states {
        let mut rows = records(&messages[..place]);
        rows.extend(records(&scene.read(stream, Some(&messages[place]))));
        assert_eq!(numbers(&rows, "id"), all);
    }
}

#[test]
fn a_full_refresh_goes_on_from_every_state() {
    let mut scene = Scene::new(ROWS);
    scene.config = json!({"chunk_pages": 30});
    goes_on_from_every_state(&scene, &stream("items", None));
}

#[test]
fn an_incremental_read_goes_on_from_every_state() {
    let mut scene = Scene::new(ROWS);
    scene.config = json!({"fetch_size": 200});
    goes_on_from_every_state(&scene, &stream("items", Some("at")));
}

#[test]
fn ties_and_what_is_new_are_read() {
    let scene = Scene::new(
        "CREATE TABLE items (id integer, at integer); INSERT INTO items VALUES (1, 1), (2, 5)",
    );
    let items = stream("items", Some("at"));
    let first = scene.read(&items, None);
    let state = |messages: &[Value]| {
        messages.iter().rfind(|message| message["type"] == "STATE").expect("a state").clone()
    };
    assert_eq!(records(&scene.read(&items, Some(&state(&first)))), [] as [Value; 0]);
    scene.run("INSERT INTO items VALUES (3, 5), (4, 6)");
    let second = scene.read(&items, Some(&state(&first)));
    assert_eq!(numbers(&records(&second), "id"), [2, 3, 4]);
}

#[test]
fn values_that_json_lacks_are_told() {
    let scene = Scene::new("CREATE TABLE items AS SELECT 'NaN'::numeric AS n, 1.50::numeric AS m");
    let messages = scene.read(&stream("items", None), None);
    let record = messages.iter().find(|message| message["type"] == "RECORD").expect("a record");
    assert_eq!(record["record"]["data"]["n"], Value::Null);
    assert_eq!(
        record["record"]["meta"]["changes"],
        json!([{"field": "n", "change": "NULLED", "reason": "SOURCE_SERIALIZATION_ERROR"}])
    );
}
