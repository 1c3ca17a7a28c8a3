//! What the sandbox decided about one thing a connector asked for. Data only: decisions are made in
//! `sandbox` and above, and heard by an [`Observer`](super::Observer).

use serde::{Deserialize, Serialize};

/// What a connector asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Capability {
    /// To turn a name into addresses.
    Lookup,
    /// To open a TCP connection.
    Connect,
    /// To send an HTTP request.
    Http,
    /// To listen, to bind, to use UDP: never granted.
    Socket,
    /// To read in a directory.
    DirectoryRead,
    /// To write in a directory.
    DirectoryWrite,
    /// To see an environment variable.
    Environment,
    /// To use more of something than its limit.
    Limit,
    /// To import an interface.
    Import,
    /// To be given a secret that the operator's configuration refers to.
    Secret,
    /// To run as a process, behind its fence.
    Process,
}

impl Capability {
    /// Its word, as in the audit trail.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Lookup => "lookup",
            Self::Connect => "connect",
            Self::Http => "http",
            Self::Socket => "socket",
            Self::DirectoryRead => "directory-read",
            Self::DirectoryWrite => "directory-write",
            Self::Environment => "environment",
            Self::Limit => "limit",
            Self::Import => "import",
            Self::Secret => "secret",
            Self::Process => "process",
        }
    }
}

/// One decision.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Decision {
    /// What was asked for.
    pub capability: Capability,
    /// Of what: `db.example:5432`, `/out`, `memory-bytes`. A connector's words: printed with care.
    pub target: String,
    /// The answer.
    pub allowed: bool,
    /// The grant or rule that it rests on: `allow-net db.example:5432`, `default`, `private-range`.
    pub rule: String,
}

impl Decision {
    /// Granted, by a rule.
    #[must_use]
    pub fn allow(
        capability: Capability,
        target: impl Into<String>,
        rule: impl Into<String>,
    ) -> Self {
        Self { capability, target: target.into(), allowed: true, rule: rule.into() }
    }

    /// Refused, by a rule.
    #[must_use]
    pub fn deny(
        capability: Capability,
        target: impl Into<String>,
        rule: impl Into<String>,
    ) -> Self {
        Self { capability, target: target.into(), allowed: false, rule: rule.into() }
    }
}
