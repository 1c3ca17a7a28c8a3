//! What the file holds, and how it changes.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::protocol::{Json, StateMessage, StreamDescriptor, now_ms};
use crate::state::lease::end;
use crate::state::rows::{GLOBAL, LEGACY, Row, begin, changed_again, effects, key, stream_key};
use crate::state::{
    Generation, Held, Holder, KEPT_PASTS, Lease, PastStates, Remembered, StateStoreError,
    StoredState, SyncNumbers, SyncStart,
};

/// The layout below.
pub(super) const LAYOUT: i64 = 1;

/// All of the file.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Memory {
    layout: i64,
    pub(super) connections: BTreeMap<String, OfConnection>,
}

impl Default for Memory {
    fn default() -> Self {
        Self { layout: LAYOUT, connections: BTreeMap::new() }
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct OfConnection {
    pub(super) last_sync_id: u64,
    pub(super) lease: LeaseForm,
    generations: Vec<(StreamDescriptor, Generation)>,
    pub(super) states: Vec<StateForm>,
    past: Vec<PastForm>,
    config_changes: BTreeMap<String, ChangeForm>,
}

#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct LeaseForm {
    pub(super) token: u64,
    /// As JSON; none: free.
    holder: Option<Json>,
    since: i64,
    until: i64,
}

/// A state, whose body stays the text it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct StateForm {
    of_full_read: bool,
    state: Json,
    generations: Vec<(StreamDescriptor, u64)>,
    pub(super) stored_at: i64,
}

#[derive(Debug, Serialize, Deserialize)]
struct PastForm {
    number: u64,
    sync_id: u64,
    at: i64,
    states: Vec<StateForm>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ChangeForm {
    digest: String,
    members: Json,
}

impl StateForm {
    fn of(stored: &StoredState) -> Self {
        Self {
            of_full_read: stored.of_full_read,
            state: stored.state.body().clone(),
            generations: stored.generations.iter().map(|(s, n)| (s.clone(), *n)).collect(),
            stored_at: now_ms(),
        }
    }

    fn stored(&self) -> Result<StoredState, String> {
        let state = StateMessage::from_airbyte(self.state.clone()).map_err(|e| e.to_string())?;
        let generations = self.generations.iter().cloned().collect();
        Ok(StoredState { state, of_full_read: self.of_full_read, generations })
    }

    /// Its key, as far as it can be read.
    fn key(&self) -> Option<String> {
        let state = StateMessage::from_airbyte(self.state.clone()).ok()?;
        Some(key(state.scope()))
    }
}

impl OfConnection {
    pub(super) fn acquire(
        &mut self,
        connection: &str,
        holder: &Holder,
        time: Duration,
    ) -> Result<Lease, StateStoreError> {
        if let Some(held) = self.held().filter(|held| !held.ended) {
            return Err(held.refusal(connection));
        }
        // Our own types always serialise.
        let text = serde_json::to_string(holder).unwrap_or_default();
        let now = now_ms();
        self.lease = LeaseForm {
            token: self.lease.token + 1,
            holder: Json::parse(text).ok(),
            since: now,
            until: end(now, time),
        };
        Ok(Lease { connection: connection.to_owned(), token: self.lease.token })
    }

    /// Under a token that is the last.
    pub(super) fn renew(&mut self, of: &str, time: Duration) -> Result<(), StateStoreError> {
        if self.lease.holder.is_none() {
            return Err(StateStoreError::Lost { connection: of.to_owned() });
        }
        self.lease.until = end(now_ms(), time);
        Ok(())
    }

    pub(super) fn release(&mut self) {
        self.lease.holder = None;
        self.lease.until = 0;
    }

    pub(super) fn held(&self) -> Option<Held> {
        let holder = self.lease.holder.as_ref()?;
        Some(Held::new(holder.get(), self.lease.since, self.lease.until, now_ms()))
    }

