//! The connectors that come with Lockgate, as components: `connectors.toml`, which is part of the program.
//!
//! It says what there is and what each needs. The components themselves lie beside the program (or where
//! `LOCKGATE_CONNECTORS_DIR` says): what a name means never depends on a server.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

const TEXT: &str = include_str!("../../connectors.toml");

/// What is known of a connector that comes with Lockgate.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct IndexEntry {
    /// What it does: a sentence without its full stop.
    pub about: String,
    /// What has to be granted to it: a kind and a target of its configuration.
    pub needs: Vec<String>,
    /// How it reads (`full_refresh`, `incremental`) or writes (`append`, `overwrite`, `append_dedup`).
    pub modes: Vec<String>,
    /// Whether it is for use.
    pub status: IndexStatus,
    /// Its page, from the root of the repository.
    pub documentation: String,
}

/// Whether a connector is for use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum IndexStatus {
    /// It is.
    Ready,
    /// It is there to be read, by who writes one.
    Example,
}

impl IndexStatus {
    /// As it is written.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Example => "example",
        }
    }
}

/// All of them, by name.
#[must_use]
pub fn index() -> &'static BTreeMap<String, IndexEntry> {
    static INDEX: OnceLock<BTreeMap<String, IndexEntry>> = OnceLock::new();
    // What is part of the program is held against its types by a test.
    INDEX.get_or_init(|| toml::from_str(TEXT).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_index_has_what_there_is() {
        let parsed: BTreeMap<String, IndexEntry> = toml::from_str(TEXT).unwrap();
        assert_eq!(&parsed, index());
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for (name, entry) in &parsed {
            let folder = root.join("guest-examples").join(name);
            assert!(folder.join("Cargo.toml").is_file(), "{name}");
            assert!(root.join(&entry.documentation).is_file(), "{}", entry.documentation);
            assert!(!entry.about.ends_with('.') && !entry.modes.is_empty(), "{name}");
        }
        // What is built in has no component; the others in Rust are listed.
        for folder in std::fs::read_dir(root.join("guest-examples")).unwrap() {
            let folder = folder.unwrap();
            let name = folder.file_name().into_string().unwrap();
            if folder.path().join("Cargo.toml").is_file() && name != "destination-dev-null" {
                assert!(parsed.contains_key(&name), "connectors.toml has no {name}");
            }
        }
    }
}
