//! The configuration.

use std::collections::HashSet;
use std::sync::Arc;

use globset::{Glob, GlobBuilder};
use lockgate_sdk::{Failure, http};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::limits;
use crate::servers::Servers;

/// Where the files are, and what streams they make.
///
/// What an operator writes is made by [`configuration!`](crate::configuration), which each component
/// has of its own: it says what the component can reach.
#[derive(Clone, Debug)]
pub struct Config {
    /// The granted directory that `files` are in, as an absolute path in the sandbox.
    pub path: Option<String>,
    /// The hosts of `urls`, each as `HOST:PORT`; all of them where there is one.
    pub hosts: Vec<String>,
    /// What asks servers for files, where a component reaches some.
    pub servers: Option<Arc<dyn Servers>>,
    /// The streams.
    pub streams: Vec<StreamConfig>,
    /// What becomes of a CSV value that is not of its column's type.
    pub on_mismatch: OnFault,
    /// What becomes of a CSV row with more or fewer columns than its header.
    pub ragged: OnFault,
    /// Add the columns `_file` and `_row`.
    pub add_file_columns: bool,
    /// Rows of a file that are looked at to find out the types of its columns.
    pub sample_rows: u32,
    /// MiB that are read between two checkpoints.
    pub checkpoint_mib: u32,
}

/// One stream: files of one kind.
#[derive(Clone, Debug)]
pub struct StreamConfig {
    /// The stream's name.
    pub name: String,
    /// What the files are.
    pub format: Format,
    /// Patterns of names of files below the directory.
    pub files: Vec<String>,
    /// Files over HTTP, in place of `files`.
    pub urls: Vec<String>,
    /// How the files are compressed.
    pub compression: Compression,
    /// How CSV is written.
    pub csv: CsvConfig,
    /// The columns that make the primary key.
    pub primary_key: Vec<String>,
}

/// What a file is.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
#[schemars(extend("enum" = ["csv", "jsonl", "parquet"]), with = "String")]
pub enum Format {
    /// Rows of text with a delimiter.
    Csv,
    /// A JSON object a line.
    Jsonl,
    /// Apache Parquet.
    Parquet,
}

/// How a file is compressed.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
#[schemars(extend("enum" = ["auto", "none", "gzip", "zstd"]), with = "String")]
pub enum Compression {
    /// As its first bytes say.
    #[default]
    Auto,
    /// Not at all.
    None,
    /// By gzip; several members make one file.
    Gzip,
    /// By zstd; several frames make one file.
    Zstd,
}

/// What becomes of what does not fit.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
#[schemars(extend("enum" = ["fail", "null"]), with = "String")]
pub enum OnFault {
    /// The sync fails, and says where.
    #[default]
    Fail,
    /// It becomes null, noted in the record's `meta`.
    Null,
}

/// How CSV is written.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CsvConfig {
    /// What stands between columns: one ASCII character.
    #[serde(default = "default_delimiter")]
    #[schemars(title = "Delimiter", length(min = 1, max = 1))]
    pub(crate) delimiter: String,
    /// What values with delimiters and line ends in them are put in, doubled within; empty for none.
    #[serde(default = "default_quote")]
    #[schemars(title = "Quote", length(max = 1))]
    pub(crate) quote: String,
    /// The first row has the columns' names; without it they are `column_1`, `column_2` and so on.
    #[serde(default = "default_header")]
    #[schemars(title = "Header")]
    pub(crate) header: bool,
    /// Values that stand for null, in quotes or not.
    #[serde(default = "default_null_values")]
    #[schemars(title = "Null values")]
    pub(crate) null_values: Vec<String>,
    /// The encoding of the text.
    #[expect(dead_code, reason = "there is one, and it is checked by being read")]
    #[serde(default)]
    #[schemars(title = "Encoding")]
    pub(crate) encoding: Encoding,
    /// The types of columns that are not to be found out.
    #[serde(default)]
    #[schemars(title = "Types")]
    pub(crate) types: Vec<TypeConfig>,
}

/// The type of one column.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TypeConfig {
    /// The column's name.
    #[schemars(title = "Column")]
    pub(crate) column: String,
    /// Its type.
    #[serde(rename = "type")]
    #[schemars(title = "Type")]
    pub(crate) kind: TypeName,
}

/// A type of CSV columns.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
#[schemars(
    extend("enum" = [
        "string", "integer", "number", "boolean", "date", "timestamp", "timestamp_with_timezone"
    ]),
    with = "String"
)]
pub enum TypeName {
    /// Any text.
    String,
    /// A whole number.
    Integer,
    /// Any number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// A day.
    Date,
    /// A day and a time of day.
    Timestamp,
    /// A moment.
    TimestampWithTimezone,
}

/// An encoding of text.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[schemars(extend("enum" = ["utf-8"]), with = "String")]
pub enum Encoding {
    /// Unicode in bytes.
    #[default]
    #[serde(rename = "utf-8")]
    Utf8,
}

fn default_delimiter() -> String {
    ",".to_owned()
}

fn default_quote() -> String {
    "\"".to_owned()
}

fn default_header() -> bool {
    true
}

fn default_null_values() -> Vec<String> {
    vec![String::new()]
}

/// Few enough that `discover` ends in its minute.
#[must_use]
pub fn default_sample_rows() -> u32 {
    10_000
}

/// 16 MiB: a state costs nothing beside it, and no more is read again after a failure.
#[must_use]
pub fn default_checkpoint_mib() -> u32 {
    16
}

