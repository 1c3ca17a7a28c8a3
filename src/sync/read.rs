//! `Source::read`: rows into a cache, and what they are good for afterwards.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::cached::{self, Reading};
use super::{Report, SyncError, SyncFailure, Watch, WriteOptions, default_source_key};
use crate::cache::{
    CacheError, CachedRead, CachedStream, QueryRows, RecordBatches, RecordCache, record_batches,
};
use crate::config::{Strategy, StreamSelection};
use crate::connector::{Connector, Source};
use crate::executor::Cancel;
use crate::protocol::{Catalog, DiscoveredStream, Json, StreamDescriptor, SyncMode};

/// Rows of a stream taken from the cache at once, in bytes.
const BATCH_BYTES: usize = 128 << 10;
/// Rows of a query.
pub const QUERY_ROWS: usize = 10_000;

/// What can be said of a read besides its source and its cache.
#[derive(Clone, Default)]
pub struct ReadOptions {
    /// Which streams.
    pub streams: StreamSelection,
    /// How rows are kept beside those of earlier reads.
    pub strategy: Strategy,
    /// Read everything again, whatever the states in the cache say.
    pub full_refresh: bool,
    /// The key of the source in the cache; none: [`default_source_key`].
    pub source_key: Option<String>,
    /// How long nothing at all may happen; none: 3 hours.
    pub idle_time: Option<Duration>,
    /// The name of the run's record, for the report; none: none is kept.
    pub run: Option<String>,
    /// When to stop.
    pub cancel: Option<Cancel>,
    /// Is given the plan and the counters when rows begin to move.
    pub watch: Option<Watch>,
}

impl std::fmt::Debug for ReadOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReadOptions")
            .field("streams", &self.streams)
            .field("strategy", &self.strategy)
            .field("full_refresh", &self.full_refresh)
            .finish_non_exhaustive()
    }
}

impl Source {
    /// Reads the source's streams into a cache, from where the last read into it ended. What was
    /// committed there stays when it fails: the same call goes on from it.
    ///
    /// # Errors
    /// [`SyncFailure`].
    pub async fn read(
        &self,
        cache: &Arc<dyn RecordCache>,
        options: &ReadOptions,
    ) -> Result<ReadResult, Box<SyncFailure>> {
        let source = self.connector();
        let key = options.source_key.clone().unwrap_or_else(|| default_source_key(source));
        let options = WriteOptions {
            streams: options.streams.clone(),
            strategy: options.strategy,
            full_refresh: options.full_refresh,
            idle_time: options.idle_time,
            run: options.run.clone(),
            cancel: options.cancel.clone(),
            watch: options.watch.clone(),
            ..WriteOptions::default()
        };
        cached::read(Reading { source, cache, key, options: &options }).await
    }
}

/// What a read brought into a cache: its rows, as long as no later read replaces them. It lives as long
/// as this value; the rows stay in the cache.
#[derive(Debug, Clone)]
pub struct ReadResult {
    /// What the read did.
    pub report: Report,
    pub(super) cache: Arc<dyn RecordCache>,
    pub(super) source_key: String,
    pub(super) source: Connector,
    pub(super) catalog: Catalog,
    pub(super) reads: Vec<CachedRead>,
    pub(super) full_refresh: bool,
}

impl ReadResult {
    /// What it covers of each stream.
    #[must_use]
    pub fn streams(&self) -> &[CachedRead] {
        &self.reads
    }

    /// Rows of each stream that it brought: fewer than records where rows of one key were merged.
    #[must_use]
    pub fn row_counts(&self) -> BTreeMap<StreamDescriptor, u64> {
        self.reads.iter().map(|read| (read.descriptor.clone(), read.rows)).collect()
    }

    /// Records that the source sent.
    #[must_use]
    pub fn processed_records(&self) -> u64 {
        self.reads.iter().map(|read| read.records).sum()
    }

    /// Where the rows are.
    #[must_use]
    pub fn cache(&self) -> &Arc<dyn RecordCache> {
        &self.cache
    }

    /// The key of the source in the cache.
    #[must_use]
    pub fn source_key(&self) -> &str {
        &self.source_key
    }

    /// The source that was read.
    #[must_use]
    pub fn source(&self) -> &Connector {
        &self.source
    }

    /// The rows that it brought of a stream (`name` or `namespace.name`), in their order, each as the
    /// source sent it. Blocks; a batch of them is in memory at a time.
    ///
    /// # Errors
    /// [`CacheError::Unknown`] for a stream that it did not read. The rows themselves may end with
    /// [`CacheError::Replaced`].
    pub fn rows(&self, stream: &str) -> Result<ReadRows, CacheError> {
        let read = self.find(stream)?.clone();
        let (cache, source) = (self.cache.clone(), self.source_key.clone());
        let after = read.from.row;
        Ok(ReadRows {
            cache,
            source,
            read,
            after,
            given: 0,
            batch: Vec::new().into_iter(),
            ended: false,
        })
    }

