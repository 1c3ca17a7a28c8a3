//! Reads a file of JSON lines, for measuring what is around it: rows go on as they are in the file.

use lockgate_sdk::bindings::types::Rows;
use lockgate_sdk::fs::{Directory, File, Open};
use lockgate_sdk::{
    BATCH_BYTES, Catalog, Failure, Output, SavedState, Source, Spec, Stream, StreamOutput,
    export_source,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which file, and what is in it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The folder, as it was granted.
    pub directory: String,
    /// The file's name.
    pub file: String,
    /// The stream's name.
    #[serde(default = "rows")]
    pub stream: String,
    /// JSON Schema of a row.
    pub json_schema: serde_json::Value,
    /// The member that no two rows share.
    pub primary_key: Option<String>,
    /// A checkpoint follows each time so many bytes were read.
    #[serde(default = "bytes_per_checkpoint")]
    pub bytes_per_checkpoint: u64,
}

fn rows() -> String {
    "rows".into()
}

fn bytes_per_checkpoint() -> u64 {
    32 << 20
}

/// The source.
#[derive(Debug)]
pub struct SourceLines;

#[derive(Serialize, Deserialize)]
struct State {
    offset: u64,
}

fn broken(error: impl std::fmt::Display) -> Failure {
    Failure::system(error.to_string())
}

impl Source for SourceLines {
    type Config = Config;

    fn spec() -> Spec {
        Spec::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
    }

    fn check(config: Config) -> Result<(), Failure> {
        open(&config).map(drop)
    }

    fn discover(config: Config) -> Result<Vec<Stream>, Failure> {
        // What is new is what is behind the place where the last read ended.
        let stream = Stream::new(config.stream, config.json_schema).incremental().resumable();
        let mut stream = stream.source_defined_cursor(Vec::<String>::new());
        if let Some(key) = &config.primary_key {
            stream = stream.primary_key([[key.as_str()]]);
        }
        Ok(vec![stream])
    }

    fn read(
        config: Config,
        catalog: &Catalog,
        state: &SavedState,
        output: &mut Output<'_>,
    ) -> Result<(), Failure> {
        for (index, stream) in catalog.streams.iter().enumerate() {
            let saved: Option<State> = state.stream(&stream.descriptor)?;
            let start = saved.map_or(0, |state| state.offset);
            read(&config, index, start, &mut output.stream(index)?)?;
        }
        Ok(())
    }
}

export_source!(SourceLines);

fn open(config: &Config) -> Result<File, Failure> {
    let directory = Directory::open(&config.directory).map_err(broken)?;
    directory.open_file(&config.file, Open::Read).map_err(broken)
}

fn read(
    config: &Config,
    index: usize,
    start: u64,
    stream: &mut StreamOutput<'_>,
) -> Result<(), Failure> {
    let file = open(config)?;
    let mut buffer = vec![0; 4 * BATCH_BYTES];
    let (mut offset, mut checkpoint) = (start, start);
    loop {
        let length = file.read_at(&mut buffer, offset).map_err(broken)?;
        let lines = &buffer[..length];
        let Some(end) = lines.iter().rposition(|byte| *byte == b'\n') else {
            if length == buffer.len() {
                return Err(Failure::system("a line is longer than the buffer"));
            }
            break;
        };
        let data = &lines[..=end];
        offset += data.len() as u64;
        let count = data.iter().filter(|byte| **byte == b'\n').count();
        stream.write_batch(&Rows {
            stream: u32::try_from(index).map_err(broken)?,
            count: u32::try_from(count).map_err(broken)?,
            data: data.to_vec(),
            emitted_at: Vec::new(),
            meta: Vec::new(),
        })?;
        if offset - checkpoint >= config.bytes_per_checkpoint {
            stream.checkpoint(&State { offset })?;
            checkpoint = offset;
        }
    }
    stream.checkpoint(&State { offset })?;
    stream.complete()
}
