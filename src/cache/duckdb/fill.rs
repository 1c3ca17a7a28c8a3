//! How a read begins: tables are made, columns added and widened, in one transaction.

use std::collections::HashSet;

use ::duckdb::{Connection, params};

use super::insert::{Given, InsertFault, Inserter};
use super::tables::{create_rows, merge, next_table, sql_type};
use super::{Place, read, streams, unsigned};
use crate::cache::filling::{Filling, merged_by};
use crate::cache::kept::Kept;
use crate::cache::names::{free, quoted};
use crate::cache::plan::{How, evolve, stream_key};
use crate::cache::{CacheError, CachePosition, CachedColumn};
use crate::protocol::{Catalog, ConfiguredStream};

/// Bytes of records that are read at once where a table is written anew.
const REBUILD_BYTES: usize = 4 << 20;

/// A stream that is being filled, and what writes its rows.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) filling: Filling,
    pub(super) inserter: Inserter,
    /// Rows with larger numbers were not merged yet.
    pub(super) merged_to: u64,
}

/// Readies the streams of a catalog. What fails is undone with the connection.
pub(super) fn begin(
    place: &Place,
    connection: &Connection,
    source: &str,
    source_name: &str,
    catalog: &Catalog,
) -> Result<Vec<Target>, CacheError> {
    let named = || -> ::duckdb::Result<()> {
        connection.execute_batch("BEGIN TRANSACTION")?;
        connection.execute("DELETE FROM _lockgate_cache_sources WHERE source = ?", [source])?;
        let insert = "INSERT INTO _lockgate_cache_sources VALUES (?, ?)";
        connection.execute(insert, params![source, source_name])?;
        Ok(())
    };
    named().map_err(|e| place.fault(e))?;
    let streams = catalog
        .streams
        .iter()
        .map(|stream| ready(place, connection, source, stream))
        .collect::<Result<Vec<Target>, CacheError>>()?;
    connection.execute_batch("COMMIT").map_err(|e| place.fault(e))?;
    Ok(streams)
}

fn ready(
    place: &Place,
    connection: &Connection,
    source: &str,
    stream: &ConfiguredStream,
) -> Result<Target, CacheError> {
    let how = How::of(stream);
    let sql = |result: ::duckdb::Result<()>| result.map_err(|e| place.fault(e));
    let mut kept = match streams::find(place, connection, source, &stream.stream.descriptor)? {
        Some(kept) => kept,
        None => new(connection, source, stream).map_err(|e| place.fault(e))?,
    };
    let next = next_table(kept.id);
    sql(connection.execute_batch(&format!("DROP TABLE IF EXISTS {}", quoted(&next))))?;
    if kept.removed {
        kept.come_again();
        sql(connection.execute_batch(&create_rows(&kept.table, &[])))?;
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
    next_kept.merged_by = merged_by(&how);
    let target = if how.replaces {
        // What is there stays as it is until the stream is complete.
        sql(streams::update(connection, &kept))?;
        sql(connection.execute_batch(&create_rows(&next, &evolved.columns)))?;
        next_kept.generation += 1;
        next_kept.row_count = 0;
        next
    } else {
        let merges_otherwise = kept.merged_by != next_kept.merged_by;
        if evolved.widened || (merges_otherwise && !how.key.is_empty()) {
            next_kept.row_count = rebuild(place, connection, &kept, &next_kept, &how)?;
        } else {
            let added = evolved.columns.get(evolved.known..).unwrap_or_default();
            sql(add_columns(connection, &kept.table, added))?;
            if merges_otherwise {
                next_kept.row_count = count(connection, &kept.table).map_err(|e| place.fault(e))?;
            }
        }
        sql(streams::update(connection, &next_kept))?;
        next_kept.table.clone()
    };
    let inserter = Inserter::new(&target, &next_kept, &how.key);
    let merged_to = next_kept.last_row;
    Ok(Target { filling: Filling::new(next_kept, how, target, from), inserter, merged_to })
}

/// A stream that was never here, with a table that nobody has.
fn new(connection: &Connection, source: &str, stream: &ConfiguredStream) -> ::duckdb::Result<Kept> {
    let mut statement = connection.prepare(
        "SELECT lower(table_name) FROM duckdb_tables() UNION SELECT lower(view_name) FROM duckdb_views()
         UNION SELECT table_name FROM _lockgate_cache_streams",
    )?;
    let taken: HashSet<String> =
        statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let descriptor = &stream.stream.descriptor;
    let distinct = format!("{source}\n{}", stream_key(descriptor));
    let table = free(&Kept::wished_table(descriptor), &distinct, |name| taken.contains(name));
    let mut kept = Kept::new(source, table, stream);
    streams::insert(connection, &mut kept)?;
    connection.execute_batch(&create_rows(&kept.table, &[]))?;
    Ok(kept)
}

fn add_columns(
    connection: &Connection,
    table: &str,
    columns: &[CachedColumn],
) -> ::duckdb::Result<()> {
    for column in columns {
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
pub(super) fn count(connection: &Connection, table: &str) -> ::duckdb::Result<u64> {
    let sql = format!("SELECT count(*) FROM {}", quoted(table));
    connection.query_row(&sql, [], |row| row.get(0)).map(unsigned)
}

/// Writes a table anew from its records, with wider columns or merged by another key. Of rows with one
/// key, the last stays. Gives how many there are.
fn rebuild(
    place: &Place,
    connection: &Connection,
    kept: &Kept,
    wider: &Kept,
    how: &How,
) -> Result<u64, CacheError> {
    let next = next_table(kept.id);
    let sql = |sql: &str| connection.execute_batch(sql).map_err(|e| place.fault(e));
    sql(&create_rows(&next, &wider.columns))?;
    let mut inserter = Inserter::new(&next, wider, &how.key);
    let copied = copy(connection, &kept.table, &mut inserter);
    copied.map_err(|fault| match fault {
        InsertFault::Row(fault) => place.damaged(&kept.descriptor, fault.to_string()),
        InsertFault::Database(error) => place.fault(error),
    })?;
    if !how.key.is_empty() {
        connection.execute(&merge(&next), [0_i64]).map_err(|e| place.fault(e))?;
    }
    sql(&format!("DROP TABLE {}", quoted(&kept.table)))?;
    sql(&format!("ALTER TABLE {} RENAME TO {}", quoted(&next), quoted(&kept.table)))?;
    count(connection, &kept.table).map_err(|e| place.fault(e))
}

fn copy(connection: &Connection, from: &str, inserter: &mut Inserter) -> Result<(), InsertFault> {
    let mut after = 0;
    loop {
        let part = read::part(connection, from, after, i64::MAX, REBUILD_BYTES)?;
        let Some(last) = part.last() else { return Ok(()) };
        after = last.number;
        let mut appender = inserter.appender(connection)?;
        for row in &part {
            let (number, emitted_at) = (row.number, row.emitted_at);
            let given = Given { number, emitted_at, meta: row.meta.as_deref() };
            inserter.row(&mut appender, row.record.as_bytes(), &given)?;
        }
        appender.flush()?;
    }
}
