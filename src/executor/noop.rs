//! The destination that keeps nothing, with the modes of Airbyte's destination-dev-null. Needs no
//! file, no network and no engine.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{Context, Described, Executor, ExecutorError};
use crate::protocol::{
    Catalog, Commit, DestinationInput, DestinationSyncMode, DiscoveredStream, Event, Failure, Json,
    LogLevel, SourceOutput, Specification, StateMessage, StreamTotal,
};

/// What it does with rows besides counting them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoopMode {
    /// Nothing.
    Silent,
    /// Logs every nth row of a stream, up to a number of them.
    Logging {
        /// 1: every row.
        every: u64,
        /// Rows logged a stream at most.
        most: u64,
    },
    /// Fails after so many rows.
    Failing {
        /// Rows that still go well.
        rows: u64,
    },
    /// Waits for so long a row.
    Throttled {
        /// Milliseconds.
        millis: u64,
    },
}

impl NoopMode {
    /// Reads Airbyte's configuration of destination-dev-null: `test_destination` with a
    /// `test_destination_type` of SILENT, LOGGING, FAILING or THROTTLED. `{}` is SILENT.
    ///
    /// # Errors
    /// A failure of kind `config` that names the member.
    pub fn from_config(config: &Json) -> Result<Self, Failure> {
        let config = config.to_value().map_err(|e| Failure::config(format!("the config: {e}")))?;
        let Some(test) = config.get("test_destination") else { return Ok(Self::Silent) };
        let number = |of: &Value, member: &str, default: Option<u64>| match of.get(member) {
            None => {
                default.ok_or_else(|| Failure::config(format!("the config: {member} is missing")))
            }
            Some(value) => value.as_u64().ok_or_else(|| {
                Failure::config(format!("the config: {member} is not a whole number"))
            }),
        };
        match test.get("test_destination_type").and_then(Value::as_str).unwrap_or("SILENT") {
            "SILENT" => Ok(Self::Silent),
            "LOGGING" => {
                let logging = test.get("logging_config").unwrap_or(&Value::Null);
                let every = number(logging, "nth_entry_to_log", Some(1))?.max(1);
                Ok(Self::Logging { every, most: number(logging, "max_entry_count", Some(100))? })
            }
            "FAILING" => Ok(Self::Failing { rows: number(test, "num_messages", None)? }),
            "THROTTLED" => Ok(Self::Throttled { millis: number(test, "millis_per_record", None)? }),
            _ => Err(Failure::config(
                "the config: test_destination_type is none of SILENT, LOGGING, FAILING, THROTTLED",
            )),
        }
    }
}

/// The no-op destination.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoopDestination;

fn schema() -> Value {
    let choice = |kind: &str, title: &str, more: Value| {
        let mut properties =
            json!({ "test_destination_type": { "type": "string", "const": kind } });
        if let (Some(all), Value::Object(more)) = (properties.as_object_mut(), more) {
            all.extend(more);
        }
        json!({ "type": "object", "title": title, "required": ["test_destination_type"], "properties": properties })
    };
    let whole = json!({ "type": "integer", "minimum": 0 });
    let logging = json!({ "logging_config": { "type": "object", "properties": {
        "nth_entry_to_log": { "type": "integer", "minimum": 1, "default": 1 },
        "max_entry_count": { "type": "integer", "minimum": 1, "default": 100 },
    } } });
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "No-op destination",
        "type": "object",
        "properties": { "test_destination": { "type": "object", "title": "Mode", "oneOf": [
            choice("SILENT", "Silent", json!({})),
            choice("LOGGING", "Logging", logging),
            choice("FAILING", "Failing", json!({ "num_messages": whole.clone() })),
            choice("THROTTLED", "Throttled", json!({ "millis_per_record": whole })),
        ] } },
    })
}

#[async_trait]
impl Executor for NoopDestination {
    fn describe(&self) -> Described {
        Described {
            executor: "noop",
            reference: "destination-dev-null".into(),
            digest: None,
            fence: None,
        }
    }

    async fn spec(&self, _: &Context) -> Result<Specification, ExecutorError> {
        use DestinationSyncMode::{Append, AppendDedup, Overwrite};
        Ok(Specification {
            name: "destination-dev-null".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            documentation_url: None,
            config_schema: Json::from_value(&schema()),
            destination_sync_modes: Some(vec![Append, Overwrite, AppendDedup]),
            needs: Vec::new(),
            extra: serde_json::Map::new(),
        })
    }

    async fn check(&self, _: &Context, config: &Json) -> Result<(), ExecutorError> {
        NoopMode::from_config(config)?;
        Ok(())
    }

    async fn discover(
        &self,
        _: &Context,
        _: &Json,
    ) -> Result<Vec<DiscoveredStream>, ExecutorError> {
        Err(ExecutorError::Unsupported("the no-op destination has no streams to discover".into()))
    }

    async fn read(
        &self,
        _: &Context,
        _: &Json,
        _: &Catalog,
        _: &[StateMessage],
        _: Arc<dyn SourceOutput>,
    ) -> Result<(), ExecutorError> {
        Err(ExecutorError::Unsupported("the no-op destination cannot be read".into()))
    }

    async fn write(
        &self,
        context: &Context,
        config: &Json,
        catalog: &Catalog,
        input: Arc<dyn DestinationInput>,
    ) -> Result<(), ExecutorError> {
        let mode = NoopMode::from_config(config)?;
        let mut totals: Vec<StreamTotal> = (0..catalog.streams.len())
            .filter_map(|i| u32::try_from(i).ok())
            .map(|stream| StreamTotal { stream, written: 0, rejected: 0, bytes: 0 })
            .collect();
        let mut all = 0;
        while let Some(event) = input.next().await? {
            match event {
                Event::Rows(rows) => {
                    let total = &mut totals[rows.stream as usize];
                    let (before, count) = (total.written, u64::from(rows.count));
                    match mode {
                        NoopMode::Silent => {}
                        NoopMode::Failing { rows: limit } if all + count > limit => {
                            let what = format!("failed after {limit} rows, as configured");
                            return Err(Failure::system(what).into());
                        }
                        NoopMode::Failing { .. } => {}
                        NoopMode::Throttled { millis } => {
                            let wait = millis.saturating_mul(count);
                            tokio::time::sleep(Duration::from_millis(wait)).await;
                        }
                        NoopMode::Logging { every, most } => {
                            let stream = &catalog.streams[rows.stream as usize].stream.descriptor;
                            for (line, row) in rows.lines().zip(before + 1..) {
                                if row % every == 0 && row / every <= most {
                                    let text = String::from_utf8_lossy(line);
                                    let text = format!("{stream} row {row}: {text}");
                                    context.observer.log(LogLevel::Info, &text);
                                }
                            }
                        }
                    }
                    total.written += count;
                    total.bytes += rows.data.len() as u64;
                    all += count;
                }
                Event::Checkpoint { id, .. } => {
                    let totals = totals.iter().filter(|t| t.written > 0).copied().collect();
                    input.committed(vec![Commit::Through { checkpoint: id, totals }]).await?;
                }
                Event::StreamEnd { .. } | Event::Flush => {}
            }
        }
        Ok(())
    }
}
