//! The server's log, as it is decoded for a replication slot.
//!
//! Both sides send at once: the server what was written, and here how far it was kept. However large a
//! transaction is, what is held is one message of it; the server waits while nothing is taken.

use bytes::{Buf as _, BufMut as _};
use lockgate_sdk::Failure;
use postgres_protocol::message::backend::{Header, Message};
use postgres_protocol::message::frontend;

use crate::connection::{Connection, MESSAGE_BYTES};
use crate::error::{no_longer, on_server, strange};
use crate::query::ROW_BYTES;

/// A tag and a length.
const HEADER: usize = 5;

/// What stands before a part of the log: a letter, where it begins, where the log ends, and when it was
/// sent.
const PART_HEADER: usize = 25;

/// What is still taken once nothing more is wanted: more, and the connection is rather given up.
const LEFT_BYTES: usize = 8 << 20;

/// A log that is being read. One that is not ended by [`Replication::end`] leaves a connection of which
/// nothing can be asked any more.
#[derive(Debug)]
pub struct Replication<'c> {
    connection: &'c mut Connection,
    what: &'c str,
    /// Bytes at the start of what was received that belong to what was given last.
    given: usize,
    /// Up to where the reader has what it needs.
    kept: u64,
}

/// What the server sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard<'a> {
    /// A message of the slot's plugin.
    Part(&'a [u8]),
    /// What was written up to here was sent, as far as it is for this reader.
    Reached(u64),
}

impl Connection {
    /// Begins to read the log by a `START_REPLICATION` command, on a connection of
    /// [`Connection::open_to_replicate`]. `kept` is what is confirmed: the server forgets what is before
    /// it. `what` says in a failure what was done.
    ///
    /// # Errors
    /// The server's; then something else may be asked. `transient` when the connection is lost.
    pub fn replicate<'c>(
        &'c mut self,
        command: &str,
        kept: u64,
        what: &'c str,
    ) -> Result<Replication<'c>, Failure> {
        self.begin()?;
        frontend::query(command, &mut self.outgoing).map_err(strange)?;
        self.send()?;
        let mut failed = None;
        loop {
            let Some(header) = Header::parse(&self.incoming).map_err(strange)? else {
                self.read()?;
                continue;
            };
            let length = usize::try_from(header.len()).unwrap_or(usize::MAX);
            if length > MESSAGE_BYTES {
                return Err(no_longer("it sent a message that is too long"));
            }
            // The one message that the parser does not know: both sides send from now on.
            if header.tag() == b'W' {
                while self.incoming.len() <= length {
                    self.read()?;
                }
                self.incoming.advance(length + 1);
                return Ok(Replication { connection: self, what, given: 0, kept });
            }
            match Message::parse(&mut self.incoming).map_err(strange)? {
                None => self.read()?,
                Some(
                    Message::NoticeResponse(_)
                    | Message::ParameterStatus(_)
                    | Message::NotificationResponse(_),
                ) => {}
                Some(Message::ErrorResponse(body)) => {
                    failed = Some(self.told(on_server(body.fields(), what)));
                }
                Some(Message::ReadyForQuery(_)) => {
                    self.busy = false;
                    return Err(failed.unwrap_or_else(|| no_longer("it sends no log")));
                }
                Some(_) => return Err(no_longer("it answered with something else than its log")),
            }
        }
    }
}

