//! How a read begins: tables are made, columns added and widened, in one transaction.

use std::collections::HashSet;
use std::io::Write as _;

use ::postgres::Client;

use super::copy::Lines;
use super::streams;
use super::tables::{
    create_key_index, create_rows, create_stage, key_index, merge, names, next_table, sql_type,
};
use super::unsigned;
use crate::cache::filling::{Filling, merged_by};
use crate::cache::kept::Kept;
use crate::cache::names::{free, quoted};
use crate::cache::plan::{How, evolve, stream_key};
use crate::cache::{CachePosition, CachedColumn};
use crate::postgres::ServerError;
use crate::protocol::{Catalog, ConfiguredStream};

/// Rows that are read at once where a table is written anew.
const REBUILD_ROWS: usize = 200;

/// A stream that is being filled, and what waits on its way to the server.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) filling: Filling,
    /// Where rows wait to be merged.
    pub(super) stage: Option<String>,
    pub(super) lines: Lines,
    /// Lines that wait to be sent.
    pub(super) waiting: Vec<u8>,
    /// The stage has rows.
    pub(super) staged: bool,
}

impl Target {
    /// The statement that takes its rows.
    pub(super) fn copy(&self) -> String {
        let into = self.stage.as_ref().unwrap_or(&self.filling.target);
        format!("COPY {} ({}) FROM STDIN", quoted(into), names(&self.filling.kept.columns))
    }
}

/// Readies the streams of a catalog.
pub(super) fn begin(
    client: &mut Client,
    source: &str,
    source_name: &str,
    holder: &str,
    catalog: &Catalog,
) -> Result<Vec<Target>, ServerError> {
    client.batch_execute(super::tables::MAKING)?;
    client.execute(
        "INSERT INTO _lockgate_cache_sources VALUES ($1, $2, $3)
         ON CONFLICT (source) DO UPDATE SET name = excluded.name, holder = excluded.holder",
        &[&source, &source_name, &holder],
    )?;
    catalog.streams.iter().map(|stream| ready(client, source, stream)).collect()
}

fn ready(
    client: &mut Client,
    source: &str,
    stream: &ConfiguredStream,
) -> Result<Target, ServerError> {
    let how = How::of(stream);
    let mut kept = match streams::find(client, source, &stream.stream.descriptor)? {
        Some(kept) => kept,
        None => new(client, source, stream)?,
    };
    let next = next_table(kept.id);
    client.batch_execute(&format!("DROP TABLE IF EXISTS {}", quoted(&next)))?;
    if kept.removed {
        kept.come_again();
        client.batch_execute(&create_rows(&kept.table, &[]))?;
    }
    let from = match kept.last_row {
        0 => CachePosition::default(),
        row => CachePosition { generation: kept.generation, row },
    };
    let evolved = evolve(&kept.columns, &stream.stream.json_schema);
    kept.primary_key.clone_from(&stream.primary_key);
    kept.json_schema = stream.stream.json_schema.clone();
    let merged_by = merged_by(&how);
    let mut next_kept = kept.clone();
    next_kept.columns.clone_from(&evolved.columns);
    let target = if how.replaces {
        // What is there stays as it is until the stream is complete.
        streams::update(client, &kept)?;
        client.batch_execute(&create_rows(&next, &evolved.columns))?;
        next_kept.generation += 1;
        next_kept.row_count = 0;
        next_kept.merged_by = merged_by;
        if next_kept.merged_by.is_some() {
            client.batch_execute(&create_key_index(&next, kept.id, next_kept.generation))?;
        }
        next
    } else {
        let merges_otherwise = kept.merged_by != merged_by;
        if evolved.widened || (merges_otherwise && merged_by.is_some()) {
            next_kept.row_count = rebuild(client, &next_kept, &how)?;
        } else {
            add_columns(client, &kept.table, evolved.columns.get(evolved.known..))?;
            if merges_otherwise {
                let index = quoted(&key_index(kept.id, kept.generation));
                client.batch_execute(&format!("DROP INDEX IF EXISTS {index}"))?;
                next_kept.row_count = count(client, &kept.table)?;
            }
        }
        next_kept.merged_by = merged_by;
        streams::update(client, &next_kept)?;
        next_kept.table.clone()
    };
    let stage = match next_kept.merged_by {
        Some(_) => {
            let stage = format!("_lockgate_stage_{}", next_kept.id);
            client.batch_execute(&create_stage(&stage, &target))?;
            Some(stage)
        }
        None => None,
    };
    let lines = Lines::new(&next_kept.salt, &next_kept.columns, &how.key);
    let filling = Filling::new(next_kept, how, target, from);
    Ok(Target { filling, stage, lines, waiting: Vec::new(), staged: false })
}

