//! What is to happen to each stream, decided before the server is asked anything.

use std::collections::HashMap;

use lockgate_sdk::{Catalog, ConfiguredStream, DestinationSyncMode, Failure, StreamDescriptor};

use crate::row::{Field, SYSTEM};
use crate::sql::merge::{Key, Path};
use crate::sql::types::Type;
use crate::sql::{Column, Table, name};

/// The schema of what is kept here beside the streams' tables.
pub(crate) const INTERNAL: &str = "_lockgate";

/// A column that says, where it is not NULL, that its row was deleted at the source.
const DELETED: &str = "_ab_cdc_deleted_at";

/// What is to happen to a stream.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) descriptor: StreamDescriptor,
    /// The table whose readers see the stream.
    pub(crate) home: Table,
    /// Where rows are until they may replace those of the table.
    pub(crate) partial: Table,
    /// The declared members.
    pub(crate) fields: Vec<Field>,
    /// One row a key; none where rows are added.
    pub(crate) key: Option<Key>,
    /// Rows of other generations disappear when the stream is complete.
    pub(crate) replaces: bool,
    pub(crate) generation: u64,
    pub(crate) sync: u64,
}

impl Plan {
    /// The columns that are written, with the types that the stream asks for.
    pub(crate) fn wanted(&self) -> Vec<Column> {
        let fields = self.fields.iter().map(|field| field.column.clone());
        fields.chain(system()).collect()
    }
}

/// The columns that every table has.
pub(crate) fn system() -> impl Iterator<Item = Column> {
    SYSTEM.iter().map(|(name, kind)| Column { name: (*name).to_owned(), kind: *kind })
}

/// Decides about every stream.
pub(crate) fn plan(catalog: &Catalog, schema: &str) -> Result<Vec<Plan>, Failure> {
    let mut homes: HashMap<Table, &StreamDescriptor> = HashMap::new();
    let mut plans = Vec::new();
    for stream in &catalog.streams {
        let plan =
            plan_one(stream, schema).map_err(|failure| failure.in_stream(&stream.descriptor))?;
        if let Some(other) = homes.insert(plan.home.clone(), &stream.descriptor) {
            let home = &plan.home;
            return Err(Failure::config(format!(
                "the streams `{other}` and `{}` would both be written to the table {home}",
                stream.descriptor
            ))
            .in_stream(&stream.descriptor));
        }
        plans.push(plan);
    }
    Ok(plans)
}

fn plan_one(stream: &ConfiguredStream, default_schema: &str) -> Result<Plan, Failure> {
    let descriptor = &stream.descriptor;
    let (generation, minimum) = (stream.generation_id, stream.minimum_generation_id);
    if minimum != 0 && minimum != generation {
        return Err(Failure::config(format!(
            "the stream `{descriptor}` keeps rows from generation {minimum} on and is at generation \
             {generation}: it can keep all or replace all"
        )));
    }
    for number in [generation, stream.sync_id] {
        if i64::try_from(number).is_err() {
            return Err(Failure::system(format!(
                "{number} is too large for a generation or a sync"
            )));
        }
    }
    let namespace = descriptor.namespace.as_deref().unwrap_or(default_schema);
    if namespace == INTERNAL || namespace == "information_schema" || namespace.starts_with("pg_") {
        return Err(Failure::config(format!(
            "the stream `{descriptor}` would be written to the schema {}, which is not for streams",
            name::quote(namespace)
        )));
    }
    let home = Table::new(name::identifier(namespace), name::identifier(&descriptor.name));
    let partial = name::hashed(&format!("{}.{}", home.schema, home.name));
    let mut fields = fields(stream)?;
    let key = match stream.destination_sync_mode {
        DestinationSyncMode::Append | DestinationSyncMode::Overwrite => None,
        DestinationSyncMode::AppendDedup => Some(key(stream, &mut fields)?),
        DestinationSyncMode::Update | DestinationSyncMode::SoftDelete => {
            return Err(Failure::config(format!(
                "the stream `{descriptor}` is to be written in a mode that is not supported: append, \
                 overwrite and append-dedup are"
            )));
        }
    };
    refuse_shared_columns(descriptor, &fields)?;
    Ok(Plan {
        descriptor: descriptor.clone(),
        home,
        partial: Table::new(INTERNAL, partial),
        fields,
        key,
        replaces: minimum != 0 || stream.destination_sync_mode == DestinationSyncMode::Overwrite,
        generation,
        sync: stream.sync_id,
    })
}

fn fields(stream: &ConfiguredStream) -> Result<Vec<Field>, Failure> {
    let types = json_rows::of_schema(&stream.json_schema).map_err(|error| {
        let descriptor = &stream.descriptor;
        Failure::config(format!("the schema of the stream `{descriptor}` cannot be read"))
            .with_detail(error)
    })?;
    let fields = types.into_iter().map(|(member, kind)| Field {
        column: Column { name: name::column(&member), kind: kind.into() },
        member,
    });
    Ok(fields.collect())
}

