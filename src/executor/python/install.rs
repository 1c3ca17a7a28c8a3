//! Makes an environment: a Python of its own by `uv venv`, the packages by `uv pip install`, and a
//! note of what that came to.

use std::io::Read;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::environments::{Making, PythonEnvironments};
use super::manifest::{FORMAT, Manifest, digest, version_in};
use super::program::{Call, Ended, Opened, Workshop};
use super::requirement::{Requirement, connector_name};
use super::words::Told;
use super::{Interpreter, PythonError, uv};
use crate::executor::ExecutorError;
use crate::protocol::{LogLevel, Observer};
use crate::sandbox::{Policy, redacted};

/// Installs a requirement in its environment, which whoever calls has locked. In the time that the
/// policy says, and behind its fence.
pub(super) async fn install(
    workshop: &Workshop,
    all: &PythonEnvironments,
    requirement: &Requirement,
    policy: &Policy,
    observer: &dyn Observer,
) -> Result<(), ExecutorError> {
    let limit = policy.limits.install_time;
    let installing = make(workshop, all, requirement, policy, observer);
    match tokio::time::timeout(limit, installing).await {
        Ok(result) => result,
        Err(_) => Err(PythonError::Overdue { requirement: requirement.line(), limit }.into()),
    }
}

async fn make(
    workshop: &Workshop,
    all: &PythonEnvironments,
    requirement: &Requirement,
    policy: &Policy,
    observer: &dyn Observer,
) -> Result<(), ExecutorError> {
    let begun = Instant::now();
    let (id, line) = (requirement.id(), requirement.line());
    let interpreter = interpreter(requirement)?;
    let told = Told::of(&requirement.words)?;
    let uv = uv::find(workshop, policy.limits.install_time, observer).await?;
    observer.log(LogLevel::Info, &format!("installing {line} with uv {}", uv.version));
    let making = all.begin(&id)?;

    // A Python may be downloaded before anything of the package runs, and never after.
    let mut opened =
        Opened { write: vec![making.folder.clone()], pythons: true, ..Opened::default() };
    if let Interpreter::Path(path) = &requirement.interpreter {
        opened.interpreters.push(path.clone());
    }
    let call = workshop.fenced(&uv.program, &making.scratch, policy, &opened)?;
    let call = call.arguments(["venv", "--no-project"]);
    let ended = run(call.arguments(interpreter).arguments([&making.folder])).await?;
    if !ended.good {
        let wanted = match &requirement.interpreter {
            Interpreter::Any => "Python".to_owned(),
            other => format!("Python {}", other.word()),
        };
        let reason = ended.said();
        return Err(PythonError::Missing { wanted, requirement: line, reason }.into());
    }

    let python = making.folder.join("bin/python");
    opened.pythons = false;
    opened.interpreters.push(python.clone());
    // A build writes beside its sources.
    opened.write.extend(requirement.local().into_iter().filter(|path| path.is_dir()));
    opened.read.extend(requirement.local().into_iter().filter(|path| !path.is_dir()));
    let call = workshop.fenced(&uv.program, &making.scratch, policy, &opened)?;
    // Compiled now: the process of a connector cannot write here, and would compile at every start.
    let words = ["pip", "install", "--compile-bytecode", "--python"];
    let call = call.arguments(words).arguments([&python]).in_folder(requirement.base());
    let named = told
        .file(&making.scratch)
        .map_err(|e| PythonError::Folder { path: making.scratch.clone(), reason: e.to_string() })?;
    let call = call.told(&told).arguments(named.into_iter().flatten());
    let ended = run(call.arguments(&told.arguments)).await?;
    if !ended.good {
        return Err(PythonError::Install { requirement: line, reason: ended.said() }.into());
    }

    let call = workshop.fenced(&uv.program, &making.scratch, policy, &opened)?;
    let ended = run(call.arguments(["pip", "freeze", "--python"]).arguments([&python])).await?;
    if !ended.good {
        return Err(PythonError::Install { requirement: line, reason: ended.said() }.into());
    }
    let packages: Vec<String> = ended.stdout.lines().map(redacted).collect();
    let count = packages.len();
    finish(making, requirement, &uv.version, packages)?;
    let took = begun.elapsed().as_secs_f64();
    observer.log(LogLevel::Info, &format!("installed {count} packages for {line} in {took:.1} s"));
    Ok(())
}

