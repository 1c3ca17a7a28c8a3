//! Messages of the server's plugin `pgoutput`, protocol version 1.
//!
//! The attack: a server that is not what it seems, or a message that was cut. Every length is checked
//! before it is followed, nothing is set aside for what is only announced, and a message must end where
//! its parts do. What is given borrows the message.

mod reader;

pub(super) use self::reader::{Malformed, Reader};

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Message<'a> {
    /// A transaction follows.
    Begin(Begin),
    /// It ends.
    Commit {
        /// Behind its record.
        end: u64,
    },
    /// What a number stands for in messages that follow.
    Relation(Relation<'a>),
    /// A new row.
    Insert { relation: u32, new: Tuple<'a> },
    /// A changed row.
    Update { relation: u32, old: Option<Old<'a>>, new: Tuple<'a> },
    /// A deleted row.
    Delete { relation: u32, old: Old<'a> },
    /// All rows of tables are gone.
    Truncate(Relations<'a>),
    /// Where a transaction came from, what a type is called, what somebody wrote to the log: nothing
    /// is made of them.
    Other,
}

/// The start of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Begin {
    /// Where its commit is in the log.
    pub(super) commit: u64,
    /// When it was committed, in µs since 2000-01-01T00:00Z.
    pub(super) time: i64,
}

/// A table as it was when the rows that follow were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Relation<'a> {
    /// Its OID.
    pub(super) id: u32,
    count: u16,
    columns: &'a [u8],
}

/// A column of a [`Relation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Column<'a> {
    /// It is part of the replica identity: all are, where that is the whole row.
    pub(super) is_key: bool,
    pub(super) name: &'a [u8],
    /// The OID of its type.
    pub(super) type_oid: u32,
}

/// A row as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Old<'a> {
    /// With all its columns, and not those of the replica identity alone.
    pub(super) is_whole: bool,
    pub(super) row: Tuple<'a>,
}

/// Values of a row, in the order of the columns of its [`Relation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tuple<'a> {
    count: u16,
    /// Some are not sent, for they did not change.
    is_partial: bool,
    values: &'a [u8],
}

/// A value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Null,
    /// A long value, kept beside its row, that did not change: it is not sent.
    Unchanged,
    /// As the server writes it.
    Text(&'a [u8]),
}

/// Numbers of relations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Relations<'a>(&'a [u8]);

/// Reads one message.
pub(super) fn parse(bytes: &[u8]) -> Result<Message<'_>, Malformed> {
    let mut reader = Reader::new(bytes);
    let message = match reader.byte()? {
        b'B' => {
            let begin = Begin { commit: reader.u64()?, time: reader.i64()? };
            let _transaction = reader.u32()?;
            Message::Begin(begin)
        }
        b'C' => {
            let (_flags, _commit) = (reader.byte()?, reader.u64()?);
            let end = reader.u64()?;
            let _time = reader.i64()?;
            Message::Commit { end }
        }
        b'R' => Message::Relation(relation(&mut reader)?),
        b'I' => {
            let relation = reader.u32()?;
            reader.expect(b'N')?;
            Message::Insert { relation, new: tuple(&mut reader)? }
        }
        b'U' => {
            let relation = reader.u32()?;
            let mut tag = reader.byte()?;
            let mut old = None;
            if tag != b'N' {
                old = Some(old_row(tag, &mut reader)?);
                tag = reader.byte()?;
            }
            if tag != b'N' {
                return Err(Malformed);
            }
            Message::Update { relation, old, new: tuple(&mut reader)? }
        }
        b'D' => {
            let relation = reader.u32()?;
            let tag = reader.byte()?;
            Message::Delete { relation, old: old_row(tag, &mut reader)? }
        }
        b'T' => {
            let count = usize::try_from(reader.u32()?).map_err(|_| Malformed)?;
            let _options = reader.byte()?;
            Message::Truncate(Relations(reader.take(count.checked_mul(4).ok_or(Malformed)?)?))
        }
        b'O' => {
            reader.u64()?;
            reader.text()?;
            Message::Other
        }
        b'Y' => {
            reader.u32()?;
            reader.text()?;
            reader.text()?;
            Message::Other
        }
        b'M' => {
            reader.byte()?;
            reader.u64()?;
            reader.text()?;
            let length = reader.u32()?;
            reader.take(usize::try_from(length).map_err(|_| Malformed)?)?;
            Message::Other
        }
        _ => return Err(Malformed),
    };
    reader.end().map(|()| message)
}

fn relation<'a>(reader: &mut Reader<'a>) -> Result<Relation<'a>, Malformed> {
    let id = reader.u32()?;
    let _schema = reader.text()?;
    let _name = reader.text()?;
    let _identity = reader.byte()?;
    let count = reader.u16()?;
    let start = *reader;
    for _ in 0..count {
        column(reader)?;
    }
    Ok(Relation { id, count, columns: start.up_to(reader) })
}

fn column<'a>(reader: &mut Reader<'a>) -> Result<Column<'a>, Malformed> {
    let is_key = reader.byte()? & 1 == 1;
    let name = reader.text()?;
    let type_oid = reader.u32()?;
    let _modifier = reader.u32()?;
    Ok(Column { is_key, name, type_oid })
}

fn old_row<'a>(tag: u8, reader: &mut Reader<'a>) -> Result<Old<'a>, Malformed> {
    let is_whole = match tag {
        b'O' => true,
        b'K' => false,
        _ => return Err(Malformed),
    };
    Ok(Old { is_whole, row: tuple(reader)? })
}

fn tuple<'a>(reader: &mut Reader<'a>) -> Result<Tuple<'a>, Malformed> {
    let count = reader.u16()?;
    let start = *reader;
    let mut is_partial = false;
    for _ in 0..count {
        is_partial |= value(reader)? == Value::Unchanged;
    }
    Ok(Tuple { count, is_partial, values: start.up_to(reader) })
}

fn value<'a>(reader: &mut Reader<'a>) -> Result<Value<'a>, Malformed> {
    match reader.byte()? {
        b'n' => Ok(Value::Null),
        b'u' => Ok(Value::Unchanged),
        b't' => {
            let length = reader.u32()?;
            reader.take(usize::try_from(length).map_err(|_| Malformed)?).map(Value::Text)
        }
        // Binary is asked for by nobody.
        _ => Err(Malformed),
    }
}

impl<'a> Relation<'a> {
    pub(super) fn columns(&self) -> impl Iterator<Item = Column<'a>> + use<'a> {
        let mut reader = Reader::new(self.columns);
        // They were all read before.
        (0..self.count).map_while(move |_| column(&mut reader).ok())
    }
}

impl<'a> Tuple<'a> {
    /// How many values there are.
    pub(super) fn len(&self) -> usize {
        usize::from(self.count)
    }

    /// Is a value of it [`Value::Unchanged`]?
    pub(super) fn is_partial(&self) -> bool {
        self.is_partial
    }

    pub(super) fn values(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let mut reader = Reader::new(self.values);
        (0..self.count).map_while(move |_| value(&mut reader).ok())
    }
}

impl Relations<'_> {
    pub(super) fn numbers(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.chunks_exact(4).map(|bytes| bytes.iter().fold(0, |n, b| n << 8 | u32::from(*b)))
    }
}

#[cfg(test)]
pub(super) mod tests;
