//! Relations as streams.

use lockgate_sdk::{Failure, Stream};
use postgres_client::Connection;
use serde_json::{Map, Value, json};

use super::{Column, Filter, Publication, Relation, load};
use crate::config::Config;
use crate::value::Kind;

/// What the role may read.
pub(crate) fn discover(
    connection: &mut Connection,
    config: &Config,
) -> Result<Vec<Stream>, Failure> {
    let mut relations = load(connection, &Filter::of_config(config))?;
    let captures = config.replication.is_some();
    if let Some(replication) = &config.replication {
        let publication = Publication::load(connection, replication)?;
        for relation in &mut relations {
            // Those that cannot be captured can be read in full.
            let _ = publication.capture(relation);
        }
    }
    Ok(relations.into_iter().map(|each| stream(each, captures)).collect())
}

/// What a row of a captured table has beside its columns: where in the log its change was committed,
/// when, and when it was deleted.
pub(crate) const CAPTURED: [&str; 3] = ["_ab_cdc_lsn", "_ab_cdc_updated_at", "_ab_cdc_deleted_at"];

fn stream(relation: Relation, captures: bool) -> Stream {
    let mut properties: Map<String, Value> = relation
        .columns
        .iter()
        .map(|column| (column.name.clone(), column_schema(column)))
        .collect();
    let [lsn, updated, deleted] = CAPTURED;
    if relation.is_captured {
        properties.insert(lsn.to_owned(), schema(&Kind::Integer));
        for time in [updated, deleted] {
            properties.insert(time.to_owned(), schema(&Kind::TimestampTz));
        }
    }
    let schema = json!({"type": "object", "properties": properties});
    let mut stream = Stream::new(relation.name, schema).namespace(relation.schema);
    if relation.is_captured {
        stream = stream.incremental().source_defined_cursor([lsn]);
    } else if !captures && relation.columns.iter().any(|column| column.is_cursor) {
        stream = stream.incremental();
    }
    if relation.has_pages {
        stream = stream.resumable();
    }
    stream.primary_key(relation.key.into_iter().map(|name| [name]))
}

fn column_schema(column: &Column) -> Value {
    match &column.kind {
        Kind::Array(..) if column.nested => json!({"type": ["null", "array"]}),
        kind => schema(kind),
    }
}

/// The schema of a type's values. Any may be null: a number that JSON lacks is.
fn schema(kind: &Kind) -> Value {
    let string = |format: &str, airbyte: &str| {
        let mut schema = json!({"type": ["null", "string"]});
        for (name, value) in [("format", format), ("airbyte_type", airbyte)] {
            if !value.is_empty() {
                schema[name] = value.into();
            }
        }
        schema
    };
    match kind {
        Kind::Integer => json!({"type": ["null", "integer"], "airbyte_type": "integer"}),
        Kind::Numeric | Kind::Float => json!({"type": ["null", "number"]}),
        Kind::Bool => json!({"type": ["null", "boolean"]}),
        Kind::Text => string("", ""),
        Kind::Bytes => json!({"type": ["null", "string"], "contentEncoding": "base64"}),
        Kind::Date => string("date", ""),
        Kind::Time => string("time", "time_without_timezone"),
        Kind::TimeTz => string("time", "time_with_timezone"),
        Kind::Timestamp => string("date-time", "timestamp_without_timezone"),
        Kind::TimestampTz => string("date-time", "timestamp_with_timezone"),
        Kind::Json => json!({"type": ["null", "object", "array", "string", "number", "boolean"]}),
        Kind::Array(element, _) => json!({"type": ["null", "array"], "items": schema(element)}),
    }
}
