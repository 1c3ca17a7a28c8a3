//! `lockgate read`.

use std::sync::{Arc, Mutex, PoisonError};

use clap::Args;
use serde_json::json;

use super::arguments::StrategyArgument;
use super::grants::Grants;
use super::output::{CliError, Output, grouped, table};
use super::record::Recording;
use super::signals;
use super::store::{here, host_here, state_folder};
use super::sync::watch;
use super::write_back::{self, WriteBack};
use crate::cache::open_cache;
use crate::component::Kind;
use crate::config::{
    ConfigError, ConfigPlace, ConnectorOptions, Project, Strategy, StreamSelection, parse_duration,
    read_config,
};
use crate::connector::{Host, Source};
use crate::protocol::Json;
use crate::runs::Side;
use crate::sync::{ErrorReport, ReadOptions, ReadResult, Report, SyncFailure};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate read target/guests/source-faker.wasm --config '{\"count\": 1000}'
  lockgate cache query 'SELECT count(*) FROM users'
  lockgate sync --from-cache --cache default ...

Another read goes on where this one ended: the source's states are in the cache, with its rows.")]
pub(super) struct Read {
    /// path/to/x.wasm, exec:PATH, docker:IMAGE, pip:REQUIREMENT, a name, or a source of lockgate.toml
    pub(super) source: String,
    /// Its configuration: a file name, or JSON beginning with {; of a source of lockgate.toml, what
    /// stands there
    #[arg(long, value_name = "CONFIG")]
    pub(super) config: Option<String>,
    #[command(flatten)]
    pub(super) grants: Grants,
    /// Where its records are kept: default, a name, sqlite:PATH or postgres:URL
    #[arg(long, value_name = "CACHE", default_value = "default")]
    pub(super) cache: String,
    /// The name of the source in the cache, instead of one made of the connector and its configuration
    #[arg(long, value_name = "KEY")]
    pub(super) source_key: Option<String>,
    /// The streams to read: names with commas between them, or * for all [default: *]
    #[arg(long, value_name = "A,B|*")]
    pub(super) streams: Option<String>,
    /// What happens to the rows that are there already [default: auto]
    #[arg(long, value_enum)]
    pub(super) strategy: Option<StrategyArgument>,
    /// Read everything again, whatever an earlier read left
    #[arg(long)]
    pub(super) full_refresh: bool,
    /// How long nothing at all may happen: no row, no state, no commit [default: 3h]
    #[arg(long, value_name = "DURATION")]
    pub(super) idle_timeout: Option<String>,
    /// Keep no record of this run: no audit trail in .lockgate/runs
    #[arg(long, help_heading = "What is stored")]
    pub(super) no_record: bool,
}

pub(super) async fn run(call: &Read, output: &Output) -> Result<(), CliError> {
    let folder = state_folder(&here()?);
    let recording = Recording::begin("read", !call.no_record, &folder, output)?;
    let mut until = None;
    let mut done = None;
    let result = match read(call, &recording, &folder, &mut until, output).await {
        Ok(result) => {
            done = Some(result);
            Ok(())
        }
        Err(error) => Err(error),
    };
    let report = done.as_ref().map(|result| &result.report).or(until.as_ref());
    // Our own types always serialise.
    let kept = report.and_then(|report| serde_json::to_value(report).ok());
    let result = recording.end(result, kept);
    match (&done, report, &result) {
        (Some(read), _, _) if output.is_json() => output.json(&machine(read)),
        (Some(read), _, _) => output.result(&human(read)),
        (None, Some(report), _) if output.is_json() => output.json(report),
        (None, None, Err(CliError::Fault(fault))) if output.is_json() => {
            let error = ErrorReport::new(fault.as_ref());
            output.json(&json!({ "status": "failed", "run": recording.id(), "error": error }));
        }
        (None, _, _) => {}
    }
    recording.say_denied();
    result
}

/// The source of a call: by its name in lockgate.toml, or as connectors are named.
struct Named {
    host: Host,
    connector: String,
    key: Option<String>,
    options: ConnectorOptions,
    config: Json,
    origin: Option<(std::path::PathBuf, ConfigPlace)>,
}

