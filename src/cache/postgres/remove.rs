//! What is not wanted any more.

use ::postgres::Client;

use super::streams;
use super::tables::next_table;
use crate::cache::names::quoted;
use crate::cache::plan::stream_key;
use crate::postgres::ServerError;
use crate::protocol::StreamDescriptor;

/// Drops a source's tables, or one of them, with the states. A row of ours stays of each: its numbers
/// go on where the stream comes again.
pub(super) fn remove(
    client: &mut Client,
    source: &str,
    stream: Option<&StreamDescriptor>,
) -> Result<usize, ServerError> {
    let all = streams::list(client, Some(source))?;
    let of = all.into_iter().filter(|kept| stream.is_none_or(|only| kept.descriptor == *only));
    let mut removed = 0;
    for kept in of {
        for table in [&kept.table, &next_table(kept.id)] {
            client.batch_execute(&format!("DROP TABLE IF EXISTS {}", quoted(table)))?;
        }
        streams::update(client, &kept.clone().emptied())?;
        // A state of all streams together says of this one what is not so any more.
        client.execute(
            "DELETE FROM _lockgate_cache_states
             WHERE source = $1 AND (stream = $2 OR stream IN ('GLOBAL', 'LEGACY'))",
            &[&source, &stream_key(&kept.descriptor)],
        )?;
        removed += 1;
    }
    if stream.is_none() {
        for table in ["states", "checkpoints", "sources"] {
            let forget = format!("DELETE FROM _lockgate_cache_{table} WHERE source = $1");
            client.execute(&forget, &[&source])?;
        }
    }
    Ok(removed)
}
