//! Rows of CSV as JSON.

use json_rows::ColumnType;
use json_rows::escape::push_string;
use lockgate_sdk::{Failure, StreamOutput, log};
use serde_json::json;

use super::records::Records;
use super::value::{self, Fit};
use crate::config::OnFault;
use crate::place::Opened;
use crate::shape::{FileMembers, Shape};

/// Writes the rows of one file.
pub(super) struct Encoder<'a> {
    file: &'a str,
    shape: &'a Shape,
    /// Columns of the file that are read, in its order.
    members: Vec<Member<'a>>,
    /// Columns that the file has not: null, as they stand at a row's end.
    absent: Vec<u8>,
    about: FileMembers,
    /// Fields that each row has.
    fields: usize,
    nulls: Nulls,
    changes: Vec<Change>,
}

struct Member<'a> {
    /// What stands before the value: `{"id":` or `,"name":`.
    prefix: Vec<u8>,
    name: &'a str,
    /// The field that it is.
    field: usize,
    kind: ColumnType,
}

/// Values that stand for null.
struct Nulls {
    empty: bool,
    others: Vec<Vec<u8>>,
}

impl Nulls {
    #[inline]
    fn contains(&self, value: &[u8]) -> bool {
        if value.is_empty() {
            return self.empty;
        }
        !self.others.is_empty() && self.others.iter().any(|null| null == value)
    }
}

/// What was changed in a row.
struct Change {
    /// A column's name.
    field: String,
    change: &'static str,
}

/// A row that is not written yet.
pub(super) struct Row {
    data: Vec<u8>,
    changes: Vec<Change>,
}

impl Row {
    pub(super) fn write(self, out: &mut StreamOutput<'_>) -> Result<(), Failure> {
        out.write_with(|batch| batch.extend_from_slice(&self.data))?;
        tell(&self.changes, out)
    }
}

fn tell(changes: &[Change], out: &mut StreamOutput<'_>) -> Result<(), Failure> {
    if changes.is_empty() {
        return Ok(());
    }
    let change = |change: &Change| {
        let Change { field, change } = change;
        json!({"field": field, "change": change, "reason": "SOURCE_SERIALIZATION_ERROR"})
    };
    let changes: Vec<_> = changes.iter().map(change).collect();
    out.meta(&json!({ "changes": changes }))
}

impl<'a> Encoder<'a> {
    /// Of a file whose columns have these names.
    pub(super) fn new(
        file: &'a Opened,
        shape: &'a Shape,
        names: &[String],
        nulls: &[String],
    ) -> Self {
        let mut members = Vec::new();
        let mut there = vec![false; shape.columns.len()];
        let mut unread = Vec::new();
        let prefix = |first: bool, name: &str| {
            let mut prefix = vec![if first { b'{' } else { b',' }];
            push_string(name.as_bytes(), &mut prefix);
            prefix.push(b':');
            prefix
        };
        for (field, name) in names.iter().enumerate() {
            let Some((place, (name, kind))) =
                shape.place(name).and_then(|place| Some((place, shape.columns.get(place)?)))
            else {
                unread.push(name.as_str());
                continue;
            };
            if let Some(there) = there.get_mut(place) {
                *there = true;
            }
            members.push(Member {
                prefix: prefix(members.is_empty(), name),
                name,
                field,
                kind: *kind,
            });
        }
        if !unread.is_empty() {
            log::info(format_args!(
                "{}: the columns {} are not in the stream's schema, and are not read",
                file.name,
                unread.join(", ")
            ));
        }
        let mut absent = Vec::new();
        for ((name, _), there) in shape.columns.iter().zip(there) {
            if !there {
                absent.extend(prefix(members.is_empty() && absent.is_empty(), name));
                absent.extend_from_slice(b"null");
            }
        }
        if members.is_empty() && absent.is_empty() {
            absent.push(b'{');
        }
        Self {
            file: &file.name,
            shape,
            absent,
            about: shape.file_members(&file.name),
            fields: names.len(),
            nulls: Nulls {
                empty: nulls.iter().any(String::is_empty),
                others: nulls
                    .iter()
                    .filter(|n| !n.is_empty())
                    .map(|n| n.clone().into_bytes())
                    .collect(),
            },
            members,
            changes: Vec::new(),
        }
    }

