//! `lockgate sync`.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;

use super::arguments::Sync;
use super::output::{CliError, Output, grouped, sized, table};
use super::plan;
use super::progress::Progress;
use super::record::Recording;
use super::signals;
use super::store::{StoreChoice, here, host_here, state_choice, state_folder};
use super::write_back::{self, Keep, Origin, Renamed, WriteBack, origin};
use crate::cache::open_cache;
use crate::component::Kind;
use crate::config::{
    ConfigError, ConfigFile, ConnectorOptions, ConnectorSettings, Isolation, Project, Strategy,
    StreamSelection, parse_duration, read_config,
};
use crate::connector::{Choice, Connector, Destination, Host, Method, Source};
use crate::protocol::Json;
use crate::runs::Side;
use crate::sandbox::redacted;
use crate::state::first_name;
use crate::sync::{
    Again, CacheReport, ErrorReport, Refresh, Report, SyncFailure, Watch, WorkerProgram,
    WriteOptions, default_connection,
};

/// One side of a sync, named and not loaded yet.
struct Named {
    key: Option<String>,
    connector: String,
    options: ConnectorOptions,
    config: Json,
    /// Where its configuration stands.
    origin: Origin,
}

/// What to sync, from the file or from flags.
struct Job {
    host: Host,
    /// Where relative paths begin, and records and states are.
    folder: PathBuf,
    source: Named,
    destination: Named,
    isolation: Option<Isolation>,
    /// Where states are kept, as the file has it.
    state: Option<String>,
    /// As `--cache` names it.
    cache: String,
    options: WriteOptions,
}

pub(super) async fn run(call: Sync, output: &Output) -> Result<(), CliError> {
    if let Some(option) = call.stray_option() {
        let what = format!(
            "{option} goes with --source and --destination; the connectors of lockgate.toml are set there"
        );
        return Err(ConfigError::Usage(what).into());
    }
    if (call.refresh.is_some() || call.clear) && call.state.as_deref() == Some("none") {
        let option = if call.clear { "--clear" } else { "--refresh" };
        let what = format!(
            "{option} and --state none exclude each other: generations are counted where states are kept"
        );
        return Err(ConfigError::Usage(what).into());
    }
    let job = job(&call)?;
    let command = if call.dry_run { "sync --dry-run" } else { "sync" };
    let recording = Recording::begin(command, !call.no_record, &job.folder, output)?;
    let mut report = None;
    let result = write(&call, job, &recording, &mut report, output).await;
    // Our own types always serialise.
    let kept = report.as_ref().and_then(|report| serde_json::to_value(report).ok());
    let result = recording.end(result, kept);
    match (&report, &result) {
        (Some(report), _) if output.is_json() => output.json(report),
        (Some(report), _) => output.result(&human(report)),
        (None, Err(CliError::Fault(fault))) if output.is_json() => {
            let error = ErrorReport::new(fault.as_ref());
            output.json(&json!({ "status": "failed", "run": recording.id(), "error": error }));
        }
        (None, _) => {}
    }
    recording.say_denied();
    result
}

