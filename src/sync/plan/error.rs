//! Why no plan can be made.

use crate::fault::{ExitClass, Fault};

/// Why no plan can be made.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PlanError {
    /// A stream that is not there.
    #[error("the source has no stream {name:?}; it has {known}")]
    UnknownStream {
        /// As it was named.
        name: String,
        /// What there is.
        known: String,
    },
    /// A name that several streams have.
    #[error("several streams are named {name:?}: {candidates}")]
    Ambiguous {
        /// As it was named.
        name: String,
        /// With namespaces.
        candidates: String,
    },
    /// Nothing to do.
    #[error("the source has no streams")]
    NoStreams,
    /// The destination cannot.
    #[error("the destination cannot {mode} (stream {stream}); it can {supported}")]
    Unsupported {
        /// The stream.
        stream: String,
        /// What was asked for, in Airbyte's word.
        mode: &'static str,
        /// What it can.
        supported: String,
    },
    /// The destination cannot make earlier rows disappear.
    #[error(
        "the destination can neither keep generations apart nor overwrite, so that {wanted} cannot remove the earlier rows of stream {stream}; it can {supported}"
    )]
    CannotTruncate {
        /// The stream.
        stream: String,
        /// The option.
        wanted: &'static str,
        /// What it can.
        supported: String,
    },
    /// Merging needs a key.
    #[error("stream {stream} has no primary key to merge by")]
    NoPrimaryKey {
        /// The stream.
        stream: String,
    },
    /// A key or a cursor that no row has.
    #[error("stream {stream}: its {what} {path} is not in its schema; that has {known}")]
    NoSuchField {
        /// The stream.
        stream: String,
        /// `primary key` or `cursor`.
        what: &'static str,
        /// The path, with dots between its steps.
        path: String,
        /// The columns there are.
        known: String,
    },
    /// A cursor for a stream whose source has its own.
    #[error("stream {stream}: its source defines its cursor, and {path} is another")]
    CursorDefined {
        /// The stream.
        stream: String,
        /// What was configured.
        path: String,
    },
    /// Two wishes that exclude each other.
    #[error("{one} and {other} exclude each other")]
    Conflict {
        /// One.
        one: &'static str,
        /// The other.
        other: &'static str,
    },
}

impl Fault for PlanError {
    fn code(&self) -> &'static str {
        match self {
            Self::UnknownStream { .. } => "STREAM_UNKNOWN",
            Self::Ambiguous { .. } => "STREAM_AMBIGUOUS",
            Self::NoStreams => "STREAM_NONE",
            Self::Unsupported { .. } | Self::CannotTruncate { .. } => "MODE_UNSUPPORTED",
            Self::NoPrimaryKey { .. } => "PRIMARY_KEY_MISSING",
            Self::NoSuchField { .. } => "FIELD_UNKNOWN",
            Self::CursorDefined { .. } => "CURSOR_DEFINED",
            Self::Conflict { .. } => "OPTION_CONFLICT",
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::UnknownStream { .. } => "`lockgate discover` lists them".into(),
            Self::Ambiguous { .. } => "write namespace.name".into(),
            Self::NoStreams => return None,
            Self::Unsupported { .. } => "--strategy auto takes what both sides can".into(),
            Self::CannotTruncate { .. } => {
                "remove the rows in the destination by hand, or read everything beside them with --refresh retain".into()
            }
            Self::NoPrimaryKey { .. } => {
                "use --strategy append or replace, leave it out, or say primary-key in the connection's stream-options".into()
            }
            Self::NoSuchField { .. } => {
                "`lockgate discover` shows the schema; a path into an object is an array of steps".into()
            }
            Self::CursorDefined { .. } => "leave cursor-field out".into(),
            Self::Conflict { .. } => "keep one".into(),
        })
    }

    fn exit(&self) -> ExitClass {
        ExitClass::Usage
    }
}