    /// Writes a record that begins in a line.
    pub(super) fn write(
        &mut self,
        records: &Records,
        line: u64,
        out: &mut StreamOutput<'_>,
    ) -> Result<(), Failure> {
        let mut encoded = Ok(());
        out.write_with(|batch| encoded = self.encode(records, line, batch))?;
        encoded?;
        if self.changes.is_empty() { Ok(()) } else { tell(&self.changes, out) }
    }

    /// Makes the row of the last record, which may not be whole.
    pub(super) fn last(&mut self, records: &Records, line: u64) -> Result<Row, Failure> {
        let mut data = Vec::new();
        self.encode(records, line, &mut data)?;
        Ok(Row { data, changes: std::mem::take(&mut self.changes) })
    }

    fn encode(&mut self, records: &Records, line: u64, out: &mut Vec<u8>) -> Result<(), Failure> {
        self.changes.clear();
        if records.len() != self.fields {
            self.ragged(records.len(), line)?;
        }
        for member in &self.members {
            out.extend_from_slice(&member.prefix);
            let field = records.field(member.field);
            if self.nulls.contains(field) || member.field >= records.len() {
                out.extend_from_slice(b"null");
                continue;
            }
            match value::push(member.kind, field, out) {
                Fit::Whole => {}
                Fit::Other if self.shape.on_mismatch == OnFault::Null => {
                    out.extend_from_slice(b"null");
                    self.changes.push(Change { field: member.name.to_owned(), change: "NULLED" });
                }
                fit => return Err(self.unfit(member, field, line, fit)),
            }
        }
        out.extend_from_slice(&self.absent);
        if !self.about.is_empty() {
            let first = self.shape.columns.is_empty();
            self.about.push(records.place().row, first, out);
        }
        out.push(b'}');
        Ok(())
    }

    #[cold]
    fn ragged(&mut self, given: usize, line: u64) -> Result<(), Failure> {
        if self.shape.ragged == OnFault::Fail {
            return Err(Failure::config(format!(
                "{}, line {line}: the row has {given} columns, and the header {}; correct the file, or set \
                 `ragged` to null",
                self.file, self.fields
            )));
        }
        let mut note = |field: &str, change| {
            self.changes.push(Change { field: field.to_owned(), change });
        };
        if given > self.fields {
            // What has no column is noted at the last one.
            if let Some(last) = self.members.last() {
                note(last.name, "TRUNCATED");
            }
        } else {
            for member in self.members.iter().filter(|member| member.field >= given) {
                note(member.name, "NULLED");
            }
        }
        Ok(())
    }

    #[cold]
    fn unfit(&self, member: &Member<'_>, value: &[u8], line: u64, fit: Fit) -> Failure {
        let place = format!("{}, line {line}, column {}", self.file, member.name);
        if fit == Fit::NoText {
            return Failure::config(format!(
                "{place}: a text of {} bytes that is not UTF-8: convert the file to it",
                value.len()
            ));
        }
        let wanted = match member.kind {
            ColumnType::Integer => "whole numbers",
            ColumnType::Number => "numbers",
            ColumnType::Boolean => "booleans",
            ColumnType::Date => "dates",
            ColumnType::Timestamp => "timestamps without a time zone",
            _ => "timestamps with a time zone",
        };
        Failure::config(format!(
            "{place}: {} in a column of {wanted}; name its type in `csv.types` and discover the streams \
             again, add what it stands for to `csv.null_values`, or set `on_mismatch` to null",
            value::describe(value)
        ))
    }
}