/// A stream that was never here, with a table that nobody has.
fn new(client: &mut Client, source: &str, stream: &ConfiguredStream) -> Result<Kept, ServerError> {
    let taken = client.query(
        "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = current_schema()
         UNION SELECT table_name FROM _lockgate_cache_streams",
        &[],
    )?;
    let taken: HashSet<String> = taken.iter().map(|row| row.get(0)).collect();
    let descriptor = &stream.stream.descriptor;
    let distinct = format!("{source}\n{}", stream_key(descriptor));
    let table = free(&Kept::wished_table(descriptor), &distinct, |name| taken.contains(name));
    let mut kept = Kept::new(source, table, stream);
    streams::insert(client, &mut kept)?;
    client.batch_execute(&create_rows(&kept.table, &[]))?;
    Ok(kept)
}

fn add_columns(
    client: &mut Client,
    table: &str,
    columns: Option<&[CachedColumn]>,
) -> Result<(), ServerError> {
    let added: Vec<String> = columns
        .unwrap_or_default()
        .iter()
        .map(|column| format!("ADD COLUMN {} {}", quoted(&column.name), sql_type(column.kind)))
        .collect();
    if !added.is_empty() {
        client.batch_execute(&format!("ALTER TABLE {} {}", quoted(table), added.join(", ")))?;
    }
    Ok(())
}

/// Rows in a table.
pub(super) fn count(client: &mut Client, table: &str) -> Result<u64, ServerError> {
    let row = client.query_one(&format!("SELECT count(*) FROM {}", quoted(table)), &[])?;
    Ok(unsigned(row.try_get(0)?))
}

/// Writes a table anew from its records, with wider columns or merged by another key. Of rows with one
/// key, the last stays. Gives how many there are.
fn rebuild(client: &mut Client, kept: &Kept, how: &How) -> Result<u64, ServerError> {
    let next = next_table(kept.id);
    client.batch_execute(&create_rows(&next, &kept.columns))?;
    let merges = !how.key.is_empty();
    let stage = format!("_lockgate_rebuild_{}", kept.id);
    if merges {
        client.batch_execute(&create_stage(&stage, &next))?;
    }
    let into = if merges { &stage } else { &next };
    let mut lines = Lines::new(&kept.salt, &kept.columns, &how.key);
    client.batch_execute(&format!(
        "DECLARE _lockgate_all NO SCROLL CURSOR FOR SELECT _lockgate_row, _lockgate_record,
         _lockgate_emitted_at, _lockgate_meta FROM {} ORDER BY _lockgate_row",
        quoted(&kept.table)
    ))?;
    loop {
        let rows = client.query(&format!("FETCH {REBUILD_ROWS} FROM _lockgate_all"), &[])?;
        if rows.is_empty() {
            break;
        }
        let mut out = Vec::new();
        for row in &rows {
            let record: &str = row.try_get(1)?;
            let (number, meta) = (unsigned(row.try_get(0)?), row.try_get(3)?);
            let emitted_at = row.try_get(2)?;
            lines
                .row(&mut out, record.as_bytes(), number, emitted_at, meta, &mut Vec::new())
                .map_err(|fault| ServerError::new(format!("a damaged row: {fault}")))?;
        }
        let copy = format!("COPY {} ({}) FROM STDIN", quoted(into), names(&kept.columns));
        let mut writer = client.copy_in(&copy)?;
        writer.write_all(&out).map_err(|e| ServerError::new(e.to_string()))?;
        writer.finish()?;
    }
    client.batch_execute("CLOSE _lockgate_all")?;
    if merges {
        client.batch_execute(&merge(&stage, &next, &kept.columns))?;
        client.batch_execute(&format!("DROP TABLE {}", quoted(&stage)))?;
    }
    client.batch_execute(&format!(
        "DROP TABLE {table}; ALTER TABLE {} RENAME TO {table}",
        quoted(&next),
        table = quoted(&kept.table)
    ))?;
    if merges {
        client.batch_execute(&create_key_index(&kept.table, kept.id, kept.generation))?;
    }
    count(client, &kept.table)
}
