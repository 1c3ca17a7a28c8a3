//! From batches to Airbyte's lines.
//!
//! The attack: a component's rows are bytes nobody parsed. A row such as
//! `{}},"type":"STATE"…` would, put between an envelope's braces, forge a message. So rows that
//! were not parsed by this host are parsed before they are framed.

use std::io::Write as _;

use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::protocol::{
    Catalog, Failure, LogLevel, Outcome, RowMeta, Rows, StateMessage, StreamDescriptor,
    StreamStatus, now_ms,
};

/// Writes the lines of one sync.
#[derive(Debug)]
pub struct Encoder {
    descriptors: Vec<StreamDescriptor>,
    /// What comes before a row of each stream.
    heads: Vec<Vec<u8>>,
}

/// One message as a line.
#[must_use]
pub fn message(kind: &str, member: &str, body: &Value) -> Vec<u8> {
    let mut line = json!({ "type": kind, member: body }).to_string().into_bytes();
    line.push(b'\n');
    line
}

impl Encoder {
    /// For the streams of a catalog.
    #[must_use]
    pub fn new(catalog: &Catalog) -> Self {
        let descriptors: Vec<StreamDescriptor> =
            catalog.streams.iter().map(|s| s.stream.descriptor.clone()).collect();
        let heads = descriptors
            .iter()
            .map(|d| {
                let mut head = String::from(r#"{"type":"RECORD","record":{"stream":"#);
                head.push_str(&Value::from(d.name.as_str()).to_string());
                if let Some(namespace) = &d.namespace {
                    head.push_str(r#","namespace":"#);
                    head.push_str(&Value::from(namespace.as_str()).to_string());
                }
                head.push_str(r#","data":"#);
                head.into_bytes()
            })
            .collect();
        Self { descriptors, heads }
    }

    /// The lines of a batch, in parts: a batch of tiny rows is many times as large in envelopes, and
    /// how many rows there are, and how long their stream's name is, is the source's choice.
    #[must_use]
    pub fn rows<'a>(&'a self, rows: &'a Rows) -> Lines<'a> {
        Lines {
            encoder: self,
            rows,
            lines: Box::new(rows.lines().enumerate()),
            metas: rows.meta.iter().peekable(),
        }
    }

    fn row(
        &self,
        rows: &Rows,
        row: usize,
        line: &[u8],
        meta: Option<&RowMeta>,
        out: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        if !rows.parsed {
            self.check(rows.stream, row, line)?;
        }
        out.extend_from_slice(&self.heads[rows.stream as usize]);
        out.extend_from_slice(line);
        // Writing to a vector cannot fail.
        let _ = write!(out, r#","emitted_at":{}"#, rows.emitted_at.of(row));
        if let Some(meta) = meta {
            out.extend_from_slice(br#","meta":"#);
            out.extend_from_slice(meta.meta.get().as_bytes());
        }
        out.extend_from_slice(b"}}\n");
        Ok(())
    }

    fn check(&self, stream: u32, row: usize, line: &[u8]) -> Result<(), Failure> {
        let object =
            serde_json::from_slice::<&RawValue>(line).is_ok_and(|raw| raw.get().starts_with('{'));
        if object {
            return Ok(());
        }
        let stream = self.descriptors[stream as usize].clone();
        let what = format!("row {row} of a batch is not one JSON object");
        Err(Failure::system(what).in_stream(stream))
    }

    /// Appends a state.
    pub fn state(&self, id: u64, state: &StateMessage, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"type":"STATE","state":"#);
        out.extend_from_slice(state.numbered(id).as_bytes());
        out.extend_from_slice(b"}\n");
    }

    /// Appends a stream's status, as Airbyte's platform forwards it.
    pub fn status(&self, stream: u32, status: StreamStatus, out: &mut Vec<u8>) {
        let body = json!({
            "type": "STREAM_STATUS",
            "emitted_at": now_ms(),
            "stream_status": {
                "stream_descriptor": self.descriptors[stream as usize],
                "status": status.airbyte(),
            },
        });
        out.extend(message("TRACE", "trace", &body));
    }

    /// Appends how a stream ended.
    pub fn end(&self, stream: u32, outcome: Outcome, out: &mut Vec<u8>) {
        let status = match outcome {
            Outcome::Complete => StreamStatus::Complete,
            Outcome::Incomplete => StreamStatus::Incomplete,
        };
        self.status(stream, status, out);
    }

    /// A guess at a stream's size, as a line.
    #[must_use]
    pub fn estimate(&self, stream: u32, rows: Option<u64>, bytes: Option<u64>) -> Vec<u8> {
        let descriptor = &self.descriptors[stream as usize];
        let body = json!({
            "type": "ESTIMATE",
            "emitted_at": now_ms(),
            "estimate": {
                "name": descriptor.name,
                "namespace": descriptor.namespace,
                "type": "STREAM",
                "row_estimate": rows,
                "byte_estimate": bytes,
            },
        });
        message("TRACE", "trace", &body)
    }

    /// A log message, as a line.
    #[must_use]
    pub fn log(level: LogLevel, text: &str) -> Vec<u8> {
        message("LOG", "log", &json!({ "level": level.airbyte(), "message": text }))
    }

    /// A failure, as a line.
    #[must_use]
    pub fn failure(failure: &Failure) -> Vec<u8> {
        let body = json!({
            "type": "ERROR",
            "emitted_at": now_ms(),
            "error": {
                "message": failure.message,
                "internal_message": failure.detail,
                "failure_type": failure.kind.airbyte(),
                "stream_descriptor": failure.stream,
            },
        });
        message("TRACE", "trace", &body)
    }
}

/// Bytes of lines written at once; a larger line goes alone.
const PART: usize = 256 << 10;

/// See [`Encoder::rows`].
pub struct Lines<'a> {
    encoder: &'a Encoder,
    rows: &'a Rows,
    lines: Box<dyn Iterator<Item = (usize, &'a [u8])> + Send + 'a>,
    metas: std::iter::Peekable<std::slice::Iter<'a, RowMeta>>,
}

impl std::fmt::Debug for Lines<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lines").field("encoder", &self.encoder).finish_non_exhaustive()
    }
}

impl Lines<'_> {
    /// Appends some lines. False: there were no more.
    ///
    /// # Errors
    /// A failure of the source, when a row is no JSON object.
    pub fn part(&mut self, out: &mut Vec<u8>) -> Result<bool, Failure> {
        let before = out.len();
        while out.len() - before < PART {
            let Some((row, line)) = self.lines.next() else { break };
            let meta = self.metas.next_if(|meta| meta.row as usize == row);
            self.encoder.row(self.rows, row, line, meta, out)?;
        }
        Ok(out.len() > before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{EmittedAt, Json, Message};

    fn encoder() -> Encoder {
        let catalog = Catalog::from_airbyte(
            r#"{"streams":[{"stream":{"name":"a\"b","namespace":"","json_schema":{}},
            "sync_mode":"full_refresh","destination_sync_mode":"append"}]}"#,
        );
        Encoder::new(&catalog.unwrap())
    }

    fn rows(data: &str, parsed: bool) -> Rows {
        Rows {
            stream: 0,
            count: u32::try_from(data.lines().count()).unwrap(),
            data: data.as_bytes().to_vec(),
            emitted_at: EmittedAt::Each(vec![5, 6]),
            meta: vec![RowMeta { row: 1, meta: Json::empty_object() }],
            parsed,
        }
    }

    #[test]
    fn lines_decode_to_what_was_encoded() {
        let mut out = Vec::new();
        let batch = rows("{\"n\":1e400}\n{\"s\":\"\\ud800\"}\n", false);
        assert!(encoder().rows(&batch).part(&mut out).unwrap());
        let lines: Vec<&[u8]> = out.split(|b| *b == b'\n').collect();
        let Ok(Message::Record(record)) = Message::decode(lines[1]) else { panic!("no record") };
        assert_eq!(record.stream, "a\"b");
        assert_eq!(record.namespace.as_deref(), Some(""));
        assert_eq!(record.data, r#"{"s":"\ud800"}"#);
        assert_eq!(record.emitted_at, Some(6));
        assert_eq!(record.meta.unwrap(), "{}");
    }

    #[test]
    fn many_rows_come_in_parts() {
        let batch = rows(&"{}\n".repeat(50_000), true);
        let (encoder, mut lines) = (encoder(), 0);
        let mut parts = encoder.rows(&batch);
        let mut out = Vec::new();
        while parts.part(&mut out).unwrap() {
            assert!(out.len() < 2 * PART, "{}", out.len());
            lines += out.iter().filter(|b| **b == b'\n').count();
            out.clear();
        }
        assert_eq!(lines, 50_000);
    }

    #[test]
    fn a_row_cannot_forge_a_message() {
        for row in [r#"{}},"type":"STATE","state":{"data":{}"#, "[1]", "{", "", "{} {}"] {
            let mut out = Vec::new();
            let forged = rows(&format!("{{}}\n{row}\n"), false);
            assert!(encoder().rows(&forged).part(&mut out).is_err(), "{row}");
        }
    }
}
