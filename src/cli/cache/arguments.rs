//! What can be typed after `lockgate cache`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// `lockgate cache`.
#[derive(Debug, Args)]
#[command(after_help = "\
A cache keeps the records of sources in tables that can be queried: `lockgate sync --cache default`
fills one. --cache is default, a name (a file in .lockgate/cache), sqlite:PATH or postgres:URL.

Examples:
  lockgate cache tables
  lockgate cache query 'SELECT count(*) FROM users'
  lockgate cache export users --format parquet --to users.parquet")]
pub(in crate::cli) struct Cache {
    #[command(subcommand)]
    pub(in crate::cli) action: CacheAction,
    /// Which: default, a name, sqlite:PATH or postgres:URL
    #[arg(long, global = true, value_name = "CACHE", default_value = "default")]
    pub(in crate::cli) cache: String,
}

/// What is done with a cache.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum CacheAction {
    /// List the caches of the project, with their sizes
    #[command(after_help = "Example:\n  lockgate cache list --output json")]
    List,
    /// List the tables of a cache: source, stream, rows
    #[command(after_help = "Example:\n  lockgate cache tables --cache nightly")]
    Tables,
    /// Answer a query; it can only read
    #[command(after_help = "\
A table has the columns of its stream, Airbyte's (_airbyte_raw_id, _airbyte_extracted_at,
_airbyte_meta) and _lockgate_record, the record as it came.

Examples:
  lockgate cache query 'SELECT id, name FROM users ORDER BY id'
  lockgate cache query 'SELECT * FROM users' --limit 10 --format csv")]
    Query {
        /// One statement that gives rows
        sql: String,
        /// Rows at most
        #[arg(long, value_name = "N", default_value_t = 1000)]
        limit: usize,
        /// How rows are printed; json with --output json, else a table
        #[arg(long, value_enum)]
        format: Option<QueryFormat>,
    },
    /// Write a stream's rows into a file
    #[command(after_help = "\
jsonl has the records as the source sent them; the others have the typed columns.

Examples:
  lockgate cache export users --format parquet --to users.parquet
  lockgate cache export users --source shop --format jsonl --to users.jsonl")]
    Export {
        /// A table, or a stream: name or namespace.name
        #[arg(value_name = "TABLE|STREAM")]
        what: String,
        /// Whose, where several sources have such a stream
        #[arg(long, value_name = "KEY")]
        source: Option<String>,
        /// What kind of file
        #[arg(long, value_enum)]
        format: ExportKind,
        /// The file; one that is there is replaced
        #[arg(long, value_name = "PATH")]
        to: PathBuf,
    },
    /// Remove streams with their rows and states; the next sync reads them again
    #[command(after_help = "\
Examples:
  lockgate cache remove --source shop --stream users
  lockgate cache remove --all")]
    Remove {
        /// The key of a source: `lockgate cache tables` shows it
        #[arg(long, value_name = "KEY", required_unless_present_any = ["all", "stream"])]
        source: Option<String>,
        /// Only this stream: name or namespace.name
        #[arg(long, value_name = "NAME")]
        stream: Option<String>,
        /// Everything
        #[arg(long, conflicts_with_all = ["source", "stream"])]
        all: bool,
    },
}

/// How rows of a query are printed.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(in crate::cli) enum QueryFormat {
    /// An array of objects
    Json,
    /// Comma-separated values
    Csv,
    /// For people
    Table,
}

/// What kind of file.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(in crate::cli) enum ExportKind {
    /// Apache Parquet
    Parquet,
    /// Comma-separated values
    Csv,
    /// The records as they came, one a line
    Jsonl,
    /// Arrow's file format
    Arrow,
}
