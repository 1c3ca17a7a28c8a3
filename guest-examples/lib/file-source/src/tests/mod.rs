//! The connector as a whole, natively: on files of a folder, and on a server of this machine.

#![expect(unreachable_pub, reason = "what the macro makes is public where a component has it")]

mod csv;
mod damage;
mod http;
mod incremental;
mod jsonl;
mod parquet;

use std::io::Write as _;
use std::path::Path;

use lockgate_sdk::bindings::types::State;
use lockgate_sdk::testing::{self, Sink, SourceRun};
use lockgate_sdk::{
    Catalog, ConfiguredStream, Failure, Output, SavedState, Source, Spec, Stream, SyncMode, source,
};
use serde_json::{Value, json};

configuration! {
    /// What both components have.
    config {
        path: String,
        #[serde(default)]
        hosts: Vec<String>,
    }
    stream {
        #[serde(default)]
        files: Vec<String>,
        #[serde(default)]
        urls: Vec<String>,
    }
}

impl Config {
    fn files(&self) -> crate::Config {
        let settings = self.settings(|given, stream| {
            stream.files.clone_from(&given.files);
            stream.urls.clone_from(&given.urls);
        });
        let servers = Some(crate::http_servers());
        let path = Some(self.path.clone());
        crate::Config { path, hosts: self.hosts.clone(), servers, ..settings }
    }
}

/// A source of both.
struct Files;

impl Source for Files {
    type Config = Config;

    fn spec() -> Spec {
        Spec::new("files", "0.0.0")
    }

    fn check(config: Config) -> Result<(), Failure> {
        crate::check(&config.files())
    }

    fn discover(config: Config) -> Result<Vec<Stream>, Failure> {
        crate::discover(&config.files())
    }

    fn read(
        config: Config,
        catalog: &Catalog,
        state: &SavedState,
        output: &mut Output<'_>,
    ) -> Result<(), Failure> {
        crate::read(&config.files(), catalog, state, output)
    }
}

/// A folder with files, and a configuration of one stream.
struct Scene {
    folder: tempfile::TempDir,
    /// The stream's settings.
    stream: Value,
    /// Members beside `path` and `streams`.
    more: Value,
}

impl Scene {
    fn new(format: &str, files: &[&str]) -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            stream: json!({ "name": "rows", "format": format, "files": files }),
            more: json!({}),
        }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, bytes).expect("a file");
    }

    fn append(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path().join(name);
        let mut file = std::fs::OpenOptions::new().append(true).open(path).expect("a file");
        file.write_all(bytes.as_ref()).expect("written");
    }

    fn config(&self) -> String {
        let mut config = json!({
            "path": self.path().to_str().expect("a path"), "streams": [self.stream],
        });
        for (name, value) in self.more.as_object().expect("members") {
            config[name] = value.clone();
        }
        config.to_string()
    }

    /// The properties that discover finds.
    fn properties(&self) -> Result<Value, Failure> {
        let streams = source::discover::<Files>(&self.config())?;
        let schema: Value = serde_json::from_str(&streams[0].json_schema).expect("a schema");
        Ok(schema["properties"].clone())
    }

    /// Reads the stream as it is discovered.
    fn read(&self, mode: SyncMode, state: Option<&State>) -> SourceRun {
        self.read_into(mode, state, Sink::default())
    }

    fn read_into(&self, mode: SyncMode, state: Option<&State>, sink: Sink) -> SourceRun {
        let streams = source::discover::<Files>(&self.config()).expect("streams");
        let stream = ConfiguredStream {
            json_schema: streams[0].json_schema.clone(),
            sync_mode: mode,
            ..testing::stream("rows")
        };
        let state = state.cloned().into_iter().collect();
        testing::read_into::<Files>(&self.config(), &testing::catalog([stream]), state, sink)
    }

    /// All rows of a full refresh that works.
    #[track_caller]
    fn rows(&self) -> Vec<Value> {
        let run = self.read(SyncMode::FullRefresh, None);
        assert_eq!(run.result, Ok(()));
        run.sink.rows(0)
    }

    /// Reads incrementally, and gives the rows, the last state and the warnings.
    #[track_caller]
    fn next(&self, state: Option<&State>) -> (Vec<Value>, State, Vec<String>) {
        let run = self.read(SyncMode::Incremental, state);
        assert_eq!(run.result, Ok(()));
        let state = run.sink.states().last().expect("a state").clone();
        (run.sink.rows(0), state, warnings(&run))
    }

    /// What a full refresh fails with.
    #[track_caller]
    fn failure(&self) -> String {
        match self.read(SyncMode::FullRefresh, None).result {
            Ok(()) => panic!("it did not fail"),
            Err(failure) => failure.message,
        }
    }
}

