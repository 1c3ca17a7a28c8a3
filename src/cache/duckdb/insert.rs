//! Rows into a table, by DuckDB's appender.

use std::borrow::Cow;

use ::duckdb::types::{TimeUnit, ToSql, ToSqlOutput, Value, ValueRef};
use ::duckdb::{Appender, Connection, appender_params_from_iter};

use super::tables::OURS;
use crate::cache::kept::Kept;
use crate::cache::key::{self, KEY_BYTES, Key};
use crate::cache::record::{Cell, Misfit, RecordFault, Shape, cell, changes};
use crate::cache::text::write_cell;
use crate::protocol::Rows;

/// Microseconds from the epoch to the end of the year 9999: what every reader of a table can show.
const LAST: i64 = 253_402_300_799_999_999;

/// Why a row is not in its table.
pub(super) enum InsertFault {
    Row(RecordFault),
    Database(::duckdb::Error),
}

impl From<::duckdb::Error> for InsertFault {
    fn from(error: ::duckdb::Error) -> Self {
        Self::Database(error)
    }
}

/// Writes the rows of one stream into one table.
#[derive(Debug)]
pub(super) struct Inserter {
    table: String,
    names: Vec<String>,
    shape: Shape,
    members: Vec<String>,
    key: Option<Key>,
    /// What begins the ids of its rows.
    salt: String,
    scratch: Vec<u8>,
}

/// A row, besides what is in its record.
pub(super) struct Given<'a> {
    pub(super) number: i64,
    pub(super) emitted_at: i64,
    pub(super) meta: Option<&'a str>,
}

/// A value on its way into a column.
enum Bound<'a> {
    Null,
    Boolean(bool),
    Integer(i64),
    Double(f64),
    Text(Cow<'a, str>),
    Key([u8; KEY_BYTES]),
    Date(i32),
    Time(i64),
    Timestamp(i64),
}

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> ::duckdb::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Owned(Value::Null),
            Self::Boolean(value) => ToSqlOutput::Owned(Value::Boolean(*value)),
            Self::Integer(value) => ToSqlOutput::Owned(Value::BigInt(*value)),
            Self::Double(value) => ToSqlOutput::Owned(Value::Double(*value)),
            Self::Text(value) => ToSqlOutput::Borrowed(ValueRef::Text(value.as_bytes())),
            Self::Key(value) => ToSqlOutput::Borrowed(ValueRef::Blob(value)),
            Self::Date(days) => ToSqlOutput::Owned(Value::Date32(*days)),
            Self::Time(micros) => ToSqlOutput::Owned(Value::Time64(TimeUnit::Microsecond, *micros)),
            Self::Timestamp(micros) => {
                ToSqlOutput::Owned(Value::Timestamp(TimeUnit::Microsecond, *micros))
            }
        })
    }
}

/// A value as DuckDB has it.
fn bound<'a>(cell: Cell<'a>) -> Result<Bound<'a>, Misfit> {
    Ok(match cell {
        Cell::Null => Bound::Null,
        Cell::Boolean(value) => Bound::Boolean(value),
        Cell::Integer(value) => Bound::Integer(value),
        Cell::Number(text) => match text.parse::<f64>() {
            Ok(value) if value.is_finite() => Bound::Double(value),
            _ => return Err(Misfit::Size),
        },
        Cell::Text(text) => Bound::Text(text),
        Cell::Json(text) => Bound::Text(Cow::Borrowed(text)),
        Cell::Date(days) => Bound::Date(days),
        Cell::Time(micros) => Bound::Time(micros),
        Cell::Timestamp(micros) | Cell::Instant(micros) => Bound::Timestamp(micros),
        other @ Cell::TimeTz(..) => {
            let mut text = String::new();
            write_cell(&mut text, &other);
            Bound::Text(Cow::Owned(text))
        }
    })
}

impl Inserter {
    /// For rows of a stream into a table, with its columns; `key`: by which they are one.
    pub(super) fn new(table: &str, kept: &Kept, key: &[Vec<String>]) -> Self {
        let columns = &kept.columns;
        let shape = Shape::new(columns, key::members(key));
        let typed = columns.iter().map(|column| column.name.clone());
        Self {
            table: table.to_owned(),
            names: OURS.into_iter().map(str::to_owned).chain(typed).collect(),
            key: Key::new(key, &shape),
            shape,
            members: columns.iter().map(|column| column.member.clone()).collect(),
            salt: kept.salt.clone(),
            scratch: Vec::new(),
        }
    }

    /// What takes rows of its table. To be flushed: only that says whether they were taken.
    pub(super) fn appender<'c>(
        &self,
        connection: &'c Connection,
    ) -> ::duckdb::Result<Appender<'c>> {
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        connection.appender_with_columns(&self.table, &names)
    }

    /// A batch, numbered from `first`.
    pub(super) fn batch(
        &mut self,
        connection: &Connection,
        rows: &Rows,
        first: i64,
    ) -> Result<(), InsertFault> {
        let mut appender = self.appender(connection)?;
        let mut metas = rows.meta.iter().peekable();
        for (i, (line, number)) in rows.lines().zip(first..).enumerate() {
            let meta = metas.next_if(|meta| meta.row as usize == i).map(|meta| meta.meta.get());
            let given = Given { number, emitted_at: rows.emitted_at.of(i), meta };
            self.row(&mut appender, line, &given)?;
        }
        Ok(appender.flush()?)
    }

    /// One row.
    pub(super) fn row(
        &mut self,
        appender: &mut Appender<'_>,
        line: &[u8],
        given: &Given<'_>,
    ) -> Result<(), InsertFault> {
        let mut values = Vec::new();
        let record = self.shape.read(line, &mut values).map_err(InsertFault::Row)?;
        let mut misfits: Vec<(&str, Misfit)> = Vec::new();
        let mut typed = Vec::with_capacity(self.members.len());
        let kinds = self.shape.kinds().iter().zip(&values);
        for ((kind, value), member) in kinds.zip(&self.members) {
            typed.push(cell(*kind, *value).and_then(bound).unwrap_or_else(|misfit| {
                misfits.push((member, misfit));
                Bound::Null
            }));
        }
        let text = |text: String| Bound::Text(Cow::Owned(text));
        let key = self.key.as_ref().map(|key| key.digest(&values, &mut self.scratch));
        let (first, second) = self.salt.split_at(self.salt.len().min(8));
        let changed = changes(given.meta, &misfits);
        let ours = [
            Bound::Integer(given.number),
            Bound::Text(Cow::Borrowed(record)),
            Bound::Integer(given.emitted_at),
            given.meta.map_or(Bound::Null, |meta| text(meta.to_owned())),
            key.map_or(Bound::Null, Bound::Key),
            text(format!("{first}-{second}-8000-8000-{:012x}", given.number)),
            Bound::Timestamp(given.emitted_at.saturating_mul(1000).clamp(-LAST, LAST)),
            text(changed.unwrap_or_else(|| r#"{"changes":[]}"#.to_owned())),
        ];
        let row = appender_params_from_iter(ours.into_iter().chain(typed));
        Ok(appender.append_row(row)?)
    }
}
