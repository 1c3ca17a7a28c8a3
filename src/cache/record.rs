//! From a record's text to the values of its columns, without a tree in between.
//!
//! A record of a component was never parsed before: here is where a row that is no JSON object, or
//! no text, ends the read. A value that does not fit its column is none, with a note of the change;
//! the record itself is kept whole.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize as _, Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::number;
use super::time;
use super::{CachedColumn, ColumnType};

/// A value for a typed column.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell<'a> {
    /// Nothing.
    Null,
    /// True or false.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// The text of a JSON number.
    Number(&'a str),
    /// Text.
    Text(Cow<'a, str>),
    /// Days since the epoch.
    Date(i32),
    /// Microseconds since midnight.
    Time(i64),
    /// Microseconds since midnight, and minutes east of UTC.
    TimeTz(i64, i32),
    /// Microseconds since the epoch, as the clock showed them.
    Timestamp(i64),
    /// Microseconds since the epoch in UTC.
    Instant(i64),
    /// The text of a JSON value.
    Json(&'a str),
}

/// Why a value is not in its column, in Airbyte's words (protocol 0.18, `meta.changes`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Misfit {
    /// Another kind of value.
    Kind,
    /// Too large.
    Size,
}

impl Misfit {
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Kind => "DESTINATION_SERIALIZATION_ERROR",
            Self::Size => "DESTINATION_FIELD_SIZE_LIMITATION",
        }
    }
}

/// What is wrong with a row. Shows nothing of it.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum RecordFault {
    #[error("a row is not UTF-8 text")]
    Text,
    #[error("a row is not one JSON object")]
    Object,
}

/// Which members of a record are looked at, and for what.
#[derive(Debug)]
pub(super) struct Shape {
    kinds: Vec<ColumnType>,
    /// A member's text as JSON writes it without escapes, to its slot.
    slots: HashMap<String, usize>,
    /// The members of the record before, in their order: the next has the same, mostly.
    order: Vec<(String, Option<usize>)>,
    count: usize,
}

impl Shape {
    /// For a table's columns, and the members in which a key is. Slots are in the order of the columns;
    /// the members of a key that have no column come after them.
    pub(super) fn new<'k>(
        columns: &[CachedColumn],
        key_members: impl IntoIterator<Item = &'k str>,
    ) -> Self {
        let mut slots = HashMap::new();
        for (slot, column) in columns.iter().enumerate() {
            slots.insert(column.member.clone(), slot);
        }
        let mut count = columns.len();
        for member in key_members {
            slots.entry(member.to_owned()).or_insert_with(|| {
                count += 1;
                count - 1
            });
        }
        let kinds = columns.iter().map(|c| c.kind).collect();
        Self { kinds, slots, order: Vec::new(), count }
    }

    /// The slot of a member.
    pub(super) fn slot(&self, member: &str) -> Option<usize> {
        self.slots.get(member).copied()
    }

    /// What the columns hold.
    pub(super) fn kinds(&self) -> &[ColumnType] {
        &self.kinds
    }

    /// Finds the members of a record. `values` has a text a slot afterwards; of a member that is there
    /// twice, the last.
    pub(super) fn read<'a>(
        &mut self,
        line: &'a [u8],
        values: &mut Vec<Option<&'a str>>,
    ) -> Result<&'a str, RecordFault> {
        let text = std::str::from_utf8(line).map_err(|_| RecordFault::Text)?;
        values.clear();
        values.resize(self.count, None);
        let mut at = 0;
        let scanned = crate::protocol::members(text, |key, value| {
            if let Some(slot) = self.find(at, key)
                && let Some(place) = values.get_mut(slot)
            {
                *place = Some(value);
            }
            at += 1;
        });
        if scanned.is_some() {
            return Ok(text);
        }
        values.iter_mut().for_each(|value| *value = None);
        let mut parser = serde_json::Deserializer::from_str(text);
        let members = Members { shape: self, values };
        parser.deserialize_map(members).map_err(|_| RecordFault::Object)?;
        parser.end().map_err(|_| RecordFault::Object)?;
        Ok(text)
    }

    fn find(&mut self, at: usize, key: &str) -> Option<usize> {
        if let Some((known, slot)) = self.order.get(at)
            && known == key
        {
            return *slot;
        }
        let slot = unquoted(key).and_then(|member| self.slots.get(member.as_ref()).copied());
        // A record may have members without number; what is learned of them is bounded.
        if key.len() <= 256 && at < 2 * self.kinds.len() + 16 {
            self.order.truncate(at);
            if self.order.len() == at {
                self.order.push((key.to_owned(), slot));
            }
        }
        slot
    }
}

