//! Appending, merging by key, namespaces, names.

use serde_json::json;

use crate::scene::{Scene, catalog, complete, in_namespace, keyed, state, stream, with};

#[test]
fn rows_are_appended_with_their_types() {
    let scene = Scene::new();
    let orders = stream("orders", &json!({"id": {"type": "integer"}, "name": {"type": "string"}}));
    let rows = [json!({"id": 1, "name": "a"}), json!({"id": 2, "name": "tab\tquote\"\\"})];
    let written = scene.write_rows(&orders, &rows);
    assert_eq!(written.states().len(), 1);
    assert_eq!(written.states()[0]["destinationStats"]["recordCount"], 2.0);
    scene.write_rows(&orders, &[json!({"id": 3})]);
    assert_eq!(
        scene.query("SELECT id, name FROM orders ORDER BY id"),
        [
            json!({"id": 1, "name": "a"}),
            json!({"id": 2, "name": "tab\tquote\"\\"}),
            json!({"id": 3, "name": null}),
        ]
    );
    let airbyte = "SELECT _airbyte_raw_id IS NOT NULL AS named, _airbyte_generation_id AS generation, \
                   _airbyte_meta AS meta, _airbyte_extracted_at AS at FROM orders WHERE id = 1";
    assert_eq!(
        scene.query(airbyte),
        [json!({
            "named": true, "generation": 1, "meta": {"sync_id": 7, "changes": []},
            "at": "2023-11-14T22:13:20.001+00:00",
        })]
    );
    let columns = scene.columns("orders");
    let expected = [("id", "bigint"), ("name", "text")];
    assert_eq!(columns, expected.map(|(name, kind)| (name.to_owned(), kind.to_owned())));
    let note = "SELECT stream_name, generation_id, sync_id, row_count FROM _lockgate.streams";
    let expected =
        json!({"stream_name": "orders", "generation_id": 1, "sync_id": 7, "row_count": 3});
    assert_eq!(scene.query(note), [expected]);
}

#[test]
fn of_each_key_the_row_with_the_greatest_cursor_stays() {
    let scene = Scene::new();
    let properties = json!({
        "id": {"type": "integer"}, "part": {"type": "string"}, "at": {"type": "integer"},
        "name": {"type": "string"},
    });
    let items = keyed(stream("items", &properties), &json!([["id"], ["part"]]), &json!(["at"]));
    let row = |id, part, at, name| json!({"id": id, "part": part, "at": at, "name": name});
    scene.write_rows(
        &items,
        &[
            row(json!(1), json!("a"), json!(5), "first"),
            row(json!(1), json!("a"), json!(7), "newest"),
            row(json!(1), json!("a"), json!(6), "older, and later"),
            row(json!(1), json!("b"), json!(null), "no cursor"),
            row(json!(1), json!(null), json!(1), "half a key"),
            row(json!(null), json!(null), json!(1), "no key"),
            row(json!(2), json!("a"), json!(1), "same cursor, first"),
            row(json!(2), json!("a"), json!(1), "same cursor, last"),
        ],
    );
    let names = || scene.texts_of("name", "items");
    assert_eq!(names(), ["half a key", "newest", "no cursor", "no key", "same cursor, last"]);
    scene.write_rows(
        &items,
        &[
            row(json!(1), json!("a"), json!(4), "older than what is there"),
            row(json!(1), json!("b"), json!(0), "a cursor at last"),
            row(json!(1), json!(null), json!(2), "half a key, again"),
            row(json!(null), json!(null), json!(0), "no key, older"),
            row(json!(2), json!("a"), json!(null), "the cursor is gone"),
            row(json!(3), json!("c"), json!(1), "new"),
        ],
    );
    let expected =
        ["a cursor at last", "half a key, again", "new", "newest", "no key", "same cursor, last"];
    assert_eq!(names(), expected);
}

#[test]
fn without_a_cursor_the_last_row_stays() {
    let scene = Scene::new();
    let properties = json!({"id": {"type": "string"}, "n": {"type": "integer"}});
    let items = keyed(stream("items", &properties), &json!([["id"]]), &json!([]));
    // Keys that no index on them could hold.
    let (long, other) = ("x".repeat(20_000), format!("{}y", "x".repeat(20_000)));
    scene.write_rows(
        &items,
        &[json!({"id": long, "n": 1}), json!({"id": other, "n": 2}), json!({"id": long, "n": 3})],
    );
    assert_eq!(scene.texts_of("n", "items"), ["2", "3"]);
    scene.write_rows(&items, &[json!({"id": other, "n": 4})]);
    assert_eq!(scene.texts_of("n", "items"), ["3", "4"]);
}

