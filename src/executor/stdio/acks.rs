//! Which state a destination's STATE echoes.
//!
//! Python destinations drop the platform's number and every member they do not know, and identical
//! states may be in flight twice, so an echo is matched by number where it has ours, else by
//! stream, order and content (protocol notes: `docs/architecture.md`, "Acknowledgements").

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use serde_json::Value;

use crate::protocol::{StateMessage, StateScope, StreamDescriptor};

/// How many confirmed states are remembered, to tell an echo out of order from one of a state
/// that was never sent.
const REMEMBERED: usize = 256;

/// Why an echo cannot be accepted.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AckError {
    /// Nothing like it was sent.
    #[error("it acknowledged a state of {0} that was never sent to it")]
    NeverSent(String),
    /// One of its number was sent, and is another.
    #[error(
        "it acknowledged a state of {0} that was never sent to it; the one of its number is another"
    )]
    Changed(String),
    /// It was acknowledged before, or a later one was.
    #[error("it acknowledged the states of {0} out of order")]
    OutOfOrder(String),
}

#[derive(Debug, Default)]
struct Queue {
    pending: VecDeque<(u64, Arc<StateMessage>)>,
    confirmed: VecDeque<Arc<StateMessage>>,
}

/// The states that were sent and not echoed yet.
#[derive(Debug, Default)]
pub struct Acks {
    /// States of all streams together are under none.
    queues: HashMap<Option<StreamDescriptor>, Queue>,
}

fn key(scope: &StateScope) -> Option<StreamDescriptor> {
    match scope {
        StateScope::Stream(descriptor) => Some(descriptor.clone()),
        StateScope::Global | StateScope::Legacy => None,
    }
}

/// Our number in an echo, whatever its kind has become on the way.
fn number(echo: &StateMessage) -> Option<u64> {
    echo.id().or_else(|| match echo.body().to_value().ok()?.get("id")? {
        Value::String(text) => text.parse().ok(),
        // Small and whole, so no digit is lost.
        other => other.as_f64().filter(|id| *id >= 0.0 && id.fract() == 0.0).map(|id| id as u64),
    })
}

impl Acks {
    /// Remembers a state that is about to be sent.
    pub fn sent(&mut self, id: u64, state: Arc<StateMessage>) {
        self.queues.entry(key(state.scope())).or_default().pending.push_back((id, state));
    }

    /// Whether a state that was sent has not been echoed yet.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.queues.values().any(|queue| !queue.pending.is_empty())
    }

    /// What an echo of no state is: only our own number says which state it was.
    fn unknown(&self, echo: &StateMessage, name: String) -> AckError {
        let changed = number(echo).is_some_and(|id| {
            self.queues.values().any(|queue| queue.pending.iter().any(|(sent, _)| *sent == id))
        });
        if changed { AckError::Changed(name) } else { AckError::NeverSent(name) }
    }

    /// The checkpoint that an echo confirms, and whether the echo has all that was sent. States
    /// before it, of its stream, are confirmed with it: destinations may skip some.
    ///
    /// # Errors
    /// [`AckError`].
    pub fn acknowledge(&mut self, echo: &StateMessage) -> Result<(u64, bool), AckError> {
        let key = key(echo.scope());
        let name = match &key {
            Some(descriptor) => format!("stream {descriptor}"),
            None => "all streams".to_owned(),
        };
        let Some(queue) = self.queues.get(&key) else { return Err(self.unknown(echo, name)) };
        let numbered = |(id, state): &(u64, Arc<StateMessage>)| {
            echo.id() == Some(*id) && state.same_state(echo)
        };
        let found = queue
            .pending
            .iter()
            .position(numbered)
            .or_else(|| queue.pending.iter().position(|(_, state)| state.same_state(echo)));
        let Some(found) = found else {
            let known = queue.confirmed.iter().any(|state| state.same_state(echo));
            return Err(if known { AckError::OutOfOrder(name) } else { self.unknown(echo, name) });
        };
        let Some(queue) = self.queues.get_mut(&key) else { return Err(AckError::NeverSent(name)) };
        let mut confirmed = (0, false);
        for (place, (id, state)) in queue.pending.drain(..=found).enumerate() {
            if place == found {
                confirmed = (id, has_all(echo, &state.numbered(id)));
            }
            queue.confirmed.push_back(state);
        }
        let excess = queue.confirmed.len().saturating_sub(REMEMBERED);
        queue.confirmed.drain(..excess);
        Ok(confirmed)
    }
}

