//! How what a destination wrote is read back: from files, from a PostgreSQL server, or through a
//! source.
//!
//! Nobody knows what a destination makes of a stream's name, so tables and files are found by theirs:
//! as they are written, then without letter case and punctuation. A file that is hidden is not looked
//! at: destinations keep what is not complete in such.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use percent_encoding::percent_decode_str;

use super::Trial;
use super::compare::{Row, plain};
use super::source;
use super::taken::read;
use crate::connector::Connector;
use crate::executor::Context;
#[cfg(feature = "postgres")]
use crate::postgres::PostgresUrl;
use crate::protocol::{Catalog, ConfiguredStream, StreamDescriptor, SyncMode};

/// Files below a folder that are looked at.
const FILES: usize = 100_000;

/// Bytes of a file that is read whole.
const FILE_BYTES: u64 = 256 << 20;

/// Where what was written is read.
#[derive(Debug, Clone)]
pub enum ReadBack {
    /// JSON lines and Parquet below a folder.
    Files(PathBuf),
    /// Tables of a server.
    #[cfg(feature = "postgres")]
    Postgres(Box<PostgresUrl>),
    /// Whatever a source reads.
    Source(Box<Connector>),
}

/// Why it cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read back: {0}")]
pub struct ReadBackError(String);

impl ReadBackError {
    fn new(reason: impl std::fmt::Display) -> Self {
        Self(reason.to_string())
    }

    /// The same, of a stream.
    pub(super) fn of(self, stream: &str) -> Self {
        Self(format!("{stream}: {}", self.0))
    }
}

impl ReadBack {
    /// The rows of a stream, without the columns of the platform; none where there is nothing of it.
    pub(super) async fn rows(
        &self,
        trial: &Trial<'_>,
        stream: &StreamDescriptor,
    ) -> Result<Vec<Row>, ReadBackError> {
        let wanted = stream.clone();
        let rows = match self {
            Self::Files(folder) => {
                let folder = folder.clone();
                blocking(move || files(&folder, &wanted)).await?
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(url) => {
                let url = url.clone();
                blocking(move || tables(&url, &wanted)).await?
            }
            Self::Source(connector) => by_source(trial, connector, stream).await?,
        };
        Ok(rows.into_iter().map(data).collect())
    }
}

async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, ReadBackError> + Send + 'static,
) -> Result<T, ReadBackError> {
    tokio::task::spawn_blocking(read).await.map_err(ReadBackError::new)?
}

/// What is left of a row without the columns that platforms add.
fn data(mut row: Row) -> Row {
    if let Some(inner) = row.remove("_airbyte_data") {
        let text = serde_json::from_str::<String>(inner.get());
        let text = text.unwrap_or_else(|_| inner.get().to_owned());
        if let Ok(inner) = serde_json::from_str::<Row>(&text) {
            return inner;
        }
    }
    row.retain(|name, _| !name.starts_with("_airbyte_") && !name.starts_with("_ab_"));
    row
}

/// The one of `names` that is the stream's: as it is written, or without case and punctuation.
fn find<'a>(
    names: impl Iterator<Item = &'a str> + Clone,
    wanted: &[String],
) -> Result<Option<&'a str>, ReadBackError> {
    if let Some(name) = names.clone().find(|name| wanted.iter().any(|w| w == name)) {
        return Ok(Some(name));
    }
    let plains: Vec<String> = wanted.iter().map(|w| plain(w)).filter(|p| !p.is_empty()).collect();
    let mut alike = names.filter(|name| plains.contains(&plain(name)));
    let found = alike.next();
    match alike.next() {
        Some(other) => Err(ReadBackError::new(format!(
            "{} and {other} may both be {}",
            found.unwrap_or_default(),
            wanted.first().map_or("", String::as_str)
        ))),
        None => Ok(found),
    }
}

