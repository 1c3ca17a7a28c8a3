//! States of one run whose operator keeps none: another attempt goes on from them, and they go with
//! the run.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::protocol::{Json, StateScope, StreamDescriptor, now_ms};
use crate::state::{
    Generation, Held, Holder, Lease, PastStates, Remembered, StateStore, StateStoreError,
    StoredState, SyncNumbers, SyncStart,
};

/// See the module. Of one connection: its name is not asked for.
#[derive(Debug, Default)]
pub(super) struct MemoryStore(Mutex<Memory>);

#[derive(Debug)]
struct Memory {
    /// Before the generations of this run. The time, since nobody remembers those of earlier runs: a
    /// destination that found one of them again would go on in it, and replace nothing.
    first: u64,
    last_sync_id: u64,
    generations: BTreeMap<StreamDescriptor, Generation>,
    /// One of each scope, of incremental and of full reads apart.
    states: Vec<StoredState>,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            first: u64::try_from(now_ms()).unwrap_or(0),
            last_sync_id: 0,
            generations: BTreeMap::new(),
            states: Vec::new(),
        }
    }
}

impl MemoryStore {
    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn of_one_run<T>() -> Result<T, StateStoreError> {
    let reason = "it is the memory of one run".to_owned();
    Err(StateStoreError::Database { path: PathBuf::from("memory"), reason })
}

impl Memory {
    fn keep(&mut self, stored: &StoredState) {
        let is_stream = |s: &StoredState| matches!(s.state.scope(), StateScope::Stream(_));
        self.states.retain(|old| {
            let other_read = old.of_full_read != stored.of_full_read;
            // What is said of all replaces what was said of each, and the reverse.
            let stays = is_stream(stored) && is_stream(old);
            other_read || (stays && old.state.scope() != stored.state.scope())
        });
        self.states.push(stored.clone());
    }
}

impl StateStore for MemoryStore {
    fn acquire(&self, _: &str, _: &Holder, _: Duration) -> Result<Lease, StateStoreError> {
        of_one_run()
    }

    fn renew(&self, _: &Lease, _: Duration) -> Result<(), StateStoreError> {
        Ok(())
    }

    fn release(&self, _: &Lease) -> Result<(), StateStoreError> {
        Ok(())
    }

    fn held(&self, _: &str) -> Result<Option<Held>, StateStoreError> {
        Ok(None)
    }

    fn begin_sync(
        &self,
        _: &str,
        start: &SyncStart,
        _: Option<u64>,
    ) -> Result<SyncNumbers, StateStoreError> {
        let mut memory = self.lock();
        if start.again.is_none() {
            memory.last_sync_id += 1;
        }
        let first = Generation { number: memory.first, since: memory.first, open: None };
        let of = |stream: &StreamDescriptor| {
            Some(memory.generations.get(stream).copied().unwrap_or(first))
        };
        let begun = start.begin(of, memory.states.iter().flat_map(StoredState::covers));
        let mut streams = Vec::with_capacity(begun.len());
        for (stream, (next, numbers)) in start.streams.iter().zip(begun) {
            memory.generations.insert(stream.descriptor.clone(), next);
            streams.push(numbers);
        }
        Ok(SyncNumbers { sync_id: memory.last_sync_id, streams })
    }

    fn complete(
        &self,
        _: &str,
        streams: &[StreamDescriptor],
        _: Option<u64>,
    ) -> Result<(), StateStoreError> {
        let mut memory = self.lock();
        for stream in streams {
            if let Some(generation) = memory.generations.get_mut(stream) {
                generation.open = None;
            }
        }
        Ok(())
    }

    fn generations(&self, _: &str) -> Result<Vec<(StreamDescriptor, Generation)>, StateStoreError> {
        Ok(self.lock().generations.clone().into_iter().collect())
    }

    fn past(&self, _: &str) -> Result<Vec<PastStates>, StateStoreError> {
        Ok(Vec::new())
    }

    fn load(&self, _: &str) -> Result<Vec<StoredState>, StateStoreError> {
        Ok(self.lock().states.clone())
    }

    fn store(
        &self,
        _: &str,
        states: &[StoredState],
        _: Option<u64>,
    ) -> Result<(), StateStoreError> {
        let mut memory = self.lock();
        states.iter().for_each(|stored| memory.keep(stored));
        Ok(())
    }

    fn set(
        &self,
        _: &str,
        states: &[StoredState],
        _: Option<u64>,
    ) -> Result<usize, StateStoreError> {
        Ok(std::mem::replace(&mut self.lock().states, states.to_vec()).len())
    }

    fn last_sync(&self, _: &str) -> Result<u64, StateStoreError> {
        Ok(self.lock().last_sync_id)
    }

    fn adopt(&self, _: &str, _: &Remembered, _: Option<u64>) -> Result<(), StateStoreError> {
        of_one_run()
    }

    fn connections(&self) -> Result<Vec<(String, u64, i64)>, StateStoreError> {
        Ok(Vec::new())
    }

    // What a connector changes is in its values already, for as long as the run.
    fn change_config(&self, _: &str, _: &str, _: &str, _: &Json) -> Result<(), StateStoreError> {
        Ok(())
    }

    fn changed_config(&self, _: &str, _: &str, _: &str) -> Result<Option<Json>, StateStoreError> {
        Ok(None)
    }

    fn replace_changed_config(
        &self,
        _: &str,
        _: &str,
        _: &str,
        _: Option<&Json>,
    ) -> Result<(), StateStoreError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::StateMessage;

    #[test]
    fn one_state_of_each_scope_is_kept() {
        let state = |name: &str, of_full_read| StoredState {
            state: match name {
                "" => StateMessage::global(None, &[]),
                name => StateMessage::stream(StreamDescriptor::new(name), None),
            },
            of_full_read,
            generations: BTreeMap::new(),
        };
        let store = MemoryStore::default();
        let kept = |states: &[StoredState]| {
            store.store("c", states, None).unwrap();
            store.load("c").unwrap().len()
        };
        assert_eq!(kept(&[state("a", false), state("b", false), state("a", false)]), 2);
        assert_eq!(kept(&[state("a", true)]), 3);
        assert_eq!(kept(&[state("", false)]), 2, "a global one replaces those of the same reads");
        assert_eq!(kept(&[state("b", false)]), 2);
        assert_eq!(store.clear("c", Some(&[StreamDescriptor::new("b")])).unwrap(), 1);
    }
}
