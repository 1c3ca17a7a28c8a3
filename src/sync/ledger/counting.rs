//! What the ledger counts for reports, and the counts of others.

use std::collections::HashSet;

use super::pending::{Freed, Scope};
use super::{Confirmed, Ledger};
use crate::protocol::{Failure, StateScope, Stats, now_ms};
use crate::sync::StreamCounters;

impl Ledger {
    /// Counts a state that the source gave, and what it says it could not give.
    pub(super) fn counted(&self, scope: Scope, said: Option<Stats>) {
        let streams = &self.counters.streams;
        let rejected = said.and_then(|stats| stats.rejected).map_or(0, whole);
        self.counters.checkpoint();
        match (scope, streams.as_slice()) {
            (Scope::Stream(stream), _) => {
                streams[stream as usize].checkpoint();
                streams[stream as usize].source_rejected(rejected);
            }
            (Scope::All, [only]) => {
                only.checkpoint();
                only.source_rejected(rejected);
            }
            (Scope::All, _) => {
                streams.iter().for_each(StreamCounters::checkpoint);
                self.counters.source_rejected_somewhere(rejected);
            }
        }
    }

    /// Counts what was confirmed.
    pub(super) fn confirmed(&self, freed: &Freed) {
        for (stream, committed, rejected) in &freed.settled {
            self.counters.streams[*stream].settled(*committed, *rejected);
        }
        self.counters.rejected_somewhere(self.lock().rejected_somewhere);
        self.counters.committed_checkpoints(freed.checkpoints);
        for (stream, counters) in self.counters.streams.iter().enumerate() {
            let own = freed.of_stream.get(&stream).copied().unwrap_or(0);
            counters.committed_checkpoints(own + freed.of_all);
        }
    }

    /// Stores states, and notes when.
    pub(super) async fn store(&self, states: Vec<Confirmed>) -> Result<(), Failure> {
        let scopes: Vec<StateScope> = states.iter().map(|c| c.state.scope().clone()).collect();
        self.sink.store(states).await?;
        let now = now_ms();
        for scope in scopes {
            match scope {
                StateScope::Stream(of) => {
                    if let Some(stream) = self.index.get(&of) {
                        self.counters.streams[*stream as usize].state_stored(now);
                    }
                }
                StateScope::Global | StateScope::Legacy => {
                    self.counters.streams.iter().for_each(|stream| stream.state_stored(now));
                }
            }
        }
        Ok(())
    }
}

/// Leaves the last state of each scope, in their order.
pub(super) fn keep_latest(states: &mut Vec<Confirmed>) {
    let mut seen = HashSet::new();
    let mut latest: Vec<bool> =
        states.iter().rev().map(|c| seen.insert(c.state.scope().clone())).collect();
    states.retain(|_| latest.pop().unwrap_or(true));
}

/// A count that is a double; one that is no count is none.
pub(super) fn whole(said: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it saturates, and what is no number becomes 0"
    )]
    let count = said.round() as u64;
    count
}

/// Airbyte's counts are doubles.
pub(super) fn same_count(said: f64, counted: u64) -> bool {
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    let counted = counted as f64;
    (said - counted).abs() < 0.5
}