/// Files by what they are called without folders, endings and escapes: `shop.orders`.
fn listed(folder: &Path) -> Result<BTreeMap<String, Vec<PathBuf>>, ReadBackError> {
    let mut named: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    let mut open = vec![(folder.to_owned(), Vec::<String>::new())];
    let mut seen = 0;
    while let Some((folder, above)) = open.pop() {
        let told = |e: std::io::Error| ReadBackError::new(format!("{}: {e}", folder.display()));
        for entry in std::fs::read_dir(&folder).map_err(told)? {
            let entry = entry.map_err(told)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            seen += 1;
            if seen > FILES {
                return Err(ReadBackError::new(format!("there are more than {FILES} files")));
            }
            if name.starts_with('.') {
                continue;
            }
            let path = entry.path();
            if entry.file_type().map_err(told)?.is_dir() {
                let mut above = above.clone();
                above.push(unescaped(&name));
                open.push((path, above));
                continue;
            }
            let Some((stem, ending)) = name.rsplit_once('.') else { continue };
            if !matches!(ending, "jsonl" | "ndjson" | "parquet") {
                continue;
            }
            let stem = unescaped(stem.strip_prefix("_airbyte_raw_").unwrap_or(stem));
            let mut whole = above.clone();
            whole.push(stem);
            // By its own name, and as one of the files of each folder that it is in.
            let mut names: Vec<String> = (0..whole.len()).map(|n| whole[n..].join(".")).collect();
            for end in 1..whole.len() {
                names.extend((0..end).map(|n| whole[n..end].join(".")));
            }
            names.dedup();
            for name in names {
                named.entry(name).or_default().push(path.clone());
            }
        }
    }
    for files in named.values_mut() {
        files.sort();
    }
    Ok(named)
}

/// A name without what was escaped in it.
fn unescaped(name: &str) -> String {
    // `~` and a number say which letters are capitals, where file systems do not.
    let name = match name.rsplit_once('~') {
        Some((stem, bits)) if bits.bytes().all(|b| b.is_ascii_hexdigit()) => stem,
        _ => name,
    };
    percent_decode_str(name).decode_utf8_lossy().into_owned()
}

fn names(stream: &StreamDescriptor) -> Vec<String> {
    match &stream.namespace {
        Some(namespace) => vec![format!("{namespace}.{}", stream.name)],
        None => vec![stream.name.clone()],
    }
}

fn files(folder: &Path, stream: &StreamDescriptor) -> Result<Vec<Row>, ReadBackError> {
    let named = listed(folder)?;
    let mut found = find(named.keys().map(String::as_str), &names(stream))?;
    if found.is_none() {
        // Where there are no namespaces.
        found = find(named.keys().map(String::as_str), std::slice::from_ref(&stream.name))?;
    }
    let Some(paths) = found.and_then(|name| named.get(name)) else { return Ok(Vec::new()) };
    let mut rows = Vec::new();
    for path in paths {
        let told = |e: String| ReadBackError::new(format!("{}: {e}", path.display()));
        let size = std::fs::metadata(path).map_err(|e| told(e.to_string()))?.len();
        if size > FILE_BYTES {
            return Err(told(format!("it has {size} bytes, more than {FILE_BYTES}")));
        }
        if path.extension().is_some_and(|ending| ending == "parquet") {
            rows.extend(super::parquet::rows(path).map_err(told)?);
            continue;
        }
        let text = std::fs::read_to_string(path).map_err(|e| told(e.to_string()))?;
        for (number, line) in text.lines().enumerate() {
            let row = serde_json::from_str(line)
                .map_err(|_| told(format!("line {} is no JSON object", number + 1)))?;
            rows.push(row);
        }
    }
    Ok(rows)
}

#[cfg(feature = "postgres")]
fn tables(url: &PostgresUrl, stream: &StreamDescriptor) -> Result<Vec<Row>, ReadBackError> {
    let mut client = crate::postgres::connect(url).map_err(ReadBackError::new)?;
    let all = client
        .query(
            "SELECT table_schema::text, table_name::text FROM information_schema.tables \
             WHERE table_schema NOT IN ('pg_catalog', 'information_schema')",
            &[],
        )
        .map_err(ReadBackError::new)?;
    let all: Vec<(String, String)> = all.iter().map(|row| (row.get(0), row.get(1))).collect();
    let schema = match &stream.namespace {
        None => None,
        Some(namespace) => {
            let schemas: std::collections::BTreeSet<&str> =
                all.iter().map(|(schema, _)| schema.as_str()).collect();
            match find(schemas.iter().copied(), std::slice::from_ref(namespace))? {
                Some(schema) => Some(schema.to_owned()),
                None => return Ok(Vec::new()),
            }
        }
    };
    let here = all.iter().filter(|(of, _)| schema.as_ref().is_none_or(|schema| schema == of));
    let tables = here.clone().map(|(_, table)| table.as_str());
    let Some(table) = find(tables, std::slice::from_ref(&stream.name))? else {
        return Ok(Vec::new());
    };
    let Some((schema, _)) = here.clone().find(|(_, name)| name == table) else {
        return Ok(Vec::new());
    };
    let quoted = crate::postgres::quoted;
    let query = format!("SELECT row_to_json(t)::text FROM {}.{} t", quoted(schema), quoted(table));
    let rows = client.query(&query, &[]).map_err(ReadBackError::new)?;
    rows.iter()
        .map(|row| {
            let text: String = row.get(0);
            serde_json::from_str(&text).map_err(ReadBackError::new)
        })
        .collect()
}

