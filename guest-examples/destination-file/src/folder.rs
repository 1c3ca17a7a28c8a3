//! The folder that a stream's files go to, and how one takes the place of another.
//!
//! | name in the directory | what it is |
//! |---|---|
//! | `orders/` | the stream's rows: what readers read |
//! | `orders/3-000007.parquet` | the seventh file in it, with rows of generation 3 |
//! | `orders/.3-000008.parquet.part` | one that is being written, or was not committed |
//! | `.orders.new-4/` | rows of generation 4, which replace the others when all are there |
//! | `.orders.old-4/` | what generation 4 replaced, about to be removed |
//!
//! No system call exchanges two folders everywhere, so there are two renames, with a moment between them
//! in which there is no `orders`: a reader finds the old rows, nothing, or the new ones, and never a
//! mixture. A run that was killed in that moment is finished by the next.

use lockgate_sdk::{Failure, fs, log};

use crate::plan::{Hidden, Plan, parse_hidden, partial_name};

/// The ending of a file that is not committed.
const PART: &str = ".part";

/// A folder that is open.
#[derive(Debug)]
pub(crate) struct Folder {
    directory: fs::Directory,
    /// How many files it has had; what it is called next.
    next: u64,
    generation: u64,
    ending: &'static str,
    /// Does it have a file that is committed?
    has_files: bool,
    /// Were names given since it was synced?
    unsynced: bool,
    /// Files that are whole and on the disk, and have no name yet.
    waiting: Vec<String>,
}

/// Does what earlier runs left to do, and removes what they left unfinished.
pub(crate) fn tidy(root: &fs::Directory, plans: &[Plan]) -> Result<(), Failure> {
    // What a kill cut in two is completed first: by it, a folder of new rows may be the stream's.
    let mut changed = complete_replacements(root, plans)?;
    for name in root.list()? {
        let Some((Hidden::Partial, folder, generation)) = parse_hidden(&name) else { continue };
        let Some(plan) = plans.iter().find(|plan| plan.folder == folder) else { continue };
        if plan.replaces && plan.continues && plan.generation == generation {
            continue;
        }
        log::info(format_args!("removing {name}, which an earlier run left unfinished"));
        remove(root, &name)?;
        changed = true;
    }
    if changed {
        root.sync()?;
    }
    Ok(())
}

/// Ends what a run began that was killed between the two renames, or before the old folder was removed.
/// Was there one?
fn complete_replacements(root: &fs::Directory, plans: &[Plan]) -> Result<bool, Failure> {
    let names = root.list()?;
    let mut changed = false;
    for name in &names {
        let Some((Hidden::Replaced, folder, generation)) = parse_hidden(name) else { continue };
        if !plans.iter().any(|plan| plan.folder == folder) {
            continue;
        }
        changed = true;
        if names.iter().any(|name| name == folder) {
            log::info(format_args!("removing {name}, which was replaced"));
            remove(root, name)?;
            continue;
        }
        let new = partial_name(folder, generation);
        if names.contains(&new) {
            log::info(format_args!("completing what an earlier run began: {new} becomes {folder}"));
            root.rename(&new, folder)?;
            remove(root, name)?;
        } else {
            log::info(format_args!("putting back what an earlier run took away: {folder}"));
            root.rename(name, folder)?;
        }
    }
    Ok(changed)
}

/// Removes a folder and the files in it.
pub(crate) fn remove(root: &fs::Directory, name: &str) -> Result<(), Failure> {
    let folder = fs::Directory::open(&format!("{}/{name}", root.path()))?;
    for file in folder.list()? {
        folder.remove_file(&file)?;
    }
    Ok(root.remove_directory(name)?)
}

impl Folder {
    /// Opens a folder and creates it where it is not there. What was not committed in it is removed.
    pub(crate) fn open(root: &fs::Directory, name: &str, plan: &Plan) -> Result<Self, Failure> {
        match root.create_directory(name) {
            Ok(()) => root.sync()?,
            Err(error) if *error.reason() == fs::Reason::Exists => {}
            Err(error) => return Err(error.into()),
        }
        let directory = fs::Directory::open(&format!("{}/{name}", root.path()))?;
        let mut next = 1;
        let mut has_files = false;
        for file in directory.list()? {
            if file.starts_with('.') && file.ends_with(PART) {
                directory.remove_file(&file)?;
            } else if let Some((_, number)) = parse_file(&file) {
                next = next.max(number.saturating_add(1));
                has_files = true;
            }
        }
        Ok(Self {
            directory,
            next,
            generation: plan.generation,
            ending: plan.table.options().ending(),
            has_files,
            unsynced: false,
            waiting: Vec::new(),
        })
    }

    /// Does the folder of this name have committed files of the generation?
    pub(crate) fn has_generation(
        root: &fs::Directory,
        name: &str,
        generation: u64,
    ) -> Result<bool, Failure> {
        // One that cannot be read is not taken for one that is not there.
        if !root.list()?.iter().any(|there| there == name) {
            return Ok(false);
        }
        let files = fs::Directory::open(&format!("{}/{name}", root.path()))?.list()?;
        Ok(files.iter().any(|file| parse_file(file).is_some_and(|(of, _)| of == generation)))
    }

    /// Does it have, or is it about to have, a file?
    pub(crate) fn has_files(&self) -> bool {
        self.has_files || !self.waiting.is_empty()
    }

    /// Begins a file: what it will be called, and the file.
    pub(crate) fn create(&mut self) -> Result<(String, fs::File), Failure> {
        let name = format!("{}-{:06}{}", self.generation, self.next, self.ending);
        self.next += 1;
        let file = self.directory.open_file(&hidden(&name), fs::Open::Truncate)?;
        Ok((name, file))
    }

    /// Says that a file is whole and on the disk.
    pub(crate) fn complete(&mut self, name: String) {
        self.waiting.push(name);
    }

    /// Gives the files their names, durably.
    pub(crate) fn publish(&mut self) -> Result<(), Failure> {
        for name in std::mem::take(&mut self.waiting) {
            self.directory.rename(&hidden(&name), &name)?;
            self.has_files = true;
            self.unsynced = true;
        }
        if std::mem::take(&mut self.unsynced) {
            self.directory.sync()?;
        }
        Ok(())
    }
}

/// Puts a complete folder in the place of the stream's.
pub(crate) fn replace(root: &fs::Directory, plan: &Plan) -> Result<(), Failure> {
    let (partial, replaced) = (plan.partial(), plan.replaced());
    let had = match root.rename(&plan.folder, &replaced) {
        Ok(()) => true,
        Err(error) if *error.reason() == fs::Reason::NotFound => false,
        Err(error) => return Err(error.into()),
    };
    root.rename(&partial, &plan.folder)?;
    root.sync()?;
    if had {
        remove(root, &replaced)?;
    }
    Ok(())
}

fn hidden(name: &str) -> String {
    format!(".{name}{PART}")
}

/// The generation and the number of a file.
fn parse_file(name: &str) -> Option<(u64, u64)> {
    let (generation, rest) = name.split_once('-')?;
    let (number, _) = rest.split_once('.')?;
    Some((generation.parse().ok()?, number.parse().ok()?))
}
