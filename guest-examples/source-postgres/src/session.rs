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
    Connection::open(&config.server(), SETTINGS)
}
