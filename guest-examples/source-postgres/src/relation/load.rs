//! Reads the server's catalog.

use std::collections::HashMap;

use lockgate_sdk::{Failure, StreamDescriptor};
use postgres_client::{Connection, Fields, literal};

use super::types::{self, Type, Types};
use super::{Cast, Column, Relation};
use crate::config::Config;
use crate::value::Kind;

/// Columns of all tables together that are looked at: some hundred bytes of memory each.
const COLUMNS: usize = 500_000;

/// Rows that are asked for at once.
const FETCH: u32 = 50_000;

const WHAT: &str = "looking for tables";

/// Which relations are looked at: a condition on `c`, of `pg_class`, and `n`, its namespace.
#[derive(Clone, Debug)]
pub(crate) struct Filter(String);

impl Filter {
    /// What a configuration selects.
    pub(crate) fn of_config(config: &Config) -> Self {
        let list = |names: &[String]| {
            names.iter().map(|name| literal(name)).collect::<Vec<_>>().join(", ")
        };
        let mut text = format!("n.nspname IN ({})", list(&config.schemas));
        match &config.tables {
            Some(tables) => {
                let tables = list(tables);
                text.push_str(&format!(
                    " AND (c.relname IN ({tables}) OR n.nspname || '.' || c.relname IN ({tables}))"
                ));
            }
            None => text.push_str(" AND NOT c.relispartition"),
        }
        Self(text)
    }

    /// One stream's.
    pub(crate) fn of_stream(descriptor: &StreamDescriptor, config: &Config) -> Self {
        let first = config.schemas.first().map_or("public", |schema| schema);
        let schema = descriptor.namespace.as_deref().unwrap_or(first);
        Self(format!(
            "n.nspname = {} AND c.relname = {}",
            literal(schema),
            literal(&descriptor.name)
        ))
    }

    /// The relations that the role may see into, with what is read like a table.
    fn sql(&self) -> String {
        format!(
            "pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace \
             AND c.relkind IN ('r', 'v', 'm', 'p', 'f') AND c.relpersistence <> 't' \
             AND has_schema_privilege(n.oid, 'USAGE') AND ({})",
            self.0
        )
    }
}

/// Columns of a relation that the role may read.
const READABLE: &str = "JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 \
                        AND NOT a.attisdropped AND has_column_privilege(c.oid, a.attnum, 'SELECT')";

/// The relations of a filter of which the role may read a column, in the order of their names.
pub(crate) fn load(connection: &mut Connection, filter: &Filter) -> Result<Vec<Relation>, Failure> {
    let from = filter.sql();
    let types = load_types(connection, &from)?;
    let mut relations = load_columns(connection, &from, &types)?;
    let mut keys = load_keys(connection, &from)?;
    for relation in &mut relations {
        if let Some(key) = keys.remove(&relation.oid)
            && key.iter().all(|name| relation.column(name).is_some())
        {
            relation.key = key;
        }
    }
    Ok(relations)
}

/// What becomes of the values of types, by their OIDs.
pub(crate) fn kinds(
    connection: &mut Connection,
    oids: &[u32],
) -> Result<Vec<(Kind, Cast)>, Failure> {
    let list: Vec<_> = oids.iter().map(ToString::to_string).collect();
    let types = load_types_of(connection, &format!("unnest('{{{}}}'::oid[])", list.join(",")))?;
    let kind = |oid: &u32| {
        let (kind, cast, _) = types::kind(*oid, &types);
        (kind, cast)
    };
    Ok(oids.iter().map(kind).collect())
}

fn load_types(connection: &mut Connection, from: &str) -> Result<Types, Failure> {
    load_types_of(connection, &format!("DISTINCT a.atttypid FROM {from} {READABLE}"))
}

/// The types that a selection gives, and those they are made of.
fn load_types_of(connection: &mut Connection, selection: &str) -> Result<Types, Failure> {
    let sql = format!(
        "WITH RECURSIVE wanted (oid) AS ( \
           SELECT {selection} \
           UNION SELECT CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.typelem END \
             FROM wanted AS w JOIN pg_type AS t ON t.oid = w.oid \
             WHERE t.typtype = 'd' OR t.typoutput = 'array_out'::regproc) \
         SELECT t.oid, t.typtype, t.typcategory, t.typbasetype, \
           CASE WHEN t.typoutput = 'array_out'::regproc THEN t.typelem END, t.typdelim, \
           t.typnamespace = 'pg_catalog'::regnamespace \
         FROM wanted AS w JOIN pg_type AS t ON t.oid = w.oid"
    );
    let mut types = Types::new();
    each(connection, &sql, |mut row| {
        let oid = number(&mut row)?;
        let found = Type {
            class: letter(&mut row)?,
            category: letter(&mut row)?,
            base: number(&mut row)?,
            element: optional_number(&mut row)?,
            delimiter: letter(&mut row)?,
            builtin: letter(&mut row)? == b't',
        };
        types.insert(oid, found);
        Ok(())
    })?;
    Ok(types)
}

