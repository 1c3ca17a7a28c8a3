//! What is there: streams, states, checkpoints, rows.

use ::duckdb::{Connection, params};

use super::fill::count;
use super::{Place, signed, streams, unsigned};
use crate::cache::given::Given;
use crate::cache::kept::{self, Kept};
use crate::cache::names::quoted;
use crate::cache::{CacheError, CachedCheckpoint, CachedRows, CachedStream};
use crate::state::StoredState;

/// Numbers that are looked at together for rows: their lengths are known before their texts are read.
const WINDOW: i64 = 20_000;

/// A stream as its users see it.
pub(super) fn stream(
    place: &Place,
    connection: &Connection,
    kept: Kept,
) -> Result<CachedStream, CacheError> {
    let rows = match kept.merged_by {
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

/// The source's states.
pub(super) fn states(
    place: &Place,
    connection: &Connection,
    source: &str,
) -> Result<Vec<StoredState>, CacheError> {
    let rows = || -> ::duckdb::Result<Vec<(String, bool)>> {
        let mut statement = connection.prepare(
            "SELECT body, full_read FROM _lockgate_cache_states WHERE source = ? ORDER BY stream",
        )?;
        statement.query_map([source], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    };
    let rows = rows().map_err(|e| place.fault(e))?;
    rows.into_iter()
        .map(|(body, of_full_read)| {
            let state = kept::state(body);
            let state =
                state.map_err(|reason| place.damaged(format!("source {source}"), reason))?;
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
    type Found = (i64, bool, String, String);
    let rows = || -> ::duckdb::Result<Vec<Found>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut statement = connection.prepare(
            "SELECT id, full_read, body, positions FROM _lockgate_cache_checkpoints
             WHERE source = ? AND id > ? ORDER BY id LIMIT ?",
        )?;
        let rows = statement.query_map(params![source, signed(after), limit], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?;
        rows.collect()
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
    let found = part(connection, &kept.table, signed(after), signed(up_to), bytes);
    let mut given = Given::with_room(bytes.min(1 << 20) + 4096);
    for row in found.map_err(|e| place.fault(e))? {
        given
            .take(unsigned(row.number), &row.record, row.emitted_at, row.meta.as_deref())
            .map_err(|reason| place.damaged(&kept.descriptor, reason))?;
    }
    Ok(given.end())
}

/// A row as it is in its table.
pub(super) struct Stored {
    pub(super) number: i64,
    pub(super) record: String,
    pub(super) emitted_at: i64,
    pub(super) meta: Option<String>,
}

/// About so many bytes of a table's rows with numbers above `after`, in order.
pub(super) fn part(
    connection: &Connection,
    table: &str,
    after: i64,
    up_to: i64,
    bytes: usize,
) -> ::duckdb::Result<Vec<Stored>> {
    let window = window(connection, table, after, up_to, bytes)?;
    let Some((first, last)) = window else { return Ok(Vec::new()) };
    let mut statement = connection.prepare(&format!(
        "SELECT _lockgate_row, _lockgate_record, _lockgate_emitted_at, _lockgate_meta FROM {}
         WHERE _lockgate_row BETWEEN ? AND ? ORDER BY _lockgate_row",
        quoted(table)
    ))?;
    let rows = statement.query_map([first, last], |row| {
        let (number, record, emitted_at) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(Stored { number, record, emitted_at, meta: row.get(3)? })
    })?;
    rows.collect()
}

/// The first and last numbers of rows above `after`: about so many bytes of them. DuckDB gives a result
/// whole, so how much that is has to be known before.
fn window(
    connection: &Connection,
    table: &str,
    after: i64,
    up_to: i64,
    bytes: usize,
) -> ::duckdb::Result<Option<(i64, i64)>> {
    let table = quoted(table);
    let next = format!(
        "SELECT min(_lockgate_row) FROM {table} WHERE _lockgate_row > ? AND _lockgate_row <= ?"
    );
    let first: Option<i64> = connection.query_row(&next, [after, up_to], |row| row.get(0))?;
    let Some(first) = first else { return Ok(None) };
    let until = first.saturating_add(WINDOW).min(up_to);
    let mut statement = connection.prepare(&format!(
        "SELECT _lockgate_row, strlen(_lockgate_record) + coalesce(strlen(_lockgate_meta), 0) + 1
         FROM {table} WHERE _lockgate_row BETWEEN ? AND ? ORDER BY _lockgate_row"
    ))?;
    let mut found = statement.query([first, until])?;
    let (mut last, mut sum) = (first, 0_usize);
    while let Some(row) = found.next()? {
        last = row.get(0)?;
        let length: i64 = row.get(1)?;
        sum = sum.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
        if sum >= bytes {
            break;
        }
    }
    Ok(Some((first, last)))
}
