//! What is read from the tables and written to them, within one transaction.

use std::collections::HashMap;

use ::postgres::{Error, Transaction};

use crate::state::rows::{Past, Row, effects};
use crate::state::{Generation, Held, KEPT_PASTS, StoredState};

/// PostgreSQL has no unsigned integers; ours stay far below its largest.
pub(super) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The server's time, in ms since the epoch: one clock for all hosts.
pub(super) fn now(t: &mut Transaction<'_>) -> Result<i64, Error> {
    let now = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
    t.query_one(now, &[])?.try_get(0)
}

/// Waits until nobody else changes the connection, and keeps others from it until the transaction
/// ends. What is read after it is what they left.
pub(super) fn alone(t: &mut Transaction<'_>, connection: &str) -> Result<(), Error> {
    let lock = "SELECT pg_advisory_xact_lock(hashtext('lockgate connection'), hashtext($1))";
    t.execute(lock, &[&connection]).map(drop)
}

/// The token of the last lease, and who holds the connection.
pub(super) fn lease(
    t: &mut Transaction<'_>,
    connection: &str,
) -> Result<(i64, Option<Held>), Error> {
    let row = t.query_opt(
        "SELECT token, holder, since, until FROM _lockgate_leases WHERE connection = $1",
        &[&connection],
    )?;
    let Some(row) = row else { return Ok((0, None)) };
    let token = row.try_get(0)?;
    let Some(holder) = row.try_get::<_, Option<String>>(1)? else { return Ok((token, None)) };
    let now = now(t)?;
    Ok((token, Some(Held::new(&holder, row.try_get(2)?, row.try_get(3)?, now))))
}

/// What is remembered of all generations, by stream.
pub(super) fn generations(
    t: &mut Transaction<'_>,
    connection: &str,
) -> Result<HashMap<String, Generation>, Error> {
    let rows = t.query(
        "SELECT stream, generation FROM _lockgate_generations WHERE connection = $1",
        &[&connection],
    )?;
    let mut all = HashMap::with_capacity(rows.len());
    for row in rows {
        // One that cannot be read was not written by us; the stream begins as if it were new.
        if let Ok(generation) = serde_json::from_str(row.try_get(1)?) {
            all.insert(row.try_get(0)?, generation);
        }
    }
    Ok(all)
}

pub(super) fn put_generations(
    t: &mut Transaction<'_>,
    connection: &str,
    all: &[(String, Generation)],
) -> Result<(), Error> {
    let streams: Vec<&str> = all.iter().map(|(stream, _)| stream.as_str()).collect();
    // Our own types always serialise.
    let text = |(_, generation): &(String, Generation)| {
        serde_json::to_string(generation).unwrap_or_default()
    };
    let texts: Vec<String> = all.iter().map(text).collect();
    t.execute(
        "INSERT INTO _lockgate_generations (connection, stream, generation)
         SELECT $1, s, g FROM unnest($2::text[], $3::text[]) AS given (s, g)
         ON CONFLICT (connection, stream) DO UPDATE SET generation = excluded.generation",
        &[&connection, &streams, &texts],
    )
    .map(drop)
}

/// The states there are.
pub(super) fn current(t: &mut Transaction<'_>, connection: &str) -> Result<Vec<Row>, Error> {
    let rows = t.query(
        "SELECT full_read, body, generations FROM _lockgate_states WHERE connection = $1
         ORDER BY full_read, stream",
        &[&connection],
    )?;
    let read = |row: &::postgres::Row| {
        Ok(Row {
            of_full_read: row.try_get(0)?,
            body: row.try_get(1)?,
            generations: row.try_get(2)?,
        })
    };
    rows.iter().map(read).collect()
}

/// Stores states, in their order.
pub(super) fn put(
    t: &mut Transaction<'_>,
    connection: &str,
    states: &[StoredState],
) -> Result<(), Error> {
    for effect in effects(states) {
        let what = if effect.all_go { "" } else { "AND stream IN ('GLOBAL', 'LEGACY')" };
        let delete =
            format!("DELETE FROM _lockgate_states WHERE connection = $1 AND full_read = $2 {what}");
        t.execute(&delete, &[&connection, &effect.of_full_read])?;
        let keys: Vec<&str> = effect.states.keys().map(String::as_str).collect();
        let rows: Vec<Row> = effect.states.values().map(|stored| Row::of(stored)).collect();
        let bodies: Vec<&str> = rows.iter().map(|row| row.body.as_str()).collect();
        let generations: Vec<&str> = rows.iter().map(|row| row.generations.as_str()).collect();
        t.execute(
            "INSERT INTO _lockgate_states
                (connection, full_read, stream, body, generations, stored_at)
             SELECT $1, $2, s, b, g, (extract(epoch FROM clock_timestamp()) * 1000)::bigint
             FROM unnest($3::text[], $4::text[], $5::text[]) AS given (s, b, g)
             ON CONFLICT (connection, full_read, stream) DO UPDATE SET
                body = excluded.body, generations = excluded.generations,
                stored_at = excluded.stored_at",
            &[&connection, &effect.of_full_read, &keys, &bodies, &generations],
        )?;
    }
    Ok(())
}

/// Remembers what there is now, where that is anything.
pub(super) fn put_aside(
    t: &mut Transaction<'_>,
    connection: &str,
    sync_id: i64,
) -> Result<(), Error> {
    let states = current(t, connection)?;
    if states.is_empty() {
        return Ok(());
    }
    // Strings always serialise.
    let states = serde_json::to_string(&states).unwrap_or_default();
    let now = now(t)?;
    let row = t.query_one(
        "INSERT INTO _lockgate_past_states (connection, number, sync_id, at, states)
         SELECT $1, coalesce(max(number), 0) + 1, $2, $3, $4 FROM _lockgate_past_states
         WHERE connection = $1 RETURNING number",
        &[&connection, &sync_id, &now, &states],
    )?;
    let oldest = row.try_get::<_, i64>(0)? - signed(KEPT_PASTS);
    let forget = "DELETE FROM _lockgate_past_states WHERE connection = $1 AND number <= $2";
    t.execute(forget, &[&connection, &oldest]).map(drop)
}

/// Puts what is there aside and these in its place. Gives how many there were.
pub(super) fn replace(
    t: &mut Transaction<'_>,
    connection: &str,
    states: &[StoredState],
) -> Result<usize, Error> {
    put_aside(t, connection, 0)?;
    let gone = t.execute("DELETE FROM _lockgate_states WHERE connection = $1", &[&connection])?;
    put(t, connection, states)?;
    Ok(usize::try_from(gone).unwrap_or(usize::MAX))
}

/// All that was put aside, the newest first.
pub(super) fn past(t: &mut Transaction<'_>, connection: &str) -> Result<Vec<Past>, Error> {
    let rows = t.query(
        "SELECT number, sync_id, at, states FROM _lockgate_past_states WHERE connection = $1
         ORDER BY number DESC",
        &[&connection],
    )?;
    let read = |row: &::postgres::Row| {
        Ok(Past {
            number: unsigned(row.try_get(0)?),
            sync_id: unsigned(row.try_get(1)?),
            at: row.try_get(2)?,
            // What cannot be read was not written by us.
            states: serde_json::from_str(row.try_get(3)?).unwrap_or_default(),
        })
    };
    rows.iter().map(read).collect()
}
