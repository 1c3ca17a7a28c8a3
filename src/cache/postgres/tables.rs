//! The tables of a cache in PostgreSQL: ours, and one a stream.

use ::postgres::Client;

use crate::cache::names::quoted;
use crate::cache::{CachedColumn, ColumnType};
use crate::postgres::ServerError;

/// The layout of the tables below.
pub(super) const LAYOUT: i64 = 1;

/// Held while tables are made: names are given once.
pub(super) const MAKING: &str =
    "SELECT pg_advisory_xact_lock(hashtext('lockgate cache tables'), hashtext(current_schema()))";

// As in SQLite, where they are explained. Texts are JSON where they are JSON there.
const TABLES: &str = "
CREATE TABLE _lockgate_cache (layout bigint NOT NULL, id text NOT NULL);
CREATE TABLE _lockgate_cache_sources (
    source text PRIMARY KEY, name text NOT NULL, holder text NOT NULL);
CREATE TABLE _lockgate_cache_streams (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, source text NOT NULL, stream text NOT NULL,
    table_name text NOT NULL UNIQUE, salt text NOT NULL, columns text NOT NULL,
    primary_key text NOT NULL, merged_by text, json_schema text NOT NULL, generation bigint NOT NULL,
    last_row bigint NOT NULL, row_count bigint NOT NULL, updated_at bigint,
    removed boolean NOT NULL DEFAULT false, UNIQUE (source, stream));
CREATE TABLE _lockgate_cache_checkpoints (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, source text NOT NULL,
    full_read boolean NOT NULL, body text NOT NULL, positions text NOT NULL);
CREATE INDEX ON _lockgate_cache_checkpoints (source, id);
CREATE TABLE _lockgate_cache_states (
    source text NOT NULL, full_read boolean NOT NULL, stream text NOT NULL, body text NOT NULL,
    PRIMARY KEY (source, full_read, stream));
";

/// Makes the schema and the tables where there are none. Gives the layout found and the cache's id.
pub(super) fn lay_out(
    client: &mut Client,
    schema: &str,
    id: &str,
) -> Result<(i64, String), ServerError> {
    let there = "SELECT 1 FROM pg_namespace WHERE nspname = $1";
    if client.query_opt(there, &[&schema])?.is_none() {
        client.batch_execute(&format!("CREATE SCHEMA IF NOT EXISTS {}", quoted(schema)))?;
    }
    client.batch_execute(MAKING)?;
    let there = "SELECT to_regclass('_lockgate_cache') IS NOT NULL";
    if !client.query_one(there, &[])?.try_get::<_, bool>(0)? {
        client.batch_execute(TABLES)?;
        client.execute("INSERT INTO _lockgate_cache VALUES ($1, $2)", &[&LAYOUT, &id])?;
    }
    let row = client.query_one("SELECT layout, id FROM _lockgate_cache", &[])?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

/// PostgreSQL's word for what a column holds. `json` keeps a text as it is, where `jsonb` refuses some.
pub(super) fn sql_type(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::String => "text",
        ColumnType::Boolean => "boolean",
        ColumnType::Integer => "bigint",
        ColumnType::Number => "numeric",
        ColumnType::Date => "date",
        ColumnType::Time => "time",
        ColumnType::TimeWithTimezone => "timetz",
        ColumnType::Timestamp => "timestamp",
        ColumnType::TimestampWithTimezone => "timestamptz",
        ColumnType::Json => "json",
    }
}

/// Columns before the typed ones.
const OURS: &str = "_lockgate_row, _lockgate_record, _lockgate_emitted_at, _lockgate_meta,
    _lockgate_key, _airbyte_raw_id, _airbyte_extracted_at, _airbyte_meta";

/// Makes the table of a stream's rows.
pub(super) fn create_rows(table: &str, columns: &[CachedColumn]) -> String {
    let typed: String = columns
        .iter()
        .map(|column| format!(", {} {}", quoted(&column.name), sql_type(column.kind)))
        .collect();
    format!(
        "CREATE TABLE {} (_lockgate_row bigint PRIMARY KEY, _lockgate_record text NOT NULL,
        _lockgate_emitted_at bigint NOT NULL, _lockgate_meta text, _lockgate_key bytea,
        _airbyte_raw_id uuid NOT NULL, _airbyte_extracted_at timestamptz, _airbyte_meta json NOT NULL
        {typed})",
        quoted(table)
    )
}

/// Makes the table in which rows wait to be merged within a transaction.
pub(super) fn create_stage(stage: &str, like: &str) -> String {
    format!(
        "CREATE TEMPORARY TABLE {} (LIKE {}) ON COMMIT DELETE ROWS",
        quoted(stage),
        quoted(like)
    )
}

/// Names of all columns that are written.
pub(super) fn names(columns: &[CachedColumn]) -> String {
    let typed: String =
        columns.iter().map(|column| format!(", {}", quoted(&column.name))).collect();
    format!("{OURS}{typed}")
}

/// Moves rows from where they wait into a table; of one key, the last stays.
pub(super) fn merge(stage: &str, table: &str, columns: &[CachedColumn]) -> String {
    let (stage, table, names) = (quoted(stage), quoted(table), names(columns));
    format!(
        "DELETE FROM {table} t USING (SELECT DISTINCT _lockgate_key FROM {stage}) s
            WHERE t._lockgate_key = s._lockgate_key;
        INSERT INTO {table} ({names}) SELECT DISTINCT ON (_lockgate_key) {names} FROM {stage}
            ORDER BY _lockgate_key, _lockgate_row DESC;
        TRUNCATE {stage}"
    )
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
