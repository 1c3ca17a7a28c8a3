//! Running one attack, and proving that the host serves a healthy connector right after it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use lockgate::component::{CompileCache, Kind};
use lockgate::connector::ConnectorError;
use lockgate::fault::Fault;
use lockgate::protocol::{Decision, Failure, Json, LogLevel, Observer};
use lockgate::sync::{SyncError, WorkerProgram};
use lockgate::{Connector, ConnectorOptions, Host, WriteOptions, WriteStrategy};

use crate::common::{guest, target};

/// A way of running a whole sync. Every attack must be contained in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Both components in this process.
    InProcess,
    /// Both in a worker process, which is killed.
    Worker,
}

impl Way {
    /// All of them.
    pub(crate) const ALL: &[Self] = &[Self::InProcess, Self::Worker];

    /// A host that runs connectors this way.
    pub(crate) fn host(self) -> Host {
        let cache = CompileCache::at(&target().join("test-cache"));
        let host = Host::new().with_cache(Some(cache));
        let host = host.with_resolver(Arc::new(crate::network::Names));
        match self {
            Self::InProcess => host,
            Self::Worker => host.for_workers(),
        }
    }

    /// How this way is asked for.
    pub(crate) fn write_options(self) -> WriteOptions {
        let program = || WorkerProgram::new(env!("CARGO_BIN_EXE_lockgate"));
        WriteOptions {
            strategy: WriteStrategy::Append,
            worker: (self == Self::Worker).then(program),
            ..WriteOptions::default()
        }
    }

    /// What becomes of an operation: in a worker there are whole syncs only, and each begins with
    /// `spec`, `check` and `discover`.
    fn operation(self, host: &Host, file: &Path, asked: Operation) -> Operation {
        match (self, asked) {
            (Self::Worker, Operation::Spec | Operation::Check | Operation::Discover) => {
                match host.runtime().load(file).ok().and_then(|c| c.kind().ok().map(|(k, _)| k)) {
                    Some(Kind::Destination) => Operation::Write,
                    _ => Operation::Read,
                }
            }
            _ => asked,
        }
    }
}

/// What the attacker is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// To say what it is.
    Spec,
    /// To try its configuration.
    Check,
    /// To list its streams.
    Discover,
    /// To be the source of a sync into destination-jsonl.
    Read,
    /// To be the source of a sync into a process.
    ReadToProcess,
    /// To be the destination of a sync from source-faker.
    Write,
}

/// Where the attacker comes from.
#[derive(Clone, Copy)]
pub(crate) enum Attacker {
    /// A component built from `guests/examples`.
    Guest,
    /// A module in `wat`.
    Wat,
    /// A file made up by this.
    File(fn() -> Vec<u8>),
    /// Another component of these tests, which does what its configuration says.
    Built(&'static str),
    /// A process: `programs/source`, which does what is behind the row's name in it.
    Program,
}

/// One attack: a row of the table in docs/security.md.
#[derive(Clone, Copy)]
pub(crate) struct Attack {
    /// The guest's name, and the row's.
    pub(crate) name: &'static str,
    /// The items of the checklist it covers.
    pub(crate) items: &'static [u8],
    /// The attack, in a few words.
    pub(crate) what: &'static str,
    /// Who attacks.
    pub(crate) attacker: Attacker,
    /// With what it is asked to do.
    pub(crate) operation: Operation,
    /// What it is granted, and its limits; the folder is the attack's own.
    pub(crate) options: fn(&Path) -> ConnectorOptions,
    /// The code it ends in; `-` where it goes on and gets nothing.
    pub(crate) code: &'static str,
    /// What the message must hold; where it goes on, the rules that refused something.
    pub(crate) words: &'static str,
    /// What else must be true afterwards.
    pub(crate) then: fn(&Outcome, &Path),
}

/// How an attack ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: String,
    pub(crate) message: String,
    /// The rules that refused something.
    pub(crate) rules: String,
    /// What the operator was told, the first of it.
    pub(crate) heard: Vec<String>,
    /// Bytes of all the operator was told.
    pub(crate) heard_bytes: usize,
    pub(crate) took: Duration,
}

/// Hears a connector, and keeps the beginning.
#[derive(Default)]
pub(crate) struct Heard {
    lines: Mutex<Vec<String>>,
    bytes: AtomicUsize,
    /// The rules that refused something.
    rules: Mutex<BTreeSet<String>>,
}

