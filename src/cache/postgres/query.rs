//! Queries that only read: a transaction that the server holds to reading, of one statement, for a
//! time. What a role may read is the server's to say.

use ::postgres::{Client, SimpleQueryMessage};
use serde_json::Value;

use crate::cache::{CacheError, QueryRows};
use crate::postgres::ServerError;

/// How long a query may take.
const TIME: &str = "5min";

/// Whole numbers up to it are one number in every reader of JSON.
const SAFE_INTEGER: u64 = 1 << 53;

/// Why there is no answer.
pub(super) enum QueryFault {
    /// It was refused.
    Refused(String),
    /// The server is not there.
    Server(ServerError),
}

impl QueryFault {
    pub(super) fn into_error(self, cache: &str) -> CacheError {
        match self {
            Self::Refused(reason) => CacheError::Query { reason },
            Self::Server(error) => {
                CacheError::Database { cache: cache.to_owned(), reason: error.to_string() }
            }
        }
    }
}

pub(super) fn query(client: &mut Client, sql: &str, limit: usize) -> Result<QueryRows, QueryFault> {
    let server = |e: ::postgres::Error| QueryFault::Server(e.into());
    client
        .batch_execute(&format!(
            "BEGIN READ ONLY ISOLATION LEVEL REPEATABLE READ; SET LOCAL statement_timeout = '{TIME}'"
        ))
        .map_err(server)?;
    let answer = answer(client, sql, limit);
    let _ = client.batch_execute("ROLLBACK");
    answer
}

fn answer(client: &mut Client, sql: &str, limit: usize) -> Result<QueryRows, QueryFault> {
    let refused = |e: ::postgres::Error| match e.is_closed() {
        true => QueryFault::Server(e.into()),
        false => QueryFault::Refused(ServerError::from(e).to_string()),
    };
    // What is prepared is one statement; a cursor is of one that gives rows, and changes none.
    let statement = client.prepare(sql).map_err(refused)?;
    if statement.columns().is_empty() {
        return Err(QueryFault::Refused("it gives no rows".into()));
    }
    let columns: Vec<(String, String)> = statement
        .columns()
        .iter()
        .map(|column| (column.name().to_owned(), column.type_().name().to_owned()))
        .collect();
    let sql = sql.trim().trim_end_matches(';');
    let is_explain = sql.get(..7).is_some_and(|word| word.eq_ignore_ascii_case("explain"));
    let mut result = QueryRows {
        columns: columns.iter().map(|c| c.0.clone()).collect(),
        ..QueryRows::default()
    };
    let messages = if is_explain {
        client.simple_query(sql)
    } else {
        let declare = format!("DECLARE _lockgate_query NO SCROLL CURSOR FOR {sql}\n");
        client.batch_execute(&declare).map_err(refused)?;
        let rows = i64::try_from(limit).unwrap_or(i64::MAX - 1).saturating_add(1);
        client.simple_query(&format!("FETCH {rows} FROM _lockgate_query"))
    };
    for message in messages.map_err(refused)? {
        let SimpleQueryMessage::Row(row) = message else { continue };
        if result.rows.len() == limit {
            result.more = true;
            break;
        }
        let values = columns.iter().enumerate().map(|(i, (_, kind))| value(row.get(i), kind));
        result.rows.push(values.collect());
    }
    Ok(result)
}

/// A value from its text and the name of its type.
fn value(text: Option<&str>, kind: &str) -> Value {
    let Some(text) = text else { return Value::Null };
    let whole = || {
        let number = text.parse::<i64>().ok()?;
        (number.unsigned_abs() <= SAFE_INTEGER).then(|| Value::from(number))
    };
    let parsed = match kind {
        "bool" => Some(Value::Bool(text == "t")),
        "int2" | "int4" | "int8" => whole(),
        "numeric" | "float4" | "float8" => {
            let double =
                || crate::cache::number::double(text).and_then(serde_json::Number::from_f64);
            whole().or_else(|| double().map(Value::Number))
        }
        _ => None,
    };
    parsed.unwrap_or_else(|| Value::String(text.to_owned()))
}
