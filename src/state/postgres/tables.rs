//! The tables, in a schema of their own.

use postgres::Transaction;

use crate::postgres::quoted;

/// The layout of the tables below.
pub(super) const LAYOUT: i64 = 1;

/// What two who begin at once wait for.
const LAYING_OUT: &str = "SELECT pg_advisory_xact_lock(hashtext('lockgate state store'))";

// The names begin as no stream's table does: a cache of records may be in the same schema.
// Keys are compared as bytes, whatever the database's collation.
const TABLES: &str = r#"
CREATE TABLE _lockgate_state_layout (layout bigint NOT NULL);
CREATE TABLE _lockgate_syncs (
    connection text COLLATE "C" PRIMARY KEY, last_sync_id bigint NOT NULL);
-- generation: the last, and what is open in it, as JSON.
CREATE TABLE _lockgate_generations (
    connection text COLLATE "C" NOT NULL, stream text COLLATE "C" NOT NULL, generation text NOT NULL,
    PRIMARY KEY (connection, stream));
-- stream: the descriptor as JSON; 'GLOBAL' or 'LEGACY' for states of all streams together.
-- full_read: a state that no incremental read goes on from.
-- generations: of each stream it covers, as JSON. stored_at: in ms since the epoch.
CREATE TABLE _lockgate_states (
    connection text COLLATE "C" NOT NULL, full_read boolean NOT NULL, stream text COLLATE "C" NOT NULL,
    body text NOT NULL, generations text NOT NULL, stored_at bigint NOT NULL,
    PRIMARY KEY (connection, full_read, stream));
-- states: what _lockgate_states had, as JSON.
CREATE TABLE _lockgate_past_states (
    connection text COLLATE "C" NOT NULL, number bigint NOT NULL, sync_id bigint NOT NULL,
    at bigint NOT NULL, states text NOT NULL, PRIMARY KEY (connection, number));
CREATE TABLE _lockgate_config_changes (
    connection text COLLATE "C" NOT NULL, side text NOT NULL, digest text NOT NULL,
    members text NOT NULL, PRIMARY KEY (connection, side));
-- holder: as JSON; none: free. since and until in ms since the epoch.
CREATE TABLE _lockgate_leases (
    connection text COLLATE "C" PRIMARY KEY, token bigint NOT NULL, holder text,
    since bigint NOT NULL, until bigint NOT NULL);
"#;

/// Makes the schema and its tables where there are none. Gives the layout found.
pub(super) fn lay_out(t: &mut Transaction<'_>, schema: &str) -> Result<i64, postgres::Error> {
    t.execute(LAYING_OUT, &[])?;
    // Whoever may write to a schema need not be allowed to make one.
    let there = t.query_opt("SELECT 1 FROM pg_namespace WHERE nspname = $1", &[&schema])?;
    if there.is_none() {
        t.batch_execute(&format!("CREATE SCHEMA {}", quoted(schema)))?;
    }
    let there = t.query_one(
        "SELECT EXISTS (SELECT 1 FROM pg_tables
         WHERE schemaname = $1 AND tablename = '_lockgate_state_layout')",
        &[&schema],
    )?;
    if !there.get::<_, bool>(0) {
        t.batch_execute(TABLES)?;
        t.execute("INSERT INTO _lockgate_state_layout VALUES ($1)", &[&LAYOUT])?;
        return Ok(LAYOUT);
    }
    let row = t.query_one("SELECT max(layout) FROM _lockgate_state_layout", &[])?;
    Ok(row.get::<_, Option<i64>>(0).unwrap_or_default())
}
