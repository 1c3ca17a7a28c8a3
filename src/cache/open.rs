//! From what people write to a cache: `none`, `default`, a name, `sqlite:PATH`, `duckdb:PATH`, `postgres:URL`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{CacheError, RecordCache, SqliteCache};

/// The folder of a project's caches, in the project's.
pub const CACHE_FOLDER: &str = ".lockgate/cache";

/// The ending of their files.
const ENDING: &str = "db";

/// Characters of a cache's name.
const MAX_NAME: usize = 64;

/// Opens the cache that `choice` names, and makes it where there is none; none for `none`. `folder`:
/// the project's, in which caches without a place are; relative paths begin in the current one.
///
/// # Errors
/// [`CacheError::Choice`] when it names no cache, others when it cannot be opened.
pub fn open_cache(choice: &str, folder: &Path) -> Result<Option<Arc<dyn RecordCache>>, CacheError> {
    if choice == "none" {
        return Ok(None);
    }
    if let Some(path) = choice.strip_prefix("duckdb:").filter(|path| !path.is_empty()) {
        return open_duckdb(Path::new(path)).map(Some);
    }
    if let Some(url) = postgres_url(choice) {
        return open_postgres(&url).map(Some);
    }
    let path = sqlite_path(choice, folder)
        .ok_or_else(|| CacheError::Choice { choice: without_credentials(choice) })?;
    Ok(Some(Arc::new(SqliteCache::open(&path)?)))
}

/// The SQLite file that `choice` names, there or not.
#[must_use]
pub fn sqlite_path(choice: &str, folder: &Path) -> Option<PathBuf> {
    if let Some(path) = choice.strip_prefix("sqlite:") {
        return (!path.is_empty()).then(|| PathBuf::from(path));
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let is_name = !choice.is_empty() && choice.len() <= MAX_NAME && choice.chars().all(fits);
    is_name.then(|| folder.join(CACHE_FOLDER).join(format!("{choice}.{ENDING}")))
}

/// The caches with a name in a project's folder: name, file, bytes with what belongs to it.
///
/// # Errors
/// The folder cannot be read.
pub fn named_caches(folder: &Path) -> std::io::Result<Vec<(String, PathBuf, u64)>> {
    let entries = match std::fs::read_dir(folder.join(CACHE_FOLDER)) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let is_cache = path.extension().is_some_and(|ending| ending == ENDING) && path.is_file();
        if let Some(name) = path.file_stem().and_then(|name| name.to_str())
            && is_cache
        {
            let bytes = ["", "-wal", "-shm"].map(|more| {
                let mut file = path.clone().into_os_string();
                file.push(more);
                std::fs::metadata(file).map_or(0, |m| m.len())
            });
            found.push((name.to_owned(), path.clone(), bytes.iter().sum()));
        }
    }
    found.sort();
    Ok(found)
}

/// The URL in `postgres:URL`; `postgres://…` is one itself.
fn postgres_url(choice: &str) -> Option<String> {
    if choice.starts_with("postgres://") || choice.starts_with("postgresql://") {
        return Some(choice.to_owned());
    }
    choice.strip_prefix("postgres:").map(str::to_owned)
}

#[cfg(feature = "duckdb")]
fn open_duckdb(path: &Path) -> Result<Arc<dyn RecordCache>, CacheError> {
    Ok(Arc::new(super::DuckdbCache::open(path)?))
}

#[cfg(not(feature = "duckdb"))]
fn open_duckdb(_: &Path) -> Result<Arc<dyn RecordCache>, CacheError> {
    Err(CacheError::NotBuilt { kind: "duckdb" })
}

#[cfg(feature = "postgres")]
fn open_postgres(url: &str) -> Result<Arc<dyn RecordCache>, CacheError> {
    let url = crate::postgres::PostgresUrl::parse(url)
        .map_err(|e| CacheError::Url { reason: e.to_string() })?;
    Ok(Arc::new(super::PostgresCache::open(url)?))
}

#[cfg(not(feature = "postgres"))]
fn open_postgres(_: &str) -> Result<Arc<dyn RecordCache>, CacheError> {
    Err(CacheError::NotBuilt { kind: "postgres" })
}

/// For an error: what is before an `@` may be a password.
fn without_credentials(choice: &str) -> String {
    match choice.rsplit_once('@') {
        Some((_, rest)) => format!("…@{rest}"),
        None => choice.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_paths_are_caches() {
        let folder = Path::new("/p");
        let path = |choice: &str| sqlite_path(choice, folder);
        assert_eq!(path("default"), Some("/p/.lockgate/cache/default.db".into()));
        assert_eq!(path("nightly-2"), Some("/p/.lockgate/cache/nightly-2.db".into()));
        assert_eq!(path("sqlite:a/b.db"), Some("a/b.db".into()));
        assert_eq!(path("sqlite:/a/b.db"), Some("/a/b.db".into()));
        for wrong in ["", "sqlite:", "../x", "a/b", "a.b", "mysql:x", "ü"] {
            assert_eq!(path(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_opened_is_listed() {
        let folder = tempfile::tempdir().unwrap();
        assert!(named_caches(folder.path()).unwrap().is_empty());
        assert!(open_cache("none", folder.path()).unwrap().is_none());
        let cache = open_cache("mine", folder.path()).unwrap().unwrap();
        assert_eq!(cache.describe().kind, "sqlite");
        let listed = named_caches(folder.path()).unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!((listed[0].0.as_str(), listed[0].2 > 0), ("mine", true));
        let error = open_cache("mysql://u:secret@h/d", folder.path()).unwrap_err();
        assert!(matches!(error, CacheError::Choice { .. }), "{error}");
        assert!(!error.to_string().contains("secret"));
        #[cfg(not(feature = "duckdb"))]
        assert!(matches!(open_cache("duckdb:x", folder.path()), Err(CacheError::NotBuilt { .. })));
    }
}
