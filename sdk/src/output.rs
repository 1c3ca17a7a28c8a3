//! What a source writes to.

use std::fmt;

use serde::Serialize;

use crate::Failure;
use crate::bindings::output::StreamStatus;
use crate::bindings::types::{
    Catalog, GlobalState, RowMeta, Rows, State, StreamDescriptor, StreamState,
};
use crate::port::OutputPort;

/// How many bytes of rows go in one batch: beyond it a call gets no cheaper, and both ends keep
/// about one batch a stream in memory.
pub const BATCH_BYTES: usize = 64 * 1024;

/// What a source writes its rows, checkpoints and statuses to.
///
/// Rows are kept until a batch is full; [`Output::flush`], a checkpoint and a status send them. A
/// stream is reported as started when it is first asked for and as running with its first row. Each
/// stream must be ended by [`StreamOutput::complete`] or [`StreamOutput::incomplete`]: a source that
/// returns without it has failed, so that half a stream never passes for a whole one.
///
/// ```
/// use lockgate_sdk::{Failure, Output};
/// use serde_json::json;
///
/// fn read_users(index: usize, output: &mut Output<'_>) -> Result<(), Failure> {
///     let mut users = output.stream(index)?;
///     users.estimate(Some(2), None);
///     users.write(&json!({ "id": 1 }))?;
///     users.write_json(br#"{"id":2}"#)?;
///     users.checkpoint(&json!({ "id": 2 }))?;
///     users.complete()
/// }
/// # let _ = read_users;
/// ```
pub struct Output<'p> {
    port: &'p mut dyn OutputPort,
    streams: Vec<Slot>,
    failure: Option<Failure>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Waiting,
    Started,
    Running,
    Incomplete,
    Complete,
}

/// One stream's part of an [`Output`].
struct Slot {
    descriptor: StreamDescriptor,
    phase: Phase,
    batch: Rows,
    /// The row that did not fit, while the batch before it is sent.
    spare: Vec<u8>,
    emitted_at: Option<i64>,
}

impl<'p> Output<'p> {
    pub(crate) fn new(catalog: &Catalog, port: &'p mut dyn OutputPort) -> Self {
        let streams = (0..)
            .zip(&catalog.streams)
            .map(|(stream, configured)| Slot {
                descriptor: configured.descriptor.clone(),
                phase: Phase::Waiting,
                batch: Rows {
                    stream,
                    count: 0,
                    data: Vec::new(),
                    emitted_at: Vec::new(),
                    meta: Vec::new(),
                },
                spare: Vec::new(),
                emitted_at: None,
            })
            .collect();
        Self { port, streams, failure: None }
    }

