//! Floor 3: records kept between a source and its destinations, in tables that people can query.
//!
//! A cache has a table a stream: a typed column for each member of the stream's schema, Airbyte's
//! columns, and the record exactly as it came, so that it can be sent again with the same value. Rows
//! are numbered as they come; the number only grows. The states of the source are kept with the rows
//! they belong to, in the same transaction, each with the number of the last row before it
//! ([`CachedCheckpoint`]): from there a destination goes on that was behind, and the source need not
//! be asked again.
//!
//! What belongs to one source never meets what belongs to another: everything is keyed by a source's
//! key and a stream's descriptor. Two streams whose names become the same table have two tables.
//!
//! All methods block: call them off the async threads.

mod arrow;
#[cfg(feature = "duckdb")]
mod duckdb;
mod error;
mod export;
mod filling;
mod given;
mod kept;
mod key;
mod names;
mod number;
mod open;
mod plan;
#[cfg(feature = "postgres")]
mod postgres;
mod record;
mod schema;
mod sqlite;
mod text;
mod time;

use serde::{Deserialize, Serialize};

pub use arrow::{RecordBatches, record_batches};
#[cfg(feature = "duckdb")]
pub use duckdb::DuckdbCache;
pub use error::CacheError;
pub use export::{ExportFormat, Exported, export};
pub use names::{MAX_NAME_BYTES, identifier};
pub use open::{CACHE_FOLDER, named_caches, open_cache, sqlite_path};
#[cfg(feature = "postgres")]
pub use postgres::PostgresCache;
pub use schema::{MAX_COLUMNS, MAX_MEMBER_BYTES, columns};
pub use sqlite::SqliteCache;
pub(crate) use time::instant;

use crate::protocol::{Catalog, Rows, StateMessage, StreamDescriptor};
use crate::state::StoredState;

/// A text that equal numbers of JSON share; none where the exponent is beyond reckoning.
pub(crate) fn decimal(text: &str) -> Option<String> {
    number::Decimal::parse(text).map(|number| number.canonical())
}

/// A timestamp like `2024-02-29T10:00:00.123000Z`, from microseconds since the epoch.
pub(crate) fn timestamp_text(micros: i64) -> String {
    let mut text = String::new();
    time::write_timestamp(&mut text, micros);
    text.push('Z');
    text
}

/// Keyed anew in each call with the system's randomness.
fn random() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    std::hash::RandomState::new().build_hasher().finish()
}

/// Which cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheDescription {
    /// `sqlite`, `postgres`, `duckdb`.
    pub kind: &'static str,
    /// A path, or an address without credentials.
    pub place: String,
    /// Made with the cache, and never another's: what a position in it belongs to.
    pub id: String,
}

impl std::fmt::Display for CacheDescription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.kind, self.place)
    }
}

/// A place in the rows of one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct CachePosition {
    /// Counts how often the stream's rows were replaced, from 1. 0: before any row.
    pub generation: u64,
    /// The number of the last row before it. Grows within the cache, across generations.
    pub row: u64,
}

/// A state of the source, and where it stood.
#[derive(Debug, Clone)]
pub struct CachedCheckpoint {
    /// Grows within the cache.
    pub id: u64,
    /// As it came.
    pub state: StateMessage,
    /// No incremental read goes on from it.
    pub of_full_read: bool,
    /// Of each stream that it covers.
    pub positions: Vec<(StreamDescriptor, CachePosition)>,
}

/// A stream in a cache.
#[derive(Debug, Clone)]
pub struct CachedStream {
    /// The key of its source.
    pub source: String,
    /// The stream.
    pub descriptor: StreamDescriptor,
    /// The table of its rows, as it is written in a query.
    pub table: String,
    /// Its columns: the record's member, the column's name, its type.
    pub columns: Vec<CachedColumn>,
    /// Rows in it now.
    pub rows: u64,
    /// The last row.
    pub position: CachePosition,
    /// Rows with the same primary key are one.
    pub merged: bool,
    /// The stream's primary key: paths into a record.
    pub primary_key: Vec<Vec<String>>,
    /// JSON Schema of a record, as the source gave it last.
    pub json_schema: crate::protocol::Json,
    /// When the last row came, in ms since the epoch; none: no row yet.
    pub updated_at: Option<i64>,
}

/// A typed column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachedColumn {
    /// The record's member.
    pub member: String,
    /// The column.
    pub name: String,
    /// What it holds.
    pub kind: ColumnType,
}

/// What a column holds, in any database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnType {
    /// Text.
    String,
    /// True or false.
    Boolean,
    /// A whole number of 64 bits.
    Integer,
    /// A number of any size and precision, exact where the database can.
    Number,
    /// A day.
    Date,
    /// A time of day.
    Time,
    /// A time of day with its zone.
    TimeWithTimezone,
    /// A day and a time.
    Timestamp,
    /// An instant.
    TimestampWithTimezone,
    /// Anything: objects, arrays, unions, what has no type.
    Json,
}

