//! Who runs a connection.

use std::time::Duration;

use rusqlite::{OptionalExtension, Transaction, params};

use super::{StateStoreError, unsigned};
use crate::protocol::now_ms;
use crate::state::lease::end;
use crate::state::{Held, Holder, Lease};

/// Who holds a connection, or held it last and did not give it back.
pub(super) fn held(t: &Transaction<'_>, connection: &str) -> rusqlite::Result<Option<Held>> {
    let row: Option<(Option<String>, i64, i64)> = t
        .query_row(
            "SELECT holder, since, until FROM _lockgate_leases WHERE connection = ?1",
            params![connection],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .optional()?;
    let held = |(holder, since, until): (Option<String>, i64, i64)| {
        Some(Held::new(&holder?, since, until, now_ms()))
    };
    Ok(row.and_then(held))
}

pub(super) fn acquire(
    t: &Transaction<'_>,
    connection: &str,
    holder: &Holder,
    time: Duration,
) -> rusqlite::Result<Result<Lease, StateStoreError>> {
    if let Some(held) = held(t, connection)?.filter(|held| !held.ended) {
        return Ok(Err(held.refusal(connection)));
    }
    // Strings and numbers always serialise.
    let text = serde_json::to_string(holder).unwrap_or_default();
    let token: i64 = t.query_row(
        "INSERT INTO _lockgate_leases VALUES (?1, 1, ?2, ?3, ?4)
         ON CONFLICT (connection) DO UPDATE SET
            token = token + 1, holder = excluded.holder, since = excluded.since,
            until = excluded.until
         RETURNING token",
        params![connection, text, now_ms(), end(now_ms(), time)],
        |row| row.get(0),
    )?;
    Ok(Ok(Lease { connection: connection.to_owned(), token: unsigned(token) }))
}

pub(super) fn renew(
    t: &Transaction<'_>,
    lease: &Lease,
    time: Duration,
) -> rusqlite::Result<Result<(), StateStoreError>> {
    let renewed = t.execute(
        "UPDATE _lockgate_leases SET until = ?3
         WHERE connection = ?1 AND token = ?2 AND holder IS NOT NULL",
        params![lease.connection, i64::try_from(lease.token).unwrap_or(-1), end(now_ms(), time)],
    )?;
    Ok(match renewed {
        0 => Err(StateStoreError::Lost { connection: lease.connection.clone() }),
        _ => Ok(()),
    })
}

pub(super) fn release(t: &Transaction<'_>, lease: &Lease) -> rusqlite::Result<()> {
    t.execute(
        "UPDATE _lockgate_leases SET holder = NULL, until = 0 WHERE connection = ?1 AND token = ?2",
        params![lease.connection, i64::try_from(lease.token).unwrap_or(-1)],
    )
    .map(drop)
}

/// Whether nobody took the connection after this lease. One that only ended is still good: nobody else
/// has written since.
pub(super) fn is_last(t: &Transaction<'_>, connection: &str, token: u64) -> rusqlite::Result<bool> {
    let last: Option<i64> = t
        .query_row(
            "SELECT token FROM _lockgate_leases WHERE connection = ?1",
            params![connection],
            |row| row.get(0),
        )
        .optional()?;
    Ok(last.is_some_and(|last| unsigned(last) == token))
}
