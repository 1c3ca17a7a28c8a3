//! A cache on a PostgreSQL server that several hosts share: in a schema of its own, with the meaning that
//! the cache in SQLite has.
//!
//! Rows go in with COPY, are merged by the server, and are committed with the states they belong to. A
//! read holds an advisory lock a source on its own connection; it goes with it.

mod copy;
mod fill;
mod query;
mod read;
mod session;
mod streams;
mod tables;
mod writer;

use std::sync::{Mutex, PoisonError};

use super::given::Given;
use super::kept::{self, Kept};
use super::{
    CacheDescription, CacheError, CacheWriter, CachedCheckpoint, CachedRows, CachedStream,
    QueryRows, RecordCache, random,
};
use crate::postgres::{PostgresUrl, ServerError, quoted};
use crate::protocol::{Catalog, StateMessage, StreamDescriptor};
use crate::state::{Holder, StoredState};
use session::Session;
use tables::{LAYOUT, lay_out};

/// The schema of the tables, where the URL names none.
const SCHEMA: &str = "lockgate_cache";

/// One state of the database, and nothing changed.
const READ: &str = "BEGIN READ ONLY ISOLATION LEVEL REPEATABLE READ";

/// PostgreSQL has no unsigned integers; ours stay far below its largest.
fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// See [`unsigned`].
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// What each connection is told first. What is committed is on the disk, whatever the server's setting;
/// times are written and read alike everywhere.
fn settings(schema: &str) -> String {
    format!(
        "SET search_path TO {};
        SET TIME ZONE 'UTC';
        SET DateStyle TO 'ISO, YMD';
        SET lock_timeout = '60s';
        SET standard_conforming_strings = on;
        SELECT set_config('synchronous_commit', 'on', false)
            WHERE current_setting('synchronous_commit') = 'off'",
        quoted(schema)
    )
}

/// Records on a PostgreSQL server.
#[derive(Debug)]
pub struct PostgresCache {
    url: PostgresUrl,
    schema: String,
    id: String,
    /// For what is short; a read of a source has its own.
    session: Mutex<Option<Session>>,
}

impl PostgresCache {
    /// Connects, and makes the tables where there are none, in the URL's schema or in `lockgate_cache`.
    ///
    /// # Errors
    /// [`CacheError`].
    pub fn open(url: PostgresUrl) -> Result<Self, CacheError> {
        let schema = url.schema().unwrap_or(SCHEMA).to_owned();
        let session = Session::open(&url, settings(&schema))?;
        let (of, id) = (schema.clone(), format!("{:016x}{:016x}", random(), random()));
        let made = session.transact("BEGIN", move |client| lay_out(client, &of, &id));
        let (found, id) = made.map_err(|e| session.fault(e))?;
        if found != LAYOUT {
            let cache = session.shown().to_owned();
            return Err(CacheError::Layout { cache, found, known: LAYOUT });
        }
        Ok(Self { url, schema, id, session: Mutex::new(Some(session)) })
    }

    fn connect(&self) -> Result<Session, CacheError> {
        Session::open(&self.url, settings(&self.schema))
    }

    /// Does something on the short session; one that was lost is opened again next time.
    fn with<T>(
        &self,
        body: impl FnOnce(&Session) -> Result<T, CacheError>,
    ) -> Result<T, CacheError> {
        let mut slot = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let session = match slot.take() {
            Some(session) if session.run(|c| Ok(c.is_closed())).is_ok_and(|closed| !closed) => {
                session
            }
            _ => self.connect()?,
        };
        let done = body(&session);
        *slot = Some(session);
        done
    }

    fn read<T: Send + 'static>(
        &self,
        body: impl FnOnce(&mut ::postgres::Client) -> Result<T, ServerError> + Send + 'static,
    ) -> Result<T, CacheError> {
        self.with(|session| session.transact(READ, body).map_err(|e| session.fault(e)))
    }

    fn damaged(&self, stream: impl std::fmt::Display, reason: impl Into<String>) -> CacheError {
        CacheError::Damaged {
            cache: self.url.shown().to_owned(),
            stream: stream.to_string(),
            reason: reason.into(),
        }
    }

    fn state(&self, source: &str, body: String) -> Result<StateMessage, CacheError> {
        kept::state(body).map_err(|reason| self.damaged(format!("source {source}"), reason))
    }

    fn unknown(&self, what: String) -> CacheError {
        match self.streams(None) {
            Ok(all) => {
                let streams = all.iter().map(|stream| &stream.descriptor);
                CacheError::unknown(self.url.shown().to_owned(), what, streams)
            }
            Err(error) => error,
        }
    }

    /// A connection that holds a source.
    fn take(&self, source: &str, source_name: &str) -> Result<Session, CacheError> {
        let session = self.connect()?;
        let of = source.to_owned();
        let holder = session.run(move |client| {
            let lock = "SELECT pg_try_advisory_lock(
                hashtext('lockgate cache ' || current_schema()), hashtext($1))";
            if client.query_one(lock, &[&of])?.try_get(0)? {
                return Ok(None);
            }
            let holder = "SELECT holder FROM _lockgate_cache_sources WHERE source = $1";
            let row = client.query_opt(holder, &[&of])?;
            let holder = row.map(|row| row.try_get::<_, String>(0)).transpose()?;
            Ok(Some(holder.unwrap_or_else(|| "another process".to_owned())))
        });
        match holder.map_err(|e| session.fault(e))? {
            None => Ok(session),
            Some(holder) => Err(CacheError::Busy {
                cache: session.shown().to_owned(),
                source_name: source_name.to_owned(),
                holder: crate::sandbox::one_line(&holder),
            }),
        }
    }
}

