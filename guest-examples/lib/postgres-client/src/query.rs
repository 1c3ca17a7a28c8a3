//! Rows of a query, one at a time, from where they were received.
//!
//! A portal of the server gives so many rows, then waits to be asked for more. However many rows a
//! query has, what is held is one of them and what was read with it.

use bytes::Buf as _;
use lockgate_sdk::Failure;
use postgres_protocol::IsNull;
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend::{self, BindError};

use crate::connection::Connection;
use crate::error::{no_longer, on_server, strange};

/// Bytes of one row. It is held as it came and as what is made of it: 32 MiB leave room for both in a
/// component of 256 MiB.
pub const ROW_BYTES: usize = 32 << 20;

/// Bytes that are asked for at once, as far as the rows before can tell: what is on its way when a
/// query is given up is no more.
const FETCH_BYTES: u64 = 16 << 20;

/// Rows of the first answer: nothing is known of their size.
const FIRST_ROWS: u64 = 1000;

/// A tag and a length.
const HEADER: usize = 5;

/// A value of a statement, as text.
#[derive(Clone, Copy, Debug)]
pub struct Parameter<'a> {
    /// The OID of its type.
    pub kind: u32,
    /// Its text, as the server reads it.
    pub text: &'a str,
}

/// A query whose rows are being read. One that is not read to its end leaves a connection of which
/// nothing can be asked any more.
#[derive(Debug)]
pub struct Query<'c> {
    connection: &'c mut Connection,
    what: &'c str,
    /// Most rows of an answer.
    most: u64,
    /// Bytes at the start of what was received that belong to the row given last.
    given: usize,
    rows: u64,
    bytes: u64,
    ended: bool,
}

impl Connection {
    /// Asks for the rows of one query, in an open transaction. `formats` is one of text (0) or binary
    /// (1) for each column, or empty for text. `most` rows are asked for at once, or fewer if they are
    /// long. `what` says in a failure what was done.
    ///
    /// # Errors
    /// `transient` when the connection is lost. What the server has against the query is heard with
    /// its first row.
    pub fn query<'c>(
        &'c mut self,
        sql: &str,
        parameters: &[Parameter<'_>],
        formats: &[i16],
        most: u32,
        what: &'c str,
    ) -> Result<Query<'c>, Failure> {
        self.begin()?;
        let out = &mut self.outgoing;
        frontend::parse("", sql, parameters.iter().map(|p| p.kind), out).map_err(strange)?;
        let put = |parameter: &Parameter<'_>, out: &mut bytes::BytesMut| {
            out.extend_from_slice(parameter.text.as_bytes());
            Ok(IsNull::No)
        };
        frontend::bind("", "", [], parameters, put, formats.iter().copied(), out).map_err(
            |error| match error {
                BindError::Conversion(error) => strange(std::io::Error::other(error)),
                BindError::Serialization(error) => strange(error),
            },
        )?;
        let most = u64::from(most.clamp(1, i32::MAX.unsigned_abs()));
        let mut query =
            Query { connection: self, what, most, given: 0, rows: 0, bytes: 0, ended: false };
        query.fetch()?;
        Ok(query)
    }
}

