//! Listings of directories. The engine reads a whole directory into memory and keeps it while the
//! guest goes through it.
//!
//! The attack: a directory of many long names, listed again and again.

use std::collections::HashMap;
use std::fs::File;

/// What an entry takes besides its name.
const ENTRY: usize = 64;

/// The listings a guest holds, by their number, with their bytes.
#[derive(Default)]
pub(super) struct Lists {
    held: HashMap<u32, usize>,
    sum: usize,
}

impl Lists {
    /// Bytes that one more listing may have.
    pub(super) fn room(&self, limit: usize) -> usize {
        limit.saturating_sub(self.sum)
    }

    pub(super) fn add(&mut self, list: u32, bytes: usize) {
        self.sum += bytes;
        self.held.insert(list, bytes);
    }

    pub(super) fn remove(&mut self, list: u32) {
        self.sum -= self.held.remove(&list).unwrap_or(0);
    }
}

/// Bytes of a directory's listing; none when it has more than `most`.
pub(super) fn measure(directory: &File, most: usize) -> std::io::Result<Option<usize>> {
    use rustix::fs::{Dir, Mode, OFlags, openat};
    // A granted directory is open as a place only, not for reading.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let readable = openat(directory, c".", flags, Mode::empty())?;
    let mut bytes = ENTRY;
    for entry in Dir::new(readable)? {
        bytes += entry?.file_name().to_bytes().len() + ENTRY;
        if bytes > most {
            return Ok(None);
        }
    }
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::OpenOptionsExt;

    use super::*;

    #[test]
    fn a_directory_is_measured_also_when_it_is_open_as_a_place_only() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("name"), "").unwrap();
        let mut options = File::options();
        options.read(true).custom_flags(libc::O_PATH | libc::O_DIRECTORY);
        let place = options.open(folder.path()).unwrap();
        let three = 4 * ENTRY + ".".len() + "..".len() + "name".len();
        assert_eq!(measure(&place, 1000).unwrap(), Some(three));
        assert_eq!(measure(&place, three - 1).unwrap(), None);
    }

    #[test]
    fn room_comes_back() {
        let mut lists = Lists::default();
        lists.add(1, 10);
        lists.add(2, 20);
        assert_eq!(lists.room(25), 0);
        lists.remove(1);
        assert_eq!(lists.room(25), 5);
    }
}