fn load_columns(
    connection: &mut Connection,
    from: &str,
    types: &Types,
) -> Result<Vec<Relation>, Failure> {
    // Pages can be read range by range where all of a relation, what is partitioned or inherits
    // included, is kept as heaps, and where the role may use `ctid`.
    let sql = format!(
        "WITH RECURSIVE chosen AS MATERIALIZED ( \
           SELECT c.oid, n.nspname, c.relname, c.relkind, c.reltuples FROM {from}), \
         tree (root, oid) AS ( \
           SELECT oid, oid FROM chosen \
           UNION SELECT t.root, i.inhrelid FROM tree AS t JOIN pg_inherits AS i \
             ON i.inhparent = t.oid), \
         kept (root) AS ( \
           SELECT t.root FROM tree AS t JOIN pg_class AS k ON k.oid = t.oid \
           LEFT JOIN pg_am AS m ON m.oid = k.relam GROUP BY t.root \
           HAVING bool_and(k.relkind = 'p' OR (k.relkind IN ('r', 'm') AND m.amname = 'heap'))) \
         SELECT c.oid, c.nspname, c.relname, \
           kept.root IS NOT NULL AND has_table_privilege(c.oid, 'SELECT'), \
           CASE WHEN c.reltuples >= 0 THEN c.reltuples::int8 END, \
           a.attname, a.atttypid, a.attndims > 1, c.relkind IN ('r', 'p') \
         FROM chosen AS c {READABLE} LEFT JOIN kept ON kept.root = c.oid \
         ORDER BY c.nspname, c.relname, a.attnum"
    );
    let mut relations: Vec<Relation> = Vec::new();
    let mut columns = 0;
    each(connection, &sql, |mut row| {
        columns += 1;
        if columns > COLUMNS {
            return Err(Failure::config(format!(
                "there are more than {COLUMNS} columns to read: name the tables in `tables`, or fewer \
                 schemas in `schemas`"
            )));
        }
        let oid = number(&mut row)?;
        let (schema, name) = (text(&mut row)?, text(&mut row)?);
        let has_pages = letter(&mut row)? == b't';
        let rows = optional_number(&mut row)?;
        let column = text(&mut row)?;
        let type_oid = number(&mut row)?;
        let nested = letter(&mut row)? == b't';
        let is_table = letter(&mut row)? == b't';
        let (kind, cast, is_cursor) = types::kind(type_oid, types);
        let column = Column { name: column, type_oid, kind, cast, is_cursor, nested };
        match relations.last_mut().filter(|last| last.oid == oid) {
            Some(relation) => relation.columns.push(column),
            None => relations.push(Relation {
                oid,
                schema,
                name,
                has_pages,
                rows,
                columns: vec![column],
                key: Vec::new(),
                is_table,
                is_captured: false,
            }),
        }
        Ok(())
    })?;
    Ok(relations)
}

/// The columns of primary keys, in their order, by the relation's OID.
fn load_keys(
    connection: &mut Connection,
    from: &str,
) -> Result<HashMap<u32, Vec<String>>, Failure> {
    let sql = format!(
        "SELECT c.oid, a.attname FROM {from} JOIN pg_index AS i ON i.indrelid = c.oid \
         AND i.indisprimary AND i.indisvalid \
         CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place) \
         JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.attnum \
         WHERE k.place <= i.indnkeyatts ORDER BY c.oid, k.place"
    );
    let mut keys: HashMap<u32, Vec<String>> = HashMap::new();
    each(connection, &sql, |mut row| {
        keys.entry(number(&mut row)?).or_default().push(text(&mut row)?);
        Ok(())
    })?;
    Ok(keys)
}

/// Does something with each row of a query, in a transaction of its own unless there is one.
pub(super) fn each(
    connection: &mut Connection,
    sql: &str,
    mut take: impl FnMut(Fields<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    connection.run("BEGIN", WHAT)?;
    let mut query = connection.query(sql, &[], &[], FETCH, WHAT)?;
    while let Some(row) = query.next()? {
        take(row)?;
    }
    connection.run("COMMIT", WHAT)?;
    Ok(())
}

pub(super) fn strange() -> Failure {
    Failure::system("the server's catalog is not as PostgreSQL has it")
}

fn text(row: &mut Fields<'_>) -> Result<String, Failure> {
    let bytes = row.next()?.ok_or_else(strange)?;
    String::from_utf8(bytes.to_vec()).map_err(|_| {
        Failure::config(
            "the name of a table or of a column is not UTF-8: it cannot be asked for by name",
        )
    })
}

fn optional_number<T: std::str::FromStr>(row: &mut Fields<'_>) -> Result<Option<T>, Failure> {
    let Some(bytes) = row.next()? else { return Ok(None) };
    let text = std::str::from_utf8(bytes).map_err(|_| strange())?;
    text.parse().map(Some).map_err(|_| strange())
}

pub(super) fn number<T: std::str::FromStr>(row: &mut Fields<'_>) -> Result<T, Failure> {
    optional_number(row)?.ok_or_else(strange)
}

pub(super) fn letter(row: &mut Fields<'_>) -> Result<u8, Failure> {
    row.next()?.and_then(|bytes| bytes.first().copied()).ok_or_else(strange)
}
