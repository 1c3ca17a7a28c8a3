//! How uv is told of a requirement.
//!
//! The attack: every user of a machine can read the command lines of all its processes, and the
//! words of a requirement may hold a password. So what has an address goes into a file that is this
//! user's alone, or into a variable, and never on the command line.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::PythonError;
use crate::sandbox::redacted;

/// The words of a requirement, by the way in which uv gets them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// On the command line.
    pub(super) arguments: Vec<String>,
    /// In a file of requirements.
    lines: Vec<String>,
    /// The index that is asked last.
    default_index: Option<String>,
    /// Those that are asked before it.
    indexes: Vec<String>,
}

/// Where the value of an option belongs.
#[derive(Clone, Copy)]
enum Place {
    Line(&'static str),
    DefaultIndex,
    Index,
}

/// Options whose value may be an address. A word without an option is a package.
fn place(option: &str) -> Option<Place> {
    Some(match option {
        "" => Place::Line(""),
        "-i" | "--index-url" | "--default-index" => Place::DefaultIndex,
        "--extra-index-url" | "--index" => Place::Index,
        "-f" | "--find-links" => Place::Line("--find-links "),
        "-e" | "--editable" => Place::Line("-e "),
        "-r" | "--requirement" | "--requirements" => Place::Line("-r "),
        "-c" | "--constraint" | "--constraints" => Place::Line("-c "),
        _ => return None,
    })
}

/// An option and what is attached to it; a word that is none has no option.
fn split(word: &str) -> (&str, Option<&str>) {
    if word.starts_with("--") {
        return word.split_once('=').map_or((word, None), |(option, value)| (option, Some(value)));
    }
    match word.strip_prefix('-') {
        None => ("", Some(word)),
        Some(rest) => match rest.char_indices().nth(1) {
            Some((at, _)) => (&word[..=at], Some(rest[at..].trim_start_matches('='))),
            None => (word, None),
        },
    }
}

impl Told {
    /// Sorts the words of a requirement.
    ///
    /// # Errors
    /// [`PythonError::Settings`] for credentials behind an option that nothing is known of.
    pub(super) fn of(words: &[String]) -> Result<Self, PythonError> {
        let mut told = Self::default();
        let mut words = words.iter().peekable();
        while let Some(word) = words.next() {
            let (option, attached) = split(word);
            let value = match (place(option), attached) {
                (None, _) => None,
                (Some(place), Some(value)) => Some((place, value)),
                (Some(place), None) => {
                    let next = words.next_if(|next| next.contains("://"));
                    next.map(|value| (place, value.as_str()))
                }
            };
            match value.filter(|(_, value)| value.contains("://")) {
                Some((Place::Line(before), value)) => told.lines.push(format!("{before}{value}")),
                Some((Place::DefaultIndex, value)) => told.default_index = Some(value.to_owned()),
                Some((Place::Index, value)) => told.indexes.push(value.to_owned()),
                None if redacted(word) == *word => told.arguments.push(word.clone()),
                None => {
                    let what = format!(
                        "{} has a password in it that every user of this machine could read: name the index with --index-url, or in a variable or a file",
                        redacted(word)
                    );
                    return Err(PythonError::Settings(what));
                }
            }
        }
        Ok(told)
    }

    /// Writes what belongs in a file, in a private folder, and gives the words that name it.
    pub(super) fn file(&self, folder: &Path) -> std::io::Result<Option<[PathBuf; 2]>> {
        if self.lines.is_empty() {
            return Ok(None);
        }
        let path = folder.join("requirement.txt");
        let mut open = std::fs::OpenOptions::new();
        let mut file = open.write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all((self.lines.join("\n") + "\n").as_bytes())?;
        Ok(Some(["-r".into(), path]))
    }

    /// Adds the indexes to the variables of an installation, before those that are there.
    pub(super) fn set(&self, variables: &mut BTreeMap<String, OsString>) {
        if let Some(index) = &self.default_index {
            // Its older name.
            variables.remove("UV_INDEX_URL");
            variables.insert("UV_DEFAULT_INDEX".into(), index.into());
        }
        if !self.indexes.is_empty() {
            let mut all = OsString::from(self.indexes.join(" "));
            if let Some(more) = variables.get("UV_INDEX") {
                all.push(" ");
                all.push(more);
            }
            variables.insert("UV_INDEX".into(), all);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn told(words: &[&str]) -> Result<Told, PythonError> {
        Told::of(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn no_address_is_on_the_command_line() {
        let index = "https://u:hunter2@h/simple";
        let joined = format!("--extra-index-url={index}");
        let url = "x @ git+https://hunter2@h/x.git@v1#egg=x";
        let found = told(&[
            "source-x==1",
            "--pre",
            "-i",
            index,
            &joined,
            "--index",
            "corp=https://h/c",
            url,
            "-c",
            "./c.txt",
            "-fhttps://u:hunter2@h/f",
            "--editable",
            index,
            "--index-url",
            "./local",
        ])
        .unwrap();
        let arguments = ["source-x==1", "--pre", "-c", "./c.txt", "--index-url", "./local"];
        assert_eq!(found.arguments, arguments);
        let folder = tempfile::tempdir().unwrap();
        let [option, path] = found.file(folder.path()).unwrap().unwrap();
        assert_eq!(option, Path::new("-r"));
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, format!("{url}\n--find-links https://u:hunter2@h/f\n-e {index}\n"));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        // What was there before is not written over.
        assert!(found.file(folder.path()).is_err());
        let given = [("UV_INDEX_URL", "https://old"), ("UV_INDEX", "https://more")];
        let mut variables: BTreeMap<String, OsString> =
            given.iter().map(|(name, value)| ((*name).to_owned(), value.into())).collect();
        found.set(&mut variables);
        assert_eq!(variables["UV_DEFAULT_INDEX"], index);
        let indexes = format!("{index} corp=https://h/c https://more");
        assert_eq!(variables["UV_INDEX"], indexes.as_str());
        assert!(!variables.contains_key("UV_INDEX_URL"));
    }

    #[test]
    fn a_requirement_without_an_address_needs_no_file() {
        let found = told(&["source-x==1", "-r", "r.txt", "-"]).unwrap();
        assert_eq!(found.arguments, ["source-x==1", "-r", "r.txt", "-"]);
        assert_eq!(found.file(Path::new("/nowhere")).unwrap(), None);
    }

    #[test]
    fn a_password_behind_an_unknown_option_is_refused() {
        for words in [&["x", "--proxy=https://u:hunter2@h"][..], &["x", "-zhttps://u:hunter2@h"]] {
            let error = told(words).unwrap_err().to_string();
            assert!(!error.contains("hunter2") && error.contains("***"), "{error}");
        }
    }
}
