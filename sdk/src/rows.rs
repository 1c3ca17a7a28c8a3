//! Rows as a destination receives them.

use serde::de::DeserializeOwned;

use crate::Failure;
use crate::bindings::types;
use crate::bindings::types::RowMeta;

/// Consecutive rows of one stream, in the source's order.
///
/// Nothing is parsed or copied until it is asked for: a destination that passes rows on as JSON
/// lines takes [`bytes`](Rows::bytes) and looks at no row.
#[derive(Clone, Debug)]
pub struct Rows {
    rows: types::Rows,
    epoch: u64,
}

/// Names a batch, for [`Input::reject`](crate::Input::reject).
#[derive(Clone, Copy, Debug)]
pub struct Batch {
    pub(crate) stream: u32,
    /// How many checkpoints came before it.
    pub(crate) epoch: u64,
}

impl Rows {
    pub(crate) fn new(rows: types::Rows, epoch: u64) -> Self {
        Self { rows, epoch }
    }

    /// Index into the catalog's streams.
    #[must_use]
    pub fn stream(&self) -> usize {
        self.rows.stream as usize
    }

    /// How many rows there are, at least 1; counted already.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.rows.count
    }

    /// All rows, one JSON object a line, each ended by LF.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.rows.data
    }

    /// As [`bytes`](Rows::bytes), for keeping; no copy is made.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.rows.data
    }

    /// Each row's JSON text, without its LF.
    pub fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let data = &self.rows.data[..];
        let mut start = 0;
        memchr::memchr_iter(b'\n', data).map(move |end| {
            let line = &data[start..end];
            start = end + 1;
            line
        })
    }

    /// Each row parsed; `T` owns its data. For rows that borrow, parse [`lines`](Rows::lines).
    ///
    /// An item is a `system` failure when the row does not fit `T`; it tells the row's place in the
    /// batch and never its content.
    pub fn records<T: DeserializeOwned>(&self) -> impl Iterator<Item = Result<T, Failure>> {
        self.lines().enumerate().map(|(row, line)| {
            serde_json::from_slice(line).map_err(|error| {
                Failure::system(format!("row {row} of a batch cannot be read")).with_detail(
                    format_args!("{:?} at column {}", error.classify(), error.column()),
                )
            })
        })
    }

    /// When the source read a row, in ms since 1970-01-01T00:00Z; `row` counts from 0.
    #[must_use]
    pub fn emitted_at(&self, row: u32) -> i64 {
        match self.rows.emitted_at[..] {
            [] => 0,
            [one] => one,
            ref each => each.get(row as usize).copied().unwrap_or_default(),
        }
    }

    /// Airbyte's `meta` of a row, a JSON object; `row` counts from 0.
    #[must_use]
    pub fn meta(&self, row: u32) -> Option<&str> {
        let found = self.rows.meta.binary_search_by_key(&row, |meta| meta.row);
        found.ok().map(|index| &*self.rows.meta[index].meta)
    }

    /// The `meta` of the rows that have any, in row order.
    #[must_use]
    pub fn metas(&self) -> &[RowMeta] {
        &self.rows.meta
    }

    /// The batch's name, for [`Input::reject`](crate::Input::reject).
    #[must_use]
    pub fn batch(&self) -> Batch {
        Batch { stream: self.rows.stream, epoch: self.epoch }
    }
}