struct Members<'s, 'v, 'a> {
    shape: &'s mut Shape,
    values: &'v mut Vec<Option<&'a str>>,
}

impl<'a> Visitor<'a> for Members<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        let mut at = 0;
        // A name as it is written: one with a lone surrogate is a name too.
        while let Some(key) = map.next_key::<&RawValue>()? {
            let value = map.next_value::<&RawValue>()?;
            if let Some(slot) = self.shape.find(at, key.get())
                && let Some(place) = self.values.get_mut(slot)
            {
                *place = Some(value.get());
            }
            at += 1;
        }
        Ok(())
    }
}

/// The content of a JSON string; none where it is no Unicode text.
pub(super) fn unquoted(text: &str) -> Option<Cow<'_, str>> {
    let content = text.strip_prefix('"')?.strip_suffix('"')?;
    if memchr::memchr(b'\\', content.as_bytes()).is_none() {
        return Some(Cow::Borrowed(content));
    }
    serde_json::from_str::<String>(text).ok().map(Cow::Owned)
}

/// The value of a column.
pub(super) fn cell(kind: ColumnType, text: Option<&str>) -> Result<Cell<'_>, Misfit> {
    let Some(text) = text.filter(|text| *text != "null") else { return Ok(Cell::Null) };
    let is_number = text.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    let string = || unquoted(text).ok_or(Misfit::Kind);
    match kind {
        ColumnType::Json => Ok(Cell::Json(text)),
        ColumnType::String => match text.as_bytes().first() {
            Some(b'"') => string().map(Cell::Text),
            // What was widened to text has values of the narrower kind.
            _ => Ok(Cell::Text(Cow::Borrowed(text))),
        },
        ColumnType::Boolean => match text {
            "true" => Ok(Cell::Boolean(true)),
            "false" => Ok(Cell::Boolean(false)),
            _ => Err(Misfit::Kind),
        },
        ColumnType::Integer if is_number => match number::integer(text) {
            Some(value) => Ok(Cell::Integer(value)),
            None if number::Decimal::parse(text).is_none_or(|d| d.is_whole()) => Err(Misfit::Size),
            None => Err(Misfit::Kind),
        },
        ColumnType::Number if is_number => Ok(Cell::Number(text)),
        ColumnType::Integer | ColumnType::Number => Err(Misfit::Kind),
        ColumnType::Date => time::date(&string()?).map(Cell::Date).ok_or(Misfit::Kind),
        ColumnType::Time => match time::clock(&string()?) {
            Some(clock) => Ok(Cell::Time(clock.micros)),
            None => Err(Misfit::Kind),
        },
        ColumnType::TimeWithTimezone => match time::clock(&string()?) {
            Some(clock) => Ok(Cell::TimeTz(clock.micros, clock.zone.unwrap_or(0))),
            None => Err(Misfit::Kind),
        },
        ColumnType::Timestamp => match time::timestamp(&string()?) {
            Some((local, _)) => Ok(Cell::Timestamp(local)),
            None => Err(Misfit::Kind),
        },
        ColumnType::TimestampWithTimezone => {
            time::instant(&string()?).map(Cell::Instant).ok_or(Misfit::Kind)
        }
    }
}

