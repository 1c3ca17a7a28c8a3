//! Tables of the server: made ready before the first row, and put in their place after the last.
//!
//! What is to be replaced stays as it is until all is there: rows go to a table of their own in the
//! schema `_lockgate`, with the generation noted beside it, and take the place in one transaction. An
//! attempt of the same generation goes on there; a later generation that keeps everything takes what
//! is there over; a later one that replaces drops it.

use lockgate_sdk::Failure;
use postgres_client::Connection;

use crate::plan::{INTERNAL, Plan};
use crate::sql::evolve::{Existing, definitions, evolve};
use crate::sql::name::{self, literal, quote};
use crate::sql::types::Type;
use crate::sql::{Column, Table, merge};

/// Stands for the creation of schemas and of what is kept here: two at once would collide.
const CREATING: &str = "lockgate: creating";

/// Where a stream's rows go.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) plan: Plan,
    /// The stream's table, or the one that takes its place.
    pub(crate) table: Table,
    /// The columns that are written, with the types they have.
    pub(crate) columns: Vec<Column>,
}

impl Target {
    pub(crate) fn is_partial(&self) -> bool {
        self.table == self.plan.partial
    }
}

fn flag(connection: &mut Connection, sql: &str, what: &str) -> Result<bool, Failure> {
    let rows = connection.run(sql, what)?;
    Ok(rows.first().and_then(|row| row.first()?.as_deref()) == Some("t"))
}

fn exists(connection: &mut Connection, table: &Table) -> Result<bool, Failure> {
    let name = literal(&table.to_string());
    flag(connection, &format!("SELECT to_regclass({name}) IS NOT NULL"), "looking for tables")
}

fn create_schema(connection: &mut Connection, schema: &str) -> Result<(), Failure> {
    let (quoted, what) = (quote(schema), format!("creating the schema {}", quote(schema)));
    // The right to create schemas is asked for even where there is nothing to do.
    let there = format!("SELECT to_regnamespace({}) IS NOT NULL", literal(&quoted));
    if !flag(connection, &there, &what)? {
        let lock = name::lock_number(&[CREATING]);
        let create =
            format!("SELECT pg_advisory_xact_lock({lock}); CREATE SCHEMA IF NOT EXISTS {quoted}");
        connection.run(&create, &what)?;
    }
    Ok(())
}

/// Creates what is kept beside the streams' tables, if it is not there; in a transaction.
pub(crate) fn create_internals(connection: &mut Connection) -> Result<(), Failure> {
    let streams = Table::new(INTERNAL, "streams");
    if exists(connection, &streams)? {
        return Ok(());
    }
    create_schema(connection, INTERNAL)?;
    let lock = name::lock_number(&[CREATING]);
    let create = format!(
        "SELECT pg_advisory_xact_lock({lock}); CREATE TABLE IF NOT EXISTS {streams} (\
         table_schema text NOT NULL, table_name text NOT NULL, stream_namespace text, \
         stream_name text NOT NULL, generation_id bigint NOT NULL, sync_id bigint NOT NULL, \
         row_count bigint NOT NULL, committed_at timestamptz NOT NULL, partial_generation_id bigint, \
         PRIMARY KEY (table_schema, table_name))"
    );
    connection.run(&create, &format!("creating the table {streams}"))?;
    Ok(())
}