async fn by_source(
    trial: &Trial<'_>,
    connector: &Connector,
    stream: &StreamDescriptor,
) -> Result<Vec<Row>, ReadBackError> {
    let told = |what: &str, error: &dyn std::fmt::Display| {
        ReadBackError::new(format!("{} by {}: {error}", what, connector.name()))
    };
    let reader = Trial {
        connector,
        executor: connector.executor(),
        options: trial.options,
        // What the reader does is not the connector's.
        ear: Arc::default(),
        progress: trial.progress,
    };
    // It is not the one that is tried.
    let context = Context::new(reader.ear.clone());
    let found = reader.executor.discover(&context, reader.config()).await;
    let found = found.map_err(|e| told("discover", &e))?;
    let known: Vec<String> = found.iter().map(|s| s.descriptor.to_string()).collect();
    let mut wanted = names(stream);
    wanted.push(stream.name.clone());
    let Some(name) = find(known.iter().map(String::as_str), &wanted)? else {
        return Ok(Vec::new());
    };
    let Some(stream) = found.iter().find(|s| s.descriptor.to_string() == name) else {
        return Ok(Vec::new());
    };
    let whole = ConfiguredStream { sync_mode: SyncMode::FullRefresh, ..source::configured(stream) };
    let catalog = Catalog { streams: vec![whole] };
    let (read, ended) = read(&reader, &catalog, &[]).await;
    ended.map_err(|e| told("read", &e))?;
    let rows = read.rows(0, 0).map(|row| serde_json::from_str(row).map_err(ReadBackError::new));
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(folder: &Path, stream: &StreamDescriptor) -> Result<Vec<String>, ReadBackError> {
        let rows = files(folder, stream)?;
        Ok(rows.into_iter().map(data).map(|row| row["id"].get().to_owned()).collect())
    }

    #[test]
    fn files_are_found_by_what_destinations_call_them() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, rows: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, rows).unwrap();
        };
        write("ns.orders.jsonl", "{\"id\":1}\n{\"id\":2,\"_airbyte_meta\":{}}\n");
        write(".ns.orders.jsonl.partial-1", "{\"id\":9}\n");
        write("ns.Odd%20Name~9.jsonl", "{\"id\":3}\n");
        write("deep/lines/a.jsonl", "{\"_airbyte_data\":{\"id\":4}}\n");
        write("deep/lines/b.jsonl", "{\"_airbyte_data\":\"{\\\"id\\\":5}\"}\n");
        write(
            "_airbyte_raw_users.jsonl",
            "{\"_airbyte_ab_id\":\"x\",\"_airbyte_data\":{\"id\":6}}\n",
        );
        let stream = |namespace: &str, name: &str| match namespace {
            "" => StreamDescriptor::new(name),
            namespace => StreamDescriptor::new(name).in_namespace(namespace),
        };
        let found = |namespace, name| ids(folder.path(), &stream(namespace, name)).unwrap();
        assert_eq!(found("ns", "orders"), ["1", "2"]);
        assert_eq!(found("ns", "Odd Name"), ["3"]);
        assert_eq!(found("deep", "lines"), ["4", "5"]);
        assert_eq!(found("", "users"), ["6"]);
        assert!(found("ns", "nothing").is_empty());
        write("ns.or-ders.jsonl", "{\"id\":7}\n");
        write("ns.or_ders.jsonl", "{\"id\":8}\n");
        assert_eq!(found("ns", "or_ders"), ["8"]);
        assert!(ids(folder.path(), &stream("ns", "or ders")).is_err());
    }
}
