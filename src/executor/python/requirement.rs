//! What is installed, as pip reads it, and which environment that is.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::manifest::FORMAT;
use super::{Interpreter, PythonError, PythonSettings};
use crate::sandbox::redacted;

/// Letters of the name of an environment that are the connector's. A file name has 255 bytes.
const LONGEST: usize = 80;
/// Bytes of the digest in the name of an environment.
const DIGEST: usize = 6;

/// A requirement: words for pip.
#[derive(Debug, Clone)]
pub(super) struct Requirement {
    pub(super) words: Vec<String>,
    pub(super) interpreter: Interpreter,
    base: PathBuf,
}

impl Requirement {
    /// That of some settings, of a project in `base`.
    pub(super) fn new(settings: &PythonSettings, base: &Path) -> Result<Self, PythonError> {
        let refused = |what: &str| Err(PythonError::Settings(what.to_owned()));
        if first_package(&settings.requirement).is_none() {
            return refused("a Python connector without a package to install");
        }
        if settings.requirement.iter().any(|word| word.contains(['\0', '\n', '\r'])) {
            return refused("a Python package's name with a line break in it");
        }
        let interpreter = match &settings.interpreter {
            Interpreter::Path(path) => Interpreter::Path(base.join(path)),
            other => other.clone(),
        };
        let base = base.to_owned();
        Ok(Self { words: settings.requirement.clone(), interpreter, base })
    }

    /// Its words as they may be shown.
    pub(super) fn shown(&self) -> Vec<String> {
        self.words.iter().map(|word| redacted(word)).collect()
    }

    /// The same in one line.
    pub(super) fn line(&self) -> String {
        self.shown().join(" ")
    }

    /// The name of its environment: the connector's, and a digest of what makes it this environment
    /// and no other. Not the passwords in it: they change, and a digest tells something of them.
    pub(super) fn id(&self) -> String {
        let mut digest = Sha256::new();
        let mut part = |text: &str| {
            digest.update(text.as_bytes());
            digest.update([0]);
        };
        part(&FORMAT.to_string());
        part(&self.interpreter.word());
        for word in self.shown() {
            part(&word);
        }
        // What is named by a relative path is another package in another project.
        for path in self.local() {
            part(&path.display().to_string());
        }
        let digest = hex::encode(&digest.finalize()[..DIGEST]);
        let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
        let name: String = connector_name(&self.words).chars().map(plain).take(LONGEST).collect();
        format!("{}-{digest}", name.trim_start_matches(['.', '-']))
    }

    /// Files and folders of this machine that it names.
    pub(super) fn local(&self) -> Vec<PathBuf> {
        let paths = self.words.iter().filter_map(|word| {
            let word = word
                .rsplit_once('=')
                .filter(|_| word.starts_with("--"))
                .map_or(word.as_str(), |(_, v)| v);
            if let Some((_, path)) = word.split_once("file://") {
                return Some(PathBuf::from(path));
            }
            // `./source-x[extra]`
            let path = word.split_once('[').map_or(word, |(path, _)| path);
            let named = path.contains('/') && !path.contains("://") || path == "." || path == "..";
            (named || word.ends_with(".txt")).then(|| self.base.join(path))
        });
        paths.filter(|path| path.exists()).collect()
    }

    /// The folder its relative paths begin in.
    pub(super) fn base(&self) -> &Path {
        &self.base
    }

    /// The package that is asked for, in the form in which names are compared.
    pub(super) fn package(&self) -> Option<String> {
        package(&self.words)
    }
}

impl Interpreter {
    /// As it is kept and compared: `any`, `3.11`, a path.
    #[must_use]
    pub fn word(&self) -> String {
        match self {
            Self::Any => "any".into(),
            Self::Version(version) => version.clone(),
            Self::Path(path) => path.display().to_string(),
        }
    }
}

/// Options of pip and uv whose value is the next word, and names no package.
const WITH_VALUE: &[&str] = &[
    "-C",
    "-c",
    "-f",
    "-i",
    "--build-constraint",
    "--build-constraints",
    "--config-setting",
    "--config-settings",
    "--constraint",
    "--constraints",
    "--default-index",
    "--exclude-newer",
    "--extra-index-url",
    "--find-links",
    "--index",
    "--index-strategy",
    "--index-url",
    "--keyring-provider",
    "--link-mode",
    "--no-binary",
    "--only-binary",
    "--override",
    "--overrides",
    "--prerelease",
    "--resolution",
    "--trusted-host",
];

