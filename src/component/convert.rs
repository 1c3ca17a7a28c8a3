//! Between the contract's bound types and the protocol's. What a guest sends is checked here:
//! JSON that is none, and states or catalogs without measure, become failures that name the field.

use super::bindings::{input, logging, output, types as wit};
use crate::protocol::{
    Catalog, ConfiguredStream, DestinationSyncMode, DiscoveredStream, EmittedAt, Event, Failure,
    FailureKind, Json, LogLevel, Need, Outcome, RowMeta, Rows, Specification, StateMessage,
    StreamDescriptor, StreamPart, StreamStatus, StreamTotal, SyncMode,
};
use crate::sandbox::Limits;

pub(super) fn descriptor(d: wit::StreamDescriptor) -> StreamDescriptor {
    StreamDescriptor { name: d.name, namespace: d.namespace }
}

fn wit_descriptor(d: &StreamDescriptor) -> wit::StreamDescriptor {
    wit::StreamDescriptor { name: d.name.clone(), namespace: d.namespace.clone() }
}

pub(super) fn failure(f: wit::Failure) -> Failure {
    Failure {
        kind: match f.kind {
            wit::FailureKind::Config => FailureKind::Config,
            wit::FailureKind::Transient => FailureKind::Transient,
            wit::FailureKind::System => FailureKind::System,
            wit::FailureKind::Cancelled => FailureKind::Cancelled,
        },
        message: cut(f.message),
        detail: f.detail.map(cut),
        stream: f.stream.map(descriptor),
        retry_after_ms: f.retry_after_ms,
    }
}

/// What is printed and reported: a stack trace fits, a flood does not.
fn cut(mut text: String) -> String {
    const LONGEST: usize = 64 << 10;
    text.truncate(text.floor_char_boundary(LONGEST));
    text
}

pub(super) fn wit_failure(f: Failure) -> wit::Failure {
    wit::Failure {
        kind: match f.kind {
            FailureKind::Config => wit::FailureKind::Config,
            FailureKind::Transient => wit::FailureKind::Transient,
            FailureKind::System => wit::FailureKind::System,
            FailureKind::Cancelled => wit::FailureKind::Cancelled,
        },
        message: f.message,
        detail: f.detail,
        stream: f.stream.as_ref().map(wit_descriptor),
        retry_after_ms: f.retry_after_ms,
    }
}

/// The JSON object in a field.
pub(super) fn object(text: String, field: &str) -> Result<Json, Failure> {
    Json::object(text).map_err(|e| Failure::system(format!("the connector's {field}: {e}")))
}

fn extra(text: String, field: &str) -> Result<serde_json::Map<String, serde_json::Value>, Failure> {
    let json = object(text, field)?;
    match json.to_value() {
        Ok(serde_json::Value::Object(map)) => Ok(map),
        Ok(_) => Ok(serde_json::Map::new()),
        Err(e) => Err(Failure::system(format!("the connector's {field}: {e}"))),
    }
}

fn extra_text(map: &serde_json::Map<String, serde_json::Value>) -> String {
    serde_json::Value::Object(map.clone()).to_string()
}

pub(super) fn specification(
    s: wit::Specification,
    is_source: bool,
) -> Result<Specification, Failure> {
    Ok(Specification {
        config_schema: object(s.config_schema, "config-schema")?,
        extra: extra(s.extra, "specification.extra")?,
        destination_sync_modes: (!is_source)
            .then(|| s.destination_sync_modes.into_iter().map(destination_sync_mode).collect()),
        needs: s
            .needs
            .into_iter()
            .map(|n| Need { capability: n.capability, pattern: n.pattern, reason: n.reason })
            .collect(),
        name: s.name,
        version: s.version,
        documentation_url: s.documentation_url,
    })
}

fn destination_sync_mode(m: wit::DestinationSyncMode) -> DestinationSyncMode {
    match m {
        wit::DestinationSyncMode::Append => DestinationSyncMode::Append,
        wit::DestinationSyncMode::Overwrite => DestinationSyncMode::Overwrite,
        wit::DestinationSyncMode::AppendDedup => DestinationSyncMode::AppendDedup,
        wit::DestinationSyncMode::Update => DestinationSyncMode::Update,
        wit::DestinationSyncMode::SoftDelete => DestinationSyncMode::SoftDelete,
    }
}

