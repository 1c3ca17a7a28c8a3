//! `lockgate exec CONNECTOR …`: any connector as an Airbyte connector executable. Messages only on
//! stdout; failures as TRACE ERROR and exit code 1; a configuration that does not do is a FAILED
//! status and exit code 0.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};

use async_trait::async_trait;
use serde_json::json;
use tokio::sync::Mutex;

use super::arguments::{Exec, ExecOperation};
use super::discover;
use super::output::{CliError, Output};
use super::signals;
use super::store::host_here;
use crate::config::{ConfigError, read_json_object};
use crate::connector::{Connector, ConnectorError, Silent};
use crate::executor::stdio::{Encoder, message};
use crate::executor::{Cancel, Context, StdinSource};
use crate::fault::Fault;
use crate::protocol::{
    Catalog, Decision, DestinationSyncMode, Failure, FailureKind, Json, LogLevel, Observer, Rows,
    SourceOutput, StateMessage, StateScope, StreamDescriptor, StreamStatus, SyncMode,
};
use crate::sandbox::{Limits, Noted, Tally};
use crate::sync::{Confirmed, Counters, Job, Ledger, StateSink, SyncError, run_pipeline};

/// Writes whole lines to stdout.
fn print(lines: &[u8]) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    stdout
        .write_all(lines)
        .and_then(|()| stdout.flush())
        .map_err(|e| Failure::system(format!("stdout: {e}")))
}

/// Logs and configuration changes as messages, and what is refused, once each.
struct Messages {
    told: std::sync::Mutex<Tally>,
}

impl Messages {
    fn new(connector: &Connector) -> Arc<Self> {
        let limits = connector.policy().map(|policy| policy.limits.decisions);
        let told = Tally::new(limits.unwrap_or(Limits::default().decisions));
        Arc::new(Self { told: std::sync::Mutex::new(told) })
    }
}

#[async_trait]
impl Observer for Messages {
    fn log(&self, level: LogLevel, message: &str) {
        // Whoever runs us is gone when this fails; the next row finds out.
        let _ = print(&Encoder::log(level, message));
    }

    async fn update_config(&self, config: Json) -> Result<(), Failure> {
        let config = config.to_value().map_err(|e| Failure::system(e.to_string()))?;
        let body = json!({
            "type": "CONNECTOR_CONFIG",
            "emitted_at": crate::protocol::now_ms(),
            "connectorConfig": { "config": config },
        });
        print(&message("CONTROL", "control", &body))
    }

    fn decided(&self, decision: &Decision) {
        let noted = self.told.lock().unwrap_or_else(PoisonError::into_inner).note(decision);
        if let Noted::First(decision) | Noted::Full(decision) = noted
            && !decision.allowed
        {
            let (what, target) = (decision.capability.word(), &decision.target);
            self.log(LogLevel::Warn, &format!("denied: {what} {target} ({})", decision.rule));
        }
    }
}

pub(super) async fn run(call: &Exec, output: &Output) -> Result<(), CliError> {
    let config = match (&call.config, call.operation) {
        (Some(file), _) => read_json_object(file)?,
        (None, ExecOperation::Spec) => Json::empty_object(),
        (None, _) => return Err(missing("--config")),
    };
    let catalog = match call.operation {
        ExecOperation::Read | ExecOperation::Write => {
            let file = call.catalog.as_deref().ok_or_else(|| missing("--catalog"))?;
            Catalog::from_airbyte(&text(file)?).map_err(|e| ConfigError::Malformed {
                place: file.display().to_string(),
                reason: e.to_string(),
            })?
        }
        _ => Catalog::default(),
    };
    let host = host_here(&[&call.connector])?;
    let connector = host.get_connector(&call.connector, &call.grants.options()?, config)?;
    output.chosen("connector", &connector);
    let messages = Messages::new(&connector);
    let connector = connector.with_observer(messages);
    let running = async {
        let result = match call.operation {
            ExecOperation::Spec => spec(&connector).await,
            ExecOperation::Check => check(&connector).await,
            ExecOperation::Discover => discover(&connector).await,
            ExecOperation::Read => {
                let states = match &call.state {
                    Some(file) => states(file)?,
                    None => Vec::new(),
                };
                read(&connector, &catalog, &states).await
            }
            ExecOperation::Write => write(&connector, catalog).await,
        };
        result.map_err(|failure| {
            let _ = print(&Encoder::failure(&failure));
            CliError::Said(1)
        })
    };
    signals::until_stopped(running).await
}

