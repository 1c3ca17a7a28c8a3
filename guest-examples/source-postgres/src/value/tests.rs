//! Values as the server writes them, and as nobody should.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn pushed(kind: &Kind, text: &[u8]) -> Result<(String, Fit), Malformed> {
    let mut out = Vec::new();
    let fit = push(kind, text, &mut out, &mut Scratch::default())?;
    Ok((String::from_utf8(out).unwrap(), fit))
}

fn array(kind: Kind) -> Kind {
    Kind::Array(Box::new(kind), b',')
}

fn all_kinds() -> Vec<Kind> {
    let plain = vec![
        Kind::Integer,
        Kind::Numeric,
        Kind::Float,
        Kind::Bool,
        Kind::Text,
        Kind::Bytes,
        Kind::Date,
        Kind::Time,
        Kind::TimeTz,
        Kind::Timestamp,
        Kind::TimestampTz,
    ];
    plain.iter().cloned().chain(plain.iter().cloned().map(array)).collect()
}

#[test]
fn values_are_kept_exactly() {
    for (kind, text, expected) in [
        (Kind::Integer, "-9223372036854775808", "-9223372036854775808"),
        (Kind::Integer, "0", "0"),
        (
            Kind::Numeric,
            "12345678901234567890.12345678901234567890",
            "12345678901234567890.12345678901234567890",
        ),
        (Kind::Numeric, "-0.00", "-0.00"),
        (Kind::Float, "1e+300", "1e+300"),
        (Kind::Float, "-1.5e-07", "-1.5e-07"),
        (Kind::Bool, "t", "true"),
        (Kind::Bool, "f", "false"),
        (Kind::Text, "", "\"\""),
        (Kind::Text, "a\"b\\c\nd\te\rf\u{1}g\u{7f}", "\"a\\\"b\\\\c\\nd\\te\\rf\\u0001g\u{7f}\""),
        (
            Kind::Text,
            "plain text that is longer than one block, größer",
            "\"plain text that is longer than one block, größer\"",
        ),
        (Kind::Bytes, "\0", "\"AA==\""),
        (Kind::Bytes, "abc", "\"YWJj\""),
        (Kind::Bytes, "", "\"\""),
        (Kind::Date, "2024-02-29", "\"2024-02-29\""),
        (Kind::Date, "0044-03-15 BC", "\"0044-03-15 BC\""),
        (Kind::Date, "infinity", "\"infinity\""),
        (Kind::Time, "03:04:05", "\"03:04:05.000000\""),
        (Kind::Time, "24:00:00", "\"24:00:00.000000\""),
        (Kind::Time, "03:04:05.123456", "\"03:04:05.123456\""),
        (Kind::TimeTz, "03:04:05.1+02", "\"03:04:05.100000+02:00\""),
        (Kind::TimeTz, "03:04:05-03:30", "\"03:04:05.000000-03:30\""),
        (Kind::TimeTz, "03:04:05+00", "\"03:04:05.000000Z\""),
        (Kind::TimeTz, "03:04:05+15:59:59", "\"03:04:05.000000+15:59:59\""),
        (Kind::Timestamp, "2024-01-02 03:04:05", "\"2024-01-02T03:04:05.000000\""),
        (Kind::Timestamp, "0044-03-15 01:02:03.5 BC", "\"0044-03-15T01:02:03.500000 BC\""),
        (Kind::Timestamp, "294276-12-31 23:59:59.999999", "\"294276-12-31T23:59:59.999999\""),
        (Kind::Timestamp, "-infinity", "\"-infinity\""),
        (Kind::TimestampTz, "2024-01-02 03:04:05.6+00", "\"2024-01-02T03:04:05.600000Z\""),
        (Kind::TimestampTz, "4713-11-24 00:00:00+00 BC", "\"4713-11-24T00:00:00.000000Z BC\""),
        (Kind::TimestampTz, "infinity", "\"infinity\""),
        (Kind::Json, "{\"a\":\n\t[1, 1e400]}", "{\"a\":  [1, 1e400]}"),
        (Kind::Json, "null", "null"),
        (array(Kind::Integer), "{}", "[]"),
        (array(Kind::Integer), "{1,NULL,-3}", "[1,null,-3]"),
        (array(Kind::Integer), "[0:2]={1,2,3}", "[1,2,3]"),
        (array(Kind::Integer), "[-1:0][2:3]={{1,2},{3,4}}", "[[1,2],[3,4]]"),
        (
            array(Kind::Text),
            r#"{a,"","NULL","a,b","{\"x\\y\"}",ü}"#,
            r#"["a","","NULL","a,b","{\"x\\y\"}","ü"]"#,
        ),
        (array(Kind::Bool), "{t,f}", "[true,false]"),
        (array(Kind::Bytes), r#"{"\\x00ff","\\x"}"#, r#"["AP8=",""]"#),
        (
            array(Kind::TimestampTz),
            r#"{"2024-01-02 03:04:05+00",infinity}"#,
            r#"["2024-01-02T03:04:05.000000Z","infinity"]"#,
        ),
        (array(Kind::Json), r#"{"{\"a\": [1]}",3}"#, r#"[{"a": [1]},3]"#),
        (
            Kind::Array(Box::new(Kind::Text), b';'),
            "{(1,1),(0,0);(2,2),(1,1)}",
            r#"["(1,1),(0,0)","(2,2),(1,1)"]"#,
        ),
    ] {
        assert_eq!(pushed(&kind, text.as_bytes()), Ok((expected.to_owned(), Fit::Whole)), "{text}");
    }
}

#[test]
fn what_json_lacks_is_null_and_told() {
    for text in ["NaN", "Infinity", "-Infinity"] {
        for kind in [Kind::Numeric, Kind::Float] {
            assert_eq!(pushed(&kind, text.as_bytes()), Ok(("null".to_owned(), Fit::Nulled)));
        }
    }
    let numbers = pushed(&array(Kind::Float), b"{1,NaN}");
    assert_eq!(numbers, Ok(("[1,null]".to_owned(), Fit::Changed)));
    let text = pushed(&Kind::Text, b"a\xffb\"");
    assert_eq!(text, Ok(("\"a\u{fffd}b\\\"\"".to_owned(), Fit::Changed)));
    let json = pushed(&Kind::Json, b"\"\xff\"");
    assert_eq!(json, Ok(("\"\u{fffd}\"".to_owned(), Fit::Changed)));
}

#[test]
fn what_the_server_never_writes_is_refused() {
    for (kind, text) in [
        (Kind::Integer, "1}"),
        (Kind::Integer, ""),
        (Kind::Integer, "-"),
        (Kind::Integer, "1.0"),
        (Kind::Numeric, ".5"),
        (Kind::Numeric, "5."),
        (Kind::Numeric, "1,\"x\":2"),
        (Kind::Float, "1e"),
        (Kind::Float, "1e+"),
        (Kind::Float, "nan"),
        (Kind::Bool, "true"),
        (Kind::Json, ""),
        (array(Kind::Integer), "1"),
        (array(Kind::Integer), "{1"),
        (array(Kind::Integer), "{1,}"),
        (array(Kind::Integer), "{1}x"),
        (array(Kind::Integer), "[0:1]"),
        (array(Kind::Integer), "{{{{{{{1}}}}}}}"),
        (array(Kind::Text), "{\"a}"),
        (array(Kind::Text), "{\"a\\"),
        (array(Kind::Text), "{a\"b}"),
        (array(Kind::Bytes), "{00}"),
        (array(Kind::Bytes), "{\"\\\\x0\"}"),
    ] {
        assert_eq!(pushed(&kind, text.as_bytes()), Err(Malformed), "{text}");
    }
}

/// An array as the server writes it.
fn array_text(elements: &[Option<String>]) -> String {
    let texts: Vec<_> = elements
        .iter()
        .map(|element| match element {
            None => "NULL".to_owned(),
            Some(text) => {
                format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
            }
        })
        .collect();
    format!("{{{}}}", texts.join(","))
}

proptest! {
    #[test]
    fn any_text_is_the_same_in_json(text in "\\PC{0,80}|[\\x00-\\x7f]{0,80}|[a\"\\\\\n]{0,40}") {
        let (json, fit) = pushed(&Kind::Text, text.as_bytes()).unwrap();
        prop_assert_eq!(fit, Fit::Whole);
        prop_assert!(!json.contains('\n'));
        prop_assert_eq!(json.len(), json_rows::escape::escaped_length(text.as_bytes()) + 2);
        prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }

    #[test]
    fn any_bytes_are_the_same_in_base64(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let (json, _) = pushed(&Kind::Bytes, &bytes).unwrap();
        let text: String = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(STANDARD.decode(text).unwrap(), bytes);
    }

    #[test]
    fn any_array_of_texts_is_the_same(
        elements in proptest::collection::vec(proptest::option::of("\\PC{0,9}|[{},\"\\\\ \n]{0,9}"), 0..9),
    ) {
        let (json, fit) = pushed(&array(Kind::Text), array_text(&elements).as_bytes()).unwrap();
        prop_assert_eq!(fit, Fit::Whole);
        prop_assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), json!(elements));
    }

    #[test]
    fn any_bytes_become_json_or_are_refused(
        bytes in proptest::collection::vec(any::<u8>(), 0..60), place in 0..22_usize,
    ) {
        let kinds = all_kinds();
        if let Ok((json, _)) = pushed(&kinds[place], &bytes) {
            prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(&json).is_ok(), "{}", json);
            prop_assert!(!json.contains('\n'));
        }
    }

    #[test]
    fn what_looks_like_a_value_becomes_json_or_is_refused(
        text in "[-+0-9:. TZBC{},\"\\\\enNaINUL]{0,40}", place in 0..22_usize,
    ) {
        let kinds = all_kinds();
        if let Ok((json, _)) = pushed(&kinds[place], text.as_bytes()) {
            prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(&json).is_ok(), "{}", json);
        }
    }
}
