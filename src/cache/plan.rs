//! What a read does with each stream, the same in every engine: how rows are kept, how columns grow,
//! and when a state may be kept.

use std::collections::{HashMap, VecDeque};

use super::names::Names;
use super::schema;
use super::{CachePosition, CachedColumn};
use crate::protocol::{
    Catalog, ConfiguredStream, DestinationSyncMode, Json, StateMessage, StateScope,
    StreamDescriptor, SyncMode,
};

/// Checkpoints of a source that are kept: the destination that is furthest behind goes on from the
/// oldest that it knows, or from its position.
pub(super) const MAX_CHECKPOINTS: u64 = 10_000;

/// Bytes of states that wait for their streams to be complete. Of more, the latest are kept: a
/// destination that replaces needs no more.
const MAX_HELD_BYTES: usize = 64 << 20;

/// How the rows of a stream are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct How {
    /// The rows of before disappear once the stream is complete.
    pub(super) replaces: bool,
    /// Rows with the same key are one; empty: they are not.
    pub(super) key: Vec<Vec<String>>,
}

impl How {
    pub(super) fn of(stream: &ConfiguredStream) -> Self {
        let merges = match stream.destination_sync_mode {
            DestinationSyncMode::AppendDedup | DestinationSyncMode::Update => true,
            DestinationSyncMode::Append
            | DestinationSyncMode::Overwrite
            | DestinationSyncMode::SoftDelete => false,
        };
        let key = if merges { stream.primary_key.clone() } else { Vec::new() };
        Self {
            replaces: stream.truncates(),
            key: key.into_iter().filter(|path| !path.is_empty()).collect(),
        }
    }
}

/// A table's columns after its schema changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Evolved {
    /// Those of before in their places, then the new ones.
    pub(super) columns: Vec<CachedColumn>,
    /// How many there were.
    pub(super) known: usize,
    /// One of them holds more than before.
    pub(super) widened: bool,
}

/// Adds to a table's columns what a schema has more, and widens what it widened. Nothing is renamed
/// or dropped.
pub(super) fn evolve(known: &[CachedColumn], json_schema: &Json) -> Evolved {
    let mut columns = known.to_vec();
    let places: HashMap<String, usize> =
        known.iter().enumerate().map(|(i, column)| (column.member.clone(), i)).collect();
    let mut names = Names::taken(known.iter().map(|column| column.name.clone()));
    let mut widened = false;
    for (member, kind) in schema::columns(json_schema) {
        if let Some(place) = places.get(&member) {
            if let Some(column) = columns.get_mut(*place) {
                let wider = column.kind.widened(kind);
                widened |= wider != column.kind;
                column.kind = wider;
            }
        } else if columns.len() < schema::MAX_COLUMNS {
            let name = names.give(&member);
            columns.push(CachedColumn { member, name, kind });
        }
    }
    Evolved { columns, known: known.len(), widened }
}

/// A state that may be kept, in the order in which it came.
#[derive(Debug, Clone)]
pub(super) struct Checkpoint {
    /// As it came.
    pub(super) state: StateMessage,
    /// Nothing goes on from it.
    pub(super) of_full_read: bool,
    /// Of each stream that it covers.
    pub(super) positions: Vec<(StreamDescriptor, CachePosition)>,
}

#[derive(Debug)]
struct Waiting {
    checkpoint: Checkpoint,
    /// The streams it waits for, by their index.
    streams: Vec<usize>,
}

/// The states of a read. Those of a stream that is being replaced are kept back until it is complete:
/// before that, they would stand for rows that are not there.
#[derive(Debug)]
pub(super) struct Checkpoints {
    descriptors: Vec<StreamDescriptor>,
    full: Vec<bool>,
    /// Replaces, and is not complete.
    open: Vec<bool>,
    ready: Vec<Checkpoint>,
    ready_bytes: usize,
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
}

