//! `lockgate sync`.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;

use super::arguments::Sync;
use super::logger::Logger;
use super::output::{CliError, Output, grouped, sized, table};
use super::progress::Progress;
use super::store::{open_store, state_folder};
use crate::config::{
    ConfigError, ConnectorOptions, ConnectorReference, Isolation, Project, Strategy,
    StreamSelection, parse_duration, read_config,
};
use crate::connector::{Destination, Host, Source};
use crate::executor::Cancel;
use crate::protocol::Json;
use crate::sync::{ErrorReport, Report, Watch, WorkerProgram, WriteOptions};

/// What to sync, from the file or from flags.
struct Job {
    source: Source,
    destination: Destination,
    options: WriteOptions,
}

pub(super) async fn run(call: Sync, output: &Output) -> Result<(), CliError> {
    if let Some(option) = call.stray_option() {
        let what = format!(
            "{option} goes with --source and --destination; the connectors of lockgate.toml are set there"
        );
        return Err(ConfigError::Usage(what).into());
    }
    if call.cache != "none" {
        let what = "records cannot be cached yet: --cache none is the only choice";
        return Err(ConfigError::Usage(what.into()).into());
    }
    let (job, folder) = job(&call, output)?;
    let Job { source, destination, mut options } = job;
    let progress = Arc::new(Mutex::new(None));
    options.watch = Some(watch(*output, progress.clone()));
    if let Some(text) = &call.idle_timeout {
        options.idle_time = Some(parse_duration("idle-timeout", text)?);
    }
    if let Some(store) = open_store(&call.state, &folder)? {
        options.lock_folder = store.folder;
        options.state = Some(store.store);
    }
    let (canceller, cancel) = Cancel::new();
    options.cancel = Some(cancel);
    let note = *output;
    tokio::spawn(async move {
        stop_asked().await;
        note.note("stopping; ask again (Ctrl-C) to end at once");
        canceller.cancel();
        stop_asked().await;
        #[expect(clippy::disallowed_methods, reason = "the second signal asks for it")]
        std::process::exit(130);
    });

    let result = destination.write(&source, &options).await;
    progress.lock().unwrap_or_else(PoisonError::into_inner).take();
    match result {
        Ok(result) => {
            if output.is_json() {
                output.json(&result.report);
            } else {
                output.result(&human(&result.report));
            }
            Ok(())
        }
        Err(failure) => {
            match (&failure.report, output.is_json()) {
                (Some(report), true) => output.json(report),
                (Some(report), false) => output.result(&human(report)),
                (None, true) => {
                    let error = ErrorReport::new(&failure.error);
                    output.json(&json!({ "status": "failed", "error": error }));
                }
                (None, false) => {}
            }
            Err(failure.into())
        }
    }
}

/// Waits for SIGINT or SIGTERM: a person's Ctrl-C, or a supervisor's word.
async fn stop_asked() {
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        result = tokio::signal::ctrl_c() => if result.is_err() { std::future::pending().await },
        () = terminated => {}
    }
}

fn watch(output: Output, slot: Arc<Mutex<Option<Progress>>>) -> Watch {
    Arc::new(move |plan, counters| {
        for note in &plan.notes {
            output.note(&format!("note: {note}"));
        }
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Progress::start(counters, output);
    })
}