/// The first word of a requirement that names a package: no option, and no option's value.
#[must_use]
pub fn first_package(words: &[String]) -> Option<&str> {
    let mut words = words.iter().map(String::as_str).filter(|word| !word.is_empty());
    while let Some(word) = words.next() {
        if WITH_VALUE.contains(&word) {
            words.next();
        } else if !word.starts_with('-') {
            return Some(word);
        }
    }
    None
}

/// The first package that a requirement names. Nothing of an address's credentials.
fn package(words: &[String]) -> Option<String> {
    let word = redacted(first_package(words)?).replace("://***@", "://");
    let stem = |path: &str| {
        let path = path.split(['?', '#', '@']).next().unwrap_or(path).trim_end_matches('/');
        let last = path.rsplit('/').next().unwrap_or(path);
        last.trim_end_matches(".git").to_owned()
    };
    let name = match word.split_once("://") {
        // `name @ git+https://…` in one word, or the end of the address.
        Some((before, after)) => match before.split_once('@') {
            Some((name, _)) => name.trim().to_owned(),
            None => stem(
                after
                    .rsplit_once('@')
                    .filter(|(_, host)| host.contains('/'))
                    .map_or(after, |(_, host)| host),
            ),
        },
        None if word.contains('/') => stem(&word),
        None => word,
    };
    let end =
        name.find(['=', '<', '>', '!', '~', '[', ';', '@', ' ', '(', ',']).unwrap_or(name.len());
    let name = name[..end].to_lowercase().replace(['_', '.'], "-");
    (!name.is_empty()).then_some(name)
}

/// The connector that a requirement installs, by the name of its package: `source-faker` of
/// `airbyte-source-faker==7.2.1`.
#[must_use]
pub fn connector_name(words: &[String]) -> String {
    let name = package(words).unwrap_or_else(|| "connector".into());
    name.strip_prefix("airbyte-").unwrap_or(&name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requirement(words: &[&str], interpreter: Interpreter) -> Requirement {
        let settings = PythonSettings {
            name: "source-x".into(),
            requirement: words.iter().map(|w| (*w).to_owned()).collect(),
            interpreter,
            root: "/root".into(),
            install: true,
        };
        Requirement::new(&settings, Path::new("/project")).unwrap()
    }

    fn id(words: &[&str]) -> String {
        requirement(words, Interpreter::Any).id()
    }

    #[test]
    fn names() {
        for (word, name) in [
            ("airbyte-source-faker==7.2.1", "source-faker"),
            ("airbyte_source.faker[x]>=7", "source-faker"),
            ("source-own", "source-own"),
            ("airbyte-source-x @ git+https://t@h/r.git", "source-x"),
            ("git+https://github.com/me/source-y.git@v1#egg=z", "source-y"),
            ("https://u:p@h/wheels/source_z", "source-z"),
            ("./connectors/source-q/", "source-q"),
            ("/", "connector"),
            ("https://user:hunter2@h", "h"),
        ] {
            assert_eq!(connector_name(&[word.to_owned()]), name, "{word}");
        }
        // The value of an option is no package.
        let words = ["--index-url", "https://user:hunter2@h/simple", "--pre", "airbyte-source-x"];
        assert_eq!(connector_name(&words.map(str::to_owned)), "source-x");
    }

    #[test]
    fn another_requirement_is_another_environment() {
        let first = id(&["airbyte-source-faker==7.2.1"]);
        assert!(first.starts_with("source-faker-") && first.len() == "source-faker-".len() + 12);
        assert_eq!(first, id(&["airbyte-source-faker==7.2.1"]));
        assert_ne!(first, id(&["airbyte-source-faker==7.2.0"]));
        let version = Interpreter::Version("3.11".into());
        assert_ne!(first, requirement(&["airbyte-source-faker==7.2.1"], version).id());
        assert_ne!(id(&["a", "b"]), id(&["a b"]));
        // A password is not part of it.
        assert_eq!(id(&["git+https://u:p@h/x"]), id(&["git+https://u:q@h/x"]));
        // Nothing leads out of the folder of environments.
        for odd in ["../../etc", "..", "/", "https://h/..", "a/../.."] {
            let id = id(&[odd]);
            assert!(!id.contains('/') && !id.starts_with('.'), "{id}");
        }
    }

    #[test]
    fn nothing_to_install_is_refused() {
        for words in [&[][..], &[""], &["--pre"], &["a\nb"], &["a\rb"], &["-i", "https://h"]] {
            let settings = PythonSettings {
                name: "x".into(),
                requirement: words.iter().map(|w| (*w).to_owned()).collect(),
                interpreter: Interpreter::Any,
                root: "/root".into(),
                install: true,
            };
            assert!(Requirement::new(&settings, Path::new("/")).is_err(), "{words:?}");
        }
    }
}
