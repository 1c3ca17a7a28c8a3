//! A connection on a thread of its own: the client blocks in a runtime of its own, which must not be
//! one of ours.

use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use postgres::{Client, IsolationLevel, NoTls, Transaction};

use super::PostgresUrl;
use super::tls;

/// How long whoever asked waits for an answer: to connect, twice, and a statement of its full time.
const ANSWER_TIME: Duration = Duration::from_secs(60);

/// What a session is told first. A statement has 30 s; a client that stopped in the middle of a
/// transaction holds others up for 10 s at most; and what is committed is on the disk, whatever the
/// server's setting.
const SESSION: &str = "
SET statement_timeout = '30s';
SET lock_timeout = '20s';
SET idle_in_transaction_session_timeout = '10s';
SELECT set_config('synchronous_commit', 'on', false)
    WHERE current_setting('synchronous_commit') = 'off';
";

/// Why a server did not do it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct ServerError {
    /// Without a value that was sent to it.
    pub(crate) reason: String,
}

impl ServerError {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

impl From<postgres::Error> for ServerError {
    fn from(error: postgres::Error) -> Self {
        // The server's detail and hint may quote a value; its message names what is wrong.
        if let Some(said) = error.as_db_error() {
            return Self::new(format!("{} ({})", said.message(), said.code().code()));
        }
        let mut reason = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            if !reason.contains(&cause_text) {
                reason.push_str(": ");
                reason.push_str(&cause_text);
            }
            source = cause.source();
        }
        Self::new(reason)
    }
}

type Job = Box<dyn FnOnce(&mut Link) + Send>;

/// A server, as one user of it sees it. Its methods block, on any thread.
pub(crate) struct Server {
    url: PostgresUrl,
    schema: String,
    thread: Mutex<Option<SyncSender<Job>>>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("url", &self.url).finish_non_exhaustive()
    }
}

/// The connection, while there is one.
struct Link {
    url: PostgresUrl,
    schema: String,
    client: Option<Client>,
}

impl Link {
    /// The client, connected; and whether it was before.
    fn client(&mut self) -> Result<(&mut Client, bool), ServerError> {
        let kept = self.client.take().filter(|client| !client.is_closed());
        let is_old = kept.is_some();
        let client = match kept {
            Some(client) => client,
            None => self.connect()?,
        };
        Ok((self.client.insert(client), is_old))
    }

    fn connect(&self) -> Result<Client, ServerError> {
        let mut client = connect(&self.url)?;
        client.batch_execute(SESSION)?;
        client.batch_execute(&format!("SET search_path TO {}", quoted(&self.schema)))?;
        Ok(client)
    }

    /// Runs `body` in a transaction. One that a lost connection ended before it was committed is run
    /// again.
    fn transact<T>(
        &mut self,
        mut body: impl FnMut(&mut Transaction<'_>) -> Result<T, postgres::Error>,
    ) -> Result<T, ServerError> {
        loop {
            let (client, is_old) = self.client()?;
            let mut committing = false;
            match once(client, &mut body, &mut committing) {
                Ok(value) => return Ok(value),
                Err(error) => {
                    let is_lost = client.is_closed() || is_lost(&error);
                    if is_lost {
                        self.client = None;
                    }
                    // Nothing was done yet, and the connection may have been gone for long.
                    if !(is_lost && is_old && !committing) {
                        return Err(error.into());
                    }
                }
            }
        }
    }
}

fn once<T>(
    client: &mut Client,
    body: &mut impl FnMut(&mut Transaction<'_>) -> Result<T, postgres::Error>,
    committing: &mut bool,
) -> Result<T, postgres::Error> {
    let begin = client.build_transaction().isolation_level(IsolationLevel::ReadCommitted);
    let mut transaction = begin.start()?;
    let value = body(&mut transaction)?;
    *committing = true;
    transaction.commit()?;
    Ok(value)
}

/// Whether an error is that of a connection that is over: the server ends, or ended the session
/// (`57P01` and its kin; `25P03`: it was idle in a transaction), or nobody is there.
fn is_lost(error: &postgres::Error) -> bool {
    let is_io = |error: &postgres::Error| {
        std::error::Error::source(error).is_some_and(|source| source.is::<std::io::Error>())
    };
    match error.code() {
        Some(code) => code.code().starts_with("57P") || code.code() == "25P03",
        None => error.is_closed() || is_io(error),
    }
}

/// Connects, and leaves all else to the caller. Not on a thread that a runtime runs on.
pub(crate) fn connect(url: &PostgresUrl) -> Result<Client, ServerError> {
    if url.tls {
        let tls = tls::client(url.roots.as_deref()).map_err(ServerError::new)?;
        return Ok(url.config.connect(tls)?);
    }
    Ok(url.config.connect(NoTls)?)
}

/// A name as SQL has it.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl Server {
    /// A server; names without a schema are those of `schema`. Connects when it is asked first.
    pub(crate) fn new(url: PostgresUrl, schema: impl Into<String>) -> Self {
        Self { url, schema: schema.into(), thread: Mutex::new(None) }
    }

    /// For errors: the URL without its password.
    pub(crate) fn shown(&self) -> &str {
        self.url.shown()
    }

    pub(crate) fn schema(&self) -> &str {
        &self.schema
    }

    /// Runs `body` in one transaction, perhaps twice. A transaction that an error of its own ends
    /// leaves nothing.
    pub(crate) fn transact<T: Send + 'static>(
        &self,
        body: impl FnMut(&mut Transaction<'_>) -> Result<T, postgres::Error> + Send + 'static,
    ) -> Result<T, ServerError> {
        let (answer, awaited) = sync_channel(1);
        let job: Job = Box::new(move |link| {
            // Nobody waits for it any more where it took too long.
            let _ = answer.send(link.transact(body));
        });
        let gone = || ServerError::new("its connection ended early");
        self.thread()?.send(job).map_err(|_| gone())?;
        match awaited.recv_timeout(ANSWER_TIME) {
            Ok(result) => result,
            Err(reason) => {
                // Whatever holds the thread up is left to it; the next is asked on another.
                *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = None;
                Err(match reason {
                    RecvTimeoutError::Timeout => {
                        let seconds = ANSWER_TIME.as_secs();
                        ServerError::new(format!("it has not answered for {seconds} s"))
                    }
                    RecvTimeoutError::Disconnected => gone(),
                })
            }
        }
    }

    /// The way to the thread, which is begun where there is none.
    fn thread(&self) -> Result<SyncSender<Job>, ServerError> {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = &*thread {
            return Ok(sender.clone());
        }
        let (sender, jobs) = sync_channel::<Job>(1);
        let mut link = Link { url: self.url.clone(), schema: self.schema.clone(), client: None };
        std::thread::Builder::new()
            .name("lockgate-postgres".into())
            .spawn(move || {
                while let Ok(job) = jobs.recv() {
                    job(&mut link);
                }
            })
            .map_err(|e| ServerError::new(e.to_string()))?;
        *thread = Some(sender.clone());
        Ok(sender)
    }
}
