//! The audit trail of a run: one JSON line a decision.

use std::fs::File;
use std::io::Write as _;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::id::{now, time};
use crate::protocol::{Capability, Decision, Failure, Json, LogLevel, Observer};
use crate::sandbox::{Limits, Noted, Tally};

/// Which connector of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The source of a sync.
    Source,
    /// The destination of a sync.
    Destination,
    /// The only one, in `check` and `discover`.
    Connector,
}

impl Side {
    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Destination => "destination",
            Self::Connector => "connector",
        }
    }

    /// What its flags begin with.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Source => "source-",
            Self::Destination => "destination-",
            Self::Connector => "",
        }
    }
}

/// One line of `audit.jsonl`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditLine {
    /// RFC 3339, UTC, with milliseconds. Of a line with a count: when it was counted.
    pub time: String,
    /// The run.
    pub run: String,
    /// The side it is about.
    pub side: Side,
    /// The connector, as it was named.
    pub connector: String,
    /// `sha256:…` of a component.
    pub digest: Option<String>,
    /// What was asked for.
    pub capability: Capability,
    /// Of what. A connector's words: printable, and 256 characters at most.
    pub target: String,
    /// `allow` or `deny`.
    pub decision: Answer,
    /// The grant or rule it rests on.
    pub rule: String,
    /// How often it was made, where that was more than once: at the end of a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// Granted.
    Allow,
    /// Refused.
    Deny,
}

/// `audit.jsonl`, open. All sides of a run write to it.
pub(super) struct AuditFile {
    file: Mutex<File>,
    lost: OnceLock<String>,
    stop: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl std::fmt::Debug for AuditFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuditFile").field("lost", &self.lost).finish_non_exhaustive()
    }
}

impl AuditFile {
    pub(super) fn new(file: File) -> Arc<Self> {
        Arc::new(Self { file: Mutex::new(file), lost: OnceLock::new(), stop: OnceLock::new() })
    }

    /// What to do when a line cannot be written.
    pub(super) fn on_loss(&self, stop: impl Fn() + Send + Sync + 'static) {
        // There is one run, and it says so once.
        let _ = self.stop.set(Box::new(stop));
    }

    fn write(&self, line: &AuditLine) {
        // Our own types always serialise.
        let mut text = serde_json::to_string(line).unwrap_or_default();
        text.push('\n');
        let written =
            self.file.lock().unwrap_or_else(PoisonError::into_inner).write_all(text.as_bytes());
        if let Err(error) = written
            && self.lost.set(error.to_string()).is_ok()
            && let Some(stop) = self.stop.get()
        {
            stop();
        }
    }

    /// Makes what was written durable.
    pub(super) fn sync(&self) {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = file.sync_data() {
            let _ = self.lost.set(error.to_string());
        }
    }

    /// Why a line was lost, if one was.
    pub(super) fn lost(&self) -> Option<&String> {
        self.lost.get()
    }
}

/// The trail of one side.
#[derive(Debug)]
pub(super) struct Trail {
    run: String,
    side: Side,
    /// The connector as it was named, and its digest once that is known.
    who: Mutex<(String, Option<String>)>,
    tally: Mutex<Tally>,
    file: Arc<AuditFile>,
}

impl Trail {
    pub(super) fn new(run: String, side: Side, connector: &str, file: Arc<AuditFile>) -> Arc<Self> {
        let tally = Mutex::new(Tally::new(Limits::default().decisions));
        let who = Mutex::new((connector.to_owned(), None));
        Arc::new(Self { run, side, who, tally, file })
    }

    pub(super) fn side(&self) -> Side {
        self.side
    }

    pub(super) fn describe(&self, digest: Option<String>, decisions: Option<usize>) {
        self.who.lock().unwrap_or_else(PoisonError::into_inner).1 = digest;
        if let Some(most) = decisions {
            self.tally.lock().unwrap_or_else(PoisonError::into_inner).set_most(most);
        }
    }

    /// Writes a decision that is new; gives it as it is kept.
    pub(super) fn note(&self, decision: &Decision) -> Option<Decision> {
        // Held while it is written: the order of the lines is that of the decisions.
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        match tally.note(decision) {
            Noted::First(kept) | Noted::Full(kept) => {
                self.file.write(&self.line(&kept, None));
                Some(kept)
            }
            Noted::Again | Noted::Beyond => None,
        }
    }

    /// Writes how often what was decided more than once; gives the number of refusals.
    pub(super) fn finish(&self) -> u64 {
        let tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        for (decision, count) in tally.repeated() {
            self.file.write(&self.line(&decision, Some(count)));
        }
        tally.denied()
    }

    fn line(&self, decision: &Decision, count: Option<u64>) -> AuditLine {
        let (connector, digest) = self.who.lock().unwrap_or_else(PoisonError::into_inner).clone();
        AuditLine {
            time: time(now()),
            run: self.run.clone(),
            side: self.side,
            connector,
            digest,
            capability: decision.capability,
            target: decision.target.clone(),
            decision: if decision.allowed { Answer::Allow } else { Answer::Deny },
            rule: decision.rule.clone(),
            count,
        }
    }
}

/// An observer that keeps the decisions and passes everything on; equal decisions once.
pub struct Recorder {
    pub(super) inner: Arc<dyn Observer>,
    pub(super) trail: Arc<Trail>,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("side", &self.trail.side).finish_non_exhaustive()
    }
}

#[async_trait]
impl Observer for Recorder {
    fn log(&self, level: LogLevel, message: &str) {
        self.inner.log(level, message);
    }

    async fn update_config(&self, config: Json) -> Result<(), Failure> {
        self.inner.update_config(config).await
    }

    fn decided(&self, decision: &Decision) {
        if let Some(kept) = self.trail.note(decision) {
            self.inner.decided(&kept);
        }
    }
}