#[test]
fn keys_and_cursors_may_be_inside_of_objects() {
    let scene = Scene::new();
    let properties = json!({"key": {"type": "object"}, "n": {"type": "integer"}});
    let items = keyed(
        stream("items", &properties),
        &json!([["key", "a b"], ["undeclared"]]),
        &json!(["key", "v", "n"]),
    );
    let row = |key: i64, cursor: i64, n: i64| json!({"key": {"a b": key, "v": {"n": cursor}}, "undeclared": "u", "n": n});
    scene.write_rows(&items, &[row(1, 10, 1), row(1, 9, 2), row(2, 9, 3)]);
    scene.write_rows(&items, &[row(1, 8, 4), row(2, 100, 5)]);
    assert_eq!(scene.texts_of("n", "items"), ["1", "5"]);
}

#[test]
fn rows_that_say_they_are_deleted_are() {
    let scene = Scene::new();
    let properties = json!({
        "id": {"type": "integer"}, "at": {"type": "integer"},
        "_ab_cdc_deleted_at": {"type": "string", "format": "date-time"},
    });
    let items = keyed(stream("items", &properties), &json!([["id"]]), &json!(["at"]));
    let row = |id: i64, at: i64| json!({"id": id, "at": at});
    let gone = |id: i64, at: i64| json!({"id": id, "at": at, "_ab_cdc_deleted_at": "2024-01-01T00:00:00Z"});
    scene.write_rows(&items, &[row(1, 1), row(2, 1), row(3, 1), gone(3, 2), row(4, 5)]);
    assert_eq!(scene.texts_of("id", "items"), ["1", "2", "4"]);
    scene.write_rows(&items, &[gone(1, 2), gone(2, 2), row(2, 3), gone(4, 4), gone(9, 1)]);
    assert_eq!(scene.texts_of("id", "items"), ["2", "4"]);
}

#[test]
fn another_key_tells_the_rows_apart_that_are_there() {
    let scene = Scene::new();
    let properties = json!({"a": {"type": "integer"}, "b": {"type": "integer"}});
    let plain = stream("items", &properties);
    let rows = [[1, 1], [1, 2], [2, 1], [2, 1]].map(|[a, b]| json!({"a": a, "b": b}));
    scene.write_rows(&plain, &rows);
    assert_eq!(scene.texts_of("a", "items"), ["1", "1", "2", "2"]);
    let both = keyed(plain.clone(), &json!([["a"], ["b"]]), &json!([]));
    scene.write_rows(&both, &[json!({"a": 1, "b": 3})]);
    assert_eq!(scene.texts_of("a || ':' || b", "items"), ["1:1", "1:2", "1:3", "2:1"]);
    let one = keyed(plain.clone(), &json!([["a"]]), &json!(["b"]));
    scene.write_rows(&one, &[json!({"a": 3, "b": 1})]);
    assert_eq!(scene.texts_of("a || ':' || b", "items"), ["1:3", "2:1", "3:1"]);
    // Appended to in between, and merged again.
    scene.write_rows(&plain, &[json!({"a": 3, "b": 0}), json!({"a": 3, "b": 2})]);
    scene.write_rows(&one, &[json!({"a": 4, "b": 1})]);
    assert_eq!(scene.texts_of("a || ':' || b", "items"), ["1:3", "2:1", "3:2", "4:1"]);
}

#[test]
fn namespaces_are_schemas() {
    let scene = Scene::new();
    let properties = json!({"id": {"type": "integer"}});
    let spaces = [None, Some("ns1"), Some("N s\"2")];
    let streams = spaces.map(|space| {
        let plain = stream("items", &properties);
        space.map_or(plain.clone(), |space| in_namespace(plain.clone(), space))
    });
    let mut messages = Vec::new();
    for (id, space) in spaces.iter().enumerate() {
        let line = |message: serde_json::Value| message.to_string();
        let mut record = json!({"type": "RECORD", "record":
            {"stream": "items", "data": {"id": id}, "emitted_at": 1}});
        let mut end = complete("items");
        if let Some(space) = space {
            record["record"]["namespace"] = (*space).into();
            end["trace"]["stream_status"]["stream_descriptor"]["namespace"] = (*space).into();
        }
        messages.extend([line(record), line(end)]);
    }
    scene.write(&catalog(&streams), &messages);
    assert_eq!(scene.texts_of("id", "public.items"), ["0"]);
    assert_eq!(scene.texts_of("id", "ns1.items"), ["1"]);
    assert_eq!(scene.texts_of("id", "\"N s\"\"2\".items"), ["2"]);
}

