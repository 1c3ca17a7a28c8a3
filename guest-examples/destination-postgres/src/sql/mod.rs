//! The texts of SQL: names, types, and what is done to tables. Nothing here talks to a server.

pub(crate) mod evolve;
pub(crate) mod merge;
pub(crate) mod name;
pub(crate) mod types;

use self::types::Type;

/// A column as it is in the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    /// Its name, as it is.
    pub(crate) name: String,
    pub(crate) kind: Type,
}

/// A table's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Table {
    pub(crate) schema: String,
    pub(crate) name: String,
}

impl Table {
    pub(crate) fn new(schema: impl Into<String>, name: impl Into<String>) -> Self {
        Self { schema: schema.into(), name: name.into() }
    }
}

/// As SQL writes it: quoted and with its schema.
impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", name::quote(&self.schema), name::quote(&self.name))
    }
}

/// The names of columns, quoted, with commas between them.
pub(crate) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(name::quote).collect::<Vec<_>>().join(", ")
}