/// What uv is told of the interpreter.
fn interpreter(requirement: &Requirement) -> Result<Vec<String>, PythonError> {
    let word = match &requirement.interpreter {
        Interpreter::Any => return Ok(Vec::new()),
        Interpreter::Version(version) => version.clone(),
        Interpreter::Path(path) => {
            let missing = |reason: &str| PythonError::Missing {
                wanted: path.display().to_string(),
                requirement: requirement.line(),
                reason: reason.to_owned(),
            };
            let facts = std::fs::metadata(path).map_err(|e| missing(&e.to_string()))?;
            if !facts.is_file() || facts.permissions().mode() & 0o111 == 0 {
                return Err(missing("it is no program"));
            }
            path.display().to_string()
        }
    };
    Ok(vec!["--python".into(), word])
}

async fn run(call: Call) -> Result<Ended, ExecutorError> {
    call.run().await.map_err(|e| ExecutorError::Io { what: "running uv", reason: e.to_string() })
}

fn finish(
    making: Making,
    requirement: &Requirement,
    uv: &str,
    packages: Vec<String>,
) -> Result<(), PythonError> {
    let created = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let package = requirement.package();
    let size = settle(&making.folder);
    let manifest = Manifest {
        format: FORMAT,
        id: requirement.id(),
        name: connector_name(&requirement.words),
        requirement: requirement.shown(),
        interpreter: requirement.interpreter.word(),
        python: python_version(&making.folder).unwrap_or_else(|| "unknown".into()),
        uv: uv.to_owned(),
        programs: programs(&making.folder, package.as_deref()),
        version: package.and_then(|name| version_in(&packages, &name)),
        digest: digest(&packages),
        packages,
        size,
        created_ms: u64::try_from(created.as_millis()).unwrap_or(u64::MAX),
    };
    making.finish(&manifest)
}

/// The version that an environment says it is of.
fn python_version(folder: &Path) -> Option<String> {
    let text = std::fs::read_to_string(folder.join("pyvenv.cfg")).ok()?;
    let mut lines = text.lines().filter_map(|line| line.split_once('='));
    let found = lines.find(|(key, _)| matches!(key.trim(), "version_info" | "version"));
    found.map(|(_, value)| value.trim().to_owned())
}

/// The programs of the package that was asked for, or of all, where nothing says which that is.
fn programs(folder: &Path, package: Option<&str>) -> Vec<String> {
    let mut asked = Vec::new();
    let mut all = Vec::new();
    for site in entries(&folder.join("lib")).into_iter().map(|lib| lib.join("site-packages")) {
        for facts in entries(&site) {
            if facts.extension().is_none_or(|e| e != "dist-info") {
                continue;
            }
            let text = std::fs::read_to_string(facts.join("entry_points.txt")).unwrap_or_default();
            let found: Vec<String> = console_scripts(&text)
                .into_iter()
                .filter(|name| folder.join("bin").join(name).is_file())
                .collect();
            // `airbyte_source_faker-7.2.1.dist-info`
            let name = facts.file_name().map(|name| name.to_string_lossy().to_lowercase());
            let name = name.unwrap_or_default();
            let name = name.split('-').next().unwrap_or_default().replace(['_', '.'], "-");
            if package == Some(name.as_str()) {
                asked.extend(found.clone());
            }
            all.extend(found);
        }
    }
    let mut programs = if asked.is_empty() { all } else { asked };
    programs.sort();
    programs.dedup();
    programs
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.flatten().map(|entry| entry.path()).collect()
}

