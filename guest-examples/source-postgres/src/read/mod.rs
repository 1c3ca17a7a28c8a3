//! Reads streams, each under one snapshot of the database.

mod cursor;
mod pages;
mod place;
mod state;
mod whole;

use lockgate_sdk::{Catalog, ConfiguredStream, Failure, Output, SavedState, SyncMode, log};
use postgres_client::Connection;

pub(crate) use self::place::{Keeper, Place};
pub(crate) use self::state::State;
use crate::config::Config;
use crate::relation::{CAPTURED, Column, Filter, Relation, load};
use crate::row::Encoder;
use crate::session;

/// Columns of a configured stream that are missed and told of.
const NAMED: usize = 5;

/// Reads all streams, one after the other.
pub(crate) fn read(
    config: &Config,
    catalog: &Catalog,
    state: &SavedState,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    let mut connection = session::open(config)?;
    for (index, stream) in catalog.streams.iter().enumerate() {
        let saved = state.stream(&stream.descriptor)?;
        let place = Place::new(output, index, Keeper::Stream);
        read_stream(&mut connection, config, stream, saved, place)
            .map_err(|failure| failure.in_stream(&stream.descriptor))?;
    }
    Ok(())
}

/// A stream that is being read.
struct Reading<'a, 'o> {
    connection: &'a mut Connection,
    config: &'a Config,
    relation: &'a Relation,
    /// Those that are asked for: the stream's in the table's order, then the cursor's if it is none of
    /// them.
    columns: Vec<&'a Column>,
    encoder: Encoder,
    /// What is done, for failures.
    what: String,
    out: Place<'a, 'o>,
}

fn read_stream(
    connection: &mut Connection,
    config: &Config,
    stream: &ConfiguredStream,
    saved: Option<State>,
    place: Place<'_, '_>,
) -> Result<(), Failure> {
    let relation = find(connection, config, stream)?;
    let columns = selected(&relation, stream)?;
    let encoder = Encoder::new(columns.iter().copied());
    let cursor = match stream.sync_mode {
        SyncMode::Incremental => Some(cursor::column(&relation, stream)?),
        SyncMode::FullRefresh => None,
    };
    let mut reading = Reading::begin(connection, config, &relation, columns, encoder, place)?;
    match cursor {
        Some(cursor) => {
            if !reading.columns.contains(&cursor) {
                reading.columns.push(cursor);
            }
            cursor::read(&mut reading, cursor, saved)?;
        }
        None => reading.all(saved)?,
    }
    reading.end()?.stream()?.complete()
}

/// The table that a stream is of.
pub(crate) fn find(
    connection: &mut Connection,
    config: &Config,
    stream: &ConfiguredStream,
) -> Result<Relation, Failure> {
    let descriptor = &stream.descriptor;
    let found = load(connection, &Filter::of_stream(descriptor, config))?;
    // By its very name: the server has no U+0000, which a query leaves out.
    let mut found = found.into_iter().filter(|relation| relation.name == descriptor.name);
    found.next().ok_or_else(|| {
        Failure::config(format!(
            "there is no table {descriptor}, or {} may not read it: discover the streams again, or GRANT \
             USAGE ON SCHEMA and SELECT",
            config.username
        ))
    })
}

/// Reads all rows of a stream, or those that a state leaves. Each ends with some members more, as JSON:
/// a comma, a name and a value for each.
pub(crate) fn read_all(
    connection: &mut Connection,
    config: &Config,
    relation: &Relation,
    columns: Vec<&Column>,
    more: &str,
    saved: Option<State>,
    place: Place<'_, '_>,
) -> Result<(), Failure> {
    let encoder = Encoder::new(columns.iter().copied()).with(more);
    let mut reading = Reading::begin(connection, config, relation, columns, encoder, place)?;
    reading.all(saved)?;
    reading.end().map(|_| ())
}

/// The columns that a configured stream has, in the table's order; all where it declares none.
pub(crate) fn selected<'r>(
    relation: &'r Relation,
    stream: &ConfiguredStream,
) -> Result<Vec<&'r Column>, Failure> {
    let schema: serde_json::Value = serde_json::from_str(&stream.json_schema).map_err(|_| {
        Failure::config("the stream's schema in the configured catalog is not JSON")
    })?;
    let Some(properties) = schema["properties"].as_object().filter(|all| !all.is_empty()) else {
        return Ok(relation.columns.iter().collect());
    };
    let missing: Vec<_> = properties.keys().filter(|name| !is_known(relation, name)).collect();
    if !missing.is_empty() {
        let names: Vec<_> = missing.iter().take(NAMED).map(|name| name.as_str()).collect();
        log::warn(format_args!(
            "the stream {} has {} columns that the table has not, or that may not be read, such as {}: \
             they are left out",
            stream.descriptor,
            missing.len(),
            names.join(", ")
        ));
    }
    Ok(relation.columns.iter().filter(|column| properties.contains_key(&column.name)).collect())
}

fn is_known(relation: &Relation, name: &str) -> bool {
    relation.column(name).is_some() || (relation.is_captured && CAPTURED.contains(&name))
}

impl<'a, 'o> Reading<'a, 'o> {
    /// Begins a snapshot: one for all queries of the stream. The first of them takes the lock that keeps
    /// the table's files as they are, and those of its parts.
    fn begin(
        connection: &'a mut Connection,
        config: &'a Config,
        relation: &'a Relation,
        columns: Vec<&'a Column>,
        encoder: Encoder,
        out: Place<'a, 'o>,
    ) -> Result<Self, Failure> {
        let what = format!("reading {}", relation.sql());
        connection.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", &what)?;
        connection.run(&format!("SELECT FROM {} LIMIT 0", relation.sql()), &what)?;
        Ok(Self { connection, config, relation, columns, encoder, what, out })
    }

    fn end(self) -> Result<Place<'a, 'o>, Failure> {
        self.connection.run("COMMIT", "ending the read")?;
        Ok(self.out)
    }

    fn all(&mut self, saved: Option<State>) -> Result<(), Failure> {
        if self.relation.has_pages { pages::read(self, saved) } else { whole::read(self, saved) }
    }

    /// `SELECT` of all columns, and what follows.
    fn select(&self, condition: &str) -> String {
        let columns: Vec<_> = self.columns.iter().map(|column| column.expression()).collect();
        format!("SELECT {} FROM {} {condition}", columns.join(", "), self.relation.sql())
    }

    /// Writes all rows of a query of [`Reading::select`], and counts them.
    fn write_all(&mut self, sql: &str) -> Result<u64, Failure> {
        let formats = formats(&self.columns);
        let most = self.config.fetch_size;
        let mut query = self.connection.query(sql, &[], &formats, most, &self.what)?;
        let mut out = self.out.stream()?;
        let mut count = 0;
        while let Some(row) = query.next()? {
            self.encoder.write(row, &mut out)?;
            count += 1;
        }
        Ok(count)
    }
}

/// The formats that columns are asked for in.
fn formats(columns: &[&Column]) -> Vec<i16> {
    columns.iter().map(|column| column.kind.format()).collect()
}