/// By what rows of the stream are told apart. A member that only the key names gets a column.
fn key(stream: &ConfiguredStream, fields: &mut Vec<Field>) -> Result<Key, Failure> {
    let descriptor = &stream.descriptor;
    let mut path = |given: &[String]| -> Result<Path, Failure> {
        let Some((member, inner)) = given.split_first() else {
            return Err(Failure::config(format!(
                "a key of the stream `{descriptor}` has an empty path"
            )));
        };
        let column = match fields.iter().find(|field| field.member == *member) {
            Some(field) => field.column.clone(),
            None => {
                let column = Column { name: name::column(member), kind: Type::Jsonb };
                fields.push(Field { member: member.clone(), column: column.clone() });
                column
            }
        };
        if !inner.is_empty() && column.kind != Type::Jsonb {
            return Err(Failure::config(format!(
                "a key of the stream `{descriptor}` is inside `{member}`, which is not an object"
            )));
        }
        Ok(Path { column: column.name, inner: inner.to_vec() })
    };
    let paths =
        stream.primary_key.iter().map(|given| path(given)).collect::<Result<Vec<_>, _>>()?;
    if paths.is_empty() {
        return Err(Failure::config(format!(
            "the stream `{descriptor}` has no primary key, which append-dedup needs"
        )));
    }
    let cursor = match &stream.cursor_field[..] {
        [] => None,
        given => Some(path(given)?),
    };
    let deleted = fields.iter().find(|field| field.member == DELETED);
    Ok(Key { paths, cursor, deleted: deleted.map(|field| field.column.name.clone()) })
}

fn refuse_shared_columns(descriptor: &StreamDescriptor, fields: &[Field]) -> Result<(), Failure> {
    let mut columns = HashMap::new();
    for Field { member, column } in fields {
        if let Some(other) = columns.insert(&column.name, member) {
            return Err(Failure::config(format!(
                "the members `{other}` and `{member}` of the stream `{descriptor}` would share a column"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use lockgate_sdk::{FailureKind, testing};

    use super::*;

    fn dedup() -> ConfiguredStream {
        ConfiguredStream {
            destination_sync_mode: DestinationSyncMode::AppendDedup,
            primary_key: vec![vec!["id".to_owned()], vec!["a".to_owned(), "b".to_owned()]],
            cursor_field: vec!["at".to_owned()],
            json_schema: r#"{"properties":{"id":{"type":"integer"},"a":{"type":"object"}}}"#
                .to_owned(),
            ..testing::stream("s")
        }
    }

    fn refused(stream: ConfiguredStream) -> String {
        let failure = plan(&testing::catalog([stream]), "public").expect_err("it is refused");
        assert_eq!(failure.kind, FailureKind::Config);
        assert!(failure.stream.is_some());
        failure.message
    }

    #[test]
    fn a_key_is_found_in_the_schema_or_added_to_it() {
        let plans = plan(&testing::catalog([dedup()]), "public").expect("a plan");
        let key = plans[0].key.as_ref().expect("a key");
        assert_eq!(key.paths[1], Path { column: "a".to_owned(), inner: vec!["b".to_owned()] });
        assert_eq!(key.cursor, Some(Path { column: "at".to_owned(), inner: Vec::new() }));
        assert_eq!(plans[0].fields.len(), 3);
        assert_eq!(plans[0].home, Table::new("public", "s"));
    }

    #[test]
    fn what_cannot_be_written_is_refused() {
        let keyless = ConfiguredStream { primary_key: Vec::new(), ..dedup() };
        assert!(refused(keyless).contains("no primary key"));
        let inside = ConfiguredStream {
            primary_key: vec![vec!["id".to_owned(), "x".to_owned()]],
            ..dedup()
        };
        assert!(refused(inside).contains("inside `id`"));
        let hybrid = ConfiguredStream { generation_id: 3, minimum_generation_id: 2, ..dedup() };
        assert!(refused(hybrid).contains("keep all or replace all"));
        for namespace in ["_lockgate", "pg_catalog", "information_schema"] {
            let descriptor = StreamDescriptor::in_namespace(namespace, "streams");
            assert!(
                refused(ConfiguredStream { descriptor, ..dedup() }).contains("not for streams")
            );
        }
        let mode = DestinationSyncMode::Update;
        let changed = ConfiguredStream { destination_sync_mode: mode, ..dedup() };
        assert!(refused(changed).contains("not supported"));
    }

    #[test]
    fn two_streams_never_share_a_table() {
        let public = ConfiguredStream {
            descriptor: StreamDescriptor::in_namespace("public", "s"),
            ..testing::stream("s")
        };
        let catalog = testing::catalog([testing::stream("s"), public]);
        let failure = plan(&catalog, "public").expect_err("they would");
        assert!(failure.message.contains("both be written"), "{}", failure.message);
    }

    #[test]
    fn two_members_never_share_a_column() {
        let long = "x".repeat(64);
        let cut = name::column(&long);
        let json_schema = serde_json::json!({"properties": {&*long: {}, &*cut: {}}}).to_string();
        assert!(
            refused(ConfiguredStream { json_schema, ..testing::stream("s") }).contains("share")
        );
    }
}