/// Whether an echo has every member of what was sent, unchanged. More may be in it.
fn has_all(echo: &StateMessage, sent: &str) -> bool {
    if echo.body().get() == sent {
        return true;
    }
    let (Ok(mut echo), Ok(mut sent)) =
        (echo.body().to_value(), serde_json::from_str::<Value>(sent))
    else {
        return false;
    };
    // Who keeps the parts of a global state in a map gives them back in its order.
    for state in [&mut echo, &mut sent] {
        if let Some(Value::Array(parts)) = state.pointer_mut("/global/stream_states") {
            parts.sort_by_cached_key(|part| part["stream_descriptor"].to_string());
        }
    }
    sent.as_object()
        .is_some_and(|sent| sent.iter().all(|(name, value)| echo.get(name) == Some(value)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Json;

    fn state(stream: &str, at: u64, more: &str) -> StateMessage {
        let text = format!(
            r#"{{"type":"STREAM","stream":{{"stream_descriptor":{{"name":"{stream}"}},"stream_state":{{"at":{at}}}}}{more}}}"#
        );
        StateMessage::from_airbyte(Json::parse(text).unwrap()).unwrap()
    }

    fn sent(states: &[(u64, &str, u64)]) -> Acks {
        let mut acks = Acks::default();
        for (id, stream, at) in states {
            acks.sent(*id, Arc::new(state(stream, *at, "")));
        }
        acks
    }

    fn confirmed(acks: &mut Acks, echo: &StateMessage) -> Result<u64, AckError> {
        acks.acknowledge(echo).map(|(checkpoint, _)| checkpoint)
    }

    #[test]
    fn echoes_are_matched_per_stream_and_may_skip() {
        let mut acks = sent(&[(1, "a", 1), (2, "b", 1), (3, "a", 2), (4, "a", 3)]);
        assert_eq!(confirmed(&mut acks, &state("a", 2, "")), Ok(3));
        assert_eq!(confirmed(&mut acks, &state("b", 1, "")), Ok(2));
        assert_eq!(
            acks.acknowledge(&state("a", 1, "")),
            Err(AckError::OutOfOrder("stream a".into()))
        );
        assert_eq!(
            acks.acknowledge(&state("a", 9, "")),
            Err(AckError::NeverSent("stream a".into()))
        );
        assert_eq!(
            acks.acknowledge(&state("c", 1, "")),
            Err(AckError::NeverSent("stream c".into()))
        );
    }

    #[test]
    fn equal_states_in_flight_are_told_apart_by_number_else_by_order() {
        let mut acks = sent(&[(1, "a", 1), (2, "a", 1), (3, "a", 1)]);
        assert_eq!(confirmed(&mut acks, &state("a", 1, "")), Ok(1));
        assert_eq!(confirmed(&mut acks, &state("a", 1, r#","id":3"#)), Ok(3));
    }

    #[test]
    fn a_number_does_not_excuse_a_changed_state() {
        let mut acks = sent(&[(1, "a", 1)]);
        let echo = state("a", 2, r#","id":1"#);
        assert_eq!(acks.acknowledge(&echo), Err(AckError::Changed("stream a".into())));
        let of_a_float = state("a", 2, r#","id":1.0"#);
        assert_eq!(acks.acknowledge(&of_a_float), Err(AckError::Changed("stream a".into())));
        let of_another = state("b", 1, r#","id":1"#);
        assert_eq!(acks.acknowledge(&of_another), Err(AckError::Changed("stream b".into())));
        assert!(matches!(acks.acknowledge(&state("a", 2, "")), Err(AckError::NeverSent(_))));
    }

    #[test]
    fn what_an_echo_lacks_is_seen() {
        for (more, whole) in [
            (r#","mine":{"x":1},"id":1,"destinationStats":{"recordCount":1.0}"#, true),
            (r#","id":1"#, false),
            (r#","mine":{"x":2},"id":1"#, false),
            (r#","mine":{"x":1}"#, false),
        ] {
            let mut acks = Acks::default();
            acks.sent(1, Arc::new(state("a", 1, r#","mine":{"x":1}"#)));
            assert_eq!(acks.acknowledge(&state("a", 1, more)), Ok((1, whole)), "{more}");
        }
    }
}
