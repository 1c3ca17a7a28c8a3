//! What is there: streams, states, checkpoints, rows.

use rusqlite::{Connection, params};

use super::fill::count;
use super::streams::{self, Kept};
use super::{Place, signed, unsigned};
use crate::cache::names::{as_written, quoted};
use crate::cache::{CacheError, CachePosition, CachedCheckpoint, CachedRows, CachedStream};
use crate::protocol::{EmittedAt, Json, RowMeta, Rows, StateMessage, StreamDescriptor};
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
    Ok(CachedStream {
        source: kept.source,
        descriptor: kept.descriptor,
        table: as_written(&kept.table),
        columns: kept.columns,
        rows,
        position: CachePosition { generation: kept.generation, row: kept.last_row },
        merged: kept.merged_by.is_some(),
        primary_key: kept.primary_key,
        json_schema: kept.json_schema,
        updated_at: kept.updated_at,
    })
}

/// What there is instead of something.
pub(super) fn unknown(place: &Place, connection: &Connection, what: &str) -> CacheError {
    match streams::list(place, connection, None) {
        Ok(all) => {
            let mut known: Vec<String> = all.iter().map(|k| k.descriptor.to_string()).collect();
            known.dedup();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            CacheError::Unknown { cache: place.shown(), what: what.to_owned(), known }
        }
        Err(error) => error,
    }
}

fn state(place: &Place, source: &str, body: String) -> Result<StateMessage, CacheError> {
    let damaged = |reason: String| place.damaged(format!("source {source}"), reason);
    let body = Json::parse(body).map_err(|e| damaged(e.to_string()))?;
    StateMessage::from_airbyte(body).map_err(|e| damaged(e.to_string()))
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
            let positions: Vec<(StreamDescriptor, CachePosition)> =
                serde_json::from_str(&positions)
                    .map_err(|e| place.damaged(format!("source {source}"), e.to_string()))?;
            let state = state(place, source, body)?;
            Ok(CachedCheckpoint { id: unsigned(id), state, of_full_read, positions })
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
    let mut data = Vec::with_capacity(bytes.min(1 << 20) + 4096);
    let (mut times, mut meta) = (Vec::new(), Vec::new());
    let (mut count, mut last, mut weight) = (0_u32, after, 0);
    while let Some(row) = found.next().map_err(fault)? {
        last = unsigned(row.get(0).map_err(fault)?);
        let record = row.get_ref(1).map_err(fault)?.as_str();
        let record = record.map_err(|_| damaged("a record is no text"))?;
        if memchr::memchr(b'\n', record.as_bytes()).is_some() {
            return Err(damaged("a record is more than one line"));
        }
        data.extend_from_slice(record.as_bytes());
        data.push(b'\n');
        times.push(row.get(2).map_err(fault)?);
        let row_meta = row.get_ref(3).map_err(fault)?.as_str_or_null();
        if let Some(text) = row_meta.map_err(|_| damaged("metadata is no text"))? {
            let json = Json::object(text).map_err(|e| damaged(&e.to_string()))?;
            weight += text.len();
            meta.push(RowMeta { row: count, meta: json });
        }
        count += 1;
        if data.len() + weight >= bytes || count >= MAX_ROWS {
            break;
        }
    }
    let Some(first) = times.first().copied() else { return Ok(None) };
    let emitted_at = match times.iter().all(|at| *at == first) {
        true => EmittedAt::All(first),
        false => EmittedAt::Each(times),
    };
    // Each was one object when it was written.
    let rows = Rows { stream: 0, count, data, emitted_at, meta, parsed: true };
    Ok(Some(CachedRows { rows, last }))
}
