//! An incremental read, in the order of a cursor.
//!
//! A state is the greatest value that was read and how many rows had it. It is taken where the value
//! changes, so that it covers all rows of its value that the snapshot has. The next read begins behind
//! it, unless the table has another number of rows with it by now: then it begins with them, and gives
//! them again.

use lockgate_sdk::{ConfiguredStream, Failure, log};
use postgres_client::{Fields, Parameter, quote};

use super::state::{Cursor, State};
use super::{Reading, formats};
use crate::relation::{Column, Relation};

/// A checkpoint is due after this much, if fewer rows than `fetch_size` came.
const CHECKPOINT_BYTES: usize = 32 << 20;

/// The column that a stream is read in the order of.
pub(super) fn column<'r>(
    relation: &'r Relation,
    stream: &ConfiguredStream,
) -> Result<&'r Column, Failure> {
    let usable = || {
        let names = relation.columns.iter().filter(|column| column.is_cursor).take(5);
        let names: Vec<_> = names.map(|column| column.name.as_str()).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    };
    let [name] = &stream.cursor_field[..] else {
        return Err(Failure::config(format!(
            "the stream is read incrementally, and its `cursor_field` is not one column: name a column \
             that grows with each change (there are: {}), or read it in full",
            usable()
        )));
    };
    match relation.column(name) {
        Some(column) if column.is_cursor => Ok(column),
        Some(_) => Err(Failure::config(format!(
            "the column {name} has a type whose order cannot be followed: take another one as \
             `cursor_field` (there are: {})",
            usable()
        ))),
        None => Err(Failure::config(format!(
            "`cursor_field` names the column {name}, which the table has not or which may not be read \
             (there are: {})",
            usable()
        ))),
    }
}

/// Reads what is new since a state.
pub(super) fn read(
    reading: &mut Reading<'_, '_>,
    column: &Column,
    saved: Option<State>,
) -> Result<(), Failure> {
    let mut at = match saved {
        Some(State::Cursor(saved)) if saved.field == column.name => saved,
        other => {
            if other.is_some() {
                log::warn(format_args!(
                    "{}: the stored state is of another cursor than {}, or of a full refresh; all rows \
                     are read",
                    reading.what, column.name
                ));
            }
            let at = Cursor { field: column.name.clone(), value: None, count: 0 };
            reading.without_cursor(column, at)?
        }
    };
    let condition = match &at.value {
        None => "IS NOT NULL".to_owned(),
        Some(value) => {
            // As many as were read: they are the same ones, as far as can be told.
            let same = reading.count(column, value)? == at.count;
            if !same {
                at.count = 0;
            }
            format!("{} $1", if same { ">" } else { ">=" })
        }
    };
    reading.in_order(column, &condition, &mut at)?;
    reading.out.checkpoint(State::Cursor(at))
}

impl Reading<'_, '_> {
    /// The first read gives the rows whose cursor is NULL before all others.
    fn without_cursor(&mut self, column: &Column, at: Cursor) -> Result<Cursor, Failure> {
        let sql = self.select(&format!("WHERE {} IS NULL", quote(&column.name)));
        let count = self.write_all(&sql)?;
        if count > 0 {
            log::warn(format_args!(
                "{}: {count} rows have no {}; they are read this once, and those that come later are \
                 not read before they have one",
                self.what, column.name
            ));
            self.out.checkpoint(State::Cursor(at.clone()))?;
        }
        Ok(at)
    }

    /// How many rows have a value.
    fn count(&mut self, column: &Column, value: &str) -> Result<u64, Failure> {
        let sql = format!(
            "SELECT count(*) FROM {} WHERE {} = $1",
            self.relation.sql(),
            quote(&column.name)
        );
        let value = Parameter { kind: column.type_oid, text: value };
        let counted = self.ask_count(&sql, value);
        counted.map_err(|failure| match self.connection.sqlstate().get(..2) {
            // The server cannot read it.
            Some("22") => Failure::config(format!(
                "the stored state is no value of the column {}, whose type seems to have changed: clear \
                 the stream's state, or read it in full",
                column.name
            )),
            _ => failure,
        })
    }

    fn ask_count(&mut self, sql: &str, value: Parameter<'_>) -> Result<u64, Failure> {
        let mut count = None;
        let mut query = self.connection.query(sql, &[value], &[], 1, &self.what)?;
        while let Some(mut row) = query.next()? {
            let text = row.next()?.and_then(|bytes| std::str::from_utf8(bytes).ok());
            count = text.and_then(|text| text.parse().ok());
        }
        count.ok_or_else(|| Failure::system("the server does not say how many rows there are"))
    }

    /// Writes rows in the order of the cursor, with a checkpoint now and then; `at` is where they end.
    fn in_order(
        &mut self,
        column: &Column,
        condition: &str,
        at: &mut Cursor,
    ) -> Result<(), Failure> {
        let name = quote(&column.name);
        let sql = self.select(&format!("WHERE {name} {condition} ORDER BY {name}"));
        let place = self.columns.iter().position(|each| *each == column).unwrap_or_default();
        let formats = formats(&self.columns);
        let mut last = at.value.clone().map(String::into_bytes);
        let value = at.value.as_deref();
        let value: Vec<_> =
            value.map(|text| Parameter { kind: column.type_oid, text }).into_iter().collect();
        let most = self.config.fetch_size;
        let (mut rows, mut bytes, mut any) = (0, 0, false);
        let mut count = at.count;
        let mut query = self.connection.query(&sql, &value, &formats, most, &self.what)?;
        drop(value);
        while let Some(row) = query.next()? {
            let value = nth(row, place)?;
            // Nothing would ever come after it: it is no place to go on from.
            if !column.kind.is_last(value) {
                any = true;
                if last.as_deref() == Some(value) {
                    count += 1;
                } else {
                    if rows >= most || bytes >= CHECKPOINT_BYTES {
                        (rows, bytes) = (0, 0);
                        let state = state(column, last.as_deref(), count)?;
                        self.out.checkpoint(State::Cursor(state))?;
                    }
                    let room = last.get_or_insert_default();
                    room.clear();
                    room.extend_from_slice(value);
                    count = 1;
                }
            }
            rows = rows.saturating_add(1);
            bytes += row.bytes();
            self.encoder.write(row, &mut self.out.stream()?)?;
        }
        *at = state(column, last.as_deref(), count)?;
        if any && let Some(value) = &at.value {
            // Two texts may be one value to the server, as 1.0 and 1.00 are.
            at.count = self.count(column, value)?;
        }
        Ok(())
    }
}

fn nth<'a>(mut row: Fields<'a>, place: usize) -> Result<&'a [u8], Failure> {
    for _ in 0..place {
        row.next()?;
    }
    row.next()?.ok_or_else(|| Failure::system("the server sent a row without its cursor"))
}

fn state(column: &Column, value: Option<&[u8]>, count: u64) -> Result<Cursor, Failure> {
    let text = |bytes: &[u8]| {
        String::from_utf8(bytes.to_vec()).map_err(|_| {
            Failure::config(format!(
                "the column {} has a value that is not UTF-8, which cannot be stored: take another one \
                 as `cursor_field`",
                column.name
            ))
        })
    };
    let value = value.map(text).transpose()?;
    Ok(Cursor { field: column.name.clone(), value, count })
}
