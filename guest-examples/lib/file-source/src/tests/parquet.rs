//! Parquet: every type, exactly; checkpoints within a file.

use std::sync::Arc;

use ::parquet::arrow::ArrowWriter;
use ::parquet::basic::{Compression, GzipLevel};
use ::parquet::file::properties::WriterProperties;
use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Decimal256Array,
    Float32Array, Float64Array, Int64Array, ListArray, RecordBatch, StringArray, StructArray,
    Time64MicrosecondArray, TimestampMicrosecondArray, TimestampMillisecondArray,
    TimestampNanosecondArray, UInt64Array,
};
use arrow_schema::{DataType, Field};

use super::*;

fn file(columns: Vec<(&str, ArrayRef)>, compression: Compression, group: usize) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, array)| (name, array, true)),
    )
    .expect("a batch");
    let properties = WriterProperties::builder()
        .set_compression(compression)
        .set_max_row_group_row_count(Some(group))
        .build();
    let mut writer =
        ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).expect("a writer");
    writer.write(&batch).expect("written");
    writer.into_inner().expect("a file")
}

/// A file with some row groups, and its rows.
pub(super) fn sample_file(rows: i64) -> (Vec<u8>, Vec<Value>) {
    let numbers = Int64Array::from_iter_values(0..rows);
    let texts = StringArray::from_iter((0..rows).map(|n| (n % 3 > 0).then(|| format!("text {n}"))));
    let columns: Vec<(&str, ArrayRef)> = vec![("n", Arc::new(numbers)), ("t", Arc::new(texts))];
    let row = |n: i64| {
        let text = if n % 3 > 0 { json!(format!("text {n}")) } else { Value::Null };
        json!({ "n": n, "t": text })
    };
    (file(columns, Compression::SNAPPY, 1000), (0..rows).map(row).collect())
}

