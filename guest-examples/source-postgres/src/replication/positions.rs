//! Where all streams stand.

use lockgate_sdk::{Failure, Output, SavedState, StreamDescriptor, log};
use serde::{Deserialize, Serialize};

use super::lsn::Lsn;
use super::mend::{REFRESH, warn_again};
use crate::config::Replication;
use crate::read::State;

/// What is stored of all streams together.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
struct Shared {
    /// The slot that the log was read by.
    slot: String,
    /// The server's identifier.
    system: String,
    /// Up to where the log was read: what was committed before is in the rows that were given.
    lsn: Lsn,
}

/// The state of all streams.
#[derive(Debug)]
pub(crate) struct Positions {
    shared: Shared,
    parts: Vec<Part>,
    /// There is no state to go on from.
    is_new: bool,
}

/// A stream's part of it.
#[derive(Debug)]
struct Part {
    index: usize,
    descriptor: StreamDescriptor,
    token: String,
    state: Option<State>,
}

impl Positions {
    /// Those of a saved state; without one, the log is read from the slot's position on.
    pub(crate) fn new(
        replication: &Replication,
        system: String,
        start: Lsn,
        state: &SavedState,
    ) -> Result<Self, Failure> {
        let slot = &replication.slot;
        let saved = state.shared::<Shared>()?;
        let is_new = saved.is_none();
        let lsn = match saved {
            None => {
                if !state.is_empty() {
                    log::warn(
                        "the stored states are not of logical replication: all streams are read from \
                         their start",
                    );
                }
                start
            }
            Some(saved) if saved.system != system => {
                return Err(Failure::config(format!(
                    "the stored state is of another server: its identifier is {}, and the server's is \
                     {system}. Correct `host`, or {REFRESH}",
                    saved.system
                )));
            }
            Some(saved) if saved.lsn < start => {
                return Err(Failure::config(format!(
                    "changes are lost: the last sync ended at {}, and the replication slot {slot} begins \
                     at {start}. It was made anew or is read by somebody else, or the stored state is an \
                     old one. Let the slot be this connection's alone, and {REFRESH}",
                    saved.lsn
                )));
            }
            Some(saved) => saved.lsn,
        };
        Ok(Self { shared: Shared { slot: slot.clone(), system, lsn }, parts: Vec::new(), is_new })
    }

    /// Takes a stream in, with what was stored of it. What is of another table counts for nothing.
    pub(crate) fn add(
        &mut self,
        index: usize,
        descriptor: &StreamDescriptor,
        token: String,
        saved: Option<State>,
    ) {
        let state = saved.filter(|state| match state {
            _ if self.is_new => false,
            State::Snapshot { table, .. } | State::Changes { table } if *table == token => true,
            State::Snapshot { .. } | State::Changes { .. } => {
                warn_again(
                    descriptor,
                    "the table was made anew, or left the publication or came into another one",
                );
                false
            }
            _ => false,
        });
        self.parts.push(Part { index, descriptor: descriptor.clone(), token, state });
    }

    fn part(&mut self, index: usize) -> Option<&mut Part> {
        self.parts.iter_mut().find(|part| part.index == index)
    }

    /// Was the stream read as it is, to its end?
    pub(crate) fn is_read(&mut self, index: usize) -> bool {
        self.part(index).is_some_and(|part| matches!(part.state, Some(State::Changes { .. })))
    }

    /// How far a first read came.
    pub(crate) fn snapshot(&mut self, index: usize) -> Option<State> {
        match &self.part(index)?.state {
            Some(State::Snapshot { at, .. }) => Some(State::Pages(at.clone())),
            _ => None,
        }
    }

    /// The stream was read as it is, to its end.
    pub(crate) fn is_now_read(&mut self, index: usize) {
        if let Some(part) = self.part(index) {
            part.state = Some(State::Changes { table: part.token.clone() });
        }
    }

    /// Up to where the log was read.
    pub(crate) fn reached(&self) -> Lsn {
        self.shared.lsn
    }

    /// The log was read up to there; it is never read backwards.
    pub(crate) fn reach(&mut self, lsn: Lsn) {
        self.shared.lsn = self.shared.lsn.max(lsn);
    }

    /// Takes the new state of a stream that is read as it is, and saves all.
    pub(crate) fn checkpoint(
        &mut self,
        index: usize,
        state: State,
        output: &mut Output<'_>,
    ) -> Result<(), Failure> {
        match state {
            State::Pages(at) => {
                if let Some(part) = self.part(index) {
                    part.state = Some(State::Snapshot { table: part.token.clone(), at });
                }
            }
            _ => self.is_now_read(index),
        }
        self.save(output)
    }

    /// Says that a later read may go on from here.
    pub(crate) fn save(&self, output: &mut Output<'_>) -> Result<(), Failure> {
        let parts: Vec<_> = (self.parts.iter())
            .filter_map(|part| Some((part.descriptor.clone(), part.state.as_ref()?)))
            .collect();
        output.checkpoint_all(Some(&self.shared), &parts).map(|_| ())
    }
}
