//! What is asked of the server beside rows.

use std::time::{Duration, Instant};

use lockgate_sdk::Failure;
use postgres_client::Connection;

use super::lsn::Lsn;
use crate::config::Config;
use crate::session;

const WHAT: &str = "looking where the server's log is";

/// How long transactions are waited for whose end is in the log and not yet in effect.
const SETTLING: Duration = Duration::from_secs(60);

fn strange() -> Failure {
    Failure::system("the server does not say where its log is")
}

/// The one value of a query.
fn one<T: std::str::FromStr>(connection: &mut Connection, sql: &str) -> Result<T, Failure> {
    let rows = connection.run(sql, WHAT)?;
    let value = rows.first().and_then(|row| row.first()?.as_deref());
    value.and_then(|value| value.parse().ok()).ok_or_else(strange)
}

/// The server's identifier, which its copies share with it.
pub(super) fn identifier(config: &Config) -> Result<String, Failure> {
    one(&mut session::open_to_replicate(config)?, "IDENTIFY_SYSTEM")
}

/// Up to where the log is on the server's disk: only that is sent.
pub(super) fn end_of_written_log(connection: &mut Connection) -> Result<Lsn, Failure> {
    one(connection, "SELECT pg_current_wal_flush_lsn()")
}

/// Up to where the log was written.
pub(super) fn end_of_log(connection: &mut Connection) -> Result<Lsn, Failure> {
    one(connection, "SELECT pg_current_wal_insert_lsn()")
}

/// The server's time, in µs since 2000-01-01T00:00Z.
pub(super) fn now(connection: &mut Connection) -> Result<i64, Failure> {
    one(
        connection,
        "SELECT (extract(epoch FROM clock_timestamp() - '2000-01-01T00:00Z'::timestamptz) \
         * 1000000)::int8",
    )
}

/// Waits until what was committed in the log up to now is seen by a snapshot. Only a commit that waits
/// for a standby is seen later than a read of the log may have passed it.
pub(super) fn settle(connection: &mut Connection) -> Result<(), Failure> {
    let standbys: String = one(connection, "SELECT current_setting('synchronous_standby_names')")?;
    if standbys.is_empty() {
        return Ok(());
    }
    let next: u64 = one(connection, "SELECT pg_snapshot_xmax(pg_current_snapshot())")?;
    let start = Instant::now();
    while one::<u64>(connection, "SELECT pg_snapshot_xmin(pg_current_snapshot())")? < next {
        if start.elapsed() > SETTLING {
            return Err(Failure::transient(
                "transactions were open for a minute: with a synchronous standby a table can be read as \
                 it is only after them",
            ));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// Waits a moment until nobody reads a slot: whoever did may have ended just now.
pub(super) fn wait_for_slot(connection: &mut Connection, slot: &str) -> Result<(), Failure> {
    let sql = format!(
        "SELECT coalesce(bool_or(active), false) FROM pg_replication_slots WHERE slot_name = {}",
        postgres_client::literal(slot)
    );
    for _ in 0..10 {
        if one::<String>(connection, &sql)? != "t" {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    Err(Failure::transient(format!(
        "the replication slot {slot} is read by somebody else: a slot belongs to one connection alone"
    )))
}