/// The sync itself; its report stays behind where rows could move.
async fn write(
    call: &Sync,
    job: Job,
    recording: &Recording,
    report: &mut Option<Report>,
    output: &Output,
) -> Result<(), CliError> {
    let Job { host, folder, source, destination, isolation, state, cache, mut options } = job;
    let choose = |side: &Named, kind| host.resolve(&side.connector, &side.options, Some(kind));
    let choices = [choose(&source, Kind::Source)?, choose(&destination, Kind::Destination)?];
    let names = [source.connector.as_str(), destination.connector.as_str()];
    let isolation = match isolation_of(names, &choices, isolation, cache != "none")? {
        // It asks questions and moves nothing, as `check` and `discover`.
        _ if call.dry_run => Isolation::InProcess,
        isolation => isolation,
    };
    let [source_choice, destination_choice] = choices;
    let host = match isolation {
        Isolation::Worker => host.for_workers(),
        Isolation::InProcess => host,
    };
    options.worker = (isolation == Isolation::Worker).then(WorkerProgram::this_program);
    // Before anything of a connector runs.
    let (from, to) = (source.origin.clone(), destination.origin.clone());
    let files = [write_back::open(from)?, write_back::open(to)?];
    let grants = [source.options.allow_net.clone(), destination.options.allow_net.clone()];
    let source = recording.load(Side::Source, source.key.clone(), &source.connector, || {
        let Named { connector, options, config, .. } = &source;
        host.chosen(connector, source_choice, options, config.clone(), Some(Kind::Source))
    })?;
    let (key, name) = (destination.key.clone(), &destination.connector);
    let destination = recording.load(Side::Destination, key, name, || {
        let Named { connector, options, config, .. } = &destination;
        let kind = Some(Kind::Destination);
        host.chosen(connector, destination_choice, options, config.clone(), kind)
    })?;
    let (mut given, mut state) = (call.state.clone(), state);
    let mut cache = cache;
    if call.dry_run && !is_there(&cache, &folder) {
        // It makes none.
        for choice in [&mut given, &mut state].into_iter().flatten() {
            if choice == "cache" {
                *choice = "none".into();
            }
        }
        cache = "none".into();
    }
    options.cache = open_cache(&cache, &folder)?;
    options.from_cache = call.from_cache;
    let of_cache = |choice: Option<&str>| {
        let of = |choice| state_choice(choice, &cache, options.cache.as_deref());
        choice.map(of).transpose()
    };
    let (given, of_file) = (of_cache(given.as_deref())?, of_cache(state.as_deref())?);
    let (given, of_file) = (given.as_deref(), of_file.as_deref());
    let choice = StoreChoice { given, of_file, folder: &folder };
    // What only looks makes none.
    let open = match call.dry_run && !choice.is_there() {
        true => None,
        false => choice.open().await?,
    };
    if let Some(store) = open {
        options.lock_folder = store.folder;
        options.state = Some(store.store);
    }
    let is_named = options.connection.is_some();
    let connection = match (&options.connection, &options.state) {
        (Some(name), _) => name.clone(),
        (None, store) => {
            let name = default_connection(&source, &destination);
            match store {
                Some(store) => first_name(store.as_ref(), &name)?,
                None => name,
            }
        }
    };
    recording.connection(&connection)?;
    let [source, destination] = writing_back(
        [source, destination],
        files,
        grants,
        &connection,
        is_named,
        &options,
        *output,
    );
    options.connection = Some(connection);
    if call.dry_run {
        let (to, from) = (Destination::from(destination.clone()), Source::from(source.clone()));
        let planned = async { Ok(to.plan(&from, &options).await?) };
        let planned = signals::until_stopped(planned).await;
        for (side, connector) in [(Side::Source, &source), (Side::Destination, &destination)] {
            recording.needs(side, connector)?;
        }
        plan::print(&planned?, output);
        return Ok(());
    }
    options.run = recording.id();
    let note = *output;
    options.on_retry = Some(Arc::new(move |again: &Again| note.note(&retried(again))));
    let progress = Arc::new(Mutex::new(None));
    options.watch = Some(watch(*output, progress.clone()));
    if let Some(text) = &call.idle_timeout {
        options.idle_time = Some(parse_duration("idle-timeout", text)?);
    }
    options.cancel = Some(signals::stop(recording, *output));
    let result =
        Destination::from(destination.clone()).write(&Source::from(source.clone()), &options).await;
    progress.lock().unwrap_or_else(PoisonError::into_inner).take();
    let written = match result {
        Ok(result) => {
            *report = Some(result.report);
            Ok(())
        }
        Err(failure) => {
            let SyncFailure { error, report: until } = *failure;
            *report = until;
            Err(error.into())
        }
    };
    for (side, connector) in [(Side::Source, &source), (Side::Destination, &destination)] {
        recording.needs(side, connector)?;
    }
    written
}

