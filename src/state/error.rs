//! What can be wrong with a store of states.

use std::path::PathBuf;

use crate::fault::{ExitClass, Fault};

/// Why the state store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateStoreError {
    /// The file, or its database, said no.
    #[error("the state store {path}: {reason}")]
    Database {
        /// The file.
        path: PathBuf,
        /// The database's reason.
        reason: String,
    },
    /// The server said no, or nothing.
    #[error("the state store {server}: {reason}")]
    Server {
        /// Without a password: `postgres://user@host/database`.
        server: String,
        /// Its reason.
        reason: String,
    },
    /// A later version wrote it.
    #[error("the state store {path} has layout {found}; this version knows {known}")]
    Layout {
        /// The file or the server.
        path: PathBuf,
        /// The layout found.
        found: i64,
        /// The layout known.
        known: i64,
    },
    /// A row that cannot be what we wrote.
    #[error("the state store {path} holds a damaged state of {connection}: {reason}")]
    Damaged {
        /// The file or the server.
        path: PathBuf,
        /// The connection.
        connection: String,
        /// What is wrong.
        reason: String,
    },
    /// A whole file that cannot be what we wrote.
    #[error("the state store {path} cannot be read: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong, without a value.
        reason: String,
    },
    /// Somebody else runs the connection.
    #[error(
        "connection {connection} is being synced by {holder}, since {since}; without a word from it, its lease ends at {until}"
    )]
    Held {
        /// The connection.
        connection: String,
        /// Who.
        holder: String,
        /// Since when, as RFC 3339.
        since: String,
        /// When the lease ends that is not renewed, as RFC 3339.
        until: String,
    },
    /// The lease ended, and somebody else may run the connection.
    #[error("this sync no longer holds connection {connection}: its lease was not renewed in time")]
    Lost {
        /// The connection.
        connection: String,
    },
}

impl Fault for StateStoreError {
    fn code(&self) -> &'static str {
        match self {
            Self::Database { .. } | Self::Server { .. } => "STATE_STORE",
            Self::Layout { .. } => "STATE_STORE_LAYOUT",
            Self::Damaged { .. } | Self::Unreadable { .. } => "STATE_STORE_DAMAGED",
            Self::Held { .. } => "CONNECTION_BUSY",
            Self::Lost { .. } => "LEASE_LOST",
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Database { .. } => "check that its folder can be written to and has room".into(),
            Self::Server { .. } => {
                "check that it answers, and that this user may create its schema and write to it"
                    .into()
            }
            Self::Layout { .. } => "use the newer lockgate that wrote it".into(),
            Self::Damaged { .. } => {
                "`lockgate state clear CONNECTION` removes it; the next sync starts again".into()
            }
            Self::Unreadable { .. } => {
                "put a copy of it back, or move it away: every sync then starts again".into()
            }
            Self::Held { .. } => "wait for it to end, or stop it".into(),
            Self::Lost { .. } => {
                "run it again: it goes on from what was stored, once the connection is free".into()
            }
        })
    }

    fn exit(&self) -> ExitClass {
        ExitClass::Failed
    }
}
