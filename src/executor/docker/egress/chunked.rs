//! Where a chunked body ends (RFC 9112, 7.1).
//!
//! The attack: a body that ends in one place for us and in another for the server, with a request
//! between the two. What is read in two ways is refused: a line that does not end in CR LF, a size
//! with anything but hexadecimal digits, a CR within a line.

/// Bytes of extensions and trailers of one body. 16 KiB: nobody sends any.
const SIDE_LINES: usize = 16 << 10;

/// It is no chunked body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotChunked;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The first digit of a size comes.
    SizeStart,
    Size(u64),
    Extension(u64),
    SizeEnd(u64),
    Data(u64),
    DataCr,
    DataLf,
    /// A trailer comes, or the end.
    LineStart,
    Line,
    LineEnd,
    LastEnd,
    Ended,
}

/// Follows a body as it goes by.
#[derive(Debug)]
pub(super) struct Chunked {
    state: State,
    side: usize,
}

impl Chunked {
    pub(super) fn new() -> Self {
        Self { state: State::SizeStart, side: 0 }
    }

    /// Whether the body has ended.
    pub(super) fn ended(&self) -> bool {
        self.state == State::Ended
    }

    /// How many of these bytes are the body's: all of them, until it ends.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<usize, NotChunked> {
        let mut at = 0;
        while at < bytes.len() && !self.ended() {
            if let State::Data(left) = self.state {
                let here = left.min((bytes.len() - at) as u64);
                at += usize::try_from(here).map_err(|_| NotChunked)?;
                self.state = match left - here {
                    0 => State::DataCr,
                    left => State::Data(left),
                };
                continue;
            }
            self.state = self.step(bytes[at])?;
            at += 1;
        }
        Ok(at)
    }

    fn step(&mut self, byte: u8) -> Result<State, NotChunked> {
        if matches!(self.state, State::Extension(_) | State::Line) {
            self.side += 1;
            if self.side > SIDE_LINES {
                return Err(NotChunked);
            }
        }
        let digit = (byte as char).to_digit(16).map(u64::from);
        Ok(match (self.state, byte) {
            (State::SizeStart, _) => State::Size(digit.ok_or(NotChunked)?),
            (State::Size(size), b'\r') => State::SizeEnd(size),
            (State::Size(size), b';' | b' ' | b'\t') => State::Extension(size),
            (State::Size(size), _) => {
                let more = size.checked_mul(16).ok_or(NotChunked)?;
                State::Size(more + digit.ok_or(NotChunked)?)
            }
            (State::Extension(size), b'\r') => State::SizeEnd(size),
            (State::Extension(size), byte) if byte != b'\n' => State::Extension(size),
            (State::SizeEnd(0), b'\n') => State::LineStart,
            (State::SizeEnd(size), b'\n') => State::Data(size),
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::SizeStart,
            (State::LineStart, b'\r') => State::LastEnd,
            (State::LineStart | State::Line, byte) if !matches!(byte, b'\r' | b'\n') => State::Line,
            (State::Line, b'\r') => State::LineEnd,
            (State::LineEnd, b'\n') => State::LineStart,
            (State::LastEnd, b'\n') => State::Ended,
            _ => return Err(NotChunked),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_ends_where_it_ends() {
        for body in [
            "0\r\n\r\n",
            "3\r\nabc\r\n0\r\n\r\n",
            "A;x=y\r\n0123456789\r\n00\r\nT: v\r\n\r\n",
            "1 \r\n\n\r\n0\r\n\r\n",
        ] {
            let all = format!("{body}GET / HTTP/1.1\r\n");
            let mut whole = Chunked::new();
            assert_eq!(whole.feed(all.as_bytes()), Ok(body.len()), "{body:?}");
            let (mut single, mut used) = (Chunked::new(), 0);
            for byte in all.bytes() {
                used += single.feed(&[byte]).unwrap();
            }
            assert_eq!(used, body.len(), "{body:?}");
            assert!(whole.ended() && single.ended());
        }
    }

    #[test]
    fn what_is_read_in_two_ways_is_refused() {
        for body in [
            "\r\n",
            "x\r\n",
            "+1\r\na\r\n",
            "0x1\r\na\r\n",
            "1\na\r\n",
            "1;x\na\r\n",
            "1\ra\r\n",
            "1\r\nab",
            "1\r\na\n0\r\n\r\n",
            "0\r\n\n",
            "0\r\na\n\r\n",
            "0\r\na\rb\r\n\r\n",
            "10000000000000000\r\n",
            "ffffffffffffffff0\r\n",
        ] {
            assert_eq!(Chunked::new().feed(body.as_bytes()), Err(NotChunked), "{body:?}");
        }
        let long = format!("1;{}", "x".repeat(SIDE_LINES + 1));
        assert_eq!(Chunked::new().feed(long.as_bytes()), Err(NotChunked));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_followed_or_refused(bytes in r"[0-3af;\r\n:x]{0,60}") {
            let mut body = Chunked::new();
            if let Ok(used) = body.feed(bytes.as_bytes()) {
                proptest::prop_assert!(used == bytes.len() || body.ended());
            }
        }
    }
}
