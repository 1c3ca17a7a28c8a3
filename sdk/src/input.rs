//! What a destination reads from.

use std::fmt;
use std::sync::Arc;

use crate::Failure;
pub use crate::bindings::input::Outcome;
use crate::bindings::input::{self, StreamTotal};
use crate::bindings::types::{Catalog, StreamDescriptor};
use crate::port::InputPort;
use crate::rows::{Batch, Rows};

/// What comes next.
#[derive(Debug)]
pub enum Event {
    /// Consecutive rows of one stream.
    Rows(Rows),
    /// The source may restart here. Commit when it suits, with [`Input::commit`].
    Checkpoint(Checkpoint),
    /// No row of this stream follows.
    StreamEnd(StreamEnd),
    /// Nothing more for now: commit the last checkpoint.
    Flush,
}

/// No row of a stream follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamEnd {
    /// Index into the catalog's streams.
    pub stream: usize,
    /// Whether the source emitted every row. If not, keep what is committed and replace nothing.
    pub outcome: Outcome,
}

impl StreamEnd {
    /// Did the source emit every row?
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.outcome == Outcome::Complete
    }
}

/// A place in the input that can be committed, once. Committing one covers all earlier ones.
#[derive(Debug)]
pub struct Checkpoint {
    id: u64,
    /// How many checkpoints came before it.
    epoch: u64,
    received: Arc<[Received]>,
}

impl Checkpoint {
    /// The host's id of the checkpoint.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Received {
    rows: u64,
    bytes: u64,
}

/// Rows of one stream that were refused between two checkpoints.
#[derive(Clone, Copy, Debug)]
struct Refused {
    epoch: u64,
    stream: u32,
    rows: u64,
    bytes: u64,
}

/// What a destination reads from, and commits to.
///
/// It counts the rows, so a destination only says which it refused. Rows that are not refused by the
/// time their checkpoint is committed count as written. When `write` returns without a failure, the
/// last checkpoint is committed if the destination has not done it.
///
/// ```
/// use lockgate_sdk::{Event, Failure, Input};
///
/// /// Refuses rows that have no `id`.
/// fn write(input: &mut Input<'_>) -> Result<(), Failure> {
///     #[derive(serde::Deserialize)]
///     struct Row {
///         id: Option<u64>,
///     }
///
///     while let Some(event) = input.next()? {
///         match event {
///             Event::Rows(rows) => {
///                 for (line, row) in rows.lines().zip(rows.records::<Row>()) {
///                     if row?.id.is_none() {
///                         input.reject(rows.batch(), 1, line.len() as u64 + 1);
///                     }
///                 }
///             }
///             Event::Checkpoint(checkpoint) => input.commit(checkpoint)?,
///             Event::StreamEnd(_) | Event::Flush => {}
///         }
///     }
///     Ok(())
/// }
/// # let _ = write;
/// ```
pub struct Input<'p> {
    port: &'p mut dyn InputPort,
    streams: Vec<StreamDescriptor>,
    received: Vec<Received>,
    refused: Vec<Refused>,
    /// Refused rows that a commit has covered.
    rejected: Vec<Received>,
    epoch: u64,
    last: Option<Checkpoint>,
    committed: Option<u64>,
    ended: bool,
    failure: Option<Failure>,
}

impl<'p> Input<'p> {
    pub(crate) fn new(catalog: &Catalog, port: &'p mut dyn InputPort) -> Self {
        let count = catalog.streams.len();
        Self {
            port,
            streams: catalog.streams.iter().map(|stream| stream.descriptor.clone()).collect(),
            received: vec![Received::default(); count],
            refused: Vec::new(),
            rejected: vec![Received::default(); count],
            epoch: 0,
            last: None,
            committed: None,
            ended: false,
            failure: None,
        }
    }

