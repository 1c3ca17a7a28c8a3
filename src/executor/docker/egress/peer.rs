//! A connection from a container, until it has said what it wants.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Time for all of what a peer says before anything is decided, and for it to take an answer.
pub(super) const HANDSHAKE: Duration = Duration::from_secs(10);
/// Time to read what is left, so that closing does not take back what was sent.
const FAREWELL: Duration = Duration::from_secs(1);
/// Bytes that are read in that time.
const LEFT: usize = 256 << 10;

/// What was read of a connection and not used yet, and the connection.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) stream: TcpStream,
    pub(super) buffer: Vec<u8>,
}

impl Peer {
    pub(super) fn new(stream: TcpStream) -> Self {
        // A wish: what is slower without it still works.
        let _ = stream.set_nodelay(true);
        Self { stream, buffer: Vec::new() }
    }

    /// The first byte, which stays.
    pub(super) async fn first(&mut self) -> io::Result<u8> {
        loop {
            match self.buffer.first() {
                Some(byte) => return Ok(*byte),
                None => self.more(1).await?,
            }
        }
    }

    /// Reads more, while less than `limit` bytes are held.
    pub(super) async fn more(&mut self, limit: usize) -> io::Result<()> {
        read_more(&mut self.stream, &mut self.buffer, limit).await
    }

    /// Sends an answer.
    pub(super) async fn say(&mut self, answer: &[u8]) -> io::Result<()> {
        let sent = timeout(HANDSHAKE, self.stream.write_all(answer)).await;
        sent.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Sends the last answer, in a way that it arrives.
    pub(super) async fn farewell(&mut self, answer: &[u8]) {
        if self.say(answer).await.is_ok() {
            self.drain().await;
        }
    }

    /// Ends our side, and reads what is left of the other.
    pub(super) async fn drain(&mut self) {
        let _ = timeout(FAREWELL, async {
            self.stream.shutdown().await?;
            let (mut left, mut bytes) = (LEFT, [0; 4096]);
            while left > 0 {
                match self.stream.read(&mut bytes).await? {
                    0 => break,
                    count => left = left.saturating_sub(count),
                }
            }
            io::Result::Ok(())
        })
        .await;
    }

    /// Ends the connection so that the other side knows that something is missing.
    pub(super) fn reset(&self) {
        reset(&self.stream);
    }
}

/// Reads more into a buffer that holds less than `limit` bytes.
pub(super) async fn read_more(
    stream: &mut (impl tokio::io::AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
    limit: usize,
) -> io::Result<()> {
    let mut bytes = [0; 4096];
    let room = limit.saturating_sub(buffer.len()).min(bytes.len());
    if room == 0 {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    match stream.read(&mut bytes[..room]).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        count => {
            buffer.extend_from_slice(&bytes[..count]);
            Ok(())
        }
    }
}

/// Makes closing a connection a reset.
pub(super) fn reset(stream: &TcpStream) {
    // Where it fails, the connection is gone already.
    let _ = rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO));
}
