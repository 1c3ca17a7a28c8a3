//! States: where a source may go on. Kept as the text they came in; only the descriptor and the
//! counts are read (protocol 0.18, `AirbyteStateMessage`).

mod global;
mod members;

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Json, StreamDescriptor};

/// Why a STATE cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum StateError {
    /// The text is not a state's.
    #[error("the STATE cannot be read: {0}")]
    Syntax(String),
    /// A type of a later protocol.
    #[error("the STATE has the unknown type {0:?}")]
    Type(String),
    /// A body that does not fit its type.
    #[error("the STATE is of type {0} and has no {1}")]
    Missing(&'static str, &'static str),
}

/// `sourceStats` or `destinationStats`: counts of one checkpoint. Airbyte sends them as doubles.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize)]
pub struct Stats {
    /// Records since the state before, without those rejected.
    #[serde(rename = "recordCount", default)]
    pub records: Option<f64>,
    /// Records refused (protocol 0.18).
    #[serde(rename = "rejectedRecordCount", default)]
    pub rejected: Option<f64>,
}

impl Stats {
    /// Records and rejected records together; none when there is no record count.
    #[must_use]
    pub fn total(&self) -> Option<f64> {
        self.records.map(|records| records + self.rejected.unwrap_or(0.0))
    }
}

/// What a state covers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum StateScope {
    /// One stream.
    Stream(StreamDescriptor),
    /// All streams, together.
    Global,
    /// All streams, in the form before protocol 0.2.
    Legacy,
}

/// A state: the body of an Airbyte STATE message, unchanged, and what it covers.
#[derive(Debug, Clone)]
pub struct StateMessage {
    body: Json,
    scope: StateScope,
    source_stats: Option<Stats>,
    destination_stats: Option<Stats>,
    id: Option<u64>,
}

/// The members we read. Everything else stays in the text.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    stream: Option<StreamBody<'a>>,
    #[serde(borrow, default)]
    global: Option<GlobalBody<'a>>,
    #[serde(rename = "sourceStats", default)]
    source_stats: Option<Stats>,
    #[serde(rename = "destinationStats", default)]
    destination_stats: Option<Stats>,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct StreamBody<'a> {
    stream_descriptor: StreamDescriptor,
    #[serde(borrow, default)]
    stream_state: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct GlobalBody<'a> {
    #[serde(borrow, default)]
    shared_state: Option<&'a RawValue>,
    #[serde(borrow, default)]
    stream_states: Vec<StreamBody<'a>>,
}

/// One stream's part of a state.
#[derive(Debug, Clone)]
pub struct StreamPart {
    /// The stream.
    pub descriptor: StreamDescriptor,
    /// Its state; none: start again.
    pub state: Option<Json>,
}

