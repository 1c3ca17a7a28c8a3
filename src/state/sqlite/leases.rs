//! Who runs a connection.

use std::time::Duration;

use rusqlite::{OptionalExtension, Transaction, params};

use super::{StateStoreError, now, unsigned};
use crate::state::{Holder, Lease, shown_time};

/// The end of a lease that begins now.
fn end(time: Duration) -> i64 {
    now().saturating_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
}

pub(super) fn acquire(
    t: &Transaction<'_>,
    connection: &str,
    holder: &Holder,
    time: Duration,
) -> rusqlite::Result<Result<Lease, StateStoreError>> {
    let held: Option<(Option<String>, i64, i64)> = t
        .query_row(
            "SELECT holder, since, until FROM _lockgate_leases WHERE connection = ?1",
            params![connection],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .optional()?;
    if let Some((Some(text), since, until)) = held
        && until > now()
    {
        let by: Option<Holder> = serde_json::from_str(&text).ok();
        if !by.as_ref().is_some_and(Holder::is_gone) {
            return Ok(Err(StateStoreError::Held {
                connection: connection.to_owned(),
                holder: by.map_or_else(|| "another host".to_owned(), |by| by.to_string()),
                since: shown_time(since),
                until: shown_time(until),
            }));
        }
    }
    // Strings and numbers always serialise.
    let text = serde_json::to_string(holder).unwrap_or_default();
    let token: i64 = t.query_row(
        "INSERT INTO _lockgate_leases VALUES (?1, 1, ?2, ?3, ?4)
         ON CONFLICT (connection) DO UPDATE SET
            token = token + 1, holder = excluded.holder, since = excluded.since,
            until = excluded.until
         RETURNING token",
        params![connection, text, now(), end(time)],
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
        params![lease.connection, i64::try_from(lease.token).unwrap_or(-1), end(time)],
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