/// The names in `[console_scripts]`; none that leads out of the folder of programs.
fn console_scripts(text: &str) -> Vec<String> {
    let mut inside = false;
    let mut names = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line == "[console_scripts]";
        } else if let (true, Some((name, _))) = (inside, line.split_once('=')) {
            let name = name.trim();
            if !name.is_empty() && !name.starts_with(['.', '#', ';']) && !name.contains('/') {
                names.push(name.to_owned());
            }
        }
    }
    names
}

/// Lets programs and scripts be executed, and gives the bytes of all files. The fence keeps an
/// installation from setting modes, since it cannot know of which files. Links are not followed.
fn settle(folder: &Path) -> u64 {
    let mut bytes = 0;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for path in entries(&folder) {
            match std::fs::symlink_metadata(&path) {
                Ok(facts) if facts.is_dir() => folders.push(path),
                Ok(facts) => {
                    bytes += facts.len();
                    // What cannot be opened cannot be executed.
                    let _ = make_executable(&path);
                }
                Err(_) => {}
            }
        }
    }
    bytes
}

/// Whoever may read a file that begins as a program or as a script may execute it.
fn make_executable(path: &Path) -> std::io::Result<()> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let mut file = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let facts = file.metadata()?;
    if !facts.is_file() {
        return Ok(());
    }
    let mut head = [0; 4];
    file.read_exact(&mut head)?;
    if &head == b"\x7fELF" || head.starts_with(b"#!") {
        let mode = facts.permissions().mode();
        let wanted = mode | ((mode & 0o444) >> 2);
        if wanted != mode {
            file.set_permissions(std::fs::Permissions::from_mode(wanted))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_programs_of_a_package() {
        let text = "[gui_scripts]\nno = x\n[console_scripts]\nsource-x = source_x.run:run\n\
                    ../../evil = x\n# c = d\nother=y:z\n\n[pytest11]\nalso-no = x\n";
        assert_eq!(console_scripts(text), ["source-x", "other"]);
        let folder = tempfile::tempdir().unwrap();
        let site = folder.path().join("lib/python3.11/site-packages");
        std::fs::create_dir_all(folder.path().join("bin")).unwrap();
        for (name, script) in [("Airbyte_Source_x-1", "source-x"), ("dep-2", "tool")] {
            let facts = site.join(format!("{name}.dist-info"));
            std::fs::create_dir_all(&facts).unwrap();
            let text = format!("[console_scripts]\n{script} = a:b\nabsent = a:b\n");
            std::fs::write(facts.join("entry_points.txt"), text).unwrap();
            std::fs::write(folder.path().join("bin").join(script), "").unwrap();
        }
        assert_eq!(programs(folder.path(), Some("airbyte-source-x")), ["source-x"]);
        // Named by an address, whose last part is not the package's name.
        assert_eq!(programs(folder.path(), Some("archive")), ["source-x", "tool"]);
        assert_eq!(programs(folder.path(), None), ["source-x", "tool"]);
    }

    #[test]
    fn programs_and_scripts_can_be_executed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let mode = |name: &str| std::fs::metadata(at(name)).unwrap().permissions().mode() & 0o777;
        for (name, text) in [("s", "#!/bin/sh"), ("e", "\x7fELF.."), ("d", "data"), ("x", "")] {
            std::fs::write(at(name), text).unwrap();
            std::fs::set_permissions(at(name), std::fs::Permissions::from_mode(0o640)).unwrap();
        }
        let outside = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(outside.path(), "#!/bin/sh").unwrap();
        std::os::unix::fs::symlink(outside.path(), at("link")).unwrap();
        assert!(settle(folder.path()) > 19);
        assert_eq!((mode("s"), mode("e"), mode("d"), mode("x")), (0o750, 0o750, 0o640, 0o640));
        assert_eq!(mode("link"), 0o600, "what a link leads to is left alone");
    }
}
