//! What the ledger remembers of the checkpoints that are not confirmed yet.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::{Confirmed, LedgerFault};
use crate::protocol::StateMessage;

/// What a checkpoint covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Stream(u32),
    All,
}

impl Scope {
    /// Whether a flag is set for a stream it covers.
    pub(super) fn any(self, flags: &[bool]) -> bool {
        match self {
            Self::Stream(stream) => flags[stream as usize],
            Self::All => flags.contains(&true),
        }
    }
}

/// A checkpoint that was given to the destination.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) id: u64,
    /// None for the checkpoint that ends a sync.
    pub(super) state: Option<Arc<StateMessage>>,
    pub(super) scope: Scope,
    /// Rows since the checkpoint before, of the streams that had any: with a number for every stream
    /// here, many streams with a state each would take memory by the square.
    pub(super) since_last: Vec<(u32, u64)>,
    /// Rows of the scope since its checkpoint before.
    pub(super) rows: u64,
    pub(super) confirmed: bool,
}

/// What confirmations free.
#[derive(Debug, Default)]
pub(super) struct Freed {
    /// To be stored.
    pub(super) states: Vec<Confirmed>,
    /// Stream, rows committed, rows rejected, since the sync began; later ones count.
    pub(super) settled: Vec<(usize, u64, u64)>,
    /// How many checkpoints were confirmed: together, of single streams, and of all streams at once.
    pub(super) checkpoints: u64,
    pub(super) of_stream: BTreeMap<usize, u64>,
    pub(super) of_all: u64,
}

/// What is counted and what waits.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) received: Vec<u64>,
    /// Rows of each stream up to the checkpoint `through`.
    pub(super) settled: Vec<u64>,
    /// Rows of each stream that a destination on stdio says it rejected, and those of which it does
    /// not say the stream.
    pub(super) rejected: Vec<u64>,
    pub(super) rejected_somewhere: u64,
    /// Rows since the last checkpoint.
    pub(super) since_last: BTreeMap<u32, u64>,
    /// Rows of each stream since its last state.
    pub(super) since_state: Vec<u64>,
    pub(super) next_id: u64,
    /// All checkpoints up to here are confirmed.
    pub(super) through: u64,
    /// The checkpoints after it: their ids have no gaps.
    pub(super) pending: VecDeque<Pending>,
    /// Bytes of the states in it.
    pub(super) waiting_bytes: usize,
    pub(super) deferred: Vec<Confirmed>,
    /// The first error; after it nothing is accepted.
    pub(super) broken: Option<LedgerFault>,
}

impl Inner {
    /// Notes rows that an echo says were rejected; no more than there were.
    pub(super) fn reject(&mut self, checkpoint: u64, scope: Scope, rows: u64) {
        let mut open = BTreeMap::<u32, u64>::new();
        for pending in self.pending.iter().take_while(|p| p.id <= checkpoint) {
            for (stream, count) in &pending.since_last {
                *open.entry(*stream).or_default() += count;
            }
        }
        let stream = match scope {
            Scope::Stream(stream) => Some(stream),
            // Of several, nobody knows which.
            Scope::All => match open.iter().next() {
                Some((only, _)) if open.len() == 1 => Some(*only),
                _ => None,
            },
        };
        match stream {
            Some(stream) => {
                let received = self.received[stream as usize];
                let rejected = &mut self.rejected[stream as usize];
                *rejected = rejected.saturating_add(rows).min(received);
            }
            None => {
                let received = self.received.iter().sum();
                self.rejected_somewhere =
                    self.rejected_somewhere.saturating_add(rows).min(received);
            }
        }
    }

    /// Of so many rows of a stream that are settled: those written and those rejected.
    pub(super) fn written(&self, stream: usize, rows: u64) -> (usize, u64, u64) {
        let rejected = self.rejected[stream].min(rows);
        (stream, rows - rejected, rejected)
    }

    /// A checkpoint that is waiting, by its id.
    pub(super) fn waiting(&self, id: u64) -> Option<&Pending> {
        let place = id.checked_sub(self.pending.front()?.id)?;
        self.pending.get(usize::try_from(place).ok()?)
    }

    /// Rows of each stream up to a checkpoint.
    pub(super) fn rows_up_to(&self, checkpoint: u64) -> Vec<u64> {
        let mut rows = self.settled.clone();
        for pending in self.pending.iter().take_while(|p| p.id <= checkpoint) {
            pending.add_to(&mut rows);
        }
        rows
    }
}

impl Pending {
    pub(super) fn add_to(&self, rows: &mut [u64]) {
        for (stream, count) in &self.since_last {
            rows[*stream as usize] += count;
        }
    }
}
