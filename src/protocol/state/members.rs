//! Members of a state's text: read, put in and taken out, while everything else stays the text it was.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::StateMessage;
use crate::protocol::Json;

/// An object's members in their order, those included that are there twice.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((Name(name), value)) = map.next_entry()? {
                    members.push((name, value));
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Object).map(Members)
    }
}

/// A name that is copied only where it has escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl StateMessage {
    /// A member of its body; the last, where several have the name.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<Json> {
        let Members(members) = serde_json::from_str(self.body.get()).ok()?;
        let found = members.into_iter().rev().find(|(of, _)| of == name);
        found.map(|(_, value)| Json::from(value))
    }

    /// The same state without the members of that name.
    #[must_use]
    pub fn without_member(self, name: &str) -> Self {
        self.edited(name, None)
    }

    /// The same state with one member of that name, which is the last.
    #[must_use]
    pub fn with_member(self, name: &str, value: &Json) -> Self {
        self.edited(name, Some(value))
    }

    fn edited(self, name: &str, value: Option<&Json>) -> Self {
        let Ok(Members(mut members)) = serde_json::from_str::<Members<'_>>(self.body.get()) else {
            return self;
        };
        let before = members.len();
        members.retain(|(of, _)| of != name);
        if value.is_none() && members.len() == before {
            return self;
        }
        let members = members.iter().map(|(name, value)| (name.as_ref(), value.get()));
        let mut text = String::from("{");
        for (name, value) in members.chain(value.map(|value| (name, value.get()))) {
            if text.len() > 1 {
                text.push(',');
            }
            // Strings always serialise.
            text.push_str(&serde_json::to_string(name).unwrap_or_default());
            text.push(':');
            text.push_str(value);
        }
        text.push('}');
        // Composed of checked JSON; a state stays one.
        let edited = Json::parse(text).ok().and_then(|body| Self::from_airbyte(body).ok());
        edited.unwrap_or(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(text: &str) -> StateMessage {
        StateMessage::from_airbyte(Json::parse(text).unwrap()).unwrap()
    }

    #[test]
    fn everything_else_stays_the_text_it_was() {
        let text = r#"{"x":1e400,"type":"LEGACY","data":{"b":1.10,"a":"\u00e9"},"x":2}"#;
        let value = Json::parse(r#"{"row":9223372036854775808}"#).unwrap();
        let with = state(text).with_member("ours", &value);
        let expected = format!("{},\"ours\":{}}}", text.trim_end_matches('}'), value.get());
        assert_eq!(with.body().get(), expected);
        assert_eq!(with.member("ours").unwrap().get(), value.get());
        assert_eq!(with.clone().without_member("ours").body().get(), text);
        assert!(with.same_state(&state(text)));
        assert_eq!(state(text).member("x").unwrap().get(), "2");
    }

    #[test]
    fn a_member_is_there_once_whoever_wrote_it_before() {
        let forged = r#"{"ours":1,"type":"LEGACY","\u006furs":2}"#;
        let value = Json::parse("3").unwrap();
        let with = state(forged).with_member("ours", &value);
        assert_eq!(with.body().get(), r#"{"type":"LEGACY","ours":3}"#);
        assert_eq!(state(forged).without_member("ours").body().get(), r#"{"type":"LEGACY"}"#);
    }

    #[test]
    fn counts_are_read_again() {
        let text = r#"{"type":"LEGACY","sourceStats":{"recordCount":5.0}}"#;
        let counts = Json::parse(r#"{"recordCount":2}"#).unwrap();
        let with = state(text).with_member("sourceStats", &counts);
        assert_eq!(with.source_stats().and_then(|s| s.records), Some(2.0));
    }
}
