//! What rows have beside their own members.

use std::io::Write as _;

use json_rows::Changes;
use json_rows::scan::Value;

/// `_airbyte_meta` of a row with these changes.
pub(crate) fn write_meta(changes: &Changes, sync: u64, out: &mut Vec<u8>) {
    // Writing to a vector cannot fail.
    let _ = write!(out, "{{\"sync_id\":{sync},\"changes\":[");
    for (place, change) in changes.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        out.extend_from_slice(change.as_bytes());
    }
    out.extend_from_slice(b"]}");
}

/// Members as one object; nothing where there are none.
pub(crate) fn write_others(others: &[(Value, Value)], row: &[u8], out: &mut Vec<u8>) {
    for (place, (key, value)) in others.iter().enumerate() {
        out.push(if place == 0 { b'{' } else { b',' });
        out.extend_from_slice(key.raw(row));
        out.push(b':');
        out.extend_from_slice(value.raw(row));
    }
    if !others.is_empty() {
        out.push(b'}');
    }
}
