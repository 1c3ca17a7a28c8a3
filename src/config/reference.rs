//! What a connector's name says by its form alone. Nothing is looked up here.

use std::path::{Path, PathBuf};

use super::ConfigError;
use super::image::is_image;
use crate::sandbox::redacted;

/// What a connector's name means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectorReference {
    /// `path/to/x.wasm`: a component file.
    Component(PathBuf),
    /// `exec:PATH`: a program that speaks Airbyte's protocol; without a slash, one on `PATH`.
    Process(String),
    /// `docker:IMAGE`: an image.
    Docker(String),
    /// `pip:REQUIREMENT`: a Python package, as pip would be given it in a shell.
    Pip(String),
    /// Anything else: a name that is to be looked up, or that an option explains.
    Name(String),
}

impl ConnectorReference {
    /// Reads a name.
    ///
    /// # Errors
    /// [`ConfigError::Reference`], where nothing stands behind its prefix.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let refused = |why| Err(ConfigError::Reference(redacted(text), why));
        if let Some(program) = text.strip_prefix("exec:") {
            return match program {
                "" => refused("exec: names no program"),
                program => Ok(Self::Process(program.to_owned())),
            };
        }
        if let Some(image) = text.strip_prefix("docker:") {
            return match image {
                "" => refused("docker: names no image"),
                image if is_image(image) => Ok(Self::Docker(image.to_owned())),
                _ => refused("behind docker: is not the name of an image"),
            };
        }
        if let Some(requirement) = text.strip_prefix("pip:") {
            return match requirement.trim() {
                "" => refused("pip: names no package"),
                requirement => Ok(Self::Pip(requirement.to_owned())),
            };
        }
        let is_component = Path::new(text)
            .extension()
            .is_some_and(|e| e.eq_ignore_ascii_case("wasm") || e.eq_ignore_ascii_case("cwasm"));
        Ok(match text {
            "" => return refused("it is empty"),
            path if is_component => Self::Component(PathBuf::from(path)),
            name => Self::Name(name.to_owned()),
        })
    }
}

/// Whether a name can be looked up: it becomes a part of file names, images and packages.
pub(crate) fn is_plain(name: &str) -> bool {
    /// The longest there is has 60 bytes.
    const LONGEST: usize = 128;
    let first = name.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    let rest = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    first && name.chars().all(rest) && name.len() <= LONGEST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        use ConnectorReference as R;
        let parse = |t| R::parse(t).unwrap();
        assert_eq!(parse("x.wasm"), R::Component("x.wasm".into()));
        assert_eq!(parse("/a/x.CWASM"), R::Component("/a/x.CWASM".into()));
        assert_eq!(parse("exec:bin/x.wasm"), R::Process("bin/x.wasm".into()));
        assert_eq!(parse("docker:localhost:5000/x"), R::Docker("localhost:5000/x".into()));
        assert_eq!(parse("pip:a==1"), R::Pip("a==1".into()));
        assert_eq!(parse("source-faker"), R::Name("source-faker".into()));
        for bad in ["exec:", "docker:", "docker:--privileged", "docker:a b", "pip:", "pip: ", ""] {
            assert!(R::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_that_can_be_looked_up() {
        for good in ["source-faker", "x", "7z", "a.b_c"] {
            assert!(is_plain(good), "{good}");
        }
        for bad in ["", ".x", "-x", "a/b", "../x", "a b", "é", "a\0"] {
            assert!(!is_plain(bad), "{bad}");
        }
    }
}
