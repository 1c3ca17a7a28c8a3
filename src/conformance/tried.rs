//! What the rules of destinations share: streams to be written, and what is there of them afterwards.

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Map, json};

use super::compare::Differences;
use super::play::{Played, Step, write};
use super::read_back::{ReadBack, ReadBackError};
use super::report::Findings;
use super::rule::{Rule, WRITE_VALUES};
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
    /// Streams that were written to see whether their rows arrive at all.
    pub(super) controls: AtomicU32,
}

/// A stream of a write.
pub(super) struct Stream {
    pub(super) name: String,
    /// What its namespace has more than that of all.
    pub(super) apart: Option<&'static str>,
    pub(super) schema: serde_json::Value,
    pub(super) mode: DestinationSyncMode,
    /// Columns of its primary key.
    pub(super) key: &'static [&'static str],
    /// The source reads all of it, and does not go on from a state.
    pub(super) whole: bool,
    pub(super) generation: u64,
    pub(super) minimum: u64,
}

impl Stream {
    /// Numbers with a text, in a mode. Some have a part and a value as well.
    pub(super) fn numbers(name: &str, mode: DestinationSyncMode) -> Self {
        let schema = json!({ "type": "object", "properties": {
            "id": { "type": ["null", "integer"] }, "text": { "type": ["null", "string"] },
            "part": { "type": ["null", "string"] }, "value": { "type": ["null", "integer"] } } });
        Self {
            name: name.to_owned(),
            apart: None,
            schema,
            mode,
            key: &[],
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

/// Rows of a stream in two parts, a state after each that has some.
pub(super) fn parts(stream: u32, rows: &[String], at: usize, states: [u64; 2]) -> Vec<Step> {
    let (first, rest) = rows.split_at(at);
    let parts = states.into_iter().zip([first, rest]).filter(|(_, rows)| !rows.is_empty());
    parts
        .flat_map(|(number, rows)| [Step::Rows(stream, rows.to_vec()), Step::State(stream, number)])
        .collect()
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

    fn descriptor(&self, name: &str, apart: Option<&str>) -> StreamDescriptor {
        let namespace = match (apart, &self.namespace) {
            (Some(apart), Some(namespace)) => Some(format!("{namespace}_{apart}")),
            (Some(apart), None) => Some(format!("lockgate_validate_{apart}")),
            (None, namespace) => namespace.clone(),
        };
        StreamDescriptor { name: name.to_owned(), namespace }
    }

    pub(super) fn catalog(&self, streams: &[Stream], sync_id: u64) -> Catalog {
        let configured = |stream: &Stream| {
            let key: Vec<Vec<String>> =
                stream.key.iter().map(|column| vec![(*column).to_owned()]).collect();
            ConfiguredStream {
                stream: DiscoveredStream {
                    descriptor: self.descriptor(&stream.name, stream.apart),
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
        self.differs_in(name, None, rows).await
    }

    /// The same, of a stream in a namespace of its own.
    pub(super) async fn differs_in(
        &self,
        name: &str,
        apart: Option<&str>,
        rows: &[String],
    ) -> Result<Differences, ReadBackError> {
        let stream = self.descriptor(name, apart);
        let found = match self.back {
            Some(back) => back.rows(self.trial, &stream).await,
            None => Ok(Vec::new()),
        };
        Ok(Differences::between(name, rows, &found.map_err(|error| error.of(name))?))
    }

    /// Whether these rows, of a stream each, are all there when they are written in the simplest way.
    async fn keeps(&self, streams: &[&[String]]) -> bool {
        let names: Vec<String> = streams
            .iter()
            .map(|_| format!("control_{}", self.controls.fetch_add(1, Ordering::Relaxed)))
            .collect();
        let configured: Vec<Stream> =
            names.iter().map(|name| Stream::numbers(name, self.plain_mode())).collect();
        let mut steps = Vec::new();
        for (index, rows) in (0u32..).zip(streams) {
            steps.extend(parts(index, rows, rows.len() / 3, [1, 2]));
            steps.push(Step::Complete(index));
        }
        let played = write(self.trial, &self.catalog(&configured, 90), steps).await;
        if failed(&played).is_some() {
            return false;
        }
        let written = names.iter().map(String::as_str).zip(streams.iter().copied());
        self.differ(written).await.is_ok_and(|differs| differs.is_empty())
    }

    /// What differs in several streams: each by its name, with the rows that should be there.
    pub(super) async fn differ<'r>(
        &self,
        streams: impl IntoIterator<Item = (&'r str, &'r [String])>,
    ) -> Result<Differences, ReadBackError> {
        let mut all = Differences::default();
        for (name, rows) in streams {
            all = all.and(self.differs(name, rows).await?);
        }
        Ok(all)
    }

    /// A rule that holds where these streams have these rows.
    pub(super) async fn judge_streams(
        &self,
        findings: &mut Findings,
        rule: Rule,
        streams: &[(&str, &[String])],
    ) -> bool {
        let differs = self.differ(streams.iter().copied()).await;
        let rows: Vec<&[String]> = streams.iter().map(|(_, rows)| *rows).collect();
        self.judge(findings, rule, differs, &rows).await
    }

    /// A rule that holds where nothing differs. Where values do not arrive as they are, and the same
    /// rows do not either when nothing else is done with them, it says nothing of the rule.
    pub(super) async fn judge(
        &self,
        findings: &mut Findings,
        rule: Rule,
        differs: Result<Differences, ReadBackError>,
        streams: &[&[String]],
    ) -> bool {
        self.judge_noting(findings, rule, differs, streams, Vec::new()).await
    }

    /// The same, with what is worth knowing.
    pub(super) async fn judge_noting(
        &self,
        findings: &mut Findings,
        rule: Rule,
        differs: Result<Differences, ReadBackError>,
        streams: &[&[String]],
        notes: Vec<String>,
    ) -> bool {
        let differ = differs.as_ref().is_ok_and(Differences::of_rows);
        if differ && findings.failed(WRITE_VALUES) && !self.keeps(streams).await {
            findings.skip(rule, LOSES);
            return false;
        }
        match differs {
            Ok(differs) => findings.judge_noting(rule, differs.all(), notes),
            Err(error) => {
                findings.skip(rule, error.to_string());
                false
            }
        }
    }
}

/// Why a rule was not tried where rows do not arrive at all.
const LOSES: &str =
    "WRITE_VALUES does not hold, and these rows are not kept when they are only written either";

/// Whether a write ended well, or why not.
pub(super) fn failed(played: &Played) -> Option<String> {
    match &played.ended {
        Some(Ok(())) | None => None,
        Some(Err(error)) => Some(told(error)),
    }
}

/// Why a rule was not tried: the destination does not say that it can.
pub(super) fn unlisted(mode: DestinationSyncMode) -> String {
    format!("it does not list {}", mode.airbyte())
}
