//! A connection to the server: the frontend/backend protocol 3.0, as much of it as is needed here.

use std::fmt;
use std::io::{Read, Write};

use bytes::BytesMut;
use fallible_iterator::FallibleIterator as _;
use lockgate_sdk::Failure;
use postgres_protocol::message::backend::{Header, Message};
use postgres_protocol::message::frontend;

use crate::error::{Told, lost, no_longer, on_server, strange};
use crate::server::Server;
use crate::stream::Stream;
use crate::{auth, stream};

/// Bytes of a message of the server that is no row of a [`Query`](crate::Query). Rows that are asked
/// for otherwise are names of columns; 8 MiB is far more.
pub(crate) const MESSAGE_BYTES: usize = 8 << 20;

/// Rows that [`Connection::run`] may be answered with: columns of a table, of which there are 1,600 at
/// most.
const ROWS: usize = 10_000;

/// Bytes that are read at once: beyond it a call gets no cheaper.
const READ_BYTES: usize = 64 << 10;

/// The oldest server that is spoken to: from 14 on a row can be hashed, and a range of pages is read
/// without reading the rest.
const OLDEST_SERVER: u32 = 140_000;

/// How long a lock is waited for. Whoever holds a table longer holds up its readers as well.
const LOCK_TIMEOUT: &str = "30s";

/// Bytes in front of the data of a message that carries a part of a COPY.
pub const COPY_HEADER: usize = 5;

/// A row of an answer, as text.
pub type Row = Vec<Option<String>>;

/// A session.
pub struct Connection {
    stream: Stream,
    pub(crate) incoming: BytesMut,
    pub(crate) outgoing: BytesMut,
    /// What the open COPY writes, for its failures.
    copying: Option<String>,
    /// The server was asked for something and did not say that it is done.
    pub(crate) busy: bool,
    encoding: String,
    /// The SQLSTATE of what the server was asked last, if it failed.
    state: String,
}

impl Connection {
    /// Connects, proves who it is, and sets the session up. `settings` is what the connector sets
    /// beside what every session does: statements that end with a semicolon.
    ///
    /// # Errors
    /// Says which of them failed: the grant, the name, TLS, the password, the database.
    pub fn open(server: &Server<'_>, settings: &str) -> Result<Self, Failure> {
        Self::open_as(server, settings, false)
    }

    /// As [`Connection::open`], for [`Connection::replicate`]. The role must have `REPLICATION`.
    ///
    /// # Errors
    /// As [`Connection::open`], and `config` when the role may not replicate.
    pub fn open_to_replicate(server: &Server<'_>, settings: &str) -> Result<Self, Failure> {
        Self::open_as(server, settings, true)
    }

    fn open_as(server: &Server<'_>, settings: &str, replicates: bool) -> Result<Self, Failure> {
        server.validate()?;
        let mut connection = Self {
            stream: stream::open(server)?,
            incoming: BytesMut::new(),
            outgoing: BytesMut::new(),
            copying: None,
            busy: false,
            encoding: String::new(),
            state: String::new(),
        };
        auth::start(&mut connection, server, replicates)?;
        connection.set_up(settings)?;
        Ok(connection)
    }

