//! A session that reads.

use lockgate_sdk::Failure;
use postgres_client::Connection;

use crate::config::Config;

/// Nothing is written, values are written out exactly and in one way, and a plan is not compiled for a
/// query that runs once.
const SETTINGS: &str = "SET default_transaction_read_only = on; SET extra_float_digits = 1; \
                        SET IntervalStyle = 'iso_8601'; SET bytea_output = 'hex'; SET jit = off;";

/// Connects.
pub(crate) fn open(config: &Config) -> Result<Connection, Failure> {
    decoded(Connection::open(&config.server(), SETTINGS)?)
}

/// Connects to read the server's log, with values written as in any other session. The server does not
/// end it for a destination that takes its time.
pub(crate) fn open_to_replicate(config: &Config) -> Result<Connection, Failure> {
    let settings = format!("{SETTINGS} SET wal_sender_timeout = 0;");
    decoded(Connection::open_to_replicate(&config.server(), &settings)?)
}

fn decoded(mut connection: Connection) -> Result<Connection, Failure> {
    // A database without an encoding gives its bytes as they are: the server would refuse those that
    // are no UTF-8, and here they are replaced.
    if connection.encoding() == "SQL_ASCII" {
        connection.run("SET client_encoding = 'SQL_ASCII'", "setting the session up")?;
    }
    Ok(connection)
}