fn named(call: &Read) -> Result<Named, CliError> {
    let project = match Project::find(&here()?) {
        Ok(project) => Some(project),
        Err(ConfigError::NoProject) => None,
        // A file that is broken is in the way of those only who need it.
        Err(_) if call.config.is_some() => None,
        Err(error) => return Err(error.into()),
    };
    if call.config.is_none()
        && let Some(project) = &project
        && let Some(settings) = project.source(&call.source)?
    {
        if call.grants.options()? != ConnectorOptions::default() {
            let what = "the grants of a source of lockgate.toml are set there";
            return Err(ConfigError::Usage(what.into()).into());
        }
        return Ok(Named {
            host: Host::new().in_folder(project.folder()).in_project(project),
            origin: project.config_place("sources", &settings.key),
            connector: settings.connector,
            key: Some(settings.key),
            options: settings.options,
            config: settings.config,
        });
    }
    Ok(Named {
        host: host_here(&[&call.source])?,
        connector: call.source.clone(),
        key: None,
        options: call.grants.options()?,
        config: match &call.config {
            Some(given) => read_config(given)?,
            None => Json::empty_object(),
        },
        origin: call.config.as_deref().and_then(write_back::origin),
    })
}

async fn read(
    call: &Read,
    recording: &Recording,
    folder: &std::path::Path,
    until: &mut Option<Report>,
    output: &Output,
) -> Result<ReadResult, CliError> {
    let Some(cache) = open_cache(&call.cache, folder)? else {
        return Err(ConfigError::Usage("a read needs a cache: --cache default".into()).into());
    };
    let Named { host, connector: name, key, options, config, origin } = named(call)?;
    let file = write_back::open(origin)?;
    let choice = host.resolve(&name, &options, Some(Kind::Source))?;
    let connector = recording.load(Side::Source, key.clone(), &name, || {
        host.chosen(&name, choice, &options, config, Some(Kind::Source))
    })?;
    let before = connector.config().clone();
    let written = WriteBack::new("source", file, &before, &options.allow_net, None, *output);
    let connector = connector.on_config_change(written);
    let progress = Arc::new(Mutex::new(None));
    let read_options = ReadOptions {
        streams: call.streams.as_deref().map_or(StreamSelection::All, StreamSelection::parse),
        strategy: call.strategy.map_or(Strategy::Auto, Strategy::from),
        full_refresh: call.full_refresh,
        source_key: call.source_key.clone().or(key),
        idle_time: match &call.idle_timeout {
            Some(text) => Some(parse_duration("idle-timeout", text)?),
            None => None,
        },
        run: recording.id(),
        cancel: Some(signals::stop(recording, *output)),
        watch: Some(watch(*output, progress.clone())),
    };
    let result = Source::from(connector.clone()).read(&cache, &read_options).await;
    progress.lock().unwrap_or_else(PoisonError::into_inner).take();
    recording.needs(Side::Source, &connector)?;
    result.map_err(|failure| {
        let SyncFailure { error, report } = *failure;
        *until = report;
        error.into()
    })
}

/// The report, with what was read of each stream.
fn machine(read: &ReadResult) -> serde_json::Value {
    // Our own types always serialise.
    let mut report = serde_json::to_value(&read.report).unwrap_or_default();
    let streams = report.get_mut("streams").and_then(serde_json::Value::as_array_mut);
    for stream in streams.into_iter().flatten() {
        let named = |of: &&crate::cache::CachedRead| {
            stream["name"] == json!(of.descriptor.name)
                && stream["namespace"] == json!(of.descriptor.namespace)
        };
        if let Some(of) = read.streams().iter().find(named) {
            stream["table"] = json!(of.table);
            stream["rows"] = json!(of.rows);
        }
    }
    report
}

fn human(read: &ReadResult) -> String {
    let head = ["stream", "records", "rows", "table"].map(str::to_owned).to_vec();
    let mut rows = vec![head];
    for stream in read.streams() {
        rows.push(vec![
            stream.descriptor.to_string(),
            grouped(stream.records),
            grouped(stream.rows),
            stream.table.clone(),
        ]);
    }
    #[expect(clippy::cast_precision_loss, reason = "seconds for people")]
    let seconds = read.report.duration_ms as f64 / 1000.0;
    let (source, cache) = (&read.report.source.connector, read.cache().describe());
    let mut text = format!("read {source} into {cache} in {seconds:.2} s\n");
    text.push_str(&table(&rows, &[1, 2]));
    text.push_str(&format!(
        "  source {}{}\n",
        read.source_key(),
        if read.report.resumed { ", went on from its states in the cache" } else { "" },
    ));
    crate::sandbox::printable(&text).into_owned()
}
