//! A connection to the server: the frontend/backend protocol 3.0, as much of it as a writer needs.
//!
//! The attack: a server that is not the one meant, or turned. It asks for the password in clear, sends
//! something before the encryption begins, or announces a message of 2 GB. The password is only ever
//! proven (SCRAM), unless the connection is encrypted or the operator allows it; nothing is read ahead
//! of TLS; messages have a size. Failures name the table and the SQLSTATE, never a value.

mod auth;
mod error;
mod stream;

use std::io::{Read, Write};

use bytes::BytesMut;
use fallible_iterator::FallibleIterator as _;
use lockgate_sdk::Failure;
use postgres_protocol::message::backend::{Header, Message};
use postgres_protocol::message::frontend;

use self::error::{lost, strange};
pub(crate) use self::error::{no_longer, on_server};
use self::stream::Stream;
use crate::config::Config;

/// Bytes of a message of the server. Rows that are asked for are names of columns; 8 MiB is far more.
const MESSAGE: usize = 8 << 20;

/// Rows that a query may answer with: columns of a table, of which there are 1,600 at most.
const ROWS: usize = 10_000;

/// The oldest server that is written to: from 14 on a row can be hashed, which is how keys are found.
const OLDEST_SERVER: u32 = 140_000;

/// How long a lock is waited for. Whoever holds a table longer holds up its readers as well.
const LOCK_TIMEOUT: &str = "30s";

/// Bytes in front of the data of a message that carries a part of a COPY.
pub(crate) const COPY_HEADER: usize = 5;

/// A row of an answer, as text.
pub(crate) type Row = Vec<Option<String>>;

/// A session.
pub(crate) struct Connection {
    stream: Stream,
    incoming: BytesMut,
    outgoing: BytesMut,
    /// What the open COPY writes, for its failures.
    copying: Option<String>,
}

impl Connection {
    /// Connects, proves who it is, and sets the session up.
    pub(crate) fn open(config: &Config) -> Result<Self, Failure> {
        config.validate()?;
        let stream = stream::open(config)?;
        let mut connection =
            Self { stream, incoming: BytesMut::new(), outgoing: BytesMut::new(), copying: None };
        auth::start(&mut connection, config)?;
        connection.set_up()?;
        Ok(connection)
    }

    fn set_up(&mut self) -> Result<(), Failure> {
        // No setting of a role or a database changes what is written: not what names mean, not how
        // texts and times are read. A sync may wait long for its source, and for nobody else.
        let set = format!(
            "SET search_path = pg_catalog; SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; \
             SET standard_conforming_strings = on; SET client_min_messages = error; \
             SET default_transaction_isolation = 'read committed'; \
             SET lock_timeout = '{LOCK_TIMEOUT}'; SET statement_timeout = 0; \
             SET idle_in_transaction_session_timeout = 0; \
             SELECT current_setting('server_version_num'), current_setting('server_encoding')"
        );
        let rows = self.run(&set, "setting the session up")?;
        let answer = |place: usize| rows.first().and_then(|row| row.get(place)?.clone());
        let version = answer(0).and_then(|version| version.parse().ok()).unwrap_or(0_u32);
        if version < OLDEST_SERVER {
            return Err(Failure::config(format!(
                "the server is of version {}.{}, and 14 is the oldest that is supported",
                version / 10_000,
                version % 10_000
            )));
        }
        let encoding = answer(1).unwrap_or_default();
        if encoding != "UTF8" {
            return Err(Failure::config(format!(
                "the database has the encoding {encoding}, which does not have every character; UTF8 does"
            )));
        }
        Ok(())
    }

