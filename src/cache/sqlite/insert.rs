//! Rows into a table.

use std::borrow::Cow;

use rusqlite::{CachedStatement, Connection};

use super::tables::{OURS, insert_row};
use crate::cache::key::{self, KEY_BYTES, Key};
use crate::cache::record::{Cell, Misfit, RecordFault, Shape, cell, changes};
use crate::cache::text::write_cell;
use crate::cache::{CachedColumn, number};
use crate::protocol::Rows;

/// Why a row is not in its table.
pub(super) enum InsertFault {
    Row(RecordFault),
    Database(rusqlite::Error),
}

impl From<rusqlite::Error> for InsertFault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

impl From<rusqlite::types::FromSqlError> for InsertFault {
    fn from(error: rusqlite::types::FromSqlError) -> Self {
        Self::Database(error.into())
    }
}

/// Writes the rows of one stream into one table.
#[derive(Debug)]
pub(super) struct Inserter {
    sql: String,
    shape: Shape,
    members: Vec<String>,
    key: Option<Key>,
    scratch: Vec<u8>,
    text: String,
}

/// A row, besides what is in its record.
pub(super) struct Given<'a> {
    pub(super) number: i64,
    pub(super) emitted_at: i64,
    pub(super) meta: Option<&'a str>,
}

impl Inserter {
    pub(super) fn new(table: &str, columns: &[CachedColumn], key: &[Vec<String>]) -> Self {
        let shape = Shape::new(columns, key::members(key));
        Self {
            sql: insert_row(table, columns),
            key: Key::new(key, &shape),
            shape,
            members: columns.iter().map(|column| column.member.clone()).collect(),
            scratch: Vec::new(),
            text: String::new(),
        }
    }

    /// A batch, numbered from `first`.
    pub(super) fn batch(
        &mut self,
        connection: &Connection,
        rows: &Rows,
        first: i64,
    ) -> Result<(), InsertFault> {
        let mut statement = connection.prepare_cached(&self.sql)?;
        let mut values = Vec::new();
        let mut metas = rows.meta.iter().peekable();
        for (i, (line, number)) in rows.lines().zip(first..).enumerate() {
            let meta = metas.next_if(|meta| meta.row as usize == i).map(|meta| meta.meta.get());
            let given = Given { number, emitted_at: rows.emitted_at.of(i), meta };
            self.row(&mut statement, line, &given, &mut values)?;
        }
        Ok(())
    }

    /// One row.
    pub(super) fn row<'a>(
        &mut self,
        statement: &mut CachedStatement<'_>,
        line: &'a [u8],
        given: &Given<'_>,
        values: &mut Vec<Option<&'a str>>,
    ) -> Result<(), InsertFault> {
        let record = self.shape.read(line, values).map_err(InsertFault::Row)?;
        let mut misfits: Vec<(usize, Misfit)> = Vec::new();
        for (column, (kind, value)) in self.shape.kinds().iter().zip(values.iter()).enumerate() {
            let place = OURS.len() + 1 + column;
            let cell = match cell(*kind, *value) {
                Ok(cell) => cell,
                Err(misfit) => {
                    misfits.push((column, misfit));
                    Cell::Null
                }
            };
            bind(statement, place, &cell, &mut self.text)?;
        }
        let misfits: Vec<(&str, Misfit)> = misfits
            .into_iter()
            .filter_map(|(column, misfit)| Some((self.members.get(column)?.as_str(), misfit)))
            .collect();
        statement.raw_bind_parameter(1, given.number)?;
        statement.raw_bind_parameter(2, record)?;
        statement.raw_bind_parameter(3, given.emitted_at)?;
        statement.raw_bind_parameter(4, given.meta)?;
        statement.raw_bind_parameter(5, changes(given.meta, &misfits))?;
        let key: Option<[u8; KEY_BYTES]> =
            self.key.as_ref().map(|key| key.digest(values, &mut self.scratch));
        statement.raw_bind_parameter(6, key)?;
        statement.raw_execute()?;
        Ok(())
    }
}

/// A value as SQLite has it: times as text of one length, in UTC where they are instants.
fn bind(
    statement: &mut CachedStatement<'_>,
    place: usize,
    cell: &Cell<'_>,
    text: &mut String,
) -> rusqlite::Result<()> {
    text.clear();
    match cell {
        Cell::Null => return statement.raw_bind_parameter(place, rusqlite::types::Null),
        Cell::Boolean(value) => return statement.raw_bind_parameter(place, value),
        Cell::Integer(value) => return statement.raw_bind_parameter(place, value),
        Cell::Number(value) => {
            return match (number::integer(value), number::double(value)) {
                (Some(value), _) => statement.raw_bind_parameter(place, value),
                (None, Some(value)) => statement.raw_bind_parameter(place, value),
                // Of more digits than a machine's number: all of them, as text.
                (None, None) => statement.raw_bind_parameter(place, *value),
            };
        }
        Cell::Text(Cow::Borrowed(value)) | Cell::Json(value) => {
            return statement.raw_bind_parameter(place, *value);
        }
        Cell::Text(Cow::Owned(value)) => return statement.raw_bind_parameter(place, value),
        other => write_cell(text, other),
    }
    statement.raw_bind_parameter(place, text.as_str())
}