    pub(super) fn begin_sync(&mut self, start: &SyncStart) -> SyncNumbers {
        if start.again.is_none() || self.last_sync_id == 0 {
            self.last_sync_id += 1;
        }
        if start.again.is_none() {
            self.put_aside(self.last_sync_id - 1);
        }
        let rows: Vec<Row> =
            self.states.iter().filter_map(|s| s.stored().ok()).map(|s| Row::of(&s)).collect();
        let stored = self.by_stream();
        let mut streams = Vec::with_capacity(start.streams.len());
        for (stream, (_, generation, numbers)) in
            start.streams.iter().zip(begin(start, &rows, &stored))
        {
            self.put_generation(&stream.descriptor, generation);
            streams.push(numbers);
        }
        SyncNumbers { sync_id: self.last_sync_id, streams }
    }

    fn put_generation(&mut self, stream: &StreamDescriptor, generation: Generation) {
        self.generations.retain(|(there, _)| there != stream);
        self.generations.push((stream.clone(), generation));
        self.generations.sort_by(|a, b| a.0.cmp(&b.0));
    }

    pub(super) fn complete(&mut self, streams: &[StreamDescriptor]) {
        for (stream, generation) in &mut self.generations {
            if streams.contains(stream) {
                generation.open = None;
            }
        }
    }

    pub(super) fn generations(&self) -> Vec<(StreamDescriptor, Generation)> {
        self.generations.clone()
    }

    pub(super) fn load(&self) -> Result<Vec<StoredState>, String> {
        self.states.iter().map(StateForm::stored).collect()
    }

    pub(super) fn put(&mut self, states: &[StoredState]) {
        for effect in effects(states) {
            self.states.retain(|there| {
                if there.of_full_read != effect.of_full_read {
                    return true;
                }
                // One that cannot be read stays until it is cleared, so that it is seen.
                let Some(key) = there.key() else { return !effect.all_go };
                let goes = effect.all_go || key == GLOBAL || key == LEGACY;
                !goes && !effect.states.contains_key(&key)
            });
            self.states.extend(effect.states.values().map(|stored| StateForm::of(stored)));
        }
        self.states.sort_by_cached_key(|s| (s.of_full_read, s.key()));
    }

    pub(super) fn set(&mut self, states: &[StoredState]) -> usize {
        let gone = self.states.len();
        self.put_aside(0);
        self.states.clear();
        self.put(states);
        gone
    }

    pub(super) fn adopt(&mut self, other: &Remembered) {
        self.last_sync_id = self.last_sync_id.max(other.last_sync);
        let there = self.by_stream();
        let later: HashMap<String, Generation> = other.later(&there).into_iter().collect();
        for (stream, _) in &other.generations {
            if let Some(generation) = later.get(&stream_key(stream)) {
                self.put_generation(stream, *generation);
            }
        }
        self.set(&other.states);
    }

    fn by_stream(&self) -> HashMap<String, Generation> {
        self.generations.iter().map(|(s, g)| (stream_key(s), *g)).collect()
    }

    fn put_aside(&mut self, sync_id: u64) {
        if self.states.is_empty() {
            return;
        }
        let number = self.past.last().map_or(0, |past| past.number) + 1;
        self.past.push(PastForm { number, sync_id, at: now_ms(), states: self.states.clone() });
        self.past.retain(|past| past.number + KEPT_PASTS > number);
    }

    pub(super) fn past(&self) -> Result<Vec<PastStates>, String> {
        let past = |past: &PastForm| {
            let states = past.states.iter().map(StateForm::stored).collect::<Result<_, _>>()?;
            Ok(PastStates { number: past.number, sync_id: past.sync_id, at: past.at, states })
        };
        self.past.iter().rev().map(past).collect()
    }

    pub(super) fn change_config(&mut self, side: &str, digest: &str, members: &Json) {
        let members = changed_again(self.changed_config(side, digest), members);
        self.replace_changed_config(side, digest, Some(&members));
    }

    pub(super) fn changed_config(&self, side: &str, digest: &str) -> Option<&Json> {
        let kept = self.config_changes.get(side).filter(|kept| kept.digest == digest)?;
        Some(&kept.members)
    }

    pub(super) fn replace_changed_config(
        &mut self,
        side: &str,
        digest: &str,
        members: Option<&Json>,
    ) {
        match members {
            Some(members) => {
                let kept = ChangeForm { digest: digest.to_owned(), members: members.clone() };
                self.config_changes.insert(side.to_owned(), kept);
            }
            None if self.changed_config(side, digest).is_some() => {
                self.config_changes.remove(side);
            }
            None => {}
        }
    }
}