impl Checkpoints {
    pub(super) fn new(catalog: &Catalog) -> Self {
        let streams = || catalog.streams.iter();
        Self {
            descriptors: streams().map(|s| s.stream.descriptor.clone()).collect(),
            full: streams().map(|s| s.sync_mode == SyncMode::FullRefresh).collect(),
            open: streams().map(|s| How::of(s).replaces).collect(),
            ready: Vec::new(),
            ready_bytes: 0,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
        }
    }

    /// Takes a state; `position`: where a stream is now.
    pub(super) fn take(&mut self, state: &StateMessage, position: impl Fn(usize) -> CachePosition) {
        let covered: Vec<usize> = match state.scope() {
            StateScope::Stream(of) => {
                self.descriptors.iter().position(|d| d == of).into_iter().collect()
            }
            StateScope::Global | StateScope::Legacy => (0..self.descriptors.len()).collect(),
        };
        let is = |flags: &[bool], stream: &usize| flags.get(*stream).copied().unwrap_or(false);
        let of_full_read = covered.iter().all(|stream| is(&self.full, stream));
        let positions = covered
            .iter()
            .filter_map(|stream| Some((self.descriptors.get(*stream)?.clone(), position(*stream))))
            .collect();
        let checkpoint = Checkpoint { state: state.clone(), of_full_read, positions };
        let streams: Vec<usize> =
            covered.into_iter().filter(|stream| is(&self.open, stream)).collect();
        let bytes = state.body().get().len();
        if streams.is_empty() {
            self.ready_bytes += bytes;
            self.ready.push(checkpoint);
            return;
        }
        self.waiting_bytes += bytes;
        self.waiting.push_back(Waiting { checkpoint, streams });
        while self.waiting_bytes > MAX_HELD_BYTES && self.drop_oldest() {}
        while self.waiting.len() as u64 > MAX_CHECKPOINTS && self.drop_oldest() {}
    }

    /// Drops the oldest that has a later one of its scope.
    fn drop_oldest(&mut self) -> bool {
        let superseded = (0..self.waiting.len()).find(|i| {
            let scope = |w: &Waiting| w.checkpoint.state.scope().clone();
            let own = self.waiting.get(*i).map(scope);
            self.waiting.iter().skip(i + 1).any(|later| Some(scope(later)) == own)
        });
        let dropped = superseded.and_then(|i| self.waiting.remove(i));
        let bytes = dropped.as_ref().map_or(0, |w| w.checkpoint.state.body().get().len());
        self.waiting_bytes -= bytes;
        dropped.is_some()
    }

    /// A stream is complete: what waited for it alone is ready.
    pub(super) fn complete(&mut self, stream: usize) {
        if let Some(open) = self.open.get_mut(stream) {
            *open = false;
        }
        let open = &self.open;
        let is_open = |stream: &usize| open.get(*stream).copied().unwrap_or(false);
        let (still, ready): (VecDeque<_>, VecDeque<_>) =
            self.waiting.drain(..).partition(|w| w.streams.iter().any(is_open));
        self.waiting = still;
        for waiting in ready {
            let bytes = waiting.checkpoint.state.body().get().len();
            self.waiting_bytes -= bytes;
            self.ready_bytes += bytes;
            self.ready.push(waiting.checkpoint);
        }
    }

    /// Bytes that are ready.
    pub(super) fn ready_bytes(&self) -> usize {
        self.ready_bytes
    }

    /// What is ready, once.
    pub(super) fn drain(&mut self) -> Vec<Checkpoint> {
        self.ready_bytes = 0;
        std::mem::take(&mut self.ready)
    }

    /// A state as an incremental read goes on from it: without the parts of streams that were read in
    /// full.
    pub(super) fn kept(&self, checkpoint: &Checkpoint) -> StateMessage {
        let state = checkpoint.state.clone();
        if checkpoint.of_full_read {
            return state;
        }
        state.without(|stream| {
            let mut all = self.descriptors.iter().zip(&self.full);
            all.any(|(descriptor, full)| *full && descriptor == stream)
        })
    }
}

/// Under which a state is kept: one a stream, or one of all together.
pub(super) fn scope_key(scope: &StateScope) -> String {
    match scope {
        StateScope::Stream(descriptor) => stream_key(descriptor),
        StateScope::Global => "GLOBAL".to_owned(),
        StateScope::Legacy => "LEGACY".to_owned(),
    }
}

