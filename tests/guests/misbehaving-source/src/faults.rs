//! Faults in what is said to the host.

use std::time::Duration;

use lockgate_sdk::bindings::output::{self, StreamStatus};
use lockgate_sdk::bindings::types::{
    Catalog, GlobalState, RowMeta, Rows, State, StreamDescriptor, StreamState,
};
use lockgate_sdk::{Failure, FailureKind};

use crate::{Kind, Mode, Shape};

pub(crate) fn read(
    mode: &Mode,
    shape: &Shape,
    told: &[String],
    catalog: &Catalog,
    state: &[State],
) -> Result<(), Failure> {
    if matches!(mode, Mode::Leak { by, .. } if by == "state") {
        same(state, told)?;
    }
    let mut reader = Reader {
        mode,
        shape,
        told,
        catalog,
        done: catalog.streams.iter().map(|stream| start(state, &stream.descriptor)).collect(),
        hurt: false,
    };
    let first = reader.done.first().copied().unwrap_or(0);
    reader.hurt = shape.until.is_some_and(|until| first >= until);
    for stream in 0..catalog.streams.len() {
        let read = reader.stream(stream);
        if !matches!(mode, Mode::IgnoreFailure) {
            read?;
        }
    }
    Ok(())
}

/// Where a stream goes on: the number in its state.
fn start(state: &[State], descriptor: &StreamDescriptor) -> u64 {
    let of_stream = |states: &[StreamState]| {
        let found = states.iter().find(|state| state.descriptor == *descriptor);
        found.and_then(|state| state.state.clone())
    };
    let text = state.iter().find_map(|state| match state {
        State::Stream(stream) => of_stream(std::slice::from_ref(stream)),
        State::Global(global) => of_stream(&global.streams),
    });
    text.and_then(|text| serde_json::from_str::<serde_json::Value>(&text).ok())
        .and_then(|value| value.get("next")?.as_u64())
        .unwrap_or(0)
}

/// A state that told secrets has to come back as it was, or with the secrets there are now.
fn same(state: &[State], told: &[String]) -> Result<(), Failure> {
    for state in state {
        let State::Stream(StreamState { state: Some(state), .. }) = state else { continue };
        let state: serde_json::Value = serde_json::from_str(state).unwrap_or_default();
        if state["told"] != serde_json::json!(told) {
            return Err(Failure::system("the state came back changed"));
        }
    }
    Ok(())
}

struct Reader<'a> {
    mode: &'a Mode,
    shape: &'a Shape,
    /// Texts that a leak puts in rows and states.
    told: &'a [String],
    catalog: &'a Catalog,
    /// Rows emitted of each stream.
    done: Vec<u64>,
    /// Did the fault that happens once happen?
    hurt: bool,
}