/// Makes a stream's table ready, and whatever its rows go to until then.
pub(crate) fn prepare(connection: &mut Connection, plan: Plan) -> Result<Target, Failure> {
    let home = plan.home.clone();
    let what = format!("preparing the table {home}");
    // Held until the session ends: two that write the same stream would undo each other's work.
    let lock = name::lock_number(&["table", &home.schema, &home.name]);
    connection.run(
        &format!("SELECT pg_advisory_lock({lock})"),
        &format!("waiting for {home} to be free"),
    )?;
    connection.run("BEGIN", &what)?;
    create_schema(connection, &home.schema)?;
    let begun = begun_generation(connection, &plan)?;
    let goes_on = begun.is_some_and(|begun| {
        // Whoever numbers nothing begins again each time.
        plan.replaces && begun == plan.generation && plan.generation != 0
    });
    let table = if goes_on {
        plan.partial.clone()
    } else {
        if begun.is_some() && plan.replaces {
            connection.run(&format!("DROP TABLE {}", plan.partial), &what)?;
        }
        if plan.replaces && has_other_rows(connection, &plan)? {
            plan.partial.clone()
        } else {
            home.clone()
        }
    };
    let wanted = plan.wanted();
    if begun.is_some() && !plan.replaces {
        take_over(connection, &plan, &wanted, &what)?;
    }
    let columns = shape(connection, &plan, &table, &wanted)?;
    let target = Target { plan, table, columns };
    let partial = target.is_partial().then_some(target.plan.generation);
    let mut record = record(&target.plan, partial, 0);
    record.push_str("partial_generation_id = excluded.partial_generation_id");
    connection.run(&format!("{record}; COMMIT"), &what)?;
    Ok(target)
}

/// Brings what an earlier attempt began into the stream's table, which becomes wide enough for it.
fn take_over(
    connection: &mut Connection,
    plan: &Plan,
    wanted: &[Column],
    what: &str,
) -> Result<(), Failure> {
    let Plan { home, partial, key, .. } = plan;
    shape(connection, plan, partial, wanted)?;
    let given = known_columns(connection, partial)?;
    let columns = shape(connection, plan, home, &given)?;
    let bring = match key {
        Some(key) => merge::merge(key, &partial.to_string(), &given, home, &columns),
        None => merge::append(partial, &given, home, &columns),
    };
    connection.run(&format!("{bring}; DROP TABLE {partial}"), what)?;
    Ok(())
}

/// The generation of the partial table that an earlier attempt left. One without a note is dropped.
fn begun_generation(connection: &mut Connection, plan: &Plan) -> Result<Option<u64>, Failure> {
    let (schema, name) = (literal(&plan.home.schema), literal(&plan.home.name));
    let partial = literal(&plan.partial.to_string());
    let sql = format!(
        "SELECT to_regclass({partial}) IS NOT NULL, (SELECT partial_generation_id FROM \
         {INTERNAL}.streams WHERE table_schema = {schema} AND table_name = {name})"
    );
    let rows = connection.run(&sql, "looking for what an earlier attempt left")?;
    let answer = |place: usize| rows.first().and_then(|row| row.get(place)?.as_deref());
    let there = answer(0) == Some("t");
    match answer(1).and_then(|number| number.parse().ok()) {
        Some(generation) if there => Ok(Some(generation)),
        _ => {
            if there {
                let partial = &plan.partial;
                connection.run(&format!("DROP TABLE {partial}"), &format!("dropping {partial}"))?;
            }
            Ok(None)
        }
    }
}

/// Has the stream's table rows that are to disappear?
fn has_other_rows(connection: &mut Connection, plan: &Plan) -> Result<bool, Failure> {
    let what = format!("reading the table {}", plan.home);
    if !exists(connection, &plan.home)? {
        return Ok(false);
    }
    let columns = columns(connection, &plan.home)?;
    let numbered = columns.iter().any(|column| column.name == name::GENERATION_ID);
    let others = if numbered && plan.generation != 0 {
        format!(" WHERE {} IS DISTINCT FROM {}", quote(name::GENERATION_ID), plan.generation)
    } else {
        String::new()
    };
    flag(connection, &format!("SELECT EXISTS (SELECT FROM {}{others})", plan.home), &what)
}

fn columns(connection: &mut Connection, table: &Table) -> Result<Vec<Existing>, Failure> {
    let sql = format!(
        "SELECT attname, format_type(atttypid, atttypmod), atthasdef FROM pg_attribute \
         WHERE attrelid = to_regclass({}) AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        literal(&table.to_string())
    );
    let rows = connection.run(&sql, &format!("reading the columns of {table}"))?;
    let columns = rows.into_iter().filter_map(|row| {
        let mut row = row.into_iter().flatten();
        let (name, kind, default) = (row.next()?, row.next()?, row.next()?);
        Some(Existing { name, kind, has_default: default == "t" })
    });
    Ok(columns.collect())
}

