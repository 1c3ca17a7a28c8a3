//! A new connector's project.

use std::path::{Path, PathBuf};

use super::AuthorError;
use super::manifest::standalone;
use crate::component::Kind;

/// What the program brings along: names from the root of the repository, and texts.
const BROUGHT: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/brought.rs"));

/// A small API to read from, which the tests of this repository read as well.
const EXAMPLE_API: &str = include_str!("../../examples/example-api.py");

/// Longest name of a project: it becomes a file's and a package's.
const NAME_BYTES: usize = 64;

/// What it is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Rust, by cargo.
    Rust,
    /// Python, by componentize-py.
    Python,
    /// JavaScript, by componentize-js.
    JavaScript,
}

impl Language {
    /// Its name.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Rust => "Rust",
            Self::Python => "Python",
            Self::JavaScript => "JavaScript",
        }
    }
}

/// A project that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewProject {
    /// Its folder.
    pub folder: PathBuf,
    /// Its files, from the folder.
    pub files: Vec<String>,
    /// What to type next, in the folder.
    pub commands: Vec<String>,
}

fn example(kind: Kind, language: Language) -> &'static str {
    match (kind, language) {
        (Kind::Source, Language::Rust) => "source-pages",
        (Kind::Source, Language::Python) => "source-pages-python",
        (Kind::Source, Language::JavaScript) => "source-pages-javascript",
        (Kind::Destination, Language::Rust) => "destination-append",
        (Kind::Destination, Language::Python) => "destination-append-python",
        (Kind::Destination, Language::JavaScript) => "destination-append-javascript",
    }
}

/// Whether a name is one for a package in every language, and for a file.
fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    name.len() <= NAME_BYTES
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(plain)
        && !name.ends_with('-')
}

/// The files of a project, by their names from its folder.
fn files(kind: Kind, language: Language, name: &str) -> Result<Vec<(String, String)>, String> {
    let example = example(kind, language);
    let text = |wanted: &str| {
        let found = BROUGHT.iter().find(|(name, _)| *name == wanted).map(|(_, text)| *text);
        found.ok_or_else(|| format!("{wanted} was not brought along"))
    };
    let workspace = text("Cargo.toml")?;
    let prefix = format!("guest-examples/{example}/");
    let mut files = Vec::new();
    for (file, text) in BROUGHT {
        if let Some(inner) = file.strip_prefix(&prefix) {
            // The name of the example is in its manifest and its specification.
            let text = text.replace(example, name);
            let text = match inner {
                "Cargo.toml" => standalone(&text, workspace, Some("lockgate-sdk"), true)?,
                _ => text,
            };
            files.push((inner.to_owned(), text));
        } else if language == Language::Rust
            && let Some(inner) = file.strip_prefix("sdk/")
        {
            let text = match inner {
                "Cargo.toml" => standalone(text, workspace, None, false)?,
                _ => (*text).to_owned(),
            };
            files.push((format!("lockgate-sdk/{inner}"), text));
        }
    }
    if language == Language::Rust {
        // The versions that the SDK is tested with; cargo removes what is not used.
        files.push(("Cargo.lock".to_owned(), text("Cargo.lock")?.to_owned()));
    }
    let config = match kind {
        Kind::Source => "{ \"host\": \"127.0.0.1\", \"port\": 8099, \"tls\": false }\n",
        Kind::Destination => "{ \"path\": \"/out\" }\n",
    };
    files.push(("config.json".to_owned(), config.to_owned()));
    if kind == Kind::Source {
        files.push(("example-api.py".to_owned(), EXAMPLE_API.to_owned()));
    }
    let ignored = match language {
        Language::Rust => "/target/\n",
        Language::Python => "/.venv/\n__pycache__/\n",
        Language::JavaScript => "/node_modules/\n",
    };
    files.push((".gitignore".to_owned(), format!("{ignored}/.lockgate/\n/out/\n*.wasm\n")));
    files.push(("README.md".to_owned(), readme(kind, language, name)));
    Ok(files)
}

/// What makes the tools of a build; none: they are there with the language.
pub(super) fn install(language: Language) -> &'static str {
    match language {
        Language::Rust => "rustup target add wasm32-wasip2",
        Language::Python => "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt",
        Language::JavaScript => "npm install",
    }
}

/// The commands of a project, in their order.
fn commands(kind: Kind, language: Language, name: &str) -> [String; 3] {
    // Python's standard library imports sockets, used or not, and that takes a grant: of nobody's address.
    let grant = |prefix: &str| match language {
        Language::Python => format!(" --{prefix}allow-net 192.0.2.1:9"),
        Language::Rust | Language::JavaScript => String::new(),
    };
    match kind {
        Kind::Source => [
            "lockgate build".to_owned(),
            format!(
                "lockgate validate {name}.wasm --config config.json --allow-net 127.0.0.1:8099"
            ),
            format!("lockgate read {name}.wasm --config config.json --allow-net 127.0.0.1:8099"),
        ],
        Kind::Destination => [
            "lockgate build".to_owned(),
            format!(
                "lockgate validate {name}.wasm --config config.json --allow-dir out::/out{} --read-back files:out",
                grant("")
            ),
            format!(
                "lockgate sync --source exec:./example-source --destination {name}.wasm --destination-config config.json --destination-allow-dir out::/out{}",
                grant("destination-")
            ),
        ],
    }
}

