use arrow_array::cast::AsArray as _;
use arrow_array::types::{Date32Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array as _, RecordBatch};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::*;
use crate::cache::SqliteCache;
use crate::protocol::{Catalog, EmittedAt, Rows};

const SCHEMA: &str = r#"{"properties":{"id":{"type":"integer"},"name":{"type":"string"},
    "exact":{"type":"number"},"double":{"type":"number"},"day":{"type":"string","format":"date"},
    "at":{"type":"string","format":"date-time"},"any":{},"is":{"type":"boolean"}}}"#;

const LINES: [&str; 3] = [
    r#"{"id":1,"name":"a,\"b\"\n","exact":50000.0000000000000001,"double":0.1,"day":"2024-02-29","at":"2024-02-29T10:00:00+02:00","any":{"x":[1]},"is":true}"#,
    r#"{"id":9223372036854775807,"name":"","exact":1,"double":2,"day":"soon"}"#,
    r"{}",
];

struct Scene {
    folder: tempfile::TempDir,
    cache: Arc<dyn RecordCache>,
}

impl Scene {
    fn new(lines: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cache = SqliteCache::open(&folder.path().join("c.db")).unwrap();
        let catalog = Catalog::from_airbyte(&format!(
            r#"{{"streams":[{{"stream":{{"name":"s","json_schema":{SCHEMA}}},"sync_mode":"full_refresh","destination_sync_mode":"append"}}]}}"#
        ));
        let mut writer = cache.fill("k", "k", &catalog.unwrap()).unwrap();
        for line in lines {
            let data = format!("{line}\n").into_bytes();
            let emitted_at = EmittedAt::All(1_700_000_000_123);
            let rows =
                Rows { stream: 0, count: 1, data, emitted_at, meta: Vec::new(), parsed: true };
            writer.rows(&rows).unwrap();
        }
        writer.end().unwrap();
        Self { folder, cache: Arc::new(cache) }
    }

    fn stream(&self) -> CachedStream {
        self.cache.streams(None).unwrap().remove(0)
    }

    fn export(&self, format: ExportFormat) -> (Exported, Vec<u8>) {
        let path = self.folder.path().join("out");
        let exported = export(&self.cache, &self.stream(), format, &path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(exported.bytes, bytes.len() as u64);
        (exported, bytes)
    }
}

fn column<'b>(batch: &'b RecordBatch, name: &str) -> &'b arrow_array::ArrayRef {
    batch.column_by_name(name).unwrap()
}

fn is_as_written(batch: &RecordBatch) {
    assert_eq!(batch.num_rows(), 3);
    let integers = column(batch, "id").as_primitive::<Int64Type>();
    assert_eq!((integers.value(0), integers.value(1)), (1, i64::MAX));
    assert!(integers.is_null(2));
    let names = column(batch, "name").as_string::<i32>();
    assert_eq!((names.value(0), names.value(1)), ("a,\"b\"\n", ""));
    // A double does not hold one of its numbers, so it is text, all digits.
    let exact = column(batch, "exact").as_string::<i32>();
    assert_eq!((exact.value(0), exact.value(1)), ("50000.0000000000000001", "1"));
    let doubles = column(batch, "double").as_primitive::<Float64Type>();
    assert_eq!((doubles.value(0), doubles.value(1)), (0.1, 2.0));
    let days = column(batch, "day").as_primitive::<Date32Type>();
    assert_eq!(days.value(0), 19_782);
    assert!(days.is_null(1));
    let at = column(batch, "at").as_primitive::<TimestampMicrosecondType>();
    assert_eq!(at.value(0), 1_709_193_600_000_000);
    assert_eq!(column(batch, "any").as_string::<i32>().value(0), r#"{"x":[1]}"#);
    assert!(column(batch, "is").as_boolean().value(0));
    let extracted = column(batch, "_airbyte_extracted_at");
    assert_eq!(
        extracted.as_primitive::<TimestampMicrosecondType>().value(0),
        1_700_000_000_123_000
    );
    let meta = column(batch, "_airbyte_meta").as_string::<i32>();
    assert_eq!(meta.value(0), r#"{"changes":[]}"#);
    assert!(meta.value(1).contains(r#""field":"day""#));
}

#[test]
fn json_lines_are_the_records() {
    let scene = Scene::new(&LINES);
    let (exported, bytes) = scene.export(ExportFormat::JsonLines);
    assert_eq!(exported.rows, 3);
    assert_eq!(String::from_utf8(bytes).unwrap(), format!("{}\n", LINES.join("\n")));
}

#[test]
fn csv_tells_nothing_from_empty_text() {
    let (_, bytes) = Scene::new(&LINES).export(ExportFormat::Csv);
    let expected = "id,name,exact,double,day,at,any,is\n\
        1,\"a,\"\"b\"\"\n\",50000.0000000000000001,0.1,2024-02-29,2024-02-29T08:00:00.000000Z,\"{\"\"x\"\":[1]}\",true\n\
        9223372036854775807,\"\",1,2,,,,\n,,,,,,,\n";
    // The schema is kept in the order of its names.
    let header = String::from_utf8(bytes.clone()).unwrap();
    let mut names: Vec<&str> = header.lines().next().unwrap().split(',').collect();
    names.sort_unstable();
    assert_eq!(names, ["any", "at", "day", "double", "exact", "id", "is", "name"]);
    assert_eq!(header.len(), expected.len());
    let (_, empty) = Scene::new(&[]).export(ExportFormat::Csv);
    assert_eq!(String::from_utf8(empty).unwrap().lines().count(), 1);
}

#[test]
fn parquet_is_read_back() {
    let (exported, bytes) = Scene::new(&LINES).export(ExportFormat::Parquet);
    assert_eq!(exported.rows, 3);
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).unwrap();
    let batches: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
    assert_eq!(batches.len(), 1);
    is_as_written(&batches[0]);
    let (_, empty) = Scene::new(&[]).export(ExportFormat::Parquet);
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(empty)).unwrap();
    assert_eq!(reader.build().unwrap().count(), 0);
}

#[test]
fn arrow_is_read_back() {
    let (_, bytes) = Scene::new(&LINES).export(ExportFormat::Arrow);
    let reader = arrow_ipc::reader::FileReader::try_new(std::io::Cursor::new(bytes), None).unwrap();
    let batches: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
    is_as_written(&batches[0]);
}

#[test]
fn what_is_there_stays_when_an_export_fails() {
    let scene = Scene::new(&LINES);
    let path = scene.folder.path().join("no/such/folder/out");
    let failed = export(&scene.cache, &scene.stream(), ExportFormat::Csv, &path);
    assert!(matches!(failed, Err(CacheError::Export { .. })));
    let path = scene.folder.path().join("kept");
    std::fs::write(&path, "before").unwrap();
    let stale = CachedStream { merged: true, ..scene.stream() };
    let stale = CachedStream {
        position: crate::cache::CachePosition { generation: 7, ..stale.position },
        ..stale
    };
    let failed = export(&scene.cache, &stale, ExportFormat::JsonLines, &path);
    assert!(matches!(failed, Err(CacheError::Replaced { .. })));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "before");
    assert_eq!(
        std::fs::read_dir(scene.folder.path())
            .unwrap()
            .filter(|e| { e.as_ref().unwrap().file_name().to_string_lossy().starts_with(".tmp") })
            .count(),
        0
    );
}
