//! A world around a name, made up: what it has is said, and who was asked is counted.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use lockgate::connector::resolve::{Registered, Surroundings};
use lockgate::registry::{RegistryEntry, RegistryError};

/// What a name is found as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    Component,
    Program,
    Package,
    Image,
    Nowhere,
    /// The registry does not answer.
    Silent,
    /// The registry is not to be asked.
    Off,
}

pub(crate) struct World {
    pub(crate) found: Found,
    /// How often the registry was asked.
    pub(crate) asked: Cell<u32>,
}

impl World {
    pub(crate) fn new(found: Found) -> Self {
        Self { found, asked: Cell::new(0) }
    }
}

fn entry(name: &str, package: bool) -> RegistryEntry {
    RegistryEntry {
        name: name.to_owned(),
        is_source: name.starts_with("source-"),
        image: format!("airbyte/{name}"),
        version: "7.0.0".to_owned(),
        python_package: package.then(|| format!("registered-{name}")),
        language: Some(if package { "python" } else { "java" }.to_owned()),
        documentation_url: None,
        support_level: None,
        spec: None,
    }
}

impl Surroundings for World {
    fn folder(&self) -> &Path {
        Path::new("/project")
    }

    fn component(&self, name: &str) -> (Option<PathBuf>, Vec<PathBuf>) {
        let folder = PathBuf::from("/project/components");
        let found = self.found == Found::Component;
        (found.then(|| folder.join(format!("{name}.wasm"))), vec![folder])
    }

    fn program(&self, name: &str) -> Option<PathBuf> {
        let known = self.found == Found::Program || name == "known";
        known.then(|| Path::new("/usr/bin").join(name))
    }

    fn is_program(&self, path: &Path) -> Result<(), String> {
        if path.ends_with("missing") { Err("is not there".to_owned()) } else { Ok(()) }
    }

    fn registered(&self, name: &str) -> Registered {
        self.asked.set(self.asked.get() + 1);
        match self.found {
            Found::Package => Registered::Known(Box::new(entry(name, true))),
            Found::Image => Registered::Known(Box::new(entry(name, false))),
            Found::Off => Registered::Off("the registry is turned off".to_owned()),
            Found::Silent => {
                let place = "https://registry.example/r.json".to_owned();
                Registered::Failed(RegistryError::Unreachable { place, reason: "silence".into() })
            }
            _ => Registered::Unknown(format!("the registry has no connector named {name}")),
        }
    }

    fn registry_is_off(&self) -> Option<String> {
        (self.found == Found::Off).then(|| "AIRBYTE_LOCAL_REGISTRY turns it off".to_owned())
    }

    fn install_root(&self) -> PathBuf {
        PathBuf::from("/project/.lockgate/python")
    }
}
