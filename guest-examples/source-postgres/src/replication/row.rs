//! Rows of the log as lines of JSON.

use lockgate_sdk::{Failure, StreamOutput, log};
use postgres_client::{Connection, Parameter};
use serde_json::json;

use super::layout::{Layout, Place, select};
use super::lsn::{self, Lsn};
use super::pgoutput::{Old, Tuple, Value};
use crate::relation::{CAPTURED, Cast};
use crate::row::{make_room, malformed};
use crate::value::{Fit, Malformed, Scratch, push_text};

/// What is done when the server is asked for what the log does not say.
const WHAT: &str = "looking up a value that did not change";

/// What each row ends with: where in the log it is, when it was written, and when it was deleted.
#[derive(Debug)]
pub(super) struct Tail {
    time: i64,
    written: Vec<u8>,
    deleted: Vec<u8>,
}

impl Tail {
    /// Of rows that are read as they are, behind their last value.
    pub(super) fn of_snapshot(start: Lsn, time: i64) -> String {
        format!(",{}", members(start, time, false))
    }

    /// Of rows of a transaction that was committed there and then.
    pub(super) fn of_changes(commit: Lsn, time: i64) -> Self {
        let line = |is_deleted| format!("{}}}", members(commit, time, is_deleted)).into_bytes();
        Self { time, written: line(false), deleted: line(true) }
    }

    /// When the transaction was committed, in µs since 2000-01-01T00:00Z.
    pub(super) fn time(&self) -> i64 {
        self.time
    }
}

fn members(lsn: Lsn, time: i64, is_deleted: bool) -> String {
    let [place, updated, deleted] = CAPTURED;
    let time = lsn::time(time);
    let gone = if is_deleted { format!("\"{time}\"") } else { "null".to_owned() };
    format!("\"{place}\":{},\"{updated}\":\"{time}\",\"{deleted}\":{gone}", lsn.0)
}

/// Writes rows, and asks the server for what the log does not say of them.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    connection: &'a mut Connection,
    scratch: Scratch,
    /// Values of the row that is written that are not those of the log, by their places.
    looked_up: Vec<(usize, Known)>,
    /// What was changed in it.
    changes: Vec<(usize, Change)>,
}

/// What is known of a value that the log does not have, or not as it is sent.
#[derive(Debug)]
enum Known {
    /// It, as text; none for NULL.
    Value(Option<Vec<u8>>),
    /// Nothing: the server does not have it any more.
    Nothing,
    /// The server cannot make of it what is sent.
    Unreadable,
}

/// Does the server refuse a question because of a name, a type, a domain or the text of a value? Such a
/// failure is the log's age (XX000 where a type was dropped); that the role may not read a table (42501) is not.
fn is_outdated(sqlstate: &str) -> bool {
    match sqlstate.get(..2) {
        Some("42") => sqlstate != "42501",
        Some("22" | "23") => true,
        _ => sqlstate == "XX000",
    }
}

/// How a value was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Changed,
    Nulled,
    Missing,
}

impl<'a> Writer<'a> {
    pub(super) fn new(connection: &'a mut Connection) -> Self {
        Self { connection, scratch: Scratch::default(), looked_up: Vec::new(), changes: Vec::new() }
    }

    pub(super) fn connection(&mut self) -> &mut Connection {
        self.connection
    }

    /// Writes a row that was inserted or updated.
    pub(super) fn written(
        &mut self,
        layout: &Layout,
        table: &str,
        old: Option<&Old<'_>>,
        new: &Tuple<'_>,
        tail: &Tail,
        out: &mut StreamOutput<'_>,
    ) -> Result<(), Failure> {
        self.looked_up.clear();
        if new.is_partial() || layout.has_casts {
            self.look_up(layout, table, old, new, |_| true)?;
        }
        self.write(layout, new, |_| true, &tail.written, out)
    }

