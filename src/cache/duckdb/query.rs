//! Queries of people: one SELECT, in a transaction that cannot write.

use ::duckdb::Connection;
use serde_json::Value;

use crate::cache::{CacheError, QueryRows};

/// Whole numbers that every reader of JSON keeps.
const SAFE_INTEGER: f64 = 9_007_199_254_740_991.0;

fn refused(reason: impl Into<String>) -> CacheError {
    CacheError::Query { reason: reason.into() }
}

/// DuckDB's own reason: what comes after shows the query.
fn reason(error: ::duckdb::Error) -> CacheError {
    refused(error.to_string().lines().next().unwrap_or_default())
}

/// Answers a query in a transaction that only reads.
pub(super) fn query(
    connection: &Connection,
    sql: &str,
    limit: usize,
) -> Result<QueryRows, CacheError> {
    is_one_select(connection, sql)?;
    // What ends the query's last line ends nothing of ours.
    let described = format!("SELECT column_name, column_type FROM (DESCRIBE (\n{sql}\n))");
    let columns = || -> ::duckdb::Result<Vec<(String, String)>> {
        let mut statement = connection.prepare(&described)?;
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    };
    let columns = columns().map_err(reason)?;
    // Everything that DuckDB has can be shown as text.
    let wanted = limit.saturating_add(1);
    let texts = format!("SELECT COLUMNS(*)::VARCHAR FROM (\n{sql}\n) LIMIT {wanted}");
    let rows = || -> ::duckdb::Result<Vec<Vec<Value>>> {
        let mut statement = connection.prepare(&texts)?;
        let row = |row: &::duckdb::Row<'_>| {
            let values = columns.iter().enumerate();
            values.map(|(at, (_, kind))| Ok(value(kind, row.get(at)?))).collect()
        };
        statement.query_map([], row)?.collect()
    };
    let mut rows = rows().map_err(reason)?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let columns = columns.into_iter().map(|(name, _)| name).collect();
    Ok(QueryRows { columns, rows, more })
}

/// By DuckDB's parser, which takes SELECT alone here and tells how many there are.
fn is_one_select(connection: &Connection, sql: &str) -> Result<(), CacheError> {
    let parsed: String = connection
        .query_row("SELECT json_serialize_sql(?::VARCHAR)", [sql], |row| row.get(0))
        .map_err(reason)?;
    let parsed: Value = serde_json::from_str(&parsed).map_err(|e| refused(e.to_string()))?;
    if let Some(error) = parsed.get("error_message").and_then(Value::as_str) {
        return Err(refused(error));
    }
    match parsed.get("statements").and_then(Value::as_array).map(Vec::len) {
        Some(1) => Ok(()),
        _ => Err(refused("it is not one statement")),
    }
}

fn value(kind: &str, text: Option<String>) -> Value {
    let Some(text) = text else { return Value::Null };
    let number = match kind {
        "BOOLEAN" => return Value::Bool(text == "true"),
        "TINYINT" | "SMALLINT" | "INTEGER" | "BIGINT" | "HUGEINT" | "UTINYINT" | "USMALLINT"
        | "UINTEGER" | "UBIGINT" | "UHUGEINT" => whole(&text),
        "FLOAT" | "DOUBLE" => text.parse().ok().and_then(|real: f64| {
            // A double without a fraction is shown as the number that it is.
            let is_whole = real.fract() == 0.0 && real.abs() <= SAFE_INTEGER;
            let shown = if is_whole { whole(&format!("{real:.0}")) } else { None };
            shown.or_else(|| serde_json::Number::from_f64(real).map(Value::Number))
        }),
        _ => None,
    };
    number.unwrap_or(Value::String(text))
}

/// A whole number; none beyond what every reader of JSON keeps.
fn whole(text: &str) -> Option<Value> {
    let number: i64 = text.parse().ok()?;
    (number.unsigned_abs() <= SAFE_INTEGER as u64).then(|| number.into())
}