impl Query<'_> {
    /// The next row; none at the end.
    ///
    /// # Errors
    /// The server's, `transient` when the connection is lost, and `config` for a row of more than
    /// [`ROW_BYTES`].
    #[expect(
        clippy::should_implement_trait,
        reason = "a row borrows what was received, which an Iterator cannot say"
    )]
    pub fn next(&mut self) -> Result<Option<Fields<'_>>, Failure> {
        self.connection.incoming.advance(std::mem::take(&mut self.given));
        if self.ended {
            return Ok(None);
        }
        let length = loop {
            match *self.connection.incoming {
                [b'D', a, b, c, d, ..] => {
                    // A row, its length without its tag.
                    let length = u32::from_be_bytes([a, b, c, d]) as usize + 1;
                    if length < HEADER + 2 {
                        return Err(no_longer("it sent a row that cannot be read"));
                    }
                    if length > ROW_BYTES {
                        return Err(Failure::config(format!(
                            "{} failed: a row has {length} bytes, and {ROW_BYTES} are the most; leave \
                             its long columns out of the stream",
                            self.what
                        )));
                    }
                    while self.connection.incoming.len() < length {
                        self.connection.read()?;
                    }
                    break length;
                }
                [] | [b'D', ..] => self.connection.read()?,
                _ => {
                    if !self.answer()? {
                        return Ok(None);
                    }
                }
            }
        };
        self.given = length;
        self.rows += 1;
        self.bytes += length as u64;
        let row = self.connection.incoming.get(HEADER..length).unwrap_or_default();
        Fields::new(row).map(Some)
    }

    /// Takes what is no row. Are there more rows?
    fn answer(&mut self) -> Result<bool, Failure> {
        let mut more = false;
        let mut failed = None;
        loop {
            match self.connection.receive()? {
                Message::ParseComplete | Message::BindComplete => return Ok(true),
                Message::CommandComplete(_) | Message::EmptyQueryResponse => {}
                Message::PortalSuspended => more = true,
                Message::ErrorResponse(body) => {
                    failed = Some(self.connection.told(on_server(body.fields(), self.what)));
                }
                Message::ReadyForQuery(_) => break,
                _ => return Err(no_longer("it answered a query with something else")),
            }
        }
        if let Some(failure) = failed {
            self.end();
            return Err(failure);
        }
        if more {
            self.fetch()?;
        } else {
            self.end();
        }
        Ok(more)
    }

    fn end(&mut self) {
        self.ended = true;
        self.connection.busy = false;
    }

    /// Asks for as many rows as `FETCH_BYTES` hold, by those that came.
    fn fetch(&mut self) -> Result<(), Failure> {
        let rows = self
            .bytes
            .checked_div(self.rows)
            .map_or(FIRST_ROWS, |bytes| FETCH_BYTES / bytes.max(1))
            .clamp(1, self.most);
        let rows = i32::try_from(rows).unwrap_or(i32::MAX);
        frontend::execute("", rows, &mut self.connection.outgoing).map_err(strange)?;
        frontend::sync(&mut self.connection.outgoing);
        self.connection.send()
    }
}

/// The values of a row, in the order of the query's columns.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
    left: u16,
}

impl<'a> Fields<'a> {
    fn new(row: &'a [u8]) -> Result<Self, Failure> {
        match row {
            [a, b, rest @ ..] => Ok(Self { rest, left: u16::from_be_bytes([*a, *b]) }),
            _ => Err(broken()),
        }
    }

    /// Bytes that are left.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.rest.len()
    }

    /// How many values are left.
    #[must_use]
    pub fn left(&self) -> usize {
        usize::from(self.left)
    }

    /// The next value; none for NULL.
    ///
    /// # Errors
    /// `system` when the row has no more, or announces what it does not have.
    #[inline]
    #[expect(
        clippy::should_implement_trait,
        reason = "what a row announces and does not have is a failure, and no end"
    )]
    pub fn next(&mut self) -> Result<Option<&'a [u8]>, Failure> {
        let (Some(left), [a, b, c, d, rest @ ..]) = (self.left.checked_sub(1), self.rest) else {
            return Err(broken());
        };
        self.left = left;
        self.rest = rest;
        let length = i32::from_be_bytes([*a, *b, *c, *d]);
        let Ok(length) = usize::try_from(length) else { return Ok(None) };
        let (value, rest) = rest.split_at_checked(length).ok_or_else(broken)?;
        self.rest = rest;
        Ok(Some(value))
    }
}

