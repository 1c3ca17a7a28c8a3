//! Rows as lines of COPY's text format, read back by its rules.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;

fn encoder(fields: &[(&str, Type)]) -> Encoder {
    let fields = fields.iter().map(|(name, kind)| Field {
        member: (*name).to_owned(),
        column: Column { name: (*name).to_owned(), kind: *kind },
    });
    Encoder::new(fields.collect(), 7, 3)
}

/// The fields of a line, as the server reads them.
fn parse(line: &[u8]) -> Vec<Option<String>> {
    let line = line.strip_suffix(b"\n").expect("a line has an end");
    assert!(!line.contains(&b'\n') && !line.contains(&b'\r'));
    let fields = line.split(|byte| *byte == b'\t').map(|field| {
        if field == b"\\N" {
            return None;
        }
        let mut text = Vec::new();
        let mut bytes = field.iter();
        while let Some(byte) = bytes.next() {
            text.push(match byte {
                b'\\' => match bytes.next().expect("something is escaped") {
                    b'n' => b'\n',
                    b't' => b'\t',
                    b'r' => b'\r',
                    b'\\' => b'\\',
                    other => panic!("an escape that nobody writes: {other}"),
                },
                other => *other,
            });
        }
        Some(String::from_utf8(text).expect("text"))
    });
    fields.collect()
}

fn encode(fields: &[(&str, Type)], row: &str) -> Vec<Option<String>> {
    let mut out = Vec::new();
    encoder(fields).write(row, 0, None, &mut out).expect("a row");
    parse(&out)
}

fn one(kind: Type, value: &str) -> (Option<String>, Json) {
    let fields = encode(&[("a", kind)], &format!("{{\"a\":{value}}}"));
    let meta: Json = serde_json::from_str(fields[4].as_deref().expect("meta")).expect("JSON");
    (fields[0].clone(), meta["changes"].clone())
}

