//! What the supervisor does with changed configurations that its worker has checked and stored.

use std::sync::Arc;

use super::{Supervised, Supervisor};
use crate::connector::ConfigKeeper;
use crate::sync::SyncError;
use crate::sync::sides::change_store;
use crate::sync::worker::message::Side;

/// What takes the changes of each side.
pub(super) fn keepers(job: &Supervised<'_>) -> [Arc<ConfigKeeper>; 2] {
    [Side::Source, Side::Destination].map(|side| {
        let store = change_store(side.word(), job.connection, job.options);
        job.sides[side.place()].keeper_elsewhere(store)
    })
}

impl Supervisor<'_> {
    /// The result of a sync: a failure where a change was refused here, whatever the worker made of
    /// it. A worker that fails says the same.
    pub(super) fn judged(&self, result: Result<(), SyncError>) -> Result<(), SyncError> {
        result?;
        let refused = |side: Side| {
            let error = self.keepers[side.place()].refused()?;
            Some((self.names[side.place()].to_owned(), Box::new(error)))
        };
        if let Some((name, error)) = refused(Side::Source) {
            return Err(SyncError::Source { name, error });
        }
        match refused(Side::Destination) {
            Some((name, error)) => Err(SyncError::Destination { name, error }),
            None => Ok(()),
        }
    }
}