/// Both connectors, whose changed configurations are written back where they came from.
fn writing_back(
    sides: [Connector; 2],
    files: [Option<ConfigFile>; 2],
    grants: [Vec<String>; 2],
    connection: &str,
    is_named: bool,
    options: &WriteOptions,
    output: Output,
) -> [Connector; 2] {
    // As both files have them: a connection without a name is called by them.
    let configs = Arc::new(Mutex::new([sides[0].config().clone(), sides[1].config().clone()]));
    let both = sides.clone();
    let keep = |place: usize, side: &'static str| {
        let (configs, both) = (configs.clone(), both.clone());
        let renamed: Renamed = Arc::new(move |config: &Json| {
            let mut configs = configs.lock().unwrap_or_else(PoisonError::into_inner);
            configs[place] = config.clone();
            let [source, destination] = both.clone();
            let (from, to) = (configs[0].clone(), configs[1].clone());
            default_connection(&source.with_config(from), &destination.with_config(to))
        });
        Some(Keep {
            store: options.state.clone()?,
            connection: connection.to_owned(),
            side,
            renamed: (!is_named).then_some(renamed),
        })
    };
    let [source, destination] = sides;
    let [from, to] = files;
    let (first, second) = (keep(0, "source"), keep(1, "destination"));
    let from = WriteBack::new("source", from, source.config(), &grants[0], first, output);
    let to = WriteBack::new("destination", to, destination.config(), &grants[1], second, output);
    [source.on_config_change(from), destination.on_config_change(to)]
}

/// Whether a cache is there to be opened; one that is no file is, or says so itself.
fn is_there(cache: &str, folder: &Path) -> bool {
    match cache.strip_prefix("sqlite:") {
        Some(path) => Path::new(path).exists(),
        None if cache.contains(':') => true,
        None => folder.join(".lockgate/cache").join(format!("{cache}.db")).exists(),
    }
}

/// Why a sync is tried again, and when.
fn retried(again: &Again) -> String {
    let Again { number, most, error, wait } = again;
    format!(
        "attempt {} of {most} failed: {}: {}; it is tried again in {:.1} s",
        number - 1,
        error.code,
        error.message,
        wait.as_secs_f64()
    )
}

pub(super) fn watch(output: Output, slot: Arc<Mutex<Option<Progress>>>) -> Watch {
    let said = AtomicBool::new(false);
    Arc::new(move |plan, counters| {
        // Another attempt has the same to say.
        if !said.swap(true, Ordering::Relaxed) {
            for note in &plan.notes {
                output.note(&format!("note: {note}"));
            }
        }
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Progress::start(counters, output);
    })
}

/// The job of a call.
fn job(call: &Sync) -> Result<Job, CliError> {
    let here = here()?;
    let Some(source) = &call.source else {
        let project = Project::find(&here)?;
        let connection = project.connection(call.name.as_deref())?;
        let cache = call.cache.clone().or(connection.cache);
        let cache = cache.unwrap_or_else(|| "none".into());
        let options = WriteOptions {
            connection: Some(connection.name),
            // Its name in the file stays where its configuration changes.
            source_key: (cache != "none").then(|| connection.source.key.clone()),
            streams: call.streams.as_deref().map_or(connection.streams, StreamSelection::parse),
            strategy: call.strategy.map_or(connection.strategy, Strategy::from),
            // Both read everything; what was typed says more.
            full_refresh: call.full_refresh
                || (connection.full_refresh && call.refresh.is_none() && !call.clear),
            refresh: call.refresh.map(Refresh::from),
            clear: call.clear,
            stream_options: connection.stream_options,
            attempts: call.attempts.or(connection.attempts),
            ..WriteOptions::default()
        };
        let named = |list: &str, side: ConnectorSettings| Named {
            origin: project.config_place(list, &side.key),
            key: Some(side.key),
            connector: side.connector,
            options: side.options,
            config: side.config,
        };
        return Ok(Job {
            host: Host::new().in_folder(project.folder()).in_project(&project),
            folder: project.folder().to_owned(),
            source: named("sources", connection.source),
            destination: named("destinations", connection.destination),
            isolation: call.isolation.map(Isolation::from).or(connection.isolation),
            state: connection.state,
            cache,
            options,
        });
    };
    let named = |connector: &str, options, given: Option<&String>| -> Result<Named, CliError> {
        let config = match given {
            Some(given) => read_config(given)?,
            None => Json::empty_object(),
        };
        let origin = given.and_then(|given| origin(given));
        Ok(Named { key: None, connector: connector.to_owned(), options, config, origin })
    };
    let destination = call.destination.as_deref().unwrap_or_default();
    Ok(Job {
        host: host_here(&[source, destination])?,
        folder: state_folder(&here),
        source: named(source, call.source_grants.options()?, call.source_config.as_ref())?,
        destination: named(
            destination,
            call.destination_grants.options()?,
            call.destination_config.as_ref(),
        )?,
        isolation: call.isolation.map(Isolation::from),
        state: None,
        cache: call.cache.clone().unwrap_or_else(|| "none".into()),
        options: WriteOptions {
            connection: call.connection.clone(),
            streams: call.streams.as_deref().map_or(StreamSelection::All, StreamSelection::parse),
            strategy: call.strategy.map_or(Strategy::Auto, Strategy::from),
            full_refresh: call.full_refresh,
            refresh: call.refresh.map(Refresh::from),
            clear: call.clear,
            attempts: call.attempts,
            ..WriteOptions::default()
        },
    })
}