fn missing(option: &str) -> CliError {
    ConfigError::Usage(format!("this operation needs {option} FILE")).into()
}

fn text(file: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(file)
        .map_err(|e| ConfigError::Unreadable { path: file.to_owned(), reason: e.to_string() })
}

fn states(file: &Path) -> Result<Vec<StateMessage>, CliError> {
    StateMessage::list_from_file(&text(file)?).map_err(|e| {
        let place = file.display().to_string();
        ConfigError::Malformed { place, reason: e.to_string() }.into()
    })
}

/// An error as a failure, for TRACE.
fn failed(error: ConnectorError) -> Failure {
    match error {
        ConnectorError::Run { error, .. } => error.into_failure(),
        other => Failure::config(other.to_string()),
    }
}

async fn spec(connector: &Connector) -> Result<(), Failure> {
    let spec = connector.spec().await.map_err(failed)?;
    print(&message("SPEC", "spec", &spec.to_airbyte()))
}

async fn check(connector: &Connector) -> Result<(), Failure> {
    let tried = match validated(connector).await {
        Ok(()) => connector.try_config().await.map_err(failed),
        Err(failure) => Err(failure),
    };
    let body = match tried {
        Ok(()) => json!({ "status": "SUCCEEDED" }),
        Err(failure) if failure.kind == FailureKind::Config => {
            json!({ "status": "FAILED", "message": failure.message })
        }
        Err(failure) => return Err(failure),
    };
    print(&message("CONNECTION_STATUS", "connectionStatus", &body))
}

async fn discover(connector: &Connector) -> Result<(), Failure> {
    validated(connector).await?;
    let streams = connector.shown_discover().await.map_err(failed)?;
    print(&message("CATALOG", "catalog", &discover::catalog(&streams)))
}

async fn validated(connector: &Connector) -> Result<(), Failure> {
    let spec = connector.whole_spec().await.map_err(failed)?;
    connector.validate(&spec).await.map_err(failed)
}

async fn read(
    connector: &Connector,
    catalog: &Catalog,
    states: &[StateMessage],
) -> Result<(), Failure> {
    validated(connector).await?;
    let output = Arc::new(StdoutSource::new(catalog));
    let context = Context::new(connector.observer());
    let executor = connector.executor();
    executor
        .read(&context, connector.config(), catalog, states, output)
        .await
        .map_err(crate::executor::ExecutorError::into_failure)
}

/// A source's output as messages on stdout.
struct StdoutSource {
    encoder: Encoder,
    streams: u32,
    checkpoints: AtomicU64,
    index: HashMap<StreamDescriptor, u32>,
    /// Rows of each stream since its last state.
    since_state: Mutex<Vec<u64>>,
    /// Kept between batches, so that its memory is.
    lines: Mutex<Vec<u8>>,
}

impl StdoutSource {
    fn new(catalog: &Catalog) -> Self {
        Self {
            encoder: Encoder::new(catalog),
            streams: u32::try_from(catalog.streams.len()).unwrap_or(u32::MAX),
            checkpoints: AtomicU64::new(0),
            index: catalog.index(),
            since_state: Mutex::new(vec![0; catalog.streams.len()]),
            lines: Mutex::new(Vec::new()),
        }
    }

    fn known(&self, stream: u32) -> Result<(), Failure> {
        if stream < self.streams {
            return Ok(());
        }
        Err(Failure::system(format!(
            "the source named stream {stream}, which is not in the catalog"
        )))
    }
}

