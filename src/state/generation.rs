//! Generations: which rows of a stream belong together, and from which states a read may go on.
//!
//! A generation begins with each refresh and with each full read (protocol 0.18, "Refreshes"). Rows of
//! generations below the minimum disappear when the stream is complete. What was interrupted goes on
//! in its generation where the source can go on from a state of it; else it begins again, in a new
//! one, so that the rows it had delivered are not there twice.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::StoredState;
use crate::protocol::StreamDescriptor;

/// How a sync begins a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StreamBegin {
    /// Reads what is new, in the generation that is there. A refresh that was interrupted goes on.
    GoOn,
    /// Reads everything.
    FullRead {
        /// Earlier rows disappear when it is complete.
        truncates: bool,
        /// The source can go on from a state of this read.
        resumable: bool,
    },
    /// Reads everything again because the operator asked for it; reads of what is new go on from it.
    Refresh {
        /// Earlier rows disappear when it is complete.
        truncates: bool,
        /// The source can go on from a state of this read.
        resumable: bool,
    },
}

/// A stream of a sync that begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamStart {
    /// The stream.
    pub descriptor: StreamDescriptor,
    /// How it begins.
    pub begin: StreamBegin,
}

/// A sync that begins.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SyncStart {
    /// Its streams.
    pub streams: Vec<StreamStart>,
    /// It is another attempt of the sync with this id.
    pub again: Option<u64>,
    /// The destination keeps the rows of a generation that was not completed (`supportsRefreshes`): a
    /// read that begins again needs a new one.
    pub rows_stay: bool,
}

impl SyncStart {
    /// The generations in which its streams begin: of each, in their order, what to remember and what
    /// to tell the sync. `stored` is what is remembered of a stream; `states` says which states there
    /// are ([`StoredState::covers`]).
    #[must_use]
    pub fn begin(
        &self,
        stored: impl Fn(&StreamDescriptor) -> Option<Generation>,
        states: impl IntoIterator<Item = (StreamDescriptor, u64, bool)>,
    ) -> Vec<(Generation, StreamNumbers)> {
        let states: HashSet<(StreamDescriptor, u64, bool)> = states.into_iter().collect();
        let begin = |stream: &StreamStart| {
            let stored = stored(&stream.descriptor);
            let number = stored.map_or(0, |stored| stored.number);
            let has = |full| states.contains(&(stream.descriptor.clone(), number, full));
            let kept = Kept { incremental: has(false), of_full_read: has(true) };
            Generation::begin(stored, kept, stream.begin, self.again.is_some(), self.rows_stay)
        };
        self.streams.iter().map(begin).collect()
    }
}

impl StoredState {
    /// Each stream that it covers, in which generation, and whether it is of a full read.
    pub fn covers(&self) -> impl Iterator<Item = (StreamDescriptor, u64, bool)> {
        let full = self.of_full_read;
        self.generations.iter().map(move |(stream, number)| (stream.clone(), *number, full))
    }
}

/// A stream's numbers in a sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamNumbers {
    /// From 1; grows.
    pub generation: u64,
    /// Equal to the generation where earlier rows disappear; else 0.
    pub minimum_generation: u64,
    /// A read that was interrupted goes on: states of its generation count.
    pub goes_on: bool,
    /// States of generations before this one are of no use: a refresh came after them.
    pub since: u64,
}

/// What a sync is given at its start.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SyncNumbers {
    /// Unique to the sync within its connection, from 1.
    pub sync_id: u64,
    /// Of each stream asked for, in the same order.
    pub streams: Vec<StreamNumbers>,
}

/// What was begun in a generation and is not complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Open {
    /// A full read.
    Read,
    /// A full read that makes earlier rows disappear.
    TruncatingRead,
    /// A refresh.
    Refresh,
    /// A refresh that makes earlier rows disappear.
    TruncatingRefresh,
}

impl Open {
    fn truncates(self) -> bool {
        matches!(self, Self::TruncatingRead | Self::TruncatingRefresh)
    }

    fn is_refresh(self) -> bool {
        matches!(self, Self::Refresh | Self::TruncatingRefresh)
    }

    fn of(begin: StreamBegin) -> Option<Self> {
        Some(match begin {
            StreamBegin::GoOn => return None,
            StreamBegin::FullRead { truncates: false, .. } => Self::Read,
            StreamBegin::FullRead { truncates: true, .. } => Self::TruncatingRead,
            StreamBegin::Refresh { truncates: false, .. } => Self::Refresh,
            StreamBegin::Refresh { truncates: true, .. } => Self::TruncatingRefresh,
        })
    }
}

/// What a store remembers of a stream's generations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    /// The latest.
    pub number: u64,
    /// The first whose incremental states count.
    pub since: u64,
    /// What is not complete in it.
    pub open: Option<Open>,
}

/// Which states of its latest generation a store has of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kept {
    /// One that an incremental read goes on from.
    pub incremental: bool,
    /// One of a full read.
    pub of_full_read: bool,
}

