//! What the states were before.

use rusqlite::{Transaction, params};

use super::unsigned;
use crate::protocol::now_ms;
use crate::state::KEPT_PASTS;
use crate::state::rows::{Past, Row};

/// What there is now.
pub(super) fn current(t: &Transaction<'_>, connection: &str) -> rusqlite::Result<Vec<Row>> {
    let mut rows = t.prepare_cached(
        "SELECT full_read, body, generations FROM _lockgate_states WHERE connection = ?1
         ORDER BY full_read, stream",
    )?;
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Row { of_full_read: row.get(0)?, body: row.get(1)?, generations: row.get(2)? })
    };
    rows.query_map(params![connection], read)?.collect()
}

/// Remembers what there is now, where that is anything.
pub(super) fn put_aside(
    t: &Transaction<'_>,
    connection: &str,
    sync_id: i64,
) -> rusqlite::Result<()> {
    let states = current(t, connection)?;
    if states.is_empty() {
        return Ok(());
    }
    // Strings always serialise.
    let states = serde_json::to_string(&states).unwrap_or_default();
    let number: i64 = t.query_row(
        "INSERT INTO _lockgate_past_states
         SELECT ?1, coalesce(max(number), 0) + 1, ?2, ?3, ?4 FROM _lockgate_past_states
         WHERE connection = ?1 RETURNING number",
        params![connection, sync_id, now_ms(), states],
        |row| row.get(0),
    )?;
    t.execute(
        "DELETE FROM _lockgate_past_states WHERE connection = ?1 AND number <= ?2",
        params![connection, number - i64::try_from(KEPT_PASTS).unwrap_or(i64::MAX)],
    )
    .map(drop)
}

/// All that was put aside, the newest first.
pub(super) fn list(t: &Transaction<'_>, connection: &str) -> rusqlite::Result<Vec<Past>> {
    let mut rows = t.prepare(
        "SELECT number, sync_id, at, states FROM _lockgate_past_states WHERE connection = ?1
         ORDER BY number DESC",
    )?;
    let read = |row: &rusqlite::Row<'_>| {
        let states: String = row.get(3)?;
        Ok(Past {
            number: unsigned(row.get(0)?),
            sync_id: unsigned(row.get(1)?),
            at: row.get(2)?,
            // What cannot be read was not written by us.
            states: serde_json::from_str(&states).unwrap_or_default(),
        })
    };
    rows.query_map(params![connection], read)?.collect()
}
