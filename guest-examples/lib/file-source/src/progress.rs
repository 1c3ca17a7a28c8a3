//! How far the reading of a file is, and what is told of it.

use lockgate_sdk::{Failure, StreamOutput};

use crate::place::Opened;
use crate::state::{FileState, Kind, Position, State};

/// Where a read of a file begins.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Start {
    pub(crate) place: Position,
    /// Where the last row began that was read, if nothing ended it then.
    pub(crate) last: Option<Position>,
}

/// Where a read of a file ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    pub(crate) place: Position,
    /// Where the last row begins, if nothing ends it: it may go on.
    pub(crate) last: Option<Position>,
}

/// Makes checkpoints.
#[derive(Debug)]
pub(crate) struct Progress {
    pub(crate) state: State,
    every: u64,
    /// Bytes that were read since the last checkpoint.
    read: u64,
    pub(crate) incremental: bool,
}

impl Progress {
    /// With a checkpoint after so many bytes.
    pub(crate) fn new(state: State, every: u64) -> Self {
        Self { incremental: state.kind == Kind::Incremental, state, every, read: 0 }
    }

    /// Notes that bytes were read.
    pub(crate) fn note(&mut self, bytes: u64) {
        self.read += bytes;
    }

    /// Were as many bytes read as lie between two checkpoints?
    pub(crate) fn is_due(&self) -> bool {
        self.read >= self.every
    }

    /// Makes a checkpoint within a file. `plain`: what is read is what is in it, so that it may grow
    /// behind the place.
    pub(crate) fn within(
        &mut self,
        file: &Opened,
        place: Position,
        plain: bool,
        out: &mut StreamOutput<'_>,
    ) -> Result<(), Failure> {
        // A server is not asked twice for each checkpoint where its own word will do.
        let known = file.remote().is_some() && file.stamp.is_some();
        let mark = if plain { Some(place.offset) } else { file.size };
        let print = match mark {
            Some(mark) if !known => file.print(mark)?,
            _ => None,
        };
        let entry = FileState {
            size: file.size,
            stamp: file.stamp.clone(),
            print,
            mark: mark.filter(|_| plain),
            place,
            last: None,
            part: true,
        };
        self.state.files.insert(file.name.clone(), entry);
        self.emit(out)
    }

    /// Makes a checkpoint.
    pub(crate) fn emit(&mut self, out: &mut StreamOutput<'_>) -> Result<(), Failure> {
        self.read = 0;
        out.checkpoint(&self.state)?;
        Ok(())
    }
}