impl Replication<'_> {
    /// The next part of the log, or how far it was sent.
    ///
    /// # Errors
    /// The server's, `transient` when the connection is lost, and `config` for a part of more than
    /// [`ROW_BYTES`].
    #[expect(
        clippy::should_implement_trait,
        reason = "a part borrows what was received, which an Iterator cannot say"
    )]
    pub fn next(&mut self) -> Result<Heard<'_>, Failure> {
        self.connection.incoming.advance(std::mem::take(&mut self.given));
        loop {
            let length = match *self.connection.incoming {
                [b'd', a, b, c, d, ..] => u32::from_be_bytes([a, b, c, d]) as usize + 1,
                [] | [b'd', ..] => {
                    self.connection.read()?;
                    continue;
                }
                _ => return Err(self.refused()),
            };
            if length <= HEADER {
                return Err(no_longer("it sent a part of its log that cannot be read"));
            }
            if length > ROW_BYTES {
                return Err(Failure::config(format!(
                    "{} failed: a changed row has {length} bytes, and {ROW_BYTES} are the most; publish \
                     the table without its long columns",
                    self.what
                )));
            }
            while self.connection.incoming.len() < length {
                self.connection.read()?;
            }
            match self.connection.incoming.get(HEADER..length).unwrap_or_default() {
                [b'w', ..] if length >= HEADER + PART_HEADER => {
                    self.given = length;
                    let part = self.connection.incoming.get(HEADER + PART_HEADER..length);
                    return Ok(Heard::Part(part.unwrap_or_default()));
                }
                [b'k', a, b, c, d, e, f, g, h, _, _, _, _, _, _, _, _, reply] => {
                    let reached = u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]);
                    let asked = *reply == 1;
                    self.connection.incoming.advance(length);
                    if asked {
                        self.confirm(false)?;
                    }
                    return Ok(Heard::Reached(reached));
                }
                _ => return Err(no_longer("it sent a part of its log that cannot be read")),
            }
        }
    }

    /// Tells the server again up to where all is kept, and has it say how far it is, in turn.
    ///
    /// # Errors
    /// `transient` when the connection is lost.
    pub fn ask(&mut self) -> Result<(), Failure> {
        self.confirm(true)
    }

    fn confirm(&mut self, answer: bool) -> Result<(), Failure> {
        let out = &mut self.connection.outgoing;
        out.put_u8(b'd');
        out.put_u32(4 + 1 + 4 * 8 + 1);
        out.put_u8(b'r');
        for _written_flushed_applied in 0..3 {
            out.put_u64(self.kept);
        }
        // When this was sent, which is only shown.
        out.put_u64(0);
        out.put_u8(u8::from(answer));
        self.connection.send()
    }

    /// Ends it, so that the slot is free as this returns, unless the server has much left to send: then
    /// the connection must be closed, which frees it soon.
    ///
    /// # Errors
    /// The server's, and `transient` when the connection is lost.
    pub fn end(mut self) -> Result<(), Failure> {
        frontend::copy_done(&mut self.connection.outgoing);
        self.connection.send()?;
        let mut left = LEFT_BYTES;
        loop {
            self.connection.incoming.advance(std::mem::take(&mut self.given));
            match *self.connection.incoming {
                [b'd', a, b, c, d, ..] => {
                    let mut length = u32::from_be_bytes([a, b, c, d]) as usize + 1;
                    let Some(less) = left.checked_sub(length) else { return Ok(()) };
                    left = less;
                    while length > 0 {
                        if self.connection.incoming.is_empty() {
                            self.connection.read()?;
                        }
                        let part = length.min(self.connection.incoming.len());
                        self.connection.incoming.advance(part);
                        length -= part;
                    }
                }
                [] | [b'd', ..] => self.connection.read()?,
                _ => match self.connection.receive()? {
                    Message::CopyDone | Message::CommandComplete(_) => {}
                    Message::ReadyForQuery(_) => {
                        self.connection.busy = false;
                        return Ok(());
                    }
                    Message::ErrorResponse(body) => {
                        return Err(self.connection.told(on_server(body.fields(), self.what)));
                    }
                    _ => return Err(no_longer("it did not end its log")),
                },
            }
        }
    }

    /// The SQLSTATE of the server's last failure.
    #[must_use]
    pub fn sqlstate(&self) -> &str {
        self.connection.sqlstate()
    }

    /// What is no part of the log.
    fn refused(&mut self) -> Failure {
        match self.connection.receive() {
            Ok(Message::ErrorResponse(body)) => {
                self.connection.told(on_server(body.fields(), self.what))
            }
            Ok(Message::CopyDone) => {
                Failure::transient(format!("{} failed: the server ended its log", self.what))
            }
            Ok(_) => no_longer("it sent something else than its log"),
            Err(failure) => failure,
        }
    }
}

#[cfg(test)]
mod tests;
