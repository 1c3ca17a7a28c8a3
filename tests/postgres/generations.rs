//! Overwriting and refreshing: what is visible when, and what is there in the end.

use serde_json::{Value, json};

use crate::scene::{
    Scene, Written, catalog, complete, generation, incomplete, keyed, state, stream, with,
};

fn items() -> Value {
    stream("items", &json!({"id": {"type": "integer"}, "v": {"type": "string"}}))
}

fn overwritten() -> Value {
    with(items(), &json!({"destination_sync_mode": "overwrite"}))
}

fn merged() -> Value {
    keyed(items(), &json!([["id"]]), &json!([]))
}

fn rows(ids: std::ops::Range<u32>, v: &str) -> Vec<Value> {
    ids.map(|id| json!({"id": id, "v": v})).collect()
}

/// Rows that a state follows, and then the source fails after one row more.
#[track_caller]
fn interrupt(scene: &Scene, stream: &Value, confirmed: &[Value], lost: &[Value]) -> Written {
    let mut messages = scene.records("items", confirmed);
    messages.push(state("items", &json!({"n": 1})).to_string());
    messages.extend(scene.records("items", lost));
    messages.push(incomplete("items").to_string());
    let written = scene.try_write(&catalog(std::slice::from_ref(stream)), &messages);
    assert_eq!(written.code, Some(1), "{}", written.errors);
    written
}

/// `id:v`, in order.
fn found(scene: &Scene) -> Vec<String> {
    scene.texts_of("id || ':' || v", "items")
}

#[test]
fn a_complete_truncate_leaves_the_new_generation() {
    for stream in [items(), merged()] {
        let scene = Scene::new();
        scene.write_rows(&generation(stream.clone(), 1, 0), &rows(0..3, "old"));
        scene.write_rows(&generation(stream.clone(), 2, 2), &rows(2..5, "new"));
        assert_eq!(found(&scene), ["2:new", "3:new", "4:new"]);
        assert_eq!(scene.texts_of("DISTINCT _airbyte_generation_id", "items"), ["2"]);
        assert_eq!(scene.partial_tables(), [""; 0]);
        // What comes after is added to it.
        scene.write_rows(&generation(stream, 2, 0), &rows(5..6, "more"));
        assert_eq!(found(&scene), ["2:new", "3:new", "4:new", "5:more"]);
    }
}

#[test]
fn each_overwrite_replaces_and_an_empty_one_too() {
    let scene = Scene::new();
    for (number, ids) in [(1, 0..2), (2, 5..8), (3, 0..0), (4, 1..2)] {
        let expected: Vec<String> = ids.clone().map(|id| format!("{id}:x")).collect();
        scene.write_rows(&generation(overwritten(), number, number), &rows(ids, "x"));
        assert_eq!(found(&scene), expected);
    }
    // Without numbers each is a new one as well.
    for ids in [0..2, 2..4] {
        scene.write_rows(&generation(overwritten(), 0, 0), &rows(ids, "y"));
    }
    assert_eq!(found(&scene), ["2:y", "3:y"]);
}

#[test]
fn clients_that_number_every_sync_as_the_first_replace_each_time() {
    let scene = Scene::new();
    let first = with(generation(overwritten(), 1, 1), &json!({"sync_id": 1}));
    scene.write_rows(&first, &rows(0..2, "a"));
    interrupt(&scene, &first, &rows(2..4, "b"), &[]);
    assert_eq!(found(&scene), ["0:a", "1:a"]);
    scene.write_rows(&first, &rows(4..6, "c"));
    assert_eq!(found(&scene), ["4:c", "5:c"]);
}

#[test]
fn old_rows_stay_when_a_truncate_is_interrupted_and_the_next_attempt_goes_on() {
    for stream in [items(), merged()] {
        let scene = Scene::new();
        scene.write_rows(&generation(stream.clone(), 1, 0), &rows(0..3, "old"));
        let second = generation(stream.clone(), 2, 2);
        interrupt(&scene, &second, &rows(10..12, "first"), &rows(12..13, "lost"));
        assert_eq!(found(&scene), ["0:old", "1:old", "2:old"]);
        assert_eq!(scene.partial_tables().len(), 1);
        // The same generation goes on from the state: what it confirmed is kept.
        interrupt(&scene, &second, &rows(12..13, "second"), &rows(13..14, "lost"));
        assert_eq!(found(&scene), ["0:old", "1:old", "2:old"]);
        scene.write_rows(&second, &rows(13..14, "third"));
        assert_eq!(found(&scene), ["10:first", "11:first", "12:second", "13:third"]);
        assert_eq!(scene.partial_tables(), [""; 0]);
    }
}

#[test]
fn a_later_generation_that_keeps_everything_takes_over_what_was_begun() {
    for stream in [items(), merged()] {
        let scene = Scene::new();
        scene.write_rows(&generation(stream.clone(), 1, 0), &rows(0..2, "old"));
        interrupt(&scene, &generation(stream.clone(), 2, 2), &rows(2..4, "begun"), &[]);
        scene.write_rows(&generation(stream.clone(), 3, 0), &rows(4..5, "kept"));
        assert_eq!(found(&scene), ["0:old", "1:old", "2:begun", "3:begun", "4:kept"]);
        assert_eq!(scene.texts_of("DISTINCT _airbyte_generation_id", "items"), ["1", "2", "3"]);
        assert_eq!(scene.partial_tables(), [""; 0]);
    }
    // With a key, what was begun replaces what it is newer than.
    let scene = Scene::new();
    scene.write_rows(&generation(merged(), 1, 0), &rows(0..2, "old"));
    interrupt(&scene, &generation(merged(), 2, 2), &rows(1..3, "begun"), &[]);
    scene.write_rows(&generation(merged(), 3, 0), &[]);
    assert_eq!(found(&scene), ["0:old", "1:begun", "2:begun"]);
}