fn warnings(run: &SourceRun) -> Vec<String> {
    let warned = run.logs.iter().filter(|(level, _)| format!("{level:?}").contains("Warn"));
    warned.map(|(_, text)| text.clone()).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("compressed");
    encoder.finish().expect("compressed")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

/// The integers of a member, in order.
fn numbers(rows: &[Value], member: &str) -> Vec<i64> {
    rows.iter().map(|row| row[member].as_i64().expect("an integer")).collect()
}

#[test]
fn files_are_found_by_patterns_and_read_in_order() {
    let mut scene = Scene::new("jsonl", &["a/*.jsonl", "b/**/[xy]?.{jsonl,json}"]);
    for (number, name) in [
        (4, "b/c/x1.json"),
        (3, "b/c/d/y2.jsonl"),
        (1, "a/1.jsonl"),
        (2, "a/2.jsonl"),
        (5, "b/x1.json"),
        (0, "a/deeper/1.jsonl"),
        (0, "b/z1.json"),
        (0, "c/1.jsonl"),
        (0, "1.jsonl"),
    ] {
        scene.write(name, format!("{{\"n\":{number}}}\n"));
    }
    scene.more = json!({ "add_file_columns": true });
    let rows = scene.rows();
    assert_eq!(numbers(&rows, "n"), [1, 2, 3, 4, 5]);
    assert_eq!(rows[3], json!({ "n": 4, "_file": "b/c/x1.json", "_row": 1 }));
}

#[test]
fn check_says_what_is_missing() {
    let mut scene = Scene::new("csv", &["*.csv"]);
    let check = |scene: &Scene| source::check::<Files>(&scene.config()).map_err(|f| f.message);
    let message = check(&scene).expect_err("no file");
    assert!(message.contains("stream rows: no file matches *.csv"), "{message}");
    scene.write("a.csv", "a,b\n1,2\n");
    assert_eq!(check(&scene), Ok(()));
    scene.stream["files"] = json!(["../*.csv"]);
    assert!(check(&scene).expect_err("it leads out").contains("without .."));
    scene.stream["files"] = json!(["[a.csv"]);
    assert!(check(&scene).expect_err("no pattern").contains("the pattern [a.csv"));
    scene.stream["files"] = json!(["*.csv"]);
    scene.more = json!({ "path": "/there/is/no/such/folder" });
    let message = check(&scene).expect_err("no grant");
    assert_eq!(
        message,
        "directory /there/is/no/such/folder is not granted: pass --allow-dir \
         HOST_DIR::/there/is/no/such/folder:ro (in sync: --source-allow-dir)"
    );
    scene.more = json!({});
    scene.stream["format"] = json!("parquet");
    assert!(check(&scene).expect_err("CSV").contains("a.csv is not Parquet"));
}

#[test]
fn a_stream_that_is_not_configured_is_refused() {
    let scene = Scene::new("csv", &["*.csv"]);
    let catalog = testing::catalog([testing::stream("other")]);
    let run = testing::read::<Files>(&scene.config(), &catalog, Vec::new());
    let failure = run.result.expect_err("there is no such stream");
    assert!(failure.message.contains("there is no stream other"), "{}", failure.message);
}
