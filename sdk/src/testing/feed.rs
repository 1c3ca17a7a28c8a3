//! Stands in for the host of a destination.

use std::collections::{HashMap, VecDeque};

use crate::Failure;
use crate::bindings::input::{Event, Outcome, StreamEnd, StreamTotal};
use crate::bindings::types::{RowMeta, Rows};
use crate::port::InputPort;

/// What a destination committed.
#[derive(Clone, Debug, PartialEq)]
pub struct Commit {
    /// The checkpoint's id; the first of a feed is 1.
    pub checkpoint: u64,
    /// What became of each stream's rows.
    pub totals: Vec<StreamTotal>,
}

/// Events for a destination, in order. It checks each commit as a host does.
#[derive(Debug, Default)]
pub struct Feed {
    events: VecDeque<Result<Event, Failure>>,
    /// The last checkpoint there is in the events.
    last: u64,
    /// Rows received of each stream, at each checkpoint that was given out.
    given: HashMap<u64, HashMap<u32, u64>>,
    received: HashMap<u32, u64>,
    commits: Vec<Commit>,
    refuse_commits: Option<Failure>,
}

impl Feed {
    /// No events: the input ends at once.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Some rows of a stream, each a JSON object without a line feed; read at 1 ms past 1970.
    #[must_use]
    pub fn rows<T: AsRef<str>>(self, stream: u32, rows: &[T]) -> Self {
        let mut data = String::new();
        for row in rows {
            data.push_str(row.as_ref());
            data.push('\n');
        }
        self.batch(Rows {
            stream,
            count: u32::try_from(rows.len()).unwrap_or(u32::MAX),
            data: data.into_bytes(),
            emitted_at: vec![1],
            meta: Vec::new(),
        })
    }

    /// A batch as the contract has it.
    #[must_use]
    pub fn batch(self, rows: Rows) -> Self {
        self.event(Ok(Event::Rows(rows)))
    }

    /// Attaches `meta` to a row of the last batch; in row order.
    #[must_use]
    pub fn meta(mut self, row: u32, meta: &str) -> Self {
        if let Some(Ok(Event::Rows(rows))) = self.events.back_mut() {
            let meta = meta.to_owned();
            rows.meta.push(RowMeta { row, meta });
        }
        self
    }

    /// The next checkpoint.
    #[must_use]
    pub fn checkpoint(mut self) -> Self {
        self.last += 1;
        let checkpoint = Event::Checkpoint(self.last);
        self.event(Ok(checkpoint))
    }

    /// The end of a stream whose rows are all there.
    #[must_use]
    pub fn complete(self, stream: u32) -> Self {
        let outcome = Outcome::Complete;
        self.event(Ok(Event::StreamEnd(StreamEnd { stream, outcome })))
    }

    /// The end of a stream whose rows are not all there.
    #[must_use]
    pub fn incomplete(self, stream: u32) -> Self {
        let outcome = Outcome::Incomplete;
        self.event(Ok(Event::StreamEnd(StreamEnd { stream, outcome })))
    }

    /// Nothing more for now.
    #[must_use]
    pub fn flush(self) -> Self {
        self.event(Ok(Event::Flush))
    }

    /// The host stops the sync.
    #[must_use]
    pub fn fail(self, failure: Failure) -> Self {
        self.event(Err(failure))
    }

    /// Answers each commit with a failure.
    #[must_use]
    pub fn refuse_commits(mut self, failure: Failure) -> Self {
        self.refuse_commits = Some(failure);
        self
    }

    pub(super) fn into_commits(self) -> Vec<Commit> {
        self.commits
    }

    fn event(mut self, event: Result<Event, Failure>) -> Self {
        self.events.push_back(event);
        self
    }

    fn verify(&self, checkpoint: u64, totals: &[StreamTotal]) -> Result<(), Failure> {
        let Some(received) = self.given.get(&checkpoint) else {
            return Err(Failure::system(format!(
                "checkpoint {checkpoint} was committed and never given"
            )));
        };
        if self.commits.last().is_some_and(|last| last.checkpoint >= checkpoint) {
            return Err(Failure::system(format!(
                "checkpoint {checkpoint} was committed out of order"
            )));
        }
        let accounted: HashMap<_, _> =
            totals.iter().map(|total| (total.stream, total.written + total.rejected)).collect();
        if accounted != *received {
            return Err(Failure::system(format!(
                "checkpoint {checkpoint} accounts for {accounted:?} rows of {received:?}"
            )));
        }
        Ok(())
    }
}

impl InputPort for Feed {
    fn next(&mut self) -> Result<Option<Event>, Failure> {
        let event = self.events.pop_front().transpose()?;
        match &event {
            Some(Event::Rows(rows)) => {
                *self.received.entry(rows.stream).or_default() += u64::from(rows.count);
            }
            Some(Event::Checkpoint(id)) => {
                self.given.insert(*id, self.received.clone());
            }
            _ => {}
        }
        Ok(event)
    }

    fn committed(&mut self, checkpoint: u64, totals: &[StreamTotal]) -> Result<(), Failure> {
        if let Some(failure) = &self.refuse_commits {
            return Err(failure.clone());
        }
        self.verify(checkpoint, totals)?;
        self.commits.push(Commit { checkpoint, totals: totals.to_vec() });
        Ok(())
    }
}
