//! What a sync did, for people and for machines. `lockgate sync --output json` prints it as it is
//! here: members are only ever added.

use std::sync::Arc;

use serde::Serialize;

use crate::connector::{Choice, Chosen, Connector};
use crate::fault::Fault;
use crate::protocol::Catalog;
use crate::sandbox::secrets::Redactor;

use super::{CacheReport, Counters, SyncError, SyncFailure, WriteResult};

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
    /// `waiting`, `running`, `complete` or `incomplete`.
    pub status: &'static str,
    /// Rows the source emitted.
    pub records_emitted: u64,
    /// Their bytes, as JSON lines.
    pub bytes_emitted: u64,
    /// Rows that became durable in the cache; absent without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records_cached: Option<u64>,
    /// Rows that were sent from the cache to the destination; absent without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records_sent: Option<u64>,
    /// Rows the destination confirmed as durable.
    pub records_committed: u64,
    /// Rows the destination refused.
    pub records_rejected: u64,
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
    /// Why it failed.
    pub error: Option<ErrorReport>,
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
            bytes_emitted: 0,
            checkpoints_emitted: 0,
            checkpoints_committed: 0,
            resumed: false,
            notes: Vec::new(),
            error: None,
        }
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
                    status: counters.status(),
                    records_emitted: counted.emitted,
                    bytes_emitted: counted.bytes,
                    records_cached: None,
                    records_sent: None,
                    records_committed: counted.committed,
                    records_rejected: counted.rejected,
                }
            })
            .collect();
        let total = counters.total();
        (self.records_emitted, self.bytes_emitted) = (total.emitted, total.bytes);
        self.records_committed = total.committed;
        (self.checkpoints_emitted, self.checkpoints_committed) = counters.checkpoints();
        self.duration_ms = u64::try_from(counters.elapsed().as_millis()).unwrap_or(u64::MAX);
    }

    /// Adds what became of the rows in a cache.
    pub(super) fn cached(&mut self, counters: &Counters, mut cache: CacheReport) {
        for (stream, counters) in self.streams.iter_mut().zip(&counters.streams) {
            let counted = counters.get();
            stream.records_cached = Some(counted.cached);
            stream.records_sent = Some(counted.sent);
        }
        let total = counters.total();
        (cache.records_cached, cache.records_sent) = (total.cached, total.sent);
        self.cache = Some(cache);
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
