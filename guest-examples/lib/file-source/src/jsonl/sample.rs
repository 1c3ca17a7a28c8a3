//! The types of members, found out from the first rows.

use std::collections::BTreeMap;

use json_rows::ColumnType;
use json_rows::scan::{self, Kind, Nest, Value};
use json_rows::{escape, time};
use lockgate_sdk::Failure;
use serde_json::{Value as Json, json};

use super::{Lines, look};
use crate::config::StreamConfig;
use crate::limits;
use crate::place::Opened;
use crate::schema::schema_of;
use crate::shape::FileMembers;
use crate::state::Position;
use crate::text::Text;

/// What the values of one member are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    integer: bool,
    number: bool,
    boolean: bool,
    object: bool,
    array: bool,
    /// What all texts have in common.
    text: Option<ColumnType>,
}

/// The members of the rows that were looked at.
#[derive(Debug, Default)]
pub(crate) struct Members {
    all: BTreeMap<String, Seen>,
}

impl Members {
    /// The schema of each; without a value it is any.
    pub(crate) fn schemas(&self) -> impl Iterator<Item = (&str, Json)> {
        self.all.iter().map(|(name, seen)| (name.as_str(), seen.schema()))
    }

    fn note(&mut self, row: &[u8], key: Value, value: Value) {
        let mut name = Vec::new();
        escape::unescape(key.inside(row), &mut name);
        let name = String::from_utf8_lossy(&name).into_owned();
        if self.all.len() >= limits::COLUMNS && !self.all.contains_key(&name) {
            return;
        }
        let seen = self.all.entry(name).or_default();
        let raw = value.raw(row);
        match value.kind {
            Kind::Null => {}
            Kind::True | Kind::False => seen.boolean = true,
            Kind::Number => {
                let whole = std::str::from_utf8(raw).is_ok_and(|text| text.parse::<i64>().is_ok());
                seen.integer |= whole;
                seen.number |= !whole;
            }
            Kind::Plain | Kind::Escaped => {
                let kind = match time::read(value.inside(row)) {
                    Some((_, None)) => ColumnType::Date,
                    Some((_, Some((_, None)))) => ColumnType::Timestamp,
                    Some(_) => ColumnType::TimestampWithTimezone,
                    None => ColumnType::String,
                };
                let both = |known| if known == kind { known } else { ColumnType::String };
                seen.text = Some(seen.text.map_or(kind, both));
            }
            Kind::Nested | Kind::Unfit => {
                seen.object |= raw.first() == Some(&b'{');
                seen.array |= raw.first() == Some(&b'[');
            }
        }
    }
}

impl Seen {
    fn schema(self) -> Json {
        let mut types = Vec::new();
        for (is, name) in [
            (self.text.is_some(), "string"),
            (self.number, "number"),
            (self.integer && !self.number, "integer"),
            (self.boolean, "boolean"),
            (self.object, "object"),
            (self.array, "array"),
        ] {
            if is {
                types.push(name);
            }
        }
        match (&types[..], self.text) {
            ([], _) => json!({}),
            (["string"], Some(kind)) => schema_of(kind),
            (["number"], _) => schema_of(ColumnType::Number),
            (["integer"], _) => schema_of(ColumnType::Integer),
            (types, _) => {
                let types: Vec<&str> =
                    std::iter::once("null").chain(types.iter().copied()).collect();
                json!({ "type": types })
            }
        }
    }
}

/// Looks at the first rows of a file: at most `rows`, and [`limits::SAMPLE_BYTES`] of text.
pub(crate) fn sample(
    file: &Opened,
    settings: &StreamConfig,
    rows: u32,
    members: &mut Members,
) -> Result<(), Failure> {
    let text = Text::open(file, settings.compression, 0)?;
    let mut lines = Lines::new(text, Position::default());
    let mut nest = Nest::default();
    let about = FileMembers::none();
    for _ in 0..rows {
        if lines.place.offset > limits::SAMPLE_BYTES {
            break;
        }
        let line = lines.place.line + 1;
        let Some((row, ended)) = lines.next()? else { break };
        if let Err(fault) = look(row, &mut nest, &about) {
            // It may be written to.
            if !ended {
                break;
            }
            return Err(fault.failure(&file.name, line));
        }
        let told = scan::members(row, &mut nest, |key, value| members.note(row, key, value));
        told.map_err(|_| Failure::system("a row is an object and is none"))?;
        lines.pass(ended);
    }
    Ok(())
}
