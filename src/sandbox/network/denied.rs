//! Why something of the network is refused.

use super::host::NetworkHost;

/// A refusal, in the operator's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{target} was refused: {}", self.why())]
pub struct NetworkDenied {
    /// What was asked for: a name, or `HOST:PORT`. A connector's words, cut at 300 characters.
    pub target: String,
    /// A stable word: `not-granted`, `private-range`, `rebinding`, ...
    pub rule: &'static str,
    /// The flag that would grant it, where one would.
    pub hint: Option<String>,
}

impl NetworkDenied {
    pub(super) fn new(target: impl Into<String>, rule: &'static str) -> Self {
        let target: String = target.into();
        let target = target.chars().take(300).collect();
        Self { target, rule, hint: None }
    }

    /// With the flag that grants a host and a port.
    pub(super) fn granted_by(mut self, host: &NetworkHost, port: Option<u16>) -> Self {
        let port = port.map_or_else(|| "PORT".to_owned(), |port| port.to_string());
        self.hint = Some(format!("--allow-net {}", host.with_port(port)));
        self
    }

    /// A sentence's end.
    fn why(&self) -> &'static str {
        match self.rule {
            "not-granted" => "no grant covers it",
            "rebinding" => "its name had an address of another kind before",
            "invalid-name" => "it is no name and no address",
            "private-range" => "its address is a private or reserved one",
            "loopback-range" => "its address is this machine",
            "link-local-range" => "its address is link-local",
            "metadata-address" => "its address is a cloud's metadata service",
            "multicast-range" => "its address is for multicast",
            "unspecified-address" => "its address is unspecified",
            _ => "a rule forbids it",
        }
    }
}