fn readme(kind: Kind, language: Language, name: &str) -> String {
    let [build, validate, run] = commands(kind, language, name);
    let install = install(language);
    let (what, before, after) = match kind {
        Kind::Source => (
            "A source: reads the items of a paged HTTP API.",
            "`example-api.py` is such an API, to try it with. Start it in another terminal, and leave it there:\n\n    python3 example-api.py --port 8099\n",
            "`lockgate cache query 'SELECT * FROM items LIMIT 5'` shows what was read.",
        ),
        Kind::Destination => (
            "A destination: appends the rows of each stream to a file.",
            "`example-source` is a program that gives a few rows, to try it with. The rows go to `out`:\n\n    mkdir -p out\n",
            "The rows are in `out`.",
        ),
    };
    let edit = match language {
        Language::Rust => {
            "`src/lib.rs` is the connector. `lockgate-sdk` is what it is written with; its documentation: `cargo doc -p lockgate-sdk --open`. `cargo test` runs the connector's own tests, without a host."
        }
        Language::Python => {
            "`connector.py` is the connector. `lockgate.py` is what it is written with; its first lines say how. `wit` is the contract."
        }
        Language::JavaScript => {
            "`connector.js` is the connector. `lockgate.js` is what it is written with; its first lines say how. `wit` is the contract."
        }
    };
    format!(
        "# {name}\n\n{what}\n\nOnce, for the tools that build it:\n\n    {install}\n\n{before}\nThen, in this folder:\n\n    {build}\n    {validate}\n    {run}\n\n{after}\n\n{edit}\n\nIt reaches what `--allow-net` and `--allow-dir` grant, and nothing else: `lockgate inspect {name}.wasm`\nshows what it asks for.\n"
    )
}

/// Three rows, from a program that speaks Airbyte's protocol.
const EXAMPLE_SOURCE: &str = include_str!("../../examples/source-greetings");

/// Makes the folder of a new connector below `parent`: a small one that builds, runs and keeps the
/// rules.
///
/// # Errors
/// [`AuthorError`]; nothing that was there is changed.
pub fn new_project(
    parent: &Path,
    kind: Kind,
    language: Language,
    name: &str,
) -> Result<NewProject, AuthorError> {
    if !is_name(name) {
        return Err(AuthorError::Name { name: name.chars().take(NAME_BYTES).collect() });
    }
    let folder = parent.join(name);
    let io = |path: &Path, error: &dyn std::fmt::Display| AuthorError::Io {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    if folder.symlink_metadata().is_ok() {
        return Err(AuthorError::Exists { path: folder });
    }
    let mut files = files(kind, language, name).map_err(|reason| io(&folder, &reason))?;
    if kind == Kind::Destination {
        files.push(("example-source".to_owned(), EXAMPLE_SOURCE.to_owned()));
    }
    for (inner, text) in &files {
        let path = folder.join(inner);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|e| io(parent, &e))?;
        }
        std::fs::write(&path, text).map_err(|e| io(&path, &e))?;
        if text.starts_with("#!") {
            executable(&path).map_err(|e| io(&path, &e))?;
        }
    }
    if kind == Kind::Destination {
        let out = folder.join("out");
        std::fs::create_dir(&out).map_err(|e| io(&out, &e))?;
    }
    let mut names: Vec<String> = files.into_iter().map(|(name, _)| name).collect();
    names.sort();
    let mut all = vec![install(language).to_owned()];
    if kind == Kind::Source {
        all.push("python3 example-api.py --port 8099     (in another terminal)".to_owned());
    }
    all.extend(commands(kind, language, name));
    Ok(NewProject { folder, files: names, commands: all })
}

fn executable(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_project_is_whole_and_bears_its_name() {
        let folder = tempfile::tempdir().unwrap();
        for kind in [Kind::Source, Kind::Destination] {
            for language in [Language::Rust, Language::Python, Language::JavaScript] {
                let name = format!("my-{kind:?}-{language:?}").to_lowercase();
                let made = new_project(folder.path(), kind, language, &name).unwrap();
                let has = |file: &str| made.files.iter().any(|name| name == file);
                assert!(has("README.md") && has("config.json"), "{made:?}");
                for file in &made.files {
                    let text = std::fs::read_to_string(made.folder.join(file)).unwrap();
                    let ours = !file.starts_with("lockgate") && file != "Cargo.lock";
                    let example = example(kind, language);
                    assert!(!(ours && text.contains(example)), "{name}: {file} says {example}");
                }
                let again = new_project(folder.path(), kind, language, &name);
                assert!(matches!(again, Err(AuthorError::Exists { .. })));
            }
        }
    }

    #[test]
    fn names_are_for_packages() {
        for name in ["source-x", "a", "destination-x1"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "X", "1a", "../x", "a/b", "a b", "a-", "a.b", &"a".repeat(65)] {
            assert!(!is_name(name), "{name}");
        }
    }
}
