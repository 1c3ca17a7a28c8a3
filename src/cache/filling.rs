//! A stream that is being filled: what every engine counts of it.

use super::kept::Kept;
use super::names::as_written;
use super::plan::How;
use super::{CachePosition, CachedRead};
use crate::protocol::{Rows, now_ms};

/// A stream that is being filled.
#[derive(Debug)]
pub(super) struct Filling {
    /// As it is, or will be once its rows replace the old ones.
    pub(super) kept: Kept,
    pub(super) how: How,
    /// Where rows go: the stream's table, or the one that will replace it.
    pub(super) target: String,
    /// Before the read.
    from: CachePosition,
    /// The last row given a number.
    pub(super) last_row: u64,
    /// Rows of the read.
    records: u64,
    /// It was read to its end.
    complete: bool,
    /// Completed, and not yet swapped in.
    pub(super) to_swap: bool,
    /// Its row of ours is to be written.
    pub(super) dirty: bool,
}

/// Which of a stream's rows are those of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counted {
    /// So many, and nothing needs to be asked.
    Known(u64),
    /// All of its table.
    All,
    /// Those with a larger number.
    Above(u64),
}

impl Filling {
    /// Of a stream that stood at `from`.
    pub(super) fn new(kept: Kept, how: How, target: String, from: CachePosition) -> Self {
        Self {
            last_row: kept.last_row,
            kept,
            how,
            target,
            from,
            records: 0,
            complete: false,
            to_swap: false,
            dirty: false,
        }
    }

    /// Where the stream is now.
    pub(super) fn position(&self) -> CachePosition {
        CachePosition { generation: self.kept.generation, row: self.last_row }
    }

    /// Whether its rows are where readers see them.
    pub(super) fn is_visible(&self) -> bool {
        !self.how.replaces || (self.complete && !self.to_swap)
    }

    /// Counts rows that come; gives the number of the first.
    pub(super) fn take(&mut self, rows: &Rows) -> u64 {
        let first = self.last_row + 1;
        let count = u64::from(rows.count);
        self.last_row += count;
        self.records += count;
        self.kept.row_count += count;
        self.kept.updated_at = Some(now_ms());
        self.dirty = true;
        first
    }

    /// No row of it follows. Whether that is new.
    pub(super) fn complete(&mut self) -> bool {
        if self.complete {
            return false;
        }
        self.complete = true;
        self.to_swap = self.how.replaces;
        true
    }

    /// Which rows are those of the read, after the last commit.
    pub(super) fn counted(&self) -> Counted {
        match &self.kept.merged_by {
            _ if !self.is_visible() => Counted::Known(0),
            None => Counted::Known(self.records),
            Some(_) if self.how.replaces => Counted::All,
            Some(_) => Counted::Above(self.from.row),
        }
    }

    /// What became of it; `rows`: as many as [`Filling::counted`] says.
    pub(super) fn read(&self, rows: u64) -> CachedRead {
        let (kept, visible) = (&self.kept, self.is_visible());
        // Where they replaced others, all of them are of this read.
        let generation = match self.how.replaces && visible {
            true => kept.generation,
            false => self.from.generation,
        };
        CachedRead {
            descriptor: kept.descriptor.clone(),
            table: as_written(&kept.table),
            from: CachePosition { generation, row: self.from.row },
            to: if visible { self.position() } else { self.from },
            records: self.records,
            rows,
            complete: self.complete,
        }
    }
}

/// By which rows are one.
pub(super) fn merged_by(how: &How) -> Option<Vec<Vec<String>>> {
    (!how.key.is_empty()).then(|| how.key.clone())
}
