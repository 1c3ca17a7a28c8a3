//! From records to batches: the rows of a stream, as they came, about 64 KiB together.
//!
//! Each stream has an open batch of its own, since concurrent sources interleave streams row by
//! row. Nothing passes a checkpoint: all open batches are drained before one.

use std::collections::HashMap;

use crate::protocol::{Catalog, EmittedAt, Json, RecordBody, RowMeta, Rows, StreamDescriptor};

/// Bytes at which a batch is full. Larger ones gained nothing in measurements.
const FULL: usize = 64 << 10;
/// Bytes of all open batches together, for sources with very many streams.
const FULL_TOGETHER: usize = 1 << 20;
/// Open batches together: each has room for a whole one.
const OPEN_TOGETHER: usize = 128;

/// Why a record has no batch.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BatcherError {
    /// A stream nobody asked for.
    #[error("a record of the stream {0}, which is not in the catalog")]
    UnknownStream(StreamDescriptor),
    /// A row without measure.
    #[error("a row of stream {stream} has {bytes} bytes; {limit} are allowed")]
    RowTooLarge {
        /// The stream.
        stream: StreamDescriptor,
        /// The row's size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
}

#[derive(Debug, Default)]
struct Open {
    count: u32,
    /// Bytes of its rows and of what comes with them.
    bytes: usize,
    data: Vec<u8>,
    times: Vec<i64>,
    same_time: bool,
    meta: Vec<RowMeta>,
}

/// Gathers records into batches.
#[derive(Debug)]
pub struct Batcher {
    index: HashMap<StreamDescriptor, u32>,
    descriptors: Vec<StreamDescriptor>,
    /// The stream of the record before: sources send runs of one stream.
    last: Option<u32>,
    open: Vec<Open>,
    open_batches: usize,
    open_bytes: usize,
    row_bytes: usize,
}

impl Batcher {
    /// For the streams of a catalog, with rows of up to `row_bytes` bytes.
    #[must_use]
    pub fn new(catalog: &Catalog, row_bytes: usize) -> Self {
        Self {
            index: catalog.index(),
            descriptors: catalog.streams.iter().map(|s| s.stream.descriptor.clone()).collect(),
            last: None,
            open: catalog.streams.iter().map(|_| Open::default()).collect(),
            open_batches: 0,
            open_bytes: 0,
            row_bytes,
        }
    }

    /// A stream's index.
    #[must_use]
    pub fn stream(&self, descriptor: &StreamDescriptor) -> Option<u32> {
        self.index.get(descriptor).copied()
    }

    fn stream_of(&mut self, record: &RecordBody<'_>) -> Result<u32, BatcherError> {
        if let Some(last) = self.last {
            let descriptor = &self.descriptors[last as usize];
            if descriptor.name == record.stream
                && descriptor.namespace.as_deref() == record.namespace.as_deref()
            {
                return Ok(last);
            }
        }
        let descriptor = StreamDescriptor {
            name: record.stream.clone().into_owned(),
            namespace: record.namespace.clone().map(std::borrow::Cow::into_owned),
        };
        match self.index.get(&descriptor) {
            Some(index) => {
                self.last = Some(*index);
                Ok(*index)
            }
            None => Err(BatcherError::UnknownStream(descriptor)),
        }
    }

    /// Takes a record. Gives a batch when one is full.
    ///
    /// # Errors
    /// [`BatcherError`].
    pub fn push(&mut self, record: &RecordBody<'_>) -> Result<Option<Rows>, BatcherError> {
        let stream = self.stream_of(record)?;
        let text = record.data;
        if text.len() > self.row_bytes {
            return Err(BatcherError::RowTooLarge {
                stream: self.descriptors[stream as usize].clone(),
                bytes: text.len(),
                limit: self.row_bytes,
            });
        }
        let open = &mut self.open[stream as usize];
        if open.count == 0 {
            self.open_batches += 1;
            open.same_time = true;
            open.data.reserve(FULL + 4096);
        }
        let at = record.emitted_at.unwrap_or_else(crate::protocol::now_ms);
        open.same_time &= open.times.first().is_none_or(|first| *first == at);
        open.times.push(at);
        if let Some(meta) = record.meta {
            // Checked with its line, so it parses.
            let meta = Json::parse(meta).unwrap_or_else(|_| Json::empty_object());
            open.meta.push(RowMeta { row: open.count, meta });
        }
        open.data.extend_from_slice(text.as_bytes());
        open.data.push(b'\n');
        open.count += 1;
        let bytes = text.len() + 1 + record.meta.map_or(0, str::len);
        open.bytes += bytes;
        self.open_bytes += bytes;
        Ok((open.bytes >= FULL).then(|| self.take(stream)).flatten())
    }

    /// Whether so much is open together that all of it should be drained.
    #[must_use]
    pub fn is_heavy(&self) -> bool {
        self.open_bytes >= FULL_TOGETHER || self.open_batches >= OPEN_TOGETHER
    }

    /// Whether anything is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open_bytes == 0
    }

    /// An open batch, until there is none.
    pub fn drain(&mut self) -> Option<Rows> {
        if self.open_bytes == 0 {
            return None;
        }
        let stream = self.open.iter().position(|open| open.count > 0)?;
        self.take(u32::try_from(stream).ok()?)
    }

    fn take(&mut self, stream: u32) -> Option<Rows> {
        let open = std::mem::take(&mut self.open[stream as usize]);
        self.open_bytes -= open.bytes;
        self.open_batches -= usize::from(open.count > 0);
        let first = *open.times.first()?;
        let emitted_at =
            if open.same_time { EmittedAt::All(first) } else { EmittedAt::Each(open.times) };
        Some(Rows {
            stream,
            count: open.count,
            data: open.data,
            emitted_at,
            meta: open.meta,
            parsed: true,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    fn batcher(streams: usize) -> Batcher {
        let streams: Vec<String> = (0..streams)
            .map(|i| {
                format!(
                    r#"{{"stream":{{"name":"s{i}","json_schema":{{}}}},"sync_mode":"full_refresh","destination_sync_mode":"append"}}"#
                )
            })
            .collect();
        let catalog = format!(r#"{{"streams":[{}]}}"#, streams.join(","));
        Batcher::new(&Catalog::from_airbyte(&catalog).unwrap(), 1 << 20)
    }

    fn record<'a>(stream: &'a str, data: &'a str, meta: Option<&'a str>) -> RecordBody<'a> {
        RecordBody {
            stream: Cow::Borrowed(stream),
            namespace: None,
            data,
            emitted_at: Some(1),
            meta,
        }
    }

    #[test]
    fn many_streams_are_not_all_kept_open() {
        let mut batcher = batcher(1000);
        let mut open = 0;
        for i in 0..1000 {
            batcher.push(&record(&format!("s{i}"), "{}", None)).unwrap();
            open += 1;
            if batcher.is_heavy() {
                while batcher.drain().is_some() {
                    open -= 1;
                }
                assert!(batcher.is_empty() && open == 0);
            }
            assert!(open < OPEN_TOGETHER);
        }
    }

    #[test]
    fn metadata_fills_a_batch() {
        let mut batcher = batcher(1);
        let meta = format!(r#"{{"a":"{}"}}"#, "x".repeat(FULL));
        let full = batcher.push(&record("s0", "{}", Some(&meta))).unwrap().unwrap();
        assert_eq!((full.count, full.data.as_slice()), (1, &b"{}\n"[..]));
        assert!(batcher.is_empty());
    }
}
