//! What is not wanted any more.

use rusqlite::{Connection, TransactionBehavior};

use super::read::unknown;
use super::tables::next_table;
use super::{Place, streams};
use crate::cache::CacheError;
use crate::cache::names::quoted;
use crate::cache::plan::stream_key;
use crate::protocol::StreamDescriptor;

/// Drops a source's tables, or one of them, with the states. A row of ours stays of each: its numbers
/// go on where the stream comes again.
pub(super) fn remove(
    place: &Place,
    connection: &mut Connection,
    source: &str,
    stream: Option<&StreamDescriptor>,
) -> Result<usize, CacheError> {
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(|e| place.fault(e))?;
    let all = streams::list(place, &transaction, Some(source))?;
    let of: Vec<_> = match stream {
        None => all,
        Some(stream) => all.into_iter().filter(|kept| kept.descriptor == *stream).collect(),
    };
    if of.is_empty()
        && let Some(stream) = stream
    {
        return Err(unknown(place, &transaction, &format!("stream {stream} of {source}")));
    }
    let drop_all = || -> rusqlite::Result<usize> {
        for kept in &of {
            for table in [&kept.table, &next_table(kept.id)] {
                transaction.execute_batch(&format!("DROP TABLE IF EXISTS {}", quoted(table)))?;
            }
            streams::update(&transaction, &kept.clone().emptied())?;
            // A state of all streams together says of this one what is not so any more.
            transaction.execute(
                "DELETE FROM _lockgate_cache_states
                 WHERE source = ?1 AND stream IN (?2, 'GLOBAL', 'LEGACY')",
                (source, stream_key(&kept.descriptor)),
            )?;
        }
        if stream.is_none() {
            transaction
                .execute("DELETE FROM _lockgate_cache_states WHERE source = ?1", [source])?;
            transaction
                .execute("DELETE FROM _lockgate_cache_checkpoints WHERE source = ?1", [source])?;
            transaction
                .execute("DELETE FROM _lockgate_cache_sources WHERE source = ?1", [source])?;
        }
        Ok(of.len())
    };
    let removed = drop_all().map_err(|e| place.fault(e))?;
    transaction.commit().map_err(|e| place.fault(e))?;
    Ok(removed)
}