    /// The same rows as Arrow record batches, typed by the stream's schema ([`record_batches`]). Blocks;
    /// a batch is in memory at a time.
    ///
    /// # Errors
    /// [`CacheError::Unknown`] for a stream that it did not read, [`CacheError::Replaced`], others.
    pub fn record_batches(&self, stream: &str) -> Result<RecordBatches, CacheError> {
        let read = self.find(stream)?;
        let streams = self.cache.streams(Some(&self.source_key))?;
        self.is_there(self.cache.as_ref(), read, &streams)?;
        let mut streams = streams.into_iter();
        let found = streams.find(|stream| stream.descriptor == read.descriptor);
        let replaced = || CacheError::Replaced { stream: read.descriptor.to_string() };
        let (from, to) = (read.from.row, read.to.row);
        record_batches(self.cache.clone(), found.ok_or_else(replaced)?, from, to)
    }

    /// The answer to a query over the tables of the cache, which hold rows of other reads as well; at
    /// most [`QUERY_ROWS`] rows. Blocks.
    ///
    /// # Errors
    /// [`CacheError::Query`], others.
    pub fn query(&self, sql: &str) -> Result<QueryRows, CacheError> {
        self.cache.query(sql, QUERY_ROWS)
    }

    fn find(&self, stream: &str) -> Result<&CachedRead, CacheError> {
        let full = self.reads.iter().find(|read| read.descriptor.to_string() == stream);
        let mut named = self.reads.iter().filter(|read| read.descriptor.name == stream);
        let found = full.or_else(|| match (named.next(), named.next()) {
            (Some(only), None) => Some(only),
            _ => None,
        });
        found.ok_or_else(|| {
            let known: Vec<String> =
                self.reads.iter().map(|read| read.descriptor.to_string()).collect();
            CacheError::Unknown {
                cache: self.cache.describe().to_string(),
                what: format!("stream {stream:?} of this read"),
                known: known.join(", "),
            }
        })
    }

    /// Its streams as the source offered them; one that was read in full only so.
    pub(super) fn offered(&self) -> Vec<DiscoveredStream> {
        let streams = self.catalog.streams.iter().map(|configured| {
            let mut stream = configured.stream.clone();
            if configured.sync_mode == SyncMode::FullRefresh {
                stream.sync_modes = vec![SyncMode::FullRefresh];
            }
            stream
        });
        streams.collect()
    }

    /// Looks whether its rows are there, all of them.
    pub(super) async fn still_there(&self) -> Result<(), SyncError> {
        let it = self.clone();
        cached::blocking(&self.cache, move |cache| {
            let streams = cache.streams(Some(&it.source_key))?;
            it.reads.iter().try_for_each(|read| it.is_there(cache, read, &streams))
        })
        .await
        .map_err(SyncError::from)
    }

    fn is_there(
        &self,
        cache: &dyn RecordCache,
        read: &CachedRead,
        streams: &[CachedStream],
    ) -> Result<(), CacheError> {
        let replaced = || CacheError::Replaced { stream: read.descriptor.to_string() };
        let now = streams.iter().find(|stream| stream.descriptor == read.descriptor);
        let now = now.filter(|now| now.position.generation == read.to.generation);
        let now = now.ok_or_else(replaced)?;
        if !now.merged || now.position == read.to {
            return Ok(());
        }
        // Rows that a later read changed are at a later place.
        let (mut after, mut rows) = (read.from.row, 0);
        let of = &read.descriptor;
        while let Some(batch) = cache.rows(&self.source_key, of, after, read.to.row, BATCH_BYTES)? {
            rows += u64::from(batch.rows.count);
            after = batch.last.max(after + 1);
        }
        if rows < read.rows { Err(replaced()) } else { Ok(()) }
    }
}

/// The rows of one stream of a read ([`ReadResult::rows`]).
#[derive(Debug)]
pub struct ReadRows {
    cache: Arc<dyn RecordCache>,
    source: String,
    read: CachedRead,
    after: u64,
    given: u64,
    batch: std::vec::IntoIter<Json>,
    ended: bool,
}

impl Iterator for ReadRows {
    type Item = Result<Json, CacheError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(row) = self.batch.next() {
                self.given += 1;
                return Some(Ok(row));
            }
            if self.ended {
                return None;
            }
            match self.more() {
                Ok(true) => {}
                Ok(false) => {
                    self.ended = true;
                    if self.given < self.read.rows {
                        let stream = self.read.descriptor.to_string();
                        return Some(Err(CacheError::Replaced { stream }));
                    }
                }
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            }
        }
    }
}

impl ReadRows {
    /// Takes the next batch; false: there is none.
    fn more(&mut self) -> Result<bool, CacheError> {
        let (of, up_to) = (&self.read.descriptor, self.read.to.row);
        let Some(taken) = self.cache.rows(&self.source, of, self.after, up_to, BATCH_BYTES)? else {
            return Ok(false);
        };
        self.after = taken.last.max(self.after + 1);
        let damaged = |reason: String| CacheError::Damaged {
            cache: self.cache.describe().to_string(),
            stream: of.to_string(),
            reason,
        };
        let rows = taken.rows.lines().map(|line| {
            let text = std::str::from_utf8(line).map_err(|_| damaged("a row is no text".into()))?;
            Json::object(text).map_err(|error| damaged(error.to_string()))
        });
        self.batch = rows.collect::<Result<Vec<Json>, CacheError>>()?.into_iter();
        Ok(true)
    }
}
