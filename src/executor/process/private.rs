//! What the host keeps in folders that a process is granted.
//!
//! The attack: the project's folder is granted, and in it are the states of other connectors, the
//! record of what this one did, and the policy of the next run.

use std::path::{Path, PathBuf};

use crate::sandbox::HOST_STATE;
use crate::sandbox::fence::FencePlan;

/// What is to be hidden of a plan: the host's state directly in what it opens, and that of the
/// project, which is `base` or above it, where that is in what it opens.
/// A folder that the program itself lies in is hidden but for the way there.
pub(super) fn hidden(
    plan: &FencePlan,
    granted: &[PathBuf],
    base: &Path,
    program: &Path,
) -> Vec<PathBuf> {
    let executed = program.parent().and_then(|folder| folder.canonicalize().ok());
    let executed = executed.unwrap_or_default();
    let real = |path: &PathBuf| path.canonicalize().ok();
    let granted: Vec<PathBuf> = granted.iter().filter_map(real).collect();
    let open: Vec<PathBuf> = plan.read.iter().chain(&plan.write).filter_map(real).collect();
    let base = base.canonicalize().unwrap_or_else(|_| base.to_owned());
    let projects = base.ancestors().filter(|folder| open.iter().any(|o| folder.starts_with(o)));
    let mut hidden: Vec<PathBuf> = granted
        .iter()
        .map(PathBuf::as_path)
        .chain(projects)
        .flat_map(|folder| HOST_STATE.map(|name| folder.join(name)))
        .filter(|path| is_exposed(path))
        .flat_map(|path| around(path, &executed))
        .collect();
    hidden.sort();
    hidden.dedup();
    hidden
}

/// What is to be hidden instead of a folder that an open one is in: everything beside the way to it.
fn around(hidden: PathBuf, open: &Path) -> Vec<PathBuf> {
    let is_in = hidden.canonicalize().is_ok_and(|real| open.starts_with(&real) && open != real);
    if !is_in {
        return vec![hidden];
    }
    let entries = std::fs::read_dir(&hidden).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .flat_map(|path| match path.canonicalize() {
            // The environment of a program in `bin` is what holds that.
            Ok(real) if open == real || open.parent() == Some(&real) => Vec::new(),
            _ => around(path, open),
        })
        .collect()
}

/// Whether there is something that a process of this user could read or change. There is nothing
/// where it is hidden already: in a lockgate that runs behind a fence itself.
fn is_exposed(path: &Path) -> bool {
    use rustix::fs::{Access, access};
    let holds = || std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
    match std::fs::metadata(path) {
        Ok(facts) if facts.is_dir() => holds() || access(path, Access::WRITE_OK).is_ok(),
        Ok(facts) => facts.is_file(),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_state_in_what_is_open() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let at = |name: &str| root.join(name);
        for name in ["work/.lockgate", "work/project/.lockgate", "work/project/deep", "data"] {
            std::fs::create_dir_all(at(name)).unwrap();
        }
        std::fs::write(at("work/project/lockgate.toml"), "").unwrap();
        let hides = |grant: &str, base: &str| {
            let plan = FencePlan { write: vec![at(grant)], ..FencePlan::default() };
            let hidden = hidden(&plan, &plan.write, &at(base), Path::new("/usr/bin/env"));
            let name = |path: &PathBuf| path.strip_prefix(&root).unwrap().display().to_string();
            hidden.iter().map(name).collect::<Vec<_>>()
        };
        let project = ["work/project/.lockgate", "work/project/lockgate.toml"];
        assert_eq!(hides("work/project", "data"), project);
        assert_eq!(hides("work/project", "work/project/deep"), project);
        assert_eq!(hides("work", "data"), ["work/.lockgate"]);
        assert_eq!(hides("work", "work/project/deep"), ["work/.lockgate", project[0], project[1]]);
        assert!(hides("data", "work/project").is_empty());
        assert!(hides("work/project/deep", "work/project/deep").is_empty());
    }

    #[test]
    fn a_program_in_the_hosts_state_is_not_hidden_from_itself() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        for name in ["runs/1", "python/a-1/bin", "python/a-1/lib", "python/b-2/bin"] {
            std::fs::create_dir_all(root.join(".lockgate").join(name)).unwrap();
        }
        std::fs::write(root.join(".lockgate/state.db"), "").unwrap();
        let plan = FencePlan { write: vec![root.clone()], ..FencePlan::default() };
        let program = root.join(".lockgate/python/a-1/bin/source-a");
        let hidden = hidden(&plan, &plan.write, &root, &program);
        let name = |path: &PathBuf| path.strip_prefix(&root).unwrap().display().to_string();
        let names: Vec<String> = hidden.iter().map(name).collect();
        assert_eq!(names, [".lockgate/python/b-2", ".lockgate/runs", ".lockgate/state.db"]);
    }
}
