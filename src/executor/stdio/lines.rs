//! Lines of any length up to a limit.
//!
//! The attack: a line without an end grows a buffer until the host dies; a long line that is
//! scanned from its beginning at each read takes quadratic time.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes asked for in one read: several times what a pipe holds by default.
const CHUNK: usize = 256 << 10;

/// Why no line could be read.
#[derive(Debug, thiserror::Error)]
pub enum LinesError {
    /// The pipe failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A line without measure.
    #[error("line {line} is longer than {limit} bytes")]
    TooLong {
        /// From 1.
        line: u64,
        /// In bytes.
        limit: usize,
    },
}

/// Splits a stream of bytes into lines. `fill` waits for bytes, `next_line` never does.
#[derive(Debug)]
pub struct LineReader<R> {
    inner: R,
    buffer: Vec<u8>,
    /// Where the first line begins that was not given out.
    start: usize,
    /// Up to where no line feed was found.
    scanned: usize,
    limit: usize,
    number: u64,
    ended: bool,
}

impl<R: AsyncRead + Unpin> LineReader<R> {
    /// Reads lines of up to `limit` bytes.
    pub fn new(inner: R, limit: usize) -> Self {
        Self { inner, buffer: Vec::new(), start: 0, scanned: 0, limit, number: 0, ended: false }
    }

    /// Reads more. False: the stream has ended and no more lines will come than are there. Safe to
    /// drop at any point.
    ///
    /// # Errors
    /// [`LinesError`].
    pub async fn fill(&mut self) -> Result<bool, LinesError> {
        if self.ended {
            return Ok(false);
        }
        if self.start > 0 {
            // What is left is less than a line; moving it is cheap against the read.
            self.buffer.drain(..self.start);
            self.scanned -= self.start;
            self.start = 0;
        }
        if self.buffer.len() > self.limit {
            return Err(LinesError::TooLong { line: self.number + 1, limit: self.limit });
        }
        if self.buffer.capacity() > 16 * CHUNK && self.buffer.len() < CHUNK {
            // One huge line must not keep its memory for the rest of the sync.
            self.buffer.shrink_to(2 * CHUNK);
        }
        self.buffer.reserve(CHUNK);
        if self.inner.read_buf(&mut self.buffer).await? == 0 {
            self.ended = true;
            return Ok(self.start < self.buffer.len());
        }
        Ok(true)
    }

    /// The next whole line, without its line feed; at the end of the stream also one that has none.
    ///
    /// # Errors
    /// [`LinesError::TooLong`].
    pub fn next_line(&mut self) -> Result<Option<&[u8]>, LinesError> {
        let unseen = self.buffer.get(self.scanned..).unwrap_or_default();
        let (end, next) = match memchr::memchr(b'\n', unseen) {
            Some(at) => (self.scanned + at, self.scanned + at + 1),
            None if self.ended && self.start < self.buffer.len() => {
                (self.buffer.len(), self.buffer.len())
            }
            None => {
                self.scanned = self.buffer.len();
                return Ok(None);
            }
        };
        self.number += 1;
        let start = self.start;
        (self.start, self.scanned) = (next, next);
        if end - start > self.limit {
            return Err(LinesError::TooLong { line: self.number, limit: self.limit });
        }
        Ok(Some(&self.buffer[start..end]))
    }

    /// What the lines are read from, for who gives up on them.
    pub fn into_inner(self) -> R {
        self.inner
    }

    /// The number of the line given out last, from 1.
    pub fn number(&self) -> u64 {
        self.number
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(bytes: &[u8], limit: usize) -> Result<Vec<Vec<u8>>, LinesError> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut reader = LineReader::new(bytes, limit);
            let mut lines = Vec::new();
            while reader.fill().await? {
                while let Some(line) = reader.next_line()? {
                    lines.push(line.to_vec());
                }
            }
            Ok(lines)
        })
    }

    proptest! {
        #[test]
        fn lines_joined_are_the_input(bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..400)) {
            let found = lines(&bytes, 1000).unwrap();
            let mut joined = found.join(&b'\n');
            if bytes.last() == Some(&b'\n') {
                joined.push(b'\n');
            }
            prop_assert_eq!(joined, bytes);
        }
    }

    #[test]
    fn a_line_without_an_end_is_refused() {
        let long = vec![b'a'; 2_000_000];
        assert!(matches!(lines(&long, 1000), Err(LinesError::TooLong { line: 1, limit: 1000 })));
        let mut second = b"ok\n".to_vec();
        second.extend_from_slice(&long[..1001]);
        second.push(b'\n');
        assert!(matches!(lines(&second, 1000), Err(LinesError::TooLong { line: 2, .. })));
    }
}
