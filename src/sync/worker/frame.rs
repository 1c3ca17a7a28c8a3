//! Messages on a stream of bytes: a length of four bytes, little-endian, and that many bytes of
//! JSON.
//!
//! The attack: a length without measure, or one that is never followed by its bytes, takes the
//! reader's memory; a message cut off or with more behind it is taken for another. A length above
//! the limit is refused when it is read, and memory grows with what arrived, not with what was
//! announced.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes of a message. 256 MiB: the states of one commit, of many streams.
const MOST_BYTES: usize = 256 << 20;
/// Bytes of a length.
const HEAD: usize = 4;

/// Why bytes are no message.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum FrameError {
    /// Longer than any message.
    #[error("a message of {0} bytes; the most is {MOST_BYTES}")]
    TooLong(usize),
    /// Not the JSON of a message. Without the text: it may hold a configuration.
    #[error("a message that is none ({0:?} error at line {1} column {2})")]
    Malformed(serde_json::error::Category, usize, usize),
}

impl From<serde_json::Error> for FrameError {
    fn from(error: serde_json::Error) -> Self {
        Self::Malformed(error.classify(), error.line(), error.column())
    }
}

/// A message as bytes.
pub(super) fn encode(message: &impl Serialize) -> Result<Vec<u8>, FrameError> {
    let mut bytes = vec![0; HEAD];
    serde_json::to_writer(&mut bytes, message)?;
    let length = bytes.len() - HEAD;
    let announced = u32::try_from(length).ok().filter(|_| length <= MOST_BYTES);
    let announced = announced.ok_or(FrameError::TooLong(length))?;
    bytes[..HEAD].copy_from_slice(&announced.to_le_bytes());
    Ok(bytes)
}

/// Finds messages in what arrives.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    bytes: Vec<u8>,
    /// Bytes at the beginning that were taken already.
    taken: usize,
}

impl Decoder {
    /// Takes what arrived.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        // Moved at most once for each read, and only what is not a whole message.
        if self.taken > 0 {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The next message, if all of it has arrived.
    pub(super) fn next<M: DeserializeOwned>(&mut self) -> Result<Option<M>, FrameError> {
        let rest = &self.bytes[self.taken..];
        let Some((head, body)) = rest.split_first_chunk::<HEAD>() else { return Ok(None) };
        let length = u32::from_le_bytes(*head) as usize;
        if length > MOST_BYTES {
            return Err(FrameError::TooLong(length));
        }
        let Some(body) = body.get(..length) else { return Ok(None) };
        let message = serde_json::from_slice(body)?;
        self.taken += HEAD + length;
        Ok(Some(message))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::message::{FromWorker, Side};
    use super::*;

    fn log(message: &str) -> FromWorker {
        FromWorker::Log { side: Side::Source, level: "INFO".into(), message: message.into() }
    }

    fn all(decoder: &mut Decoder) -> Vec<String> {
        let mut found = Vec::new();
        while let Ok(Some(FromWorker::Log { message, .. })) = decoder.next() {
            found.push(message);
        }
        found
    }

    #[test]
    fn a_length_without_measure_is_refused_before_anything_follows() {
        let mut decoder = Decoder::default();
        decoder.push(&u32::MAX.to_le_bytes());
        let error = decoder.next::<FromWorker>().unwrap_err();
        assert_eq!(error, FrameError::TooLong(u32::MAX as usize));
        assert!(decoder.bytes.capacity() < 1 << 10);
    }

    #[test]
    fn what_follows_a_message_is_not_part_of_it() {
        let mut bytes = encode(&log("a")).unwrap();
        bytes.extend(encode(&log("b")).unwrap());
        let mut decoder = Decoder::default();
        decoder.push(&bytes[..bytes.len() - 1]);
        assert_eq!(all(&mut decoder), ["a"]);
        decoder.push(&bytes[bytes.len() - 1..]);
        assert_eq!(all(&mut decoder), ["b"]);
    }

    #[test]
    fn an_error_does_not_quote() {
        let mut decoder = Decoder::default();
        let text = r#"{"Log":{"side":"hunter2"}}"#;
        decoder.push(&(text.len() as u32).to_le_bytes());
        decoder.push(text.as_bytes());
        let error = decoder.next::<FromWorker>().unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }

    proptest! {
        #[test]
        fn messages_survive_any_cut(texts in prop::collection::vec(".{0,40}", 0..8), cut in 1_usize..50) {
            let bytes: Vec<u8> = texts.iter().flat_map(|t| encode(&log(t)).unwrap()).collect();
            let (mut decoder, mut found) = (Decoder::default(), Vec::new());
            for part in bytes.chunks(cut) {
                decoder.push(part);
                found.extend(all(&mut decoder));
            }
            prop_assert_eq!(found, texts);
        }

        #[test]
        fn any_bytes_end_in_messages_or_an_error(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..20)) {
            let mut decoder = Decoder::default();
            'all: for part in parts {
                decoder.push(&part);
                loop {
                    match decoder.next::<FromWorker>() {
                        Ok(Some(_)) => {}
                        Ok(None) => break,
                        Err(_) => break 'all,
                    }
                }
            }
        }

        #[test]
        fn a_changed_message_is_a_message_or_an_error(at in 0_usize..200, byte in any::<u8>()) {
            let mut bytes = encode(&log("some words of a connector")).unwrap();
            let at = at % bytes.len();
            bytes[at] = byte;
            let mut decoder = Decoder::default();
            decoder.push(&bytes);
            let _ = decoder.next::<FromWorker>();
        }
    }
}
