//! Rows of a cache on their way out, as they came in.

use super::CachedRows;
use crate::protocol::{EmittedAt, Json, RowMeta, Rows};

/// Rows of one stream, in the order of their numbers.
#[derive(Debug, Default)]
pub(super) struct Given {
    data: Vec<u8>,
    times: Vec<i64>,
    meta: Vec<RowMeta>,
    meta_bytes: usize,
    last: u64,
}

impl Given {
    /// With room for so many bytes of records.
    pub(super) fn with_room(bytes: usize) -> Self {
        Self { data: Vec::with_capacity(bytes), ..Self::default() }
    }

    /// Takes a row; what is wrong, where it cannot be what we wrote.
    pub(super) fn take(
        &mut self,
        number: u64,
        record: &str,
        emitted_at: i64,
        meta: Option<&str>,
    ) -> Result<(), String> {
        if memchr::memchr(b'\n', record.as_bytes()).is_some() {
            return Err("a record is more than one line".to_owned());
        }
        if let Some(text) = meta {
            let meta = Json::object(text).map_err(|e| e.to_string())?;
            self.meta_bytes += text.len();
            self.meta.push(RowMeta { row: self.count(), meta });
        }
        self.data.extend_from_slice(record.as_bytes());
        self.data.push(b'\n');
        self.times.push(emitted_at);
        self.last = number;
        Ok(())
    }

    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.times.len()).unwrap_or(u32::MAX)
    }

    /// Bytes of what was taken.
    pub(super) fn bytes(&self) -> usize {
        self.data.len() + self.meta_bytes
    }

    /// All of them; none where there are none.
    pub(super) fn end(self) -> Option<CachedRows> {
        let count = self.count();
        let first = self.times.first().copied()?;
        let emitted_at = match self.times.iter().all(|at| *at == first) {
            true => EmittedAt::All(first),
            false => EmittedAt::Each(self.times),
        };
        // Each was one object when it was written.
        let Self { data, meta, last, .. } = self;
        let rows = Rows { stream: 0, count, data, emitted_at, meta, parsed: true };
        Some(CachedRows { rows, last })
    }
}
