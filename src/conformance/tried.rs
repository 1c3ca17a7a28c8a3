//! What the rules of destinations share: streams to be written, and what is there of them afterwards.

use serde_json::{Map, json};

use super::compare::Differences;
use super::play::Played;
use super::read_back::{ReadBack, ReadBackError};
use super::report::Findings;
use super::rule::Rule;
use super::{Trial, told};
use crate::protocol::{
    Catalog, ConfiguredStream, DestinationSyncMode, DiscoveredStream, Json, Specification,
    StreamDescriptor, SyncMode,
};

/// What destinations are tried with, and the way back.
pub(super) struct Tried<'a> {
    pub(super) trial: &'a Trial<'a>,
    pub(super) spec: &'a Specification,
    pub(super) back: Option<&'a ReadBack>,
    pub(super) namespace: Option<String>,
}

/// A stream of a write.
pub(super) struct Stream {
    pub(super) name: String,
    pub(super) schema: serde_json::Value,
    pub(super) mode: DestinationSyncMode,
    pub(super) key: bool,
    /// The source reads all of it, and does not go on from a state.
    pub(super) whole: bool,
    pub(super) generation: u64,
    pub(super) minimum: u64,
}

impl Stream {
    /// Numbers with a text, in a mode.
    pub(super) fn numbers(name: &str, mode: DestinationSyncMode) -> Self {
        let schema = json!({ "type": "object", "properties": {
            "id": { "type": ["null", "integer"] }, "text": { "type": ["null", "string"] } } });
        Self {
            name: name.to_owned(),
            schema,
            mode,
            key: false,
            whole: false,
            generation: 1,
            minimum: 0,
        }
    }

    /// The same in a generation; rows of those below `minimum` go.
    pub(super) fn in_generation(mut self, generation: u64, minimum: u64) -> Self {
        (self.generation, self.minimum) = (generation, minimum);
        self
    }
}

/// Rows of [`Stream::numbers`].
pub(super) fn numbers(ids: std::ops::Range<u64>, text: &str) -> Vec<String> {
    ids.map(|id| json!({ "id": id, "text": format!("{text} {id}") }).to_string()).collect()
}

impl Tried<'_> {
    pub(super) fn supports(&self, mode: DestinationSyncMode) -> bool {
        self.spec.supports(mode)
    }

    /// The mode that adds where there is one, else one that there is.
    pub(super) fn plain_mode(&self) -> DestinationSyncMode {
        use DestinationSyncMode::{Append, AppendDedup, Overwrite};
        let modes = [Append, Overwrite, AppendDedup];
        modes.into_iter().find(|mode| self.supports(*mode)).unwrap_or(Append)
    }

    fn descriptor(&self, name: &str) -> StreamDescriptor {
        StreamDescriptor { name: name.to_owned(), namespace: self.namespace.clone() }
    }

    pub(super) fn catalog(&self, streams: &[Stream], sync_id: u64) -> Catalog {
        let configured = |stream: &Stream| {
            let key = if stream.key { vec![vec!["id".to_owned()]] } else { Vec::new() };
            ConfiguredStream {
                stream: DiscoveredStream {
                    descriptor: self.descriptor(&stream.name),
                    json_schema: Json::from_value(&stream.schema),
                    sync_modes: vec![SyncMode::FullRefresh, SyncMode::Incremental],
                    source_defined_cursor: false,
                    default_cursor_field: Vec::new(),
                    source_defined_primary_key: key.clone(),
                    resumable: false,
                    extra: Map::new(),
                },
                sync_mode: if stream.whole { SyncMode::FullRefresh } else { SyncMode::Incremental },
                destination_sync_mode: stream.mode,
                cursor_field: Vec::new(),
                primary_key: key,
                generation_id: stream.generation,
                minimum_generation_id: stream.minimum,
                sync_id,
                extra: Map::new(),
            }
        };
        Catalog { streams: streams.iter().map(configured).collect() }
    }

    /// What differs between rows that should be there and those that are.
    pub(super) async fn differs(
        &self,
        name: &str,
        rows: &[String],
    ) -> Result<Differences, ReadBackError> {
        let found = match self.back {
            Some(back) => back.rows(self.trial, &self.descriptor(name)).await,
            None => Ok(Vec::new()),
        };
        Ok(Differences::between(name, rows, &found.map_err(|error| error.of(name))?))
    }
}

impl Findings {
    /// A rule that holds where nothing differs; not tried, where nothing can be read back.
    pub(super) fn judge_back(
        &mut self,
        rule: Rule,
        differs: Result<Differences, ReadBackError>,
    ) -> bool {
        match differs {
            Ok(differs) => self.judge(rule, differs.all()),
            Err(error) => {
                self.skip(rule, error.to_string());
                false
            }
        }
    }
}

/// Whether a write ended well, or why not.
pub(super) fn failed(played: &Played) -> Option<String> {
    match &played.ended {
        Some(Ok(())) | None => None,
        Some(Err(error)) => Some(told(error)),
    }
}

/// A rule that was not tried because the destination does not say that it can.
pub(super) fn cannot(findings: &mut Findings, rule: Rule, mode: DestinationSyncMode) {
    findings.skip(rule, format!("it does not list {}", mode.airbyte()));
}
