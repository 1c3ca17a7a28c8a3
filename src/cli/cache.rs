//! `lockgate cache list|tables|query|export|remove`.

mod arguments;

use std::sync::Arc;

use serde_json::{Value, json};

pub(super) use self::arguments::Cache;
use self::arguments::{CacheAction, ExportKind, QueryFormat};
use super::output::{CliError, Output, grouped, sized, table};
use super::store::{here, state_folder};
use crate::cache::{
    CacheError, CachedStream, ExportFormat, QueryRows, RecordCache, export, named_caches,
    open_cache, sqlite_path,
};
use crate::config::ConfigError;
use crate::runs::time;
use crate::sandbox::{one_line, printable};

/// Characters of one value in a table for people.
const SHOWN_VALUE: usize = 60;

#[expect(clippy::unused_async, reason = "one shape for all commands")]
pub(super) async fn run(call: &Cache, output: &Output) -> Result<(), CliError> {
    if let CacheAction::List = call.action {
        return list(output);
    }
    let cache = open(&call.cache)?;
    match &call.action {
        CacheAction::List => Ok(()),
        CacheAction::Tables => tables(&*cache, output),
        CacheAction::Query { sql, limit, format } => {
            let rows = cache.query(sql, *limit)?;
            let format = format.unwrap_or(match output.is_json() {
                true => QueryFormat::Json,
                false => QueryFormat::Table,
            });
            answer(&rows, format, output);
            if rows.more {
                output.note(&format!("there are more than {limit} rows; --limit asks for more"));
            }
            Ok(())
        }
        CacheAction::Export { what, source, format, to } => {
            let stream = find(&*cache, what, source.as_deref())?;
            let format = match format {
                ExportKind::Parquet => ExportFormat::Parquet,
                ExportKind::Csv => ExportFormat::Csv,
                ExportKind::Jsonl => ExportFormat::JsonLines,
                ExportKind::Arrow => ExportFormat::Arrow,
            };
            let done = export(&cache, &stream, format, to)?;
            if output.is_json() {
                output.json(&json!({
                    "source": stream.source,
                    "stream": stream.descriptor.to_string(),
                    "path": to,
                    "rows": done.rows,
                    "bytes": done.bytes,
                }));
            } else {
                let (rows, size) = (grouped(done.rows), sized(done.bytes));
                output.result(&format!("{rows} rows, {size}: {}\n", to.display()));
            }
            Ok(())
        }
        CacheAction::Remove { source, stream, all } => {
            remove(&*cache, source.as_deref(), stream.as_deref(), *all, output)
        }
    }
}

/// A cache that is there. One in a file is not made by looking for it.
fn open(choice: &str) -> Result<Arc<dyn RecordCache>, CliError> {
    let folder = state_folder(&here()?);
    if let Some(path) = sqlite_path(choice, &folder)
        && choice != "none"
        && !path.exists()
    {
        let caches = named_caches(&folder).unwrap_or_default();
        let names: Vec<String> = caches.into_iter().map(|(name, ..)| name).collect();
        let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let what = format!("there is no cache {choice}; there are {known}");
        return Err(ConfigError::Usage(what).into());
    }
    match open_cache(choice, &folder)? {
        Some(cache) => Ok(cache),
        None => Err(ConfigError::Usage("--cache none keeps no records".into()).into()),
    }
}

fn list(output: &Output) -> Result<(), CliError> {
    let folder = state_folder(&here()?);
    let caches = named_caches(&folder).map_err(|e| ConfigError::Unreadable {
        path: folder.join(crate::cache::CACHE_FOLDER),
        reason: e.to_string(),
    })?;
    if output.is_json() {
        let all = caches
            .iter()
            .map(|(name, path, bytes)| json!({ "cache": name, "path": path, "bytes": bytes }));
        output.json(&all.collect::<Vec<_>>());
        return Ok(());
    }
    if caches.is_empty() {
        output.note("no cache is here; `lockgate sync --cache default` fills one");
        return Ok(());
    }
    let rows: Vec<Vec<String>> = caches
        .into_iter()
        .map(|(name, path, bytes)| vec![name, sized(bytes), path.display().to_string()])
        .collect();
    output.result(&printable(&table(&rows, &[1])));
    Ok(())
}

