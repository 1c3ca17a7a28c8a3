//! A cache by what an operator calls it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{CacheError, RecordCache, SqliteCache};

/// Opens what `--cache` names: `none`, `default`, a name, `sqlite:PATH`. Caches with names are in
/// `.lockgate/cache/` of the folder.
///
/// # Errors
/// [`CacheError`].
pub fn open_cache(choice: &str, folder: &Path) -> Result<Option<Arc<dyn RecordCache>>, CacheError> {
    let path = match choice {
        "none" => return Ok(None),
        other => match other.strip_prefix("sqlite:") {
            Some(path) => PathBuf::from(path),
            None => folder.join(".lockgate/cache").join(format!("{other}.db")),
        },
    };
    Ok(Some(Arc::new(SqliteCache::open(&path)?)))
}