    /// Writes of a row that was deleted what the log has of it.
    pub(super) fn deleted(
        &mut self,
        layout: &Layout,
        table: &str,
        old: &Old<'_>,
        tail: &Tail,
        out: &mut StreamOutput<'_>,
    ) -> Result<(), Failure> {
        self.looked_up.clear();
        let has = |place: &Place| old.is_whole || place.is_key;
        if layout.has_casts {
            self.look_up(layout, table, None, &old.row, has)?;
        }
        self.write(layout, &old.row, has, &tail.deleted, out)
    }

    fn write(
        &mut self,
        layout: &Layout,
        row: &Tuple<'_>,
        has: impl Fn(&Place) -> bool,
        tail: &[u8],
        out: &mut StreamOutput<'_>,
    ) -> Result<(), Failure> {
        let mut encoded = Ok(());
        out.write_with(|out| encoded = self.encode(layout, row, has, tail, out))?;
        encoded?;
        if self.changes.is_empty() { Ok(()) } else { self.tell(layout, out) }
    }

    fn encode(
        &mut self,
        layout: &Layout,
        row: &Tuple<'_>,
        has: impl Fn(&Place) -> bool,
        tail: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        self.changes.clear();
        let start = out.len();
        out.push(b'{');
        for (at, (place, value)) in layout.places.iter().zip(row.values()).enumerate() {
            let Some(member) = place.member.as_ref().filter(|_| has(place)) else { continue };
            out.extend_from_slice(&member.prefix);
            let known = self.looked_up.iter().find(|(of, _)| *of == at).map(|(_, known)| known);
            let value = match (known, value) {
                (Some(Known::Value(value)), _) => value.as_deref(),
                (Some(Known::Unreadable), _) => {
                    self.changes.push((at, Change::Nulled));
                    None
                }
                (None, Value::Text(text)) => Some(text),
                (None, Value::Null) => None,
                (Some(Known::Nothing), _) | (None, Value::Unchanged) => {
                    self.changes.push((at, Change::Missing));
                    None
                }
            };
            match value {
                None => out.extend_from_slice(b"null"),
                Some(value) => {
                    make_room(value, start, out, &place.name)?;
                    let before = out.len();
                    match push_text(&member.kind, value, out, &mut self.scratch) {
                        Ok(Fit::Whole) => {}
                        Ok(Fit::Changed) => self.changes.push((at, Change::Changed)),
                        Ok(Fit::Nulled) => self.changes.push((at, Change::Nulled)),
                        // Its column has another type by now than when the log was written.
                        Err(Malformed) if known.is_some() => {
                            out.truncate(before);
                            out.extend_from_slice(b"null");
                            self.changes.push((at, Change::Missing));
                        }
                        Err(Malformed) => return Err(malformed(&place.name)),
                    }
                }
            }
            out.push(b',');
        }
        out.extend_from_slice(tail);
        Ok(())
    }

    /// Finds what the log does not have, or not as it is sent, of a row and of the one before it.
    #[cold]
    fn look_up(
        &mut self,
        layout: &Layout,
        table: &str,
        old: Option<&Old<'_>>,
        row: &Tuple<'_>,
        has: impl Fn(&Place) -> bool,
    ) -> Result<(), Failure> {
        // A value that did not change and is not sent is that of the old row, as far as it is there.
        let values: Vec<_> = (layout.places.iter().zip(row.values()).enumerate())
            .map(|(at, (place, value))| match value {
                Value::Unchanged => old
                    .filter(|old| old.is_whole || place.is_key)
                    .and_then(|old| old.row.values().nth(at))
                    .unwrap_or(value),
                value => value,
            })
            .collect();
        let mut missing = Vec::new();
        for (at, ((place, sent), value)) in
            layout.places.iter().zip(row.values()).zip(&values).enumerate()
        {
            let Some(member) = place.member.as_ref().filter(|_| has(place)) else { continue };
            let known = match value {
                Value::Unchanged => {
                    missing.push(at);
                    continue;
                }
                Value::Text(text) if member.cast != Cast::None => {
                    self.cast(member.cast, place.type_oid, text)?
                }
                Value::Text(text) if sent == Value::Unchanged => Known::Value(Some(text.to_vec())),
                Value::Null if sent == Value::Unchanged => Known::Value(None),
                _ => continue,
            };
            self.looked_up.push((at, known));
        }
        if missing.is_empty() {
            return Ok(());
        }
        let key: Vec<_> =
            layout.places.iter().zip(&values).filter(|(place, _)| place.is_key).collect();
        let mut parameters = Vec::new();
        for (place, value) in &key {
            if let Value::Text(bytes) = value
                && let Ok(text) = std::str::from_utf8(bytes)
            {
                parameters.push(Parameter { kind: place.type_oid, text });
            }
        }
        let found = if parameters.is_empty() || parameters.len() < key.len() {
            None
        } else {
            let columns = missing.iter().filter_map(|at| layout.places.get(*at));
            let sql = select(table, columns, key.iter().map(|(place, _)| *place));
            self.ask(&sql, &parameters)?
        };
        let mut found = found.into_iter().flatten();
        for at in missing {
            self.looked_up.push((at, found.next().map_or(Known::Nothing, Known::Value)));
        }
        Ok(())
    }

