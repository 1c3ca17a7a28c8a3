//! A session that writes.

use lockgate_sdk::Failure;
use postgres_client::Connection;

use crate::config::Config;

/// What a transaction sees was committed when it looked.
const SETTINGS: &str = "SET default_transaction_isolation = 'read committed';";

/// Connects. The database must have every character that a row can have.
pub(crate) fn open(config: &Config) -> Result<Connection, Failure> {
    let connection = Connection::open(&config.server(), SETTINGS)?;
    let encoding = connection.encoding();
    if encoding != "UTF8" {
        return Err(Failure::config(format!(
            "the database has the encoding {encoding}, which does not have every character; UTF8 does"
        )));
    }
    Ok(connection)
}
