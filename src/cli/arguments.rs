//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::output::{Format, Output};
use crate::config::{ConnectorOptions, Strategy};

/// The heading of what every command takes.
const GLOBAL: &str = "Output";

/// Runs data connectors that nobody has to trust: moves rows from sources to destinations
#[derive(Debug, Parser)]
#[command(name = "lockgate", version)]
#[command(after_help = "\
CONNECTOR is path/to/x.wasm (a component, which reaches only what it is granted), exec:PATH (a
program that speaks Airbyte's protocol, which reaches what you reach), or destination-dev-null.
CONFIG is a file name, or inline JSON beginning with {.

Exit codes: 0 done, 1 the sync or connector failed, 2 bad usage or configuration,
3 refused by policy, 130 interrupted.

Examples:
  lockgate inspect target/guests/destination-jsonl.wasm
  lockgate spec target/guests/source-faker.wasm
  lockgate check exec:.venv/bin/source-faker --config '{\"count\": 100}'
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
    /// Behave like an Airbyte connector executable, whatever the connector is
    Exec(Exec),
    /// Print what a component is, imports and needs; it is granted nothing meanwhile
    Inspect(Inspect),
    /// Show, set or clear the stored states of a connection
    State(State),
}

/// Grants and limits of one connector.
#[derive(Debug, Args)]
pub(super) struct Grants {
    /// Grant a component the directory HOST, which it knows as GUEST; :ro to read only
    #[arg(long, value_name = "HOST::GUEST[:ro|rw]", help_heading = "Grants and limits")]
    allow_dir: Vec<String>,
    /// Set an environment variable; nothing of your own environment is passed on
    #[arg(long, value_name = "NAME=VALUE", help_heading = "Grants and limits")]
    env: Vec<String>,
    /// The most memory a component may use [default: 256MiB]
    #[arg(long, value_name = "SIZE", help_heading = "Grants and limits")]
    max_memory: Option<String>,
    /// The most time an operation may take [default: spec 10s, check and discover 60s, read and
    /// write no limit]
    #[arg(long, value_name = "DURATION", help_heading = "Grants and limits")]
    timeout: Option<String>,
}

impl Grants {
    pub(super) fn options(&self) -> ConnectorOptions {
        ConnectorOptions {
            allow_dir: self.allow_dir.clone(),
            env: self.env.clone(),
            max_memory: self.max_memory.clone(),
            timeout: self.timeout.clone(),
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  lockgate spec target/guests/source-faker.wasm")]
pub(super) struct Spec {
    /// path/to/x.wasm, exec:PATH or destination-dev-null
    pub(super) connector: String,
    #[command(flatten)]
    pub(super) grants: Grants,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  lockgate check target/guests/destination-jsonl.wasm \\\n    --config '{\"path\": \"/out\"}' --allow-dir ./out::/out"
)]
pub(super) struct WithConfig {
    /// path/to/x.wasm, exec:PATH or destination-dev-null
    pub(super) connector: String,
    /// Its configuration: a file name, or JSON beginning with {
    #[arg(long, value_name = "CONFIG", default_value = "{}", hide_default_value = true)]
    pub(super) config: String,
    #[command(flatten)]
    pub(super) grants: Grants,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate sync                     the only connection of lockgate.toml
  lockgate sync nightly             one of several
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
    #[arg(conflicts_with_all = [
        "source", "source_config", "source_allow_dir", "source_env", "source_max_memory",
        "source_timeout", "destination", "destination_config", "destination_allow_dir",
        "destination_env", "destination_max_memory", "destination_timeout", "connection",
    ])]
    pub(super) name: Option<String>,
    /// The source: path/to/x.wasm or exec:PATH
    #[arg(long, value_name = "CONNECTOR", requires = "destination", help_heading = "Source")]
    pub(super) source: Option<String>,
    /// Its configuration: a file name, or JSON beginning with {
    #[arg(long, value_name = "CONFIG", requires = "source", help_heading = "Source")]
    pub(super) source_config: Option<String>,
    /// Grant it the directory HOST, which it knows as GUEST; :ro to read only
    #[arg(long, value_name = "HOST::GUEST[:ro|rw]", requires = "source", help_heading = "Source")]
    source_allow_dir: Vec<String>,
    /// Set an environment variable; nothing of your own environment is passed on
    #[arg(long, value_name = "NAME=VALUE", requires = "source", help_heading = "Source")]
    source_env: Vec<String>,
    /// The most memory it may use, if it is a component [default: 256MiB]
    #[arg(long, value_name = "SIZE", requires = "source", help_heading = "Source")]
    source_max_memory: Option<String>,
    /// The most time each of its operations may take, reading and writing included
    #[arg(long, value_name = "DURATION", requires = "source", help_heading = "Source")]
    source_timeout: Option<String>,
    /// The destination: path/to/x.wasm, exec:PATH or destination-dev-null
    #[arg(long, value_name = "CONNECTOR", requires = "source", help_heading = "Destination")]
    pub(super) destination: Option<String>,
    /// Its configuration: a file name, or JSON beginning with {
    #[arg(long, value_name = "CONFIG", requires = "destination", help_heading = "Destination")]
    pub(super) destination_config: Option<String>,
    /// Grant it the directory HOST, which it knows as GUEST; :ro to read only
    #[arg(
        long,
        value_name = "HOST::GUEST[:ro|rw]",
        requires = "destination",
        help_heading = "Destination"
    )]
    destination_allow_dir: Vec<String>,
    /// Set an environment variable; nothing of your own environment is passed on
    #[arg(long, value_name = "NAME=VALUE", requires = "destination", help_heading = "Destination")]
    destination_env: Vec<String>,
    /// The most memory it may use, if it is a component [default: 256MiB]
    #[arg(long, value_name = "SIZE", requires = "destination", help_heading = "Destination")]
    destination_max_memory: Option<String>,
    /// The most time each of its operations may take, reading and writing included
    #[arg(long, value_name = "DURATION", requires = "destination", help_heading = "Destination")]
    destination_timeout: Option<String>,
    /// The streams to move: names with commas between them, or * for all [default: *]
    #[arg(long, value_name = "A,B|*", help_heading = "What is moved, and how")]
    pub(super) streams: Option<String>,
    /// What happens to the rows that are there already [default: auto]
    #[arg(long, value_enum, help_heading = "What is moved, and how")]
    pub(super) strategy: Option<StrategyArgument>,
    /// Read everything again, whatever an earlier sync stored
    #[arg(long, help_heading = "What is moved, and how")]
    pub(super) full_refresh: bool,
    /// How long nothing at all may happen: no row, no state, no commit [default: 3h]
    #[arg(long, value_name = "DURATION", help_heading = "What is moved, and how")]
    pub(super) idle_timeout: Option<String>,
    /// The name under which states are kept, for a sync by flags
    #[arg(long, value_name = "NAME", requires = "source", help_heading = "What is stored")]
    pub(super) connection: Option<String>,
    /// Where states are kept: default, sqlite:PATH, or none to start again each time
    #[arg(long, value_name = "STORE", default_value = "default", help_heading = "What is stored")]
    pub(super) state: String,
    /// Where records are kept on their way; none is the only choice so far
    #[arg(long, value_name = "CACHE", default_value = "none", help_heading = "What is stored")]
    pub(super) cache: String,
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
        let given = [
            ("--source-config", self.source_config.is_some()),
            ("--source-allow-dir", !self.source_allow_dir.is_empty()),
            ("--source-env", !self.source_env.is_empty()),
            ("--source-max-memory", self.source_max_memory.is_some()),
            ("--source-timeout", self.source_timeout.is_some()),
            ("--destination-config", self.destination_config.is_some()),
            ("--destination-allow-dir", !self.destination_allow_dir.is_empty()),
            ("--destination-env", !self.destination_env.is_empty()),
            ("--destination-max-memory", self.destination_max_memory.is_some()),
            ("--destination-timeout", self.destination_timeout.is_some()),
            ("--connection", self.connection.is_some()),
        ];
        given.into_iter().find(|(_, given)| *given).map(|(option, _)| option)
    }

    pub(super) fn source_options(&self) -> ConnectorOptions {
        ConnectorOptions {
            allow_dir: self.source_allow_dir.clone(),
            env: self.source_env.clone(),
            max_memory: self.source_max_memory.clone(),
            timeout: self.source_timeout.clone(),
        }
    }

    pub(super) fn destination_options(&self) -> ConnectorOptions {
        ConnectorOptions {
            allow_dir: self.destination_allow_dir.clone(),
            env: self.destination_env.clone(),
            max_memory: self.destination_max_memory.clone(),
            timeout: self.destination_timeout.clone(),
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example, as a connector for PyAirbyte's local_executable:
  #!/bin/sh
  exec lockgate exec destination-jsonl.wasm --allow-dir /data::/out \"$@\"")]
pub(super) struct Exec {
    /// path/to/x.wasm, exec:PATH or destination-dev-null
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
    /// Where states are kept: default or sqlite:PATH
    #[arg(long, global = true, value_name = "STORE", default_value = "default")]
    pub(super) state: String,
}

#[derive(Debug, Subcommand)]
pub(super) enum StateAction {
    /// Print a connection's states in the protocol's form; without a name, list the connections
    #[command(after_help = "Example:\n  lockgate state show nightly > states.json")]
    Show {
        /// The connection
        connection: Option<String>,
    },
    /// Replace a connection's states by those of a file in the protocol's form
    #[command(after_help = "Example:\n  lockgate state set nightly states.json")]
    Set {
        /// The connection
        connection: String,
        /// A file, or - for stdin
        file: PathBuf,
    },
    /// Forget a connection's states: its next sync starts again
    #[command(
        after_help = "Examples:\n  lockgate state clear nightly\n  lockgate state clear nightly --stream users"
    )]
    Clear {
        /// The connection
        connection: String,
        /// Only this stream: name or namespace.name
        #[arg(long, value_name = "NAME")]
        stream: Vec<String>,
    },
}