/// The job of a call, and the folder its state store is in.
fn job(call: &Sync, output: &Output) -> Result<(Job, PathBuf), CliError> {
    let here = std::env::current_dir()
        .map_err(|e| ConfigError::Unreadable { path: PathBuf::from("."), reason: e.to_string() })?;
    let logger = |who| Arc::new(Logger::new(who, output));
    let make = |host: Host,
                source: (&str, &ConnectorOptions, Json),
                destination: (&str, &ConnectorOptions, Json),
                isolation: Option<Isolation>,
                mut options: WriteOptions|
     -> Result<Job, CliError> {
        let isolation = isolation_of(&host, [source.0, destination.0], isolation)?;
        let host = match isolation {
            Isolation::Worker => host.for_workers(),
            Isolation::InProcess => host,
        };
        options.worker = (isolation == Isolation::Worker).then(WorkerProgram::this_program);
        let source = host.get_source(source.0, source.1, source.2)?;
        let destination = host.get_destination(destination.0, destination.1, destination.2)?;
        Ok(Job {
            source: source.heard_by(logger("source")),
            destination: destination.heard_by(logger("destination")),
            options,
        })
    };
    let Some(source) = &call.source else {
        let project = Project::find(&here)?;
        let connection = project.connection(call.name.as_deref())?;
        let options = WriteOptions {
            connection: Some(connection.name),
            streams: call.streams.as_deref().map_or(connection.streams, StreamSelection::parse),
            strategy: call.strategy.map_or(connection.strategy, Strategy::from),
            full_refresh: call.full_refresh || connection.full_refresh,
            ..WriteOptions::default()
        };
        let host = Host::new().in_folder(project.folder());
        let isolation = call.isolation.map(Isolation::from).or(connection.isolation);
        let (s, d) = (connection.source, connection.destination);
        let job = make(
            host,
            (&s.connector, &s.options, s.config),
            (&d.connector, &d.options, d.config),
            isolation,
            options,
        )?;
        return Ok((job, project.folder().to_owned()));
    };
    let config = |given: Option<&String>| match given {
        Some(given) => read_config(given),
        None => Ok(Json::empty_object()),
    };
    let options = WriteOptions {
        connection: call.connection.clone(),
        streams: call.streams.as_deref().map_or(StreamSelection::All, StreamSelection::parse),
        strategy: call.strategy.map_or(Strategy::Auto, Strategy::from),
        full_refresh: call.full_refresh,
        ..WriteOptions::default()
    };
    let destination = call.destination.as_deref().unwrap_or_default();
    let job = make(
        Host::new(),
        (source, &call.source_grants.options(), config(call.source_config.as_ref())?),
        (
            destination,
            &call.destination_grants.options(),
            config(call.destination_config.as_ref())?,
        ),
        call.isolation.map(Isolation::from),
        options,
    )?;
    Ok((job, state_folder(&here)))
}

/// Where a sync of two connectors runs. Only components can run in a worker; whoever asks for one
/// with another connector is told so.
fn isolation_of(
    host: &Host,
    names: [&str; 2],
    wanted: Option<Isolation>,
) -> Result<Isolation, CliError> {
    let mut other = None;
    for name in names {
        match ConnectorReference::parse(name, host.folder())? {
            ConnectorReference::Component(_) => {}
            _ => other = Some(name),
        }
    }
    match (wanted, other) {
        (Some(Isolation::Worker), Some(name)) => {
            let what = format!("isolation worker is for two components; {name} is none");
            Err(ConfigError::Usage(what).into())
        }
        (_, Some(_)) => Ok(Isolation::InProcess),
        (wanted, None) => Ok(wanted.unwrap_or(Isolation::Worker)),
    }
}

/// The report for people.
fn human(report: &Report) -> String {
    let mut rows =
        vec![["stream", "mode", "read", "committed", "size", "status"].map(str::to_owned).to_vec()];
    for stream in &report.streams {
        let name = match &stream.namespace {
            Some(namespace) => format!("{namespace}.{}", stream.name),
            None => stream.name.clone(),
        };
        let mode = format!("{} | {}", stream.sync_mode, stream.destination_sync_mode);
        let committed = match stream.records_rejected {
            0 => grouped(stream.records_committed),
            rejected => {
                format!("{} ({} rejected)", grouped(stream.records_committed), grouped(rejected))
            }
        };
        rows.push(vec![
            name,
            mode,
            grouped(stream.records_emitted),
            committed,
            sized(stream.bytes_emitted),
            stream.status.to_owned(),
        ]);
    }
    #[expect(clippy::cast_precision_loss, reason = "seconds for people")]
    let seconds = report.duration_ms as f64 / 1000.0;
    let mut text = format!(
        "sync {}: {} -> {} in {seconds:.2} s\n",
        report.status, report.source.connector, report.destination.connector,
    );
    text.push_str(&table(&rows, &[2, 3, 4]));
    text.push_str(&format!(
        "  {} of {} checkpoints committed; connection {}{}\n",
        report.checkpoints_committed,
        report.checkpoints_emitted,
        report.connection,
        if report.resumed { ", went on from stored states" } else { "" },
    ));
    crate::sandbox::printable(&text).into_owned()
}
