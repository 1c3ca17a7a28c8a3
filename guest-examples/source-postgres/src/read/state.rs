//! Where a stream stands.

use serde::{Deserialize, Serialize};

/// What is stored of a stream.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum State {
    /// A full refresh in ranges of pages.
    Pages(Pages),
    /// A full refresh in one go: it is over.
    Whole {},
    /// An incremental read.
    Cursor(Cursor),
    /// The first read of a stream whose changes follow.
    Snapshot {
        /// Stands for the table and its place in the publication.
        table: String,
        /// What was read of it.
        at: Pages,
    },
    /// All rows were read, and changes up to where all streams are.
    Changes {
        /// As in [`State::Snapshot`].
        table: String,
    },
}

/// A full refresh in ranges of pages.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct Pages {
    /// Stands for the files that the pages are in: others, and the pages are others too.
    pub(super) files: String,
    /// The first page that was not read.
    pub(super) page: u64,
    /// The oldest transaction that was not over when the pages before it were read: what it or a later
    /// one wrote there may not have been seen.
    pub(super) transaction: u64,
    /// All were read.
    #[serde(default)]
    pub(super) done: bool,
}

/// An incremental read.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct Cursor {
    /// The cursor's column.
    pub(super) field: String,
    /// The greatest value that was read, as the server writes it; none where only rows without one
    /// were.
    pub(super) value: Option<String>,
    /// How many rows with this value were read.
    pub(super) count: u64,
}
