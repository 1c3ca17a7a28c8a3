//! What a program must read to be executed: itself, its interpreter, and what lies beside them.
//!
//! The attack: a program that lies in a home folder, in the folder of a project or in the system's
//! temporary folder gets what is around it: keys, other connectors' passwords, other runs' files.
//! So the folder of a program is open to it, and never one of those as a whole; and a folder of
//! programs (`bin`) brings its libraries, not everything that happens to be installed there.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Steps of links and interpreters that are followed. The kernel follows 4 interpreters.
const STEPS: usize = 24;
/// Bytes of a script's first line that the kernel reads.
const FIRST_LINE: u64 = 256;
/// What folders of programs are called.
const PROGRAMS: &[&str] = &["bin", "sbin", "libexec", "shims", "Scripts"];
/// What lies beside such a folder and belongs to its programs.
const LIBRARIES: &[&str] = &["lib", "lib32", "lib64", "libexec", "include"];
/// What only the root of an installation has, which is then open as a whole: a virtual environment,
/// conda, a Java runtime.
const WHOLE: &[&str] = &["pyvenv.cfg", "conda-meta", "lib/modules"];
/// What a version manager has beside its `shims`; a shim is a script that reads all of it.
const VERSIONS: &[&str] = &["versions", "installs"];
/// What only a folder has that holds passwords: then a program in it does not get the folder.
const PRIVATE: &[&str] = &["lockgate.toml", ".lockgate", ".env", ".ssh"];

/// What is around a program.
#[derive(Debug, Clone, Default)]
pub(in crate::executor) struct Surroundings {
    /// The value of `PATH`, as the program gets it.
    pub(super) path: Option<std::ffi::OsString>,
    /// Folders that are never open, nor any that holds them: the home folder, the temporary folder.
    pub(super) closed: Vec<PathBuf>,
}

impl Surroundings {
    /// Of this process.
    #[expect(clippy::disallowed_methods, reason = "what a program starts with `env` is on PATH")]
    pub(in crate::executor) fn here() -> Self {
        let closed = [std::env::home_dir(), Some(std::env::temp_dir()), Some("/tmp".into())];
        let closed = closed.into_iter().flatten();
        Self {
            path: std::env::var_os("PATH"),
            closed: closed.flat_map(|f| [f.canonicalize().ok(), Some(f)]).flatten().collect(),
        }
    }

    fn on_path(&self, name: &OsStr) -> Option<PathBuf> {
        let folders = std::env::split_paths(self.path.as_ref()?);
        folders.map(|folder| folder.join(name)).find(|file| file.is_file())
    }
}

/// The files and folders that a program reads, to be executed and to find its own.
pub(in crate::executor) fn of_program(program: &Path, around: &Surroundings) -> Vec<PathBuf> {
    let mut reach = Reach { around, open: BTreeSet::new() };
    for folder in around.path.iter().flat_map(std::env::split_paths) {
        reach.programs(&folder);
    }
    let mut steps = vec![program.to_owned()];
    let mut seen = BTreeSet::new();
    while let Some(file) = steps.pop() {
        if seen.len() == STEPS || !seen.insert(file.clone()) {
            continue;
        }
        reach.program(&file);
        if let Ok(target) = std::fs::read_link(&file) {
            steps.push(file.parent().unwrap_or(Path::new("/")).join(target));
        } else {
            steps.extend(interpreter(&file, around));
        }
        steps.extend(file.canonicalize());
        steps.extend(base_python(&file));
    }
    reach.open.into_iter().collect()
}

struct Reach<'a> {
    around: &'a Surroundings,
    open: BTreeSet<PathBuf>,
}

impl Reach<'_> {
    fn program(&mut self, file: &Path) {
        self.open.insert(file.to_owned());
        let Some(folder) = file.parent() else { return };
        let private = PRIVATE.iter().any(|name| folder.join(name).exists());
        if !self.programs(folder) && !private {
            self.folder(folder);
        }
    }

    /// A folder of programs; says whether it is one.
    fn programs(&mut self, folder: &Path) -> bool {
        let is = folder.file_name().is_some_and(|n| PROGRAMS.iter().any(|p| n == *p));
        if folder.is_absolute() && is {
            self.folder(folder);
            let Some(prefix) = folder.parent() else { return is };
            let has = |names: &[&str]| names.iter().any(|name| prefix.join(name).exists());
            if has(WHOLE) || (prefix.join("shims").is_dir() && has(VERSIONS)) {
                self.folder(prefix);
            } else if !self.is_closed(prefix) {
                for name in LIBRARIES {
                    self.folder(&prefix.join(name));
                }
            }
        }
        is
    }

    /// Opens a folder, unless it is one that holds what is nobody's business.
    fn folder(&mut self, folder: &Path) {
        if folder.is_dir() && !self.is_closed(folder) {
            self.open.insert(folder.to_owned());
        }
    }

    fn is_closed(&self, folder: &Path) -> bool {
        let Ok(real) = folder.canonicalize() else { return true };
        // `/` and what lies directly in it: `/home`, `/data`, `/opt`. What of it the system needs is
        // open anyway.
        real.components().count() <= 2 || self.around.closed.iter().any(|c| c.starts_with(&real))
    }
}

