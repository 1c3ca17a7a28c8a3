//! What is not wanted any more.

use ::duckdb::{Connection, params};

use super::read::unknown;
use super::tables::next_table;
use super::{Place, streams};
use crate::cache::CacheError;
use crate::cache::kept::Kept;
use crate::cache::names::quoted;
use crate::cache::plan::stream_key;
use crate::protocol::StreamDescriptor;

/// Drops a source's tables, or one of them, with the states. A row of ours stays of each: its numbers
/// go on where the stream comes again. The connection is dropped afterwards, and with it what failed.
pub(super) fn remove(
    place: &Place,
    connection: &Connection,
    source: &str,
    stream: Option<&StreamDescriptor>,
) -> Result<usize, CacheError> {
    connection.execute_batch("BEGIN TRANSACTION").map_err(|e| place.fault(e))?;
    let all = streams::list(place, connection, Some(source))?;
    let of: Vec<Kept> = match stream {
        None => all,
        Some(stream) => all.into_iter().filter(|kept| kept.descriptor == *stream).collect(),
    };
    if of.is_empty()
        && let Some(stream) = stream
    {
        return Err(unknown(place, connection, &format!("stream {stream} of {source}")));
    }
    let count = of.len();
    let drop_all = || -> ::duckdb::Result<()> {
        for kept in of {
            for table in [&kept.table, &next_table(kept.id)] {
                connection.execute_batch(&format!("DROP TABLE IF EXISTS {}", quoted(table)))?;
            }
            // A state of all streams together says of this one what is not so any more.
            connection.execute(
                "DELETE FROM _lockgate_cache_states
                 WHERE source = ? AND stream IN (?, 'GLOBAL', 'LEGACY')",
                params![source, stream_key(&kept.descriptor)],
            )?;
            streams::update(connection, &kept.emptied())?;
        }
        if stream.is_none() {
            for table in ["states", "checkpoints", "sources"] {
                let sql = format!("DELETE FROM _lockgate_cache_{table} WHERE source = ?");
                connection.execute(&sql, [source])?;
            }
        }
        connection.execute_batch("COMMIT")
    };
    drop_all().map_err(|e| place.fault(e))?;
    Ok(count)
}