/// All columns of a table of ours, but for the name of the row.
fn known_columns(connection: &mut Connection, table: &Table) -> Result<Vec<Column>, Failure> {
    let columns = columns(connection, table)?.into_iter().filter_map(|column| {
        let (kind, _) = Type::of_server(&column.kind)?;
        (column.name != name::RAW_ID).then_some(Column { name: column.name, kind })
    });
    Ok(columns.collect())
}

/// Creates a table or changes it until it has the wanted columns and the index on its key; gives the
/// wanted columns with the types they have.
fn shape(
    connection: &mut Connection,
    plan: &Plan,
    table: &Table,
    wanted: &[Column],
) -> Result<Vec<Column>, Failure> {
    let what = format!("preparing the table {table}");
    let columns = if exists(connection, table)? {
        let sql =
            format!("SELECT relkind IN ('r', 'p') FROM pg_class WHERE oid = to_regclass({})", {
                literal(&table.to_string())
            });
        if !flag(connection, &sql, &what)? {
            return Err(Failure::config(format!("{table} is there, and it is not a table")));
        }
        let existing = columns(connection, table)?;
        let evolution = evolve(&existing, wanted).map_err(|refused| {
            Failure::config(format!(
                "the column {} of the table {table} has the type {}, which nothing is written to",
                quote(&refused.column),
                refused.kind
            ))
        })?;
        if !evolution.clauses.is_empty() {
            let clauses = evolution.clauses.join(", ");
            connection.run(&format!("ALTER TABLE {table} {clauses}"), &what)?;
        }
        evolution.columns
    } else {
        let definitions = definitions(wanted);
        connection.run(&format!("CREATE TABLE {table} ({definitions})"), &what)?;
        wanted.to_vec()
    };
    index(connection, plan, table)?;
    Ok(columns)
}

/// Has the one index that the stream's key needs, and those of other keys not.
fn index(connection: &mut Connection, plan: &Plan, table: &Table) -> Result<(), Failure> {
    let what = format!("preparing the index of the table {table}");
    let sql = format!(
        "SELECT c.relname, i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
         WHERE i.indrelid = to_regclass({}) AND starts_with(c.relname, {})",
        literal(&table.to_string()),
        literal(merge::INDEX)
    );
    let rows = connection.run(&sql, &what)?;
    let needed = plan.key.as_ref().map(|key| (key, merge::index_name(key, &plan.home)));
    let mut there = false;
    for row in rows {
        let (Some(Some(name)), Some(Some(valid))) = (row.first(), row.get(1)) else { continue };
        if needed.as_ref().is_some_and(|(_, needed)| needed == name) && valid == "t" {
            there = true;
        } else {
            let index = Table::new(&*table.schema, &**name);
            connection.run(&format!("DROP INDEX {index}"), &what)?;
        }
    }
    if let Some((key, _)) = needed.filter(|_| !there) {
        // Rows that came without a key, or with another, are told apart by this one from now on.
        let deduplicate = merge::deduplicate(key, table);
        let create = merge::create_index(key, &plan.home, table);
        connection.run(&format!("{deduplicate}; {create}; ANALYZE {table}"), &what)?;
    }
    Ok(())
}

/// Puts a partial table in the place of the stream's; in a transaction.
pub(crate) fn finish(connection: &mut Connection, target: &Target) -> Result<(), Failure> {
    let Plan { home, partial, .. } = &target.plan;
    let what = format!("replacing the table {home}");
    let there = exists(connection, home)?;
    if there && is_in_use(connection, home, &what)? {
        let given = known_columns(connection, partial)?;
        let columns = shape(connection, &target.plan, home, &given)?;
        let insert = merge::append(partial, &given, home, &columns);
        connection.run(&format!("DELETE FROM {home}; {insert}; DROP TABLE {partial}"), &what)?;
    } else {
        let drop = if there { format!("DROP TABLE {home}; ") } else { String::new() };
        let moved = Table::new(&*home.schema, &*partial.name);
        let (schema, name) = (quote(&home.schema), quote(&home.name));
        let swap = format!(
            "{drop}ALTER TABLE {partial} SET SCHEMA {schema}; ALTER TABLE {moved} RENAME TO {name}"
        );
        connection.run(&swap, &what)?;
    }
    Ok(())
}

