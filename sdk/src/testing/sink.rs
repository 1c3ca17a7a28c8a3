//! Stands in for the host of a source.

use crate::Failure;
use crate::bindings::output::StreamStatus;
use crate::bindings::types::{Rows, State};
use crate::port::OutputPort;

/// What a source called.
#[derive(Clone, Debug, PartialEq)]
pub enum Emitted {
    /// A batch.
    Rows(Rows),
    /// A checkpoint; the first of a sink has the id 1.
    Checkpoint(u64, State),
    /// A stream's status.
    Status(u32, StreamStatus),
    /// A guess of a stream's size in rows and bytes.
    Estimate(u32, Option<u64>, Option<u64>),
}

/// Keeps what a source emits.
#[derive(Debug, Default)]
pub struct Sink {
    /// What was emitted, in order.
    pub emitted: Vec<Emitted>,
    checkpoints: u64,
    stop: Option<(u64, Failure)>,
}

impl Sink {
    /// Answers with a failure once `batches` batches were taken.
    #[must_use]
    pub fn stop_after(batches: u64, failure: Failure) -> Self {
        Self { stop: Some((batches, failure)), ..Self::default() }
    }

    /// The batches of a stream.
    pub fn batches(&self, stream: u32) -> impl Iterator<Item = &Rows> {
        self.emitted.iter().filter_map(move |emitted| match emitted {
            Emitted::Rows(rows) if rows.stream == stream => Some(rows),
            _ => None,
        })
    }

    /// All rows of a stream, as JSON lines.
    #[must_use]
    pub fn data(&self, stream: u32) -> Vec<u8> {
        self.batches(stream).flat_map(|rows| &rows.data).copied().collect()
    }

    /// All rows of a stream, parsed.
    ///
    /// # Panics
    /// A row is not JSON.
    #[must_use]
    pub fn rows(&self, stream: u32) -> Vec<serde_json::Value> {
        let data = self.data(stream);
        let rows = serde_json::Deserializer::from_slice(&data).into_iter();
        match rows.collect() {
            Ok(rows) => rows,
            Err(error) => panic!("a row of stream {stream} is not JSON: {error}"),
        }
    }

    /// The states of the checkpoints, in order.
    pub fn states(&self) -> impl Iterator<Item = &State> {
        self.emitted.iter().filter_map(|emitted| match emitted {
            Emitted::Checkpoint(_, state) => Some(state),
            _ => None,
        })
    }

    /// The statuses of a stream, in order.
    #[must_use]
    pub fn statuses(&self, stream: u32) -> Vec<StreamStatus> {
        let statuses = self.emitted.iter().filter_map(|emitted| match emitted {
            Emitted::Status(of, status) if *of == stream => Some(*status),
            _ => None,
        });
        statuses.collect()
    }
}

impl OutputPort for Sink {
    fn emit(&mut self, batch: &Rows) -> Result<(), Failure> {
        if let Some((left, failure)) = &mut self.stop {
            *left = left.checked_sub(1).ok_or_else(|| failure.clone())?;
        }
        self.emitted.push(Emitted::Rows(batch.clone()));
        Ok(())
    }

    fn checkpoint(&mut self, state: &State) -> Result<u64, Failure> {
        self.checkpoints += 1;
        self.emitted.push(Emitted::Checkpoint(self.checkpoints, state.clone()));
        Ok(self.checkpoints)
    }

    fn status(&mut self, stream: u32, status: StreamStatus) -> Result<(), Failure> {
        self.emitted.push(Emitted::Status(stream, status));
        Ok(())
    }

    fn estimate(&mut self, stream: u32, rows: Option<u64>, bytes: Option<u64>) {
        self.emitted.push(Emitted::Estimate(stream, rows, bytes));
    }
}