pub(super) fn discovered(
    streams: Vec<wit::DiscoveredStream>,
    limits: &Limits,
) -> Result<Vec<DiscoveredStream>, Failure> {
    if streams.len() > limits.streams {
        let (found, limit) = (streams.len(), limits.streams);
        return Err(Failure::system(format!(
            "the source lists {found} streams; {limit} are allowed"
        )));
    }
    let (all, parsed) =
        streams.iter().fold((0, 0), |(all, parsed), s| (all + weight(s), parsed + s.extra.len()));
    // `extra` is read into a tree at once, which takes up to 40 times its bytes.
    for (bytes, limit, what, name) in [
        (all, limits.discover_bytes, "has", "discover-bytes"),
        (parsed, limits.spec_bytes, "has, in the extra members of its streams,", "spec-bytes"),
    ] {
        if bytes > limit {
            return Err(Failure::system(format!(
                "the source's answer to discover {what} {bytes} bytes; {limit} are allowed (--limit {name}=)"
            )));
        }
    }
    let mut seen = std::collections::HashSet::with_capacity(streams.len());
    let mut out = Vec::with_capacity(streams.len());
    for s in streams {
        let descriptor = descriptor(s.descriptor);
        if !seen.insert(descriptor.clone()) {
            return Err(Failure::system(format!("the source lists the stream {descriptor} twice")));
        }
        out.push(DiscoveredStream {
            json_schema: object(s.json_schema, &format!("json-schema of stream {descriptor}"))?,
            extra: extra(s.extra, &format!("extra of stream {descriptor}"))?,
            sync_modes: s
                .sync_modes
                .into_iter()
                .map(|m| match m {
                    wit::SyncMode::FullRefresh => SyncMode::FullRefresh,
                    wit::SyncMode::Incremental => SyncMode::Incremental,
                })
                .collect(),
            source_defined_cursor: s.source_defined_cursor,
            default_cursor_field: s.default_cursor_field,
            source_defined_primary_key: s.source_defined_primary_key,
            resumable: s.resumable,
            descriptor,
        });
    }
    Ok(out)
}

/// Bytes of one discovered stream: its texts, and what each piece takes.
fn weight(s: &wit::DiscoveredStream) -> usize {
    const PIECE: usize = 24;
    let list = |texts: &[String]| texts.iter().map(|t| t.len() + PIECE).sum::<usize>();
    s.descriptor.name.len()
        + s.descriptor.namespace.as_ref().map_or(0, String::len)
        + s.json_schema.len()
        + s.extra.len()
        + s.sync_modes.len()
        + list(&s.default_cursor_field)
        + s.source_defined_primary_key.iter().map(|key| list(key) + PIECE).sum::<usize>()
}

pub(super) fn catalog(catalog: &Catalog) -> wit::Catalog {
    wit::Catalog {
        streams: catalog.streams.iter().map(configured).collect(),
        extra: "{}".to_owned(),
    }
}

fn configured(s: &ConfiguredStream) -> wit::ConfiguredStream {
    wit::ConfiguredStream {
        descriptor: wit_descriptor(&s.stream.descriptor),
        json_schema: s.stream.json_schema.get().to_owned(),
        format: wit::RowFormat::JsonLines,
        sync_mode: match s.sync_mode {
            SyncMode::FullRefresh => wit::SyncMode::FullRefresh,
            SyncMode::Incremental => wit::SyncMode::Incremental,
        },
        destination_sync_mode: match s.destination_sync_mode {
            DestinationSyncMode::Append => wit::DestinationSyncMode::Append,
            DestinationSyncMode::Overwrite => wit::DestinationSyncMode::Overwrite,
            DestinationSyncMode::AppendDedup => wit::DestinationSyncMode::AppendDedup,
            DestinationSyncMode::Update => wit::DestinationSyncMode::Update,
            DestinationSyncMode::SoftDelete => wit::DestinationSyncMode::SoftDelete,
        },
        cursor_field: s.cursor_field.clone(),
        primary_key: s.primary_key.clone(),
        generation_id: s.generation_id,
        minimum_generation_id: s.minimum_generation_id,
        sync_id: s.sync_id,
        extra: extra_text(&s.extra),
    }
}

pub(super) fn rows(batch: wit::Rows, limits: &Limits) -> Result<Rows, Failure> {
    let fault = |what: String| Failure::system(format!("the source's batch {what}"));
    // One row may be as large as `row_bytes`, so a batch may; a guest cannot send more anyway,
    // because of `host_call_bytes`.
    if batch.data.len() > limits.row_bytes.saturating_add(1 << 20) {
        return Err(fault(format!("has {} bytes", batch.data.len())));
    }
    let emitted_at = match batch.emitted_at.len() {
        0 => EmittedAt::Unknown,
        1 => EmittedAt::All(batch.emitted_at[0]),
        _ => EmittedAt::Each(batch.emitted_at),
    };
    let mut meta = Vec::with_capacity(batch.meta.len());
    for m in batch.meta {
        meta.push(RowMeta { row: m.row, meta: object(m.meta, "row metadata")? });
    }
    let rows = Rows {
        stream: batch.stream,
        count: batch.count,
        data: batch.data,
        emitted_at,
        meta,
        parsed: false,
    };
    // Whoever takes them verifies them, and remembers what did not fit.
    Ok(rows)
}

