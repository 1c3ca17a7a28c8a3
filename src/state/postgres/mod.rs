//! States on a PostgreSQL server that several hosts share. Each change is one transaction, and changes
//! of one connection come one after the other; times are the server's, so that hosts with other clocks
//! agree on when a lease ends.

mod rows;
mod tables;

use std::path::PathBuf;
use std::time::Duration;

use ::postgres::{Error, Transaction};

use self::rows::{alone, signed, unsigned};
use self::tables::{LAYOUT, lay_out};
use super::lease::end;
use super::rows::{Past, begin, by_stream, changed_again, closed, read_all};
use super::{
    Generation, Held, Holder, Lease, PastStates, Remembered, StateStore, StateStoreError,
    StoredState, SyncNumbers, SyncStart,
};
use crate::postgres::{PostgresUrl, Server};
use crate::protocol::{Json, StreamDescriptor};

/// The schema of the tables, where the URL names none.
const SCHEMA: &str = "lockgate";

/// States on a PostgreSQL server. Its methods block and may be called from any thread.
#[derive(Debug)]
pub struct PostgresStateStore {
    server: Server,
}

impl PostgresStateStore {
    /// Connects, and makes the tables where there are none, in the URL's schema or in `lockgate`.
    ///
    /// # Errors
    /// [`StateStoreError`].
    pub fn open(url: PostgresUrl) -> Result<Self, StateStoreError> {
        let schema = url.schema().unwrap_or(SCHEMA).to_owned();
        let store = Self { server: Server::new(url, schema) };
        let schema = store.server.schema().to_owned();
        let found = store.transact(move |t| lay_out(t, &schema))?;
        if found != LAYOUT {
            return Err(StateStoreError::Layout { path: store.path(), found, known: LAYOUT });
        }
        Ok(store)
    }

    /// Where it is, without a password.
    fn path(&self) -> PathBuf {
        self.server.shown().into()
    }

    fn transact<T: Send + 'static>(
        &self,
        body: impl FnMut(&mut Transaction<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, StateStoreError> {
        self.server.transact(body).map_err(|error| StateStoreError::Server {
            server: self.server.shown().to_owned(),
            reason: error.reason,
        })
    }

    /// Runs `body` alone on a connection, if the lease is still the last.
    fn under<T: Send + 'static>(
        &self,
        connection: &str,
        lease: Option<u64>,
        mut body: impl FnMut(&mut Transaction<'_>, &str) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, StateStoreError> {
        let of = connection.to_owned();
        let done = self.transact(move |t| {
            alone(t, &of)?;
            if let Some(token) = lease
                && rows::lease(t, &of)?.0 != signed(token)
            {
                return Ok(None);
            }
            body(t, &of).map(Some)
        })?;
        done.ok_or_else(|| StateStoreError::Lost { connection: connection.to_owned() })
    }

    /// Reads what belongs together.
    fn look<T: Send + 'static>(
        &self,
        connection: &str,
        mut body: impl FnMut(&mut Transaction<'_>, &str) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, StateStoreError> {
        let connection = connection.to_owned();
        self.transact(move |t| body(t, &connection))
    }

    fn damaged(&self, connection: &str, reason: String) -> StateStoreError {
        StateStoreError::Damaged { path: self.path(), connection: connection.to_owned(), reason }
    }
}

impl StateStore for PostgresStateStore {
    fn acquire(
        &self,
        connection: &str,
        holder: &Holder,
        time: Duration,
    ) -> Result<Lease, StateStoreError> {
        // Our own types always serialise.
        let holder = serde_json::to_string(holder).unwrap_or_default();
        let taken = self.under(connection, None, move |t, of| {
            let (last, held) = rows::lease(t, of)?;
            if let Some(held) = held.filter(|held| !held.ended) {
                return Ok(Err(held));
            }
            let now = rows::now(t)?;
            t.execute(
                "INSERT INTO _lockgate_leases (connection, token, holder, since, until)
                 VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (connection) DO UPDATE SET token = excluded.token,
                    holder = excluded.holder, since = excluded.since, until = excluded.until",
                &[&of, &(last + 1), &holder, &now, &end(now, time)],
            )?;
            Ok(Ok(last + 1))
        })?;
        match taken {
            Ok(token) => Ok(Lease { connection: connection.to_owned(), token: unsigned(token) }),
            Err(held) => Err(held.refusal(connection)),
        }
    }

