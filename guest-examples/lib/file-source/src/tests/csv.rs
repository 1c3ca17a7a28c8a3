//! CSV: types, nulls, odd rows.

use super::*;

#[test]
fn types_are_found_out_and_values_are_exact() {
    let scene = Scene::new("csv", &["*.csv"]);
    scene.write(
        "a.csv",
        "id,big,price,ok,day,at,moment,zip,text,none\r\n\
         1,9007199254740993,0.10000000000000000001,true,2024-02-29,2024-01-02 03:04:05.678,\
         2024-01-02T03:04:05+02:00,007,\"a \"\"b\"\",\nc é\",\r\n\
         2,-1,3,FALSE,2024-03-01,2024-01-02T03:04:05,2024-01-02 03:04:05Z,100,,\r\n",
    );
    let text = |format: &str, airbyte: &str| json!({ "type": ["null", "string"], "format": format, "airbyte_type": airbyte });
    assert_eq!(
        scene.properties().expect("properties"),
        json!({
            "id": { "type": ["null", "integer"] },
            "big": { "type": ["null", "integer"] },
            "price": { "type": ["null", "number"] },
            "ok": { "type": ["null", "boolean"] },
            "day": { "type": ["null", "string"], "format": "date" },
            "at": text("date-time", "timestamp_without_timezone"),
            "moment": text("date-time", "timestamp_with_timezone"),
            "zip": { "type": ["null", "string"] },
            "text": { "type": ["null", "string"] },
            "none": { "type": ["null", "string"] },
        })
    );
    let run = scene.read(SyncMode::FullRefresh, None);
    assert_eq!(run.result, Ok(()));
    let data = String::from_utf8(run.sink.data(0)).expect("a text");
    assert_eq!(
        data,
        "{\"id\":1,\"big\":9007199254740993,\"price\":0.10000000000000000001,\"ok\":true,\
         \"day\":\"2024-02-29\",\"at\":\"2024-01-02T03:04:05.678\",\
         \"moment\":\"2024-01-02T03:04:05+02:00\",\"zip\":\"007\",\"text\":\"a \\\"b\\\",\\nc é\",\
         \"none\":null}\n\
         {\"id\":2,\"big\":-1,\"price\":3,\"ok\":false,\"day\":\"2024-03-01\",\
         \"at\":\"2024-01-02T03:04:05\",\"moment\":\"2024-01-02T03:04:05Z\",\"zip\":\"100\",\
         \"text\":null,\"none\":null}\n"
    );
}

#[test]
fn dialects_are_read() {
    let mut scene = Scene::new("csv", &["*.csv"]);
    scene.stream["csv"] =
        json!({ "delimiter": ";", "quote": "'", "header": false, "null_values": ["NULL", "-"] });
    scene.write("a.csv", "\u{feff}1;'a;b''';NULL\n2;;-\n");
    assert_eq!(
        scene.rows(),
        [
            json!({ "column_1": 1, "column_2": "a;b'", "column_3": null }),
            json!({ "column_1": 2, "column_2": "", "column_3": null }),
        ]
    );
    scene.stream["csv"] = json!({ "delimiter": "\t", "quote": "" });
    scene.write("a.csv", "a\tb\n\"x\t1\n");
    assert_eq!(scene.rows(), [json!({ "a": "\"x", "b": 1 })]);
}

#[test]
fn a_value_of_another_type_fails_by_its_place_or_becomes_null() {
    let mut scene = Scene::new("csv", &["*.csv"]);
    scene.more = json!({ "sample_rows": 2 });
    scene.write("a.csv", "id,n\n1,1\n\n\"2\",\"2\"\n3,secret\n");
    let failure = scene.failure();
    assert!(
        failure.starts_with(
            "a.csv, line 5, column n: a text of 6 bytes in a column of whole numbers; name its type"
        ),
        "{failure}"
    );
    assert!(!failure.contains("secret"));
    scene.more["on_mismatch"] = json!("null");
    let run = scene.read(SyncMode::FullRefresh, None);
    assert_eq!(run.result, Ok(()));
    assert_eq!(run.sink.rows(0)[2], json!({ "id": 3, "n": null }));
    let batch = run.sink.batches(0).next().expect("a batch");
    assert_eq!(batch.meta.len(), 1);
    assert_eq!(batch.meta[0].row, 2);
    assert_eq!(
        serde_json::from_str::<Value>(&batch.meta[0].meta).expect("JSON"),
        json!({ "changes": [
            { "field": "n", "change": "NULLED", "reason": "SOURCE_SERIALIZATION_ERROR" }
        ] })
    );
    scene.stream["csv"] = json!({ "types": [{ "column": "n", "type": "string" }] });
    scene.more["on_mismatch"] = json!("fail");
    assert_eq!(scene.rows()[2], json!({ "id": 3, "n": "secret" }));
}

