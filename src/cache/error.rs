//! Why a cache of records cannot be used.

use crate::fault::{ExitClass, Fault};
use crate::protocol::StreamDescriptor;

/// Why a cache of records cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// It cannot be opened, or the database said no. Shows no value of a row.
    #[error("the cache {cache}: {reason}")]
    Database {
        /// Its kind and place, without credentials.
        cache: String,
        /// The database's reason.
        reason: String,
    },
    /// A choice that names no cache.
    #[error(
        "{choice:?} is no cache: none, default, a name, sqlite:PATH, duckdb:PATH or postgres:URL"
    )]
    Choice {
        /// What was written, without credentials.
        choice: String,
    },
    /// A PostgreSQL URL that is none. Holds no part of it that may be secret.
    #[error("the cache's PostgreSQL URL: {reason}")]
    Url {
        /// Why.
        reason: String,
    },
    /// A later version made it.
    #[error("the cache {cache} has layout {found}; this version knows {known}")]
    Layout {
        /// Its kind and place.
        cache: String,
        /// The layout found.
        found: i64,
        /// The layout known.
        known: i64,
    },
    /// A row of it cannot be what was written there.
    #[error("the cache {cache} holds damaged rows of {stream}: {reason}")]
    Damaged {
        /// Its kind and place.
        cache: String,
        /// The stream.
        stream: String,
        /// What is wrong.
        reason: String,
    },
    /// A row that the source sent and no table can take. Shows nothing of it.
    #[error("stream {stream}: {reason}")]
    Row {
        /// The stream.
        stream: String,
        /// What is wrong.
        reason: String,
    },
    /// Another sync fills the same source's part of it.
    #[error("the cache {cache} is being filled from {source_name} by {holder}")]
    Busy {
        /// Its kind and place.
        cache: String,
        /// The source.
        source_name: String,
        /// Who.
        holder: String,
    },
    /// Another process has its file open, and only one can.
    #[error("the cache {cache} is open in {holder}")]
    InUse {
        /// Its kind and place.
        cache: String,
        /// Who.
        holder: String,
    },
    /// There is no such stream, or no such table, in it.
    #[error("the cache {cache} has no {what}; it has {known}")]
    Unknown {
        /// Its kind and place.
        cache: String,
        /// What was asked for.
        what: String,
        /// What there is.
        known: String,
    },
    /// What was read is not there any more: a later read replaced it.
    #[error("the rows of {stream} that this read covered were replaced by a later read")]
    Replaced {
        /// The stream.
        stream: String,
    },
    /// A query that is not one, or would change something.
    #[error("the query was refused: {reason}")]
    Query {
        /// The database's reason.
        reason: String,
    },
    /// A file that rows are exported to.
    #[error("the export to {path} failed: {reason}")]
    Export {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        reason: String,
    },
    /// This build has no such cache.
    #[error("this lockgate was built without {kind} caches")]
    NotBuilt {
        /// `duckdb`, `postgres`.
        kind: &'static str,
    },
}

impl CacheError {
    /// There is no such thing in it; these streams are.
    pub(super) fn unknown<'a>(
        cache: String,
        what: String,
        streams: impl IntoIterator<Item = &'a StreamDescriptor>,
    ) -> Self {
        let mut known: Vec<String> = streams.into_iter().map(ToString::to_string).collect();
        known.dedup();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Self::Unknown { cache, what, known }
    }
}

impl Fault for CacheError {
    fn code(&self) -> &'static str {
        match self {
            Self::Database { .. } => "CACHE",
            Self::Choice { .. } => "CACHE_CHOICE",
            Self::Url { .. } => "CACHE_URL",
            Self::Layout { .. } => "CACHE_LAYOUT",
            Self::Damaged { .. } => "CACHE_DAMAGED",
            Self::Row { .. } => "CACHE_ROW",
            Self::Busy { .. } => "CACHE_BUSY",
            Self::InUse { .. } => "CACHE_IN_USE",
            Self::Unknown { .. } => "CACHE_UNKNOWN",
            Self::Replaced { .. } => "CACHE_REPLACED",
            Self::Query { .. } => "CACHE_QUERY",
            Self::Export { .. } => "CACHE_EXPORT",
            Self::NotBuilt { .. } => "CACHE_NOT_BUILT",
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Database { .. } => "check that it can be reached and written to".into(),
            Self::Choice { .. } => {
                "a name has letters, digits, - and _, and is a file in .lockgate/cache".into()
            }
            Self::Url { .. } => "postgres:postgres://USER@HOST/DATABASE?schema=SCHEMA".into(),
            Self::Layout { .. } => "use the newer lockgate that made it".into(),
            Self::Damaged { .. } => {
                "`lockgate cache remove` removes it; the next sync fills it again".into()
            }
            Self::Row { .. } => {
                "a record is one JSON object: this is the source's fault; --verbose shows its log"
                    .into()
            }
            Self::Busy { .. } => "wait for it to end, or use another cache".into(),
            Self::InUse { .. } => {
                "wait for it to end; a cache that is read while a sync writes is one in SQLite or PostgreSQL"
                    .into()
            }
            Self::Unknown { .. } => "`lockgate cache tables` lists all".into(),
            Self::Replaced { .. } => "read again, and write that".into(),
            Self::Query { .. } => "queries only read: SELECT, WITH, VALUES, EXPLAIN".into(),
            Self::Export { .. } => "check that its folder is there and has room".into(),
            Self::NotBuilt { kind } => format!("build it with --features {kind}"),
        })
    }

    fn exit(&self) -> ExitClass {
        match self {
            Self::Unknown { .. }
            | Self::Query { .. }
            | Self::NotBuilt { .. }
            | Self::Choice { .. }
            | Self::Url { .. } => ExitClass::Usage,
            _ => ExitClass::Failed,
        }
    }
}
