//! Rows as the lines that COPY takes.

use crate::cache::key::{self, Key};
use crate::cache::number::Decimal;
use crate::cache::record::{Cell, Misfit, RecordFault, Shape, cell, changes};
use crate::cache::text::write_cell;
use crate::cache::{CachedColumn, time};
use crate::protocol::Rows;

/// Digits before and after the point of a `numeric`.
const NUMERIC_WHOLE: i64 = 131_072;
const NUMERIC_FRACTION: i64 = 16_383;

/// Nesting of a `json` value: the server reads it with its stack.
const JSON_DEPTH: usize = 1_000;

/// Milliseconds of the years 1 to 9999.
const FIRST_MS: i64 = -62_135_596_800_000;
const LAST_MS: i64 = 253_402_300_799_999;

/// Makes the lines of one stream's rows.
#[derive(Debug)]
pub(super) struct Lines {
    shape: Shape,
    members: Vec<String>,
    key: Option<Key>,
    salt: String,
    scratch: Vec<u8>,
    text: String,
    typed: Vec<u8>,
}

impl Lines {
    pub(super) fn new(salt: &str, columns: &[CachedColumn], key: &[Vec<String>]) -> Self {
        let shape = Shape::new(columns, key::members(key));
        Self {
            key: Key::new(key, &shape),
            shape,
            members: columns.iter().map(|column| column.member.clone()).collect(),
            salt: salt.to_owned(),
            scratch: Vec::new(),
            text: String::new(),
            typed: Vec::new(),
        }
    }

    /// A batch, numbered from `first`.
    pub(super) fn batch(
        &mut self,
        out: &mut Vec<u8>,
        rows: &Rows,
        first: u64,
    ) -> Result<(), RecordFault> {
        let mut values = Vec::new();
        let mut metas = rows.meta.iter().peekable();
        for (i, (line, number)) in rows.lines().zip(first..).enumerate() {
            let meta = metas.next_if(|meta| meta.row as usize == i).map(|meta| meta.meta.get());
            self.row(out, line, number, rows.emitted_at.of(i), meta, &mut values)?;
        }
        Ok(())
    }

    /// One row.
    pub(super) fn row<'a>(
        &mut self,
        out: &mut Vec<u8>,
        line: &'a [u8],
        number: u64,
        emitted_at: i64,
        meta: Option<&str>,
        values: &mut Vec<Option<&'a str>>,
    ) -> Result<(), RecordFault> {
        let record = self.shape.read(line, values)?;
        let mut misfits: Vec<(&str, Misfit)> = Vec::new();
        self.typed.clear();
        for ((kind, value), member) in
            self.shape.kinds().iter().zip(values.iter()).zip(&self.members)
        {
            self.typed.push(b'\t');
            match cell(*kind, *value).and_then(fits) {
                Ok(Cell::Null) => self.typed.extend_from_slice(b"\\N"),
                Ok(cell) => {
                    self.text.clear();
                    write_cell(&mut self.text, &cell);
                    escape(&mut self.typed, self.text.as_bytes());
                }
                Err(misfit) => {
                    misfits.push((member, misfit));
                    self.typed.extend_from_slice(b"\\N");
                }
            }
        }
        let changes = changes(meta, &misfits);
        let mut field = |bytes: Option<&[u8]>| {
            match bytes {
                Some(bytes) => escape(out, bytes),
                None => out.extend_from_slice(b"\\N"),
            }
            out.push(b'\t');
        };
        field(Some(number.to_string().as_bytes()));
        field(Some(record.as_bytes()));
        field(Some(emitted_at.to_string().as_bytes()));
        field(meta.map(str::as_bytes));
        let key = self.key.as_ref().map(|key| key.digest(values, &mut self.scratch));
        let key = key.map(|key| format!("\\x{}", hex::encode(key)));
        field(key.as_deref().map(str::as_bytes));
        let (a, b) = self.salt.split_at(self.salt.len().min(8));
        field(Some(format!("{a}-{b}-8000-8000-{:012x}", number & 0xffff_ffff_ffff).as_bytes()));
        self.text.clear();
        let known = (FIRST_MS..=LAST_MS).contains(&emitted_at);
        if known {
            time::write_timestamp(&mut self.text, emitted_at * 1000);
            self.text.push('Z');
        }
        field(known.then_some(self.text.as_bytes()));
        let changes = changes.as_deref().filter(|changes| is_shallow(changes));
        escape(out, changes.unwrap_or(r#"{"changes":[]}"#).as_bytes());
        out.extend_from_slice(&self.typed);
        out.push(b'\n');
        Ok(())
    }
}

/// What PostgreSQL does not take is no value.
fn fits(cell: Cell<'_>) -> Result<Cell<'_>, Misfit> {
    match &cell {
        Cell::Text(text) if text.contains('\0') => Err(Misfit::Kind),
        Cell::Json(text) if !is_shallow(text) => Err(Misfit::Size),
        Cell::Number(text) if text.len() > 32 || text.contains(['e', 'E']) => {
            match Decimal::parse(text) {
                Some(decimal) if decimal.fits(NUMERIC_WHOLE, NUMERIC_FRACTION) => Ok(cell),
                _ => Err(Misfit::Size),
            }
        }
        _ => Ok(cell),
    }
}

/// Whether a JSON text is nested no deeper than a server reads. What is in strings counts too: few
/// strings are so full of brackets.
fn is_shallow(text: &str) -> bool {
    let opened = memchr::memchr2_iter(b'[', b'{', text.as_bytes());
    if opened.count() <= JSON_DEPTH {
        return true;
    }
    let (mut depth, mut deepest) = (0_usize, 0_usize);
    for byte in text.bytes() {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest <= JSON_DEPTH
}

fn escape(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|b| matches!(b, b'\\' | b'\n' | b'\r' | b'\t')) {
        let (plain, after) = rest.split_at(at);
        out.extend_from_slice(plain);
        out.push(b'\\');
        out.push(match after.first() {
            Some(b'\n') => b'n',
            Some(b'\r') => b'r',
            Some(b'\t') => b't',
            _ => b'\\',
        });
        rest = after.get(1..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
}