fn tables(cache: &dyn RecordCache, output: &Output) -> Result<(), CliError> {
    let streams = cache.streams(None)?;
    let updated =
        |stream: &CachedStream| stream.updated_at.map(|at| time(u64::try_from(at).unwrap_or(0)));
    if output.is_json() {
        let all = streams.iter().map(|stream| {
            json!({
                "source": stream.source,
                "stream": stream.descriptor.name,
                "namespace": stream.descriptor.namespace,
                "table": stream.table,
                "rows": stream.rows,
                "merged": stream.merged,
                "primary_key": stream.primary_key,
                "columns": stream.columns,
                "generation": stream.position.generation,
                "updated_at": updated(stream),
            })
        });
        output.json(&all.collect::<Vec<_>>());
        return Ok(());
    }
    if streams.is_empty() {
        output.note("nothing is in it");
        return Ok(());
    }
    let head = ["source", "stream", "table", "rows", "columns", "updated"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(streams.iter().map(|stream| {
        vec![
            one_line(&stream.source),
            one_line(&stream.descriptor.to_string()),
            stream.table.clone(),
            grouped(stream.rows),
            stream.columns.len().to_string(),
            updated(stream).unwrap_or_else(|| "-".to_owned()),
        ]
    }));
    output.result(&printable(&table(&rows, &[3, 4])));
    Ok(())
}

/// Prints what a query gave.
fn answer(rows: &QueryRows, format: QueryFormat, output: &Output) {
    match format {
        QueryFormat::Json => {
            let objects = rows.rows.iter().map(|row| {
                let members = rows.columns.iter().cloned().zip(row.iter().cloned());
                Value::Object(members.collect())
            });
            output.json(&objects.collect::<Vec<_>>());
        }
        QueryFormat::Csv => {
            let mut text = line(rows.columns.iter().map(|name| field(name)));
            for row in &rows.rows {
                let fields = row.iter().map(|value| match value {
                    Value::Null => String::new(),
                    value => field(&shown(value)),
                });
                text.push_str(&line(fields));
            }
            output.result(&text);
        }
        QueryFormat::Table => {
            let cut = |text: String| match text.char_indices().nth(SHOWN_VALUE) {
                Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
                None => text,
            };
            let mut all = vec![rows.columns.iter().map(|name| one_line(name)).collect()];
            all.extend(rows.rows.iter().map(|row| {
                row.iter().map(|value| cut(one_line(&shown(value)))).collect::<Vec<_>>()
            }));
            let is_number = |column: &usize| {
                rows.rows.iter().all(|row| row.get(*column).is_some_and(Value::is_number))
            };
            let right: Vec<usize> = (0..rows.columns.len()).filter(is_number).collect();
            output.result(&printable(&table(&all, &right)));
        }
    }
}

fn line(fields: impl Iterator<Item = String>) -> String {
    let mut line = fields.collect::<Vec<_>>().join(",");
    line.push('\n');
    line
}

/// As RFC 4180 has it: empty text is in quotes, no value is nothing.
fn field(text: &str) -> String {
    match text.is_empty() || text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "NULL".to_owned(),
        other => other.to_string(),
    }
}

/// The stream that a table's or a stream's name means.
fn find(
    cache: &dyn RecordCache,
    what: &str,
    source: Option<&str>,
) -> Result<CachedStream, CliError> {
    let all = cache.streams(source)?;
    let tables = all.iter().filter(|stream| stream.table.trim_matches('"') == what);
    let mut named: Vec<&CachedStream> = tables.collect();
    if named.is_empty() {
        named = all.iter().filter(|stream| stream.descriptor.to_string() == what).collect();
    }
    match named.as_slice() {
        [one] => Ok((*one).clone()),
        [] => {
            let known: Vec<&str> = all.iter().map(|stream| stream.table.as_str()).collect();
            Err(CacheError::Unknown {
                cache: cache.describe().to_string(),
                what: format!("table or stream {what}"),
                known: if known.is_empty() { "none".to_owned() } else { known.join(", ") },
            }
            .into())
        }
        several => {
            let sources: Vec<&str> = several.iter().map(|s| s.source.as_str()).collect();
            let what = format!(
                "{what} is a stream of {}: name its table, or say --source",
                sources.join(", ")
            );
            Err(ConfigError::Usage(what).into())
        }
    }
}

fn remove(
    cache: &dyn RecordCache,
    source: Option<&str>,
    stream: Option<&str>,
    all: bool,
    output: &Output,
) -> Result<(), CliError> {
    let streams = cache.streams(None)?;
    let of: Vec<&CachedStream> = streams
        .iter()
        .filter(|kept| source.is_none_or(|source| kept.source == source))
        .filter(|kept| stream.is_none_or(|stream| kept.descriptor.to_string() == stream))
        .collect();
    if of.is_empty() && !all {
        let known: Vec<String> =
            streams.iter().map(|s| format!("{} of {}", s.descriptor, s.source)).collect();
        return Err(CacheError::Unknown {
            cache: cache.describe().to_string(),
            what: "such stream".to_owned(),
            known: if known.is_empty() { "none".to_owned() } else { known.join(", ") },
        }
        .into());
    }
    let mut removed = 0;
    if stream.is_some() {
        for kept in of {
            removed += cache.remove(&kept.source, Some(&kept.descriptor))?;
        }
    } else {
        let sources: std::collections::BTreeSet<&str> =
            of.iter().map(|kept| kept.source.as_str()).collect();
        for source in sources {
            removed += cache.remove(source, None)?;
        }
    }
    if output.is_json() {
        output.json(&json!({ "removed": removed }));
    } else {
        output.note(&format!("{removed} stream{} removed", if removed == 1 { "" } else { "s" }));
    }
    Ok(())
}
