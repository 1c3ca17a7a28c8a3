//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::grants::{DestinationGrants, Grants, SourceGrants, of_a_side};
use super::output::{Format, Output};
use crate::component::Kind;
use crate::config::{ConnectorOptions, Isolation, Strategy};
use crate::sync::Refresh;

/// The heading of what every command takes.
const GLOBAL: &str = "Output";

/// Runs data connectors that nobody has to trust: moves rows from sources to destinations
#[derive(Debug, Parser)]
#[command(name = "lockgate", version)]
#[command(after_help = "\
CONNECTOR is path/to/x.wasm (a component, which reaches only what it is granted), exec:PATH (a
program that speaks Airbyte's protocol, behind the kernel's fence), docker:IMAGE, pip:REQUIREMENT,
or a name such as source-faker: a component of the project, a program on PATH, or what Airbyte's
registry has under it. Options may say instead how it is run; they stand behind CONNECTOR.
CONFIG is a file name, or inline JSON beginning with {.

Exit codes: 0 done, 1 the sync or connector failed, 2 bad usage or configuration,
3 refused by policy, 130 interrupted.

Examples:
  lockgate inspect target/guests/destination-jsonl.wasm
  lockgate spec target/guests/source-faker.wasm
  lockgate check exec:.venv/bin/source-faker --config '{\"count\": 100}'
  lockgate check source-faker --use-python --version 7.2.1 --config '{\"count\": 100}'
  lockgate sync nightly")]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
    /// For people or for programs: how results and errors are printed
    #[arg(long, global = true, value_enum, value_name = "FORMAT", default_value_t = OutputFormat::Human, help_heading = GLOBAL)]
    output: OutputFormat,
    /// Print nothing but results and errors: no progress, no notes, no logs
    #[arg(long, short, global = true, conflicts_with = "verbose", help_heading = GLOBAL)]
    quiet: bool,
    /// Print all that connectors log, not only warnings and errors
    #[arg(long, short, global = true, help_heading = GLOBAL)]
    verbose: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OutputFormat {
    Human,
    Json,
}

impl Arguments {
    pub(super) fn output(&self) -> Output {
        let format = match self.output {
            OutputFormat::Human => Format::Human,
            OutputFormat::Json => Format::Json,
        };
        Output { format, quiet: self.quiet, verbose: self.verbose }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Print a connector's specification: what it is, needs and takes as configuration
    Spec(Spec),
    /// Check a configuration: against the specification, then by the connector itself
    Check(WithConfig),
    /// Print the streams a source offers, as an Airbyte catalog
    Discover(WithConfig),
    /// Move rows from a source to a destination
    Sync(Box<Sync>),
    /// Read a source into a cache, where its rows can be queried, exported and written from
    Read(Box<super::read::Read>),
    /// Make the project of a new connector: one that builds, runs and keeps the rules
    New(super::author::New),
    /// Build a connector's project to a component
    Build(super::author::Build),
    /// Try whether a connector keeps the rules: the protocol's, and those that no data is lost by
    Validate(Box<super::validate::Validate>),
    /// Behave like an Airbyte connector executable, whatever the connector is
    Exec(Exec),
    /// Print what a component is, imports and needs; it is granted nothing meanwhile
    Inspect(Inspect),
    /// Compile a component from stdin to stdout: what lockgate starts itself
    #[command(name = crate::component::COMPILE_COMMAND, hide = true)]
    CompileComponent {
        /// Without what interrupts it
        #[arg(long)]
        for_worker: bool,
    },
    /// Show, set, copy or clear the stored states of a connection
    State(State),
    /// List, query, export and remove records that are kept between sources and destinations
    Cache(super::cache::Cache),
    /// Show what the connectors of a connection may reach, or suggest it from a run
    Policy(Policy),
    /// Show what earlier runs were granted, used and refused
    Runs(Runs),
    /// List, install, remove and describe connectors that are Python packages or components
    Connectors(super::connectors::Connectors),
    /// Run one sync for the process that started this one
    #[command(hide = true)]
    Worker(Worker),
}

#[derive(Debug, Args)]
pub(super) struct Worker {
    /// The descriptor of the source's code
    pub(super) source: i32,
    /// The descriptor of the destination's code
    pub(super) destination: i32,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  lockgate spec target/guests/source-faker.wasm")]
pub(super) struct Spec {
    /// path/to/x.wasm, exec:PATH, docker:IMAGE, pip:REQUIREMENT, or a name
    pub(super) connector: String,
    #[command(flatten)]
    pub(super) grants: Grants,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  lockgate check target/guests/destination-jsonl.wasm \\\n    --config '{\"path\": \"/out\"}' --allow-dir ./out::/out"
)]
pub(super) struct WithConfig {
    /// path/to/x.wasm, exec:PATH, docker:IMAGE, pip:REQUIREMENT, or a name
    pub(super) connector: String,
    /// Its configuration: a file name, or JSON beginning with {
    #[arg(long, value_name = "CONFIG", default_value = "{}", hide_default_value = true)]
    pub(super) config: String,
    #[command(flatten)]
    pub(super) grants: Grants,
    /// Keep no record of this run: no audit trail in .lockgate/runs
    #[arg(long, help_heading = "What is stored")]
    pub(super) no_record: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate sync                     the only connection of lockgate.toml
  lockgate sync nightly             one of several
  lockgate sync nightly --dry-run   what it would do
  lockgate sync nightly --refresh truncate --streams users
  lockgate sync \\
    --source exec:.venv/bin/source-faker --source-config '{\"count\": 5000}' \\
    --destination target/guests/destination-jsonl.wasm \\
    --destination-config '{\"path\": \"/out\"}' --destination-allow-dir ./out::/out

States are kept in .lockgate/state.db beside lockgate.toml, or in the current folder. Without a
name, a connection is known by its connectors and their configurations: with another configuration
it starts again. --connection gives it a name that stays.")]
pub(super) struct Sync {
    /// A connection of lockgate.toml; may be left out where there is only one
    // All of them: where an option conflicts, those that require it are not asked for.
    #[arg(conflicts_with_all = of_a_side())]
    pub(super) name: Option<String>,
    /// The source: path/to/x.wasm, exec:PATH, docker:IMAGE, pip:REQUIREMENT, or a name
    #[arg(long, value_name = "CONNECTOR", requires = "destination", help_heading = "Source")]
    pub(super) source: Option<String>,
    /// Its configuration: a file name, or JSON beginning with {
    #[arg(long, value_name = "CONFIG", requires = "source", help_heading = "Source")]
    pub(super) source_config: Option<String>,
    #[command(flatten)]
    pub(super) source_grants: SourceGrants,
    /// The destination: path/to/x.wasm, exec:PATH, docker:IMAGE, pip:REQUIREMENT, or a name
    #[arg(long, value_name = "CONNECTOR", requires = "source", help_heading = "Destination")]
    pub(super) destination: Option<String>,
    /// Its configuration: a file name, or JSON beginning with {
    #[arg(long, value_name = "CONFIG", requires = "destination", help_heading = "Destination")]
    pub(super) destination_config: Option<String>,
    #[command(flatten)]
    pub(super) destination_grants: DestinationGrants,
    /// The streams to move: names with commas between them, or * for all [default: *]
    #[arg(long, value_name = "A,B|*", help_heading = "What is moved, and how")]
    pub(super) streams: Option<String>,
    /// What happens to the rows that are there already [default: auto]
    #[arg(long, value_enum, help_heading = "What is moved, and how")]
    pub(super) strategy: Option<StrategyArgument>,
    /// Read everything again, whatever an earlier sync stored
    #[arg(long, help_heading = "What is moved, and how")]
    pub(super) full_refresh: bool,
    /// Read everything again in a new generation, and go on from there; with --streams, those only
    #[arg(long, value_enum, value_name = "WHAT", conflicts_with_all = ["full_refresh", "clear"], help_heading = "What is moved, and how")]
    pub(super) refresh: Option<RefreshArgument>,
    /// Read nothing: remove all rows and forget the states; with --streams, of those only
    #[arg(long, conflicts_with = "full_refresh", help_heading = "What is moved, and how")]
    pub(super) clear: bool,
    /// Print what the sync would do with each stream, and do nothing
    #[arg(long, help_heading = "What is moved, and how")]
    pub(super) dry_run: bool,
    /// How often it is tried, when it fails for a reason that may pass [default: 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100), help_heading = "What is moved, and how")]
    pub(super) attempts: Option<u32>,
    /// How long nothing at all may happen: no row, no state, no commit [default: 3h]
    #[arg(long, value_name = "DURATION", help_heading = "What is moved, and how")]
    pub(super) idle_timeout: Option<String>,
    /// Where two components run: in a process of their own, which is killed when they do not stop, or
    /// in this one, which asks them all the time whether they may go on [default: worker; in-process
    /// with a cache]
    #[arg(long, value_enum, value_name = "PLACE", help_heading = "What is moved, and how")]
    pub(super) isolation: Option<IsolationArgument>,
    /// The name under which states are kept, for a sync by flags
    #[arg(long, value_name = "NAME", requires = "source", help_heading = "What is stored")]
    pub(super) connection: Option<String>,
    /// Where states are kept: default, sqlite:PATH, json:PATH, postgres:URL, cache (in the cache's own
    /// database), or none to start again each time [default: as lockgate.toml says, or default]
    #[arg(long, value_name = "STORE", help_heading = "What is stored")]
    pub(super) state: Option<String>,
    /// Where records are kept on their way, to be queried and sent again: none, default, a name,
    /// sqlite:PATH or postgres:URL [default: none]
    #[arg(long, value_name = "CACHE", help_heading = "What is stored")]
    pub(super) cache: Option<String>,
    /// Send what the cache has, without asking the source: it may be gone
    #[arg(long, help_heading = "What is stored")]
    pub(super) from_cache: bool,
    /// Keep no record of this run: no audit trail in .lockgate/runs
    #[arg(long, help_heading = "What is stored")]
    pub(super) no_record: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum KindArgument {
    Source,
    Destination,
}

impl From<KindArgument> for Kind {
    fn from(argument: KindArgument) -> Self {
        match argument {
            KindArgument::Source => Self::Source,
            KindArgument::Destination => Self::Destination,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum IsolationArgument {
    Worker,
    InProcess,
}

impl From<IsolationArgument> for Isolation {
    fn from(argument: IsolationArgument) -> Self {
        match argument {
            IsolationArgument::Worker => Self::Worker,
            IsolationArgument::InProcess => Self::InProcess,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum RefreshArgument {
    /// Earlier rows stay, beside those that are read again
    Retain,
    /// Earlier rows disappear, once all are read again
    Truncate,
}

impl From<RefreshArgument> for Refresh {
    fn from(argument: RefreshArgument) -> Self {
        match argument {
            RefreshArgument::Retain => Self::Retain,
            RefreshArgument::Truncate => Self::Truncate,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum StrategyArgument {
    /// Merge, append or replace: the first that the stream and both connectors can
    Auto,
    /// They stay, and new rows are added
    Append,
    /// They are replaced by the rows of this sync, once it is complete
    Replace,
    /// Those with the same primary key are replaced, new ones are added
    Merge,
}

impl From<StrategyArgument> for Strategy {
    fn from(argument: StrategyArgument) -> Self {
        match argument {
            StrategyArgument::Auto => Self::Auto,
            StrategyArgument::Append => Self::Append,
            StrategyArgument::Replace => Self::Replace,
            StrategyArgument::Merge => Self::Merge,
        }
    }
}

impl Sync {
    /// An option that says how a connector named by flags is run, given where none is.
    pub(super) fn stray_option(&self) -> Option<&'static str> {
        if self.source.is_some() {
            return None;
        }
        // A grant requires its side, and clap says so; where NAME conflicts with that side, it does
        // not ask.
        let nothing = Some(ConnectorOptions::default());
        if self.source_config.is_some() {
            return Some("--source-config");
        }
        if self.source_grants.options().ok() != nothing {
            return Some("an option of the source");
        }
        if self.destination_config.is_some() {
            return Some("--destination-config");
        }
        if self.destination_grants.options().ok() != nothing {
            return Some("an option of the destination");
        }
        self.connection.is_some().then_some("--connection")
    }
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example, as a connector for PyAirbyte's local_executable:
  #!/bin/sh
  exec lockgate exec destination-jsonl.wasm --allow-dir /data::/out \"$@\"")]
pub(super) struct Exec {
    /// path/to/x.wasm, exec:PATH, docker:IMAGE, pip:REQUIREMENT, or a name
    pub(super) connector: String,
    /// What it shall do
    #[arg(value_enum)]
    pub(super) operation: ExecOperation,
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// The configured catalog's file
    #[arg(long, value_name = "FILE")]
    pub(super) catalog: Option<PathBuf>,
    /// The state file
    #[arg(long, value_name = "FILE")]
    pub(super) state: Option<PathBuf>,
    /// Accepted because Airbyte's platform passes it
    #[arg(long, hide = true)]
    pub(super) debug: bool,
    #[command(flatten)]
    pub(super) grants: Grants,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ExecOperation {
    Spec,
    Check,
    Discover,
    Read,
    Write,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  lockgate inspect target/guests/destination-jsonl.wasm")]
pub(super) struct Inspect {
    /// The component file
    pub(super) component: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct State {
    #[command(subcommand)]
    pub(super) action: StateAction,
    /// Where states are kept: default, sqlite:PATH, json:PATH or postgres:URL [default: as
    /// lockgate.toml says of the connection, or default]
    #[arg(long, global = true, value_name = "STORE")]
    pub(super) state: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum StateAction {
    /// Print a connection's states in the protocol's form; without a name, list the connections, with
    /// what is begun and who runs them
    #[command(after_help = "\
Examples:
  lockgate state show
  lockgate state show nightly > states.json
  lockgate state show nightly --past            the times that are remembered
  lockgate state show nightly --past 7 > before.json")]
    Show {
        /// The connection
        connection: Option<String>,
        /// Only of this stream: name or namespace.name; may be repeated
        #[arg(long, value_name = "NAME", requires = "connection")]
        stream: Vec<String>,
        /// What the states were before a sync, or before they were set or cleared: the times, or the
        /// states of one
        #[arg(long, value_name = "NUMBER", num_args = 0..=1, requires = "connection")]
        past: Option<Option<u64>>,
    },
    /// Replace a connection's states by those of a file in the protocol's form
    #[command(after_help = "\
Examples:
  lockgate state set nightly states.json
  lockgate state set nightly states.json --stream users

They count from now on, also where a refresh came after they were stored. What was there before is
remembered: `lockgate state show nightly --past`.")]
    Set {
        /// The connection
        connection: String,
        /// A file, or - for stdin
        file: PathBuf,
        /// Only this stream's; the others stay as they are
        #[arg(long, value_name = "NAME")]
        stream: Option<String>,
    },
    /// Take over what is remembered of a connection into another store: its states, generations and the
    /// number of its syncs
    #[command(after_help = "\
Example:
  lockgate state copy nightly postgres:postgres://sync@db.example/lockgate

What is in the first store stays there. Name the other in lockgate.toml, or with --state, from now on.")]
    Copy {
        /// The connection
        connection: String,
        /// The other store: sqlite:PATH, json:PATH or postgres:URL
        to: String,
    },
    /// Forget a connection's states: its next sync starts again
    #[command(
        after_help = "Examples:\n  lockgate state clear nightly\n  lockgate state clear nightly --stream users"
    )]
    Clear {
        /// The connection
        connection: String,
        /// Only this stream: name or namespace.name; may be repeated
        #[arg(long, value_name = "NAME")]
        stream: Vec<String>,
    },
}

#[derive(Debug, Args)]
pub(super) struct Policy {
    #[command(subcommand)]
    pub(super) action: PolicyAction,
}

#[derive(Debug, Subcommand)]
pub(super) enum PolicyAction {
    /// Print what both connectors of a connection are granted, every limit, and what they need
    #[command(after_help = "Example:\n  lockgate policy show nightly")]
    Show {
        /// A connection of lockgate.toml; may be left out where there is only one
        connection: Option<String>,
    },
    /// Print the smallest policy that would have allowed what a run asked for: for you to review
    #[command(after_help = "Example:\n  lockgate policy suggest last")]
    Suggest {
        /// The name of a run, or last
        #[arg(default_value = "last")]
        run: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Runs {
    #[command(subcommand)]
    pub(super) action: RunsAction,
}

#[derive(Debug, Subcommand)]
pub(super) enum RunsAction {
    /// List the recorded runs, newest first
    #[command(after_help = "Example:\n  lockgate runs list --output json")]
    List,
    /// Print what a run used of what it was granted, and what it was refused
    #[command(after_help = "Example:\n  lockgate runs show last")]
    Show {
        /// The name of a run, or last
        #[arg(default_value = "last")]
        run: String,
    },
}
