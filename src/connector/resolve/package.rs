//! What is installed of a Python package, and how its connector is named.

use super::fits::Given;
use super::{Asking, Choice, Method, Registered, ResolveError};
use crate::config::{ConnectorReference, UsePython, is_plain, requirement_words};
use crate::executor::{Interpreter, PythonSettings, first_package};
use crate::registry::RegistryEntry;

impl Asking<'_> {
    /// Asked for with Python.
    pub(super) fn claimed_package(&self, given: &Given) -> Result<Choice, ResolveError> {
        self.fits(given, None)?;
        let (name, requirement) = match (self.reference, &self.options.pip_url) {
            (ConnectorReference::Pip(requirement), _) => {
                let words = requirement_words("pip:", requirement)?;
                let name = first_package(&words).map(named);
                let name = name.filter(|name| is_plain(name)).ok_or_else(|| ResolveError::Name {
                    // It may hold a password.
                    name: "pip:…".to_owned(),
                    why: "its requirement does not begin with a package's name; write NAME with the option pip-url",
                })?;
                (name, words)
            }
            (_, Some(requirement)) => {
                (self.plain()?.to_owned(), requirement_words("pip-url", requirement)?)
            }
            _ => {
                let name = self.plain()?;
                (name.to_owned(), vec![self.pinned(self.published(name)?)])
            }
        };
        Ok(self.package(name, requirement, given.why.clone()))
    }

    /// The package of a connector that is wanted from Python.
    fn published(&self, name: &str) -> Result<String, ResolveError> {
        let guessed = format!("airbyte-{name}");
        match self.around.registered(name) {
            Registered::Known(entry) => {
                self.must_be(&entry)?;
                let RegistryEntry { python_package, language, .. } = *entry;
                python_package.ok_or_else(|| ResolveError::NotPublished {
                    asked: "use-python",
                    name: name.to_owned(),
                    language: language.unwrap_or_else(|| "of no known language".to_owned()),
                })
            }
            Registered::Unknown(_) | Registered::Off(_) => Ok(guessed),
            Registered::Failed(error) => {
                Err(ResolveError::Registry { name: name.to_owned(), looked: Vec::new(), error })
            }
        }
    }

    /// A package with the version asked for.
    pub(super) fn pinned(&self, package: String) -> String {
        match self.options.version.as_deref() {
            None | Some("latest") => package,
            Some(version) => format!("{package}=={version}"),
        }
    }

    pub(super) fn package(&self, name: String, requirement: Vec<String>, why: String) -> Choice {
        let folder = self.around.folder();
        let interpreter = match &self.options.use_python {
            Some(UsePython::Version(version)) => Interpreter::Version(version.clone()),
            Some(UsePython::Path(path)) => Interpreter::Path(folder.join(path)),
            _ => Interpreter::Any,
        };
        let root = match &self.options.install_root {
            Some(root) => folder.join(root),
            None => self.around.install_root(),
        };
        let install = self.options.install_if_missing.unwrap_or(true);
        let settings = PythonSettings { name, requirement, interpreter, root, install };
        Choice::new(Method::Python(settings), why)
    }
}

/// The connector's name in a requirement: the package's, without what Airbyte's packages begin with.
fn named(requirement: &str) -> String {
    let end = |c: char| "<>=!~;@[ ,".contains(c);
    let package = match requirement.rsplit_once("#egg=") {
        Some((_, egg)) => egg.split(end).next().unwrap_or_default(),
        None => {
            let first = requirement.split(end).next().unwrap_or_default().trim();
            match first.contains(['/', ':']) {
                false => first,
                // A folder, a URL, an archive: what its last part says.
                true => {
                    let path = requirement.split(['?', '#']).next().unwrap_or_default();
                    let path = match path.split_once("://") {
                        Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
                        None => path,
                    };
                    let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
                    let last = last.split('@').next().unwrap_or_default();
                    let last = last.strip_suffix(".git").unwrap_or(last);
                    match last.rsplit_once(".whl").or_else(|| last.split_once(".tar.")) {
                        // airbyte_source_faker-7.2.1-py3-none-any
                        Some((stem, _)) => stem.split('-').next().unwrap_or(stem),
                        None => last,
                    }
                }
            }
        }
    };
    let name = package.to_lowercase().replace('_', "-");
    name.strip_prefix("airbyte-").unwrap_or(&name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn names_of_requirements() {
        for (requirement, name) in [
            ("airbyte-source-faker==7.2.1", "source-faker"),
            ("airbyte-source-faker", "source-faker"),
            ("airbyte-source-x[extra]>=1,<2", "source-x"),
            ("airbyte_source_x ~= 1.0", "source-x"),
            ("Airbyte-Source-X", "source-x"),
            ("my-source @ https://h.example/a.zip", "my-source"),
            ("git+https://h.example/o/source-x.git@v1", "source-x"),
            ("git+https://h.example/o/r.git#egg=airbyte-source-x", "source-x"),
            ("./connectors/source-x/", "source-x"),
            ("dist/airbyte_source_faker-7.2.1-py3-none-any.whl", "source-faker"),
            ("https://h.example/airbyte_source_x-1.0.tar.gz", "source-x"),
        ] {
            assert_eq!(named(requirement), name, "{requirement}");
        }
        for nameless in
            [".", "..", "/", "https://h.example/", "https://h.example", "git+ssh://git@h"]
        {
            assert!(!crate::config::is_plain(&named(nameless)), "{nameless}");
        }
    }
}
