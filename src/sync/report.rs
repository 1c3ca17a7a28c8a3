//! What a sync did, for people and for machines. `lockgate sync --output json` prints it as it is
//! here: members are only ever added.

use std::sync::Arc;

use serde::Serialize;

use crate::connector::{Choice, Chosen, Connector};
use crate::fault::Fault;
use crate::protocol::Catalog;
use crate::sandbox::secrets::Redactor;

use super::{Attempt, CacheReport, Counters, SyncError, SyncFailure, WriteResult};

/// One connector of a sync.
#[derive(Debug, Clone, Serialize)]
pub struct ConnectorReport {
    /// What was named.
    pub connector: String,
    /// What it calls itself, where it does.
    pub name: String,
    /// Its version, where it says.
    pub version: String,
    /// `component`, `process`, `python`, `docker` or `noop`.
    pub executor: &'static str,
    /// What ran: a file, an image, a package with its version and Python.
    pub reference: String,
    /// `sha256:…` of a component or an image, or of the list of a Python connector's packages.
    pub digest: Option<String>,
    /// The fence of a process: `landlock-7, seccomp, limits`, with what it lacks or does not do
    /// behind a semicolon; `off` where there is none. Absent for what is no process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fence: Option<String>,
    /// How it was decided to run it, and why. Absent for a connector that was made by hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chosen: Option<Chosen>,
}

impl ConnectorReport {
    pub(super) fn new(connector: &Connector, name: &str, version: &str) -> Self {
        let described = connector.describe();
        Self {
            connector: connector.name().to_owned(),
            name: name.to_owned(),
            version: version.to_owned(),
            executor: described.executor,
            reference: described.reference,
            digest: described.digest,
            fence: described.fence,
            chosen: connector.choice().map(Choice::chosen),
        }
    }
}

/// One stream of a sync.
#[derive(Debug, Clone, Serialize)]
pub struct StreamReport {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: Option<String>,
    /// `full_refresh` or `incremental`.
    pub sync_mode: &'static str,
    /// `append`, `overwrite`, `append_dedup`.
    pub destination_sync_mode: &'static str,
    /// The generation written.
    pub generation_id: u64,
    /// Equal to it where rows of earlier ones disappear once the stream is complete; else 0.
    pub minimum_generation_id: u64,
    /// `waiting`, `running`, `complete` or `incomplete`.
    pub status: &'static str,
    /// Rows the source emitted.
    pub records_emitted: u64,
    /// Their bytes, as JSON lines.
    pub bytes_emitted: u64,
    /// Rows the destination confirmed as durable.
    pub records_committed: u64,
    /// Rows the destination refused.
    pub records_rejected: u64,
    /// Rows the source says it could not give.
    pub records_rejected_by_source: u64,
    /// Rows that are durable in the cache; 0 without one.
    pub records_cached: u64,
    /// Rows the destination was given.
    pub records_sent: u64,
    /// States that cover the stream, as the source gave them. A global one covers all.
    pub checkpoints_emitted: u64,
    /// Of these, how many the destination confirmed.
    pub checkpoints_committed: u64,
    /// When the last of them was stored, in ms since the epoch; none: none was.
    pub state_stored_at: Option<i64>,
}

impl StreamReport {
    /// Whether it is the same stream.
    fn is_same(&self, other: &Self) -> bool {
        self.name == other.name && self.namespace == other.namespace
    }

    /// Whether rows that an attempt left are not there, or will not stay, once a later one is
    /// complete: they were to replace others, and were replaced themselves.
    fn lost_to(&self, later: &Self, rows_stay: bool) -> bool {
        let truncates = self.destination_sync_mode == "overwrite" || self.minimum_generation_id > 0;
        truncates && !(rows_stay && self.generation_id == later.generation_id)
    }

    fn add(&mut self, earlier: &Self, rows_stay: bool) {
        let add = |sum: &mut u64, more: u64| *sum = sum.saturating_add(more);
        if !earlier.lost_to(self, rows_stay) {
            add(&mut self.records_committed, earlier.records_committed);
            add(&mut self.records_rejected, earlier.records_rejected);
        }
        add(&mut self.records_emitted, earlier.records_emitted);
        add(&mut self.bytes_emitted, earlier.bytes_emitted);
        add(&mut self.records_rejected_by_source, earlier.records_rejected_by_source);
        add(&mut self.records_cached, earlier.records_cached);
        add(&mut self.records_sent, earlier.records_sent);
        add(&mut self.checkpoints_emitted, earlier.checkpoints_emitted);
        add(&mut self.checkpoints_committed, earlier.checkpoints_committed);
        self.state_stored_at = self.state_stored_at.max(earlier.state_stored_at);
    }
}

