//! Which names and addresses a connector may reach.
//!
//! The attack: a connector that may reach one server reaches another: by address, by a second name,
//! by a name that resolves to somewhere else the second time, by a spelling of a private address
//! that no rule knows.

mod address;
mod denied;
mod gate;
mod host;
mod pattern;
#[doc(hidden)]
pub mod reference;
mod template;

use std::path::PathBuf;

pub use address::AddressClass;
pub use denied::NetworkDenied;
pub use gate::NetworkGate;
pub use host::NetworkHost;
pub use pattern::NetworkPattern;

/// What may be reached. The default opens nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkGrants {
    /// The patterns, each with its port.
    pub patterns: Vec<NetworkPattern>,
    /// PEM files of certificate authorities that are trusted besides the platform's.
    pub tls_roots: Vec<PathBuf>,
}

impl NetworkGrants {
    /// Whether one grant covers all of what a pattern asks for.
    #[must_use]
    pub fn covers(&self, needed: &NetworkPattern) -> bool {
        self.patterns.iter().any(|pattern| pattern.covers(needed))
    }
}