/// Changes of a record as `_airbyte_meta` has them: the source's, then ours. None: there are none.
pub(super) fn changes(source: Option<&str>, ours: &[(&str, Misfit)]) -> Option<String> {
    if ours.is_empty() {
        return source.map(str::to_owned);
    }
    type Raw<'a> = &'a RawValue;
    let mut members: Vec<(String, String)> = Vec::new();
    let mut all: Vec<String> = Vec::new();
    if let Some(source) = source
        && let Ok(read) =
            serde_json::from_str::<std::collections::BTreeMap<String, Raw<'_>>>(source)
    {
        for (name, value) in read {
            if name != "changes" {
                members.push((name, value.get().to_owned()));
            } else if let Ok(changes) = Vec::<Raw<'_>>::deserialize(value) {
                all.extend(changes.into_iter().map(|change| change.get().to_owned()));
            }
        }
    }
    all.extend(ours.iter().map(|(field, misfit)| {
        let reason = misfit.reason();
        serde_json::json!({ "field": field, "change": "NULLED", "reason": reason }).to_string()
    }));
    members.push(("changes".to_owned(), format!("[{}]", all.join(","))));
    let members: Vec<String> = members
        .into_iter()
        .map(|(name, value)| format!("{}:{value}", serde_json::Value::from(name)))
        .collect();
    Some(format!("{{{}}}", members.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape() -> Shape {
        let column = |member: &str, kind| CachedColumn {
            member: member.to_owned(),
            name: member.to_owned(),
            kind,
        };
        let columns = [column("id", ColumnType::Integer), column("é", ColumnType::String)];
        Shape::new(&columns, ["id", "nested"])
    }

    fn read(line: &str) -> Result<Vec<Option<&str>>, RecordFault> {
        let mut values = Vec::new();
        shape().read(line.as_bytes(), &mut values)?;
        Ok(values)
    }

    #[test]
    fn members_are_found_as_they_are_written() {
        let values = read(r#"{"x":[1,{"id":2}],"id":1e0,"\u00e9":"\ud800","nested":{"a":1}}"#);
        assert_eq!(values.unwrap(), [Some("1e0"), Some(r#""\ud800""#), Some(r#"{"a":1}"#)]);
        assert_eq!(read(r#"{"id":1,"id":2,"\ud800":3}"#).unwrap(), [Some("2"), None, None]);
        assert_eq!(read(" {} ").unwrap(), [None, None, None]);
        for wrong in ["", "[]", "{", "{} {}", r#"{"id":01}"#, "null", r#"{"id":1,}"#] {
            assert_eq!(read(wrong), Err(RecordFault::Object), "{wrong}");
        }
        let mut values = Vec::new();
        let fault = shape().read(b"{\"a\":\"\xff\"}", &mut values);
        assert_eq!(fault, Err(RecordFault::Text));
    }

    #[test]
    fn the_next_record_may_have_another_order() {
        let mut shape = shape();
        for line in
            [r#"{"id":1,"a":2}"#, r#"{"a":2,"id":1}"#, r#"{"id":1}"#, r#"{"b":0,"c":0,"id":1}"#]
        {
            let mut values = Vec::new();
            shape.read(line.as_bytes(), &mut values).unwrap();
            assert_eq!(values[0], Some("1"), "{line}");
        }
    }

    #[test]
    fn nesting_is_no_danger() {
        let deep = format!(r#"{{"x":{}{},"id":7}}"#, "[".repeat(1_000_000), "]".repeat(1_000_000));
        assert_eq!(read(&deep).unwrap()[0], Some("7"));
    }

    #[test]
    fn values_fit_or_are_noted() {
        use ColumnType as C;
        let text = |t: &str| Ok(Cell::Text(Cow::Owned(t.to_owned())));
        assert_eq!(cell(C::String, Some(r#""a\nb""#)), text("a\nb"));
        assert_eq!(cell(C::String, Some("12.50")), text("12.50"));
        assert_eq!(cell(C::String, Some(r#""\ud800""#)), Err(Misfit::Kind));
        assert_eq!(cell(C::Integer, Some("1.0")), Ok(Cell::Integer(1)));
        assert_eq!(cell(C::Integer, Some("1e39")), Err(Misfit::Size));
        assert_eq!(cell(C::Integer, Some("1.5")), Err(Misfit::Kind));
        assert_eq!(cell(C::Integer, Some(r#""1""#)), Err(Misfit::Kind));
        assert_eq!(cell(C::Boolean, Some("1")), Err(Misfit::Kind));
        assert_eq!(cell(C::Number, Some("1e400")), Ok(Cell::Number("1e400")));
        assert_eq!(cell(C::Date, Some(r#""1970-01-02""#)), Ok(Cell::Date(1)));
        assert_eq!(cell(C::Date, Some(r#""soon""#)), Err(Misfit::Kind));
        assert_eq!(
            cell(C::TimeWithTimezone, Some(r#""00:00:01+01:00""#)),
            Ok(Cell::TimeTz(1_000_000, 60))
        );
        assert_eq!(cell(C::Json, Some("[1]")), Ok(Cell::Json("[1]")));
        for kind in [C::String, C::Json, C::Integer] {
            assert_eq!(cell(kind, Some("null")), Ok(Cell::Null));
            assert_eq!(cell(kind, None), Ok(Cell::Null));
        }
    }

    #[test]
    fn changes_of_the_source_stay() {
        let source = r#"{"changes":[{"field":"a","x":1e400}],"other":{"b":1}}"#;
        assert_eq!(changes(None, &[]), None);
        assert_eq!(changes(Some(source), &[]).as_deref(), Some(source));
        let both = changes(Some(source), &[("b\"", Misfit::Size)]).unwrap();
        assert!(
            both.starts_with(r#"{"other":{"b":1},"changes":[{"field":"a","x":1e400},{"#),
            "{both}"
        );
        let read: serde_json::Value = serde_json::from_str(&both.replace("1e400", "1")).unwrap();
        assert_eq!(read["changes"][1]["field"], "b\"");
        assert_eq!(read["changes"][1]["reason"], "DESTINATION_FIELD_SIZE_LIMITATION");
    }
}