impl Default for CsvConfig {
    fn default() -> Self {
        Self {
            delimiter: default_delimiter(),
            quote: default_quote(),
            header: default_header(),
            null_values: default_null_values(),
            encoding: Encoding::default(),
            types: Vec::new(),
        }
    }
}

impl CsvConfig {
    pub(crate) fn delimiter(&self) -> u8 {
        self.delimiter.bytes().next().unwrap_or(b',')
    }

    /// None: nothing is quoted.
    pub(crate) fn quote(&self) -> Option<u8> {
        self.quote.bytes().next()
    }
}

impl StreamConfig {
    /// Its patterns. A `*` does not go over a slash.
    pub(crate) fn globs(&self) -> Result<Vec<Glob>, Failure> {
        let glob = |pattern: &String| {
            GlobBuilder::new(pattern)
                .literal_separator(true)
                .backslash_escape(true)
                .build()
                .map_err(|error| {
                    Failure::config(format!(
                        "stream {}: the pattern {pattern} in `files` is none: {}",
                        self.name,
                        error.kind()
                    ))
                })
        };
        self.files.iter().map(glob).collect()
    }
}

impl Config {
    /// The stream of a name.
    pub(crate) fn stream(&self, name: &str) -> Option<&StreamConfig> {
        self.streams.iter().find(|stream| stream.name == name)
    }

    /// Bytes between two checkpoints.
    pub(crate) fn checkpoint_bytes(&self) -> u64 {
        u64::from(self.checkpoint_mib) << 20
    }

    /// Refuses what cannot work before anything is opened.
    pub(crate) fn validate(&self) -> Result<(), Failure> {
        let range = |member: &str, value: u32, most: u32| match (1..=most).contains(&value) {
            true => Ok(()),
            false => Err(Failure::config(format!("`{member}` must be from 1 to {most}"))),
        };
        range("sample_rows", self.sample_rows, 1_000_000)?;
        range("checkpoint_mib", self.checkpoint_mib, 65_536)?;
        if self.streams.is_empty() || self.streams.len() > limits::STREAMS {
            return Err(Failure::config(format!(
                "`streams` has {} members, and must have 1 to {}",
                self.streams.len(),
                limits::STREAMS
            )));
        }
        for host in &self.hosts {
            let port = host.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
            if !matches!(port, Some(Ok(1..))) {
                return Err(Failure::config(format!(
                    "`hosts` has a member that is not HOST:PORT: {host:?}"
                )));
            }
        }
        let mut names = HashSet::new();
        for stream in &self.streams {
            if stream.name.is_empty() || !names.insert(stream.name.as_str()) {
                return Err(Failure::config(format!(
                    "`streams` has a name that is empty, or twice: {:?}",
                    stream.name
                )));
            }
            self.validate_stream(stream)?;
        }
        Ok(())
    }

    fn validate_stream(&self, stream: &StreamConfig) -> Result<(), Failure> {
        let wrong = |what: &str| Failure::config(format!("stream {}: {what}", stream.name));
        match (stream.files.is_empty(), stream.urls.is_empty()) {
            (true, true) => return Err(wrong("it has neither `files` nor `urls`")),
            (false, false) => {
                return Err(wrong("it has `files` and `urls`: make two streams of it"));
            }
            (false, true) if self.path.is_none() => {
                return Err(wrong("`files` are below `path`, which is not configured"));
            }
            (true, false) if self.servers.is_none() => {
                return Err(wrong("it has `urls`, and this component reaches no server"));
            }
            _ => {}
        }
        for pattern in &stream.files {
            if pattern.is_empty()
                || pattern.starts_with('/')
                || pattern.split('/').any(|p| p == "..")
            {
                return Err(wrong(&format!(
                    "`files` are names below `path`, without a slash at the start and without ..: \
                     {pattern:?}"
                )));
            }
        }
        stream.globs()?;
        for url in &stream.urls {
            let url = http::parse_url(url)
                .map_err(|error| wrong(&format!("`urls` has a member that is no URL: {error}")))?;
            let host = url.host_str().unwrap_or_default();
            let at = format!("{host}:{}", url.port_or_known_default().unwrap_or_default());
            let listed = |known: &String| known.eq_ignore_ascii_case(&at);
            if !self.hosts.is_empty() && !self.hosts.iter().any(listed) {
                return Err(wrong(&format!("`urls` leads to {at}, which `hosts` does not list")));
            }
        }
        if stream.format == Format::Parquet
            && matches!(stream.compression, Compression::Gzip | Compression::Zstd)
        {
            return Err(wrong(
                "a Parquet file is compressed within, and cannot be read from outside compression: \
                 leave `compression` out",
            ));
        }
        let csv = &stream.csv;
        let (delimiter, quote) = (csv.delimiter.as_bytes(), csv.quote.as_bytes());
        let usable = |byte: u8| byte.is_ascii() && !matches!(byte, b'\n' | b'\r');
        match (delimiter, quote) {
            ([d], [] | [_])
                if !usable(*d) || quote.iter().any(|q| !usable(*q)) || quote == [*d] =>
            {
                Err(wrong("`delimiter` and `quote` must differ, and be no line end"))
            }
            ([_], [] | [_]) => Ok(()),
            _ => Err(wrong("`delimiter` must be one ASCII character, `quote` one or none")),
        }
    }
}