#[async_trait]
impl Observer for Heard {
    fn log(&self, _: LogLevel, message: &str) {
        self.bytes.fetch_add(message.len(), Ordering::Relaxed);
        let mut lines = self.lines.lock().expect("nobody panics with it");
        if lines.len() < 1000 {
            lines.push(message.chars().take(2000).collect());
        }
    }

    async fn update_config(&self, _: Json) -> Result<(), Failure> {
        Ok(())
    }

    fn decided(&self, decision: &Decision) {
        if !decision.allowed {
            let mut rules = self.rules.lock().expect("nobody panics with it");
            rules.insert(decision.rule.chars().take(200).collect());
        }
    }
}

impl Attack {
    /// The attacker's file, made where it is not there yet.
    pub(crate) fn file(&self, folder: &Path) -> PathBuf {
        let bytes = match self.attacker {
            Attacker::Guest => return guest(&format!("hostile/{}", self.name)),
            Attacker::Wat => {
                let path = crate::common::fixture(&format!("hostile/wat/{}.wat", self.name));
                crate::wat::component(&std::fs::read_to_string(path).expect("it is there"))
            }
            Attacker::File(make) => make(),
            Attacker::Built(name) => return guest(name),
            Attacker::Program => return crate::common::fixture("hostile/programs/source"),
        };
        let path = folder.join(format!("{}.wasm", self.name));
        std::fs::write(&path, bytes).expect("a file");
        path
    }

    /// Tells a program which attack it is.
    pub(crate) fn configure(&self, folder: &Path) {
        if matches!(self.attacker, Attacker::Program) {
            let config = serde_json::json!({
                "attack": self.name, "folder": folder, "port": crate::network::FORBIDDEN.port,
            });
            std::fs::write(folder.join(CONFIG_FILE), config.to_string()).expect("a file");
        }
    }

    /// Whether it ended as it should. One that goes on in `spec`, `check` or `discover` and lists no
    /// stream is a sync of nothing in a worker.
    pub(crate) fn ended_well(&self, way: Way, outcome: &Outcome) -> bool {
        let asked =
            matches!(self.operation, Operation::Spec | Operation::Check | Operation::Discover);
        let nothing = way == Way::Worker && asked && self.code == "-";
        outcome.code == self.code || (nothing && outcome.code == "STREAM_NONE")
    }

    /// Whether it was told why, in the row's words.
    pub(crate) fn says_why(&self, outcome: &Outcome) -> bool {
        let said = if self.code == "-" { &outcome.rules } else { &outcome.message };
        said.contains(self.words)
    }

    /// Runs it in a folder of its own.
    pub(crate) async fn run(&self, way: Way, host: &Host, folder: &Path) -> Outcome {
        let options = (self.options)(folder);
        self.configure(folder);
        let file = self.file(folder);
        run(way, host, &file, self.operation, &options, folder).await
    }
}

/// What every attacker is configured with. The text is for patterns that take ages to match.
const CONFIG: &str = r#"{"text":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"}"#;

/// The file in an attack's folder that is its configuration, where there is one.
pub(crate) const CONFIG_FILE: &str = "config.json";

/// Runs a component or a program as an attacker.
pub(crate) async fn run(
    way: Way,
    host: &Host,
    file: &Path,
    operation: Operation,
    options: &ConnectorOptions,
    folder: &Path,
) -> Outcome {
    // A process at one end is not for a worker.
    let component = file.extension().is_some_and(|extension| extension == "wasm");
    let elsewhere = Way::InProcess.host();
    let here = operation == Operation::ReadToProcess || !component;
    let (way, host) = if here { (Way::InProcess, &elsewhere) } else { (way, host) };
    let operation = way.operation(host, file, operation);
    let heard = Arc::new(Heard::default());
    let began = Instant::now();
    let name = format!("{}{}", if component { "" } else { "exec:" }, file.display());
    let config = std::fs::read_to_string(folder.join(CONFIG_FILE));
    let config = Json::parse(config.unwrap_or_else(|_| CONFIG.to_owned())).expect("JSON");
    let result: Result<(), (String, String)> = async {
        match operation {
            Operation::Spec | Operation::Check | Operation::Discover => {
                let connector = host.get_connector(&name, options, config).map_err(refused)?;
                let connector = connector.with_observer(heard.clone());
                one(&connector, operation).await.map_err(refused)
            }
            Operation::Read => {
                let source = host.get_source(&name, options, config).map_err(refused)?;
                let source = source.heard_by(heard.clone());
                let destination = jsonl(host, folder);
                let result = destination.write(&source, &way.write_options()).await;
                result.map(drop).map_err(|f| failed(&f.error))
            }
            Operation::ReadToProcess => {
                let source = host.get_source(&name, options, config).map_err(refused)?;
                let source = source.heard_by(heard.clone());
                let result = process(host).write(&source, &way.write_options()).await;
                result.map(drop).map_err(|f| failed(&f.error))
            }
            Operation::Write => {
                let destination = host.get_destination(&name, options, config).map_err(refused)?;
                let destination = destination.heard_by(heard.clone());
                let result = destination.write(&faker(host, 10), &way.write_options()).await;
                result.map(drop).map_err(|f| failed(&f.error))
            }
        }
    }
    .await;
    let rules = std::mem::take(&mut *heard.rules.lock().expect("nobody panics with it"));
    let (code, message) = result.err().unwrap_or_else(|| ("-".into(), String::new()));
    let lines = std::mem::take(&mut *heard.lines.lock().expect("nobody panics with it"));
    Outcome {
        code,
        message,
        rules: rules.into_iter().collect::<Vec<_>>().join(", "),
        heard: lines,
        heard_bytes: heard.bytes.load(Ordering::Relaxed),
        took: began.elapsed(),
    }
}

