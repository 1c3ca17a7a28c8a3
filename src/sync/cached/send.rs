//! The second half: from the cache to the destination.

use std::sync::Arc;

use super::place::PlaceSink;
use super::replay::Replay;
use super::start::{Offer, Part, Survey, begin, known};
use super::{Halves, Ready, as_connector, blocking};
use crate::cache::{CacheError, CachePosition, CachedRead, CachedStream};
use crate::protocol::{Catalog, StreamDescriptor};
use crate::sync::numbers::StoreSink;
use crate::sync::write::{IDLE_TIME, judged};
use crate::sync::{Counters, Ledger, SyncError, pipeline};

/// What is sent.
pub(super) struct Sent<'a> {
    pub(super) halves: &'a Halves<'a>,
    pub(super) ready: &'a Ready,
    pub(super) catalog: &'a Arc<Catalog>,
    pub(super) counters: &'a Arc<Counters>,
}

impl Sent<'_> {
    /// Sends what the destination has not confirmed. `reads`: what was read, where anything was.
    pub(super) async fn send(
        &self,
        reads: Option<&[CachedRead]>,
        only_the_read: bool,
        notes: &mut Vec<String>,
    ) -> Result<(), SyncError> {
        let Halves { cache, key, connection, options, cancel } = self.halves;
        let (of, stored) = (key.clone(), self.ready.stored.clone());
        let looked_for = stored.clone();
        let (streams, survey) = blocking(cache, move |cache| {
            Ok((cache.streams(Some(&of))?, Survey::take(cache, &of, &looked_for)?))
        })
        .await?;
        let id = cache.describe().id;
        let mut parts: Vec<Part> = Vec::with_capacity(self.catalog.streams.len());
        for (stream, begins) in self.catalog.streams.iter().zip(&self.ready.begins) {
            let name = &stream.stream.descriptor;
            let (from, up_to) = range(name, reads, &streams, only_the_read, cache.as_ref())?;
            let within = begins.goes_on.then_some(stream.generation_id);
            let known = known(&stored, &survey, &id, name, within);
            let (again, goes_on) = (begins.again, begins.goes_on);
            let offer = Offer { stream, from, up_to, again, goes_on, only_the_read };
            let part = begin(&offer, known, notes);
            parts.push(part.map_err(|unknown| SyncError::CachePosition {
                stream: unknown.0.to_string(),
                cache: cache.describe().to_string(),
            })?);
        }
        let rows_stay = self.ready.destination.spec.supports_refreshes();
        // Where rows of a read that was not completed stay, only the end of the sync may say that it is
        // there.
        let alone = self.catalog.streams.iter().map(|s| !(rows_stay && s.truncates())).collect();
        let replay = Arc::new(Replay::new(cache.clone(), key.clone(), parts, survey.last, alone));

        let sink = Arc::new(StoreSink {
            store: options.store(),
            connection: (*connection).to_owned(),
            catalog: self.catalog.clone(),
        });
        self.counters.sends();
        let mut ledger =
            Ledger::new(self.catalog, Arc::new(PlaceSink(sink)), self.counters.clone());
        if rows_stay {
            ledger = ledger.with_rows_that_stay();
        }
        let ledger = Arc::new(ledger);
        let destination = self.ready.destination.now(connection, options).await?;
        let result = pipeline::run(pipeline::Job {
            source: &as_connector(cache.as_ref(), replay.clone()),
            destination: &destination,
            catalog: self.catalog,
            states: Vec::new(),
            ledger: &ledger,
            counters: self.counters,
            cancel,
            idle_time: Some(options.idle_time.unwrap_or(IDLE_TIME)),
        })
        .await;
        if let (Err(_), Some(fault)) = (&result, replay.fault()) {
            return Err(fault.into());
        }
        judged(result, None, Some(&destination))
    }
}

/// What a read covered of a stream, or all that the cache has of it.
fn range(
    name: &StreamDescriptor,
    reads: Option<&[CachedRead]>,
    streams: &[CachedStream],
    only_the_read: bool,
    cache: &dyn crate::cache::RecordCache,
) -> Result<(Option<CachePosition>, CachePosition), CacheError> {
    let read = reads.and_then(|reads| reads.iter().find(|read| read.descriptor == *name));
    let now = streams.iter().find(|stream| stream.descriptor == *name);
    match (read, now) {
        (Some(read), Some(now)) if only_the_read => {
            if now.position.generation != read.to.generation {
                return Err(CacheError::Replaced { stream: name.to_string() });
            }
            Ok((Some(read.from), read.to))
        }
        (Some(read), Some(_)) => Ok((Some(read.from), read.to)),
        (None, Some(now)) => Ok((None, now.position)),
        (_, None) => Err(CacheError::Unknown {
            cache: cache.describe().to_string(),
            what: format!("stream {name}"),
            known: format!("{} others", streams.len()),
        }),
    }
}
