//! The connection that a container's input and output travel on.
//!
//! The attack, or the accident: whoever holds the other end of a destination's input decides what is
//! its end. The engine takes the end of this connection for the end of the input, so a host that is
//! killed would make a torn stream look whole. So the socket is ours, and not inside a client of the
//! engine: a second handle of it is given to a watcher, and is held until the container is gone.
//!
//! The protocol is a POST that is upgraded; then input goes in as it is, and output comes as frames
//! of eight bytes and a payload, cut at any byte.

use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::engine::{Address, Engine, status};

/// Bytes of an answer's head.
const HEAD: usize = 16 << 10;
/// Bytes of an error's text.
const TEXT: u64 = 4 << 10;

#[derive(Debug)]
enum Socket {
    Unix(UnixStream),
    Tcp(TcpStream),
}

macro_rules! either {
    ($socket:expr, $stream:ident => $do:expr) => {
        match $socket {
            Socket::Unix($stream) => $do,
            Socket::Tcp($stream) => $do,
        }
    };
}

/// A connection to a container. All copies are one socket; one reads and one writes.
#[derive(Debug, Clone)]
pub(super) struct Attached(Arc<Socket>);

impl Attached {
    /// Attaches to a container that has not begun. Gives what of its output has come already.
    pub(super) async fn open(
        engine: &Engine,
        id: &str,
        with_stdin: bool,
    ) -> io::Result<(Self, Vec<u8>)> {
        let socket = match &engine.address {
            Address::Unix(path) => Socket::Unix(UnixStream::connect(path).await?),
            #[expect(clippy::disallowed_methods, reason = "the operator's engine")]
            Address::Tcp(place) => Socket::Tcp(TcpStream::connect(place).await?),
        };
        let mut this = Self(Arc::new(socket));
        let stdin = u8::from(with_stdin);
        let request = format!(
            "POST /containers/{id}/attach?stream=1&stdout=1&stderr=1&stdin={stdin} HTTP/1.1\r\n\
             Host: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n"
        );
        this.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        let end = loop {
            if let Some(at) = answer.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if answer.len() > HEAD || this.read_buf(&mut answer).await? == 0 {
                return Err(io::Error::other("its answer to an attach is not HTTP"));
            }
        };
        match status(&answer) {
            Some(101 | 200) => Ok((this, answer.split_off(end))),
            _ => {
                // An engine that refuses says why, in the body and nowhere else.
                let mut text = answer.split_off(end);
                let mut body = (&mut this).take(TEXT);
                let reading = body.read_to_end(&mut text);
                let _ = tokio::time::timeout(std::time::Duration::from_secs(1), reading).await;
                let head = String::from_utf8_lossy(&answer);
                let line = head.lines().next().unwrap_or_default();
                let text = String::from_utf8_lossy(&text);
                Err(io::Error::other(format!(
                    "attaching to the container: {line}: {}",
                    text.trim()
                )))
            }
        }
    }

    /// Another handle of the socket, which keeps it open.
    pub(super) fn handle(&self) -> io::Result<OwnedFd> {
        either!(&*self.0, stream => stream.as_fd().try_clone_to_owned())
    }

    /// Ends the input.
    pub(super) fn end_input(&self) -> io::Result<()> {
        let handle = self.handle()?;
        match &*self.0 {
            Socket::Unix(_) => {
                std::os::unix::net::UnixStream::from(handle).shutdown(Shutdown::Write)
            }
            Socket::Tcp(_) => std::net::TcpStream::from(handle).shutdown(Shutdown::Write),
        }
    }
}

impl AsyncRead for Attached {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            either!(&*self.0, stream => ready!(stream.poll_read_ready(cx))?);
            let bytes = buffer.initialize_unfilled();
            match either!(&*self.0, stream => stream.try_read(bytes)) {
                Ok(count) => {
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return Poll::Ready(Err(e)),
            }
        }
    }
}

impl AsyncWrite for Attached {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            either!(&*self.0, stream => ready!(stream.poll_write_ready(cx))?);
            match either!(&*self.0, stream => stream.try_write(bytes)) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.end_input())
    }
}

/// Which of a container's outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Stdout,
    Stderr,
}

/// Takes frames apart, however they are cut.
#[derive(Debug, Default)]
pub(super) struct Frames {
    header: [u8; 8],
    have: usize,
    left: usize,
}

impl Frames {
    /// The next piece of a payload, which leaves `bytes`; none where more has to come.
    pub(super) fn next<'a>(
        &mut self,
        bytes: &mut &'a [u8],
    ) -> io::Result<Option<(Kind, &'a [u8])>> {
        loop {
            if bytes.is_empty() {
                return Ok(None);
            }
            if self.left == 0 {
                let count = (8 - self.have).min(bytes.len());
                self.header[self.have..self.have + count].copy_from_slice(&bytes[..count]);
                self.have += count;
                *bytes = &bytes[count..];
                if self.have < 8 {
                    return Ok(None);
                }
                let [_, zero @ .., _, _, _, _] = self.header;
                if self.header[0] > 3 || zero != [0; 3] {
                    return Err(io::Error::other("the container's output is not in frames"));
                }
                let [.., a, b, c, d] = self.header;
                self.left = u32::from_be_bytes([a, b, c, d]) as usize;
                if self.left == 0 {
                    self.have = 0;
                }
                continue;
            }
            let count = self.left.min(bytes.len());
            let (piece, rest) = bytes.split_at(count);
            *bytes = rest;
            self.left -= count;
            // 0 is an echo of the input; 3 what the engine itself says.
            let kind = match self.header[0] {
                0 | 1 => Kind::Stdout,
                _ => Kind::Stderr,
            };
            if self.left == 0 {
                self.have = 0;
            }
            return Ok(Some((kind, piece)));
        }
    }

    /// Whether the output may end here.
    pub(super) fn is_between(&self) -> bool {
        self.have == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![kind, 0, 0, 0];
        frame.extend_from_slice(&u32::try_from(payload.len()).unwrap().to_be_bytes());
        frame.extend_from_slice(payload);
        frame
    }

    proptest! {
        #[test]
        fn frames_are_cut_anywhere(
            frames in proptest::collection::vec((1_u8..4, proptest::collection::vec(any::<u8>(), 0..40)), 0..20),
            cuts in proptest::collection::vec(1_usize..30, 1..200),
        ) {
            let wire: Vec<u8> = frames.iter().flat_map(|(k, p)| frame(*k, p)).collect();
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let mut reader = Frames::default();
            let mut rest = &wire[..];
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (mut now, later) = rest.split_at((*cut).min(rest.len()));
                rest = later;
                while let Some((kind, piece)) = reader.next(&mut now).unwrap() {
                    match kind {
                        Kind::Stdout => out.extend_from_slice(piece),
                        Kind::Stderr => err.extend_from_slice(piece),
                    }
                }
            }
            let of = |want: fn(u8) -> bool| -> Vec<u8> {
                frames.iter().filter(|(k, _)| want(*k)).flat_map(|(_, p)| p.clone()).collect()
            };
            prop_assert_eq!(out, of(|k| k == 1));
            prop_assert_eq!(err, of(|k| k > 1));
            prop_assert!(reader.is_between());
        }
    }

    #[test]
    fn what_is_not_in_frames_is_refused() {
        let mut bytes: &[u8] = b"{\"type\":\"RECORD\"}";
        assert!(Frames::default().next(&mut bytes).is_err());
    }
}
