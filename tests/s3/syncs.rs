//! Whole syncs, from a component to the component.

use arrow_array::cast::AsArray as _;
use arrow_array::types::Int64Type;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

use crate::common::guest;
use crate::scene::{Scene, complete, record, state, stream};

/// The rows that source-faker makes up, as another destination has them.
fn made_up(scene: &Scene, count: u32) -> Vec<String> {
    let out = scene.folder.path().join(format!("out-{count}"));
    std::fs::create_dir(&out).expect("a folder");
    let mut command = scene.folder.lockgate();
    command.args(["sync", "--quiet", "--state", "none", "--streams", "users", "--source"]);
    command.arg(guest("source-faker")).arg("--source-config");
    command.arg(json!({ "count": count }).to_string()).arg("--destination");
    command.arg(guest("destination-jsonl")).args(["--destination-config", r#"{"path": "/out"}"#]);
    command.arg("--destination-allow-dir").arg(format!("{}::/out:rw", out.display()));
    command.assert().success();
    let text = std::fs::read_to_string(out.join("users.jsonl")).expect("it was written");
    text.lines().map(ToOwned::to_owned).collect()
}

#[test]
fn rows_arrive_as_they_are_sent() {
    let scene = Scene::new();
    scene.sync(30, &["--strategy", "append"]);
    assert_eq!(scene.lines("users"), made_up(&scene, 30));
    scene.assert_all_named("users");
    // What is new is added.
    scene.sync(50, &["--strategy", "append"]);
    assert_eq!(scene.lines("users"), made_up(&scene, 50));
    assert_eq!(scene.objects().len(), 2);
    // And all again, in place of what is there.
    scene.sync(10, &["--strategy", "replace"]);
    assert_eq!(scene.lines("users"), made_up(&scene, 10));
    scene.assert_all_named("users");
}

#[test]
fn columns_have_the_values_of_the_rows() {
    let mut scene = Scene::new();
    scene.config = json!({"format": "parquet"});
    scene.sync(100, &["--strategy", "append"]);
    let [key] = &scene.named("users")[..] else { panic!("one object") };
    let bytes = bytes::Bytes::from(scene.get(&format!("/{key}")));
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)
        .and_then(ParquetRecordBatchReaderBuilder::build)
        .expect("it is Parquet");
    let mut rows = Vec::new();
    for batch in reader {
        let batch = batch.expect("rows");
        let ids = batch.column_by_name("id").expect("id").as_primitive::<Int64Type>();
        let names = batch.column_by_name("name").expect("name").as_string::<i32>();
        rows.extend(ids.iter().zip(names.iter()).map(|(id, name)| json!([id, name])));
    }
    let expected = made_up(&scene, 100).into_iter().map(|line| {
        let row: Value = serde_json::from_str(&line).expect("a row is JSON");
        json!([row["id"], row["name"]])
    });
    assert_eq!(rows, expected.collect::<Vec<_>>());
}

/// Through the host's HTTP, whose bodies come in pieces of its own.
#[test]
fn a_large_object_comes_in_parts() {
    let mut scene = Scene::new();
    scene.config = json!({"part_bytes": 5 << 20});
    let mut text = String::new();
    for id in 0..200 {
        text += &record("items", &json!({"id": id, "text": "x".repeat(100_000)}));
    }
    text += &(state("items", 200) + &complete("items"));
    scene.write(&[stream("items", 1, 0)], text);
    assert_eq!(scene.ids("items"), (0..200).collect::<Vec<_>>());
    let [key] = &scene.named("items")[..] else { panic!("one object") };
    let url = format!("{}/{}/{key}", scene.endpoint, scene.bucket);
    let answer = ureq::head(url).call().expect("an answer");
    let tag = answer.headers()["etag"].to_str().expect("text");
    // S3 marks an object of parts so: 20 MB in parts of 5 MiB.
    assert!(tag.trim_matches('"').ends_with("-4"), "{tag}");
}

/// A refresh that drops what earlier generations left.
#[test]
fn a_refresh_replaces_what_was_appended() {
    let scene = Scene::new();
    scene.sync(30, &["--strategy", "append"]);
    scene.sync(20, &["--strategy", "append", "--refresh", "truncate"]);
    assert_eq!(scene.lines("users"), made_up(&scene, 20));
    scene.assert_all_named("users");
    scene.sync(20, &["--strategy", "append", "--clear"]);
    assert_eq!(scene.objects(), [""; 0]);
}

/// Rows that have few of many columns: as columns they are larger than as JSON, and a component has 256 MiB.
#[test]
fn many_columns_without_values_fit_into_memory() {
    let mut scene = Scene::new();
    scene.config = json!({"format": "parquet"});
    let mut wide = stream("wide", 1, 0);
    let columns = (0..300).map(|at| (format!("c{at}"), json!({"type": "integer"})));
    wide["stream"]["json_schema"]["properties"] = columns.collect::<serde_json::Map<_, _>>().into();
    let text = record("wide", &json!({"c1": 1})).repeat(150_000);
    scene.write(&[wide], text + &state("wide", 1) + &complete("wide"));
    let [key] = &scene.named("wide")[..] else { panic!("one object") };
    let bytes = bytes::Bytes::from(scene.get(&format!("/{key}")));
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).expect("it is Parquet");
    assert_eq!(reader.metadata().file_metadata().num_rows(), 150_000);
}
