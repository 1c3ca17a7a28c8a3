//! What a name is looked up in: asked one after the other, and only as far as needed.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use super::program;
use crate::config::{ConnectorOptions, Environment, RegistryVariable};
use crate::registry::{Registry, RegistryEntry, RegistryError, RegistrySettings};

/// What the registry says of a name.
#[derive(Debug)]
pub enum Registered {
    /// It has it.
    Known(Box<RegistryEntry>),
    /// It has not, and says so.
    Unknown(String),
    /// It is not asked: it is turned off, or offline and nothing of it was kept.
    Off(String),
    /// It did not answer.
    Failed(RegistryError),
}

/// The world around a name.
pub trait Surroundings {
    /// Where relative paths begin.
    fn folder(&self) -> &Path;

    /// The component of that name, and the folders that were looked in.
    fn component(&self, name: &str) -> (Option<PathBuf>, Vec<PathBuf>);

    /// The component that comes with Lockgate under that name, and the folders that were looked in.
    fn shipped(&self, _name: &str) -> (Option<PathBuf>, Vec<PathBuf>) {
        (None, Vec::new())
    }

    /// The program of that name on `PATH`.
    fn program(&self, name: &str) -> Option<PathBuf>;

    /// Whether a file can be started; if not, what it is instead.
    ///
    /// # Errors
    /// The end of a sentence that begins with the file.
    fn is_program(&self, path: &Path) -> Result<(), String>;

    /// What the registry says of a name.
    fn registered(&self, name: &str) -> Registered;

    /// Why the registry is not to be asked at all, if that is so.
    fn registry_is_off(&self) -> Option<String>;

    /// The folder that Python environments are in, where no option says another.
    fn install_root(&self) -> PathBuf;

    /// What went wrong and was helped, since this was last asked.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
}

/// This machine, for one connector.
#[derive(Debug)]
pub struct Here<'a> {
    /// Where relative paths begin.
    pub folder: &'a Path,
    /// Where components are looked up.
    pub components: &'a [PathBuf],
    /// Where Python environments are, where nothing says another place.
    pub python: &'a Path,
    /// What the environment says.
    pub environment: &'a Environment,
    /// What is said of the connector.
    pub options: &'a ConnectorOptions,
    /// What the registry helped itself out of.
    pub warnings: RefCell<Vec<String>>,
}

impl Here<'_> {
    /// The registry that is to be asked; none where that is turned off.
    #[must_use]
    pub fn registry(&self) -> Option<Registry> {
        let location = match (&self.options.registry, &self.environment.registry) {
            (Some(option), _) => option.as_str(),
            (None, RegistryVariable::Off) => return None,
            (None, RegistryVariable::At(location)) => location.as_str(),
            (None, RegistryVariable::Unset) => RegistrySettings::DEFAULT_LOCATION,
        };
        let location = match location.contains("://") {
            true => location.to_owned(),
            false => self.folder.join(location).display().to_string(),
        };
        Some(Registry::new(RegistrySettings {
            location,
            cache: self.environment.cache.clone(),
            offline: self.offline(),
            deadline: RegistrySettings::DEFAULT_DEADLINE,
        }))
    }

    fn offline(&self) -> bool {
        self.options.offline || self.environment.offline
    }
}

impl Surroundings for Here<'_> {
    fn folder(&self) -> &Path {
        self.folder
    }

    fn component(&self, name: &str) -> (Option<PathBuf>, Vec<PathBuf>) {
        in_folders(self.components, name)
    }

    fn shipped(&self, name: &str) -> (Option<PathBuf>, Vec<PathBuf>) {
        in_folders(&self.environment.connectors, name)
    }

    fn program(&self, name: &str) -> Option<PathBuf> {
        let mut files = self.environment.path.iter().map(|folder| folder.join(name));
        files.find(|file| program::is_program(file).is_ok())
    }

    fn is_program(&self, path: &Path) -> Result<(), String> {
        program::is_program(path)
    }

    fn registered(&self, name: &str) -> Registered {
        let Some(registry) = self.registry() else {
            return Registered::Off(self.registry_is_off().unwrap_or_default());
        };
        let entry = registry.entry(name);
        self.warnings.borrow_mut().extend(registry.take_warnings());
        match entry {
            Ok(entry) => Registered::Known(Box::new(entry)),
            Err(error @ RegistryError::NotRegistered { .. }) => {
                Registered::Unknown(unknown(&error))
            }
            // Who is offline wants to go on without.
            Err(error) if self.offline() => Registered::Off(error.to_string()),
            Err(error) => Registered::Failed(error),
        }
    }

    fn registry_is_off(&self) -> Option<String> {
        let off =
            self.options.registry.is_none() && self.environment.registry == RegistryVariable::Off;
        off.then(|| "AIRBYTE_LOCAL_REGISTRY turns the registry off".to_owned())
    }

    fn install_root(&self) -> PathBuf {
        match &self.environment.install_root {
            Some(root) => self.folder.join(root),
            None => self.python.to_owned(),
        }
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.take()
    }
}

fn in_folders(folders: &[PathBuf], name: &str) -> (Option<PathBuf>, Vec<PathBuf>) {
    let file = format!("{name}.wasm");
    let mut files = folders.iter().map(|folder| folder.join(&file));
    (files.find(|file| file.is_file()), folders.to_vec())
}

/// Its answer that it has no such connector, with names that are like it.
fn unknown(error: &RegistryError) -> String {
    match error {
        RegistryError::NotRegistered { similar, .. } if !similar.is_empty() => {
            format!("{error}, but {}", similar.join(", "))
        }
        _ => error.to_string(),
    }
}
