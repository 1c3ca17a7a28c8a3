//! What is taken for a name: by what was asked for, or, where nothing was, by looking it up. The
//! order is that of how well each is contained and how near it is: built in, a component of the
//! project, one that comes with Lockgate, a program on `PATH`, a Python package, an image. The registry
//! is asked last and only where nothing else has the name.

use super::claims::{By, Claim, Way};
use super::fits::Given;
use super::{Asking, Choice, Method, Registered, ResolveError};
use crate::component::Kind;
use crate::config::is_plain;
use crate::registry::{RegistryEntry, index};
use crate::sandbox::redacted;

/// The destination that is built in.
const NOOP: &str = "destination-dev-null";

impl Asking<'_> {
    /// The name, as a part of other names.
    pub(super) fn plain(&self) -> Result<&str, ResolveError> {
        if is_plain(self.name) {
            return Ok(self.name);
        }
        let why = match self.name.contains('/') {
            true => {
                "a path needs a form: exec:PATH for a program, docker:IMAGE for an image, PATH.wasm for a component"
            }
            false => {
                "a name has letters, digits, - _ and . only, and begins with one of the first two"
            }
        };
        Err(ResolveError::Name { name: redacted(self.name), why })
    }

    /// By what was asked for.
    pub(super) fn claimed(&self, claim: &Claim) -> Result<Choice, ResolveError> {
        let why = match claim.by {
            By::Name => "its name says so".to_owned(),
            By::Option(_) | By::Open(_) => format!("{} says so", claim.words),
        };
        let given = Given {
            way: Some(claim.way),
            by: claim.words.clone(),
            why,
            found: false,
            requirement: !matches!(claim.by, By::Open(_)),
        };
        match claim.way {
            Way::Docker => return self.claimed_image(&given),
            Way::Python => return self.claimed_package(&given),
            Way::Component | Way::Process | Way::Registered => {}
        }
        self.fits(&given, None)?;
        let method = match claim.way {
            Way::Process => Method::Process(self.given_program()?),
            Way::Registered => {
                let name = self.plain()?.to_owned();
                if let Some(why) = self.around.registry_is_off() {
                    return Err(ResolveError::NoRegistry { asked: "no-executor", why });
                }
                let version = self.options.version.clone().filter(|v| v != "latest");
                Method::Registered { name, version }
            }
            _ => {
                let named = self.options.component.as_deref();
                let path = named.unwrap_or_else(|| std::path::Path::new(self.name));
                Method::Component(self.around.folder().join(path))
            }
        };
        Ok(Choice::new(method, given.why))
    }

    /// By looking the name up.
    pub(super) fn looked_up(&self) -> Result<Choice, ResolveError> {
        let name = self.plain()?;
        self.fit_together()?;
        if name == NOOP {
            let by = format!("the built-in {NOOP}");
            self.found(None, by, String::new())?;
            return Ok(Choice::new(Method::Noop, "it is built in".to_owned()));
        }
        let mut looked = Vec::new();
        let (found, folders) = self.around.component(name);
        if let Some(path) = found {
            let by = format!("the component {}", path.display());
            let why = format!("{} has a component of that name", shown_folder(&path));
            let given = self.found(Some(Way::Component), by, why)?;
            return Ok(Choice::new(Method::Component(path), given.why));
        }
        looked.push(format!("no {name}.wasm in {}", shown_folders(&folders)));
        if let Some(choice) = self.shipped(name, &mut looked) {
            return Ok(choice);
        }
        if let Some(path) = self.around.program(name) {
            let by = format!("the program {}", path.display());
            let why = "it is a program on PATH, and no component has that name".to_owned();
            let given = self.found(Some(Way::Process), by, why)?;
            return Ok(Choice::new(Method::Process(path), given.why));
        }
        looked.push("no program of that name on PATH".to_owned());
        match self.around.registered(name) {
            Registered::Known(entry) => self.registered(&entry),
            Registered::Unknown(said) | Registered::Off(said) => {
                looked.push(said);
                Err(ResolveError::Unknown { name: name.to_owned(), looked })
            }
            Registered::Failed(error) => {
                Err(ResolveError::Registry { name: name.to_owned(), looked, error })
            }
        }
    }

    /// What comes with Lockgate, unless an option asks for something else.
    fn shipped(&self, name: &str, looked: &mut Vec<String>) -> Option<Choice> {
        if !index().contains_key(name) {
            return None;
        }
        let (found, folders) = self.around.shipped(name);
        let Some(path) = found else {
            if !folders.is_empty() {
                looked.push(format!(
                    "the {name} that comes with Lockgate is not in {} (scripts/build-guests {name})",
                    shown_folders(&folders)
                ));
            }
            return None;
        };
        let by = format!("the {name} that comes with Lockgate");
        let why = "it comes with Lockgate, and no component of the project has that name";
        match self.found(Some(Way::Component), by, why.to_owned()) {
            Ok(given) => Some(Choice::new(Method::Component(path), given.why)),
            Err(error) => {
                looked.push(error.to_string());
                None
            }
        }
    }

    /// What the registry has.
    fn registered(&self, entry: &RegistryEntry) -> Result<Choice, ResolveError> {
        self.must_be(entry)?;
        let language = entry.language.as_deref();
        let nothing_else = "neither a component nor a program on PATH has that name";
        match &entry.python_package {
            Some(package) if matches!(language, None | Some("python")) => {
                let by = format!("the Python package {package} of the registry");
                let why = format!("the registry has it as a Python package, and {nothing_else}");
                let given = self.found(Some(Way::Python), by, why)?;
                let requirement = vec![self.pinned(package.clone())];
                Ok(self.package(self.name.to_owned(), requirement, given.why))
            }
            _ => {
                let by = format!("the image {} of the registry", entry.image);
                let language = language.map(|l| format!(" ({l})")).unwrap_or_default();
                let why =
                    format!("the registry has it as an image only{language}, and {nothing_else}");
                let given = self.found(Some(Way::Docker), by, why)?;
                Ok(self.image(self.tagged(&entry.image, &entry.version), given.why))
            }
        }
    }

    /// A way that was found, where every option fits it.
    fn found(&self, way: Option<Way>, by: String, why: String) -> Result<Given, ResolveError> {
        let given = Given { way, by, why, found: true, requirement: false };
        self.fits(&given, None)?;
        Ok(given)
    }

    /// Whether the registry has it as what it must be.
    pub(super) fn must_be(&self, entry: &RegistryEntry) -> Result<(), ResolveError> {
        let is = if entry.is_source { Kind::Source } else { Kind::Destination };
        match self.wanted {
            Some(wanted) if wanted != is => Err(ResolveError::Kind {
                name: self.name.to_owned(),
                is: is.word(),
                wanted: wanted.word(),
            }),
            _ => Ok(()),
        }
    }
}

fn shown_folders(folders: &[std::path::PathBuf]) -> String {
    let folders: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
    folders.join(" or ")
}

fn shown_folder(path: &std::path::Path) -> String {
    path.parent().unwrap_or(path).display().to_string()
}
