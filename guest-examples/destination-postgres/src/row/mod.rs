//! From a row of JSON to a line of COPY's text format.
//!
//! A row is looked at once and nothing is allocated for it: members are found in place, and written
//! into a buffer that is kept. What does not fit its column is left out and noted in the row's
//! `_airbyte_meta`; no row fails for a value.

mod changes;
mod text;
mod time;

use json_rows::escape::unescape;
use json_rows::fields::Fields;
use json_rows::number;
use json_rows::scan::{Kind, NoObject, Value};
use json_rows::{Change, Changes};
use lockgate_sdk::Failure;

use self::text::{Clean, push_json, push_string};
use self::time::Fit;
use crate::sql::Column;
use crate::sql::types::Type;

/// A declared member and the column it goes to.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    /// The member's name, as the source has it.
    pub(crate) member: String,
    pub(crate) column: Column,
}

/// What every row of a stream has in common.
#[derive(Debug)]
pub(crate) struct Encoder {
    columns: Vec<Field>,
    fields: Fields,
    changes: Changes,
    /// The last time written, and its text.
    extracted: (i64, Vec<u8>),
    /// `_airbyte_generation_id`, `_airbyte_meta` of a row without changes, and the end of the line.
    usual_end: Vec<u8>,
    generation: u64,
    sync: u64,
}

/// Columns after the fields, in the order they are written.
pub(crate) const SYSTEM: [(&str, Type); 4] = [
    (crate::sql::name::ADDITIONAL, Type::Jsonb),
    (crate::sql::name::EXTRACTED_AT, Type::TimestampTz),
    (crate::sql::name::GENERATION_ID, Type::BigInt),
    (crate::sql::name::META, Type::Jsonb),
];

impl Encoder {
    pub(crate) fn new(fields: Vec<Field>, generation: u64, sync: u64) -> Self {
        Self {
            fields: Fields::new(fields.iter().map(|field| field.member.clone())),
            changes: Changes::default(),
            extracted: (0, b"1970-01-01 00:00:00+00".to_vec()),
            usual_end: format!("\t{generation}\t{{\"sync_id\":{sync},\"changes\":[]}}\n")
                .into_bytes(),
            generation,
            sync,
            columns: fields,
        }
    }

    /// Writes one row as one line.
    ///
    /// # Errors
    /// The row is not a JSON object; nothing was written.
    pub(crate) fn write(
        &mut self,
        row: &str,
        emitted_at: i64,
        meta: Option<&str>,
        out: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        let bytes = row.as_bytes();
        self.changes.clear();
        self.fields
            .find(bytes)
            .map_err(|NoObject| Failure::system("a row is not a JSON object"))?;
        if let Some(meta) = meta {
            changes::take_over(meta, &mut self.changes)?;
        }
        for place in 0..self.columns.len() {
            match self.fields.values().get(place).copied().flatten() {
                None => out.extend_from_slice(b"\\N"),
                Some(value) => self.write_value(place, value, bytes, out),
            }
            out.push(b'\t');
        }
        self.write_others(bytes, out);
        out.push(b'\t');
        if self.extracted.0 != emitted_at {
            self.extracted.0 = emitted_at;
            self.extracted.1.clear();
            json_rows::time::write_millis(emitted_at, ' ', "+00", &mut self.extracted.1);
        }
        out.extend_from_slice(&self.extracted.1);
        if self.changes.is_empty() {
            out.extend_from_slice(&self.usual_end);
        } else {
            let (generation, sync) = (self.generation, self.sync);
            // Writing to a vector cannot fail.
            let _ = std::io::Write::write_fmt(out, format_args!("\t{generation}\t"));
            changes::write(&self.changes, sync, out);
            out.push(b'\n');
        }
        Ok(())
    }

    fn write_value(&mut self, place: usize, value: Value, row: &[u8], out: &mut Vec<u8>) {
        let Some(field) = self.columns.get(place) else { return };
        let fit = if value.kind == Kind::Null {
            out.extend_from_slice(b"\\N");
            return;
        } else {
            write_as(field.column.kind, value, row, out)
        };
        match fit {
            Fit::Whole => {}
            Fit::Cut => self.changes.add(&field.member, Change::Truncated),
            Fit::Not => {
                out.extend_from_slice(b"\\N");
                self.changes.add(&field.member, Change::Nulled);
            }
        }
    }

    /// What the schema does not declare, as one object.
    fn write_others(&mut self, row: &[u8], out: &mut Vec<u8>) {
        let mut any = false;
        for (key, value) in self.fields.others() {
            let fits = match value.kind {
                Kind::Unfit => false,
                Kind::Number => number::fits(value.raw(row)),
                _ => true,
            };
            let mut clean = Clean::Yes;
            if fits {
                out.push(if any { b',' } else { b'{' });
                any = true;
                clean = push_json(key.raw(row), out);
                out.push(b':');
                clean = clean.and(push_json(value.raw(row), out));
            }
            if !fits || clean == Clean::No {
                let mut name = Vec::new();
                unescape(key.inside(row), &mut name);
                let name = String::from_utf8_lossy(&name);
                self.changes.add(&name, if fits { Change::Truncated } else { Change::Nulled });
            }
        }
        out.extend_from_slice(if any { b"}" } else { b"\\N" });
    }
}

/// Writes a value that is not null as one of a type; nothing where it does not fit.
fn write_as(kind: Type, value: Value, row: &[u8], out: &mut Vec<u8>) -> Fit {
    let raw = value.raw(row);
    let is_string = matches!(value.kind, Kind::Plain | Kind::Escaped);
    // A string's characters, where only those without escapes can be meant.
    let plain = if value.kind == Kind::Plain { value.inside(row) } else { b"" };
    match kind {
        Type::Text if is_string => push_string(value.inside(row), value.kind, out).fit(),
        Type::Text => push_json(raw, out).fit(),
        Type::Jsonb => {
            let fits = match value.kind {
                Kind::Unfit => false,
                Kind::Number => number::fits(raw),
                _ => true,
            };
            if fits { push_json(raw, out).fit() } else { Fit::Not }
        }
        Type::Boolean => match value.kind {
            Kind::True => push(b"t", out),
            Kind::False => push(b"f", out),
            _ => Fit::Not,
        },
        Type::BigInt | Type::Numeric => {
            let number = match value.kind {
                Kind::Number => raw,
                Kind::Plain if number::is_number(plain) => plain,
                _ => return Fit::Not,
            };
            if kind == Type::BigInt {
                if number::write_integer(number, out) { Fit::Whole } else { Fit::Not }
            } else if number::fits(number) {
                push(number, out)
            } else {
                Fit::Not
            }
        }
        Type::Date => time::date(plain, out),
        Type::Timestamp => time::timestamp(plain, false, out),
        Type::TimestampTz => time::timestamp(plain, true, out),
        Type::Time => time::time(plain, false, out),
        Type::TimeTz => time::time(plain, true, out),
    }
}

fn push(bytes: &[u8], out: &mut Vec<u8>) -> Fit {
    out.extend_from_slice(bytes);
    Fit::Whole
}

#[cfg(test)]
mod tests;
