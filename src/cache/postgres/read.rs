//! What is there: streams, states, checkpoints, rows.

use ::postgres::Client;

use super::fill::count;
use super::streams;
use super::{signed, unsigned};
use crate::cache::CachedStream;
use crate::cache::kept::Kept;
use crate::cache::names::quoted;
use crate::postgres::ServerError;

/// Rows that are given at once, however small.
const MAX_ROWS: i64 = 10_000;

/// A stream as its users see it.
fn stream(client: &mut Client, kept: Kept) -> Result<CachedStream, ServerError> {
    let rows = match kept.merged_by {
        Some(_) => count(client, &kept.table)?,
        None => kept.row_count,
    };
    Ok(kept.seen(rows))
}

/// All streams, or those of one source.
pub(super) fn streams(
    client: &mut Client,
    source: Option<&str>,
) -> Result<Vec<CachedStream>, ServerError> {
    let all = streams::list(client, source)?;
    all.into_iter().map(|kept| stream(client, kept)).collect()
}

/// The bodies of the source's states, and whether each is of a full read.
pub(super) fn states(
    client: &mut Client,
    source: &str,
) -> Result<Vec<(String, bool)>, ServerError> {
    let rows = client.query(
        "SELECT body, full_read FROM _lockgate_cache_states WHERE source = $1 ORDER BY stream",
        &[&source],
    )?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// A checkpoint as it is stored.
pub(super) struct Stored {
    pub(super) id: u64,
    pub(super) of_full_read: bool,
    pub(super) body: String,
    pub(super) positions: String,
}

/// The source's checkpoints above one.
pub(super) fn checkpoints(
    client: &mut Client,
    source: &str,
    after: u64,
    limit: usize,
) -> Result<Vec<Stored>, ServerError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = client.query(
        "SELECT id, full_read, body, positions FROM _lockgate_cache_checkpoints
         WHERE source = $1 AND id > $2 ORDER BY id LIMIT $3",
        &[&source, &signed(after), &limit],
    )?;
    let read = |row: &::postgres::Row| {
        Ok(Stored {
            id: unsigned(row.try_get(0)?),
            of_full_read: row.try_get(1)?,
            body: row.try_get(2)?,
            positions: row.try_get(3)?,
        })
    };
    rows.iter().map(read).collect()
}

/// A row as it is stored.
pub(super) struct StoredRow {
    pub(super) number: u64,
    pub(super) record: String,
    pub(super) emitted_at: i64,
    pub(super) meta: Option<String>,
}

/// Rows of a stream, in order: about so many bytes, and one at least.
pub(super) fn rows(
    client: &mut Client,
    table: &str,
    after: u64,
    up_to: u64,
    bytes: usize,
) -> Result<Vec<StoredRow>, ServerError> {
    let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
    // What comes before a row decides whether it is given.
    let sql = format!(
        "SELECT _lockgate_row, _lockgate_record, _lockgate_emitted_at, _lockgate_meta FROM (
            SELECT *, sum(size) OVER (ORDER BY _lockgate_row) - size AS before FROM (
                SELECT _lockgate_row, _lockgate_record, _lockgate_emitted_at, _lockgate_meta,
                    octet_length(_lockgate_record) + coalesce(octet_length(_lockgate_meta), 0) + 1 AS size
                FROM {} WHERE _lockgate_row > $1 AND _lockgate_row <= $2
                ORDER BY _lockgate_row LIMIT {MAX_ROWS}) AS given) AS measured
         WHERE before < $3 ORDER BY _lockgate_row",
        quoted(table)
    );
    let rows = client.query(&sql, &[&signed(after), &signed(up_to), &bytes])?;
    let read = |row: &::postgres::Row| {
        Ok(StoredRow {
            number: unsigned(row.try_get(0)?),
            record: row.try_get(1)?,
            emitted_at: row.try_get(2)?,
            meta: row.try_get(3)?,
        })
    };
    rows.iter().map(read).collect()
}
