//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::output::{Format, Output};
use crate::config::{ConnectorOptions, Strategy};

/// Runs data connectors that nobody has to trust.
#[derive(Debug, Parser)]
#[command(name = "lockgate", version, propagate_version = true)]
#[command(after_help = "\
CONNECTOR is path/to/x.wasm, exec:PATH (a program that speaks Airbyte's protocol),
or destination-dev-null. C is a file name, or inline JSON beginning with {.

Exit codes: 0 done, 1 the sync or connector failed, 2 bad usage or configuration,
3 refused by policy, 130 interrupted.

Examples:
  lockgate spec target/guests/source-faker.wasm
  lockgate check exec:.venv/bin/source-faker --config '{\"count\": 100}'
  lockgate sync nightly
  lockgate inspect target/guests/destination-jsonl.wasm")]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
    /// How results and errors are printed.
    #[arg(long, global = true, value_enum, default_value_t = OutputFormat::Human)]
    output: OutputFormat,
    /// Say nothing but results and errors.
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Show what connectors log, not only their warnings.
    #[arg(long, short, global = true)]
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
    /// Print what a connector is and which configuration it takes
    Spec(Spec),
    /// Let a connector try its configuration
    Check(WithConfig),
    /// Print the streams a source offers
    Discover(WithConfig),
    /// Move rows from a source to a destination
    Sync(Box<Sync>),
    /// Behave like an Airbyte connector executable: messages on stdin and stdout
    Exec(Exec),
    /// Print what a component is, imports and needs, without running it on data
    Inspect(Inspect),
    /// Show, set or clear the stored states of a connection
    State(State),
}

/// Grants and limits of one connector.
#[derive(Debug, Args)]
pub(super) struct Grants {
    /// Grant a directory: HOST_DIR::GUEST_DIR, with :ro to read only
    #[arg(long, value_name = "HOST::GUEST[:ro|rw]")]
    allow_dir: Vec<String>,
    /// Grant an environment variable
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Most memory of the component [default: 256MiB]
    #[arg(long, value_name = "SIZE")]
    max_memory: Option<String>,
    /// Most time of an operation [default: spec 10s, check and discover 60s, others none]
    #[arg(long, value_name = "DURATION")]
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
    /// The connector
    pub(super) connector: String,
    #[command(flatten)]
    pub(super) grants: Grants,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  lockgate check target/guests/destination-jsonl.wasm \\\n    --config '{\"path\": \"/out\"}' --allow-dir ./out::/out")]
pub(super) struct WithConfig {
    /// The connector
    pub(super) connector: String,
    /// Its configuration: a file name, or JSON beginning with {
    #[arg(long, value_name = "C", default_value = "{}", hide_default_value = true)]
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
    /// A connection of lockgate.toml
    #[arg(conflicts_with_all = ["source", "destination"])]
    pub(super) name: Option<String>,
    /// The source
    #[arg(long, value_name = "CONNECTOR", requires = "destination")]
    pub(super) source: Option<String>,
    /// Its configuration: a file name, or JSON beginning with {
    #[arg(long, value_name = "C", requires = "source")]
    pub(super) source_config: Option<String>,
    /// Grant the source a directory
    #[arg(long, value_name = "HOST::GUEST[:ro|rw]", requires = "source")]
    source_allow_dir: Vec<String>,
    /// Grant the source an environment variable
    #[arg(long, value_name = "NAME=VALUE", requires = "source")]
    source_env: Vec<String>,
    /// Most memory of the source
    #[arg(long, value_name = "SIZE", requires = "source")]
    source_max_memory: Option<String>,
    /// Most time of each of the source's operations
    #[arg(long, value_name = "DURATION", requires = "source")]
    source_timeout: Option<String>,
    /// The destination
    #[arg(long, value_name = "CONNECTOR", requires = "source")]
    pub(super) destination: Option<String>,
    /// Its configuration: a file name, or JSON beginning with {
    #[arg(long, value_name = "C", requires = "destination")]
    pub(super) destination_config: Option<String>,
    /// Grant the destination a directory
    #[arg(long, value_name = "HOST::GUEST[:ro|rw]", requires = "destination")]
    destination_allow_dir: Vec<String>,
    /// Grant the destination an environment variable
    #[arg(long, value_name = "NAME=VALUE", requires = "destination")]
    destination_env: Vec<String>,
    /// Most memory of the destination
    #[arg(long, value_name = "SIZE", requires = "destination")]
    destination_max_memory: Option<String>,
    /// Most time of each of the destination's operations
    #[arg(long, value_name = "DURATION", requires = "destination")]
    destination_timeout: Option<String>,
    /// Streams to move, with commas between them, or *
    #[arg(long, value_name = "A,B|*")]
    pub(super) streams: Option<String>,
    /// How to write
    #[arg(long, value_enum)]
    pub(super) strategy: Option<StrategyArgument>,
    /// Read everything again, whatever was stored
    #[arg(long)]
    pub(super) full_refresh: bool,
    /// The name under which states are kept, for a sync by flags
    #[arg(long, value_name = "NAME", requires = "source")]
    pub(super) connection: Option<String>,
    /// Where states are kept: none, default or sqlite:PATH
    #[arg(long, value_name = "STORE", default_value = "default")]
    pub(super) state: String,
    /// Where records are kept on their way: none is the only choice so far
    #[arg(long, value_name = "CACHE", default_value = "none")]
    pub(super) cache: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum StrategyArgument {
    /// What suits each stream and both connectors
    Auto,
    /// Add
    Append,
    /// Replace all
    Replace,
    /// Replace by primary key
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
    /// The connector
    pub(super) connector: String,
    /// spec, check, discover, read or write
    #[arg(value_enum)]
    pub(super) operation: ExecOperation,
    /// The configuration file
    #[arg(long, value_name = "F")]
    pub(super) config: Option<PathBuf>,
    /// The configured catalog's file
    #[arg(long, value_name = "F")]
    pub(super) catalog: Option<PathBuf>,
    /// The state file
    #[arg(long, value_name = "F")]
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
    #[command(after_help = "Examples:\n  lockgate state clear nightly\n  lockgate state clear nightly --stream users")]
    Clear {
        /// The connection
        connection: String,
        /// Only this stream: name or namespace.name
        #[arg(long, value_name = "NAME")]
        stream: Vec<String>,
    },
}
