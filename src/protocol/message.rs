//! Airbyte's messages, one a line (protocol 0.18, `AirbyteMessage`). Only the envelope is read:
//! a record's `data` stays the text it is. Unknown members are allowed everywhere.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{FailureKind, LogLevel, StreamDescriptor, StreamStatus, scan};

/// Why a line is no message. Never quotes the line: it may hold a row or a secret.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum MessageError {
    /// No JSON, or not a message's: a connector's stray print. Not a fault of the data.
    #[error("not a protocol message")]
    NotAMessage,
    /// A record, and unreadable: rows would be lost.
    #[error("a RECORD that cannot be read: {0}")]
    GarbledRecord(String),
    /// A message of a known type whose body does not fit.
    #[error("a {0} message that cannot be read: {1}")]
    Garbled(&'static str, String),
}

/// A record's envelope around its data.
#[derive(Debug)]
pub struct RecordBody<'a> {
    /// The stream's name.
    pub stream: Cow<'a, str>,
    /// Absent or null: none.
    pub namespace: Option<Cow<'a, str>>,
    /// The row: an object, as it came.
    pub data: &'a str,
    /// ms since the epoch.
    pub emitted_at: Option<i64>,
    /// Airbyte's `meta`, as it came.
    pub meta: Option<&'a str>,
}

/// A record as the full parser reads it.
#[derive(Debug, Deserialize)]
struct RawRecord<'a> {
    #[serde(borrow)]
    stream: Cow<'a, str>,
    #[serde(borrow, default)]
    namespace: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: &'a RawValue,
    #[serde(borrow, default)]
    emitted_at: Option<&'a RawValue>,
    #[serde(borrow, default)]
    meta: Option<&'a RawValue>,
    #[serde(borrow, default)]
    file_reference: Option<&'a RawValue>,
}

/// ms since the epoch; sources also write it as a float, and some as a string.
fn milliseconds(text: &str) -> Option<i64> {
    let text = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(text);
    text.parse().ok().or_else(|| {
        let at: f64 = text.parse().ok()?;
        #[expect(clippy::cast_possible_truncation, reason = "the fraction of a millisecond goes")]
        (at.abs() < 9e15).then_some(at as i64)
    })
}

/// What a check found.
#[derive(Debug, Deserialize)]
pub struct ConnectionStatus {
    /// `SUCCEEDED` or `FAILED`.
    pub status: String,
    /// Why.
    #[serde(default)]
    pub message: Option<String>,
}

/// A message for the operator.
#[derive(Debug, Deserialize)]
pub struct LogBody<'a> {
    #[serde(borrow)]
    level: Cow<'a, str>,
    /// The text.
    #[serde(borrow)]
    pub message: Cow<'a, str>,
    /// More, for a developer.
    #[serde(borrow, default)]
    pub stack_trace: Option<Cow<'a, str>>,
}

impl LogBody<'_> {
    /// How much it matters.
    #[must_use]
    pub fn level(&self) -> LogLevel {
        LogLevel::from_airbyte(&self.level)
    }
}

/// A guess at a size.
#[derive(Debug, Deserialize)]
pub struct Estimate {
    /// The stream's name.
    pub name: String,
    /// Its namespace.
    #[serde(default)]
    pub namespace: Option<String>,
    /// `STREAM` or `SYNC`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Rows.
    #[serde(default)]
    pub row_estimate: Option<f64>,
    /// Bytes.
    #[serde(default)]
    pub byte_estimate: Option<f64>,
}

/// What a source or destination tells of its own state.
#[derive(Debug)]
pub enum Trace {
    /// Something failed; the operation failed whatever the exit code.
    Error {
        /// For the operator.
        message: String,
        /// For a developer.
        detail: Option<String>,
        /// Who can mend it.
        kind: FailureKind,
        /// Where.
        stream: Option<StreamDescriptor>,
    },
    /// A guess at a size.
    Estimate(Estimate),
    /// A stream's status.
    Status(StreamDescriptor, StreamStatus),
    /// Anything else: analytics, and what later versions add.
    Other,
}

/// A configuration change.
#[derive(Debug)]
pub struct Control<'a> {
    /// The new top-level members.
    pub config: &'a RawValue,
}