#[test]
fn ragged_rows_fail_or_are_filled() {
    let mut scene = Scene::new("csv", &["*.csv"]);
    scene.write("a.csv", "a,b,c\n1,2,3\n4,5\n6,7,8,9\n");
    let failure = scene.failure();
    assert!(
        failure.starts_with("a.csv, line 3: the row has 2 columns, and the header 3"),
        "{failure}"
    );
    scene.more = json!({ "ragged": "null" });
    let run = scene.read(SyncMode::FullRefresh, None);
    assert_eq!(
        run.sink.rows(0),
        [
            json!({ "a": 1, "b": 2, "c": 3 }),
            json!({ "a": 4, "b": 5, "c": null }),
            json!({ "a": 6, "b": 7, "c": 8 }),
        ]
    );
    let batch = run.sink.batches(0).next().expect("a batch");
    let noted: Vec<_> = batch.meta.iter().map(|meta| meta.row).collect();
    assert_eq!(noted, [1, 2]);
    assert!(batch.meta[0].meta.contains("NULLED") && batch.meta[1].meta.contains("TRUNCATED"));
}

#[test]
fn odd_headers_and_files_of_other_columns() {
    let scene = Scene::new("csv", &["*.csv"]);
    scene.write("a.csv", "a,,a\n1,2,3\n");
    scene.write("b.csv", "new,a\nx,9");
    scene.write("c.csv", "");
    scene.write("d.csv", "a\n");
    scene.write("e.csv", "\n\n");
    let run = scene.read(SyncMode::FullRefresh, None);
    assert_eq!(
        run.sink.rows(0),
        [
            json!({ "a": 1, "column_2": 2, "a_2": 3, "new": null }),
            json!({ "a": 9, "column_2": null, "a_2": null, "new": "x" }),
        ]
    );
    let warnings = warnings(&run).join("\n");
    assert!(warnings.contains("column 2 has no name: it is read as column_2"), "{warnings}");
    assert!(warnings.contains("column 3 has the name of another: it is read as a_2"), "{warnings}");
}

#[test]
fn only_configured_columns_are_read() {
    let scene = Scene::new("csv", &["*.csv"]);
    scene.write("a.csv", "a,b,c\n1,2,3\n");
    let stream = ConfiguredStream {
        json_schema: json!({ "type": "object", "properties": {
            "c": { "type": "string" }, "a": { "type": ["null", "integer"] },
        } })
        .to_string(),
        ..testing::stream("rows")
    };
    let run = testing::read::<Files>(&scene.config(), &testing::catalog([stream]), Vec::new());
    assert_eq!(run.sink.rows(0), [json!({ "a": 1, "c": "3" })]);
}

#[test]
fn rows_of_a_catalog_without_columns_are_as_discovered() {
    let scene = Scene::new("csv", &["*.csv"]);
    scene.write("a.csv", "a,b\n1,x\n");
    let catalog = testing::catalog([testing::stream("rows")]);
    let run = testing::read::<Files>(&scene.config(), &catalog, Vec::new());
    assert_eq!(run.sink.rows(0), [json!({ "a": 1, "b": "x" })]);
}

#[test]
fn long_rows_and_many_columns_go_through_small_buffers() {
    let scene = Scene::new("csv", &["*.csv"]);
    let names: Vec<String> = (0..500).map(|number| format!("c{number}")).collect();
    let long = "é\"\"\n,".repeat(200_000);
    let rest = ",1".repeat(499);
    scene.write("a.csv", format!("{}\n\"{long}\"{rest}\nx{rest}\n", names.join(",")));
    let rows = scene.rows();
    assert_eq!(rows[0]["c0"], json!("é\"\n,".repeat(200_000)));
    assert_eq!((rows.len(), &rows[1]["c499"]), (2, &json!(1)));
}
