//! What a publication has of tables, and how their rows are told apart in the log.

use std::collections::{HashMap, HashSet};

use lockgate_sdk::Failure;
use postgres_client::{Connection, Fields, literal, quote};

use super::load::{each, letter, number, strange};
use super::{CAPTURED, Relation};
use crate::config::Replication;

/// A publication.
#[derive(Debug)]
pub(crate) struct Publication {
    name: String,
    oid: u32,
    /// Changes of parts are published as their table's.
    by_root: bool,
    /// It says when all rows of a table are deleted at once.
    pub(crate) truncates: bool,
    members: HashMap<u32, Member>,
}

/// A table of a publication.
#[derive(Debug)]
struct Member {
    /// Its own number in the publication; 0 where it is in it with all others.
    number: u32,
    columns: HashSet<String>,
    /// Only some of its rows are published.
    is_filtered: bool,
    identity: Identity,
    /// Other tables inherit from it.
    is_parent: bool,
    /// Some of its rows are hidden from the role.
    is_secured: bool,
}

/// What the log has of a row that is changed or deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// All of it.
    Whole,
    /// Some columns, that no two rows have alike.
    Columns(Vec<String>),
    /// Nothing.
    None,
}

impl Publication {
    /// The publication that a configuration names.
    pub(crate) fn load(
        connection: &mut Connection,
        replication: &Replication,
    ) -> Result<Self, Failure> {
        const WHAT: &str = "looking for the publication";
        let name = &replication.publication;
        let sql = format!(
            "SELECT oid, pubviaroot, pubinsert, pubupdate, pubdelete, pubtruncate FROM pg_publication \
             WHERE pubname = {}",
            literal(name)
        );
        let rows = connection.run(&sql, WHAT)?;
        let Some(row) = rows.first() else {
            return Err(Failure::config(format!(
                "there is no publication {name}: CREATE PUBLICATION {} FOR TABLE ..., before the \
                 replication slot is made",
                quote(name)
            )));
        };
        let is = |place: usize| row.get(place).and_then(Option::as_deref) == Some("t");
        if !(is(2) && is(3) && is(4)) {
            return Err(Failure::config(format!(
                "the publication {name} leaves out rows that are inserted, updated or deleted: ALTER \
                 PUBLICATION {} SET (publish = 'insert, update, delete, truncate')",
                quote(name)
            )));
        }
        let oid = row.first().and_then(|oid| oid.as_deref()?.parse().ok()).ok_or_else(strange)?;
        let mut members = HashMap::new();
        each(connection, &sql_of_members(oid), |mut row| {
            members.insert(number(&mut row)?, member(&mut row)?);
            Ok(())
        })?;
        Ok(Self { name: name.clone(), oid, by_root: is(1), truncates: is(5), members })
    }

    /// Is the table in it at all?
    pub(crate) fn has(&self, relation: &Relation) -> bool {
        self.members.contains_key(&relation.oid)
    }

    /// How the rows of a table are told apart.
    pub(crate) fn identity(&self, relation: &Relation) -> &Identity {
        self.members.get(&relation.oid).map_or(&Identity::None, |member| &member.identity)
    }

    /// Stands for a table and its place in the publication. Another one, and changes may have been
    /// missed.
    pub(crate) fn token(&self, relation: &Relation) -> String {
        let number = self.members.get(&relation.oid).map_or(0, |member| member.number);
        format!("{}/{}/{number}", relation.oid, self.oid)
    }