#[test]
fn a_later_generation_that_replaces_drops_what_was_begun() {
    let scene = Scene::new();
    scene.write_rows(&generation(items(), 1, 0), &rows(0..2, "old"));
    interrupt(&scene, &generation(items(), 2, 2), &rows(2..4, "begun"), &[]);
    interrupt(&scene, &generation(items(), 3, 3), &rows(4..5, "begun anew"), &[]);
    assert_eq!(found(&scene), ["0:old", "1:old"]);
    scene.write_rows(&generation(items(), 4, 4), &rows(5..6, "new"));
    assert_eq!(found(&scene), ["5:new"]);
    assert_eq!(scene.partial_tables(), [""; 0]);
}

#[test]
fn an_interrupted_truncate_without_prior_data_may_be_seen_and_is_gone_on_with() {
    let scene = Scene::new();
    let first = generation(items(), 1, 1);
    interrupt(&scene, &first, &rows(0..2, "first"), &rows(2..3, "lost"));
    assert_eq!(found(&scene), ["0:first", "1:first"]);
    scene.write_rows(&first, &rows(2..3, "second"));
    assert_eq!(found(&scene), ["0:first", "1:first", "2:second"]);
    // Interrupted again, by a later generation: what is there stays until that is complete.
    let second = generation(items(), 2, 2);
    interrupt(&scene, &second, &rows(7..8, "third"), &[]);
    assert_eq!(found(&scene), ["0:first", "1:first", "2:second"]);
    scene.write_rows(&second, &rows(8..9, "fourth"));
    assert_eq!(found(&scene), ["7:third", "8:fourth"]);
}

#[test]
fn a_retaining_refresh_removes_nothing() {
    let scene = Scene::new();
    scene.write_rows(&generation(items(), 1, 0), &rows(0..2, "one"));
    scene.write_rows(&generation(items(), 2, 0), &rows(0..2, "two"));
    assert_eq!(found(&scene), ["0:one", "0:two", "1:one", "1:two"]);
    let scene = Scene::new();
    scene.write_rows(&generation(merged(), 1, 0), &rows(0..2, "one"));
    scene.write_rows(&generation(merged(), 2, 0), &rows(1..3, "two"));
    assert_eq!(found(&scene), ["0:one", "1:two", "2:two"]);
}

#[test]
fn clearing_a_stream_leaves_it_empty() {
    let scene = Scene::new();
    scene.write_rows(&generation(merged(), 1, 0), &rows(0..2, "one"));
    scene.write_rows(&generation(merged(), 2, 2), &[]);
    assert_eq!(found(&scene), [""; 0]);
    assert_eq!(scene.columns("items").len(), 2);
}

#[test]
fn what_hangs_on_a_table_stays_when_its_rows_are_replaced() {
    let scene = Scene::new();
    scene.write_rows(&generation(overwritten(), 1, 1), &rows(0..2, "old"));
    scene.lines(
        "CREATE VIEW seen AS SELECT id, v FROM items; CREATE INDEX mine ON items (id); \
         GRANT SELECT ON items TO PUBLIC",
    );
    let wider = stream(
        "items",
        &json!({"id": {"type": "integer"}, "v": {"type": "string"},
        "more": {"type": "integer"}}),
    );
    let wider = with(wider, &json!({"destination_sync_mode": "overwrite"}));
    let new = [json!({"id": 7, "v": "new", "more": 1})];
    scene.write_rows(&generation(wider, 2, 2), &new);
    assert_eq!(scene.query("SELECT id, v, more FROM items"), new);
    assert_eq!(scene.texts_of("id", "seen"), ["7"]);
    assert_eq!(scene.lines("SELECT count(*) FROM pg_indexes WHERE indexname = 'mine'"), ["1"]);
    let granted = "SELECT relacl::text LIKE '%=r/%' FROM pg_class WHERE oid = 'items'::regclass";
    assert_eq!(scene.lines(granted), ["t"]);
    assert_eq!(scene.partial_tables(), [""; 0]);
}

#[test]
fn a_new_schema_replaces_the_old_one_with_its_rows() {
    let scene = Scene::new();
    scene.write_rows(&generation(overwritten(), 1, 1), &rows(0..2, "old"));
    let other = stream("items", &json!({"id": {"type": "string"}, "w": {"type": "boolean"}}));
    let other = with(other, &json!({"destination_sync_mode": "overwrite"}));
    let new = [json!({"id": "x", "w": true})];
    scene.write_rows(&generation(other, 2, 2), &new);
    assert_eq!(scene.query("SELECT id, w FROM items"), new);
    let columns = [("id", "text"), ("w", "boolean")];
    assert_eq!(scene.columns("items"), columns.map(|(a, b)| (a.to_owned(), b.to_owned())));
}

#[test]
fn streams_are_replaced_each_by_its_own() {
    let scene = Scene::new();
    let properties = json!({"id": {"type": "integer"}});
    let one = generation(stream("one", &properties), 1, 0);
    let two = generation(stream("two", &properties), 1, 0);
    for stream in [&one, &two] {
        scene.write_rows(stream, &[json!({"id": 1})]);
    }
    let one = generation(one, 2, 2);
    let mut messages = scene.records("one", &[json!({"id": 2})]);
    messages.extend(scene.records("two", &[json!({"id": 2})]));
    messages.extend([complete("one").to_string(), complete("two").to_string()]);
    scene.write(&catalog(&[one, two]), &messages);
    assert_eq!(scene.texts_of("id", "one"), ["2"]);
    assert_eq!(scene.texts_of("id", "two"), ["1", "2"]);
}
