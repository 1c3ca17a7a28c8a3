//! Files read back: by a reader of Parquet, and by the rules of CSV.

use std::io::{Read, Write};

use flate2::read::GzDecoder;
use lockgate_sdk::testing::{self, Feed};
use lockgate_sdk::{
    Catalog, ConfiguredStream, Destination, DestinationSyncMode, Event, Failure, FailureKind,
    Input, Spec,
};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::{Compression, FileWriter, Format, Numbers, Options, Table};

const SCHEMA: &str = r#"{"properties": {
    "id": {"type": "integer"},
    "name": {"type": ["null", "string"]},
    "ok": {"type": "boolean"},
    "price": {"type": "number"},
    "day": {"type": "string", "format": "date"},
    "at": {"type": "string", "format": "date-time"},
    "local": {"type": "string", "format": "date-time", "airbyte_type": "timestamp_without_timezone"},
    "clock": {"type": "string", "format": "time", "airbyte_type": "time_without_timezone"},
    "any": {"type": "object"}
}}"#;

/// What the test's destination is told, and what it leaves: there is one of it a call, without a place.
#[derive(Deserialize, JsonSchema)]
struct Config {
    format: Format,
    compression: Compression,
    numbers: Numbers,
    metadata: bool,
    file: String,
}

struct OneFile;

impl Destination for OneFile {
    type Config = Config;

    fn spec() -> Spec {
        Spec::new("one-file", "1").modes([DestinationSyncMode::Append])
    }

    fn check(_: Config) -> Result<(), Failure> {
        Ok(())
    }

    fn write(config: Config, catalog: &Catalog, input: &mut Input<'_>) -> Result<(), Failure> {
        let Config { format, compression, numbers, metadata, file } = config;
        let options = Options { format, compression, numbers, metadata };
        let mut table = Table::new(&catalog.streams[0], options)?;
        let mut writer = FileWriter::new(&table, Vec::new())?;
        while let Some(event) = input.next()? {
            match event {
                Event::Rows(rows) => writer.write(&mut table, &rows)?,
                Event::Checkpoint(checkpoint) => input.commit(checkpoint)?,
                _ => {}
            }
        }
        table.warn_of_losses();
        std::fs::write(file, writer.finish()?).map_err(|error| Failure::system(error.to_string()))
    }
}

struct Written {
    bytes: Vec<u8>,
    logs: usize,
}

fn stream(schema: &str) -> ConfiguredStream {
    ConfiguredStream {
        json_schema: schema.to_owned(),
        generation_id: 7,
        sync_id: 3,
        ..testing::stream("s")
    }
}

fn write(schema: &str, options: Options, feed: Feed) -> Written {
    let folder = tempfile::tempdir().expect("a scratch directory");
    let file = folder.path().join("file");
    let word = |value: &str| value.to_lowercase();
    let config = json!({
        "format": word(&format!("{:?}", options.format)),
        "compression": word(&format!("{:?}", options.compression)),
        "numbers": word(&format!("{:?}", options.numbers)),
        "metadata": options.metadata,
        "file": file,
    });
    let catalog = testing::catalog([stream(schema)]);
    let run = testing::write::<OneFile>(&config.to_string(), &catalog, feed);
    assert_eq!(run.result, Ok(()));
    Written { bytes: std::fs::read(file).expect("it was written"), logs: run.logs.len() }
}

fn parquet(metadata: bool) -> Options {
    Options { format: Format::Parquet, metadata, ..Options::default() }
}

fn csv(metadata: bool) -> Options {
    Options { format: Format::Csv, metadata, ..Options::default() }
}

fn rows(rows: &[&str]) -> Feed {
    Feed::new().rows(0, rows).complete(0).checkpoint()
}

/// Each row of a Parquet file: names and values.
fn read(bytes: Vec<u8>) -> Vec<Vec<(String, Field)>> {
    let reader = SerializedFileReader::new(bytes::Bytes::from(bytes)).expect("Parquet");
    let rows = reader.get_row_iter(None).expect("rows");
    rows.map(|row| {
        row.expect("a row").get_column_iter().map(|(n, f)| (n.clone(), f.clone())).collect()
    })
    .collect()
}

fn values(row: &[(String, Field)]) -> Vec<Field> {
    row.iter().map(|(_, field)| field.clone()).collect()
}

