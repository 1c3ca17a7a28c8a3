//! Tries whether a configuration can be read from.

use lockgate_sdk::Failure;
use postgres_client::{Connection, literal};

use crate::config::Config;
use crate::relation::{Filter, Relation, load};
use crate::replication;

/// Missing names that a message lists.
const NAMED: usize = 5;

/// Looks at each schema and table that is named, and that there is something to read.
pub(crate) fn check(connection: &mut Connection, config: &Config) -> Result<(), Failure> {
    for schema in &config.schemas {
        schema_is_open(connection, config, schema)?;
    }
    let relations = load(connection, &Filter::of_config(config))?;
    let missing = missing(config, &relations);
    if !missing.is_empty() {
        let more = missing.len().saturating_sub(NAMED);
        let mut names = missing[..missing.len() - more].join(", ");
        if more > 0 {
            names.push_str(&format!(" and {more} more"));
        }
        return Err(Failure::config(format!(
            "`tables` names what is not in the schemas, or what {} may not read: {names}; GRANT SELECT \
             on it, or correct the name",
            config.username
        )));
    }
    if relations.is_empty() {
        return Err(Failure::config(format!(
            "{} may read no table of the schemas in `schemas`: GRANT SELECT ON ALL TABLES IN SCHEMA, or \
             name other schemas",
            config.username
        )));
    }
    match &config.replication {
        Some(replication) => replication::check(connection, config, replication),
        None => Ok(()),
    }
}

fn schema_is_open(
    connection: &mut Connection,
    config: &Config,
    schema: &str,
) -> Result<(), Failure> {
    let sql = format!(
        "SELECT has_schema_privilege(oid, 'USAGE') FROM pg_namespace WHERE nspname = {}",
        literal(schema)
    );
    let rows = connection.run(&sql, "looking for the schemas")?;
    match rows.first().and_then(|row| row.first()) {
        Some(Some(usable)) if usable == "t" => Ok(()),
        Some(_) => Err(Failure::config(format!(
            "{} may not use the schema {schema}: GRANT USAGE ON SCHEMA",
            config.username
        ))),
        None => Err(Failure::config(format!(
            "the database {} has no schema {schema}: correct `schemas`",
            config.database
        ))),
    }
}

/// The tables that are named and not there.
fn missing<'c>(config: &'c Config, relations: &[Relation]) -> Vec<&'c str> {
    let there = |name: &str| {
        relations.iter().any(|relation| {
            relation.name == name
                || name
                    .strip_prefix(&*relation.schema)
                    .and_then(|rest| rest.strip_prefix('.'))
                    .is_some_and(|rest| rest == relation.name)
        })
    };
    let names = config.tables.iter().flatten().map(|name| &**name);
    names.filter(|name| !there(name)).collect()
}