/// An error, as `--output json` prints it everywhere.
#[derive(Debug, Clone, Serialize)]
pub struct ErrorReport {
    /// Stable.
    pub code: &'static str,
    /// One sentence.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// Facts beside it.
    pub context: serde_json::Map<String, serde_json::Value>,
}

impl ErrorReport {
    /// From any error of this library.
    #[must_use]
    pub fn new(error: &dyn Fault) -> Self {
        let context = error.context().into_iter();
        Self {
            code: error.code(),
            message: error.to_string(),
            hint: error.hint(),
            context: context.map(|(name, value)| (name.to_owned(), value.into())).collect(),
        }
    }
}

/// A sync.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The name of its record; none where none is kept.
    pub run: Option<String>,
    /// `succeeded` or `failed`.
    pub status: &'static str,
    /// The key of its states.
    pub connection: String,
    /// Unique within the connection; 0 without a state store.
    pub sync_id: u64,
    /// ms since the epoch.
    pub started_at: i64,
    /// From the start of both connectors to the end of both.
    pub duration_ms: u64,
    /// `worker`: both connectors in a process of their own; or `in-process`.
    pub isolation: &'static str,
    /// Where rows came from.
    pub source: ConnectorReport,
    /// Where they went.
    pub destination: ConnectorReport,
    /// The cache between them; absent without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheReport>,
    /// In the source's order.
    pub streams: Vec<StreamReport>,
    /// All streams together.
    pub records_emitted: u64,
    /// All streams together.
    pub records_committed: u64,
    /// All streams together, and those whose stream the destination did not say.
    pub records_rejected: u64,
    /// All streams together, and those whose stream the source did not say.
    pub records_rejected_by_source: u64,
    /// All streams together.
    pub records_cached: u64,
    /// All streams together.
    pub records_sent: u64,
    /// All streams together.
    pub bytes_emitted: u64,
    /// States the source gave.
    pub checkpoints_emitted: u64,
    /// States the destination confirmed.
    pub checkpoints_committed: u64,
    /// Whether the sync went on from states of an earlier one.
    pub resumed: bool,
    /// What the plan had to say.
    pub notes: Vec<String>,
    /// Every attempt; more than one where it failed for a reason that may pass. The counts above are
    /// those of all of them: a row that a later attempt wrote again in its place is committed once.
    pub attempts: Vec<Attempt>,
    /// Why it failed.
    pub error: Option<ErrorReport>,
    /// The destination keeps the rows of a generation that was not completed.
    #[serde(skip)]
    pub(super) rows_stay: bool,
}

impl Report {
    /// Of a sync that has moved nothing yet.
    pub(super) fn new(
        connection: &str,
        started_at: i64,
        isolation: &'static str,
        source: ConnectorReport,
        destination: ConnectorReport,
    ) -> Self {
        Self {
            run: None,
            status: "succeeded",
            connection: connection.to_owned(),
            sync_id: 0,
            started_at,
            duration_ms: 0,
            isolation,
            source,
            destination,
            cache: None,
            streams: Vec::new(),
            records_emitted: 0,
            records_committed: 0,
            records_rejected: 0,
            records_rejected_by_source: 0,
            records_cached: 0,
            records_sent: 0,
            bytes_emitted: 0,
            checkpoints_emitted: 0,
            checkpoints_committed: 0,
            resumed: false,
            notes: Vec::new(),
            attempts: Vec::new(),
            error: None,
            rows_stay: false,
        }
    }