#[test]
fn a_row_is_a_line() {
    let fields = [("id", Type::BigInt), ("name", Type::Text), ("at", Type::TimestampTz)];
    let mut encoder = encoder(&fields);
    let mut out = Vec::new();
    encoder
        .write(r#"{"id":1,"name":"a","at":"2024-01-01T00:00:00Z"}"#, 1500, None, &mut out)
        .unwrap();
    encoder.write(r#"{"at":null,"name":"b\t"}"#, 1500, None, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let end = "\\N\t1970-01-01 00:00:01.500+00\t7\t{\"sync_id\":3,\"changes\":[]}\n";
    assert_eq!(text, format!("1\ta\t2024-01-01 00:00:00+00\t{end}\\N\tb\\t\t\\N\t{end}"));
}

#[test]
fn what_does_not_fit_is_left_out_and_noted() {
    let nulled = |field: &str| json!([{"field": field, "change": "NULLED", "reason": "DESTINATION_SERIALIZATION_ERROR"}]);
    for (kind, value) in [
        (Type::BigInt, "99999999999999999999999999999999"),
        (Type::BigInt, "1.5"),
        (Type::BigInt, "\"foo\""),
        (Type::BigInt, "true"),
        (Type::Numeric, "1e999999"),
        (Type::Numeric, "\"NaN\""),
        (Type::Numeric, "{}"),
        (Type::Boolean, "\"true\""),
        (Type::Boolean, "1"),
        (Type::Date, "\"yesterday\""),
        (Type::Date, "20240101"),
        (Type::TimestampTz, "\"2024-02-30T00:00:00Z\""),
        (Type::Time, "\"25:00:00\""),
        (Type::Jsonb, "1e999999"),
        (Type::Jsonb, "{\"b\":[1e999999]}"),
    ] {
        assert_eq!(one(kind, value), (None, nulled("a")), "{kind:?} {value}");
    }
}

#[test]
fn what_fits_is_kept_exactly() {
    for (kind, value, text) in [
        (Type::BigInt, "9223372036854775807", "9223372036854775807"),
        (Type::BigInt, "1.0", "1"),
        (Type::BigInt, "\"42\"", "42"),
        (Type::Numeric, "50000.0000000000000001", "50000.0000000000000001"),
        (Type::Numeric, "1e39", "1e39"),
        (Type::Text, "{\"foo\": \"b\\\"ar\"}", "{\"foo\": \"b\\\"ar\"}"),
        (Type::Text, "12.50", "12.50"),
        (Type::Text, "true", "true"),
        (Type::Text, "\"\\\\N\"", "\\N"),
        (Type::Text, "\"\"", ""),
        (Type::Text, "\"\\u00fc\\ud83d\\ude00\\/\\b\"", "ü😀/\u{8}"),
        (Type::Jsonb, "\"a\\\\\\n\\u00e9\\ud83d\\ude00\"", "\"a\\\\\\n\\u00e9\\ud83d\\ude00\""),
        (Type::Jsonb, "[1,\t2]", "[1, 2]"),
        (Type::Boolean, "false", "f"),
    ] {
        assert_eq!(one(kind, value), (Some(text.to_owned()), json!([])), "{kind:?} {value}");
    }
    assert_eq!(one(Type::Jsonb, "null"), (None, json!([])));
}

#[test]
fn characters_that_postgresql_lacks_are_noted() {
    let noted =
        json!([{"field": "a", "change": "TRUNCATED", "reason": "DESTINATION_SERIALIZATION_ERROR"}]);
    for (kind, value, text) in [
        (Type::Text, "\"a\\u0000b\"", "ab"),
        (Type::Text, "\"a\\ud800b\"", "a\u{fffd}b"),
        (Type::Text, "\"\\udc00\\ud800\"", "\u{fffd}\u{fffd}"),
        (Type::Jsonb, "{\"x\\u0000\":\"\\u0000\\\\u0000\"}", "{\"x\":\"\\\\u0000\"}"),
        (Type::Jsonb, "\"\\ud800x\"", "\"\\ufffdx\""),
    ] {
        assert_eq!(one(kind, value), (Some(text.to_owned()), noted.clone()), "{kind:?} {value}");
    }
}

#[test]
fn what_is_not_declared_is_kept() {
    let fields = encode(&[("a", Type::BigInt)], r#"{"b":{"c":[1]},"a":1,"d\t":"x\"","e":null}"#);
    assert_eq!(fields[0].as_deref(), Some("1"));
    assert_eq!(fields[1].as_deref(), Some(r#"{"b":{"c":[1]},"d\t":"x\"","e":null}"#));
    assert_eq!(encode(&[], "{}")[0], None);
}

#[test]
fn of_two_members_of_one_name_the_last_counts() {
    assert_eq!(encode(&[("a", Type::BigInt)], r#"{"a":1,"\u0061":2}"#)[0].as_deref(), Some("2"));
}

#[test]
fn the_changes_of_the_source_are_kept() {
    let mut out = Vec::new();
    let mut encoder = encoder(&[("a", Type::BigInt)]);
    let change = r#"{"field":"b","change":"NULLED","reason":"SOURCE_RETRIEVAL_ERROR","x":"\t"}"#;
    let meta = format!("{{\"changes\":[{change},7]}}");
    encoder.write("{\"a\":\"x\"}", 0, Some(&meta), &mut out).unwrap();
    let meta: Json = serde_json::from_str(parse(&out)[4].as_deref().unwrap()).unwrap();
    assert_eq!(meta["sync_id"], 3);
    assert_eq!(meta["changes"][0], serde_json::from_str::<Json>(change).unwrap());
    assert_eq!(meta["changes"][1]["field"], "a");
    assert_eq!(meta["changes"].as_array().map(Vec::len), Some(2));
    // The next row has none of it.
    out.clear();
    encoder.write("{\"a\":1}", 0, None, &mut out).unwrap();
    assert!(String::from_utf8(out).unwrap().ends_with("{\"sync_id\":3,\"changes\":[]}\n"));
}

#[test]
fn a_row_that_is_no_object_is_refused_without_a_value() {
    let mut out = Vec::new();
    let failure = encoder(&[]).write("secret", 0, None, &mut out).unwrap_err();
    assert!(!failure.message.contains("secret"));
    assert!(out.is_empty());
}

fn json_value() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<i32>().prop_map(|n| Json::from(f64::from(n) / 8.0)),
        ".*".prop_map(Json::from),
        "[\\\\\"\t\r\n\u{8}a\u{1}]{0,8}".prop_map(Json::from),
    ];
    leaf.prop_recursive(3, 20, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            proptest::collection::btree_map("[a\\\\\"\t]{0,3}", inner, 0..4)
                .prop_map(|map| Json::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_value_comes_out_as_it_went_in(value in json_value(), pretty in any::<bool>()) {
        let row = json!({ "a": value });
        let row = if pretty {
            serde_json::to_string_pretty(&row).unwrap().replace('\n', "\t")
        } else {
            row.to_string()
        };
        let fields = encode(&[("a", Type::Jsonb)], &row);
        prop_assert_eq!(fields.len(), 5);
        match fields[0].as_deref() {
            None => prop_assert_eq!(value, Json::Null),
            // NUL is the one character that is lost.
            Some(text) if !row.contains("\\u0000") => {
                prop_assert_eq!(serde_json::from_str::<Json>(text).unwrap(), value);
            }
            Some(text) => prop_assert!(serde_json::from_str::<Json>(text).is_ok()),
        }
    }

    #[test]
    fn any_text_comes_out_as_it_went_in(value in "[\\\\\"\t\r\na-c\u{1}é😀]{0,20}") {
        let fields = encode(&[("a", Type::Text)], &json!({ "a": value }).to_string());
        prop_assert_eq!(fields.len(), 5);
        prop_assert_eq!(fields[0].as_deref(), Some(&*value));
    }

    #[test]
    fn any_bytes_are_a_row_or_refused(row in "[{}\\[\\]\":,a\\\\u0-9eE.+ntf\t\r -]{0,40}") {
        let fields = [("a", Type::Text), ("0", Type::Jsonb), ("", Type::Numeric)];
        let mut out = Vec::new();
        if encoder(&fields).write(&row, 0, None, &mut out).is_ok() {
            prop_assert_eq!(parse(&out).len(), 7);
        } else {
            prop_assert!(out.is_empty());
        }
    }
}