impl StateMessage {
    /// From the body of an Airbyte STATE message.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn from_airbyte(body: Json) -> Result<Self, StateError> {
        if !body.is_object() {
            // An array of the members in their order would be read as well.
            return Err(StateError::Syntax("it is not an object".into()));
        }
        let read: Body<'_> = serde_json::from_str(body.get())
            .map_err(|e| StateError::Syntax(super::json::syntax(&e)))?;
        let scope = match read.kind.as_deref() {
            Some("STREAM") => match read.stream {
                Some(stream) => StateScope::Stream(stream.stream_descriptor),
                None => return Err(StateError::Missing("STREAM", "stream")),
            },
            Some("GLOBAL") => match read.global {
                Some(_) => StateScope::Global,
                None => return Err(StateError::Missing("GLOBAL", "global")),
            },
            Some("LEGACY") | None => StateScope::Legacy,
            Some(other) => return Err(StateError::Type(other.chars().take(40).collect())),
        };
        let (source_stats, destination_stats) = (read.source_stats, read.destination_stats);
        // Others may number states too, with whatever they like: only a whole number can be ours.
        let id = read.id.and_then(|id| id.get().parse().ok());
        Ok(Self { scope, source_stats, destination_stats, id, body })
    }

    /// A stream's state, as a component source gives it.
    #[must_use]
    pub fn stream(descriptor: StreamDescriptor, state: Option<&Json>) -> Self {
        let body = format!(r#"{{"type":"STREAM","stream":{}}}"#, part_text(&descriptor, state));
        Self::made(body, StateScope::Stream(descriptor))
    }

    /// A global state, as a component source gives it.
    #[must_use]
    pub fn global(shared: Option<&Json>, streams: &[StreamPart]) -> Self {
        let mut body = String::from(r#"{"type":"GLOBAL","global":{"#);
        if let Some(shared) = shared {
            body.push_str(r#""shared_state":"#);
            body.push_str(shared.get());
            body.push(',');
        }
        body.push_str(r#""stream_states":["#);
        let parts: Vec<String> =
            streams.iter().map(|p| part_text(&p.descriptor, p.state.as_ref())).collect();
        body.push_str(&parts.join(","));
        body.push_str("]}}");
        Self::made(body, StateScope::Global)
    }

    fn made(body: String, scope: StateScope) -> Self {
        // Composed of checked JSON, so it parses.
        let body = Json::parse(body).unwrap_or_else(|_| Json::empty_object());
        Self { body, scope, source_stats: None, destination_stats: None, id: None }
    }

    /// The body, as it came.
    #[must_use]
    pub fn body(&self) -> &Json {
        &self.body
    }

    /// What it covers.
    #[must_use]
    pub fn scope(&self) -> &StateScope {
        &self.scope
    }

    /// The source's counts, where it sends them.
    #[must_use]
    pub fn source_stats(&self) -> Option<Stats> {
        self.source_stats
    }

    /// The destination's counts, where it sends them.
    #[must_use]
    pub fn destination_stats(&self) -> Option<Stats> {
        self.destination_stats
    }

    /// The platform's number of the state, where it has one.
    #[must_use]
    pub fn id(&self) -> Option<u64> {
        self.id
    }

    /// A global state without the parts of some streams. Everything else stays the text it is; other
    /// states stay as they are.
    #[must_use]
    pub fn without(self, dropped: impl Fn(&StreamDescriptor) -> bool) -> Self {
        if self.scope != StateScope::Global || !self.parts().iter().any(|p| dropped(&p.descriptor))
        {
            return self;
        }
        match global_without(self.body.get(), dropped).map(Json::parse) {
            Ok(Ok(body)) => Self { body, ..self },
            // It was read above, so it can be read again.
            Ok(Err(_)) | Err(_) => self,
        }
    }

    /// Each stream's part: one for a stream's state, all for a global one, none for legacy.
    #[must_use]
    pub fn parts(&self) -> Vec<StreamPart> {
        let Ok(read) = serde_json::from_str::<Body<'_>>(self.body.get()) else { return Vec::new() };
        let part = |p: StreamBody<'_>| StreamPart {
            descriptor: p.stream_descriptor,
            state: p.stream_state.map(Json::from),
        };
        match &self.scope {
            StateScope::Stream(_) => read.stream.map(part).into_iter().collect(),
            StateScope::Global => {
                read.global.map(|g| g.stream_states).into_iter().flatten().map(part).collect()
            }
            StateScope::Legacy => Vec::new(),
        }
    }

    /// The shared part of a global state.
    #[must_use]
    pub fn shared(&self) -> Option<Json> {
        let read = serde_json::from_str::<Body<'_>>(self.body.get()).ok()?;
        read.global?.shared_state.map(Json::from)
    }

    /// The body for a destination: numbered, as Airbyte's platform numbers it, where the source
    /// did not number it itself.
    #[must_use]
    pub fn numbered(&self, id: u64) -> Cow<'_, str> {
        let text = self.body.get();
        let has_id = serde_json::from_str::<Body<'_>>(text).is_ok_and(|b| b.id.is_some());
        match text.trim_start().strip_prefix('{') {
            Some(rest) if !has_id => {
                let comma = if rest.trim_start().starts_with('}') { "" } else { "," };
                Cow::Owned(format!(r#"{{"id":{id}{comma}{rest}"#))
            }
            _ => Cow::Borrowed(text),
        }
    }

    /// Whether two states say the same of the same streams. Counts, numbers and members unknown
    /// to the protocol do not matter: Python destinations drop them.
    #[must_use]
    pub fn same_state(&self, other: &Self) -> bool {
        if self.scope != other.scope {
            return false;
        }
        if self.scope == StateScope::Legacy {
            return same_optional(
                legacy_data(&self.body).as_ref(),
                legacy_data(&other.body).as_ref(),
            );
        }
        let sorted = |mut parts: Vec<StreamPart>| {
            // Who keeps the parts of a global state in a map gives them back in its order.
            parts.sort_by(|a, b| a.descriptor.cmp(&b.descriptor));
            parts
        };
        let (ours, theirs) = (sorted(self.parts()), sorted(other.parts()));
        ours.len() == theirs.len()
            && ours.iter().zip(&theirs).all(|(a, b)| {
                a.descriptor == b.descriptor && same_optional(a.state.as_ref(), b.state.as_ref())
            })
            && same_optional(self.shared().as_ref(), other.shared().as_ref())
    }
}

/// The body of a global state without the parts of some streams.
fn global_without(
    body: &str,
    dropped: impl Fn(&StreamDescriptor) -> bool,
) -> serde_json::Result<String> {
    type Members = BTreeMap<String, Box<RawValue>>;
    let mut members: Members = serde_json::from_str(body)?;
    let Some(global) = members.get_mut("global") else { return Ok(body.to_owned()) };
    let mut inner: Members = serde_json::from_str(global.get())?;
    let Some(parts) = inner.get_mut("stream_states") else { return Ok(body.to_owned()) };
    let mut kept: Vec<Box<RawValue>> = serde_json::from_str(parts.get())?;
    kept.retain(|part| {
        let read = serde_json::from_str::<StreamBody<'_>>(part.get());
        !read.is_ok_and(|part| dropped(&part.stream_descriptor))
    });
    *parts = serde_json::value::to_raw_value(&kept)?;
    *global = serde_json::value::to_raw_value(&inner)?;
    serde_json::to_string(&members)
}

/// The state of a whole STATE message, which is easily taken for a state's.
fn of_message(text: &Json) -> Option<Json> {
    #[derive(Deserialize)]
    struct Message<'a> {
        #[serde(rename = "type", borrow)]
        kind: Cow<'a, str>,
        #[serde(borrow)]
        state: &'a RawValue,
    }
    let read: Message<'_> = serde_json::from_str(text.get()).ok()?;
    (read.kind == "STATE").then(|| Json::from(read.state))
}

/// The `data` of a legacy state; none for null, which resets everything.
fn legacy_data(body: &Json) -> Option<Json> {
    #[derive(Deserialize)]
    struct Legacy<'a> {
        #[serde(borrow, default)]
        data: Option<&'a RawValue>,
    }
    serde_json::from_str::<Legacy<'_>>(body.get()).ok()?.data.map(Json::from)
}

fn same_optional(a: Option<&Json>, b: Option<&Json>) -> bool {
    let null = |j: &&Json| j.get() != "null";
    match (a.filter(null), b.filter(null)) {
        (None, None) => true,
        (Some(a), Some(b)) => a.same(b),
        _ => false,
    }
}

fn part_text(descriptor: &StreamDescriptor, state: Option<&Json>) -> String {
    // Strings always serialise.
    let descriptor = serde_json::to_string(descriptor).unwrap_or_default();
    let state = state.map_or("null", Json::get);
    format!(r#"{{"stream_descriptor":{descriptor},"stream_state":{state}}}"#)
}

impl StateMessage {
    /// Reads a `--state` file: an array of states, or the bare object of a legacy state.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn list_from_file(text: &str) -> Result<Vec<Self>, StateError> {
        let syntax = |e: serde_json::Error| StateError::Syntax(super::json::syntax(&e));
        let text = text.trim();
        if text.is_empty() || text == "null" {
            return Ok(Vec::new());
        }
        if text.starts_with('[') {
            let bodies: Vec<&RawValue> = serde_json::from_str(text).map_err(syntax)?;
            return bodies.into_iter().map(|b| Self::from_airbyte(Json::from(b))).collect();
        }
        let body = Json::object(text).map_err(|e| StateError::Syntax(e.to_string()))?;
        if body.to_value().is_ok_and(|v| v.as_object().is_some_and(serde_json::Map::is_empty)) {
            return Ok(Vec::new());
        }
        if let Some(state) = of_message(&body) {
            return Self::from_airbyte(state).map(|state| vec![state]);
        }
        let wrapped = format!(r#"{{"type":"LEGACY","data":{}}}"#, body.get());
        Ok(vec![Self::made(wrapped, StateScope::Legacy)])
    }

    /// Writes a `--state` file: an array, or the bare object of a legacy state.
    #[must_use]
    pub fn list_to_file(states: &[Self]) -> String {
        if let [only] = states
            && only.scope == StateScope::Legacy
        {
            return legacy_data(&only.body).map_or_else(|| "{}".into(), |d| d.get().to_owned());
        }
        let bodies: Vec<&str> = states.iter().map(|s| s.body.get()).collect();
        format!("[{}]", bodies.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(text: &str) -> StateMessage {
        StateMessage::from_airbyte(Json::parse(text).unwrap()).unwrap()
    }

    #[test]
    fn unknown_members_and_long_numbers_stay() {
        let text = r#"{"type":"STREAM","stream":{"stream_descriptor":{"name":"a"},"stream_state":{"at":92233720368547758079}},"x":[1]}"#;
        let read = state(text);
        assert_eq!(read.body().get(), text);
        assert_eq!(read.numbered(7), format!(r#"{{"id":7,{}"#, &text[1..]));
        assert_eq!(read.parts()[0].state.as_ref().unwrap().get(), r#"{"at":92233720368547758079}"#);
    }

    #[test]
    fn a_global_state_without_a_stream_keeps_the_rest_as_it_is() {
        let text = r#"{"type":"GLOBAL","global":{"shared_state":{"lsn":92233720368547758079},"stream_states":[{"stream_descriptor":{"name":"a"},"stream_state":{"n":1.10}},{"stream_descriptor":{"name":"b","namespace":""},"stream_state":{}}]},"x":1e400}"#;
        let without = |name: &str| state(text).without(|d| d.name == name).body().get().to_owned();
        assert_eq!(without("c"), text);
        let left = without("b");
        for kept in [r#"{"lsn":92233720368547758079}"#, r#"{"n":1.10}"#, r#""x":1e400"#] {
            assert!(left.contains(kept), "{left}");
        }
        let parts = state(&left).parts();
        assert_eq!(parts.len(), 1);
        assert_eq!(parts[0].descriptor, StreamDescriptor::new("a"));
        let of_a_stream = StateMessage::stream(StreamDescriptor::new("a"), None);
        let body = of_a_stream.body().get().to_owned();
        assert_eq!(of_a_stream.without(|_| true).body().get(), body);
    }

    #[test]
    fn a_state_with_a_number_of_its_own_keeps_it() {
        let text = r#"{"type":"GLOBAL","id":"x","global":{"stream_states":[]}}"#;
        assert_eq!(state(text).numbered(7), text);
    }

    #[test]
    fn the_echo_of_a_python_destination_is_recognised() {
        let sent = state(
            r#"{"type":"STREAM","id":3,"x":1,"stream":{"stream_descriptor":{"name":"a"},"stream_state":{"k":"é"}},"sourceStats":{"recordCount":5.0}}"#,
        );
        let echo = state(
            r#"{"type": "STREAM", "stream": {"stream_descriptor": {"name": "a", "namespace": null}, "stream_state": {"k": "\u00e9"}}}"#,
        );
        assert!(sent.same_state(&echo));
        let other = state(
            r#"{"type":"STREAM","stream":{"stream_descriptor":{"name":"a","namespace":""},"stream_state":{"k":"é"}}}"#,
        );
        assert!(!sent.same_state(&other));
    }

    #[test]
    fn the_order_of_a_global_states_parts_says_nothing() {
        let global = |parts: &[&str]| {
            let parts = parts.join(",");
            state(&format!(r#"{{"type":"GLOBAL","global":{{"stream_states":[{parts}]}}}}"#))
        };
        let a = r#"{"stream_descriptor":{"name":"a"},"stream_state":{"n":1}}"#;
        let b = r#"{"stream_descriptor":{"name":"b"},"stream_state":{"n":2}}"#;
        let other = r#"{"stream_descriptor":{"name":"b"},"stream_state":{"n":3}}"#;
        assert!(global(&[a, b]).same_state(&global(&[b, a])));
        assert!(!global(&[a, b]).same_state(&global(&[other, a])));
        assert!(!global(&[a, b]).same_state(&global(&[a])));
    }

    #[test]
    fn legacy_files_are_bare_objects() {
        let states = StateMessage::list_from_file(r#"{"cursor": 5}"#).unwrap();
        assert_eq!(states[0].scope(), &StateScope::Legacy);
        assert_eq!(StateMessage::list_to_file(&states), r#"{"cursor": 5}"#);
        assert!(StateMessage::list_from_file("{}").unwrap().is_empty());
        // A source's line as it came is no legacy state.
        let line = r#"{"type":"STATE","state":{"type":"GLOBAL","global":{"stream_states":[]}}}"#;
        assert_eq!(StateMessage::list_from_file(line).unwrap()[0].scope(), &StateScope::Global);
        for no_state in ["[[]]", "[5]", r#"["LEGACY"]"#] {
            assert!(StateMessage::list_from_file(no_state).is_err(), "{no_state}");
        }
    }

    #[test]
    fn types_we_do_not_know_are_refused() {
        let body = Json::parse(r#"{"type":"SHARD"}"#).unwrap();
        let error = StateMessage::from_airbyte(body).unwrap_err();
        assert_eq!(error, StateError::Type("SHARD".into()));
    }
}
