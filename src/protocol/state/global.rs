//! A global state whose parts change. All else of it stays the text it is.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::{Json, StateMessage, StateScope, StreamBody, StreamPart, part_text};

type Members = BTreeMap<String, Box<RawValue>>;

impl StateMessage {
    /// A global state with this part, in place of the stream's own where it has one. Other states stay
    /// as they are.
    #[must_use]
    pub fn with_part(self, part: &StreamPart) -> Self {
        if self.scope != StateScope::Global {
            return self;
        }
        match with_part(self.body.get(), part).map(Json::parse) {
            Ok(Ok(body)) => Self { body, ..self },
            // It was read when it was made, so it can be read again.
            Ok(Err(_)) | Err(_) => self,
        }
    }
}

fn with_part(body: &str, part: &StreamPart) -> serde_json::Result<String> {
    let mut members: Members = serde_json::from_str(body)?;
    let Some(global) = members.get_mut("global") else { return Ok(body.to_owned()) };
    let mut inner: Members = serde_json::from_str(global.get())?;
    let mut parts: Vec<Box<RawValue>> = match inner.get("stream_states") {
        Some(parts) => serde_json::from_str(parts.get())?,
        None => Vec::new(),
    };
    let new = RawValue::from_string(part_text(&part.descriptor, part.state.as_ref()))?;
    let is_its = |there: &RawValue| {
        serde_json::from_str::<StreamBody<'_>>(there.get())
            .is_ok_and(|there| there.stream_descriptor == part.descriptor)
    };
    match parts.iter_mut().find(|there| is_its(there)) {
        Some(there) => *there = new,
        None => parts.push(new),
    }
    inner.insert("stream_states".to_owned(), serde_json::value::to_raw_value(&parts)?);
    *global = serde_json::value::to_raw_value(&inner)?;
    serde_json::to_string(&members)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::StreamDescriptor;

    #[test]
    fn a_part_is_replaced_or_added_and_the_rest_stays() {
        let text = r#"{"type":"GLOBAL","global":{"shared_state":{"lsn":92233720368547758079},"stream_states":[{"stream_descriptor":{"name":"a"},"stream_state":{"n":1.10}}]},"x":1e400}"#;
        let state = || StateMessage::from_airbyte(Json::parse(text).unwrap()).unwrap();
        let part = |name: &str| StreamPart {
            descriptor: StreamDescriptor::new(name),
            state: Some(Json::parse(r#"{"n":2.20}"#).unwrap()),
        };
        for (name, parts) in [("a", 1), ("b", 2)] {
            let state = state().with_part(&part(name));
            assert_eq!(state.parts().len(), parts);
            let body = state.body().get();
            for kept in [r#"{"lsn":92233720368547758079}"#, r#"{"n":2.20}"#, r#""x":1e400"#] {
                assert!(body.contains(kept), "{body}");
            }
            assert_eq!(body.contains("1.10"), name == "b");
        }
    }
}
