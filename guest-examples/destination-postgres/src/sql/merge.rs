//! One row a key: how new rows take the place of old ones.
//!
//! Of rows with the same key the one with the greatest cursor stays, of those the one that was read
//! last, of those the one that came last. A cursor that is NULL is the smallest, and keys that are
//! NULL are equal. The server finds rows by a number made of the key, in an index on it: keys are of
//! any type and length, of which a unique index would take neither.

use super::{Column, Table, list, name};

/// A path into a row: a column, and the way from there into its JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) column: String,
    pub(crate) inner: Vec<String>,
}

impl Path {
    fn of(&self, row: &str) -> String {
        let column = format!("{row}.{}", name::quote(&self.column));
        if self.inner.is_empty() {
            return column;
        }
        let steps: Vec<_> = self.inner.iter().map(|step| name::literal(step)).collect();
        format!("NULLIF({column} #> ARRAY[{}]::text[], 'null'::jsonb)", steps.join(", "))
    }
}

/// By what rows are told apart, and which is the newer one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) paths: Vec<Path>,
    pub(crate) cursor: Option<Path>,
    /// A column that is not NULL in a row that says its key is deleted.
    pub(crate) deleted: Option<String>,
}

impl Key {
    fn each(&self, row: &str) -> Vec<String> {
        self.paths.iter().map(|path| path.of(row)).collect()
    }

    fn number(&self, row: &str) -> String {
        format!("hash_record_extended(ROW({}), 0)", self.each(row).join(", "))
    }

    /// The newest first.
    fn order(&self, row: &str) -> String {
        let cursor = self.cursor.as_ref();
        let cursor =
            cursor.map_or(String::new(), |cursor| format!("{} DESC NULLS LAST, ", cursor.of(row)));
        let read = name::quote(name::EXTRACTED_AT);
        // New rows are only ever added behind the others: their place is the order they came in.
        format!("{cursor}{row}.{read} DESC NULLS LAST, {row}.ctid DESC")
    }

    fn matches(&self, old: &str, new: &str) -> String {
        let mut all = vec![format!("{} = {}", self.number(old), self.number(new))];
        let pairs = self.each(old).into_iter().zip(self.each(new));
        all.extend(pairs.map(|(old, new)| format!("{old} IS NOT DISTINCT FROM {new}")));
        all.join(" AND ")
    }

    /// Is a row of the table newer than one that came?
    fn is_newer(&self, old: &str, new: &str) -> String {
        let read = name::quote(name::EXTRACTED_AT);
        let later = format!("coalesce({old}.{read} > {new}.{read}, false)");
        match &self.cursor {
            None => later,
            Some(cursor) => {
                let (old, new) = (cursor.of(old), cursor.of(new));
                format!(
                    "(coalesce({old} > {new}, {old} IS NOT NULL AND {new} IS NULL) OR \
                     ({old} IS NOT DISTINCT FROM {new} AND {later}))"
                )
            }
        }
    }

    /// What is in the name of the index on the key, so that another key has another index.
    fn digest(&self, table: &Table) -> String {
        let mut parts = vec![&*table.schema, &*table.name];
        for path in &self.paths {
            parts.push("/");
            parts.push(&path.column);
            parts.extend(path.inner.iter().map(String::as_str));
        }
        name::digest(&parts)[..16].to_owned()
    }
}

/// How the names of indexes on keys begin.
pub(crate) const INDEX: &str = "_lockgate_key_";

/// The name of the index on the key of the stream whose place is `home`.
pub(crate) fn index_name(key: &Key, home: &Table) -> String {
    format!("{INDEX}{}", key.digest(home))
}

/// Creates the index on the key.
pub(crate) fn create_index(key: &Key, home: &Table, table: &Table) -> String {
    let name = name::quote(&index_name(key, home));
    let number = key.number(&name::quote(&table.name));
    format!("CREATE INDEX {name} ON {table} (({number}))")
}

/// Leaves one row a key in a table that was written without.
pub(crate) fn deduplicate(key: &Key, table: &Table) -> String {
    let (keys, order) = (key.each("t").join(", "), key.order("t"));
    let mut text = format!(
        "DELETE FROM {table} WHERE ctid IN (SELECT place FROM (SELECT t.ctid AS place, \
         row_number() OVER (PARTITION BY {keys} ORDER BY {order}) AS rank FROM {table} AS t) AS r \
         WHERE rank > 1)"
    );
    if let Some(deleted) = &key.deleted {
        text.push_str(&format!("; DELETE FROM {table} WHERE {} IS NOT NULL", name::quote(deleted)));
    }
    text
}

/// Puts rows into a table. `from` has the columns, of the types given; `columns` are those of the
/// table.
pub(crate) fn merge(
    key: &Key,
    from: &str,
    given: &[Column],
    into: &Table,
    columns: &[Column],
) -> String {
    let keys = key.each("n").join(", ");
    let order = key.order("n");
    let names = || std::iter::once(name::RAW_ID).chain(columns.iter().map(|c| &*c.name));
    let values: Vec<_> = std::iter::once(name::quote(name::RAW_ID))
        .chain(columns.iter().map(|column| {
            let quoted = name::quote(&column.name);
            let given = given.iter().find(|given| given.name == column.name);
            let value = given.map_or_else(
                || format!("NULL::{}", column.kind.sql()),
                |given| given.kind.cast(column.kind, &format!("n.{quoted}")),
            );
            format!("{value} AS {quoted}")
        }))
        .collect();
    let matches = key.matches("o", "n");
    let newer = key.is_newer("o", "n");
    let kept = key
        .deleted
        .as_ref()
        .map_or(String::new(), |deleted| format!("n.{} IS NULL AND ", name::quote(deleted)));
    let (names, values) = (list(names()), values.join(", "));
    format!(
        "WITH latest AS MATERIALIZED (SELECT DISTINCT ON ({keys}) {values} FROM {from} AS n \
         ORDER BY {keys}, {order}), \
         older AS (DELETE FROM {into} AS o USING latest AS n WHERE {matches} AND NOT {newer}) \
         INSERT INTO {into} ({names}) SELECT {names} FROM latest AS n WHERE {kept}NOT EXISTS \
         (SELECT FROM {into} AS o WHERE {matches} AND {newer})"
    )
}

/// Adds rows to a table.
pub(crate) fn append(from: &Table, given: &[Column], into: &Table, columns: &[Column]) -> String {
    let mut names = vec![name::RAW_ID];
    let mut values = vec![name::quote(name::RAW_ID)];
    for column in columns {
        if let Some(given) = given.iter().find(|given| given.name == column.name) {
            names.push(&column.name);
            values.push(given.kind.cast(column.kind, &name::quote(&column.name)));
        }
    }
    format!("INSERT INTO {into} ({}) SELECT {} FROM {from}", list(names), values.join(", "))
}