#[cold]
fn broken() -> Failure {
    no_longer("it sent a row that cannot be read")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_read_value_by_value() {
        let row = [0, 3, 0, 0, 0, 2, b'a', b'b', 255, 255, 255, 255, 0, 0, 0, 0];
        let mut fields = Fields::new(&row).unwrap();
        assert_eq!(fields.left(), 3);
        assert_eq!(fields.next().unwrap(), Some(&b"ab"[..]));
        assert_eq!(fields.next().unwrap(), None);
        assert_eq!(fields.next().unwrap(), Some(&b""[..]));
        assert!(fields.next().is_err());
    }

    #[test]
    fn a_row_that_announces_more_than_it_has_is_refused() {
        for row in [&[0][..], &[0, 1], &[0, 1, 0, 0, 0], &[0, 1, 0, 0, 0, 2, b'a']] {
            let read = Fields::new(row).and_then(|mut fields| fields.next().map(|_| ()));
            assert!(read.is_err(), "{row:?}");
        }
    }

    /// What a server sends: a tag, a length, a body.
    fn message(tag: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        [&[tag][..], &length, body].concat()
    }

    fn row(values: &[&str]) -> Vec<u8> {
        let mut body = u16::try_from(values.len()).unwrap().to_be_bytes().to_vec();
        for value in values {
            body.extend(u32::try_from(value.len()).unwrap().to_be_bytes());
            body.extend(value.as_bytes());
        }
        message(b'D', &body)
    }

    /// Reads all rows of a query that a server answers with some bytes, and then nothing.
    fn read_all(answer: Vec<u8>) -> (Vec<Vec<u8>>, Result<(), Failure>) {
        use std::io::{Read as _, Write as _};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let ready = message(b'Z', b"I");
        let serving = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut room = [0; 4096];
            let done = message(b'C', b"SELECT 1\0");
            let set_up = [row(&["150000", "UTF8"]), done, ready.clone()].concat();
            for answer in [[message(b'R', &[0; 4]), ready].concat(), set_up, answer] {
                if stream.read(&mut room).unwrap_or(0) == 0 || stream.write_all(&answer).is_err() {
                    return;
                }
            }
        });
        let server = crate::Server {
            side: crate::Side::Source,
            host: "127.0.0.1",
            port,
            database: "d",
            username: "u",
            password: "",
            sslmode: crate::SslMode::Disable,
            root_certificate: None,
            allow_unsafe_password: false,
        };
        let mut connection = Connection::open(&server, "").unwrap();
        let mut rows = Vec::new();
        let result = connection.query("SELECT", &[], &[], 10, "reading x").and_then(|mut query| {
            while let Some(mut fields) = query.next()? {
                rows.push(fields.next()?.unwrap_or_default().to_vec());
            }
            // And after the end there is no more.
            assert!(query.next()?.is_none());
            Ok(())
        });
        drop(connection);
        serving.join().unwrap();
        (rows, result)
    }

    #[test]
    fn a_server_that_is_turned_is_refused() {
        let one = [message(b'1', b""), message(b'2', b""), row(&["a"])].concat();
        let end = [message(b'C', b"SELECT 1\0"), message(b'Z', b"T")].concat();
        let (rows, result) = read_all([one.clone(), end.clone()].concat());
        assert_eq!((rows, result), (vec![b"a".to_vec()], Ok(())));
        let error = message(b'E', b"SERROR\0C42P01\0Mno such table\0\0");
        for (more, said) in [
            (vec![b'D', 0x7f, 0xff, 0xff, 0xff], "a row has"),
            (vec![b'D', 0, 0, 0, 4], "cannot be read"),
            (vec![b'D', 0, 0, 0, 0], "cannot be read"),
            (message(b'D', &[0, 1, 0, 0, 1, 0]), "cannot be read"),
            (vec![b'C', 0x7f, 0xff, 0xff, 0xff], "too long"),
            (vec![b'?', 0, 0, 0, 4], "cannot be read"),
            (message(b'G', &[0; 3]), "something else"),
            (row(&["cut"])[..6].to_vec(), "lost"),
            ([error, message(b'Z', b"E")].concat(), "reading x failed: no such table"),
        ] {
            let (rows, result) = read_all([one.clone(), more.clone()].concat());
            assert_eq!(rows.first(), Some(&b"a".to_vec()));
            let failure = result.unwrap_err();
            assert!(failure.message.contains(said), "{more:?}: {}", failure.message);
        }
    }
}
