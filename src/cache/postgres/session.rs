//! A connection on a thread of its own: the client blocks in a runtime of its own, which must not be
//! one of ours.

use std::sync::mpsc::{SyncSender, sync_channel};

use ::postgres::Client;

use crate::cache::CacheError;
use crate::postgres::{PostgresUrl, ServerError, connect};

type Job = Box<dyn FnOnce(&mut Client) + Send>;

/// A connection. It is closed when this is dropped; what was not committed, and each lock that it held,
/// is gone then.
pub(super) struct Session {
    jobs: SyncSender<Job>,
    shown: String,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Session").field(&self.shown).finish()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // The server would let go when it finds the connection closed, which is some time after this: the
        // next who asks would be told that we still hold it. Where the connection is lost, it does so itself.
        let _ = self
            .run(|client| Ok(client.batch_execute("ROLLBACK; SELECT pg_advisory_unlock_all()")?));
    }
}

impl Session {
    /// Connects; `settings` are told first.
    pub(super) fn open(url: &PostgresUrl, settings: String) -> Result<Self, CacheError> {
        let shown = url.shown().to_owned();
        let (jobs, work) = sync_channel::<Job>(1);
        let (answer, connected) = sync_channel(1);
        let url = url.clone();
        let begun = std::thread::Builder::new().name("lockgate-cache".into()).spawn(move || {
            let client = connect(&url).and_then(|mut client| {
                client.batch_execute(&settings)?;
                Ok(client)
            });
            match client {
                Ok(mut client) => {
                    let _ = answer.send(Ok(()));
                    while let Ok(job) = work.recv() {
                        job(&mut client);
                    }
                }
                Err(error) => {
                    let _ = answer.send(Err(error));
                }
            }
        });
        let session = Self { jobs, shown };
        begun.map_err(|e| session.fault(e))?;
        match connected.recv() {
            Ok(Ok(())) => Ok(session),
            Ok(Err(error)) => Err(session.fault(error)),
            Err(_) => Err(session.fault("its connection ended early")),
        }
    }

    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    pub(super) fn fault(&self, error: impl std::fmt::Display) -> CacheError {
        CacheError::Database { cache: self.shown.clone(), reason: error.to_string() }
    }

    /// Runs `body` on the connection.
    pub(super) fn run<T: Send + 'static>(
        &self,
        body: impl FnOnce(&mut Client) -> Result<T, ServerError> + Send + 'static,
    ) -> Result<T, ServerError> {
        let gone = || ServerError::new("its connection ended early");
        let (answer, awaited) = sync_channel(1);
        let job: Job = Box::new(move |client| {
            let _ = answer.send(body(client));
        });
        self.jobs.send(job).map_err(|_| gone())?;
        awaited.recv().map_err(|_| gone())?
    }

    /// Runs `body` in a transaction of the kind that `begin` says.
    pub(super) fn transact<T: Send + 'static>(
        &self,
        begin: &'static str,
        body: impl FnOnce(&mut Client) -> Result<T, ServerError> + Send + 'static,
    ) -> Result<T, ServerError> {
        self.run(move |client| {
            client.batch_execute(begin)?;
            match body(client) {
                Ok(value) => {
                    client.batch_execute("COMMIT")?;
                    Ok(value)
                }
                Err(error) => {
                    // The first reason counts.
                    let _ = client.batch_execute("ROLLBACK");
                    Err(error)
                }
            }
        })
    }
}