/// One message.
#[derive(Debug)]
pub enum Message<'a> {
    /// A row.
    Record(RecordBody<'a>),
    /// A state's body.
    State(&'a RawValue),
    /// For the operator.
    Log(LogBody<'a>),
    /// A specification's body.
    Spec(&'a RawValue),
    /// A catalog's body.
    Catalog(&'a RawValue),
    /// What a check found.
    ConnectionStatus(ConnectionStatus),
    /// How the connector is getting on.
    Trace(Trace),
    /// A configuration change.
    Control(Control<'a>),
    /// Of the protocol, and of no use here: `DESTINATION_CATALOG`, unknown controls.
    Ignored,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    record: Option<RawRecord<'a>>,
    #[serde(borrow, default)]
    state: Option<&'a RawValue>,
    #[serde(borrow, default)]
    log: Option<&'a RawValue>,
    #[serde(borrow, default)]
    spec: Option<&'a RawValue>,
    #[serde(borrow, default)]
    catalog: Option<&'a RawValue>,
    #[serde(rename = "connectionStatus", borrow, default)]
    connection_status: Option<&'a RawValue>,
    #[serde(borrow, default)]
    trace: Option<&'a RawValue>,
    #[serde(borrow, default)]
    control: Option<&'a RawValue>,
}

/// Whether a line that cannot be read begins, or has grown together with, a RECORD: then dropping
/// it would lose a row. Looks at the bytes only.
#[must_use]
pub fn looks_like_record(line: &[u8]) -> bool {
    let skip = |mut at: usize| {
        while matches!(line.get(at), Some(b' ' | b'\t' | b'\r')) {
            at += 1;
        }
        at
    };
    // `"type"`, a colon, `"RECORD"`, or `"record"`, a colon, a brace: with any white space.
    let follows = |mut at: usize, tokens: &[&[u8]]| {
        tokens.iter().all(|token| {
            at = skip(at);
            let hit = line.get(at..).is_some_and(|rest| rest.starts_with(token));
            at += token.len();
            hit
        })
    };
    memchr::memchr_iter(b'"', line).any(|at| {
        follows(at, &[b"\"type\"", b":", b"\"RECORD\""])
            || follows(at, &[b"\"record\"", b":", b"{"])
    })
}

impl<'a> Message<'a> {
    /// Reads one line, without its line feed.
    ///
    /// # Errors
    /// [`MessageError`]; only `GarbledRecord` means that data is lost.
    pub fn decode(line: &'a [u8]) -> Result<Self, MessageError> {
        let fault = |e: String| {
            if looks_like_record(line) {
                MessageError::GarbledRecord(e)
            } else {
                MessageError::NotAMessage
            }
        };
        let text = std::str::from_utf8(line)
            .map_err(|e| fault(format!("invalid UTF-8 at byte {}", e.valid_up_to())))?;
        if let Some(record) = scan::record(text) {
            return Ok(Self::Record(RecordBody {
                stream: Cow::Borrowed(record.stream),
                namespace: record.namespace.map(Cow::Borrowed),
                data: record.data,
                emitted_at: record.emitted_at,
                meta: record.meta,
            }));
        }
        if !text.trim_start().starts_with('{') {
            return Err(fault("it does not begin with a brace".into()));
        }
        let envelope: Envelope<'a> =
            serde_json::from_str(text).map_err(|e| fault(super::json::syntax(&e)))?;
        match envelope.kind.as_ref() {
            "RECORD" => match envelope.record {
                Some(record) => checked(record),
                None => Err(MessageError::GarbledRecord("it has no record member".into())),
            },
            "STATE" => Ok(Self::State(body(envelope.state, "STATE")?)),
            "LOG" => parsed(envelope.log, "LOG").map(Self::Log),
            "SPEC" => Ok(Self::Spec(body(envelope.spec, "SPEC")?)),
            "CATALOG" => Ok(Self::Catalog(body(envelope.catalog, "CATALOG")?)),
            "CONNECTION_STATUS" => {
                parsed(envelope.connection_status, "CONNECTION_STATUS").map(Self::ConnectionStatus)
            }
            "TRACE" => trace(body(envelope.trace, "TRACE")?).map(Self::Trace),
            "CONTROL" => control(body(envelope.control, "CONTROL")?),
            "DESTINATION_CATALOG" => Ok(Self::Ignored),
            // Whatever it calls itself, there is a row in it.
            _ if envelope.record.is_some() => {
                Err(MessageError::GarbledRecord("its type is not RECORD".into()))
            }
            _ => Err(MessageError::NotAMessage),
        }
    }
}

fn checked(record: RawRecord<'_>) -> Result<Message<'_>, MessageError> {
    if !record.data.get().starts_with('{') {
        let kind = super::kind_of(record.data.get());
        return Err(MessageError::GarbledRecord(format!("its data is {kind}, not an object")));
    }
    if record.file_reference.is_some() {
        // Dropping the reference would deliver a row without its file.
        let what = "it refers to a file, and file transfer is not supported";
        return Err(MessageError::GarbledRecord(what.into()));
    }
    if record.meta.is_some_and(|meta| !meta.get().starts_with('{')) {
        return Err(MessageError::GarbledRecord("its meta is not an object".into()));
    }
    Ok(Message::Record(RecordBody {
        stream: record.stream,
        namespace: record.namespace,
        data: record.data.get(),
        emitted_at: record.emitted_at.and_then(|at| milliseconds(at.get())),
        meta: record.meta.map(RawValue::get),
    }))
}

fn body<'a>(raw: Option<&'a RawValue>, kind: &'static str) -> Result<&'a RawValue, MessageError> {
    raw.ok_or_else(|| MessageError::Garbled(kind, "it has no body".into()))
}

fn parsed<'a, T: Deserialize<'a>>(
    raw: Option<&'a RawValue>,
    kind: &'static str,
) -> Result<T, MessageError> {
    serde_json::from_str(body(raw, kind)?.get())
        .map_err(|e| MessageError::Garbled(kind, super::json::syntax(&e)))
}

fn trace(raw: &RawValue) -> Result<Trace, MessageError> {
    #[derive(Deserialize)]
    struct Body<'a> {
        // Connectors whose log filter masks short secrets also mangle keys: nothing here is sure.
        #[serde(rename = "type", borrow, default)]
        kind: Option<Cow<'a, str>>,
        #[serde(borrow, default)]
        error: Option<&'a RawValue>,
        #[serde(borrow, default)]
        estimate: Option<&'a RawValue>,
        #[serde(borrow, default)]
        stream_status: Option<&'a RawValue>,
    }
    #[derive(Default, Deserialize)]
    struct ErrorBody<'a> {
        #[serde(borrow, default)]
        message: Option<Cow<'a, str>>,
        #[serde(borrow, default)]
        internal_message: Option<Cow<'a, str>>,
        #[serde(borrow, default)]
        stack_trace: Option<Cow<'a, str>>,
        #[serde(borrow, default)]
        failure_type: Option<Cow<'a, str>>,
        #[serde(default)]
        stream_descriptor: Option<StreamDescriptor>,
    }
    #[derive(Deserialize)]
    struct StatusBody<'a> {
        stream_descriptor: StreamDescriptor,
        #[serde(borrow)]
        status: Cow<'a, str>,
    }
    let read: Body<'_> = serde_json::from_str(raw.get())
        .map_err(|e| MessageError::Garbled("TRACE", super::json::syntax(&e)))?;
    match (read.kind.as_deref(), read.error, read.estimate, read.stream_status) {
        (Some("ERROR"), error, ..) => {
            // An error whose body is odd is still an error: nothing may hide that it was one.
            let error: ErrorBody<'_> =
                error.and_then(|e| serde_json::from_str(e.get()).ok()).unwrap_or_default();
            let message = error.message.as_deref().or(error.internal_message.as_deref());
            let detail: Vec<&str> =
                [error.internal_message.as_deref(), error.stack_trace.as_deref()]
                    .into_iter()
                    .flatten()
                    .collect();
            Ok(Trace::Error {
                message: message.unwrap_or("the connector gave no reason").to_owned(),
                detail: (!detail.is_empty()).then(|| detail.join("\n")),
                kind: FailureKind::from_airbyte(error.failure_type.as_deref()),
                stream: error.stream_descriptor,
            })
        }
        (Some("ESTIMATE"), _, Some(estimate), _) => serde_json::from_str(estimate.get())
            .map(Trace::Estimate)
            .map_err(|e| MessageError::Garbled("TRACE ESTIMATE", super::json::syntax(&e))),
        (Some("STREAM_STATUS"), .., Some(status)) => {
            let status: StatusBody<'_> = serde_json::from_str(status.get()).map_err(|e| {
                MessageError::Garbled("TRACE STREAM_STATUS", super::json::syntax(&e))
            })?;
            let word = match status.status.as_ref() {
                "STARTED" => StreamStatus::Started,
                "RUNNING" => StreamStatus::Running,
                "COMPLETE" => StreamStatus::Complete,
                "INCOMPLETE" => StreamStatus::Incomplete,
                _ => return Ok(Trace::Other),
            };
            Ok(Trace::Status(status.stream_descriptor, word))
        }
        _ => Ok(Trace::Other),
    }
}

fn control(raw: &RawValue) -> Result<Message<'_>, MessageError> {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(rename = "connectorConfig", borrow, default)]
        connector_config: Option<ConfigBody<'a>>,
    }
    #[derive(Deserialize)]
    struct ConfigBody<'a> {
        #[serde(borrow)]
        config: &'a RawValue,
    }
    let read: Body<'_> = serde_json::from_str(raw.get())
        .map_err(|e| MessageError::Garbled("CONTROL", super::json::syntax(&e)))?;
    Ok(match read.connector_config {
        Some(change) => Message::Control(Control { config: change.config }),
        None => Message::Ignored,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(line: &[u8]) -> RecordBody<'_> {
        match Message::decode(line) {
            Ok(Message::Record(record)) => record,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn data_is_the_text_it_was() {
        let line = br#"{"type": "RECORD", "record": {"namespace": null, "stream": "\u0061", "data": {"n": 123456789012345678901234567890.12345678901234567890, "s": "\ud800"}, "emitted_at": 1795532336497.093}}"#;
        let read = record(line);
        assert_eq!(read.stream, "a");
        assert_eq!(read.namespace, None);
        assert_eq!(read.emitted_at, Some(1_795_532_336_497));
        assert_eq!(
            read.data,
            r#"{"n": 123456789012345678901234567890.12345678901234567890, "s": "\ud800"}"#
        );
    }

    #[test]
    fn a_time_is_a_number_however_it_is_written() {
        for (text, at) in [
            ("12", Some(12)),
            ("1.25e1", Some(12)),
            (r#""12""#, Some(12)),
            ("-1", Some(-1)),
            ("null", None),
            (r#""2020-01-01""#, None),
            ("1e400", None),
        ] {
            let line = format!(
                r#"{{"type":"RECORD","record":{{"stream":"a","data":{{}},"emitted_at":{text}}}}}"#
            );
            assert_eq!(record(line.as_bytes()).emitted_at, at, "{text}");
        }
    }

    #[test]
    fn what_starts_as_a_record_is_never_dropped() {
        let lost: &[&[u8]] = &[
            br#"{"type":"RECORD","record":{"stream":"a","data":{"#,
            br#"{"type" : "RECORD", "record": {"stream": "a"}}"#,
            br#"{"type":"RECORD"}"#,
            br#"{"type":"RECORD","record":{"stream":"a","data":[1]}}"#,
            br#"{"record":{"stream":"a","data":{}},"type":"REC"#,
            br#"{"type":"record","record":{"stream":"a","data":{}}}"#,
            br#"DEBUG {"type":"RECORD","record":{"stream":"a","data":{}}}"#,
            br#"{"type":"RECORD","record":{"stream":"a","data":{}}}{"type":"STATE"}"#,
            b"{\"type\":\"RECORD\",\"record\":{\"stream\":\"a\",\"data\":{\"s\":\"\xff\"}}}",
        ];
        for line in lost {
            let read = Message::decode(line);
            assert!(
                matches!(read, Err(MessageError::GarbledRecord(_))),
                "{} {read:?}",
                String::from_utf8_lossy(line)
            );
        }
    }

    #[test]
    fn stray_prints_are_no_messages() {
        for line in ["", "hello", "{}", "[1]", r#"{"type":"NEW","new":{}}"#, "{\"level\":\"info\"}"]
        {
            let read = Message::decode(line.as_bytes());
            assert!(matches!(read, Err(MessageError::NotAMessage)), "{line} {read:?}");
        }
    }

    #[test]
    fn a_trace_with_masked_keys_is_still_an_error() {
        let line = br#"{"type":"TRACE","trace":{"type":"ERROR","emitted_at":1.5,"error":{"message":"no","stac****_trace":"Tracebac****","failure_type":"config_error"}}}"#;
        let Ok(Message::Trace(Trace::Error { message, kind, .. })) = Message::decode(line) else {
            panic!("not an error")
        };
        assert_eq!((message.as_str(), kind), ("no", FailureKind::Config));
        for body in
            [r#""error":{"message":5}"#, r#""error":"no""#, r#""error":{"stream_descriptor":{}}"#]
        {
            let line = format!(r#"{{"type":"TRACE","trace":{{"type":"ERROR",{body}}}}}"#);
            let read = Message::decode(line.as_bytes());
            assert!(matches!(read, Ok(Message::Trace(Trace::Error { .. }))), "{line} {read:?}");
        }
    }
}
