//! What an operator can say of how a connector is run: each of these is one option, with the same
//! words on the command line, in `lockgate.toml` and in a library's text.

use std::path::PathBuf;

use super::ConfigError;
use super::image::is_image;
use crate::sandbox::redacted;

/// Which Python runs it, or that none does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UsePython {
    /// It is a Python package; whichever Python there is.
    True,
    /// It is run with Docker.
    False,
    /// A version: `3.11`.
    Version(String),
    /// A program, relative to the project's folder.
    Path(PathBuf),
}

impl UsePython {
    /// `true`, `false`, a version, or a path: what holds a slash.
    ///
    /// # Errors
    /// [`ConfigError::Setting`].
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let is = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
        Ok(match text {
            _ if is(&["true"]) => Self::True,
            _ if is(&["false"]) => Self::False,
            _ if is(&["yes", "no", "on", "off", "none"]) => {
                return Err(refused("use-python", text, "true, false, a version or a path"));
            }
            path if path.contains('/') => Self::Path(PathBuf::from(path)),
            version => {
                let first = version.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
                let rest = |c: char| c.is_ascii_alphanumeric() || "._-+@".contains(c);
                if !first || !version.chars().all(rest) {
                    return Err(refused("use-python", version, "true, false, a version or a path"));
                }
                Self::Version(version.to_owned())
            }
        })
    }
}

/// Which program of this machine it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocalExecutable {
    /// The one on `PATH` that has the connector's name.
    True,
    /// A path, relative to the project's folder, or a name on `PATH` where it holds no slash.
    Named(String),
}

impl LocalExecutable {
    /// `true`, `false` (which asks for nothing), a path or a name.
    ///
    /// # Errors
    /// [`ConfigError::Setting`].
    pub fn parse(text: &str) -> Result<Option<Self>, ConfigError> {
        Ok(match text {
            "true" => Some(Self::True),
            "false" => None,
            "" => return Err(refused("local-executable", text, "true, a path or a name")),
            named => Some(Self::Named(named.to_owned())),
        })
    }
}

/// Which image it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DockerImage {
    /// Airbyte's, by the connector's name: `airbyte/NAME`.
    True,
    /// An image, with a tag or a digest or without.
    Named(String),
}

impl DockerImage {
    /// `true`, `false` (which asks for nothing) or an image.
    ///
    /// # Errors
    /// [`ConfigError::Setting`].
    pub fn parse(text: &str) -> Result<Option<Self>, ConfigError> {
        Ok(match text {
            "true" => Some(Self::True),
            "false" => None,
            image => Some(Self::Named(Self::checked(image)?.to_owned())),
        })
    }
}

impl DockerImage {
    /// An image by its name.
    ///
    /// # Errors
    /// [`ConfigError::Setting`], for what cannot be one.
    pub(crate) fn checked(image: &str) -> Result<&str, ConfigError> {
        match is_image(image) {
            true => Ok(image),
            false => Err(refused("docker-image", image, "true or the name of an image")),
        }
    }
}

/// A version, for a tag and for a requirement alike: nothing that would begin another word.
pub(crate) fn version_name(text: &str) -> Result<&str, ConfigError> {
    let first = text.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    let rest = |c: char| c.is_ascii_alphanumeric() || "._-+!".contains(c);
    if first && text.chars().all(rest) {
        return Ok(text);
    }
    Err(refused("version", text, "a version"))
}

/// The words of a requirement, as pip's own command line would get them from a shell.
pub(crate) fn requirement_words(
    option: &'static str,
    text: &str,
) -> Result<Vec<String>, ConfigError> {
    match shlex::split(text) {
        Some(words) if !words.is_empty() => Ok(words),
        // It may hold a password, so it is not repeated.
        Some(_) => Err(refused(option, "", "a requirement")),
        None => Err(refused(option, "…", "a requirement: a quote is not closed")),
    }
}

fn refused(option: &'static str, text: &str, wanted: &'static str) -> ConfigError {
    ConfigError::Setting { option, text: redacted(text), wanted }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python() {
        let parse = |text| UsePython::parse(text).unwrap();
        assert_eq!(parse("true"), UsePython::True);
        assert_eq!(parse("false"), UsePython::False);
        assert_eq!(parse("3.11"), UsePython::Version("3.11".into()));
        assert_eq!(parse("./bin/python"), UsePython::Path("./bin/python".into()));
        assert_eq!(parse("/usr/bin/python3"), UsePython::Path("/usr/bin/python3".into()));
        for bad in ["", "--help", "3 11", "3.11;x"] {
            assert!(UsePython::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn switches_and_names() {
        assert_eq!(LocalExecutable::parse("false").unwrap(), None);
        assert_eq!(LocalExecutable::parse("true").unwrap(), Some(LocalExecutable::True));
        assert!(LocalExecutable::parse("").is_err());
        assert_eq!(DockerImage::parse("false").unwrap(), None);
        let named = DockerImage::parse("localhost:5000/x@sha256:00").unwrap();
        assert_eq!(named, Some(DockerImage::Named("localhost:5000/x@sha256:00".into())));
        for bad in ["", "--privileged", "a b", "-x", "https://u:p@h/x"] {
            assert!(DockerImage::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn versions_stay_one_word() {
        for good in ["1.2.3", "latest", "0.2.5-dev.1", "1!2.0+local", "v3"] {
            assert_eq!(version_name(good).unwrap(), good);
        }
        for bad in ["", "1 --index-url x", "-1", "1;x", "1,<2", "a/b", "1:2", "@sha256:0"] {
            assert!(version_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn words_as_a_shell_gives_them() {
        let words = |text| requirement_words("pip-url", text);
        assert_eq!(words("a==1  --no-deps").unwrap(), ["a==1", "--no-deps"]);
        assert_eq!(words("'a @ https://x/y.zip'").unwrap(), ["a @ https://x/y.zip"]);
        assert!(words("").is_err());
        let error = words("'https://user:hunter2@x").unwrap_err().to_string();
        assert!(!error.contains("hunter2") && error.contains("quote"), "{error}");
    }
}
