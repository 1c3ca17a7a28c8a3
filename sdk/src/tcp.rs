//! Connections over TCP, with time limits, and with errors that say which grant is missing.
//!
//! A component reaches what the operator granted with `--allow-net HOST:PORT`. The host looks names up
//! and dials by itself; what is not granted is an error of the standard library that names nothing.
//! [`connect`] gives it the names:
//!
//! ```no_run
//! use std::io::Write as _;
//! use lockgate_sdk::{Failure, tcp};
//!
//! fn greet(host: &str) -> Result<(), Failure> {
//!     let mut stream = tcp::connect(host, 4000, tcp::Timeouts::default())?;
//!     let failed = |error| tcp::Error::of(host, 4000, error);
//!     stream.write_all(b"hello\n").map_err(failed)?;
//!     Ok(())
//! }
//! ```

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use crate::retry::{Retryable, Verdict};
use crate::{Failure, FailureKind};

/// To connect, over all addresses of a name.
pub const CONNECT_TIME: Duration = Duration::from_secs(10);
/// For one read or write.
pub const SILENCE_TIME: Duration = Duration::from_secs(60);
/// How many addresses of a name are tried.
pub const MAX_ADDRESSES: usize = 16;
/// The shortest time for one address: zero is no time at all.
const SHORTEST: Duration = Duration::from_millis(1);

/// How long a connection may take. The host's own limits hold as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// To connect, over all addresses of a name.
    pub connect: Duration,
    /// For one read.
    pub read: Duration,
    /// For one write.
    pub write: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: CONNECT_TIME, read: SILENCE_TIME, write: SILENCE_TIME }
    }
}

/// A connection that failed: where and why.
#[derive(Debug)]
pub struct Error {
    place: String,
    reason: Reason,
}

/// Why a connection failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Reason {
    /// The operator did not grant it.
    NotGranted,
    /// The name could not be looked up: it is not granted, or it has no address. The standard library
    /// does not tell which; the host's log does.
    Unresolved,
    /// It took too long.
    Timeout,
    /// Something else, in the system's words.
    Io(io::Error),
}

impl Error {
    /// What an operation on a connection to this place failed with.
    #[must_use]
    pub fn of(host: &str, port: u16, error: io::Error) -> Self {
        let reason = match error.kind() {
            io::ErrorKind::PermissionDenied => Reason::NotGranted,
            // A read that has a time limit ends in either.
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Reason::Timeout,
            _ => Reason::Io(error),
        };
        Self::new(host, port, reason)
    }

    fn new(host: &str, port: u16, reason: Reason) -> Self {
        let place =
            if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        Self { place, reason }
    }

    /// Why it failed.
    #[must_use]
    pub fn reason(&self) -> &Reason {
        &self.reason
    }

    /// Who can mend it.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        match &self.reason {
            Reason::NotGranted => FailureKind::Config,
            Reason::Unresolved | Reason::Timeout => FailureKind::Transient,
            Reason::Io(error) => match error.kind() {
                io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported => FailureKind::System,
                _ => FailureKind::Transient,
            },
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = &self.place;
        match &self.reason {
            Reason::NotGranted => write!(
                f,
                "cannot connect to {place}: it is not granted: pass --allow-net {place} (in sync: \
                 --source-allow-net or --destination-allow-net)"
            ),
            Reason::Unresolved => write!(
                f,
                "cannot connect to {place}: its name cannot be looked up: is it spelt right, and \
                 granted with --allow-net {place}?"
            ),
            Reason::Timeout => write!(f, "the connection to {place} took too long"),
            Reason::Io(error) => write!(f, "the connection to {place} failed: {error}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.reason {
            Reason::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl Retryable for Error {
    fn verdict(&self) -> Verdict {
        match self.kind() {
            FailureKind::Transient => Verdict::Again { after: None },
            _ => Verdict::Final,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}

/// Connects to a name or an address, to the first of its addresses that answers.
///
/// # Errors
/// What the last address failed with; [`Reason::NotGranted`] names the grant.
pub fn connect(host: &str, port: u16, timeouts: Timeouts) -> Result<TcpStream, Error> {
    let end = Instant::now() + timeouts.connect;
    let failed = |error| Error::of(host, port, error);
    let addresses = look_up(host, port)?;
    let mut last = Error::new(host, port, Reason::Unresolved);
    for (at, address) in addresses.iter().enumerate() {
        // One that does not answer leaves time for the others.
        let left = end.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addresses.len() - at).unwrap_or(u32::MAX);
        match TcpStream::connect_timeout(address, share.max(SHORTEST)) {
            Ok(stream) => {
                stream.set_read_timeout(Some(timeouts.read.max(SHORTEST))).map_err(failed)?;
                stream.set_write_timeout(Some(timeouts.write.max(SHORTEST))).map_err(failed)?;
                // Requests and their answers: nothing is gained by waiting for more.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => last = failed(error),
        }
    }
    Err(last)
}

fn look_up(host: &str, port: u16) -> Result<Vec<SocketAddr>, Error> {
    match (host, port).to_socket_addrs() {
        Ok(addresses) => Ok(addresses.take(MAX_ADDRESSES).collect()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Err(Error::new(host, port, Reason::NotGranted))
        }
        Err(_) => Err(Error::new(host, port, Reason::Unresolved)),
    }
}
