//! From the table there is to the one that is wanted: columns are added and widened, never removed,
//! narrowed or renamed.

use super::types::Type;
use super::{Column, name};

/// A column as the server tells of it.
#[derive(Clone, Debug)]
pub(crate) struct Existing {
    pub(crate) name: String,
    /// As `format_type` writes it.
    pub(crate) kind: String,
    pub(crate) has_default: bool,
}

/// What has to happen to a table.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Evolution {
    /// Clauses of `ALTER TABLE`; none when the table is as it must be.
    pub(crate) clauses: Vec<String>,
    /// The wanted columns, with the types they have afterwards.
    pub(crate) columns: Vec<Column>,
}

/// A column of a type that nothing is written to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unwritable {
    pub(crate) column: String,
    pub(crate) kind: String,
}

/// Compares what there is with what is wanted.
pub(crate) fn evolve(existing: &[Existing], wanted: &[Column]) -> Result<Evolution, Unwritable> {
    let found = |name: &str| existing.iter().find(|column| column.name == name);
    let mut clauses = Vec::new();
    match found(name::RAW_ID) {
        None => clauses.push(format!("ADD COLUMN {}", raw_id())),
        Some(column) if !column.has_default => clauses.push(format!(
            "ALTER COLUMN {} SET DEFAULT gen_random_uuid()",
            name::quote(name::RAW_ID)
        )),
        Some(_) => {}
    }
    let mut columns = Vec::with_capacity(wanted.len());
    for Column { name, kind } in wanted {
        let quoted = name::quote(name);
        let Some(there) = found(name) else {
            clauses.push(format!("ADD COLUMN {quoted} {}", kind.sql()));
            columns.push(Column { name: name.clone(), kind: *kind });
            continue;
        };
        let (before, same) = Type::of_server(&there.kind)
            .ok_or_else(|| Unwritable { column: name.clone(), kind: there.kind.clone() })?;
        let after = before.join(*kind);
        if !same || after != before {
            let using = if same {
                before.cast(after, &quoted)
            } else {
                before.cast(after, &format!("{quoted}::{}", before.sql()))
            };
            clauses.push(format!("ALTER COLUMN {quoted} TYPE {} USING {using}", after.sql()));
        }
        columns.push(Column { name: name.clone(), kind: after });
    }
    Ok(Evolution { clauses, columns })
}

/// `CREATE TABLE`'s columns.
pub(crate) fn definitions(columns: &[Column]) -> String {
    let mut all = vec![raw_id()];
    all.extend(columns.iter().map(|Column { name, kind }| {
        let always = [name::EXTRACTED_AT, name::META, name::GENERATION_ID].contains(&&**name);
        let must = if always { " NOT NULL" } else { "" };
        format!("{} {}{must}", name::quote(name), kind.sql())
    }));
    all.join(", ")
}

/// The server names rows: it costs less than sending a name with each.
fn raw_id() -> String {
    format!("{} uuid NOT NULL DEFAULT gen_random_uuid()", name::quote(name::RAW_ID))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn existing(columns: &[(&str, &str)]) -> Vec<Existing> {
        let own = [(name::RAW_ID, "uuid")];
        let all = own.iter().chain(columns);
        let existing = all.map(|(name, kind)| Existing {
            name: (*name).to_owned(),
            kind: (*kind).to_owned(),
            has_default: *name == name::RAW_ID,
        });
        existing.collect()
    }

    fn wanted(columns: &[(&str, Type)]) -> Vec<Column> {
        columns
            .iter()
            .map(|(name, kind)| Column { name: (*name).to_owned(), kind: *kind })
            .collect()
    }

    #[test]
    fn a_table_that_fits_stays_as_it_is() {
        let there = existing(&[("a", "bigint"), ("gone", "text"), ("wide", "text")]);
        let want = wanted(&[("a", Type::BigInt), ("wide", Type::Date)]);
        let evolution = evolve(&there, &want).expect("it fits");
        assert_eq!(evolution.clauses, Vec::<String>::new());
        // What is wider than it need be is written as it is.
        assert_eq!(evolution.columns, wanted(&[("a", Type::BigInt), ("wide", Type::Text)]));
    }

    #[test]
    fn columns_are_added_and_widened() {
        let there = existing(&[("a", "bigint"), ("b", "date"), ("c", "character varying(9)")]);
        let want = wanted(&[
            ("a", Type::Numeric),
            ("b", Type::Text),
            ("c", Type::Text),
            ("d\"", Type::Jsonb),
        ]);
        let evolution = evolve(&there, &want).expect("it can be widened");
        assert_eq!(
            evolution.clauses,
            [
                r#"ALTER COLUMN "a" TYPE numeric USING "a"::numeric"#,
                r#"ALTER COLUMN "b" TYPE text USING (to_jsonb("b") #>> '{}')"#,
                r#"ALTER COLUMN "c" TYPE text USING "c"::text"#,
                r#"ADD COLUMN "d""" jsonb"#,
            ]
        );
    }

    #[test]
    fn a_type_that_nothing_is_written_to_is_refused() {
        let refused = evolve(&existing(&[("a", "point")]), &wanted(&[("a", Type::Text)]));
        let expected = Unwritable { column: "a".to_owned(), kind: "point".to_owned() };
        assert_eq!(refused, Err(expected));
    }
}
