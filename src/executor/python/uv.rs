//! uv, which makes environments: the operator's, or one of Lockgate's own.
//!
//! Lockgate's own is the wheel of one version from the package index, unpacked by pip: nothing of it
//! runs while it is installed. It is made aside under a lock and takes its name when it is whole.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::PythonError;
use super::locks::Lock;
use super::program::{Workshop, private_folder};
use super::redact::last_lines;
use crate::protocol::{LogLevel, Observer};

/// The version that is installed where there is none.
pub(super) const VERSION: &str = "0.13.9";
/// The oldest that is used where there is one: older ones know the variables by other names.
const OLDEST: (u32, u32) = (0, 5);

/// A uv that can be used.
#[derive(Debug, Clone)]
pub(super) struct Uv {
    /// The program.
    pub(super) program: PathBuf,
    /// Its version.
    pub(super) version: String,
}

/// Finds uv on `PATH`, or gets it; waits for another process that does no longer than `patience`.
pub(super) async fn find(
    workshop: &Workshop,
    patience: Duration,
    observer: &dyn Observer,
) -> Result<Uv, PythonError> {
    for program in Workshop::on_path("uv") {
        // A version manager's shim may have no uv behind it.
        match version(workshop, &program).await {
            Some(version) if is_recent(&version) => return Ok(Uv { program, version }),
            Some(version) => {
                let shown = program.display();
                let text = format!("{shown} is uv {version}, which is too old; using {VERSION}");
                observer.log(LogLevel::Warn, &text);
            }
            None => {}
        }
    }
    get(workshop, patience, observer).await
}

async fn version(workshop: &Workshop, program: &Path) -> Option<String> {
    let ended = workshop.trusted(program).arguments(["--version"]).run().await.ok()?;
    let mut words = ended.stdout.split_whitespace();
    (ended.good && words.next() == Some("uv")).then(|| words.next().map(str::to_owned))?
}

fn is_recent(version: &str) -> bool {
    let mut numbers = version.split('.').map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= OLDEST
}

/// Lockgate's own, installed if it is not there.
async fn get(
    workshop: &Workshop,
    patience: Duration,
    observer: &dyn Observer,
) -> Result<Uv, PythonError> {
    let folder = workshop.cache.join("uv");
    let program = folder.join(VERSION).join("uv");
    let uv = Uv { program: program.clone(), version: VERSION.to_owned() };
    if program.is_file() {
        return Ok(uv);
    }
    private_folder(&folder)?;
    let lock = Lock::open(&folder.join(".lock"))?;
    lock.exclusive(observer, "uv", patience).await?;
    if program.is_file() {
        return Ok(uv);
    }
    observer.log(LogLevel::Info, &format!("installing uv {VERSION} into {}", folder.display()));
    let failed =
        |e: std::io::Error| PythonError::Folder { path: folder.clone(), reason: e.to_string() };
    // What one that was killed left.
    for entry in std::fs::read_dir(&folder).map_err(failed)?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(".making-") {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    let making = tempfile::Builder::new().prefix(".making-").tempdir_in(&folder).map_err(failed)?;
    let made = unpack(workshop, making.path()).await?;
    let whole = making.path().join("whole");
    std::fs::create_dir(&whole).map_err(failed)?;
    std::fs::rename(made, whole.join("uv")).map_err(failed)?;
    if let Some(target) = program.parent() {
        // Not whole, or it would have been used.
        let _ = std::fs::remove_dir_all(target);
        std::fs::rename(&whole, target).map_err(failed)?;
    }
    Ok(uv)
}

/// Has pip unpack the wheel in a folder; gives the program. By a virtual environment of its own, or
/// where this Python makes none, by its own pip.
async fn unpack(workshop: &Workshop, making: &Path) -> Result<PathBuf, PythonError> {
    let missing = |reason| PythonError::Uv { version: VERSION, reason };
    let pythons: Vec<PathBuf> =
        ["python3", "python"].iter().flat_map(|name| Workshop::on_path(name)).collect();
    if pythons.is_empty() {
        return Err(missing("there is no python3 on PATH to install it with".into()));
    }
    let requirement = format!("uv=={VERSION}");
    let install = ["-m", "pip", "install", "--no-deps", "--only-binary", ":all:", &requirement];
    let mut reason = String::new();
    for (number, python) in pythons.iter().enumerate() {
        let venv = making.join(format!("venv-{number}"));
        let target = making.join(format!("target-{number}"));
        let run = async |program: &Path, words: &[&str], path: Option<&Path>| {
            let call = workshop.trusted(program).arguments(words).arguments(path);
            match call.run().await {
                Ok(ended) if ended.good => Ok(()),
                Ok(ended) => Err(format!("{}: {}", program.display(), ended.said())),
                Err(e) => Err(format!("{}: {e}", program.display())),
            }
        };
        let own = venv.join("bin/python");
        let mut made = run(python, &["-m", "venv"], Some(&venv)).await;
        if made.is_ok() {
            made = run(&own, &install, None).await;
        } else {
            let words = [&install[..], &["--target"]].concat();
            made = run(python, &words, Some(&target)).await.map_err(|second| match made {
                Err(first) => format!("{first}\n{second}"),
                Ok(()) => second,
            });
        }
        match made {
            Ok(()) => {
                let places = [venv.join("bin/uv"), target.join("bin/uv")];
                let found = places.into_iter().find(|file| file.is_file());
                return found.ok_or_else(|| missing("its wheel has no program uv".into()));
            }
            Err(said) => reason.push_str(&format!("{said}\n")),
        }
    }
    Err(missing(last_lines(&reason)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_versions_are_not_used() {
        for (version, recent) in
            [("0.4.30", false), ("0.5.0", true), ("0.13.9", true), ("1.0", true), ("x", false)]
        {
            assert_eq!(is_recent(version), recent, "{version}");
        }
        assert!(is_recent(VERSION));
    }
}
