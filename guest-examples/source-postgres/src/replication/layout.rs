//! Rows of the log as rows of a stream.

use std::collections::HashMap;

use lockgate_sdk::Failure;
use postgres_client::{Connection, quote};

use super::apply::Target;
use super::pgoutput::{Malformed, Old, Relation, Tuple, Value};
use crate::relation::{self, Cast, Column};
use crate::value::{Kind, push_string};

/// A table as it was when the rows that follow were written.
#[derive(Debug)]
pub(super) struct Layout {
    /// The stream's place among the targets.
    pub(super) target: usize,
    pub(super) places: Vec<Place>,
    /// A column's values are made something else by the server before they are sent.
    pub(super) has_casts: bool,
}

/// A column of it.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) name: String,
    pub(super) type_oid: u32,
    /// It is part of the replica identity.
    pub(super) is_key: bool,
    /// Another value makes the row another one for whoever merges by key.
    pub(super) tells_apart: bool,
    /// None where the stream has no such column.
    pub(super) member: Option<Member>,
}

/// A column of the stream.
#[derive(Debug)]
pub(super) struct Member {
    /// What stands before the value: `"id":`.
    pub(super) prefix: Vec<u8>,
    pub(super) kind: Kind,
    pub(super) cast: Cast,
}

impl Layout {
    /// Of a stream's table, by what the log says of it.
    pub(super) fn new(
        connection: &mut Connection,
        relation: &Relation<'_>,
        target: usize,
        of: &Target<'_>,
    ) -> Result<Self, Failure> {
        let mut places = Vec::new();
        for column in relation.columns() {
            let name = String::from_utf8(column.name.to_vec()).map_err(|_| {
                Failure::system("the log has the name of a column that is not UTF-8")
            })?;
            places.push(Place {
                type_oid: column.type_oid,
                is_key: column.is_key,
                tells_apart: of.key.contains(&name),
                member: None,
                name,
            });
        }
        let mut others = HashMap::new();
        for (place, Place { name, type_oid, member, .. }) in places.iter_mut().enumerate() {
            // What the table has no more is nobody's to read.
            let Some(column) = of.columns.iter().find(|column| column.name == *name) else {
                continue;
            };
            *member = Some(Member::new(column));
            if column.type_oid != *type_oid {
                others.insert(place, *type_oid);
            }
        }
        // Of columns that have another type by now.
        if !others.is_empty() {
            let (at, oids): (Vec<usize>, Vec<u32>) = others.into_iter().unzip();
            for (place, (kind, cast)) in at.into_iter().zip(relation::kinds(connection, &oids)?) {
                if let Some(member) = places.get_mut(place).and_then(|it| it.member.as_mut()) {
                    (member.kind, member.cast) = (kind, cast);
                }
            }
        }
        let has_casts =
            places.iter().flat_map(|it| &it.member).any(|member| member.cast != Cast::None);
        Ok(Self { target, places, has_casts })
    }

    /// Is this a row of the table?
    pub(super) fn fits(&self, row: &Tuple<'_>) -> Result<(), Malformed> {
        if row.len() == self.places.len() { Ok(()) } else { Err(Malformed) }
    }

    /// Is the new row another one for whoever merges by key?
    pub(super) fn is_another(&self, old: &Old<'_>, new: &Tuple<'_>) -> bool {
        let pairs = old.row.values().zip(new.values()).zip(&self.places);
        pairs.filter(|(_, place)| place.tells_apart).any(|((old, new), _)| {
            // A value that did not change is not sent.
            new != Value::Unchanged && old != Value::Unchanged && old != new
        })
    }
}

impl Member {
    fn new(column: &Column) -> Self {
        let mut prefix = Vec::new();
        push_string(column.name.as_bytes(), &mut prefix);
        prefix.push(b':');
        Self { prefix, kind: column.kind.clone(), cast: column.cast }
    }
}

/// Which row of a table has some values, and what of it is asked for, as SQL.
pub(super) fn select<'p>(
    table: &str,
    columns: impl Iterator<Item = &'p Place>,
    key: impl Iterator<Item = &'p Place>,
) -> String {
    let columns = columns.map(|place| {
        let cast = place.member.as_ref().map_or(Cast::None, |member| member.cast);
        cast.of(&quote(&place.name))
    });
    let key = key.enumerate().map(|(n, place)| format!("{} = ${}", quote(&place.name), n + 1));
    let (columns, key): (Vec<_>, Vec<_>) = (columns.collect(), key.collect());
    format!("SELECT {} FROM {table} WHERE {} LIMIT 1", columns.join(", "), key.join(" AND "))
}