#[async_trait]
impl SourceOutput for StdoutSource {
    async fn emit(&self, mut rows: Rows) -> Result<(), Failure> {
        self.known(rows.stream)?;
        rows.verify()
            .map_err(|e| Failure::system(format!("the source broke the contract: {e}")))?;
        if rows.emitted_at == crate::protocol::EmittedAt::Unknown {
            rows.emitted_at = crate::protocol::EmittedAt::All(crate::protocol::now_ms());
        }
        let mut lines = self.lines.lock().await;
        self.since_state.lock().await[rows.stream as usize] += u64::from(rows.count);
        let mut parts = self.encoder.rows(&rows);
        loop {
            lines.clear();
            if !parts.part(&mut lines)? {
                return Ok(());
            }
            print(&lines)?;
        }
    }

    async fn checkpoint(&self, state: StateMessage) -> Result<u64, Failure> {
        let rows = {
            let mut since = self.since_state.lock().await;
            match state.scope() {
                StateScope::Stream(descriptor) => {
                    let stream = self.index.get(descriptor).ok_or_else(|| {
                        let what = "the source gave a state of a stream that is not in the catalog";
                        Failure::system(what).in_stream(descriptor.clone())
                    })?;
                    std::mem::take(&mut since[*stream as usize])
                }
                StateScope::Global | StateScope::Legacy => {
                    let all = since.iter().sum();
                    since.fill(0);
                    all
                }
            }
        };
        let has_stats = state.source_stats().is_some();
        print(&message_of(&state, (!has_stats).then_some(("sourceStats", rows))))?;
        Ok(self.checkpoints.fetch_add(1, Ordering::Relaxed) + 1)
    }

    async fn status(&self, stream: u32, status: StreamStatus) -> Result<(), Failure> {
        self.known(stream)?;
        let mut line = Vec::new();
        self.encoder.status(stream, status, &mut line);
        print(&line)
    }

    fn estimate(&self, stream: u32, rows: Option<u64>, bytes: Option<u64>) {
        if self.known(stream).is_ok() {
            let _ = print(&self.encoder.estimate(stream, rows, bytes));
        }
    }
}