impl RecordCache for PostgresCache {
    fn describe(&self) -> CacheDescription {
        let place = self.url.shown().trim_start_matches("postgres:").to_owned();
        CacheDescription { kind: "postgres", place, id: self.id.clone() }
    }

    fn fill(
        &self,
        source: &str,
        source_name: &str,
        catalog: &Catalog,
    ) -> Result<Box<dyn CacheWriter>, CacheError> {
        let session = self.take(source, source_name)?;
        let (of, name, streams) = (source.to_owned(), source_name.to_owned(), catalog.clone());
        let holder = Holder::this_process(None).to_string();
        let begun = session
            .transact("BEGIN", move |client| fill::begin(client, &of, &name, &holder, &streams));
        let streams = begun.map_err(|e| session.fault(e))?;
        Ok(Box::new(writer::Writer::new(session, source.to_owned(), catalog, streams)))
    }

    fn states(&self, source: &str) -> Result<Vec<StoredState>, CacheError> {
        let of = source.to_owned();
        let rows = self.read(move |client| read::states(client, &of))?;
        rows.into_iter()
            .map(|(body, of_full_read)| {
                let state = self.state(source, body)?;
                Ok(StoredState { of_full_read, ..StoredState::incremental(state) })
            })
            .collect()
    }

    fn streams(&self, source: Option<&str>) -> Result<Vec<CachedStream>, CacheError> {
        let source = source.map(str::to_owned);
        self.read(move |client| read::streams(client, source.as_deref()))
    }

    fn checkpoints(
        &self,
        source: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<CachedCheckpoint>, CacheError> {
        let of = source.to_owned();
        let stored = self.read(move |client| read::checkpoints(client, &of, after, limit))?;
        stored
            .into_iter()
            .map(|stored| {
                let (id, of_full_read) = (stored.id, stored.of_full_read);
                kept::checkpoint(id, of_full_read, stored.body, &stored.positions)
                    .map_err(|reason| self.damaged(format!("source {source}"), reason))
            })
            .collect()
    }

    fn rows(
        &self,
        source: &str,
        stream: &StreamDescriptor,
        after: u64,
        up_to: u64,
        bytes: usize,
    ) -> Result<Option<CachedRows>, CacheError> {
        let (of, descriptor) = (source.to_owned(), stream.clone());
        let found = self.read(move |client| {
            let kept = streams::find(client, &of, &descriptor)?.filter(|kept| !kept.removed);
            let rows = |kept: Kept| read::rows(client, &kept.table, after, up_to, bytes);
            kept.map(rows).transpose()
        })?;
        let Some(found) = found else { return Err(self.unknown(format!("stream {stream}"))) };
        let mut given = Given::default();
        for row in found {
            let taken = given.take(row.number, &row.record, row.emitted_at, row.meta.as_deref());
            taken.map_err(|reason| self.damaged(stream, reason))?;
        }
        Ok(given.end())
    }

    fn query(&self, sql: &str, limit: usize) -> Result<QueryRows, CacheError> {
        let sql = sql.to_owned();
        self.with(|session| {
            let answer = session.run(move |client| Ok(query::query(client, &sql, limit)));
            let answer = answer.map_err(|e| session.fault(e))?;
            answer.map_err(|fault| fault.into_error(session.shown()))
        })
    }

    fn remove(&self, source: &str, stream: Option<&StreamDescriptor>) -> Result<usize, CacheError> {
        let session = self.take(source, source)?;
        let (of, only) = (source.to_owned(), stream.cloned());
        let removed = session
            .transact("BEGIN", move |client| remove::remove(client, &of, only.as_ref()))
            .map_err(|e| session.fault(e))?;
        match (removed, stream) {
            (0, Some(stream)) => Err(self.unknown(format!("stream {stream} of {source}"))),
            (removed, _) => Ok(removed),
        }
    }
}

mod remove;

#[cfg(test)]
mod tests;
