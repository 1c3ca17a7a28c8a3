//! Rows: the values of a query as one line of JSON.

use json_rows::escape::escaped_length;
use lockgate_sdk::{Failure, StreamOutput};
use postgres_client::Fields;
use serde_json::json;

use crate::relation::Column;
use crate::value::{self, Fit, Scratch, push_string};

/// Bytes of a row as JSON. It may be held twice while the batch before it is sent, beside what it is
/// made from: a component has 256 MiB.
const JSON_BYTES: usize = 48 << 20;

/// A value of fewer bytes needs no measuring.
const LONG: usize = 1 << 20;

/// Writes rows of one stream.
#[derive(Debug)]
pub(crate) struct Encoder {
    members: Vec<Member>,
    /// What stands behind the last value.
    end: Vec<u8>,
    scratch: Scratch,
    /// What was changed in the row written last.
    changes: Vec<(usize, Fit)>,
}

/// Makes room for a value of a row that began at `start`, or says that the row is too long.
#[inline]
pub(crate) fn make_room(
    value: &[u8],
    start: usize,
    out: &mut Vec<u8>,
    column: &str,
) -> Result<(), Failure> {
    if value.len() > LONG {
        let length = escaped_length(value);
        if out.len() - start + length > JSON_BYTES {
            return Err(Failure::config(format!(
                "a row is longer than {JSON_BYTES} bytes as JSON: leave its long columns, such as \
                 {column}, out of the stream"
            )));
        }
        out.reserve_exact(length + 2);
    }
    Ok(())
}

/// A value that cannot be read.
pub(crate) fn malformed(column: &str) -> Failure {
    Failure::system(format!(
        "the server sent a value of the column {column} that is not as its type is written"
    ))
}

#[derive(Debug)]
struct Member {
    /// What stands before the value: `{"id":` or `,"name":`.
    prefix: Vec<u8>,
    column: Column,
}

impl Encoder {
    /// Of rows with some columns, in the order in which a query gives them.
    pub(crate) fn new<'c>(columns: impl IntoIterator<Item = &'c Column>) -> Self {
        let member = |(place, column): (usize, &Column)| {
            let mut prefix = vec![if place == 0 { b'{' } else { b',' }];
            push_string(column.name.as_bytes(), &mut prefix);
            prefix.push(b':');
            Member { prefix, column: column.clone() }
        };
        let members: Vec<_> = columns.into_iter().enumerate().map(member).collect();
        Self {
            end: if members.is_empty() { b"{}".to_vec() } else { b"}".to_vec() },
            members,
            scratch: Scratch::default(),
            changes: Vec::new(),
        }
    }

    /// With members more at the end of each row, as JSON: each a comma, its name and its value.
    pub(crate) fn with(mut self, more: &str) -> Self {
        let more =
            if self.members.is_empty() { more.replacen(',', "{", 1) } else { more.to_owned() };
        if !more.is_empty() {
            self.end = [more.as_bytes(), b"}"].concat();
        }
        self
    }

    /// Writes a row; what follows the stream's columns in it is left.
    pub(crate) fn write(
        &mut self,
        fields: Fields<'_>,
        stream: &mut StreamOutput<'_>,
    ) -> Result<(), Failure> {
        let mut encoded = Ok(());
        stream.write_with(|out| encoded = self.encode(fields, out))?;
        encoded?;
        if self.changes.is_empty() { Ok(()) } else { self.tell(stream) }
    }

    fn encode(&mut self, mut fields: Fields<'_>, out: &mut Vec<u8>) -> Result<(), Failure> {
        self.changes.clear();
        let start = out.len();
        for (place, member) in self.members.iter().enumerate() {
            out.extend_from_slice(&member.prefix);
            let Some(value) = fields.next()? else {
                out.extend_from_slice(b"null");
                continue;
            };
            make_room(value, start, out, &member.column.name)?;
            let kind = &member.column.kind;
            match value::push(kind, value, out, &mut self.scratch) {
                Ok(Fit::Whole) => {}
                Ok(fit) => self.changes.push((place, fit)),
                Err(value::Malformed) => return Err(malformed(&member.column.name)),
            }
        }
        out.extend_from_slice(&self.end);
        Ok(())
    }

    #[cold]
    fn tell(&self, stream: &mut StreamOutput<'_>) -> Result<(), Failure> {
        let change = |(place, fit): &(usize, Fit)| {
            let name = self.members.get(*place).map_or("", |member| &member.column.name);
            let change = if *fit == Fit::Nulled { "NULLED" } else { "TRUNCATED" };
            json!({"field": name, "change": change, "reason": "SOURCE_SERIALIZATION_ERROR"})
        };
        let changes: Vec<_> = self.changes.iter().map(change).collect();
        stream.meta(&json!({ "changes": changes }))
    }
}
