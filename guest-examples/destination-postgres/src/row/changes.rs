//! `_airbyte_meta`: what was changed in a row on its way, by the source and here.

use json_rows::number;
use json_rows::scan::{self, Kind, Nest};
use json_rows::{Changes, NoMeta};
use lockgate_sdk::Failure;

use super::text::push_json;

/// Keeps what the source says it changed.
pub(super) fn take_over(meta: &str, changes: &mut Changes) -> Result<(), Failure> {
    changes.take_over(meta, is_storable).map_err(|NoMeta| {
        Failure::system("the `meta` of a row is not a JSON object with `changes`")
    })
}

/// Writes `_airbyte_meta`.
pub(super) fn write(changes: &Changes, sync: u64, out: &mut Vec<u8>) {
    // Writing to a vector cannot fail.
    let _ = std::io::Write::write_fmt(out, format_args!("{{\"sync_id\":{sync},\"changes\":["));
    for (place, change) in changes.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        // A character that cannot be kept in a note of a change is no further change.
        let _ = push_json(change.as_bytes(), out);
    }
    out.extend_from_slice(b"]}");
}

/// Is it an object that a column of JSON can hold?
fn is_storable(json: &str) -> bool {
    let mut fits = true;
    let found = scan::members(json.as_bytes(), &mut Nest::default(), |_, value| {
        fits &= match value.kind {
            Kind::Unfit => false,
            Kind::Number => number::fits(value.raw(json.as_bytes())),
            _ => true,
        };
    });
    found.is_ok() && fits
}
