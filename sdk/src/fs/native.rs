//! The machine's own files, through `std::fs`.

use std::fs;
use std::io;
use std::path::PathBuf;

use super::{Open, Reason};

#[derive(Debug)]
pub(super) struct Directory(PathBuf);

#[derive(Debug)]
pub(super) struct File(fs::File);

impl Directory {
    pub(super) fn open(path: &str, _change: bool) -> Result<Self, Reason> {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => Ok(Self(PathBuf::from(path))),
            Ok(_) => Err(Reason::NotADirectory),
            // There are no grants here; what is not there is what a component was not given.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Reason::NotGranted),
            Err(error) => Err(reason(error)),
        }
    }

    pub(super) fn open_file(&self, name: &str, how: Open) -> Result<File, Reason> {
        let mut options = fs::OpenOptions::new();
        options.read(true);
        match how {
            Open::Read => &mut options,
            Open::Write => options.write(true).create(true),
            Open::Truncate => options.write(true).create(true).truncate(true),
        };
        options.open(self.0.join(name)).map(File).map_err(reason)
    }

    pub(super) fn list(&self) -> Result<Vec<String>, Reason> {
        fs::read_dir(&self.0)
            .map_err(reason)?
            .map(|entry| {
                let name = entry.map_err(reason)?.file_name();
                name.into_string().map_err(|_| Reason::Invalid)
            })
            .collect()
    }

    pub(super) fn rename(&self, from: &str, to: &str) -> Result<(), Reason> {
        fs::rename(self.0.join(from), self.0.join(to)).map_err(reason)
    }

    pub(super) fn remove_file(&self, name: &str) -> Result<(), Reason> {
        fs::remove_file(self.0.join(name)).map_err(reason)
    }

    pub(super) fn create_directory(&self, name: &str) -> Result<(), Reason> {
        fs::create_dir(self.0.join(name)).map_err(reason)
    }

    pub(super) fn remove_directory(&self, name: &str) -> Result<(), Reason> {
        fs::remove_dir(self.0.join(name)).map_err(reason)
    }

    pub(super) fn sync(&self) -> Result<(), Reason> {
        // Only on Unix can a directory be opened as a file and synced.
        if cfg!(unix) {
            let directory = fs::File::open(&self.0).map_err(reason)?;
            match directory.sync_all() {
                // A filesystem without such a thing keeps names safe in its own way.
                Err(error) if is_unsupported(&error) => {}
                result => result.map_err(reason)?,
            }
        }
        Ok(())
    }
}

impl File {
    pub(super) fn size(&self) -> Result<u64, Reason> {
        Ok(self.0.metadata().map_err(reason)?.len())
    }

    pub(super) fn modified(&self) -> Result<Option<u128>, Reason> {
        let time = self.0.metadata().map_err(reason)?.modified().ok();
        let since = time.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        Ok(since.map(|since| since.as_nanos()))
    }

    pub(super) fn set_size(&self, size: u64) -> Result<(), Reason> {
        self.0.set_len(size).map_err(reason)
    }

    #[cfg(unix)]
    pub(super) fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, Reason> {
        std::os::unix::fs::FileExt::read_at(&self.0, buffer, offset).map_err(reason)
    }

    #[cfg(unix)]
    pub(super) fn write_at(&self, bytes: &[u8], offset: u64) -> Result<usize, Reason> {
        std::os::unix::fs::FileExt::write_at(&self.0, bytes, offset).map_err(reason)
    }

    #[cfg(not(unix))]
    pub(super) fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, Reason> {
        use std::io::{Read, Seek};
        (&self.0).seek(io::SeekFrom::Start(offset)).map_err(reason)?;
        (&self.0).read(buffer).map_err(reason)
    }

    #[cfg(not(unix))]
    pub(super) fn write_at(&self, bytes: &[u8], offset: u64) -> Result<usize, Reason> {
        use std::io::{Seek, Write};
        (&self.0).seek(io::SeekFrom::Start(offset)).map_err(reason)?;
        (&self.0).write(bytes).map_err(reason)
    }

    pub(super) fn sync_data(&self) -> Result<(), Reason> {
        self.0.sync_data().map_err(reason)
    }
}

fn is_unsupported(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported)
}

fn reason(error: io::Error) -> Reason {
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Reason::Denied,
        io::ErrorKind::NotFound => Reason::NotFound,
        io::ErrorKind::AlreadyExists => Reason::Exists,
        io::ErrorKind::NotADirectory => Reason::NotADirectory,
        io::ErrorKind::IsADirectory => Reason::IsADirectory,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Reason::NoSpace,
        io::ErrorKind::InvalidFilename => Reason::NameTooLong,
        io::ErrorKind::InvalidInput => Reason::Invalid,
        _ => Reason::Other(error.to_string()),
    }
}
