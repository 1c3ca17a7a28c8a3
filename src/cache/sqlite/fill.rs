//! How a read begins: tables are made, columns added and widened, in one transaction.

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::Place;
use super::insert::{Given, InsertFault, Inserter};
use super::streams;
use super::tables::{create_key_index, create_rows, key_index, next_table, sql_type};
use crate::cache::filling::{Filling, merged_by};
use crate::cache::kept::Kept;
use crate::cache::names::{free, quoted};
use crate::cache::plan::{How, evolve, stream_key};
use crate::cache::{CacheError, CachePosition, CachedColumn};
use crate::protocol::{Catalog, ConfiguredStream};

/// A stream that is being filled, and what writes its rows.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) filling: Filling,
    pub(super) inserter: Inserter,
}

/// Readies the streams of a catalog.
pub(super) fn begin(
    place: &Place,
    connection: &Connection,
    source: &str,
    source_name: &str,
    catalog: &Catalog,
) -> Result<Vec<Target>, CacheError> {
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)
        .map_err(|e| place.fault(e))?;
    transaction
        .execute(
            "INSERT OR REPLACE INTO _lockgate_cache_sources VALUES (?1, ?2)",
            params![source, source_name],
        )
        .map_err(|e| place.fault(e))?;
    let streams = catalog
        .streams
        .iter()
        .map(|stream| ready(place, &transaction, source, stream))
        .collect::<Result<Vec<Target>, CacheError>>()?;
    transaction.commit().map_err(|e| place.fault(e))?;
    Ok(streams)
}

fn ready(
    place: &Place,
    connection: &Connection,
    source: &str,
    stream: &ConfiguredStream,
) -> Result<Target, CacheError> {
    let how = How::of(stream);
    let mut kept = match streams::find(place, connection, source, &stream.stream.descriptor)? {
        Some(kept) => kept,
        None => new(place, connection, source, stream)?,
    };
    let sql = |result: rusqlite::Result<()>| result.map_err(|e| place.fault(e));
    let next = next_table(kept.id);
    sql(connection.execute_batch(&format!("DROP TABLE IF EXISTS {}", quoted(&next))))?;
    if kept.removed {
        kept.come_again();
        sql(connection.execute_batch(&create_rows(&kept.table, &kept.salt, &[])))?;
    }
    let from = match kept.last_row {
        0 => CachePosition::default(),
        row => CachePosition { generation: kept.generation, row },
    };
    let evolved = evolve(&kept.columns, &stream.stream.json_schema);
    kept.primary_key.clone_from(&stream.primary_key);
    kept.json_schema = stream.stream.json_schema.clone();
    let mut next_kept = kept.clone();
    next_kept.columns.clone_from(&evolved.columns);
    let target = if how.replaces {
        // What is there stays as it is until the stream is complete.
        sql(streams::update(connection, &kept))?;
        sql(connection.execute_batch(&create_rows(&next, &kept.salt, &evolved.columns)))?;
        next_kept.generation += 1;
        next_kept.row_count = 0;
        next_kept.merged_by = merged_by(&how);
        if next_kept.merged_by.is_some() {
            let index = create_key_index(&next, kept.id, next_kept.generation);
            sql(connection.execute_batch(&index))?;
        }
        next
    } else {
        let merges_otherwise = kept.merged_by != merged_by(&how);
        if evolved.widened || (merges_otherwise && !how.key.is_empty()) {
            next_kept.row_count = rebuild(place, connection, &next_kept, &how)?;
        } else {
            add_columns(connection, &kept.table, evolved.columns.get(evolved.known..))
                .map_err(|e| place.fault(e))?;
            if merges_otherwise {
                let index = quoted(&key_index(kept.id, kept.generation));
                sql(connection.execute_batch(&format!("DROP INDEX IF EXISTS {index}")))?;
                next_kept.row_count = count(connection, &kept.table).map_err(|e| place.fault(e))?;
            }
        }
        next_kept.merged_by = merged_by(&how);
        sql(streams::update(connection, &next_kept))?;
        next_kept.table.clone()
    };
    let inserter = Inserter::new(&target, &next_kept.columns, &how.key);
    Ok(Target { filling: Filling::new(next_kept, how, target, from), inserter })
}

