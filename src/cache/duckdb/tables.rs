//! The tables of a cache in DuckDB: ours, and one a stream.

use ::duckdb::{Connection, OptionalExt as _};

use crate::cache::names::quoted;
use crate::cache::{CachedColumn, ColumnType, random};

/// The layout of the tables below.
pub(super) const LAYOUT: i64 = 1;

// As in SQLite, where the members are explained. Without keys: an index of DuckDB's refuses to have a
// row deleted and written again within a transaction, and one writer a source is all there is.
const TABLES: &str = "
CREATE TABLE _lockgate_cache (layout BIGINT NOT NULL, id VARCHAR NOT NULL);
CREATE SEQUENCE _lockgate_cache_ids;
CREATE TABLE _lockgate_cache_sources (source VARCHAR NOT NULL, name VARCHAR NOT NULL);
CREATE TABLE _lockgate_cache_streams (
    id BIGINT NOT NULL, source VARCHAR NOT NULL, stream VARCHAR NOT NULL, table_name VARCHAR NOT NULL,
    salt VARCHAR NOT NULL, columns VARCHAR NOT NULL, primary_key VARCHAR NOT NULL, merged_by VARCHAR,
    json_schema VARCHAR NOT NULL, generation BIGINT NOT NULL, last_row BIGINT NOT NULL,
    row_count BIGINT NOT NULL, updated_at BIGINT, removed BOOLEAN NOT NULL);
CREATE TABLE _lockgate_cache_checkpoints (
    id BIGINT NOT NULL, source VARCHAR NOT NULL, full_read BOOLEAN NOT NULL, body VARCHAR NOT NULL,
    positions VARCHAR NOT NULL);
CREATE TABLE _lockgate_cache_states (
    source VARCHAR NOT NULL, full_read BOOLEAN NOT NULL, stream VARCHAR NOT NULL, body VARCHAR NOT NULL);
";

/// Makes the tables where there are none. Gives the layout found and the cache's id.
pub(super) fn lay_out(connection: &Connection) -> ::duckdb::Result<(i64, String)> {
    let there: bool = connection.query_row(
        "SELECT count(*) > 0 FROM duckdb_tables() WHERE table_name = '_lockgate_cache'",
        [],
        |row| row.get(0),
    )?;
    if !there {
        let id = format!("{:016x}{:016x}", random(), random());
        connection.execute_batch(&format!("BEGIN TRANSACTION; {TABLES}"))?;
        connection
            .execute("INSERT INTO _lockgate_cache VALUES (?, ?)", ::duckdb::params![LAYOUT, id])?;
        connection.execute_batch("COMMIT")?;
        return Ok((LAYOUT, id));
    }
    let found = connection
        .query_row("SELECT layout, id FROM _lockgate_cache", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    Ok(found.unwrap_or((0, String::new())))
}

/// DuckDB's word for what a column holds. A number is a double: DuckDB has no exact one of any size; all
/// digits are in the record.
pub(super) fn sql_type(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Boolean => "BOOLEAN",
        ColumnType::Integer => "BIGINT",
        ColumnType::Number => "DOUBLE",
        ColumnType::Date => "DATE",
        ColumnType::Time => "TIME",
        ColumnType::Timestamp => "TIMESTAMP",
        ColumnType::TimestampWithTimezone => "TIMESTAMPTZ",
        ColumnType::Json => "JSON",
        // A time with a zone is text: DuckDB's own loses what zone that was.
        ColumnType::TimeWithTimezone | ColumnType::String => "VARCHAR",
    }
}

/// Columns of ours before the typed ones.
pub(super) const OURS: [&str; 8] = [
    "_lockgate_row",
    "_lockgate_record",
    "_lockgate_emitted_at",
    "_lockgate_meta",
    "_lockgate_key",
    "_airbyte_raw_id",
    "_airbyte_extracted_at",
    "_airbyte_meta",
];

/// Makes the table of a stream's rows. Airbyte's columns are written, though they follow from ours:
/// after a kill, DuckDB 1.5 cannot read a log in which a table with generated columns was made.
pub(super) fn create_rows(table: &str, columns: &[CachedColumn]) -> String {
    let mut sql = format!(
        "CREATE TABLE {} (
        _lockgate_row BIGINT NOT NULL, _lockgate_record VARCHAR NOT NULL,
        _lockgate_emitted_at BIGINT NOT NULL, _lockgate_meta VARCHAR, _lockgate_key BLOB,
        _airbyte_raw_id VARCHAR NOT NULL, _airbyte_extracted_at TIMESTAMPTZ NOT NULL,
        _airbyte_meta JSON NOT NULL",
        quoted(table)
    );
    for column in columns {
        sql.push_str(&format!(", {} {}", quoted(&column.name), sql_type(column.kind)));
    }
    sql.push(')');
    sql
}

/// Of rows with one key, all but the last go; those with numbers above `?` are new.
pub(super) fn merge(table: &str) -> String {
    let table = quoted(table);
    format!(
        "DELETE FROM {table} WHERE _lockgate_row IN (
            SELECT old._lockgate_row FROM {table} AS old JOIN (
                SELECT _lockgate_key AS key, max(_lockgate_row) AS last FROM {table}
                WHERE _lockgate_row > ? GROUP BY _lockgate_key
            ) AS new ON old._lockgate_key = new.key AND old._lockgate_row < new.last)"
    )
}

/// The table in which rows wait to replace a stream's.
pub(super) fn next_table(id: i64) -> String {
    format!("_lockgate_next_{id}")
}
