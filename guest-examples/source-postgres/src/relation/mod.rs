//! What there is to read: tables, views and materialized views, their columns and keys.

mod load;
mod publication;
mod stream;
mod types;

use postgres_client::quote;

pub(crate) use self::load::{Filter, kinds, load};
pub(crate) use self::publication::{Identity, Publication};
pub(crate) use self::stream::{CAPTURED, discover};
use crate::value::Kind;

/// A table, or what is read like one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Relation {
    pub(crate) oid: u32,
    pub(crate) schema: String,
    pub(crate) name: String,
    /// Its rows are in pages that can be read range by range: a heap, or a table of heaps.
    pub(crate) has_pages: bool,
    /// The server's guess; none where it never looked.
    pub(crate) rows: Option<u64>,
    /// Those that the role may read.
    pub(crate) columns: Vec<Column>,
    /// The columns of the primary key; empty where there is none, or the role may not read it.
    pub(crate) key: Vec<String>,
    /// It is a table of rows of its own, or of tables: no view, and none of another server.
    pub(crate) is_table: bool,
    /// Its changes are read from the server's log.
    pub(crate) is_captured: bool,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// The OID of its type, as declared.
    pub(crate) type_oid: u32,
    pub(crate) kind: Kind,
    /// What its values are sent as: nothing where it is as they are.
    pub(crate) cast: Cast,
    /// Its values have an order that a read can follow.
    pub(crate) is_cursor: bool,
    /// More than one dimension is declared.
    pub(crate) nested: bool,
}

/// What a value is made before it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cast {
    /// As it is.
    None,
    /// `money`, whose text depends on the server's language.
    Numeric,
    /// The same in arrays.
    NumericArray,
    /// Composite values, and arrays of them.
    Json,
}

impl Relation {
    /// As SQL writes it: quoted and with its schema.
    pub(crate) fn sql(&self) -> String {
        format!("{}.{}", quote(&self.schema), quote(&self.name))
    }

    pub(crate) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

impl Cast {
    /// A value that is made what is sent, as SQL.
    pub(crate) fn of(self, value: &str) -> String {
        match self {
            Self::None => value.to_owned(),
            Self::Numeric => format!("{value}::numeric"),
            Self::NumericArray => format!("{value}::numeric[]"),
            Self::Json => format!("to_json({value})"),
        }
    }
}

impl Column {
    /// What a query selects for it.
    pub(crate) fn expression(&self) -> String {
        self.cast.of(&quote(&self.name))
    }
}
