//! The tables, and how those of earlier layouts become these.

use rusqlite::{Connection, Transaction, TransactionBehavior};

/// The layout of the tables below.
pub(super) const LAYOUT: i64 = 2;

// The names begin as no stream's table does: a cache of records may be in the same file.
const TABLES: &str = "
CREATE TABLE _lockgate_syncs (
    connection TEXT PRIMARY KEY, last_sync_id INTEGER NOT NULL) WITHOUT ROWID;
-- generation: the last, and what is open in it, as JSON.
CREATE TABLE _lockgate_generations (
    connection TEXT NOT NULL, stream TEXT NOT NULL, generation TEXT NOT NULL,
    PRIMARY KEY (connection, stream)) WITHOUT ROWID;
-- stream: the descriptor as JSON; 'GLOBAL' or 'LEGACY' for states of all streams together.
-- full_read: 1 for a state that no incremental read goes on from.
-- generations: of each stream it covers, as JSON.
CREATE TABLE _lockgate_states (
    connection TEXT NOT NULL, full_read INTEGER NOT NULL, stream TEXT NOT NULL, body TEXT NOT NULL,
    generations TEXT NOT NULL, stored_at INTEGER NOT NULL,
    PRIMARY KEY (connection, full_read, stream)) WITHOUT ROWID;
-- states: what _lockgate_states had, as JSON.
CREATE TABLE _lockgate_past_states (
    connection TEXT NOT NULL, number INTEGER NOT NULL, sync_id INTEGER NOT NULL, at INTEGER NOT NULL,
    states TEXT NOT NULL, PRIMARY KEY (connection, number)) WITHOUT ROWID;
CREATE TABLE _lockgate_config_changes (
    connection TEXT NOT NULL, side TEXT NOT NULL, digest TEXT NOT NULL, members TEXT NOT NULL,
    PRIMARY KEY (connection, side)) WITHOUT ROWID;
-- holder: as JSON; none: free. since and until in ms since the epoch.
CREATE TABLE _lockgate_leases (
    connection TEXT PRIMARY KEY, token INTEGER NOT NULL, holder TEXT, since INTEGER NOT NULL,
    until INTEGER NOT NULL) WITHOUT ROWID;
";

/// Layout 1 had other names, and numbers where generations are now.
const FROM_1: &str = "
INSERT INTO _lockgate_syncs SELECT * FROM syncs;
INSERT INTO _lockgate_generations SELECT connection, stream,
    json_object('number', generation, 'since', 1, 'open', NULL) FROM generations;
INSERT INTO _lockgate_states
    SELECT connection, full_read, stream, body, '[]', stored_at FROM states;
INSERT INTO _lockgate_config_changes SELECT * FROM config_changes;
DROP TABLE syncs;
DROP TABLE generations;
DROP TABLE states;
DROP TABLE config_changes;
";

/// Makes the tables where there are none, and brings those of an earlier layout here. Gives the layout
/// found, where it is not known.
pub(super) fn lay_out(connection: &Connection) -> rusqlite::Result<i64> {
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    let found: i64 = transaction.pragma_query_value(None, "user_version", |r| r.get(0))?;
    match found {
        0 => transaction.execute_batch(TABLES)?,
        1 => {
            transaction.execute_batch(TABLES)?;
            transaction.execute_batch(FROM_1)?;
        }
        other => return Ok(other),
    }
    transaction.pragma_update(None, "user_version", LAYOUT)?;
    transaction.commit()?;
    Ok(LAYOUT)
}