#[test]
fn a_default_schema_that_is_not_there_is_made() {
    let mut scene = Scene::new();
    scene.config = json!({"schema": "landing"});
    scene.write_rows(&stream("items", &json!({"id": {"type": "integer"}})), &[json!({"id": 1})]);
    assert_eq!(scene.texts_of("id", "landing.items"), ["1"]);
}

#[test]
fn odd_names_are_kept_and_long_ones_are_told_apart() {
    let scene = Scene::new();
    let odd = "~!@#$%^&*()`[]{}|;':\",./<>?";
    let (long, longer) = ("c".repeat(100), format!("{}d", "c".repeat(100)));
    let names =
        [odd, "", "select", "Ünï cöde", "CamelCase", "ctid", "_airbyte_meta", &long, &longer];
    let properties: serde_json::Map<_, _> =
        names.iter().map(|name| ((*name).to_owned(), json!({"type": "string"}))).collect();
    let row: serde_json::Map<_, _> =
        names.iter().map(|name| ((*name).to_owned(), json!(format!("value of {name}")))).collect();
    let properties = serde_json::Value::from(properties);
    let row = serde_json::Value::from(row);
    let streams = [odd.to_owned(), "t".repeat(80), format!("{}u", "t".repeat(80)), String::new()];
    let configured: Vec<_> = (streams.iter())
        .map(|name| keyed(stream(name, &properties), &json!([[odd]]), &json!([&long])))
        .collect();
    let mut messages = Vec::new();
    for name in &streams {
        messages.extend(scene.records(name, &[row.clone(), row.clone()]));
        messages.push(complete(name).to_string());
    }
    scene.write(&catalog(&configured), &messages);
    let tables = scene.lines(
        "SELECT stream_name || '=' || format('%I.%I', table_schema, table_name) \
         FROM _lockgate.streams",
    );
    assert_eq!(tables.len(), streams.len());
    for table in tables {
        let (_, table) = table.split_once("=public.").expect("two names");
        let columns = scene.columns(&table.replace('\'', "''"));
        assert!(columns.iter().any(|(name, _)| name == odd), "{columns:?}");
        assert!(columns.iter().any(|(name, _)| name == "CamelCase"), "{columns:?}");
        let rows = scene.query(&format!("SELECT * FROM public.{table}"));
        assert_eq!(rows.len(), 1);
        let found: Vec<_> = names
            .iter()
            .filter(|name| {
                let value = json!(format!("value of {name}"));
                rows[0].as_object().expect("a row").values().any(|found| *found == value)
            })
            .collect();
        assert_eq!(found.len(), names.len(), "{rows:?}");
    }
}

#[test]
fn many_streams_that_take_turns_arrive() {
    let scene = Scene::new();
    let names: Vec<String> = (0..25).map(|n| format!("s{n}")).collect();
    let properties = json!({"id": {"type": "integer"}});
    let streams: Vec<_> = (names.iter().enumerate())
        .map(|(n, name)| {
            let plain = stream(name, &properties);
            if n % 2 == 0 { plain } else { keyed(plain, &json!([["id"]]), &json!([])) }
        })
        .collect();
    let mut messages = Vec::new();
    for id in 0..40 {
        for name in &names {
            messages.extend(scene.records(name, &[json!({"id": id})]));
            if id % 10 == 9 {
                messages.push(state(name, &json!({"id": id})).to_string());
            }
        }
    }
    messages.extend(names.iter().map(|name| complete(name).to_string()));
    let written = scene.write(&catalog(&streams), &messages);
    assert_eq!(written.states().len(), 100);
    for name in &names {
        let count = format!("SELECT count(*), count(DISTINCT id) FROM {name}");
        assert_eq!(scene.lines(&count), ["40|40"], "{name}");
    }
}

#[test]
fn a_catalog_that_cannot_be_written_is_refused_before_anything_is() {
    let scene = Scene::new();
    let properties = json!({"id": {"type": "integer"}});
    let keyless = with(stream("b", &properties), &json!({"destination_sync_mode": "append_dedup"}));
    let written = scene.try_write(&catalog(&[stream("a", &properties), keyless]), &[""; 0]);
    let (message, kind) = written.failure();
    assert_eq!(kind, "config_error", "{message}");
    assert!(message.contains("primary key"), "{message}");
    assert_eq!(scene.lines("SELECT to_regclass('a') IS NULL"), ["t"]);
}