    fn renew(&self, lease: &Lease, time: Duration) -> Result<(), StateStoreError> {
        let renewed = self.under(&lease.connection, Some(lease.token), move |t, of| {
            let until = end(rows::now(t)?, time);
            t.execute(
                "UPDATE _lockgate_leases SET until = $2
                 WHERE connection = $1 AND holder IS NOT NULL",
                &[&of, &until],
            )
        })?;
        match renewed {
            0 => Err(StateStoreError::Lost { connection: lease.connection.clone() }),
            _ => Ok(()),
        }
    }

    fn release(&self, lease: &Lease) -> Result<(), StateStoreError> {
        let token = signed(lease.token);
        self.look(&lease.connection, move |t, of| {
            t.execute(
                "UPDATE _lockgate_leases SET holder = NULL, until = 0
                 WHERE connection = $1 AND token = $2",
                &[&of, &token],
            )
            .map(drop)
        })
    }

    fn held(&self, connection: &str) -> Result<Option<Held>, StateStoreError> {
        self.look(connection, |t, of| Ok(rows::lease(t, of)?.1))
    }

    fn begin_sync(
        &self,
        connection: &str,
        start: &SyncStart,
        lease: Option<u64>,
    ) -> Result<SyncNumbers, StateStoreError> {
        let start = start.clone();
        self.under(connection, lease, move |t, of| {
            let more = i64::from(start.again.is_none());
            let row = t.query_one(
                "INSERT INTO _lockgate_syncs AS s (connection, last_sync_id) VALUES ($1, 1)
                 ON CONFLICT (connection) DO UPDATE SET last_sync_id = s.last_sync_id + $2
                 RETURNING last_sync_id",
                &[&of, &more],
            )?;
            let sync_id: i64 = row.try_get(0)?;
            if start.again.is_none() {
                rows::put_aside(t, of, sync_id - 1)?;
            }
            let states = rows::current(t, of)?;
            let begun = begin(&start, &states, &rows::generations(t, of)?);
            let streams = begun.iter().map(|(_, _, numbers)| *numbers).collect();
            let all: Vec<(String, Generation)> =
                begun.into_iter().map(|(stream, generation, _)| (stream, generation)).collect();
            rows::put_generations(t, of, &all)?;
            Ok(SyncNumbers { sync_id: unsigned(sync_id), streams })
        })
    }

    fn complete(
        &self,
        connection: &str,
        streams: &[StreamDescriptor],
        lease: Option<u64>,
    ) -> Result<(), StateStoreError> {
        let streams = streams.to_vec();
        self.under(connection, lease, move |t, of| {
            let closed = closed(&rows::generations(t, of)?, &streams);
            rows::put_generations(t, of, &closed)
        })
    }

    fn generations(
        &self,
        connection: &str,
    ) -> Result<Vec<(StreamDescriptor, Generation)>, StateStoreError> {
        Ok(by_stream(self.look(connection, rows::generations)?))
    }

    fn past(&self, connection: &str) -> Result<Vec<PastStates>, StateStoreError> {
        let all = self.look(connection, rows::past)?.into_iter().map(Past::read);
        all.collect::<Result<_, _>>().map_err(|reason| self.damaged(connection, reason))
    }

    fn load(&self, connection: &str) -> Result<Vec<StoredState>, StateStoreError> {
        let rows = self.look(connection, rows::current)?;
        read_all(rows).map_err(|reason| self.damaged(connection, reason))
    }

    fn store(
        &self,
        connection: &str,
        states: &[StoredState],
        lease: Option<u64>,
    ) -> Result<(), StateStoreError> {
        if states.is_empty() {
            return Ok(());
        }
        let states = states.to_vec();
        self.under(connection, lease, move |t, of| rows::put(t, of, &states))
    }

    fn set(
        &self,
        connection: &str,
        states: &[StoredState],
        lease: Option<u64>,
    ) -> Result<usize, StateStoreError> {
        let states = states.to_vec();
        self.under(connection, lease, move |t, of| rows::replace(t, of, &states))
    }