/// A state as it came, with a count of its rows.
fn message_of(state: &StateMessage, stats: Option<(&str, u64)>) -> Vec<u8> {
    let body = state.body().get();
    let mut line = br#"{"type":"STATE","state":"#.to_vec();
    match (stats, body.trim_end().strip_suffix('}')) {
        (Some((member, rows)), Some(open)) => {
            line.extend_from_slice(open.as_bytes());
            // A legacy state may be an empty object.
            let comma = if open.trim_end().ends_with('{') { "" } else { "," };
            line.extend(format!(r#"{comma}"{member}":{{"recordCount":{rows}.0}}}}"#).bytes());
        }
        _ => line.extend_from_slice(body.as_bytes()),
    }
    line.extend_from_slice(b"}\n");
    line
}

/// Confirmed states, echoed.
struct Echo;

#[async_trait]
impl StateSink for Echo {
    async fn store(&self, states: Vec<Confirmed>) -> Result<(), Failure> {
        for confirmed in &states {
            let has_stats = confirmed.state.destination_stats().is_some();
            let stats = (!has_stats).then_some(("destinationStats", confirmed.rows));
            print(&message_of(&confirmed.state, stats))?;
        }
        Ok(())
    }

    fn wants_all(&self) -> bool {
        true
    }
}

/// Lets appended streams keep their rows, and overwritten ones begin anew, under clients that number
/// every sync as the first.
///
/// PyAirbyte gives each sync generation 1, minimum generation 1 and sync id 1. Taken at its word,
/// its second append would drop the rows of its first. A true first sync has none to drop. Its second
/// overwrite would go on with what its first left; one with the time as its generation does not.
fn keep_rows_of_first_syncs(catalog: &mut Catalog) {
    for stream in &mut catalog.streams {
        let numbers = (stream.generation_id, stream.minimum_generation_id, stream.sync_id);
        if numbers != (1, 1, 1) {
            continue;
        }
        if stream.destination_sync_mode == DestinationSyncMode::Overwrite {
            stream.generation_id = u64::try_from(crate::protocol::now_ms()).unwrap_or(1);
            stream.minimum_generation_id = stream.generation_id;
        } else {
            stream.minimum_generation_id = 0;
        }
    }
}

/// Tells the destination that streams whose rows are replaced begin at the beginning.
///
/// Their states are echoed when all of it is in place and not before, so a client never goes on from
/// the middle of one. A destination that believed it did (the mode is incremental, the generation the
/// one of the run before) would add this run's rows to what that run left.
fn begin_replaced_streams_again(catalog: &mut Catalog) {
    for stream in catalog.streams.iter_mut().filter(|stream| stream.truncates()) {
        stream.sync_mode = SyncMode::FullRefresh;
    }
}

async fn write(connector: &Connector, mut catalog: Catalog) -> Result<(), Failure> {
    validated(connector).await?;
    keep_rows_of_first_syncs(&mut catalog);
    begin_replaced_streams_again(&mut catalog);
    let catalog = Arc::new(catalog);
    let counters = Arc::new(Counters::new(&catalog));
    let ledger = Ledger::new(&catalog, Arc::new(Echo), counters.clone()).without_source_stats();
    let source = Connector::new(
        "stdin",
        Arc::new(StdinSource::default()),
        Json::empty_object(),
        // What the source logs is not ours to repeat.
        Arc::new(Silent),
    );
    let job = Job {
        source: &source,
        destination: connector,
        catalog: &catalog,
        states: Vec::new(),
        ledger: &Arc::new(ledger),
        counters: &counters,
        cancel: &Cancel::new().1,
        // Whoever runs us knows how long its source may be silent.
        idle_time: None,
    };
    run_pipeline(job).await.map_err(|error| {
        let text = error.to_string();
        match error {
            SyncError::Source { error, .. } | SyncError::Destination { error, .. } => {
                let failure = error.into_failure();
                Failure { message: text, ..failure }
            }
            other => Failure::system(other.to_string()).with_detail(other.code()),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_stream_is_never_gone_on_with() {
        let mode = |destination: &str, minimum: u64| {
            let text = format!(
                r#"{{"streams":[{{"stream":{{"name":"a","json_schema":{{}}}},"sync_mode":"incremental",
                "destination_sync_mode":"{destination}","generation_id":1,"minimum_generation_id":{minimum},
                "sync_id":1}}]}}"#
            );
            let mut catalog = Catalog::from_airbyte(&text).unwrap();
            keep_rows_of_first_syncs(&mut catalog);
            begin_replaced_streams_again(&mut catalog);
            catalog.streams[0].sync_mode
        };
        assert_eq!(mode("overwrite", 1), SyncMode::FullRefresh);
        assert_eq!(mode("append", 1), SyncMode::Incremental);
        assert_eq!(mode("append", 0), SyncMode::Incremental);
    }

    #[test]
    fn a_client_that_numbers_every_sync_as_the_first_begins_anew_each_time() {
        let numbers = |destination: &str, sync: u64| {
            let text = format!(
                r#"{{"streams":[{{"stream":{{"name":"a","json_schema":{{}}}},"sync_mode":"full_refresh",
                "destination_sync_mode":"{destination}","generation_id":1,"minimum_generation_id":1,
                "sync_id":{sync}}}]}}"#
            );
            let mut catalog = Catalog::from_airbyte(&text).unwrap();
            keep_rows_of_first_syncs(&mut catalog);
            (catalog.streams[0].generation_id, catalog.streams[0].minimum_generation_id)
        };
        let (generation, minimum) = numbers("overwrite", 1);
        assert!(generation > 1 && minimum == generation);
        assert_eq!(numbers("append", 1), (1, 0));
        assert_eq!(numbers("overwrite", 2), (1, 1));
    }

    #[test]
    fn an_echo_is_json_whatever_the_state() {
        for body in ["{}", "{ }", r#"{"data":{}}"#] {
            let state = StateMessage::from_airbyte(Json::parse(body).unwrap()).unwrap();
            let line = message_of(&state, Some(("destinationStats", 3)));
            let echo: serde_json::Value = serde_json::from_slice(&line).unwrap();
            assert_eq!(echo["state"]["destinationStats"]["recordCount"], 3.0);
        }
    }
}