    fn set_up(&mut self, settings: &str) -> Result<(), Failure> {
        // No setting of a role or a database changes what is read or written: not what names mean,
        // not how texts and times are. A sync may wait long for its other end, and for nobody else.
        let set = format!(
            "SET search_path = pg_catalog; SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; \
             SET standard_conforming_strings = on; SET client_min_messages = error; \
             SET lock_timeout = '{LOCK_TIMEOUT}'; SET statement_timeout = 0; \
             SET idle_in_transaction_session_timeout = 0; {settings} \
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
        self.encoding = answer(1).unwrap_or_default();
        Ok(())
    }

    /// The encoding of the database, as the server names it. What is sent and received is in UTF-8,
    /// which the server answers for unless this is `SQL_ASCII`.
    #[must_use]
    pub fn encoding(&self) -> &str {
        &self.encoding
    }

    /// The SQLSTATE that the server told of what it was asked last; empty where it told none.
    #[must_use]
    pub fn sqlstate(&self) -> &str {
        &self.state
    }

    /// Runs statements and gives the rows of all of them. `what` says in a failure what was done, as
    /// in "writing to x".
    ///
    /// # Errors
    /// The server's, and `transient` when the connection is lost.
    pub fn run(&mut self, sql: &str, what: &str) -> Result<Vec<Row>, Failure> {
        self.ask(sql)?;
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
                Message::ErrorResponse(body) => {
                    failed = Some(self.told(on_server(body.fields(), what)));
                }
                Message::ReadyForQuery(_) => {
                    self.busy = false;
                    return failed.map_or(Ok(rows), Err);
                }
                Message::RowDescription(_)
                | Message::CommandComplete(_)
                | Message::EmptyQueryResponse => {}
                _ => return Err(no_longer("it answered a query with something else")),
            }
        }
    }

    /// Begins a COPY into a table.
    ///
    /// # Errors
    /// As [`Connection::run`].
    pub fn begin_copy(&mut self, sql: &str, what: &str) -> Result<(), Failure> {
        self.ask(sql)?;
        match self.receive()? {
            Message::CopyInResponse(_) => {
                self.copying = Some(what.to_owned());
                Ok(())
            }
            Message::ErrorResponse(body) => Err(self.told(on_server(body.fields(), what))),
            _ => Err(no_longer("it answered a COPY with something else")),
        }
    }

    /// Sends a part of a COPY: lines, or parts of them, behind [`COPY_HEADER`] bytes that are filled
    /// in here, so that they are sent from where they are.
    ///
    /// # Errors
    /// As [`Connection::run`].
    pub fn copy(&mut self, message: &mut [u8]) -> Result<(), Failure> {
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
    ///
    /// # Errors
    /// As [`Connection::run`].
    pub fn end_copy(&mut self) -> Result<(), Failure> {
        let Some(what) = self.copying.take() else { return Ok(()) };
        frontend::copy_done(&mut self.outgoing);
        self.send()?;
        let mut failed = None;
        loop {
            match self.receive()? {
                Message::CommandComplete(_) => {}
                Message::ErrorResponse(body) => {
                    failed = Some(self.told(on_server(body.fields(), &what)));
                }
                Message::ReadyForQuery(_) => {
                    self.busy = false;
                    return failed.map_or(Ok(()), Err);
                }
                _ => return Err(no_longer("it answered a COPY with something else")),
            }
        }
    }

    fn ask(&mut self, sql: &str) -> Result<(), Failure> {
        self.begin()?;
        frontend::query(sql, &mut self.outgoing).map_err(strange)?;
        self.send()
    }

    /// Nothing is asked while an answer is on its way.
    pub(crate) fn begin(&mut self) -> Result<(), Failure> {
        self.state.clear();
        if std::mem::replace(&mut self.busy, true) {
            return Err(Failure::system("the last answer of the database was not read to its end"));
        }
        Ok(())
    }

    /// Keeps the SQLSTATE of what the server told.
    pub(crate) fn told(&mut self, told: Told) -> Failure {
        self.state = told.state;
        told.failure
    }

    pub(crate) fn is_encrypted(&self) -> bool {
        self.stream.is_encrypted()
    }

    pub(crate) fn send(&mut self) -> Result<(), Failure> {
        let result = self.stream.write_all(&self.outgoing).and_then(|()| self.stream.flush());
        self.outgoing.clear();
        result.map_err(lost)
    }

    /// Reads more of what the server sends.
    pub(crate) fn read(&mut self) -> Result<(), Failure> {
        let start = self.incoming.len();
        self.incoming.resize(start + READ_BYTES, 0);
        let room = self.incoming.get_mut(start..).unwrap_or_default();
        let read = self.stream.read(room);
        let count = *read.as_ref().unwrap_or(&0);
        self.incoming.truncate(start + count.min(READ_BYTES));
        match read {
            Ok(0) => Err(lost(std::io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(lost(error)),
        }
    }

    /// The next message that is an answer.
    pub(crate) fn receive(&mut self) -> Result<Message, Failure> {
        loop {
            if let Some(header) = Header::parse(&self.incoming).map_err(strange)?
                && usize::try_from(header.len()).is_ok_and(|length| length > MESSAGE_BYTES)
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
                None => self.read()?,
            }
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("encrypted", &self.is_encrypted())
            .field("busy", &self.busy)
            .finish_non_exhaustive()
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
