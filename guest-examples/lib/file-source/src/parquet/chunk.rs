//! A file as the library reads it: parts of it, in any order.

use std::io::{self, BufReader, Read};
use std::sync::Arc;

use bytes::Bytes;
use lockgate_sdk::Failure;
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};

use crate::limits;
use crate::place::{Blocks, Opened, failure};

/// A file whose parts can be read.
#[derive(Clone, Debug)]
pub(super) struct Chunks {
    kind: Kind,
    size: u64,
}

#[derive(Clone, Debug)]
enum Kind {
    /// In the directory.
    Local(Opened),
    /// On a server that answers with parts.
    Blocks(Arc<Blocks>),
    /// From a server that does not.
    Whole(Bytes),
}

impl Chunks {
    pub(super) fn new(file: &Opened) -> std::result::Result<Self, Failure> {
        let (kind, size) = match (file.remote(), file.size) {
            (None, size) => (Kind::Local(file.clone()), size.unwrap_or_default()),
            (Some(remote), Some(size)) if remote.has_ranges() => {
                (Kind::Blocks(Arc::new(Blocks::new(remote.clone()))), size)
            }
            (Some(remote), _) => {
                let mut whole = Vec::new();
                (remote.clone().reader(0).take(limits::WHOLE_BYTES + 1))
                    .read_to_end(&mut whole)
                    .map_err(|error| failure(error, &file.name))?;
                let size = whole.len() as u64;
                if size > limits::WHOLE_BYTES {
                    return Err(Failure::config(format!(
                        "the Parquet file {} has more than {} bytes, and its server does not answer with \
                         parts of it (`Range`): put it on one that does, or in a directory",
                        file.name,
                        limits::WHOLE_BYTES
                    )));
                }
                (Kind::Whole(whole.into()), size)
            }
        };
        Ok(Self { kind, size })
    }

    /// Bytes from a place on, as many as come at once, at most so many; none at the end.
    fn some(&self, at: u64, most: usize) -> std::result::Result<Bytes, Failure> {
        Ok(match &self.kind {
            Kind::Local(file) => {
                let left = usize::try_from(self.size.saturating_sub(at)).unwrap_or(usize::MAX);
                let mut bytes = vec![0; most.min(left)];
                let count = file.read_at(&mut bytes, at)?.unwrap_or_default();
                bytes.truncate(count);
                bytes.into()
            }
            Kind::Blocks(blocks) => {
                let rest = blocks.rest(at)?;
                let count = rest.len().min(most);
                rest.slice(..count)
            }
            Kind::Whole(whole) => {
                let start = usize::try_from(at).unwrap_or(usize::MAX).min(whole.len());
                let end = start.saturating_add(most).min(whole.len());
                whole.slice(start..end)
            }
        })
    }
}

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for Chunks {
    type T = BufReader<From>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(BufReader::with_capacity(8 << 10, From { chunks: self.clone(), at: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let external =
            |failure: Failure| ParquetError::External(Box::new(io::Error::from(failure)));
        if start.checked_add(length as u64).is_none_or(|end| end > self.size) {
            return Err(ParquetError::EOF(format!(
                "{length} bytes at {start} are beyond its end at {}",
                self.size
            )));
        }
        let first = self.some(start, length).map_err(external)?;
        if first.len() == length {
            return Ok(first);
        }
        let mut bytes = Vec::with_capacity(length);
        bytes.extend_from_slice(&first);
        while bytes.len() < length {
            let more =
                self.some(start + bytes.len() as u64, length - bytes.len()).map_err(external)?;
            if more.is_empty() {
                return Err(ParquetError::EOF("it became shorter while it was read".to_owned()));
            }
            bytes.extend_from_slice(&more);
        }
        Ok(bytes.into())
    }
}

/// Reads from a place on.
pub(super) struct From {
    chunks: Chunks,
    at: u64,
}

impl Read for From {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.chunks.some(self.at, buffer.len())?;
        buffer[..bytes.len()].copy_from_slice(&bytes);
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }
}
