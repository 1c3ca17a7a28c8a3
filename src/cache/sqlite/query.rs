//! Queries that only read: the file is opened for reading, the engine refuses what writes, and an
//! authorizer refuses what would reach another file.

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;

use super::{BUSY, Place};
use crate::cache::{CacheError, QueryRows};

/// Whole numbers up to it are one number in every reader of JSON.
const SAFE_INTEGER: u64 = 1 << 53;

pub(super) fn query(place: &Place, sql: &str, limit: usize) -> Result<QueryRows, CacheError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection =
        Connection::open_with_flags(&place.0, flags).map_err(|e| place.fault(e))?;
    let mut set_up = || -> rusqlite::Result<()> {
        connection.busy_timeout(BUSY)?;
        connection.pragma_update(None, "query_only", true)?;
        connection.pragma_update(None, "trusted_schema", false)?;
        connection.authorizer(Some(|context: AuthContext<'_>| authorize(&context)))
    };
    set_up().map_err(|e| place.fault(e))?;
    let refused = |e: rusqlite::Error| CacheError::Query { reason: reason(e) };
    let mut statement = connection.prepare(sql).map_err(refused)?;
    if statement.column_count() == 0 || !statement.readonly() {
        return Err(CacheError::Query { reason: "it gives no rows".into() });
    }
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let width = columns.len();
    let mut result = QueryRows { columns, ..QueryRows::default() };
    let mut rows = statement.query([]).map_err(refused)?;
    while let Some(row) = rows.next().map_err(refused)? {
        if result.rows.len() == limit {
            result.more = true;
            break;
        }
        let values = (0..width).map(|i| row.get_ref(i).map(value));
        result.rows.push(values.collect::<rusqlite::Result<_>>().map_err(refused)?);
    }
    Ok(result)
}

/// SQLite's own reason, without the query, which may be long.
fn reason(error: rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqlInputError { msg, offset, .. } => match usize::try_from(offset) {
            Ok(offset) => format!("{msg}, at character {}", offset + 1),
            Err(_) => msg,
        },
        rusqlite::Error::MultipleStatement => "it is more than one statement".into(),
        other => other.to_string(),
    }
}

fn authorize(context: &AuthContext<'_>) -> Authorization {
    match context.action {
        AuthAction::Select
        | AuthAction::Read { .. }
        | AuthAction::Recursive
        | AuthAction::Transaction { .. } => Authorization::Allow,
        AuthAction::Function { function_name } if function_name != "load_extension" => {
            Authorization::Allow
        }
        // What tells about tables, and sets nothing.
        AuthAction::Pragma {
            pragma_name:
                "table_info" | "table_xinfo" | "table_list" | "index_list" | "index_info"
                | "index_xinfo",
            ..
        } => Authorization::Allow,
        _ => Authorization::Deny,
    }
}

fn value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(whole) if whole.unsigned_abs() > SAFE_INTEGER => {
            Value::String(whole.to_string())
        }
        ValueRef::Integer(whole) => whole.into(),
        ValueRef::Real(real) => serde_json::Number::from_f64(real)
            .map_or_else(|| real.to_string().into(), Value::Number),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into(),
        ValueRef::Blob(bytes) => hex::encode(bytes).into(),
    }
}