    /// The stream at `index` of the catalog; the first time, the host is told that it started.
    ///
    /// # Errors
    /// The host's, or `system` when the catalog has no such stream.
    pub fn stream(&mut self, index: usize) -> Result<StreamOutput<'_>, Failure> {
        let count = self.streams.len();
        let slot = self.streams.get_mut(index).ok_or_else(|| {
            Failure::system(format!("the source wrote to stream {index} of a catalog with {count}"))
        })?;
        let mut stream =
            StreamOutput { host: Host { port: &mut *self.port, failure: &mut self.failure }, slot };
        if stream.slot.phase == Phase::Waiting {
            stream.report(Phase::Started)?;
        }
        Ok(stream)
    }

    /// Sends the rows kept of all streams. A source that waits long between rows calls it first.
    ///
    /// # Errors
    /// The host's: return it.
    pub fn flush(&mut self) -> Result<(), Failure> {
        for slot in &mut self.streams {
            let mut host = Host { port: &mut *self.port, failure: &mut self.failure };
            slot.flush(&mut host)?;
        }
        Ok(())
    }

    /// Says that a later read may go on from here, for a source that reads all its streams from one
    /// log: the checkpoint covers every row written so far. `shared` and each stream's state
    /// serialize to a JSON object. Returns the checkpoint's id.
    ///
    /// # Errors
    /// The host's, or `system` when a state is no JSON object.
    pub fn checkpoint_all<A: Serialize, B: Serialize>(
        &mut self,
        shared: Option<&A>,
        streams: &[(StreamDescriptor, B)],
    ) -> Result<u64, Failure> {
        self.flush()?;
        let shared = shared.map(object).transpose()?;
        let streams = streams
            .iter()
            .map(|(descriptor, state)| {
                Ok(StreamState { descriptor: descriptor.clone(), state: Some(object(state)?) })
            })
            .collect::<Result<_, Failure>>()?;
        let state = State::Global(GlobalState { shared, streams });
        let mut host = Host { port: &mut *self.port, failure: &mut self.failure };
        host.call(|port| port.checkpoint(&state))
    }

    /// Ends the output with what `read` returned: the host's failure comes first, streams without
    /// an end are reported.
    pub(crate) fn finish(mut self, result: Result<(), Failure>) -> Result<(), Failure> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let result =
            result.and_then(|()| match self.streams.iter().find(|s| s.phase < Phase::Incomplete) {
                None => Ok(()),
                Some(slot) => Err(Failure::system(format!(
                    "the source returned without saying how the stream `{}` ended",
                    slot.descriptor
                ))
                .in_stream(&slot.descriptor)),
            });
        if result.is_err() {
            // Only the failure that stopped the source matters now, not one of these calls.
            for slot in &mut self.streams {
                if matches!(slot.phase, Phase::Started | Phase::Running) {
                    let _ = self.port.status(slot.batch.stream, StreamStatus::Incomplete);
                }
            }
        }
        result
    }
}

impl fmt::Debug for Output<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output")
            .field("streams", &self.streams.len())
            .field("failure", &self.failure)
            .finish_non_exhaustive()
    }
}

/// The port, and the failure after which it is not called again.
struct Host<'a> {
    port: &'a mut dyn OutputPort,
    failure: &'a mut Option<Failure>,
}

impl Host<'_> {
    fn call<T>(
        &mut self,
        call: impl FnOnce(&mut dyn OutputPort) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        if let Some(failure) = self.failure {
            return Err(failure.clone());
        }
        call(self.port).inspect_err(|failure| *self.failure = Some(failure.clone()))
    }
}

impl Slot {
    fn flush(&mut self, host: &mut Host<'_>) -> Result<(), Failure> {
        if self.batch.count == 0 {
            return Ok(());
        }
        let sent = host.call(|port| port.emit(&self.batch));
        self.batch.count = 0;
        self.batch.data.clear();
        // One large row would hold its room for as long as its stream is open, and each stream's would.
        self.batch.data.shrink_to(2 * BATCH_BYTES);
        self.batch.emitted_at.clear();
        self.batch.meta.clear();
        sent
    }

    /// Sends all rows but the last, which starts at `start` and did not fit.
    #[cold]
    fn overflow(&mut self, start: usize, host: &mut Host<'_>) -> Result<(), Failure> {
        self.spare.clear();
        self.spare.shrink_to(2 * BATCH_BYTES);
        self.spare.extend_from_slice(&self.batch.data[start..]);
        self.batch.data.truncate(start);
        self.batch.count -= 1;
        if self.batch.emitted_at.len() > 1 {
            self.batch.emitted_at.pop();
        }
        let sent = self.flush(host);
        std::mem::swap(&mut self.batch.data, &mut self.spare);
        self.batch.count = 1;
        self.batch.emitted_at.extend(self.emitted_at);
        sent
    }

    fn stamp(&mut self) {
        let Some(time) = self.emitted_at else { return };
        match self.batch.emitted_at[..] {
            [] => self.batch.emitted_at.push(time),
            [one] if one == time => {}
            [one] => {
                let rows = self.batch.count as usize;
                self.batch.emitted_at.resize(rows - 1, one);
                self.batch.emitted_at.push(time);
            }
            _ => self.batch.emitted_at.push(time),
        }
    }
}