impl Reader<'_> {
    fn stream(&mut self, stream: usize) -> Result<(), Failure> {
        let (mode, shape) = (self.mode, self.shape);
        let index = stream as u32;
        output::status(index, StreamStatus::Started)?;
        output::estimate(index, Some(shape.rows), None);
        output::status(index, StreamStatus::Running)?;
        while self.done[stream] < shape.rows {
            if let Mode::Slow { millis } = mode {
                std::thread::sleep(Duration::from_millis(*millis));
            }
            if self.done[stream] >= shape.after && !self.hurt {
                self.hurt = true;
                self.fault(stream)?;
            }
            self.batch(stream)?;
            if self.done[stream].is_multiple_of(shape.rows_per_checkpoint.max(1)) {
                self.checkpoint(stream)?;
            }
        }
        self.checkpoint(stream)?;
        match mode {
            Mode::NoComplete => return Ok(()),
            Mode::ExitIncomplete => return output::status(index, StreamStatus::Incomplete),
            _ => output::status(index, StreamStatus::Complete)?,
        }
        match mode {
            Mode::AfterComplete => output::emit(&self.rows(stream, 1)),
            Mode::CompleteTwice => output::status(index, StreamStatus::Complete),
            _ => Ok(()),
        }
    }

    fn batch(&mut self, stream: usize) -> Result<(), Failure> {
        let left = self.shape.rows - self.done[stream];
        let to_checkpoint = self.shape.rows_per_checkpoint.max(1);
        let to_checkpoint = to_checkpoint - self.done[stream] % to_checkpoint;
        let count = self.shape.rows_per_batch.max(1).min(left).min(to_checkpoint);
        let mut rows = self.rows(stream, count);
        if matches!(self.mode, Mode::Meta) {
            rows.emitted_at = (0..count as i64).map(|row| 1_700_000_000_000 + row).collect();
            rows.meta = vec![RowMeta {
                row: 0,
                meta: r#"{"changes":[{"field":"text","change":"TRUNCATED","reason":"SOURCE_FIELD_SIZE_LIMITATION"}]}"#.to_owned(),
            }];
        }
        output::emit(&rows)?;
        self.done[stream] += count;
        Ok(())
    }

    fn rows(&self, stream: usize, count: u64) -> Rows {
        let first = self.done[stream];
        let mut data = Vec::new();
        for id in first..first + count {
            row(id, self.shape.row_bytes, &mut data);
        }
        if matches!(self.mode, Mode::Leak { by, .. } if by == "rows") {
            data.clear();
            for id in first..first + count {
                data.extend_from_slice(
                    serde_json::json!({ "id": id, "told": self.told }).to_string().as_bytes(),
                );
                data.push(b'\n');
            }
        }
        Rows {
            stream: stream as u32,
            count: count as u32,
            data,
            emitted_at: Vec::new(),
            meta: Vec::new(),
        }
    }

    fn state(&self, stream: usize) -> StreamState {
        StreamState {
            descriptor: self.catalog.streams[stream].descriptor.clone(),
            state: Some(match self.mode {
                Mode::Leak { by, .. } if by == "state" => {
                    serde_json::json!({ "next": self.done[stream], "told": self.told }).to_string()
                }
                _ => format!(r#"{{"next":{}}}"#, self.done[stream]),
            }),
        }
    }

    fn checkpoint(&self, stream: usize) -> Result<(), Failure> {
        let state = if matches!(self.mode, Mode::Global) {
            State::Global(GlobalState {
                shared: Some(format!(r#"{{"total":{}}}"#, self.done.iter().sum::<u64>())),
                streams: (0..self.done.len()).map(|stream| self.state(stream)).collect(),
            })
        } else {
            State::Stream(self.state(stream))
        };
        output::checkpoint(&state).map(|_| ())
    }

    /// The fault that comes amid the rows, if the mode has one.
    #[expect(clippy::panic, reason = "a trap is what the mode asks for")]
    fn fault(&self, stream: usize) -> Result<(), Failure> {
        let mut rows = self.rows(stream, 1);
        match self.mode {
            Mode::FailMid { kind } => return Err(failure(*kind, self.done[stream])),
            Mode::TrapMid => panic!("misbehaving on purpose after {} rows", self.done[stream]),
            Mode::WrongCount => rows.count += 1,
            Mode::ZeroCount => (rows.count, rows.data) = (0, Vec::new()),
            Mode::BadStreamIndex => rows.stream = self.catalog.streams.len() as u32,
            Mode::RowsNotEnded => {
                rows.data.pop();
            }
            Mode::NotJson => rows.data = b"no JSON\n".to_vec(),
            Mode::BadMeta => rows.meta = vec![RowMeta { row: 7, meta: "{}".to_owned() }],
            Mode::BadTimes => {
                rows = self.rows(stream, 3);
                rows.emitted_at = vec![1, 2];
            }
            Mode::HugeRow { bytes } => {
                rows.data.clear();
                row(self.done[stream], *bytes, &mut rows.data);
            }
            Mode::BadStatusIndex => {
                let index = self.catalog.streams.len() as u32;
                return output::status(index, StreamStatus::Running);
            }
            Mode::UnknownStreamState | Mode::BadState | Mode::HugeState { .. } => {
                return self.bad_checkpoint(stream);
            }
            _ => return Ok(()),
        }
        output::emit(&rows)
    }

    fn bad_checkpoint(&self, stream: usize) -> Result<(), Failure> {
        let mut state = self.state(stream);
        match self.mode {
            Mode::UnknownStreamState => state.descriptor = StreamDescriptor::new("nobody"),
            Mode::HugeState { bytes } => {
                state.state = Some(format!(r#"{{"text":"{}"}}"#, "x".repeat(*bytes)));
            }
            _ => state.state = Some("[1, 2".to_owned()),
        }
        output::checkpoint(&State::Stream(state)).map(|_| ())
    }
}

fn row(id: u64, bytes: usize, data: &mut Vec<u8>) {
    let start = format!(r#"{{"id":{id},"text":""#);
    let text = bytes.saturating_sub(start.len() + 3);
    data.extend_from_slice(start.as_bytes());
    data.resize(data.len() + text, b'x');
    data.extend_from_slice(b"\"}\n");
}

fn failure(kind: Kind, rows: u64) -> Failure {
    let message = format!("failing on purpose after {rows} rows");
    match kind {
        Kind::Config => Failure::config(message),
        Kind::Transient => Failure::transient(message).retry_after(Duration::from_millis(1500)),
        Kind::System => Failure::system(message).with_detail("the detail of the failure"),
        Kind::Cancelled => Failure::new(FailureKind::Cancelled, message),
    }
}
