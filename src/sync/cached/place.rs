//! Where in a cache a destination is: a member of the states that it confirms.
//!
//! The state of a source says where the source goes on. Rows that come out of a cache have a second
//! cursor: the number of the last row of each stream that was sent before the state. It travels with
//! the state as a member of its text, so that both are stored in one write, and is taken out before a
//! source is given the state.
//!
//! The attack: a source gives a state with a member of that name, to have rows of another stream
//! skipped. A member counts for the cache whose id it has, which no source is told, and whatever a
//! source wrote there is replaced.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::cache::CachePosition;
use crate::protocol::{Failure, Json, StateMessage, StateScope, StreamDescriptor};
use crate::sync::{Confirmed, StateSink};

/// The member of a state.
const MEMBER: &str = "lockgate";

/// Where in a cache the rows before a state end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The cache's id.
    pub(super) cache: String,
    /// Of each stream that the state covers.
    pub(super) positions: Vec<(StreamDescriptor, CachePosition)>,
    /// The state is one of a full read, whatever the sync that sends it is.
    pub(super) of_full_read: bool,
    /// The source gave no state: this is a place and no more.
    pub(super) alone: bool,
}

/// As it is written: one stream's position by itself, those of several as a list.
#[derive(Serialize, Deserialize)]
struct Form {
    cache: String,
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    position: Option<CachePosition>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    positions: Option<Vec<(StreamDescriptor, CachePosition)>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    full_read: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    alone: bool,
}

impl Place {
    /// What a state says of its place, where it says so.
    pub(super) fn of(state: &StateMessage) -> Option<Self> {
        let member = state.member(MEMBER)?;
        let form: Form = serde_json::from_str(member.get()).ok()?;
        let positions = match state.scope() {
            StateScope::Stream(stream) => vec![(stream.clone(), form.position?)],
            StateScope::Global | StateScope::Legacy => form.positions?,
        };
        let (of_full_read, alone) = (form.full_read, form.alone);
        Some(Self { cache: form.cache, positions, of_full_read, alone })
    }

    /// Where a stream is.
    pub(super) fn position(&self, stream: &StreamDescriptor) -> Option<CachePosition> {
        self.positions.iter().find(|(of, _)| of == stream).map(|(_, position)| *position)
    }

    /// A state that says its place, and how many rows came before it where the source counted.
    pub(super) fn note(&self, state: StateMessage, rows: u64) -> StateMessage {
        let one = matches!(state.scope(), StateScope::Stream(_));
        let form = Form {
            cache: self.cache.clone(),
            position: self.positions.first().filter(|_| one).map(|(_, position)| *position),
            positions: (!one).then(|| self.positions.clone()),
            full_read: self.of_full_read,
            alone: self.alone,
        };
        // Strings and numbers always serialise.
        let form = serde_json::value::to_raw_value(&form);
        let form = form.map_or_else(|_| Json::empty_object(), |form| Json::from(form.as_ref()));
        let counted = state.source_stats().is_some();
        let state = state.with_member(MEMBER, &form);
        if !counted {
            return state;
        }
        // The source counted what it sent, which is more where rows were merged or sent before.
        state.with_member("sourceStats", &Json::from_value(&json!({ "recordCount": rows })))
    }
}

/// The states that a source is given: without places in a cache, which are no word of its own.
pub(in crate::sync) fn for_source(states: Vec<StateMessage>) -> Vec<StateMessage> {
    let of_the_source = |state: &StateMessage| !Place::of(state).is_some_and(|place| place.alone);
    states.into_iter().filter(of_the_source).map(|state| state.without_member(MEMBER)).collect()
}

/// Stores states of a cache as what their source said they are.
pub(super) struct PlaceSink(pub(super) Arc<dyn StateSink>);

#[async_trait]
impl StateSink for PlaceSink {
    async fn store(&self, states: Vec<Confirmed>) -> Result<(), Failure> {
        let marked = |mut confirmed: Confirmed| {
            let place = Place::of(&confirmed.state);
            confirmed.of_full_read |= place.is_some_and(|place| place.of_full_read || place.alone);
            confirmed
        };
        self.0.store(states.into_iter().map(marked).collect()).await
    }

    fn wants_all(&self) -> bool {
        self.0.wants_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(text: &str) -> StateMessage {
        StateMessage::from_airbyte(Json::parse(text).unwrap()).unwrap()
    }

    fn at(generation: u64, row: u64) -> CachePosition {
        CachePosition { generation, row }
    }

    fn place(positions: Vec<(StreamDescriptor, CachePosition)>) -> Place {
        Place { cache: "c1".into(), positions, of_full_read: false, alone: false }
    }

    #[test]
    fn a_place_travels_with_a_state_and_is_taken_out_again() {
        let a = StreamDescriptor::new("a");
        let text = r#"{"type":"STREAM","stream":{"stream_descriptor":{"name":"a"},"stream_state":{"n":1.10}}}"#;
        let one = place(vec![(a.clone(), at(2, 7))]);
        let noted = one.note(state(text), 5);
        let member = r#""lockgate":{"cache":"c1","generation":2,"row":7}"#;
        assert!(noted.body().get().ends_with(&format!(",{member}}}")), "{}", noted.body().get());
        assert_eq!(Place::of(&noted), Some(one.clone()));
        assert_eq!(one.position(&a), Some(at(2, 7)));
        assert_eq!(for_source(vec![noted])[0].body().get(), text);

        let text =
            r#"{"type":"GLOBAL","global":{"stream_states":[]},"sourceStats":{"recordCount":9}}"#;
        let b = StreamDescriptor::new("b").in_namespace("n");
        let all = place(vec![(a, at(1, 3)), (b, at(1, 4))]);
        let noted = all.note(state(text), 5);
        assert_eq!(noted.source_stats().and_then(|s| s.records), Some(5.0));
        assert_eq!(Place::of(&noted), Some(all));
    }

    #[test]
    fn a_place_alone_is_no_state_of_a_source() {
        let a = StreamDescriptor::new("a");
        let alone = Place { alone: true, ..place(vec![(a.clone(), at(1, 1))]) };
        let noted = alone.note(StateMessage::stream(a, Some(&Json::empty_object())), 0);
        assert!(for_source(vec![noted]).is_empty());
    }

    #[test]
    fn what_a_source_wrote_there_is_replaced() {
        let a = StreamDescriptor::new("a");
        let text = r#"{"lockgate":{"cache":"c1","generation":1,"row":99},"type":"STREAM","stream":{"stream_descriptor":{"name":"a"}}}"#;
        let noted = place(vec![(a, at(1, 7))]).note(state(text), 0);
        assert_eq!(Place::of(&noted).unwrap().positions[0].1, at(1, 7));
        assert!(!noted.body().get().contains("99"));
        for broken in [r#""lockgate":5"#, r#""lockgate":{"cache":"c1"}"#] {
            let text = format!(r#"{{"type":"LEGACY",{broken}}}"#);
            assert_eq!(Place::of(&state(&text)), None);
            assert_eq!(for_source(vec![state(&text)])[0].body().get(), r#"{"type":"LEGACY"}"#);
        }
    }
}