/// One stream of an [`Output`].
pub struct StreamOutput<'a> {
    host: Host<'a>,
    slot: &'a mut Slot,
}

impl StreamOutput<'_> {
    /// Writes one row, which serializes to a JSON object.
    ///
    /// # Errors
    /// The host's, or `system` when the row is no JSON object or the stream has ended.
    pub fn write<T: Serialize + ?Sized>(&mut self, row: &T) -> Result<(), Failure> {
        let start = self.begin()?;
        let data = &mut self.slot.batch.data;
        let written = serde_json::to_writer(&mut *data, row);
        if written.is_err() || data.get(start) != Some(&b'{') {
            data.truncate(start);
            let failure = Failure::system("a row is not a JSON object");
            return Err(match written {
                Err(error) => failure.with_detail(error),
                Ok(()) => failure,
            }
            .in_stream(&self.slot.descriptor));
        }
        self.end(start)
    }

    /// Writes one row that is JSON text already: one object, without a line feed.
    ///
    /// # Errors
    /// The host's, or `system` when the text has a line feed, does not start with a brace, or the
    /// stream has ended. The rest of the text is the caller's word.
    pub fn write_json(&mut self, row: &[u8]) -> Result<(), Failure> {
        if row.first() != Some(&b'{') || memchr::memchr(b'\n', row).is_some() {
            return Err(Failure::system("a row is not one line with a JSON object")
                .in_stream(&self.slot.descriptor));
        }
        self.write_with(|data| data.extend_from_slice(row))
    }

    /// Writes one row by appending its JSON text to the batch: one object, without a line feed. It is
    /// the cheapest way to write a row, and nothing looks at the text: a wrong row fails the sync.
    ///
    /// # Errors
    /// The host's, or `system` when the stream has ended.
    pub fn write_with(&mut self, append: impl FnOnce(&mut Vec<u8>)) -> Result<(), Failure> {
        let start = self.begin()?;
        append(&mut self.slot.batch.data);
        self.end(start)
    }

    /// Sends a whole batch as it is, after the rows kept so far. `rows.stream` is this stream.
    ///
    /// # Errors
    /// The host's, or `system` when the batch is another stream's or the stream has ended.
    pub fn write_batch(&mut self, rows: &Rows) -> Result<(), Failure> {
        self.flush()?;
        if rows.stream != self.slot.batch.stream {
            return Err(Failure::system("a batch was written to another stream than its own")
                .in_stream(&self.slot.descriptor));
        }
        self.run()?;
        self.host.call(|port| port.emit(rows))
    }

    /// Says when the rows written from now on were read, in ms since 1970-01-01T00:00Z. None, the
    /// start, leaves it to the host.
    ///
    /// # Errors
    /// The host's: return it.
    pub fn emitted_at(&mut self, time: Option<i64>) -> Result<(), Failure> {
        if time.is_some() != self.slot.emitted_at.is_some() {
            // A batch has times for all its rows or for none.
            self.flush()?;
        }
        self.slot.emitted_at = time;
        Ok(())
    }

    /// Attaches Airbyte's `meta`, a JSON object, to the row written last; at most once a row.
    ///
    /// # Errors
    /// `system` when it is no JSON object, or no row was written since the last flush.
    pub fn meta<T: Serialize + ?Sized>(&mut self, meta: &T) -> Result<(), Failure> {
        let meta = object(meta)?;
        let batch = &mut self.slot.batch;
        let row = batch.count.checked_sub(1).ok_or_else(|| {
            Failure::system("meta was given without a row").in_stream(&self.slot.descriptor)
        })?;
        batch.meta.push(RowMeta { row, meta });
        Ok(())
    }

    /// Sends the rows kept of this stream.
    ///
    /// # Errors
    /// The host's: return it.
    pub fn flush(&mut self) -> Result<(), Failure> {
        self.slot.flush(&mut self.host)
    }

    /// Says that a later read may go on from `state`, which serializes to a JSON object: it covers
    /// every row of this stream written so far. Returns the checkpoint's id without waiting for the
    /// destination.
    ///
    /// # Errors
    /// The host's, or `system` when the state is no JSON object.
    pub fn checkpoint<T: Serialize + ?Sized>(&mut self, state: &T) -> Result<u64, Failure> {
        self.flush()?;
        let state = State::Stream(StreamState {
            descriptor: self.slot.descriptor.clone(),
            state: Some(object(state)?),
        });
        self.host.call(|port| port.checkpoint(&state))
    }

    /// Guesses the stream's size for the progress display; a later guess replaces an earlier one.
    pub fn estimate(&mut self, rows: Option<u64>, bytes: Option<u64>) {
        self.host.port.estimate(self.slot.batch.stream, rows, bytes);
    }

    /// Every row of the stream was written. Only a checkpoint may follow.
    ///
    /// # Errors
    /// The host's, or `system` when the stream has ended already.
    pub fn complete(&mut self) -> Result<(), Failure> {
        self.close(Phase::Complete)
    }

    /// The stream failed and its rows are not all there, but the source goes on with others.
    ///
    /// # Errors
    /// The host's, or `system` when the stream has ended already.
    pub fn incomplete(&mut self) -> Result<(), Failure> {
        self.close(Phase::Incomplete)
    }

    fn close(&mut self, phase: Phase) -> Result<(), Failure> {
        self.open()?;
        self.flush()?;
        self.slot.batch.data = Vec::new();
        self.slot.spare = Vec::new();
        self.report(phase)
    }

    fn begin(&mut self) -> Result<usize, Failure> {
        if self.slot.phase != Phase::Running {
            self.run()?;
        }
        if self.slot.batch.data.len() >= BATCH_BYTES {
            self.flush()?;
        }
        Ok(self.slot.batch.data.len())
    }

    fn end(&mut self, start: usize) -> Result<(), Failure> {
        let slot = &mut *self.slot;
        slot.batch.data.push(b'\n');
        slot.batch.count += 1;
        slot.stamp();
        if slot.batch.data.len() > BATCH_BYTES && start > 0 {
            slot.overflow(start, &mut self.host)?;
        }
        Ok(())
    }

    fn open(&self) -> Result<(), Failure> {
        if self.slot.phase < Phase::Incomplete {
            return Ok(());
        }
        Err(Failure::system(format!(
            "the source went on with the stream `{}` after its end",
            self.slot.descriptor
        ))
        .in_stream(&self.slot.descriptor))
    }

    fn run(&mut self) -> Result<(), Failure> {
        self.open()?;
        if self.slot.phase == Phase::Started {
            self.report(Phase::Running)?;
        }
        Ok(())
    }

    fn report(&mut self, phase: Phase) -> Result<(), Failure> {
        let status = match phase {
            Phase::Waiting => return Ok(()),
            Phase::Started => StreamStatus::Started,
            Phase::Running => StreamStatus::Running,
            Phase::Incomplete => StreamStatus::Incomplete,
            Phase::Complete => StreamStatus::Complete,
        };
        let stream = self.slot.batch.stream;
        self.host.call(|port| port.status(stream, status))?;
        self.slot.phase = phase;
        Ok(())
    }
}

impl fmt::Debug for StreamOutput<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamOutput")
            .field("descriptor", &self.slot.descriptor)
            .field("phase", &self.slot.phase)
            .finish_non_exhaustive()
    }
}

/// A JSON object as text.
fn object<T: Serialize + ?Sized>(value: &T) -> Result<String, Failure> {
    let text = serde_json::to_string(value)
        .map_err(|error| Failure::system("a state or meta is not JSON").with_detail(error))?;
    if text.starts_with('{') {
        Ok(text)
    } else {
        Err(Failure::system("a state or meta is not a JSON object"))
    }
}
