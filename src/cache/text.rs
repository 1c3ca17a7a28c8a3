//! A column's value as text: the same in a table, in a file and in Arrow.

use super::record::Cell;
use super::time;

/// Writes a value: times of one length, so that texts sort as they do, in UTC where they are instants;
/// numbers with all their digits. Nothing for none.
pub(super) fn write_cell(out: &mut String, cell: &Cell<'_>) {
    match cell {
        Cell::Null => {}
        Cell::Boolean(value) => out.push_str(if *value { "true" } else { "false" }),
        Cell::Integer(value) => {
            use std::fmt::Write as _;
            let _ = write!(out, "{value}");
        }
        Cell::Number(text) | Cell::Json(text) => out.push_str(text),
        Cell::Text(text) => out.push_str(text),
        Cell::Date(days) => time::write_date(out, *days),
        Cell::Time(micros) => time::write_clock(out, *micros),
        Cell::TimeTz(micros, zone) => {
            time::write_clock(out, *micros);
            time::write_zone(out, *zone);
        }
        Cell::Timestamp(micros) => time::write_timestamp(out, *micros),
        Cell::Instant(micros) => {
            time::write_timestamp(out, *micros);
            out.push('Z');
        }
    }
}