/// Rows that are sent again.
#[derive(Debug)]
pub struct CachedRows {
    /// With original values, `emitted_at` and `meta`; its `stream` is 0.
    pub rows: Rows,
    /// The number of the last of them.
    pub last: u64,
}

/// What a read did with one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedRead {
    /// The stream.
    pub descriptor: StreamDescriptor,
    /// Its table.
    pub table: String,
    /// Before the first row of the read.
    pub from: CachePosition,
    /// Its last row.
    pub to: CachePosition,
    /// Rows that the source sent.
    pub records: u64,
    /// Rows of it that are there: fewer where rows of one key were merged.
    pub rows: u64,
    /// The stream was read to its end.
    pub complete: bool,
}

/// Rows of a query.
#[derive(Debug, Clone, Default)]
pub struct QueryRows {
    /// The columns' names.
    pub columns: Vec<String>,
    /// A value a column; numbers beyond what JSON readers keep are text.
    pub rows: Vec<Vec<serde_json::Value>>,
    /// There were more than asked for.
    pub more: bool,
}

/// A cache of records.
pub trait RecordCache: std::fmt::Debug + Send + Sync {
    /// Which it is.
    fn describe(&self) -> CacheDescription;

    /// Begins to fill a source's part with the streams of a catalog: makes and widens tables. How rows
    /// are kept is the stream's destination sync mode: append, overwrite (the old rows stay until the
    /// stream is complete, also when it is empty), append-dedup (merged by primary key). One writer a
    /// source at a time.
    ///
    /// # Errors
    /// [`CacheError`].
    fn fill(
        &self,
        source: &str,
        source_name: &str,
        catalog: &Catalog,
    ) -> Result<Box<dyn CacheWriter>, CacheError>;

    /// The states that an incremental read of the source goes on from.
    ///
    /// # Errors
    /// [`CacheError`].
    fn states(&self, source: &str) -> Result<Vec<StoredState>, CacheError>;

    /// All streams; of one source, where one is named.
    ///
    /// # Errors
    /// [`CacheError`].
    fn streams(&self, source: Option<&str>) -> Result<Vec<CachedStream>, CacheError>;

    /// The source's checkpoints with an id above `after`, in order, at most `limit`.
    ///
    /// # Errors
    /// [`CacheError`].
    fn checkpoints(
        &self,
        source: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<CachedCheckpoint>, CacheError>;

    /// Rows of a stream with numbers above `after` and up to `up_to`, in order, about `bytes` of them;
    /// none: there are no more.
    ///
    /// # Errors
    /// [`CacheError`].
    fn rows(
        &self,
        source: &str,
        stream: &StreamDescriptor,
        after: u64,
        up_to: u64,
        bytes: usize,
    ) -> Result<Option<CachedRows>, CacheError>;

    /// Answers a query that only reads; at most `limit` rows.
    ///
    /// # Errors
    /// [`CacheError::Query`], others.
    fn query(&self, sql: &str, limit: usize) -> Result<QueryRows, CacheError>;

    /// Removes a source's streams, or one of them, with their states. Gives how many.
    ///
    /// # Errors
    /// [`CacheError`].
    fn remove(&self, source: &str, stream: Option<&StreamDescriptor>) -> Result<usize, CacheError>;
}

/// What fills a cache. Dropped without [`CacheWriter::end`], it leaves what was committed.
pub trait CacheWriter: Send {
    /// Takes rows of a stream of the catalog; in memory or in the open transaction.
    ///
    /// # Errors
    /// [`CacheError`].
    fn rows(&mut self, rows: &Rows) -> Result<(), CacheError>;

    /// Takes a state of the source, after the rows it belongs to.
    ///
    /// # Errors
    /// [`CacheError`].
    fn checkpoint(&mut self, state: &StateMessage) -> Result<(), CacheError>;

    /// No row of this stream follows: where its rows replace others, they do so with the next commit.
    ///
    /// # Errors
    /// [`CacheError`].
    fn complete(&mut self, stream: u32) -> Result<(), CacheError>;

    /// Makes durable what was taken, rows and states together.
    ///
    /// # Errors
    /// [`CacheError`].
    fn commit(&mut self) -> Result<(), CacheError>;

    /// Commits, and says what was read. Rows of streams that replace and are not complete are dropped.
    ///
    /// # Errors
    /// [`CacheError`].
    fn end(self: Box<Self>) -> Result<Vec<CachedRead>, CacheError>;
}

#[cfg(test)]
mod tests;