async fn one(connector: &Connector, operation: Operation) -> Result<(), ConnectorError> {
    match operation {
        Operation::Spec => connector.spec().await.map(drop),
        Operation::Discover => connector.discover().await.map(drop),
        _ => connector.check().await,
    }
}

fn refused(error: ConnectorError) -> (String, String) {
    (error.code().to_owned(), error.to_string())
}

/// What a sync failed with: the cause, where a side failed.
fn failed(error: &SyncError) -> (String, String) {
    let cause = error.context().into_iter().find(|(name, _)| *name == "cause");
    let code = match (error, cause) {
        (SyncError::Source { error, .. } | SyncError::Destination { error, .. }, _) => error.code(),
        (SyncError::Remote(_), Some((_, cause))) => return (cause, error.to_string()),
        (other, _) => other.code(),
    };
    (code.to_owned(), error.to_string())
}

/// A destination that is a process and keeps nothing.
fn process(host: &Host) -> lockgate::Destination {
    let program = crate::common::fixture("hostile/programs/destination");
    // What fences processes has tests of its own.
    let options = ConnectorOptions { sandbox: Some("off".into()), ..ConnectorOptions::default() };
    let name = format!("exec:{}", program.display());
    host.get_destination(&name, &options, Json::empty_object()).expect("a destination")
}

/// destination-jsonl, writing to `FOLDER/out`.
pub(crate) fn jsonl(host: &Host, folder: &Path) -> lockgate::Destination {
    let out = folder.join("out");
    std::fs::create_dir_all(&out).expect("a folder");
    let options = ConnectorOptions {
        allow_dir: vec![format!("{}::/out", out.display())],
        ..ConnectorOptions::default()
    };
    let config = Json::parse(r#"{"path":"/out"}"#.to_owned()).expect("JSON");
    let name = guest("destination-jsonl").display().to_string();
    host.get_destination(&name, &options, config).expect("a destination")
}

/// source-faker, with so many users.
pub(crate) fn faker(host: &Host, count: u64) -> lockgate::Source {
    let config = Json::parse(format!(r#"{{"count":{count}}}"#)).expect("JSON");
    let name = guest("source-faker").display().to_string();
    host.get_source(&name, &ConnectorOptions::default(), config).expect("a source")
}

/// What a healthy sync of so many users leaves, so that two can be compared.
pub(crate) async fn healthy(way: Way, host: &Host, count: u64) -> Vec<(String, String)> {
    let folder = tempfile::tempdir().expect("a folder");
    let result = jsonl(host, folder.path()).write(&faker(host, count), &way.write_options()).await;
    let result = result.expect("a healthy sync succeeds");
    assert_eq!(result.report.status, "succeeded");
    left(&folder.path().join("out"))
}

/// The rows of each file in a folder, without what differs from run to run.
pub(crate) fn left(folder: &Path) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = std::fs::read_dir(folder)
        .expect("it is there")
        .map(|entry| {
            let entry = entry.expect("an entry");
            let text = std::fs::read_to_string(entry.path()).expect("text");
            (entry.file_name().into_string().expect("text"), text)
        })
        .collect();
    files.sort();
    files
}