#[test]
fn columns_of_parquet_have_the_types_of_the_schema() {
    let full = r#"{"id":9007199254740993,"name":"é\n\"x\"","ok":true,"price":0.1,"day":"2024-02-29",
        "at":"2024-02-29T12:34:56.789+02:00","local":"2024-02-29T12:34:56","clock":"01:02:03.000004",
        "any":{"a":[1,null]}}"#
        .replace('\n', "");
    let file = write(SCHEMA, parquet(false), rows(&[&full, "{}", r#"{"id":null,"any":null}"#]));
    let read = read(file.bytes);
    let at = 1_709_202_896_789_000;
    assert_eq!(
        values(&read[0]),
        [
            Field::Long(9_007_199_254_740_993),
            Field::Str("é\n\"x\"".to_owned()),
            Field::Bool(true),
            Field::Double(0.1),
            Field::Date(19_782),
            Field::TimestampMicros(at),
            Field::TimestampMicros(at + 7_200_000_000 - 789_000),
            Field::TimeMicros(3_723_000_004),
            Field::Str(r#"{"a":[1,null]}"#.to_owned()),
        ]
    );
    for row in &read[1..] {
        assert!(values(row).iter().all(|field| *field == Field::Null), "{row:?}");
    }
    assert_eq!(file.logs, 0);
}

#[test]
fn what_a_column_cannot_hold_is_noted() {
    let cases = [
        ("id", "1.5", "NULLED"),
        ("id", "9223372036854775808", "NULLED"),
        ("ok", "\"yes\"", "NULLED"),
        ("price", "1e400", "NULLED"),
        ("price", "50000.0000000000000001", "TRUNCATED"),
        ("name", r#""\ud800""#, "TRUNCATED"),
        ("day", "\"2023-02-29\"", "NULLED"),
        ("day", "\"2024-01-01T10:00:00Z\"", "TRUNCATED"),
        ("at", "\"soon\"", "NULLED"),
        ("at", "\"infinity\"", "NULLED"),
        ("at", "\"2024-01-01T00:00:00.0000001Z\"", "TRUNCATED"),
        ("local", "\"2024-01-01T00:00:00+02:00\"", "TRUNCATED"),
        ("clock", "\"24:00:00\"", "NULLED"),
    ];
    let given: Vec<String> =
        cases.iter().map(|(name, value, _)| format!("{{\"{name}\":{value}}}")).collect();
    let given: Vec<&str> = given.iter().map(|row| &**row).collect();
    let file = write(SCHEMA, parquet(true), rows(&given));
    for ((name, value, change), row) in cases.iter().zip(read(file.bytes)) {
        let meta = &row.last().expect("columns").1;
        let note = json!({"sync_id": 3, "changes": [{
            "field": name, "change": change, "reason": "DESTINATION_SERIALIZATION_ERROR"
        }]});
        let Field::Str(meta) = meta else { panic!("{meta:?}") };
        let meta: serde_json::Value = serde_json::from_str(meta).expect("JSON");
        assert_eq!(meta, note, "{name} {value}");
        let field = &row.iter().find(|(of, _)| of == name).expect("the column").1;
        assert_eq!(*field == Field::Null, *change == "NULLED", "{name} {value}");
    }
    // Without a place to note it, it is told.
    let file = write(SCHEMA, parquet(false), rows(&[given[0], r#"{"other":1}"#]));
    assert_eq!(file.logs, 1);
}

#[test]
fn the_platforms_columns_keep_what_the_schema_does_not_declare() {
    let feed = Feed::new()
        .rows(0, &[r#"{"id":1,"b":[1], "c":"x"}"#])
        .meta(0, r#"{"changes":[{"field":"id","change":"NULLED","reason":"SOURCE"}]}"#)
        .complete(0)
        .checkpoint();
    let read = read(write(SCHEMA, parquet(true), feed).bytes);
    let ours = &values(&read[0])[9..];
    assert_eq!(ours[0], Field::Str(r#"{"b":[1],"c":"x"}"#.to_owned()));
    assert!(matches!(ours[1], Field::TimestampMicros(_)));
    assert_eq!(ours[2], Field::Long(7));
    let note = r#"{"sync_id":3,"changes":[{"field":"id","change":"NULLED","reason":"SOURCE"}]}"#;
    assert_eq!(ours[3], Field::Str(note.to_owned()));
}

#[test]
fn numbers_can_keep_all_digits() {
    let options = Options { numbers: Numbers::Text, ..parquet(true) };
    let digits = "50000.0000000000000001";
    let read = read(write(SCHEMA, options, rows(&[&format!("{{\"price\":{digits}}}")])).bytes);
    assert_eq!(read[0][3].1, Field::Str(digits.to_owned()));
    assert!(matches!(&read[0][12].1, Field::Str(meta) if meta.contains("\"changes\":[]")));
}

#[test]
fn an_empty_file_has_its_columns() {
    let nothing = || Feed::new().complete(0).checkpoint();
    let file = write(SCHEMA, parquet(true), nothing());
    let reader = SerializedFileReader::new(bytes::Bytes::from(file.bytes)).expect("Parquet");
    let schema = reader.metadata().file_metadata().schema_descr();
    assert_eq!((schema.num_columns(), reader.metadata().file_metadata().num_rows()), (13, 0));
    let file = write(r#"{"properties":{"a":{},"b,\"":{}}}"#, csv(false), nothing());
    assert_eq!(String::from_utf8(file.bytes).expect("text"), "a,\"b,\"\"\"\n");
}

#[test]
fn row_groups_bound_what_is_held() {
    let mut feed = Feed::new();
    // Texts that do not compress to nothing.
    let mut state = 1_u64;
    let mut word = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        format!("{:016x}", state ^ (state >> 29))
    };
    for _ in 0..400 {
        let text = |word: &mut dyn FnMut() -> String| (0..60).map(|_| word()).collect::<String>();
        let rows: Vec<String> =
            (0..100).map(|_| format!("{{\"id\":1,\"name\":\"{}\"}}", text(&mut word))).collect();
        feed = feed.rows(0, &rows);
    }
    let file = write(SCHEMA, parquet(false), feed.complete(0).checkpoint());
    let reader = SerializedFileReader::new(bytes::Bytes::from(file.bytes)).expect("Parquet");
    assert_eq!(reader.metadata().file_metadata().num_rows(), 40_000);
    assert!(reader.num_row_groups() > 1);
}

/// The fields of each line, by the rules of RFC 4180: none for nothing, some for what is there.
fn fields(text: &str) -> Vec<Vec<Option<String>>> {
    let mut lines = vec![vec![]];
    let mut rest = text;
    while !rest.is_empty() {
        let mut field = None;
        if let Some(mut inside) = rest.strip_prefix('"') {
            let mut value = String::new();
            loop {
                let (part, after) = inside.split_once('"').expect("quotes end");
                value += part;
                inside = after;
                let Some(more) = inside.strip_prefix('"') else { break };
                value.push('"');
                inside = more;
            }
            field = Some(value);
            rest = inside;
        } else {
            let end = rest.find([',', '\n']).expect("lines end");
            if end > 0 {
                field = Some(rest[..end].to_owned());
            }
            rest = &rest[end..];
        }
        lines.last_mut().expect("a line").push(field);
        let (end, after) = rest.split_at(1);
        rest = after;
        if end == "\n" && !rest.is_empty() {
            lines.push(vec![]);
        }
    }
    lines
}

#[test]
fn csv_is_read_as_it_was_meant() {
    let schema = r#"{"properties":{"a":{"type":"string"},"b":{},"c":{"type":"number"}}}"#;
    let given = [
        r#"{"a":"plain","b":true,"c":1.50}"#,
        r#"{"a":"a,b\n\"c\"\r","b":{"x": "y,\"z"},"c":1e400}"#,
        r#"{"a":"","b":null}"#,
        r#"{"a":" x ","b":"😀","c":null}"#,
    ];
    let text = String::from_utf8(write(schema, csv(false), rows(&given)).bytes).expect("text");
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        fields(&text),
        [
            vec![some("a"), some("b"), some("c")],
            vec![some("plain"), some("true"), some("1.50")],
            vec![some("a,b\n\"c\"\r"), some("{\"x\": \"y,\\\"z\"}"), some("1e400")],
            vec![some(""), None, None],
            vec![some(" x "), some("😀"), None],
        ]
    );
    let with = String::from_utf8(write(schema, csv(true), rows(&[r#"{"d":1}"#])).bytes);
    let with = fields(&with.expect("text"));
    assert_eq!(with[0][3..].len(), 4);
    assert_eq!(with[1][3], some("{\"d\":1}"));
    assert_eq!(with[1][5], some("7"));
    // A line that is empty would be no row.
    let one = r#"{"properties":{"a":{"type":"string"}}}"#;
    let text = String::from_utf8(write(one, csv(false), rows(&["{}"])).bytes).expect("text");
    assert_eq!(text, "a\n\"\"\n");
}

#[test]
fn lines_pass_as_they_are_and_may_be_compressed() {
    let given = [r#"{"id" : 1.50,"x":"\u00e9"}"#, "{}"];
    let plain = write(SCHEMA, Options::default(), rows(&given));
    assert_eq!(plain.bytes, format!("{}\n{}\n", given[0], given[1]).into_bytes());
    let gzip = Options { compression: Compression::Gzip, ..Options::default() };
    let file = write(SCHEMA, gzip, rows(&given));
    let mut text = Vec::new();
    GzDecoder::new(&*file.bytes).read_to_end(&mut text).expect("gzip");
    assert_eq!(text, plain.bytes);
}

#[test]
fn what_cannot_be_is_refused() {
    let refused = |schema: &str, options: Options| {
        let failure = Table::new(&stream(schema), options).expect_err("it is refused");
        assert_eq!(failure.kind, FailureKind::Config);
        assert!(failure.stream.is_some());
        failure.message
    };
    assert!(refused("{}", csv(false)).contains("no columns"));
    let ours = r#"{"properties":{"_airbyte_meta":{}}}"#;
    assert!(refused(ours, parquet(true)).contains("_airbyte_meta"));
    assert!(Table::new(&stream(ours), parquet(false)).is_ok());
    assert!(refused("[]", Options::default()).contains("cannot be read"));
    assert!(Options { compression: Compression::Gzip, ..parquet(true) }.check().is_err());
}

#[test]
fn failures_come_through_as_they_were() {
    struct Full;

    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(Failure::transient("no space is left").into())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    for options in [csv(false), parquet(false)] {
        let table = Table::new(&stream(SCHEMA), options).expect("a table");
        let failure =
            FileWriter::new(&table, Full).map(FileWriter::finish).and_then(|end| end.map(drop));
        let failure = failure.expect_err("it is full");
        assert_eq!(failure, Failure::transient("no space is left"));
    }
}
