//! The tables of a cache in SQLite: ours, and one a stream.

use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior};

use crate::cache::names::quoted;
use crate::cache::{CachedColumn, ColumnType, random};

/// The layout of the tables below.
pub(super) const LAYOUT: i64 = 1;

// The file may hold a state store as well, whose layout is the file's `user_version`; so ours is a row.
const TABLES: &str = "
CREATE TABLE _lockgate_cache (layout INTEGER NOT NULL, id TEXT NOT NULL);
CREATE TABLE _lockgate_cache_sources (source TEXT PRIMARY KEY, name TEXT NOT NULL) WITHOUT ROWID;
-- stream: the descriptor as JSON. columns, primary_key, json_schema: as JSON.
-- merged_by: the primary key by which rows are one now, as JSON; none: rows are as they came.
-- salt: 12 hexadecimal digits in the ids of its rows. removed: its table is gone, its numbers go on.
CREATE TABLE _lockgate_cache_streams (
    id INTEGER PRIMARY KEY, source TEXT NOT NULL, stream TEXT NOT NULL, table_name TEXT NOT NULL UNIQUE,
    salt TEXT NOT NULL, columns TEXT NOT NULL, primary_key TEXT NOT NULL, merged_by TEXT, json_schema TEXT NOT NULL,
    generation INTEGER NOT NULL, last_row INTEGER NOT NULL, row_count INTEGER NOT NULL,
    updated_at INTEGER, removed INTEGER NOT NULL DEFAULT 0, UNIQUE (source, stream));
-- positions: of each stream it covers, as JSON.
CREATE TABLE _lockgate_cache_checkpoints (
    id INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL, full_read INTEGER NOT NULL,
    body TEXT NOT NULL, positions TEXT NOT NULL);
CREATE INDEX _lockgate_cache_checkpoints_of ON _lockgate_cache_checkpoints (source, id);
-- stream: the descriptor as JSON; 'GLOBAL' or 'LEGACY' for states of all streams together.
CREATE TABLE _lockgate_cache_states (
    source TEXT NOT NULL, full_read INTEGER NOT NULL, stream TEXT NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (source, full_read, stream)) WITHOUT ROWID;
";

/// Makes the tables where there are none. Gives the layout found and the cache's id.
pub(super) fn lay_out(connection: &Connection) -> rusqlite::Result<(i64, String)> {
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    let there: bool = transaction.query_row(
        "SELECT count(*) FROM sqlite_schema WHERE name = '_lockgate_cache'",
        [],
        |row| row.get(0),
    )?;
    if !there {
        transaction.execute_batch(TABLES)?;
        let id = format!("{:016x}{:016x}", random(), random());
        transaction.execute("INSERT INTO _lockgate_cache VALUES (?1, ?2)", (LAYOUT, &id))?;
        transaction.commit()?;
        return Ok((LAYOUT, id));
    }
    let found = transaction
        .query_row("SELECT layout, id FROM _lockgate_cache", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    Ok(found.unwrap_or((0, String::new())))
}

/// SQLite's word for what a column holds, in a STRICT table: there, ANY keeps a value as it is, and
/// with it the digits of a number that neither machine number holds.
pub(super) fn sql_type(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Boolean | ColumnType::Integer => "INTEGER",
        ColumnType::Number => "ANY",
        ColumnType::String
        | ColumnType::Date
        | ColumnType::Time
        | ColumnType::TimeWithTimezone
        | ColumnType::Timestamp
        | ColumnType::TimestampWithTimezone
        | ColumnType::Json => "TEXT",
    }
}

/// Columns of ours before the typed ones that are written.
pub(super) const OURS: [&str; 6] = [
    "_lockgate_row",
    "_lockgate_record",
    "_lockgate_emitted_at",
    "_lockgate_meta",
    "_lockgate_changes",
    "_lockgate_key",
];

/// Makes the table of a stream's rows. Airbyte's columns follow from ours, and take no room.
pub(super) fn create_rows(table: &str, salt: &str, columns: &[CachedColumn]) -> String {
    let (first, second) = salt.split_at(salt.len().min(8));
    let mut sql = format!(
        "CREATE TABLE {} (
        _lockgate_row INTEGER PRIMARY KEY, _lockgate_record TEXT NOT NULL,
        _lockgate_emitted_at INTEGER NOT NULL, _lockgate_meta TEXT, _lockgate_changes TEXT,
        _lockgate_key BLOB,
        _airbyte_raw_id TEXT AS (printf('{first}-{second}-8000-8000-%012x', _lockgate_row)) VIRTUAL,
        _airbyte_extracted_at TEXT AS
            (strftime('%Y-%m-%dT%H:%M:%fZ', _lockgate_emitted_at / 1000.0, 'unixepoch')) VIRTUAL,
        _airbyte_meta TEXT AS (ifnull(_lockgate_changes, '{{\"changes\":[]}}')) VIRTUAL",
        quoted(table)
    );
    for column in columns {
        sql.push_str(&format!(", {} {}", quoted(&column.name), sql_type(column.kind)));
    }
    sql.push_str(") STRICT");
    sql
}

/// Adds a row to a table; where rows are merged, instead of the one with its key.
pub(super) fn insert_row(table: &str, columns: &[CachedColumn]) -> String {
    let names: Vec<String> = columns.iter().map(|column| quoted(&column.name)).collect();
    let all = OURS.into_iter().map(str::to_owned).chain(names);
    let all = all.collect::<Vec<_>>();
    let places = vec!["?"; all.len()].join(",");
    format!("INSERT OR REPLACE INTO {} ({}) VALUES ({places})", quoted(table), all.join(","))
}

/// The index that makes rows with one key one.
pub(super) fn create_key_index(table: &str, id: i64, generation: u64) -> String {
    format!(
        "CREATE UNIQUE INDEX {} ON {} (_lockgate_key)",
        quoted(&key_index(id, generation)),
        quoted(table)
    )
}

/// Its name.
pub(super) fn key_index(id: i64, generation: u64) -> String {
    format!("_lockgate_key_{id}_{generation}")
}

/// The table in which rows wait to replace a stream's.
pub(super) fn next_table(id: i64) -> String {
    format!("_lockgate_next_{id}")
}