impl Generation {
    /// The generation in which a stream begins: what to remember, and what to tell the sync. `again`:
    /// another attempt of the same sync; `rows_stay`: see [`SyncStart::rows_stay`].
    #[must_use]
    pub fn begin(
        stored: Option<Self>,
        kept: Kept,
        begin: StreamBegin,
        again: bool,
        rows_stay: bool,
    ) -> (Self, StreamNumbers) {
        let Some(stored) = stored else {
            return Self { number: 1, since: 1, open: Open::of(begin) }.numbers(false);
        };
        // A refresh that was interrupted goes on in whatever way the stream is read next: the operator
        // asked for it once.
        let wanted = match (Open::of(begin), stored.open) {
            (None, Some(open)) if open.is_refresh() => Some(open),
            (Some(wanted), Some(open)) if open.is_refresh() && !wanted.is_refresh() => {
                match wanted.truncates() || open.truncates() {
                    true => Some(Open::TruncatingRefresh),
                    false => Some(Open::Refresh),
                }
            }
            (wanted, _) => wanted,
        };
        let Some(wanted) = wanted else {
            // A full read that was interrupted, and is not asked for any more: its rows stay.
            let number = stored.number + u64::from(stored.open.is_some());
            return Self { number, open: None, ..stored }.numbers(false);
        };
        let can_go_on = stored.open == Some(wanted)
            && match begin {
                StreamBegin::GoOn => kept.incremental,
                StreamBegin::Refresh { resumable, .. } => {
                    resumable && (kept.incremental || kept.of_full_read)
                }
                StreamBegin::FullRead { resumable, .. } => resumable && kept.of_full_read,
            };
        if can_go_on {
            return stored.numbers(true);
        }
        // The rows of an attempt before are gone, or are to be told apart from those that come now.
        let same = again && !rows_stay && stored.open == Some(wanted);
        let number = if same { stored.number } else { stored.number + 1 };
        let since = if wanted.is_refresh() { number } else { stored.since };
        Self { number, since, open: Some(wanted) }.numbers(false)
    }

    fn numbers(self, goes_on: bool) -> (Self, StreamNumbers) {
        let truncates = self.open.is_some_and(Open::truncates);
        let numbers = StreamNumbers {
            generation: self.number,
            minimum_generation: if truncates { self.number } else { 0 },
            goes_on,
            since: self.since,
        };
        (self, numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Kept = Kept { incremental: false, of_full_read: false };
    const INCREMENTAL: Kept = Kept { incremental: true, of_full_read: false };
    const FULL: Kept = Kept { incremental: false, of_full_read: true };
    const TRUNCATE: StreamBegin = StreamBegin::Refresh { truncates: true, resumable: true };
    const RETAIN: StreamBegin = StreamBegin::Refresh { truncates: false, resumable: true };
    const REPLACE: StreamBegin = StreamBegin::FullRead { truncates: true, resumable: false };

    fn next(stored: Generation, kept: Kept, begin: StreamBegin) -> (Generation, [u64; 2], bool) {
        let (next, n) = Generation::begin(Some(stored), kept, begin, false, true);
        (next, [n.generation, n.minimum_generation], n.goes_on)
    }

    fn at(number: u64, open: Option<Open>) -> Generation {
        Generation { number, since: 1, open }
    }

    #[test]
    fn reads_of_what_is_new_stay_in_their_generation() {
        let (first, numbers) = Generation::begin(None, NONE, StreamBegin::GoOn, false, true);
        assert_eq!((numbers.generation, numbers.minimum_generation), (1, 0));
        assert_eq!(next(first, INCREMENTAL, StreamBegin::GoOn).1, [1, 0]);
    }

    #[test]
    fn an_interrupted_truncate_goes_on_and_ends() {
        let (open, numbers, _) = next(at(4, None), INCREMENTAL, TRUNCATE);
        assert_eq!((numbers, open.since), ([5, 5], 5));
        for begin in [StreamBegin::GoOn, TRUNCATE] {
            assert_eq!(next(open, INCREMENTAL, begin), (open, [5, 5], true));
            // Nothing of it was confirmed: its rows are told apart from those that come now.
            assert_eq!(next(open, NONE, begin).1, [6, 6]);
        }
        let done = Generation { open: None, ..open };
        assert_eq!(next(done, INCREMENTAL, StreamBegin::GoOn), (done, [5, 0], false));
    }

    #[test]
    fn an_interrupted_refresh_goes_on_in_a_full_read() {
        let full = |truncates, resumable| StreamBegin::FullRead { truncates, resumable };
        let open = at(5, Some(Open::TruncatingRefresh));
        // Whether its earlier rows disappear was decided when it was asked for.
        assert_eq!(next(open, FULL, full(false, true)), (open, [5, 5], true));
        assert_eq!(next(open, NONE, full(false, false)).1, [6, 6]);
        let open = at(5, Some(Open::Refresh));
        assert_eq!(next(open, FULL, full(false, true)), (open, [5, 0], true));
        assert_eq!(next(open, FULL, full(true, true)).1, [6, 6]);
    }

    #[test]
    fn a_retain_after_a_failed_truncate_keeps_all() {
        let open = at(5, Some(Open::TruncatingRefresh));
        let (kept, numbers, goes_on) = next(open, INCREMENTAL, RETAIN);
        assert_eq!((numbers, goes_on, kept.since), ([6, 0], false, 6));
    }

    #[test]
    fn full_reads_count_generations_and_leave_incremental_states() {
        let (open, numbers, _) = next(at(1, None), INCREMENTAL, REPLACE);
        assert_eq!((numbers, open.since), ([2, 2], 1));
        assert_eq!(next(open, FULL, REPLACE).1, [3, 3], "it cannot go on");
        let resumable = StreamBegin::FullRead { truncates: true, resumable: true };
        assert_eq!(next(open, FULL, resumable), (open, [2, 2], true));
        assert_eq!(next(open, NONE, StreamBegin::GoOn).1, [3, 0]);
    }

    #[test]
    fn another_attempt_stays_where_nothing_was_left_behind() {
        let open = at(2, Some(Open::TruncatingRead));
        let begin = |stays| Generation::begin(Some(open), NONE, REPLACE, true, stays).1.generation;
        assert_eq!((begin(false), begin(true)), (2, 3));
    }
}