    /// Runs statements and gives the rows of all of them. `what` says in a failure what was done, as
    /// in "writing to x".
    pub(crate) fn run(&mut self, sql: &str, what: &str) -> Result<Vec<Row>, Failure> {
        frontend::query(sql, &mut self.outgoing).map_err(strange)?;
        self.send()?;
        let mut rows = Vec::new();
        let mut failed = None;
        loop {
            match self.receive()? {
                Message::DataRow(row) if rows.len() < ROWS => {
                    let buffer = row.buffer();
                    let mut fields = Vec::new();
                    let mut ranges = row.ranges();
                    while let Some(range) = ranges.next().map_err(strange)? {
                        let bytes = range.and_then(|range| buffer.get(range));
                        fields.push(bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned()));
                    }
                    rows.push(fields);
                }
                Message::ErrorResponse(body) => failed = Some(on_server(body.fields(), what)),
                Message::ReadyForQuery(_) => return failed.map_or(Ok(rows), Err),
                Message::RowDescription(_)
                | Message::CommandComplete(_)
                | Message::EmptyQueryResponse => {}
                _ => return Err(no_longer("it answered a query with something else")),
            }
        }
    }

    /// Begins a COPY into a table.
    pub(crate) fn begin_copy(&mut self, sql: &str, what: &str) -> Result<(), Failure> {
        frontend::query(sql, &mut self.outgoing).map_err(strange)?;
        self.send()?;
        match self.receive()? {
            Message::CopyInResponse(_) => {
                self.copying = Some(what.to_owned());
                Ok(())
            }
            Message::ErrorResponse(body) => Err(on_server(body.fields(), what)),
            _ => Err(no_longer("it answered a COPY with something else")),
        }
    }

    /// Sends a part of a COPY: lines, or parts of them, behind [`COPY_HEADER`] bytes that are filled
    /// in here, so that they are sent from where they are.
    pub(crate) fn copy(&mut self, message: &mut [u8]) -> Result<(), Failure> {
        let length = u32::try_from(message.len().saturating_sub(1))
            .map_err(|_| Failure::system("a part of a COPY is too long"))?;
        let [tag, size @ ..] = message else { return Ok(()) };
        *tag = b'd';
        if let Some(size) = size.get_mut(..4) {
            size.copy_from_slice(&length.to_be_bytes());
        }
        self.stream.write_all(message).map_err(lost)
    }

    /// Ends a COPY; its rows are in the table, as far as this transaction sees.
    pub(crate) fn end_copy(&mut self) -> Result<(), Failure> {
        let Some(what) = self.copying.take() else { return Ok(()) };
        frontend::copy_done(&mut self.outgoing);
        self.send()?;
        let mut failed = None;
        loop {
            match self.receive()? {
                Message::CommandComplete(_) => {}
                Message::ErrorResponse(body) => failed = Some(on_server(body.fields(), &what)),
                Message::ReadyForQuery(_) => return failed.map_or(Ok(()), Err),
                _ => return Err(no_longer("it answered a COPY with something else")),
            }
        }
    }

    fn send(&mut self) -> Result<(), Failure> {
        let result = self.stream.write_all(&self.outgoing).and_then(|()| self.stream.flush());
        self.outgoing.clear();
        result.map_err(lost)
    }

    /// The next message that is an answer.
    fn receive(&mut self) -> Result<Message, Failure> {
        loop {
            if let Some(header) = Header::parse(&self.incoming).map_err(strange)?
                && usize::try_from(header.len()).is_ok_and(|length| length > MESSAGE)
            {
                return Err(no_longer("it sent a message that is too long"));
            }
            match Message::parse(&mut self.incoming).map_err(strange)? {
                Some(
                    Message::NoticeResponse(_)
                    | Message::ParameterStatus(_)
                    | Message::NotificationResponse(_),
                ) => {}
                Some(message) => return Ok(message),
                None => {
                    let mut chunk = [0; 8192];
                    let count = self.stream.read(&mut chunk).map_err(lost)?;
                    if count == 0 {
                        return Err(lost(std::io::ErrorKind::UnexpectedEof.into()));
                    }
                    self.incoming.extend_from_slice(chunk.get(..count).unwrap_or_default());
                }
            }
        }
    }
}

/// Says goodbye: what was not committed is undone.
impl Drop for Connection {
    fn drop(&mut self) {
        if self.copying.is_some() {
            let _ = frontend::copy_fail("the sync ended", &mut self.outgoing);
        }
        frontend::terminate(&mut self.outgoing);
        let _ = self.send();
    }
}
