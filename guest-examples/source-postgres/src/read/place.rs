//! Where the rows and the states of a stream go.

use lockgate_sdk::{Failure, Output, StreamOutput};

use super::state::State;
use crate::replication::Positions;

/// A stream of the output.
#[derive(Debug)]
pub(crate) struct Place<'a, 'o> {
    output: &'a mut Output<'o>,
    index: usize,
    keeper: Keeper<'a>,
}

/// Who keeps a stream's states.
#[derive(Debug)]
pub(crate) enum Keeper<'a> {
    /// They are the stream's own.
    Stream,
    /// They are a part of one state of all streams.
    All(&'a mut Positions),
    /// Nobody: the stream begins again if it fails.
    Nobody,
}

impl<'a, 'o> Place<'a, 'o> {
    pub(crate) fn new(output: &'a mut Output<'o>, index: usize, keeper: Keeper<'a>) -> Self {
        Self { output, index, keeper }
    }

    pub(crate) fn stream(&mut self) -> Result<StreamOutput<'_>, Failure> {
        self.output.stream(self.index)
    }

    /// Says that a later read may go on from here.
    pub(crate) fn checkpoint(&mut self, state: State) -> Result<(), Failure> {
        match &mut self.keeper {
            Keeper::Stream => self.output.stream(self.index)?.checkpoint(&state).map(|_| ()),
            Keeper::All(positions) => positions.checkpoint(self.index, state, self.output),
            Keeper::Nobody => Ok(()),
        }
    }
}
