//! Batches of rows and what else a destination is given, in the shape of the contract.

use std::sync::Arc;

use super::{Json, StateMessage};

/// The time now, as records, states and reports have it: ms since the epoch.
pub(crate) fn now_ms() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}

/// When the rows of a batch were read, in ms since the epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EmittedAt {
    /// Not said: the host stamps the batch.
    Unknown,
    /// The same for all.
    All(i64),
    /// One a row.
    Each(Vec<i64>),
}

impl EmittedAt {
    /// The time of a row.
    #[must_use]
    pub fn of(&self, row: usize) -> i64 {
        match self {
            Self::Unknown => 0,
            Self::All(at) => *at,
            Self::Each(times) => times.get(row).copied().unwrap_or(0),
        }
    }
}

/// Airbyte's `meta` of one row.
#[derive(Debug, Clone)]
pub struct RowMeta {
    /// The row's place in its batch.
    pub row: u32,
    /// An object.
    pub meta: Json,
}

/// Consecutive rows of one stream.
#[derive(Debug, Clone)]
pub struct Rows {
    /// Index into the catalog.
    pub stream: u32,
    /// How many there are.
    pub count: u32,
    /// One JSON object a line, each ended by LF.
    pub data: Vec<u8>,
    /// When they were read.
    pub emitted_at: EmittedAt,
    /// Sparse, in row order.
    pub meta: Vec<RowMeta>,
    /// Each line is known to be one JSON object, because this host parsed it. Rows from a
    /// component are not parsed; whoever frames them as protocol messages must.
    pub parsed: bool,
}

/// What is wrong with a batch. The data itself is never shown.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RowsError {
    /// No rows at all.
    #[error("the batch has no rows")]
    Empty,
    /// The count is not the number of lines.
    #[error("the batch says {said} rows and holds {found} lines")]
    Count {
        /// What the connector said.
        said: u32,
        /// What is there.
        found: usize,
    },
    /// The last line is not ended.
    #[error("the batch's last row does not end with a line feed")]
    Unended,
    /// Neither none, one nor a time a row.
    #[error("the batch has {rows} rows and {times} emitted-at times")]
    Times {
        /// Rows.
        rows: u32,
        /// Times.
        times: usize,
    },
    /// Row metadata that is out of place or no object.
    #[error("the batch's row metadata {0}")]
    Meta(&'static str),
}

impl Rows {
    /// Checks what can be checked without reading a row.
    ///
    /// # Errors
    /// [`RowsError`].
    pub fn verify(&self) -> Result<(), RowsError> {
        if self.count == 0 {
            return Err(RowsError::Empty);
        }
        if let EmittedAt::Each(times) = &self.emitted_at
            && times.len() != self.count as usize
        {
            return Err(RowsError::Times { rows: self.count, times: times.len() });
        }
        if !self.parsed {
            if self.data.last() != Some(&b'\n') {
                return Err(RowsError::Unended);
            }
            let found = memchr::memchr_iter(b'\n', &self.data).count();
            if found != self.count as usize {
                return Err(RowsError::Count { said: self.count, found });
            }
        }
        let mut least = 0;
        for meta in &self.meta {
            if meta.row < least || meta.row >= self.count {
                return Err(RowsError::Meta("names a row twice, out of order or out of range"));
            }
            if !meta.meta.is_object() {
                return Err(RowsError::Meta("is not a JSON object"));
            }
            least = meta.row + 1;
        }
        Ok(())
    }

    /// Bytes of memory it takes, which need not be in its rows: a row of two bytes may come with
    /// metadata of many.
    #[must_use]
    pub fn weight(&self) -> usize {
        let times = match &self.emitted_at {
            EmittedAt::Unknown | EmittedAt::All(_) => 0,
            EmittedAt::Each(times) => size_of_val(times.as_slice()),
        };
        let metas = self.meta.iter().map(|m| size_of::<RowMeta>() + m.meta.get().len());
        self.data.len() + times + metas.sum::<usize>()
    }

    /// The rows, without their line feeds.
    pub fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.data.as_slice();
        std::iter::from_fn(move || {
            let end = memchr::memchr(b'\n', rest)?;
            let (line, after) = rest.split_at(end);
            rest = after.get(1..).unwrap_or_default();
            Some(line)
        })
    }
}

/// How a stream is getting on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamStatus {
    /// Begun.
    Started,
    /// Its first row is there.
    Running,
    /// Every row was emitted.
    Complete,
    /// It failed.
    Incomplete,
}

impl StreamStatus {
    /// Airbyte's word.
    #[must_use]
    pub fn airbyte(self) -> &'static str {
        match self {
            Self::Started => "STARTED",
            Self::Running => "RUNNING",
            Self::Complete => "COMPLETE",
            Self::Incomplete => "INCOMPLETE",
        }
    }
}

/// How a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Every row was given.
    Complete,
    /// Some are missing: keep what is committed and replace nothing.
    Incomplete,
}

/// What a destination is given.
#[derive(Debug, Clone)]
pub enum Event {
    /// A batch.
    Rows(Rows),
    /// A place where the source may restart.
    Checkpoint {
        /// Grows.
        id: u64,
        /// The state, for destinations that echo it; none for the one that ends a sync.
        state: Option<Arc<StateMessage>>,
    },
    /// No row of this stream follows.
    StreamEnd {
        /// Index into the catalog.
        stream: u32,
        /// How it ended.
        outcome: Outcome,
    },
    /// Nothing more for now.
    Flush,
}

/// What became of a stream's rows since the write began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamTotal {
    /// Index into the catalog.
    pub stream: u32,
    /// Durable.
    pub written: u64,
    /// Refused and reported.
    pub rejected: u64,
    /// Bytes of the rows written.
    pub bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(count: u32, data: &str) -> Rows {
        Rows {
            stream: 0,
            count,
            data: data.as_bytes().to_vec(),
            emitted_at: EmittedAt::Unknown,
            meta: Vec::new(),
            parsed: false,
        }
    }

    #[test]
    fn counts_are_checked_against_lines() {
        assert_eq!(rows(2, "{}\n{}\n").verify(), Ok(()));
        assert_eq!(rows(0, "").verify(), Err(RowsError::Empty));
        assert_eq!(rows(1, "{}").verify(), Err(RowsError::Unended));
        assert_eq!(rows(1, "{}\n{}\n").verify(), Err(RowsError::Count { said: 1, found: 2 }));
        assert_eq!(rows(2, "{}\n{}\n").lines().count(), 2);
    }

    #[test]
    fn metadata_weighs() {
        let mut batch = rows(1, "{}\n");
        let meta = Json::object(format!(r#"{{"a":"{}"}}"#, "x".repeat(1000))).unwrap();
        batch.meta.push(RowMeta { row: 0, meta });
        assert!(batch.weight() > 1000);
    }
}
