//! Comma-separated values.

use std::io::Write;

use super::Export;
use crate::cache::record::{Cell, Shape, cell};
use crate::cache::text::write_cell;
use crate::cache::{CacheError, CachedRows};

pub(super) fn write(export: &Export<'_>, out: &mut impl Write) -> Result<u64, CacheError> {
    let io = |e: std::io::Error| (export.fault)(e.to_string());
    let columns = &export.stream.columns;
    let mut line = String::new();
    for (i, column) in columns.iter().enumerate() {
        field(&mut line, i, &column.name);
    }
    line.push('\n');
    let mut shape = Shape::new(columns, []);
    let (mut count, mut after) = (0, 0);
    let mut text = String::new();
    while let Some(CachedRows { rows, last }) = export.next(after)? {
        let mut values = Vec::new();
        for record in rows.lines() {
            shape.read(record, &mut values).map_err(|e| (export.fault)(e.to_string()))?;
            for (i, (kind, value)) in shape.kinds().iter().zip(&values).enumerate() {
                match cell(*kind, *value) {
                    Ok(Cell::Null) | Err(_) => line.push_str(if i > 0 { "," } else { "" }),
                    Ok(cell) => {
                        text.clear();
                        write_cell(&mut text, &cell);
                        field(&mut line, i, &text);
                    }
                }
            }
            line.push('\n');
            out.write_all(line.as_bytes()).map_err(io)?;
            line.clear();
            count += 1;
        }
        after = last;
    }
    // The names, where there were no rows.
    out.write_all(line.as_bytes()).map_err(io)?;
    Ok(count)
}

/// In quotes where it must be; empty text too, which is not the same as nothing.
fn field(line: &mut String, place: usize, text: &str) {
    if place > 0 {
        line.push(',');
    }
    if text.is_empty() || text.contains([',', '"', '\n', '\r']) {
        line.push('"');
        line.push_str(&text.replace('"', "\"\""));
        line.push('"');
    } else {
        line.push_str(text);
    }
}