    fn last_sync(&self, connection: &str) -> Result<u64, StateStoreError> {
        let last = self.look(connection, |t, of| {
            let last = "SELECT last_sync_id FROM _lockgate_syncs WHERE connection = $1";
            t.query_opt(last, &[&of])?.map(|row| row.try_get(0)).transpose()
        })?;
        Ok(last.map_or(0, unsigned))
    }

    fn adopt(
        &self,
        connection: &str,
        other: &Remembered,
        lease: Option<u64>,
    ) -> Result<(), StateStoreError> {
        let other = other.clone();
        self.under(connection, lease, move |t, of| {
            t.execute(
                "INSERT INTO _lockgate_syncs AS s (connection, last_sync_id) VALUES ($1, $2)
                 ON CONFLICT (connection) DO UPDATE SET
                    last_sync_id = greatest(s.last_sync_id, excluded.last_sync_id)",
                &[&of, &signed(other.last_sync)],
            )?;
            let later = other.later(&rows::generations(t, of)?);
            rows::put_generations(t, of, &later)?;
            rows::replace(t, of, &other.states).map(drop)
        })
    }

    fn connections(&self) -> Result<Vec<(String, u64, i64)>, StateStoreError> {
        self.transact(|t| {
            let rows = t.query(
                "SELECT connection, count(*), max(stored_at) FROM _lockgate_states
                 GROUP BY connection ORDER BY connection",
                &[],
            )?;
            let read = |row: &::postgres::Row| {
                Ok((row.try_get(0)?, unsigned(row.try_get(1)?), row.try_get(2)?))
            };
            rows.iter().map(read).collect()
        })
    }

    fn change_config(
        &self,
        connection: &str,
        side: &str,
        digest: &str,
        members: &Json,
    ) -> Result<(), StateStoreError> {
        let (side, digest, members) = (side.to_owned(), digest.to_owned(), members.clone());
        self.under(connection, None, move |t, of| {
            let earlier = changed(t, of, &side, &digest)?.and_then(|text| Json::object(text).ok());
            let members = changed_again(earlier.as_ref(), &members);
            keep(t, of, &side, &digest, &members)
        })
    }

    fn changed_config(
        &self,
        connection: &str,
        side: &str,
        digest: &str,
    ) -> Result<Option<Json>, StateStoreError> {
        let (side, digest) = (side.to_owned(), digest.to_owned());
        let text = self.look(connection, move |t, of| changed(t, of, &side, &digest))?;
        text.map(|text| Json::object(text).map_err(|e| self.damaged(connection, e.to_string())))
            .transpose()
    }

    fn replace_changed_config(
        &self,
        connection: &str,
        side: &str,
        digest: &str,
        members: Option<&Json>,
    ) -> Result<(), StateStoreError> {
        let (side, digest, members) = (side.to_owned(), digest.to_owned(), members.cloned());
        self.under(connection, None, move |t, of| match &members {
            Some(members) => keep(t, of, &side, &digest, members),
            None => {
                let forget = "DELETE FROM _lockgate_config_changes
                     WHERE connection = $1 AND side = $2 AND digest = $3";
                t.execute(forget, &[&of, &side, &digest]).map(drop)
            }
        })
    }
}

/// The changed members of a configuration, if it is still the one they were changed in.
fn changed(
    t: &mut Transaction<'_>,
    connection: &str,
    side: &str,
    digest: &str,
) -> Result<Option<String>, Error> {
    let row = t.query_opt(
        "SELECT members FROM _lockgate_config_changes
         WHERE connection = $1 AND side = $2 AND digest = $3",
        &[&connection, &side, &digest],
    )?;
    row.map(|row| row.try_get(0)).transpose()
}

fn keep(
    t: &mut Transaction<'_>,
    connection: &str,
    side: &str,
    digest: &str,
    members: &Json,
) -> Result<(), Error> {
    t.execute(
        "INSERT INTO _lockgate_config_changes (connection, side, digest, members)
         VALUES ($1, $2, $3, $4)
         ON CONFLICT (connection, side) DO UPDATE SET
            digest = excluded.digest, members = excluded.members",
        &[&connection, &side, &digest, &members.get()],
    )
    .map(drop)
}
