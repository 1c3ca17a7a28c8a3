//! JSON lines.

use super::*;

#[test]
fn rows_pass_as_they_are() {
    let scene = Scene::new("jsonl", &["*.jsonl"]);
    let rows = [
        r#"{"id":12345678901234567890123,"x": 0.10000000000000000000001 , "t":"\u00e9"}"#,
        r#"{ "id" : 1e400,"nested":{"a":[1,{"b":null}]}}"#,
        r#"{"id":null,"list":[1,2],"b":true,"d":"2024-01-02"}"#,
    ];
    scene.write("a.jsonl", format!("\u{feff}{}\r\n\n  {}\n{}", rows[0], rows[1], rows[2]));
    let run = scene.read(SyncMode::FullRefresh, None);
    assert_eq!(run.result, Ok(()));
    assert_eq!(String::from_utf8(run.sink.data(0)).expect("a text"), rows.join("\n") + "\n");
    assert_eq!(
        scene.properties().expect("properties"),
        json!({
            "id": { "type": ["null", "number"] },
            "x": { "type": ["null", "number"] },
            "t": { "type": ["null", "string"] },
            "nested": { "type": ["null", "object"] },
            "list": { "type": ["null", "array"] },
            "b": { "type": ["null", "boolean"] },
            "d": { "type": ["null", "string"], "format": "date" },
        })
    );
}

#[test]
fn mixed_types_are_listed() {
    let scene = Scene::new("jsonl", &["*.jsonl"]);
    scene.write("a.jsonl", "{\"a\":1,\"b\":null}\n{\"a\":\"x\"}\n{\"a\":[]}\n");
    assert_eq!(
        scene.properties().expect("properties"),
        json!({ "a": { "type": ["null", "string", "integer", "array"] }, "b": {} })
    );
}

#[test]
fn what_is_no_row_fails_by_its_place() {
    let scene = Scene::new("jsonl", &["*.jsonl"]);
    for (line, what) in [
        (&b"[1]"[..], "it is not a JSON object in one line"),
        (b"{\"a\":1", "it is not a JSON object in one line"),
        (b"{\"a\":\"\xff\"}", "it is not UTF-8"),
    ] {
        let mut text = b"{\"a\":1}\n\n".to_vec();
        text.extend_from_slice(line);
        scene.write("a.jsonl", b"{\"a\":1}\n");
        let streams = source::discover::<Files>(&scene.config()).expect("streams");
        scene.write("a.jsonl", &text);
        let stream = ConfiguredStream {
            json_schema: streams[0].json_schema.clone(),
            ..testing::stream("rows")
        };
        let run = testing::read::<Files>(&scene.config(), &testing::catalog([stream]), Vec::new());
        let failure = run.result.expect_err("it is no row");
        assert!(failure.message.starts_with(&format!("a.jsonl, line 3: {what}")), "{failure:?}");
    }
}