    /// Has the server make of a value what a query would select for it.
    fn cast(&mut self, cast: Cast, type_oid: u32, bytes: &[u8]) -> Result<Known, Failure> {
        let Ok(text) = std::str::from_utf8(bytes) else { return Ok(Known::Unreadable) };
        let sql = format!("SELECT {}", cast.of("$1"));
        let row = self.ask(&sql, &[Parameter { kind: type_oid, text }])?;
        Ok(row.and_then(|row| row.into_iter().next()).map_or(Known::Unreadable, Known::Value))
    }

    /// The first row of a query, as texts. None where there is none, or where a type or a table is no longer
    /// what it was when the log was written. Any other failure is one: a value that is there would be lost.
    fn ask(
        &mut self,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Option<Vec<Option<Vec<u8>>>>, Failure> {
        let mut found = None;
        let mut read = || {
            let mut query = self.connection.query(sql, parameters, &[], 2, WHAT)?;
            while let Some(mut row) = query.next()? {
                let mut values = Vec::new();
                while row.left() > 0 {
                    values.push(row.next()?.map(<[u8]>::to_vec));
                }
                found = Some(values);
            }
            Ok::<_, Failure>(())
        };
        match read() {
            Ok(()) => Ok(found),
            Err(failure) if is_outdated(self.connection.sqlstate()) => {
                log::debug(&failure.message);
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    /// Notes in a row's meta what it does not have as the table had it.
    #[cold]
    fn tell(&self, layout: &Layout, out: &mut StreamOutput<'_>) -> Result<(), Failure> {
        let change = |(at, change): &(usize, Change)| {
            let name = layout.places.get(*at).map_or("", |place| &place.name);
            let (change, reason) = match change {
                Change::Changed => ("TRUNCATED", "SOURCE_SERIALIZATION_ERROR"),
                Change::Nulled => ("NULLED", "SOURCE_SERIALIZATION_ERROR"),
                Change::Missing => ("NULLED", "SOURCE_RETRIEVAL_ERROR"),
            };
            json!({"field": name, "change": change, "reason": reason})
        };
        let changes: Vec<_> = self.changes.iter().map(change).collect();
        out.meta(&json!({ "changes": changes }))
    }
}

#[cfg(test)]
mod tests {
    use super::is_outdated;

    #[test]
    fn only_what_the_age_of_the_log_explains_is_no_failure() {
        for explained in ["42P01", "42703", "42704", "42883", "22P02", "22003", "23514", "XX000"] {
            assert!(is_outdated(explained), "{explained}");
        }
        // No rights, no memory, a cancelled statement, a failure that the server did not tell.
        for failed in ["42501", "53200", "57014", "55P03", "XX001", ""] {
            assert!(!is_outdated(failed), "{failed}");
        }
    }
}
