//! Emits rows as fast as possible, for measuring what is around it.

use lockgate_sdk::bindings::types::Rows;
use lockgate_sdk::{
    BATCH_BYTES, Catalog, Failure, Output, SavedState, Source, Spec, Stream, StreamOutput,
    export_source,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many rows of which size.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How many rows there are.
    pub rows: u64,
    /// The length of a row, its line feed included.
    #[schemars(range(min = 32))]
    pub row_bytes: usize,
    /// What a row is made of.
    pub shape: Shape,
    /// A checkpoint follows each time so many rows were emitted.
    #[schemars(range(min = 1))]
    pub rows_per_checkpoint: u64,
}

/// What a row is made of.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// A number and a long text: little for a parser to do.
    #[default]
    Text,
    /// A dozen members, an object and an array among them, and a text: as rows of a table are.
    Members,
}

impl Default for Config {
    fn default() -> Self {
        let shape = Shape::default();
        Self { rows: 1_000_000, row_bytes: 300, shape, rows_per_checkpoint: 100_000 }
    }
}

/// The source.
#[derive(Debug)]
pub struct SourceRows;

#[derive(Serialize, Deserialize)]
struct State {
    rows: u64,
}

impl Source for SourceRows {
    type Config = Config;

    fn spec() -> Spec {
        Spec::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
    }

    fn check(_: Config) -> Result<(), Failure> {
        Ok(())
    }

    fn discover(_: Config) -> Result<Vec<Stream>, Failure> {
        let schema = serde_json::json!({
            "type": "object",
            "properties": { "id": { "type": "integer" }, "text": { "type": "string" } },
        });
        Ok(vec![Stream::new("rows", schema).incremental().resumable()])
    }

    fn read(
        config: Config,
        catalog: &Catalog,
        state: &SavedState,
        output: &mut Output<'_>,
    ) -> Result<(), Failure> {
        for (index, stream) in catalog.streams.iter().enumerate() {
            let saved: Option<State> = state.stream(&stream.descriptor)?;
            let start = saved.map_or(0, |state| state.rows);
            emit(&config, index, start, &mut output.stream(index)?)?;
        }
        Ok(())
    }
}

export_source!(SourceRows);

fn emit(
    config: &Config,
    index: usize,
    start: u64,
    stream: &mut StreamOutput<'_>,
) -> Result<(), Failure> {
    let row = row(config.shape, config.row_bytes)?;
    let full = (BATCH_BYTES / row.len()).max(1);
    let mut batch = batch(index, &row, full)?;
    let mut done = start;
    while done < config.rows {
        let next_checkpoint = config.rows.min(
            (done / config.rows_per_checkpoint.max(1) + 1) * config.rows_per_checkpoint.max(1),
        );
        while done + full as u64 <= next_checkpoint {
            stream.write_batch(&batch)?;
            done += full as u64;
        }
        let rest = usize::try_from(next_checkpoint - done).unwrap_or(full);
        if rest > 0 {
            // The full batch comes back at once: only its length changes.
            batch.data.truncate(rest * row.len());
            batch.count = rest as u32;
            stream.write_batch(&batch)?;
            batch.data = row.repeat(full);
            batch.count = full as u32;
            done = next_checkpoint;
        }
        stream.checkpoint(&State { rows: done })?;
    }
    stream.complete()
}

fn row(shape: Shape, bytes: usize) -> Result<Vec<u8>, Failure> {
    const TEXT: &[u8] = br#"{"id":1234567890,"text":""#;
    const MEMBERS: &[u8] = br#"{"id":1234567890,"name":"Name 1","email":"user1@example.com","address":{"street":"Main Street","city":"Springfield","zip":"12345"},"created_at":"2024-04-08T18:07:20+00:00","score":1.5,"tags":["a","b"],"active":true,"text":""#;
    const END: &[u8] = b"\"}\n";
    let start = match shape {
        Shape::Text => TEXT,
        Shape::Members => MEMBERS,
    };
    let least = start.len() + END.len();
    let text = bytes.checked_sub(least).ok_or_else(|| {
        Failure::config(format!("`row_bytes` must be at least {least} for rows of this shape"))
    })?;
    Ok([start, &b"x".repeat(text), END].concat())
}

fn batch(index: usize, row: &[u8], rows: usize) -> Result<Rows, Failure> {
    let too_large = |_| Failure::system("a batch is too large");
    Ok(Rows {
        stream: u32::try_from(index).map_err(too_large)?,
        count: u32::try_from(rows).map_err(too_large)?,
        data: row.repeat(rows),
        emitted_at: Vec::new(),
        meta: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use lockgate_sdk::testing;

    use super::SourceRows;

    #[test]
    fn rows_have_their_length() {
        let catalog = testing::catalog([testing::stream("rows")]);
        let config = r#"{"rows":2,"row_bytes":300,"shape":"members"}"#;
        let run = testing::read::<SourceRows>(config, &catalog, Vec::new());
        assert_eq!(run.sink.data(0).len(), 600);
        assert!(run.sink.rows(0)[0]["tags"].is_array());
    }

    #[test]
    fn counts_add_up() {
        let catalog = testing::catalog([testing::stream("rows")]);
        let config = r#"{"rows":2500,"row_bytes":100,"rows_per_checkpoint":1000}"#;
        let run = testing::read::<SourceRows>(config, &catalog, Vec::new());
        assert_eq!(run.result, Ok(()));
        assert_eq!(run.sink.rows(0).len(), 2500);
        assert_eq!(run.sink.data(0).len(), 250_000);
        assert_eq!(run.sink.states().count(), 3);
    }
}