/// What the `#!` line of a script names; behind `env`, the program that it would find.
fn interpreter(file: &Path, around: &Surroundings) -> Vec<PathBuf> {
    let mut head = Vec::new();
    // Not blocking: to open a named pipe is to wait for its writer.
    let mut open = std::fs::OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::custom_flags(open.read(true), libc::O_NONBLOCK);
    let read = open.open(file).and_then(|f| f.take(FIRST_LINE).read_to_end(&mut head));
    let Some(line) = head.strip_prefix(b"#!").filter(|_| read.is_ok()) else { return Vec::new() };
    let line = line.split(|b| *b == b'\n').next().unwrap_or_default();
    let mut words = line
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
        .map(|word| std::ffi::OsString::from_vec(word.to_vec()));
    let Some(first) = words.next().map(PathBuf::from) else { return Vec::new() };
    let mut found = Vec::new();
    if first.file_name() == Some(OsStr::new("env")) {
        // `env -S NAME`, `env KEY=VALUE NAME`.
        let name = words.find(|w| !w.as_bytes().starts_with(b"-") && !w.as_bytes().contains(&b'='));
        found.extend(name.and_then(|name| around.on_path(&name)));
    }
    found.push(first);
    found
}

/// Where the Python behind a virtual environment is.
fn base_python(file: &Path) -> Vec<PathBuf> {
    let Some(folder) = file.parent() else { return Vec::new() };
    let settings = [folder.parent().map(|p| p.join("pyvenv.cfg")), Some(folder.join("pyvenv.cfg"))];
    let text = settings.into_iter().flatten().find_map(|f| std::fs::read_to_string(f).ok());
    let text = text.unwrap_or_default();
    let value = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once('='));
        let found = lines.find(|(key, _)| key.trim() == name);
        found.map(|(_, value)| PathBuf::from(value.trim())).filter(|path| path.is_absolute())
    };
    // `home` is a folder of programs; the name of one in it says that it is looked at as such.
    [value("home").map(|home| home.join("python3")), value("base-executable")]
        .into_iter()
        .flatten()
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    struct Machine {
        root: tempfile::TempDir,
        around: Surroundings,
    }

    impl Machine {
        fn new() -> Self {
            let root = tempfile::tempdir_in("/var/tmp").unwrap();
            let at = |name: &str| root.path().join(name);
            let around = Surroundings {
                path: Some(at("home/.pyenv/shims").into_os_string()),
                closed: vec![at("home"), at("tmp")],
            };
            Self { root, around }
        }

        fn at(&self, name: &str) -> PathBuf {
            self.root.path().join(name)
        }

        fn file(&self, name: &str, text: &str) -> PathBuf {
            let path = self.at(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            path
        }

        fn reach(&self, program: &str) -> Vec<PathBuf> {
            of_program(&self.at(program), &self.around)
        }

        fn reads(&self, program: &str, file: &str) -> bool {
            self.reach(program).iter().any(|open| self.at(file).starts_with(open))
        }
    }

    #[test]
    fn a_virtual_environment_and_the_python_behind_it() {
        let m = Machine::new();
        m.file("home/.pyenv/versions/3/bin/python3.1", "");
        m.file("home/.pyenv/versions/3/lib/python3.1/os.py", "");
        m.file("home/.ssh/id", "");
        let home = m.at("home/.pyenv/versions/3/bin").display().to_string();
        m.file("home/venv/pyvenv.cfg", &format!("home = {home}\n"));
        m.file("home/venv/lib/x.py", "");
        let python = m.at("home/venv/bin/python");
        m.file("home/venv/bin/source-x", &format!("#!{}\n", python.display()));
        symlink(m.at("home/.pyenv/versions/3/bin/python3.1"), &python).unwrap();
        for file in ["home/venv/lib/x.py", "home/.pyenv/versions/3/lib/python3.1/os.py"] {
            assert!(m.reads("home/venv/bin/source-x", file), "{file}");
        }
        assert!(!m.reads("home/venv/bin/source-x", "home/.ssh/id"));
        assert!(!m.reads("home/venv/bin/source-x", "home/other/file"));
    }

    #[test]
    fn a_version_managers_shim_reads_all_of_it() {
        let m = Machine::new();
        m.file("home/.pyenv/shims/python3", "#!/usr/bin/env bash\n");
        m.file("home/.pyenv/versions/3/lib/os.py", "");
        m.file("project/source.py", "#!/usr/bin/env python3\n");
        assert!(m.reads("project/source.py", "home/.pyenv/versions/3/lib/os.py"));
        assert!(m.reads("project/source.py", "project/module.py"));
        assert!(!m.reads("project/source.py", "home/.ssh/id"));
    }

    #[test]
    fn what_holds_secrets_is_never_open_as_a_whole() {
        let m = Machine::new();
        for (program, closed) in [
            ("home/source", "home/.ssh/id"),
            ("home/bin/source", "home/.ssh/id"),
            ("source", "home/.ssh/id"),
            ("tmp/source", "tmp/lockgate-0/run-x/config.json"),
            ("home/.local/bin/source", "home/.local/share/keyrings/x"),
            ("home/.cargo/bin/source", "home/.cargo/credentials.toml"),
            ("project/source", "project/lockgate.toml"),
        ] {
            m.file(program, "");
            m.file(closed, "");
            assert!(m.reads(program, program), "{program}");
            assert!(!m.reads(program, closed), "{program} reads {closed}");
        }
        m.file("home/.local/lib/x.py", "");
        assert!(m.reads("home/.local/bin/source", "home/.local/lib/x.py"));
    }

    #[test]
    fn circles_end() {
        let m = Machine::new();
        m.file("a/x", "");
        symlink(m.at("a/one"), m.at("a/two")).unwrap();
        symlink(m.at("a/two"), m.at("a/one")).unwrap();
        m.reach("a/one");
        let me = m.at("a/me");
        m.file("a/me", &format!("#!{}\n", me.display()));
        m.reach("a/me");
        m.file("a/odd", "#!");
        m.reach("a/odd");
        m.reach("absent");
    }
}