    /// The same, with what an earlier attempt did.
    pub(super) fn after(mut self, earlier: Self) -> Self {
        let add = |sum: &mut u64, more: u64| *sum = sum.saturating_add(more);
        // Those whose stream nobody said.
        let loose = |report: &Self, of: fn(&StreamReport) -> u64, all: u64| {
            all.saturating_sub(report.streams.iter().map(of).fold(0, u64::saturating_add))
        };
        let rejected: fn(&StreamReport) -> u64 = |s| s.records_rejected;
        let by_source: fn(&StreamReport) -> u64 = |s| s.records_rejected_by_source;
        let loose =
            [
                loose(&earlier, rejected, earlier.records_rejected).saturating_add(loose(
                    &self,
                    rejected,
                    self.records_rejected,
                )),
                loose(&earlier, by_source, earlier.records_rejected_by_source)
                    .saturating_add(loose(&self, by_source, self.records_rejected_by_source)),
            ];
        for stream in &mut self.streams {
            if let Some(before) = earlier.streams.iter().find(|s| s.is_same(stream)) {
                stream.add(before, self.rows_stay);
            }
        }
        add(&mut self.checkpoints_emitted, earlier.checkpoints_emitted);
        add(&mut self.checkpoints_committed, earlier.checkpoints_committed);
        self.resumed = earlier.resumed;
        self.add_up(loose);
        self
    }

    /// Adds the streams up. `loose`: rows that the destination, and rows that the source rejected
    /// without a word of which stream.
    fn add_up(&mut self, [rejected, by_source]: [u64; 2]) {
        let sum =
            |of: fn(&StreamReport) -> u64| self.streams.iter().map(of).fold(0, u64::saturating_add);
        self.records_emitted = sum(|s| s.records_emitted);
        self.bytes_emitted = sum(|s| s.bytes_emitted);
        self.records_cached = sum(|s| s.records_cached);
        self.records_sent = sum(|s| s.records_sent);
        self.records_committed = sum(|s| s.records_committed).saturating_sub(rejected);
        self.records_rejected = sum(|s| s.records_rejected).saturating_add(rejected);
        self.records_rejected_by_source =
            sum(|s| s.records_rejected_by_source).saturating_add(by_source);
    }

    pub(super) fn fill(&mut self, catalog: &Catalog, counters: &Counters) {
        self.sync_id = catalog.streams.first().map_or(0, |s| s.sync_id);
        self.streams = catalog
            .streams
            .iter()
            .zip(&counters.streams)
            .map(|(stream, counters)| {
                let counted = counters.get();
                StreamReport {
                    name: stream.stream.descriptor.name.clone(),
                    namespace: stream.stream.descriptor.namespace.clone(),
                    sync_mode: stream.sync_mode.airbyte(),
                    destination_sync_mode: stream.destination_sync_mode.airbyte(),
                    generation_id: stream.generation_id,
                    minimum_generation_id: stream.minimum_generation_id,
                    status: counters.status(),
                    records_emitted: counted.emitted,
                    bytes_emitted: counted.bytes,
                    records_committed: counted.committed,
                    records_rejected: counted.rejected,
                    records_rejected_by_source: counted.source_rejected,
                    records_cached: counted.cached,
                    records_sent: counted.sent,
                    checkpoints_emitted: counted.checkpoints,
                    checkpoints_committed: counted.checkpoints_committed,
                    state_stored_at: counters.state_stored_at(),
                }
            })
            .collect();
        let (rejected, by_source) = counters.loose_rejected();
        self.add_up([rejected, by_source]);
        (self.checkpoints_emitted, self.checkpoints_committed) = counters.checkpoints();
        self.duration_ms = u64::try_from(counters.elapsed().as_millis()).unwrap_or(u64::MAX);
    }

    /// Hides secrets: a stream's name may be one of the other side's.
    pub(super) fn hide(&mut self, redactor: &Redactor) {
        let hide = |text: &mut String| {
            if let std::borrow::Cow::Owned(hidden) = redactor.redact(text) {
                *text = hidden;
            }
        };
        for stream in &mut self.streams {
            hide(&mut stream.name);
            stream.namespace.as_mut().map(hide);
        }
        self.notes.iter_mut().for_each(hide);
        if let Some(error) = &mut self.error {
            hide(&mut error.message);
            for value in error.context.values_mut() {
                *value = redactor.redact_value(value);
            }
        }
    }

    /// How it ended, with the secrets hidden that one of these knows.
    pub(super) fn end(
        mut self,
        result: Result<(), SyncError>,
        redactors: &[Arc<Redactor>],
    ) -> Result<WriteResult, Box<SyncFailure>> {
        if let Err(error) = &result {
            self.status = "failed";
            self.error = Some(ErrorReport::new(error));
        }
        redactors.iter().for_each(|redactor| self.hide(redactor));
        match result {
            Ok(()) => Ok(WriteResult { report: self }),
            Err(error) => Err(Box::new(SyncFailure { error, report: Some(self) })),
        }
    }
}