/// A stream's name and namespace as one text.
pub(super) fn stream_key(descriptor: &StreamDescriptor) -> String {
    // Strings always serialise.
    serde_json::to_string(descriptor).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::ColumnType;

    #[test]
    fn columns_are_added_and_widened() {
        let schema = |text: &str| Json::parse(format!(r#"{{"properties":{{{text}}}}}"#)).unwrap();
        let first = evolve(&[], &schema(r#""a b":{"type":"integer"},"c":{"type":"string"}"#));
        assert_eq!((first.known, first.widened), (0, false));
        let next = schema(r#""a-b":{"type":"integer"},"a b":{"type":"number"}"#);
        let second = evolve(&first.columns, &next);
        let shown: Vec<_> = second.columns.iter().map(|c| (c.member.as_str(), c.kind)).collect();
        assert_eq!(
            shown,
            [("a b", ColumnType::Number), ("c", ColumnType::String), ("a-b", ColumnType::Integer)]
        );
        assert!(second.widened && second.known == 2);
        assert_eq!(second.columns[0].name, "a_b");
        assert!(second.columns[2].name.starts_with("a_b_"));
        assert_eq!(evolve(&second.columns, &next).columns, second.columns);
    }

    fn catalog() -> Catalog {
        Catalog::from_airbyte(
            r#"{"streams":[
            {"stream":{"name":"a","json_schema":{}},"sync_mode":"incremental","destination_sync_mode":"append"},
            {"stream":{"name":"b","json_schema":{}},"sync_mode":"full_refresh","destination_sync_mode":"overwrite"}]}"#,
        )
        .unwrap()
    }

    fn state(text: &str) -> StateMessage {
        StateMessage::from_airbyte(Json::parse(text).unwrap()).unwrap()
    }

    #[test]
    fn states_of_what_is_replaced_wait() {
        let mut checkpoints = Checkpoints::new(&catalog());
        let at = |row| move |_: usize| CachePosition { generation: 1, row };
        let stream = |name: &str| {
            state(&format!(
                r#"{{"type":"STREAM","stream":{{"stream_descriptor":{{"name":"{name}"}},"stream_state":{{}}}}}}"#
            ))
        };
        let global = state(
            r#"{"type":"GLOBAL","global":{"shared_state":{},"stream_states":[{"stream_descriptor":{"name":"a"},"stream_state":{}},{"stream_descriptor":{"name":"b"},"stream_state":{}}]}}"#,
        );
        checkpoints.take(&stream("b"), at(1));
        checkpoints.take(&global, at(2));
        checkpoints.take(&stream("a"), at(3));
        let ready = checkpoints.drain();
        assert_eq!(ready.len(), 1);
        assert!(!ready[0].of_full_read);
        checkpoints.complete(1);
        let ready = checkpoints.drain();
        assert_eq!(ready.len(), 2);
        assert!(ready[0].of_full_read && !ready[1].of_full_read);
        assert_eq!(ready[1].positions.len(), 2);
        assert_eq!(checkpoints.kept(&ready[1]).parts().len(), 1);
        assert_eq!(checkpoints.waiting_bytes, 0);
    }

    #[test]
    fn waiting_states_are_bounded_and_the_last_stays() {
        let mut checkpoints = Checkpoints::new(&catalog());
        let big = "x".repeat(10 << 20);
        for i in 0..20_u64 {
            let text = format!(
                r#"{{"type":"STREAM","stream":{{"stream_descriptor":{{"name":"b"}},"stream_state":{{"i":{i},"x":"{big}"}}}}}}"#
            );
            checkpoints.take(&state(&text), |_| CachePosition::default());
            assert!(checkpoints.waiting_bytes <= MAX_HELD_BYTES);
        }
        checkpoints.complete(1);
        let ready = checkpoints.drain();
        assert!(ready.last().unwrap().state.body().get().contains(r#""i":19"#));
    }
}