    /// Makes a table one whose changes are read: with the columns that are published, and the key that
    /// tells its rows apart in the log. Otherwise it says why not, and how to mend it.
    pub(crate) fn capture(&self, relation: &mut Relation) -> Result<(), String> {
        let (table, publication) = (relation.sql(), quote(&self.name));
        let Some(member) = self.members.get(&relation.oid) else {
            let parts = if self.by_root {
                String::new()
            } else {
                format!(
                    " (and of a partitioned table: ALTER PUBLICATION {publication} SET \
                     (publish_via_partition_root = true))"
                )
            };
            return Err(format!(
                "{table} is not in the publication {}: ALTER PUBLICATION {publication} ADD TABLE \
                 {table}{parts}",
                self.name
            ));
        };
        if member.is_filtered {
            return Err(format!(
                "the publication {} has only some rows of {table}: ALTER PUBLICATION {publication} DROP \
                 TABLE {table}, then ADD TABLE without WHERE",
                self.name
            ));
        }
        if member.is_parent {
            return Err(format!(
                "other tables inherit from {table}, and the log has their rows as their own: it can be \
                 read in full only"
            ));
        }
        if member.is_secured {
            return Err(format!(
                "rows of {table} are hidden from the role by row security, and the log has them: ALTER \
                 ROLE BYPASSRLS"
            ));
        }
        let published = |name: &str| member.columns.contains(name) && !CAPTURED.contains(&name);
        let key = match &member.identity {
            Identity::Whole => None,
            Identity::Columns(key) => Some(key.clone()),
            Identity::None => {
                return Err(format!(
                    "{table} has no replica identity, so that nobody can tell which rows are changed: \
                     add a primary key, or ALTER TABLE {table} REPLICA IDENTITY FULL"
                ));
            }
        };
        let usable =
            |name: &String| published(name) && relation.columns.iter().any(|c| c.name == *name);
        if let Some(missing) = key.iter().flatten().find(|name| !usable(name)) {
            return Err(format!(
                "the column {missing} tells the rows of {table} apart, and it is not published or may \
                 not be read: GRANT SELECT on it, and publish it"
            ));
        }
        if let Some(key) = key {
            relation.key = key;
        } else if !relation.key.iter().all(|name| published(name)) {
            relation.key.clear();
        }
        relation.columns.retain(|column| published(&column.name));
        relation.is_captured = true;
        Ok(())
    }
}

/// What is told of each table: columns and filters are looked for by name, since servers before 15 have
/// none. Columns that are generated are not in the log.
fn sql_of_members(publication: u32) -> String {
    format!(
        "SELECT c.oid, coalesce(r.oid, 0), c.relreplident, to_jsonb(t) ->> 'rowfilter' IS NOT NULL, \
           c.relkind = 'r' AND EXISTS (SELECT FROM pg_inherits AS h WHERE h.inhparent = c.oid), \
           row_security_active(c.oid), \
           (SELECT jsonb_agg(a.attname) FROM pg_attribute AS a WHERE a.attrelid = c.oid \
              AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' \
              AND coalesce(to_jsonb(t) -> 'attnames' @> to_jsonb(a.attname), true)), \
           (SELECT jsonb_agg(a.attname ORDER BY k.place) FROM pg_index AS i \
              CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place) \
              JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.attnum \
              WHERE i.indrelid = c.oid AND i.indisvalid AND i.indimmediate AND k.place <= i.indnkeyatts \
              AND CASE c.relreplident WHEN 'd' THEN i.indisprimary \
                  WHEN 'i' THEN i.indisreplident ELSE false END) \
         FROM pg_publication AS p JOIN pg_publication_tables AS t ON t.pubname = p.pubname \
         JOIN pg_namespace AS n ON n.nspname = t.schemaname \
         JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = t.tablename \
         LEFT JOIN pg_publication_rel AS r ON r.prpubid = p.oid AND r.prrelid = c.oid \
         WHERE p.oid = {publication}"
    )
}

fn member(row: &mut Fields<'_>) -> Result<Member, Failure> {
    let number = number(row)?;
    let identity = letter(row)?;
    let is_filtered = letter(row)? == b't';
    let is_parent = letter(row)? == b't';
    let is_secured = letter(row)? == b't';
    let columns = names(row)?.unwrap_or_default();
    let key = names(row)?;
    let identity = match key {
        Some(key) if !key.is_empty() => Identity::Columns(key),
        _ if identity == b'f' => Identity::Whole,
        _ => Identity::None,
    };
    let columns = columns.into_iter().collect();
    Ok(Member { number, columns, is_filtered, identity, is_parent, is_secured })
}

/// A list of names as JSON; none for NULL.
fn names(row: &mut Fields<'_>) -> Result<Option<Vec<String>>, Failure> {
    let Some(bytes) = row.next()? else { return Ok(None) };
    serde_json::from_slice(bytes).map(Some).map_err(|_| strange())
}