    /// Waits for the next event. None: all streams are complete and the last checkpoint was given;
    /// finish and return.
    ///
    /// # Errors
    /// The host's: commit nothing more, finish nothing, return it.
    #[expect(
        clippy::should_implement_trait,
        reason = "an Iterator would put the failure inside the Option, where `?` cannot reach it"
    )]
    pub fn next(&mut self) -> Result<Option<Event>, Failure> {
        self.alive()?;
        let Some(event) = self.port.next().map_err(|failure| self.fail(failure))? else {
            self.ended = true;
            return Ok(None);
        };
        Ok(Some(match event {
            input::Event::Rows(rows) => {
                let stream = rows.stream as usize;
                let Some(received) = self.received.get_mut(stream) else {
                    return Err(self.fail(Failure::system(format!(
                        "the host sent rows of stream {stream}, which the catalog does not have"
                    ))));
                };
                received.rows += u64::from(rows.count);
                received.bytes += rows.data.len() as u64;
                Event::Rows(Rows::new(rows, self.epoch))
            }
            input::Event::Checkpoint(id) => {
                let checkpoint = |received| Checkpoint { id, epoch: self.epoch, received };
                let received: Arc<[Received]> = self.received.as_slice().into();
                let event = Event::Checkpoint(checkpoint(received.clone()));
                self.last = Some(checkpoint(received));
                self.epoch += 1;
                event
            }
            input::Event::StreamEnd(end) => {
                Event::StreamEnd(StreamEnd { stream: end.stream as usize, outcome: end.outcome })
            }
            input::Event::Flush => Event::Flush,
        }))
    }

    /// Says that rows of a batch were refused and not written. `bytes` counts their data, line feeds
    /// included. Call it before the first checkpoint after the batch is committed.
    pub fn reject(&mut self, batch: Batch, rows: u64, bytes: u64) {
        self.refused.push(Refused { epoch: batch.epoch, stream: batch.stream, rows, bytes });
    }

    /// Says that everything before the checkpoint is durable, but for the rows refused. Returns once
    /// the host stored the source's state.
    ///
    /// # Errors
    /// The host's: return it. `system` when a later checkpoint was committed already, or more rows
    /// were refused than received.
    pub fn commit(&mut self, checkpoint: Checkpoint) -> Result<(), Failure> {
        self.alive()?;
        if self.committed.is_some_and(|last| checkpoint.id <= last) {
            return Err(Failure::system(format!(
                "the destination committed checkpoint {} after a later one",
                checkpoint.id
            )));
        }
        for refused in self.refused.extract_if(.., |refused| refused.epoch <= checkpoint.epoch) {
            if let Some(rejected) = self.rejected.get_mut(refused.stream as usize) {
                rejected.rows += refused.rows;
                rejected.bytes += refused.bytes;
            }
        }
        let mut totals = Vec::new();
        for (stream, (received, rejected)) in
            (0..).zip(checkpoint.received.iter().zip(&self.rejected))
        {
            if received.rows == 0 {
                continue;
            }
            let (Some(written), Some(bytes)) = (
                received.rows.checked_sub(rejected.rows),
                received.bytes.checked_sub(rejected.bytes),
            ) else {
                let descriptor = &self.streams[stream as usize];
                return Err(Failure::system(format!(
                    "the destination refused more rows of the stream `{descriptor}` than it received"
                ))
                .in_stream(descriptor));
            };
            totals.push(StreamTotal { stream, written, rejected: rejected.rows, bytes });
        }
        self.port.committed(checkpoint.id, &totals).map_err(|failure| self.fail(failure))?;
        self.committed = Some(checkpoint.id);
        Ok(())
    }

    /// Ends the input with what `write` returned: the host's failure comes first, and success means
    /// that the last checkpoint is durable.
    pub(crate) fn finish(mut self, result: Result<(), Failure>) -> Result<(), Failure> {
        self.alive()?;
        result?;
        if !self.ended {
            return Err(Failure::system("the destination returned before the end of its input"));
        }
        match self.last.take() {
            Some(last) if self.committed != Some(last.id) => self.commit(last),
            _ => Ok(()),
        }
    }

    fn alive(&self) -> Result<(), Failure> {
        self.failure.clone().map_or(Ok(()), Err)
    }

    fn fail(&mut self, failure: Failure) -> Failure {
        self.failure = Some(failure.clone());
        failure
    }
}

impl fmt::Debug for Input<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input")
            .field("streams", &self.streams.len())
            .field("committed", &self.committed)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}