/// Where a sync of two connectors runs. Only components can run in a worker; whoever asks for one
/// with another connector is told so.
fn isolation_of(
    names: [&str; 2],
    choices: &[Choice; 2],
    wanted: Option<Isolation>,
    cached: bool,
) -> Result<Isolation, CliError> {
    if cached {
        // The cache is this process's: a worker has no store of any kind.
        return match wanted {
            Some(Isolation::Worker) => {
                let what = "isolation worker is for a sync without a cache";
                Err(ConfigError::Usage(what.into()).into())
            }
            Some(Isolation::InProcess) | None => Ok(Isolation::InProcess),
        };
    }
    let is_component = |choice: &Choice| matches!(choice.method, Method::Component(_));
    let other = names.iter().zip(choices).find(|(_, choice)| !is_component(choice));
    let other = other.map(|(name, _)| redacted(name));
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
    let cached = report.cache.is_some();
    let mut head = vec!["stream", "mode", "read", "committed", "size", "status"];
    if cached {
        head.splice(3..3, ["cached", "sent"]);
    }
    let mut rows = vec![head.into_iter().map(str::to_owned).collect::<Vec<_>>()];
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
        let mut row = vec![
            name,
            mode,
            grouped(stream.records_emitted),
            committed,
            sized(stream.bytes_emitted),
            stream.status.to_owned(),
        ];
        if cached {
            let counts = [stream.records_cached, stream.records_sent];
            row.splice(3..3, counts.map(grouped));
        }
        rows.push(row);
    }
    #[expect(clippy::cast_precision_loss, reason = "seconds for people")]
    let seconds = report.duration_ms as f64 / 1000.0;
    let mut text = format!(
        "sync {}: {} -> {} in {seconds:.2} s\n",
        report.status, report.source.connector, report.destination.connector,
    );
    text.push_str(&table(&rows, if cached { &[2, 3, 4, 5, 6] } else { &[2, 3, 4] }));
    text.push_str(&format!(
        "  {} of {} checkpoints committed; connection {}{}\n",
        report.checkpoints_committed,
        report.checkpoints_emitted,
        report.connection,
        if report.resumed { ", went on from stored states" } else { "" },
    ));
    if report.attempts.len() > 1 {
        text.push_str(&format!("  {} attempts\n", report.attempts.len()));
    }
    if let Some(cache) = &report.cache {
        let CacheReport { kind, place, source_key, .. } = cache;
        text.push_str(&format!("  through the cache {kind}:{place}, source {source_key}\n"));
    }
    for (side, connector) in [("source", &report.source), ("destination", &report.destination)] {
        // A whole fence is what everyone expects.
        if let Some(fence) = &connector.fence
            && (fence == "off" || fence.contains(';'))
        {
            text.push_str(&format!("  the fence of the {side}: {fence}\n"));
        }
    }
    crate::sandbox::printable(&text).into_owned()
}