#[test]
fn every_type_is_exact() {
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>([
        Some(vec![Some(1), None]),
        None,
        Some(vec![]),
    ]);
    let record = StructArray::from(vec![
        (
            Arc::new(Field::new("x", DataType::Int64, true)),
            Arc::new(Int64Array::from(vec![Some(1), None, Some(3)])) as ArrayRef,
        ),
        (
            Arc::new(Field::new("y\"", DataType::Utf8, true)),
            Arc::new(StringArray::from(vec![Some("a"), Some("b"), None])) as ArrayRef,
        ),
    ]);
    let decimal = Decimal128Array::from(vec![Some(-5), Some(12_345_678_901_234_567_890_123), None])
        .with_precision_and_scale(30, 3)
        .expect("a decimal");
    let wide = Decimal256Array::from(vec![
        Some(arrow_array_i256("-1234567890123456789012345678901234567890123456789")),
        Some(arrow_array_i256("7")),
        None,
    ])
    .with_precision_and_scale(60, 2)
    .expect("a decimal");
    let micros = vec![Some(-1), Some(1_704_164_645_000_001), None];
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("i", Arc::new(Int64Array::from(vec![Some(i64::MIN), Some(9_007_199_254_740_993), None]))),
        ("u", Arc::new(UInt64Array::from(vec![Some(u64::MAX), Some(0), None]))),
        ("f", Arc::new(Float32Array::from(vec![Some(0.1), Some(f32::INFINITY), None]))),
        ("d", Arc::new(Float64Array::from(vec![Some(0.1), Some(1e300), None]))),
        ("b", Arc::new(BooleanArray::from(vec![Some(true), Some(false), None]))),
        ("s", Arc::new(StringArray::from(vec![Some("a\"\né"), Some(""), None]))),
        ("bin", Arc::new(BinaryArray::from(vec![Some(&b"\x00\xff"[..]), Some(b""), None]))),
        ("day", Arc::new(Date32Array::from(vec![Some(19_782), Some(-719_163), None]))),
        ("time", Arc::new(Time64MicrosecondArray::from(vec![Some(1), Some(86_399_999_999), None]))),
        ("ts", Arc::new(TimestampMicrosecondArray::from(micros.clone()))),
        ("tz", Arc::new(TimestampMicrosecondArray::from(micros).with_timezone("Europe/Berlin"))),
        ("ms", Arc::new(TimestampMillisecondArray::from(vec![Some(0), Some(1), None]))),
        ("ns", Arc::new(TimestampNanosecondArray::from(vec![Some(0), Some(1), None]))),
        ("dec", Arc::new(decimal)),
        ("wide", Arc::new(wide)),
        ("list", Arc::new(list)),
        ("record", Arc::new(record)),
    ];
    let scene = Scene::new("parquet", &["*.parquet"]);
    let gzip = Compression::GZIP(GzipLevel::default());
    scene.write("a.parquet", file(columns, gzip, 1000));
    let run = scene.read(SyncMode::FullRefresh, None);
    assert_eq!(run.result, Ok(()));
    let data = String::from_utf8(run.sink.data(0)).expect("a text");
    let lines: Vec<&str> = data.lines().collect();
    assert_eq!(
        lines,
        [
            concat!(
                r#"{"i":-9223372036854775808,"u":18446744073709551615,"f":0.1,"d":0.1,"b":true,"#,
                r#""s":"a\"\né","bin":"AP8=","day":"2024-02-29","time":"00:00:00.000001","#,
                r#""ts":"1969-12-31T23:59:59.999999","tz":"1969-12-31T23:59:59.999999Z","#,
                r#""ms":"1970-01-01T00:00:00.000","ns":"1970-01-01T00:00:00.000000000","#,
                r#""dec":-0.005,"wide":-12345678901234567890123456789012345678901234567.89,"#,
                r#""list":[1,null],"record":{"x":1,"y\"":"a"}}"#
            ),
            concat!(
                r#"{"i":9007199254740993,"u":0,"f":null,"d":1e+300,"b":false,"#,
                r#""s":"","bin":"","day":"0001-12-31 BC","time":"23:59:59.999999","#,
                r#""ts":"2024-01-02T03:04:05.000001","tz":"2024-01-02T03:04:05.000001Z","#,
                r#""ms":"1970-01-01T00:00:00.001","ns":"1970-01-01T00:00:00.000000001","#,
                r#""dec":12345678901234567890.123,"wide":0.07,"#,
                r#""list":null,"record":{"x":null,"y\"":"b"}}"#
            ),
            concat!(
                r#"{"i":null,"u":null,"f":null,"d":null,"b":null,"s":null,"bin":null,"day":null,"#,
                r#""time":null,"ts":null,"tz":null,"ms":null,"ns":null,"dec":null,"wide":null,"#,
                r#""list":[],"record":{"x":3,"y\"":null}}"#
            ),
        ]
    );
    let batch = run.sink.batches(0).next().expect("a batch");
    assert_eq!(batch.meta.len(), 1);
    assert!(batch.meta[0].meta.contains(r#""field":"f""#), "{}", batch.meta[0].meta);
    let properties = scene.properties().expect("properties");
    assert_eq!(properties["tz"]["airbyte_type"], "timestamp_with_timezone");
    assert_eq!(properties["ts"]["airbyte_type"], "timestamp_without_timezone");
    assert_eq!(properties["bin"]["contentEncoding"], "base64");
    assert_eq!(properties["list"]["items"], json!({ "type": ["null", "integer"] }));
}

fn arrow_array_i256(
    text: &str,
) -> <arrow_array::types::Decimal256Type as arrow_array::types::ArrowPrimitiveType>::Native {
    text.parse().expect("a number")
}

#[test]
fn only_configured_columns_and_those_about_the_file() {
    let mut scene = Scene::new("parquet", &["*.parquet"]);
    scene.more = json!({ "add_file_columns": true });
    scene.write("a.parquet", sample_file(2).0);
    let stream = ConfiguredStream {
        json_schema: json!({ "properties": {
            "t": { "type": "string" }, "gone": { "type": "string" },
            "_file": { "type": "string" }, "_row": { "type": "integer" },
        } })
        .to_string(),
        ..testing::stream("rows")
    };
    let run = testing::read::<Files>(&scene.config(), &testing::catalog([stream]), Vec::new());
    assert_eq!(run.result, Ok(()));
    assert_eq!(
        run.sink.rows(0),
        [
            json!({ "t": null, "gone": null, "_file": "a.parquet", "_row": 1 }),
            json!({ "t": "text 1", "gone": null, "_file": "a.parquet", "_row": 2 }),
        ]
    );
}

#[test]
fn from_every_checkpoint_the_rest_comes() {
    let mut scene = Scene::new("parquet", &["*.parquet"]);
    scene.more = json!({ "checkpoint_mib": 1 });
    let texts = StringArray::from_iter_values(
        (0..8000).map(|n: i32| format!("{n}{}", "x".repeat(1000 + n as usize % 7))),
    );
    let numbers_ = Int64Array::from_iter_values(0..8000);
    let columns: Vec<(&str, ArrayRef)> = vec![("n", Arc::new(numbers_)), ("t", Arc::new(texts))];
    scene.write("a.parquet", file(columns, Compression::UNCOMPRESSED, 5000));
    scene.write("b.parquet", sample_file(10).0);
    let run = scene.read(SyncMode::Incremental, None);
    assert_eq!(run.result, Ok(()));
    let mut rows = 0;
    let mut count = 0;
    for emitted in &run.sink.emitted {
        match emitted {
            testing::Emitted::Rows(batch) => rows += i64::from(batch.count),
            testing::Emitted::Checkpoint(_, state) => {
                count += 1;
                let rest = scene.read(SyncMode::Incremental, Some(state));
                assert_eq!(rest.result, Ok(()));
                let expected: Vec<i64> = (0..8000).chain(0..10).skip(rows as usize).collect();
                assert_eq!(numbers(&rest.sink.rows(0), "n"), expected);
            }
            _ => {}
        }
    }
    assert!(count > 3, "{count} checkpoints");
}

#[test]
fn damaged_files_are_told() {
    let scene = Scene::new("parquet", &["*.parquet"]);
    let (bytes, _) = sample_file(100);
    for cut in [0, 3, 7, bytes.len() / 2, bytes.len() - 1] {
        scene.write("a.parquet", &bytes[..cut]);
        let failure = scene.properties().expect_err("it is cut").message;
        assert!(failure.contains("a.parquet is not Parquet, or it is damaged"), "{failure}");
    }
}

/// Written by pyarrow, with pages of either version: `i` from 0 on, `s` a text or null, `l` a list.
#[test]
fn pages_of_zstd_are_read() {
    for bytes in [&include_bytes!("zstd-v1.parquet")[..], include_bytes!("zstd-v2.parquet")] {
        let scene = Scene::new("parquet", &["*.parquet"]);
        scene.write("a.parquet", bytes);
        let row = |n: i64| {
            let text = if n % 3 == 0 { Value::Null } else { json!(format!("text {}", n % 5)) };
            json!({ "i": n, "s": text, "l": [n, null], "n": null })
        };
        assert_eq!(scene.rows(), (0..1000).map(row).collect::<Vec<_>>());
    }
}