/// A stream that was never here, with a table that nobody has.
fn new(
    place: &Place,
    connection: &Connection,
    source: &str,
    stream: &ConfiguredStream,
) -> Result<Kept, CacheError> {
    let descriptor = &stream.stream.descriptor;
    let taken = taken(connection).map_err(|e| place.fault(e))?;
    let distinct = format!("{source}\n{}", stream_key(descriptor));
    let table = free(&Kept::wished_table(descriptor), &distinct, |name| taken.contains(name));
    let mut kept = Kept::new(source, table, stream);
    let mut make = || -> rusqlite::Result<()> {
        streams::insert(connection, &mut kept)?;
        connection.execute_batch(&create_rows(&kept.table, &kept.salt, &[]))
    };
    make().map_err(|e| place.fault(e))?;
    Ok(kept)
}

/// Names of tables that are there, or belong to a stream.
fn taken(connection: &Connection) -> rusqlite::Result<std::collections::HashSet<String>> {
    let mut statement = connection.prepare_cached(
        "SELECT lower(name) FROM sqlite_schema UNION SELECT table_name FROM _lockgate_cache_streams",
    )?;
    statement.query_map([], |row| row.get(0))?.collect()
}

fn add_columns(
    connection: &Connection,
    table: &str,
    columns: Option<&[CachedColumn]>,
) -> rusqlite::Result<()> {
    for column in columns.unwrap_or_default() {
        connection.execute_batch(&format!(
            "ALTER TABLE {} ADD COLUMN {} {}",
            quoted(table),
            quoted(&column.name),
            sql_type(column.kind)
        ))?;
    }
    Ok(())
}

/// Rows in a table.
pub(super) fn count(connection: &Connection, table: &str) -> rusqlite::Result<u64> {
    let sql = format!("SELECT count(*) FROM {}", quoted(table));
    connection.query_row(&sql, [], |row| row.get(0)).map(super::unsigned)
}

/// Writes a table anew from its records, with wider columns or merged by another key. Of rows with one
/// key, the last stays. Gives how many there are.
fn rebuild(
    place: &Place,
    connection: &Connection,
    kept: &Kept,
    how: &How,
) -> Result<u64, CacheError> {
    let next = next_table(kept.id);
    let sql = |sql: &str| connection.execute_batch(sql).map_err(|e| place.fault(e));
    sql(&create_rows(&next, &kept.salt, &kept.columns))?;
    let index = key_index(kept.id, kept.generation);
    sql(&format!("DROP INDEX IF EXISTS {}", quoted(&index)))?;
    if !how.key.is_empty() {
        sql(&create_key_index(&next, kept.id, kept.generation))?;
    }
    let mut inserter = Inserter::new(&next, &kept.columns, &how.key);
    let copied = copy(connection, &kept.table, &next, &mut inserter, &kept.columns);
    copied.map_err(|fault| match fault {
        InsertFault::Row(fault) => place.damaged(&kept.descriptor, fault.to_string()),
        InsertFault::Database(error) => place.fault(error),
    })?;
    sql(&format!("DROP TABLE {}", quoted(&kept.table)))?;
    sql(&format!("ALTER TABLE {} RENAME TO {}", quoted(&next), quoted(&kept.table)))?;
    count(connection, &kept.table).map_err(|e| place.fault(e))
}

fn copy(
    connection: &Connection,
    from: &str,
    to: &str,
    inserter: &mut Inserter,
    columns: &[CachedColumn],
) -> Result<(), InsertFault> {
    let mut select = connection.prepare(&format!(
        "SELECT _lockgate_row, _lockgate_record, _lockgate_emitted_at, _lockgate_meta FROM {}
         ORDER BY _lockgate_row",
        quoted(from)
    ))?;
    let mut insert = connection.prepare_cached(&super::tables::insert_row(to, columns))?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let record = row.get_ref(1)?.as_bytes()?;
        let meta = row.get_ref(3)?.as_str_or_null()?;
        let given = Given { number: row.get(0)?, emitted_at: row.get(2)?, meta };
        inserter.row(&mut insert, record, &given, &mut Vec::new())?;
    }
    Ok(())
}