/// Is there something that would be lost with the table: rights, views, triggers, indexes? Then its
/// rows are replaced and not itself.
fn is_in_use(connection: &mut Connection, table: &Table, what: &str) -> Result<bool, Failure> {
    let sql = format!(
        "SELECT c.relkind <> 'r' OR c.relispartition OR c.relacl IS NOT NULL OR c.relrowsecurity \
         OR c.relhastriggers OR NOT pg_has_role(c.relowner, 'USAGE') \
         OR EXISTS (SELECT FROM pg_depend d WHERE d.refclassid = 'pg_class'::regclass \
         AND d.refobjid = c.oid AND d.deptype = 'n') \
         OR EXISTS (SELECT FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid \
         WHERE i.indrelid = c.oid AND NOT starts_with(x.relname, {})) \
         OR EXISTS (SELECT FROM pg_inherits h WHERE c.oid IN (h.inhrelid, h.inhparent)) \
         OR EXISTS (SELECT FROM pg_publication_rel p WHERE p.prrelid = c.oid) \
         FROM pg_class c WHERE c.oid = to_regclass({})",
        literal(merge::INDEX),
        literal(&table.to_string())
    );
    flag(connection, &sql, what)
}

/// The note of what was committed of a stream, up to the last assignments of its update.
pub(crate) fn record(plan: &Plan, partial: Option<u64>, rows: u64) -> String {
    let partial = partial.map_or("NULL".to_owned(), |generation| generation.to_string());
    let namespace = plan.descriptor.namespace.as_deref().map_or("NULL".to_owned(), literal);
    format!(
        "INSERT INTO {INTERNAL}.streams AS s (table_schema, table_name, stream_namespace, stream_name, \
         generation_id, sync_id, row_count, committed_at, partial_generation_id) VALUES \
         ({}, {}, {namespace}, {}, {}, {}, {rows}, now(), {partial}) \
         ON CONFLICT (table_schema, table_name) DO UPDATE SET \
         stream_namespace = excluded.stream_namespace, stream_name = excluded.stream_name, ",
        literal(&plan.home.schema),
        literal(&plan.home.name),
        literal(&plan.descriptor.name),
        plan.generation,
        plan.sync,
    )
}

/// As [`record`], with what a transaction wrote.
pub(crate) fn record_commit(target: &Target, partial: bool, rows: u64) -> String {
    let record = record(&target.plan, partial.then_some(target.plan.generation), rows);
    format!(
        "{record}generation_id = excluded.generation_id, sync_id = excluded.sync_id, row_count = \
         excluded.row_count + CASE WHEN s.sync_id = excluded.sync_id AND s.generation_id = \
         excluded.generation_id THEN s.row_count ELSE 0 END, committed_at = excluded.committed_at, \
         partial_generation_id = excluded.partial_generation_id"
    )
}

/// Tries all that a sync does to the server, and undoes it.
pub(crate) fn check(connection: &mut Connection, schema: &str) -> Result<(), Failure> {
    let schema = name::identifier(schema);
    connection.run("BEGIN", "checking")?;
    create_internals(connection)?;
    create_schema(connection, &schema)?;
    let number = name::lock_number(&["check", &schema]).unsigned_abs();
    let table = Table::new(schema, format!("_lockgate_check_{number}"));
    let what = format!("creating a table in the schema {}", quote(&table.schema));
    let columns: Vec<Column> = crate::plan::system().collect();
    let definitions = definitions(&columns);
    let stage = "CREATE TEMPORARY TABLE lockgate_check (a text) ON COMMIT DROP";
    connection.run(&format!("CREATE TABLE {table} ({definitions}); {stage}"), &what)?;
    connection.run("ROLLBACK", "checking")?;
    Ok(())
}
