//! The host's files, through `wasi:filesystem`.

use self::bindings::wasi::filesystem::preopens::get_directories;
use self::bindings::wasi::filesystem::types::{
    Descriptor, DescriptorFlags, ErrorCode, OpenFlags, PathFlags,
};
use super::{Open, Reason};

mod bindings {
    wit_bindgen::generate!({
        world: "lockgate:sdk/filesystem",
        path: "wit",
        generate_all,
    });
}

/// A write hands this many bytes to the host at most, so that one huge row does not make the host
/// copy it whole.
const WRITE_BYTES: usize = 1024 * 1024;

#[derive(Debug)]
pub(super) struct Directory(Descriptor);

#[derive(Debug)]
pub(super) struct File(Descriptor);

impl Directory {
    pub(super) fn open(path: &str, change: bool) -> Result<Self, Reason> {
        let (granted, rest) = get_directories()
            .into_iter()
            .filter_map(|(granted, prefix)| Some((granted, below(path, &prefix)?)))
            .min_by_key(|(_, rest)| rest.len())
            .ok_or(Reason::NotGranted)?;
        if rest.is_empty() {
            return Ok(Self(granted));
        }
        let open =
            |flags| granted.open_at(PathFlags::SYMLINK_FOLLOW, rest, OpenFlags::DIRECTORY, flags);
        let both = DescriptorFlags::READ | DescriptorFlags::MUTATE_DIRECTORY;
        let opened = if change { open(both).ok() } else { None };
        opened.map_or_else(|| open(DescriptorFlags::READ), Ok).map(Self).map_err(reason)
    }

    pub(super) fn open_file(&self, name: &str, how: Open) -> Result<File, Reason> {
        let write = DescriptorFlags::READ | DescriptorFlags::WRITE;
        let (open, flags) = match how {
            Open::Read => (OpenFlags::empty(), DescriptorFlags::READ),
            Open::Write => (OpenFlags::CREATE, write),
            Open::Truncate => (OpenFlags::CREATE | OpenFlags::TRUNCATE, write),
        };
        self.0.open_at(PathFlags::SYMLINK_FOLLOW, name, open, flags).map(File).map_err(reason)
    }

    pub(super) fn list(&self) -> Result<Vec<String>, Reason> {
        let entries = self.0.read_directory().map_err(reason)?;
        let mut names = Vec::new();
        while let Some(entry) = entries.read_directory_entry().map_err(reason)? {
            names.push(entry.name);
        }
        Ok(names)
    }

    pub(super) fn rename(&self, from: &str, to: &str) -> Result<(), Reason> {
        self.0.rename_at(from, &self.0, to).map_err(reason)
    }

    pub(super) fn remove_file(&self, name: &str) -> Result<(), Reason> {
        self.0.unlink_file_at(name).map_err(reason)
    }

    pub(super) fn create_directory(&self, name: &str) -> Result<(), Reason> {
        self.0.create_directory_at(name).map_err(reason)
    }

    pub(super) fn remove_directory(&self, name: &str) -> Result<(), Reason> {
        self.0.remove_directory_at(name).map_err(reason)
    }

    pub(super) fn sync(&self) -> Result<(), Reason> {
        match self.0.sync() {
            // A filesystem without such a thing keeps names safe in its own way.
            Err(ErrorCode::Invalid | ErrorCode::Unsupported) => Ok(()),
            result => result.map_err(reason),
        }
    }
}

impl File {
    pub(super) fn size(&self) -> Result<u64, Reason> {
        Ok(self.0.stat().map_err(reason)?.size)
    }

    pub(super) fn modified(&self) -> Result<Option<u128>, Reason> {
        let time = self.0.stat().map_err(reason)?.data_modification_timestamp;
        Ok(time.map(|time| u128::from(time.seconds) * 1_000_000_000 + u128::from(time.nanoseconds)))
    }

    pub(super) fn set_size(&self, size: u64) -> Result<(), Reason> {
        self.0.set_size(size).map_err(reason)
    }

    pub(super) fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, Reason> {
        let (bytes, _) = self.0.read(buffer.len() as u64, offset).map_err(reason)?;
        let count = bytes.len().min(buffer.len());
        buffer[..count].copy_from_slice(&bytes[..count]);
        Ok(count)
    }

    pub(super) fn write_at(&self, bytes: &[u8], offset: u64) -> Result<usize, Reason> {
        let chunk = &bytes[..bytes.len().min(WRITE_BYTES)];
        let written = self.0.write(chunk, offset).map_err(reason)?;
        Ok(usize::try_from(written).map_or(chunk.len(), |written| written.min(chunk.len())))
    }

    pub(super) fn sync_data(&self) -> Result<(), Reason> {
        self.0.sync_data().map_err(reason)
    }
}

/// The part of `path` below the directory `prefix`, if it is there.
fn below<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(prefix.trim_end_matches('/'))?;
    (rest.is_empty() || rest.starts_with('/')).then(|| rest.trim_matches('/'))
}

fn reason(code: ErrorCode) -> Reason {
    match code {
        ErrorCode::Access | ErrorCode::NotPermitted | ErrorCode::ReadOnly => Reason::Denied,
        ErrorCode::NoEntry => Reason::NotFound,
        ErrorCode::Exist => Reason::Exists,
        ErrorCode::NotDirectory => Reason::NotADirectory,
        ErrorCode::IsDirectory => Reason::IsADirectory,
        ErrorCode::InsufficientSpace | ErrorCode::Quota | ErrorCode::FileTooLarge => {
            Reason::NoSpace
        }
        ErrorCode::NameTooLong => Reason::NameTooLong,
        ErrorCode::Invalid | ErrorCode::IllegalByteSequence => Reason::Invalid,
        other => Reason::Other(other.message().to_owned()),
    }
}
