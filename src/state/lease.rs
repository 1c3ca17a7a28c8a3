//! Leases: one host at a time runs a connection. A lease that is not renewed ends by itself, so that a
//! host that died does not hold a connection for ever; and what is stored under a lease that ended is
//! refused, so that a host that slept does not undo what came after it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{StateStoreError, shown_time};

/// How long a lease lasts that is not renewed: long enough for a pause of the machine, short enough to
/// be waited for.
pub const LEASE_TIME: Duration = Duration::from_secs(30);
/// Between two renewals.
pub const RENEWAL: Duration = Duration::from_secs(10);

/// How long a lease lasts, and how often it is renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTimes {
    /// From one renewal until it ends.
    pub lease: Duration,
    /// Between two renewals: several fit into the lease, so that one may fail.
    pub renewal: Duration,
}

impl Default for LeaseTimes {
    fn default() -> Self {
        Self { lease: LEASE_TIME, renewal: RENEWAL }
    }
}

/// Who runs a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The machine's name.
    pub host: String,
    /// The process there.
    pub process: u32,
    /// What tells it from another process with the same number: the machine's boot and the process's
    /// start.
    pub start: String,
    /// Its run, where one is kept.
    pub run: Option<String>,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "process {} on {}", self.process, self.host)?;
        match &self.run {
            Some(run) => write!(f, " (run {run})"),
            None => Ok(()),
        }
    }
}

impl Holder {
    /// This process.
    #[must_use]
    pub fn this_process(run: Option<String>) -> Self {
        let process = std::process::id();
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self { host, process, start: start(process).unwrap_or_default(), run }
    }

    /// Whether it is known to be gone: a process of this machine that no longer runs. Of another
    /// machine's nothing is known.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        let Some((boot, _)) = self.start.split_once(' ') else { return false };
        let here = start(std::process::id());
        let this_boot = here.as_deref().and_then(|s| s.split_once(' ')).map(|(boot, _)| boot);
        // A name may be given twice; the number of a boot, with its PID namespace, is not.
        this_boot == Some(boot) && start(self.process).as_deref() != Some(self.start.as_str())
    }
}

/// The machine's boot and PID namespace, and when a process of it started; none when it does not run.
fn start(process: u32) -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = std::fs::read_link("/proc/self/ns/pid").ok()?;
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name before it may hold anything; the fields after it are numbers.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    let state = fields.next()?;
    if state == "Z" || state == "X" {
        return None;
    }
    let ticks = fields.nth(18)?;
    Some(format!("{}{} {ticks}", boot.trim(), namespace.display()))
}

/// Who has a connection, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// None: whoever it is cannot be read.
    pub holder: Option<Holder>,
    /// Since when, in ms since the epoch.
    pub since: i64,
    /// When the lease ends that is not renewed, in ms since the epoch, by the clock of the store.
    pub until: i64,
    /// Its time is over, or its holder is known to be gone: whoever asks gets the connection.
    pub ended: bool,
}

impl Held {
    /// `holder` as it is stored; `now` by the clock of the store.
    pub(super) fn new(holder: &str, since: i64, until: i64, now: i64) -> Self {
        let holder: Option<Holder> = serde_json::from_str(holder).ok();
        let ended = until <= now || holder.as_ref().is_some_and(Holder::is_gone);
        Self { holder, since, until, ended }
    }

    /// What is said to whoever wants the connection as well.
    #[must_use]
    pub fn refusal(&self, connection: &str) -> StateStoreError {
        let another = || "another host".to_owned();
        StateStoreError::Held {
            connection: connection.to_owned(),
            holder: self.holder.as_ref().map_or_else(another, ToString::to_string),
            since: shown_time(self.since),
            until: shown_time(self.until),
        }
    }
}

/// The end of a lease that begins now.
pub(super) fn end(now: i64, time: Duration) -> i64 {
    now.saturating_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
}

/// A lease that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The connection.
    pub connection: String,
    /// Unique: grows with each lease of the connection.
    pub token: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_runs_is_not_gone_and_one_that_ended_is() {
        let here = Holder::this_process(None);
        assert!(!here.is_gone());
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let process = child.id();
        let holder = Holder { process, start: start(process).unwrap(), ..here.clone() };
        assert!(!holder.is_gone());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(holder.is_gone());
        let elsewhere = Holder { start: "another 5".into(), ..here };
        assert!(!elsewhere.is_gone());
    }
}
