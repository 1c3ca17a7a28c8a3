//! Comma-separated values (RFC 4180), in UTF-8, with LF.
//!
//! What is absent or null is nothing between commas, and an empty text is `""`, as PostgreSQL and DuckDB
//! write and read it. A value is its JSON text; one that is a string, its characters.
//!
//! The attack: a text with a quote, a comma or a line end, which would be a field or a row of its own.
//! Whatever is not plain stands in quotes.

use json_rows::escape::unescape;
use json_rows::scan::{Kind, Value};
use json_rows::time::write_millis;
use lockgate_sdk::{Failure, Rows};

use crate::row::write_others;
use crate::table::{METADATA, Table};

/// The line of names.
pub(crate) fn header(table: &Table, out: &mut Vec<u8>) {
    let declared = table.columns.iter().map(|(name, _)| &**name);
    let ours = METADATA.iter().copied().filter(|_| table.options.metadata);
    for (place, name) in declared.chain(ours).enumerate() {
        if place > 0 {
            out.push(b',');
        }
        push(name.as_bytes(), out);
    }
    out.push(b'\n');
}

/// The rows of a batch.
pub(crate) fn rows(table: &mut Table, rows: &Rows, out: &mut Vec<u8>) -> Result<(), Failure> {
    let has_meta = !rows.metas().is_empty();
    let mut scratch = Vec::new();
    for (place, row) in (0..).zip(rows.lines()) {
        table.find(rows, place, row, has_meta)?;
        let start = out.len();
        for (at, value) in table.fields.values().iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            if let Some(value) = value {
                self::value(*value, row, &mut scratch, out);
            }
        }
        if table.options.metadata {
            if !table.columns.is_empty() {
                out.push(b',');
            }
            ours(table, row, rows.emitted_at(place), &mut scratch, out);
        } else {
            table.count_losses();
        }
        if out.len() == start {
            // One column without a value: an empty line would be no row to most.
            out.extend_from_slice(b"\"\"");
        }
        out.push(b'\n');
    }
    Ok(())
}

fn value(value: Value, row: &[u8], scratch: &mut Vec<u8>, out: &mut Vec<u8>) {
    match value.kind {
        Kind::Null => {}
        Kind::True | Kind::False | Kind::Number => out.extend_from_slice(value.raw(row)),
        Kind::Plain => push(value.inside(row), out),
        Kind::Escaped => {
            scratch.clear();
            unescape(value.inside(row), scratch);
            push(scratch, out);
        }
        Kind::Nested | Kind::Unfit => push(value.raw(row), out),
    }
}

fn ours(table: &Table, row: &[u8], emitted_at: i64, scratch: &mut Vec<u8>, out: &mut Vec<u8>) {
    scratch.clear();
    write_others(table.fields.others(), row, scratch);
    if !scratch.is_empty() {
        push(scratch, out);
    }
    out.push(b',');
    write_millis(emitted_at, 'T', "Z", out);
    // Writing to a vector cannot fail.
    let _ = std::io::Write::write_fmt(out, format_args!(",{},", table.generation));
    push(table.meta(scratch), out);
}

/// A field, in quotes where it needs them.
fn push(text: &[u8], out: &mut Vec<u8>) {
    let special = |byte: &u8| matches!(byte, b'"' | b',' | b'\n' | b'\r');
    let spaced = text.first() == Some(&b' ') || text.last() == Some(&b' ');
    if !text.is_empty() && !spaced && !text.iter().any(special) {
        out.extend_from_slice(text);
        return;
    }
    out.push(b'"');
    for (place, part) in text.split(|byte| *byte == b'"').enumerate() {
        if place > 0 {
            out.extend_from_slice(b"\"\"");
        }
        out.extend_from_slice(part);
    }
    out.push(b'"');
}
