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
    let mut connection = Connection::open(&config.server(), SETTINGS)?;
    // A database without an encoding gives its bytes as they are: the server would refuse those that
    // are no UTF-8, and here they are replaced.
    if connection.encoding() == "SQL_ASCII" {
        connection.run("SET client_encoding = 'SQL_ASCII'", "setting the session up")?;
    }
    Ok(connection)
}
