//! The files of a directory that patterns stand for.
//!
//! Only directories that a pattern can lead into are opened. A link that leads out of the granted
//! directory is refused by the sandbox; one that leads in a circle ends at [`limits::DEPTH`].

use globset::{GlobSet, GlobSetBuilder};
use lockgate_sdk::{Failure, fs};

use super::Listed;
use crate::config::StreamConfig;
use crate::limits;

/// What begins a part of a pattern that stands for more than itself.
const SPECIAL: [char; 5] = ['*', '?', '[', '{', '\\'];

/// How far a pattern leads.
struct Reach {
    /// The directory that all it stands for is in; empty for the root.
    base: Vec<String>,
    /// Names in a path that it stands for; none: any number.
    parts: Option<usize>,
}

impl Reach {
    fn new(pattern: &str) -> Self {
        let parts: Vec<&str> = pattern.split('/').collect();
        let plain = parts.iter().take(parts.len() - 1).take_while(|part| !part.contains(SPECIAL));
        // An alternative can have a slash in it.
        let open = pattern.contains("**") || pattern.contains('{');
        Self {
            base: plain.map(|part| (*part).to_owned()).collect(),
            parts: (!open).then_some(parts.len()),
        }
    }

    /// Can files that it stands for be in the directory?
    fn enters(&self, directory: &[String]) -> bool {
        let along = directory.iter().zip(&self.base).all(|(name, base)| name == base);
        along && self.parts.is_none_or(|parts| directory.len() < parts)
    }
}

struct Walk<'a> {
    root: &'a fs::Directory,
    stream: &'a StreamConfig,
    globs: GlobSet,
    reaches: Vec<Reach>,
    seen: usize,
    found: Vec<Listed>,
}

/// The files that the patterns of a stream stand for, in no order.
pub(super) fn list(root: &fs::Directory, stream: &StreamConfig) -> Result<Vec<Listed>, Failure> {
    let mut set = GlobSetBuilder::new();
    for glob in stream.globs()? {
        set.add(glob);
    }
    let globs = set.build().map_err(|error| {
        Failure::config(format!("stream {}: `files` has too many patterns: {error}", stream.name))
    })?;
    let reaches = stream.files.iter().map(|pattern| Reach::new(pattern)).collect();
    let mut walk = Walk { root, stream, globs, reaches, seen: 0, found: Vec::new() };
    walk.enter(root, &mut Vec::new())?;
    Ok(walk.found)
}

impl Walk<'_> {
    fn enter(&mut self, directory: &fs::Directory, path: &mut Vec<String>) -> Result<(), Failure> {
        let fault =
            |what: String| Err(Failure::config(format!("stream {}: {what}", self.stream.name)));
        if path.len() > limits::DEPTH {
            return fault(format!(
                "{} is deeper than {} directories: does a link lead in a circle?",
                directory.path(),
                limits::DEPTH
            ));
        }
        let names = directory.list()?;
        self.seen += names.len();
        if self.seen > limits::NAMES {
            return fault(format!(
                "its patterns lead through more than {} names: name the directories more closely",
                limits::NAMES
            ));
        }
        for name in names {
            path.push(name);
            let relative = path.join("/");
            let file = self.globs.is_match(&relative);
            let enters = self.reaches.iter().any(|reach| reach.enters(path));
            if file || enters {
                match fs::Directory::open_to_read(&format!("{}/{relative}", self.root.path())) {
                    Ok(below) => {
                        if enters {
                            self.enter(&below, path)?;
                        }
                    }
                    // What leads nowhere or out is told when it is opened as a file.
                    Err(_) if file => self.found.push(Listed { name: relative, url: None }),
                    Err(error) if is_silent(error.reason()) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            path.pop();
        }
        Ok(())
    }
}

/// Is it something else than a directory, or a link that leads nowhere or out? No pattern stands for it.
fn is_silent(reason: &fs::Reason) -> bool {
    matches!(
        reason,
        fs::Reason::NotADirectory
            | fs::Reason::NotFound
            | fs::Reason::NotGranted
            | fs::Reason::Denied
            | fs::Reason::Invalid
            | fs::Reason::Other(_)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_directories_that_a_pattern_leads_into_are_entered() {
        let path = |text: &str| -> Vec<String> {
            text.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect()
        };
        for (pattern, directory, enters) in [
            ("*.csv", "", true),
            ("*.csv", "a", false),
            ("a/*.csv", "a", true),
            ("a/*.csv", "b", false),
            ("a/*/x.csv", "a/b", true),
            ("a/*/x.csv", "a/b/c", false),
            ("**/*.csv", "a/b/c", true),
            ("a/**/*.csv", "b", false),
            ("{a/b,c}/*.csv", "a/b", true),
        ] {
            assert_eq!(
                Reach::new(pattern).enters(&path(directory)),
                enters,
                "{pattern} {directory}"
            );
        }
    }
}