pub(super) fn state(state: output::State, limits: &Limits) -> Result<StateMessage, Failure> {
    let part = |s: wit::StreamState| -> Result<StreamPart, Failure> {
        let descriptor = descriptor(s.descriptor);
        let state =
            s.state.map(|t| object(t, &format!("state of stream {descriptor}"))).transpose()?;
        Ok(StreamPart { descriptor, state })
    };
    let message = match state {
        wit::State::Stream(s) => {
            let part = part(s)?;
            StateMessage::stream(part.descriptor, part.state.as_ref())
        }
        wit::State::Global(g) => {
            let shared = g.shared.map(|t| object(t, "shared state")).transpose()?;
            let parts = g.streams.into_iter().map(part).collect::<Result<Vec<_>, _>>()?;
            StateMessage::global(shared.as_ref(), &parts)
        }
    };
    let bytes = message.body().get().len();
    if bytes > limits.state_bytes {
        let limit = limits.state_bytes;
        return Err(Failure::system(format!("a state has {bytes} bytes; {limit} are allowed")));
    }
    Ok(message)
}

/// Stored states, for a component source. Legacy states have no place in the contract.
pub(super) fn wit_states(states: &[StateMessage]) -> Result<Vec<wit::State>, Failure> {
    let part = |p: StreamPart| wit::StreamState {
        descriptor: wit_descriptor(&p.descriptor),
        state: p.state.map(|s| s.get().to_owned()).filter(|s| s != "null"),
    };
    let mut out = Vec::with_capacity(states.len());
    for state in states {
        match state.scope() {
            crate::protocol::StateScope::Stream(_) => {
                out.extend(state.parts().into_iter().map(|p| wit::State::Stream(part(p))));
            }
            crate::protocol::StateScope::Global => {
                out.push(wit::State::Global(wit::GlobalState {
                    shared: state.shared().map(|s| s.get().to_owned()),
                    streams: state.parts().into_iter().map(part).collect(),
                }));
            }
            crate::protocol::StateScope::Legacy => {
                return Err(Failure::config(
                    "the stored state is of Airbyte's legacy form, which components do not read",
                ));
            }
        }
    }
    Ok(out)
}

pub(super) fn status(status: output::StreamStatus) -> StreamStatus {
    match status {
        output::StreamStatus::Started => StreamStatus::Started,
        output::StreamStatus::Running => StreamStatus::Running,
        output::StreamStatus::Complete => StreamStatus::Complete,
        output::StreamStatus::Incomplete => StreamStatus::Incomplete,
    }
}

pub(super) fn level(level: logging::Level) -> LogLevel {
    match level {
        logging::Level::Trace => LogLevel::Trace,
        logging::Level::Debug => LogLevel::Debug,
        logging::Level::Info => LogLevel::Info,
        logging::Level::Warn => LogLevel::Warn,
        logging::Level::Error => LogLevel::Error,
    }
}

pub(super) fn event(event: Event) -> input::Event {
    match event {
        Event::Rows(rows) => input::Event::Rows(wit::Rows {
            stream: rows.stream,
            count: rows.count,
            data: rows.data,
            emitted_at: match rows.emitted_at {
                EmittedAt::Unknown => vec![0],
                EmittedAt::All(at) => vec![at],
                EmittedAt::Each(times) => times,
            },
            meta: rows
                .meta
                .into_iter()
                .map(|m| wit::RowMeta { row: m.row, meta: m.meta.get().to_owned() })
                .collect(),
        }),
        Event::Checkpoint { id, .. } => input::Event::Checkpoint(id),
        Event::StreamEnd { stream, outcome } => input::Event::StreamEnd(input::StreamEnd {
            stream,
            outcome: match outcome {
                Outcome::Complete => input::Outcome::Complete,
                Outcome::Incomplete => input::Outcome::Incomplete,
            },
        }),
        Event::Flush => input::Event::Flush,
    }
}

pub(super) fn totals(totals: Vec<input::StreamTotal>) -> Vec<StreamTotal> {
    let one = |t: input::StreamTotal| StreamTotal {
        stream: t.stream,
        written: t.written,
        rejected: t.rejected,
        bytes: t.bytes,
    };
    totals.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_not_printed_without_end() {
        let failure = failure(wit::Failure {
            kind: wit::FailureKind::System,
            message: "é".repeat(1 << 20),
            detail: Some("short".into()),
            stream: None,
            retry_after_ms: None,
        });
        assert_eq!(failure.message.len(), 64 << 10);
        assert_eq!(failure.detail.as_deref(), Some("short"));
    }
}
