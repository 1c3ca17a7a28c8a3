//! What is there: streams, states, checkpoints, rows.

use rusqlite::{Connection, params};

use super::fill::count;
use super::streams;
use super::{Place, signed, unsigned};
use crate::cache::given::Given;
use crate::cache::kept::{self, Kept};
use crate::cache::names::quoted;
use crate::cache::{CacheError, CachedCheckpoint, CachedRows, CachedStream};
use crate::protocol::StateMessage;
use crate::state::StoredState;

/// Rows that are given at once, however small: their times and metadata are in memory as well.
const MAX_ROWS: u32 = 100_000;

/// A stream as its users see it.
pub(super) fn stream(
    place: &Place,
    connection: &Connection,
    kept: Kept,
) -> Result<CachedStream, CacheError> {
    let rows = match kept.merged_by {
        // The index of the keys is small.
        Some(_) => count(connection, &kept.table).map_err(|e| place.fault(e))?,
        None => kept.row_count,
    };
    Ok(kept.seen(rows))
}

/// What there is instead of something.
pub(super) fn unknown(place: &Place, connection: &Connection, what: &str) -> CacheError {
    match streams::list(place, connection, None) {
        Ok(all) => {
            CacheError::unknown(place.shown(), what.to_owned(), all.iter().map(|k| &k.descriptor))
        }
        Err(error) => error,
    }
}

fn state(place: &Place, source: &str, body: String) -> Result<StateMessage, CacheError> {
    kept::state(body).map_err(|reason| place.damaged(format!("source {source}"), reason))
}

/// The source's states.
pub(super) fn states(
    place: &Place,
    connection: &Connection,
    source: &str,
) -> Result<Vec<StoredState>, CacheError> {
    let rows = || -> rusqlite::Result<Vec<(String, bool)>> {
        let mut statement = connection.prepare_cached(
            "SELECT body, full_read FROM _lockgate_cache_states WHERE source = ?1 ORDER BY stream",
        )?;
        statement.query_map([source], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    };
    let rows = rows().map_err(|e| place.fault(e))?;
    rows.into_iter()
        .map(|(body, of_full_read)| {
            let state = state(place, source, body)?;
            Ok(StoredState { of_full_read, ..StoredState::incremental(state) })
        })
        .collect()
}

/// The source's checkpoints above one.
pub(super) fn checkpoints(
    place: &Place,
    connection: &Connection,
    source: &str,
    after: u64,
    limit: usize,
) -> Result<Vec<CachedCheckpoint>, CacheError> {
    let rows = || -> rusqlite::Result<Vec<(i64, bool, String, String)>> {
        let mut statement = connection.prepare_cached(
            "SELECT id, full_read, body, positions FROM _lockgate_cache_checkpoints
             WHERE source = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
        )?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        statement
            .query_map(params![source, signed(after), limit], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })?
            .collect()
    };
    let rows = rows().map_err(|e| place.fault(e))?;
    rows.into_iter()
        .map(|(id, of_full_read, body, positions)| {
            kept::checkpoint(unsigned(id), of_full_read, body, &positions)
                .map_err(|reason| place.damaged(format!("source {source}"), reason))
        })
        .collect()
}

/// Rows of a stream, in order.
pub(super) fn rows(
    place: &Place,
    connection: &Connection,
    kept: &Kept,
    after: u64,
    up_to: u64,
    bytes: usize,
) -> Result<Option<CachedRows>, CacheError> {
    let damaged = |reason: &str| place.damaged(&kept.descriptor, reason);
    let fault = |e: rusqlite::Error| place.fault(e);
    let sql = format!(
        "SELECT _lockgate_row, _lockgate_record, _lockgate_emitted_at, _lockgate_meta FROM {}
         WHERE _lockgate_row > ?1 AND _lockgate_row <= ?2 ORDER BY _lockgate_row",
        quoted(&kept.table)
    );
    let mut statement = connection.prepare_cached(&sql).map_err(fault)?;
    let mut found = statement.query([signed(after), signed(up_to)]).map_err(fault)?;
    let mut given = Given::with_room(bytes.min(1 << 20) + 4096);
    while let Some(row) = found.next().map_err(fault)? {
        let number = unsigned(row.get(0).map_err(fault)?);
        let record = row.get_ref(1).map_err(fault)?.as_str();
        let record = record.map_err(|_| damaged("a record is no text"))?;
        let meta = row.get_ref(3).map_err(fault)?.as_str_or_null();
        let meta = meta.map_err(|_| damaged("metadata is no text"))?;
        let emitted_at = row.get(2).map_err(fault)?;
        let taken = given.take(number, record, emitted_at, meta);
        taken.map_err(|reason| damaged(&reason))?;
        if given.bytes() >= bytes || given.count() >= MAX_ROWS {
            break;
        }
    }
    Ok(given.end())
}
