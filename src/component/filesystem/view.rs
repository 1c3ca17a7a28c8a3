//! What a guest calls of `wasi:filesystem`: judged here, done by the engine's implementation.

use wasmtime::component::Resource;
use wasmtime_wasi::filesystem::Descriptor;
use wasmtime_wasi::p2::bindings::filesystem::preopens;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    Advice, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry, DirectoryEntryStream,
    ErrorCode, Filesize, Host, HostDescriptor, HostDirectoryEntryStream, MetadataHashValue,
    NewTimestamp, OpenFlags, PathFlags,
};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, FsError, FsResult};

use super::call::{FilesView, spent};
use super::quota::Spent;
use super::streams::Held;
use super::{Opened, listing, path, target};
use crate::protocol::Capability;

const READ: Capability = Capability::DirectoryRead;
const WRITE: Capability = Capability::DirectoryWrite;

impl preopens::Host for FilesView<'_> {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
        // Each call gives new descriptors.
        let quota = &self.files.quota;
        let slots: Result<Vec<_>, Spent> = self.files.grants.iter().map(|_| quota.open()).collect();
        let slots = slots?;
        let directories = preopens::Host::get_directories(&mut self.wasi)?;
        for (((fd, _), grant), slot) in directories.iter().zip(&self.files.grants).zip(slots) {
            let path = grant.guest.as_str().into();
            self.files.open.insert(fd.rep(), Opened { grant: grant.clone(), path, slot });
        }
        Ok(directories)
    }
}

impl Host for FilesView<'_> {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }

    fn filesystem_error_code(
        &mut self,
        error: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        if let Some(what) = self.wasi.table.get(&error)?.downcast_ref::<Spent>() {
            return Ok(Some(what.code()));
        }
        self.wasi.filesystem_error_code(error)
    }
}

impl HostDescriptor for FilesView<'_> {
    async fn advise(
        &mut self,
        fd: Resource<Descriptor>,
        offset: Filesize,
        len: Filesize,
        advice: Advice,
    ) -> FsResult<()> {
        self.files.may_read(fd.rep(), None)?;
        self.wasi.advise(fd, offset, len, advice).await
    }

    async fn sync_data(&mut self, fd: Resource<Descriptor>) -> FsResult<()> {
        self.files.opened(fd.rep())?;
        self.wasi.sync_data(fd).await
    }

    async fn sync(&mut self, fd: Resource<Descriptor>) -> FsResult<()> {
        self.files.opened(fd.rep())?;
        self.wasi.sync(fd).await
    }

    async fn get_flags(&mut self, fd: Resource<Descriptor>) -> FsResult<DescriptorFlags> {
        self.files.opened(fd.rep())?;
        self.wasi.get_flags(fd).await
    }

    async fn get_type(&mut self, fd: Resource<Descriptor>) -> FsResult<DescriptorType> {
        self.files.opened(fd.rep())?;
        self.wasi.get_type(fd).await
    }

    async fn set_size(&mut self, fd: Resource<Descriptor>, size: Filesize) -> FsResult<()> {
        self.files.may_write(fd.rep(), None)?;
        let now = self.file(&fd)?.metadata().map_err(FsError::from)?.len();
        // A hole takes no room at once, and all of it later.
        let growth = size.saturating_sub(now);
        self.charge(&fd, growth)?;
        let answer = self.wasi.set_size(fd, size).await;
        if answer.is_err() {
            self.files.quota.give_back(growth);
        }
        answer
    }

    async fn set_times(
        &mut self,
        fd: Resource<Descriptor>,
        accessed: NewTimestamp,
        modified: NewTimestamp,
    ) -> FsResult<()> {
        self.files.may_write(fd.rep(), None)?;
        self.wasi.set_times(fd, accessed, modified).await
    }

    async fn read(
        &mut self,
        fd: Resource<Descriptor>,
        len: Filesize,
        offset: Filesize,
    ) -> FsResult<(Vec<u8>, bool)> {
        self.files.may_read(fd.rep(), None)?;
        self.wasi.read(fd, len, offset).await
    }

    async fn write(
        &mut self,
        fd: Resource<Descriptor>,
        bytes: Vec<u8>,
        offset: Filesize,
    ) -> FsResult<Filesize> {
        self.files.may_write(fd.rep(), None)?;
        let asked = bytes.len() as u64;
        self.charge(&fd, asked)?;
        let answer = self.wasi.write(fd, bytes, offset).await;
        let written = answer.as_ref().map_or(0, |written| *written);
        self.files.quota.give_back(asked.saturating_sub(written));
        answer
    }

    async fn read_directory(
        &mut self,
        fd: Resource<Descriptor>,
    ) -> FsResult<Resource<DirectoryEntryStream>> {
        self.files.may_read(fd.rep(), None)?;
        let Descriptor::Dir(directory) = self.wasi.table.get(&fd)? else {
            return Err(ErrorCode::NotDirectory.into());
        };
        let (directory, most) =
            (directory.dir.clone(), self.files.lists.room(self.files.quota.listing_bytes()));
        let measured = if self.files.may_block {
            listing::measure(&directory, most)
        } else {
            let measuring = tokio::task::spawn_blocking(move || listing::measure(&directory, most));
            measuring.await.map_err(|_| FsError::from(ErrorCode::Io))?
        };
        let Some(bytes) = measured? else {
            return Err(spent(self.files.quota.refuse(Spent::Listing)));
        };
        let list = self.wasi.read_directory(fd).await?;
        self.files.lists.add(list.rep(), bytes);
        Ok(list)
    }

    async fn create_directory_at(
        &mut self,
        fd: Resource<Descriptor>,
        path: String,
    ) -> FsResult<()> {
        let at = fd.rep();
        self.may_change(&fd, &path).await?;
        let given = path.clone();
        let answer =
            self.creating(true, async move |wasi| wasi.create_directory_at(fd, given).await).await;
        self.files.heard(at, &path, WRITE, answer)
    }

    async fn stat(&mut self, fd: Resource<Descriptor>) -> FsResult<DescriptorStat> {
        self.files.opened(fd.rep())?;
        self.wasi.stat(fd).await
    }

    async fn stat_at(
        &mut self,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
    ) -> FsResult<DescriptorStat> {
        let at = fd.rep();
        self.files.may_read(at, Some(&path))?;
        let answer = self.wasi.stat_at(fd, flags, path.clone()).await;
        self.files.heard(at, &path, READ, answer)
    }

    async fn set_times_at(
        &mut self,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
        accessed: NewTimestamp,
        modified: NewTimestamp,
    ) -> FsResult<()> {
        let at = fd.rep();
        self.may_change(&fd, &path).await?;
        let answer = self.wasi.set_times_at(fd, flags, path.clone(), accessed, modified).await;
        self.files.heard(at, &path, WRITE, answer)
    }

    async fn link_at(
        &mut self,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        old: String,
        new_fd: Resource<Descriptor>,
        new: String,
    ) -> FsResult<()> {
        // Both ends: what is linked from a directory to read could be written through its new name.
        let at = new_fd.rep();
        self.may_change(&fd, &old).await?;
        self.may_change(&new_fd, &new).await?;
        let given = new.clone();
        let answer = self
            .creating(true, async move |wasi| wasi.link_at(fd, flags, old, new_fd, given).await)
            .await;
        self.files.heard(at, &new, WRITE, answer)
    }

    async fn open_at(
        &mut self,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
        how: OpenFlags,
        rights: DescriptorFlags,
    ) -> FsResult<Resource<Descriptor>> {
        let at = fd.rep();
        let creates = how.contains(OpenFlags::CREATE);
        let changes = creates
            || how.intersects(OpenFlags::TRUNCATE | OpenFlags::EXCLUSIVE)
            || rights.intersects(DescriptorFlags::WRITE | DescriptorFlags::MUTATE_DIRECTORY);
        let capability = if changes { WRITE } else { READ };
        if changes {
            self.files.may_write(at, Some(&path))?;
        }
        if rights.contains(DescriptorFlags::READ) || !changes {
            self.files.may_read(at, Some(&path))?;
        }
        let base = self.files.opened(at)?.clone();
        let found = self.found(&fd, flags, &path).await;
        let plain =
            [DescriptorType::RegularFile, DescriptorType::Directory, DescriptorType::SymbolicLink];
        if found.is_some_and(|kind| !plain.contains(&kind)) {
            // To open a pipe is to wait for its other end, and a device is no file.
            self.files.deny(capability, &target(&base.path, Some(&path)), "special-file");
            return Err(ErrorCode::NotPermitted.into());
        }
        let slot = self.files.quota.open().map_err(spent)?;
        let opened =
            Opened { grant: base.grant, path: target(&base.path, Some(&path)).into(), slot };
        let given = path.clone();
        let answer = self
            .creating(creates && found.is_none(), async move |wasi| {
                wasi.open_at(fd, flags, given, how, rights).await
            })
            .await;
        let fd = self.files.heard(at, &path, capability, answer)?;
        let file = self.file(&fd)?;
        if let Err(error) = self.files.placed(&opened, &file, capability) {
            HostDescriptor::drop(&mut self.wasi, fd).map_err(FsError::trap)?;
            return Err(error);
        }
        self.files.open.insert(fd.rep(), opened);
        Ok(fd)
    }

    fn drop(&mut self, fd: Resource<Descriptor>) -> wasmtime::Result<()> {
        self.files.open.remove(&fd.rep());
        HostDescriptor::drop(&mut self.wasi, fd)
    }

    async fn readlink_at(&mut self, fd: Resource<Descriptor>, path: String) -> FsResult<String> {
        let at = fd.rep();
        self.files.may_read(at, Some(&path))?;
        let answer = self.wasi.readlink_at(fd, path.clone()).await;
        self.files.heard(at, &path, READ, answer)
    }

    async fn remove_directory_at(
        &mut self,
        fd: Resource<Descriptor>,
        path: String,
    ) -> FsResult<()> {
        let at = fd.rep();
        self.may_change(&fd, &path).await?;
        let answer = self.wasi.remove_directory_at(fd, path.clone()).await;
        self.files.heard(at, &path, WRITE, answer)
    }

    async fn rename_at(
        &mut self,
        fd: Resource<Descriptor>,
        old: String,
        new_fd: Resource<Descriptor>,
        new: String,
    ) -> FsResult<()> {
        let at = new_fd.rep();
        self.may_change(&fd, &old).await?;
        self.may_change(&new_fd, &new).await?;
        let answer = self.wasi.rename_at(fd, old, new_fd, new.clone()).await;
        self.files.heard(at, &new, WRITE, answer)
    }

    async fn symlink_at(
        &mut self,
        fd: Resource<Descriptor>,
        old: String,
        new: String,
    ) -> FsResult<()> {
        let at = fd.rep();
        self.may_change(&fd, &new).await?;
        if let Err(refusal) = path::check_link(&old) {
            let named = format!("{new} -> {old}");
            let base = &self.files.opened(at)?.path;
            self.files.deny(WRITE, &target(base, Some(&named)), refusal.rule);
            return Err(refusal.code.into());
        }
        let given = new.clone();
        let answer =
            self.creating(true, async move |wasi| wasi.symlink_at(fd, old, given).await).await;
        self.files.heard(at, &new, WRITE, answer)
    }

    async fn unlink_file_at(&mut self, fd: Resource<Descriptor>, path: String) -> FsResult<()> {
        let at = fd.rep();
        self.may_change(&fd, &path).await?;
        let answer = self.wasi.unlink_file_at(fd, path.clone()).await;
        self.files.heard(at, &path, WRITE, answer)
    }

    fn read_via_stream(
        &mut self,
        fd: Resource<Descriptor>,
        offset: Filesize,
    ) -> FsResult<Resource<DynInputStream>> {
        self.files.may_read(fd.rep(), None)?;
        let slot = self.files.opened(fd.rep())?.slot.clone();
        let stream = self.wasi.read_via_stream(fd, offset)?;
        let place = self.wasi.table.get_mut(&stream)?;
        let inner = std::mem::replace(place, Box::new(wasmtime_wasi::p2::pipe::ClosedInputStream));
        *place = Box::new(Held::new(inner, slot));
        Ok(stream)
    }

    fn write_via_stream(
        &mut self,
        fd: Resource<Descriptor>,
        offset: Filesize,
    ) -> FsResult<Resource<DynOutputStream>> {
        self.files.may_write(fd.rep(), None)?;
        let (opened, file) = (self.files.opened(fd.rep())?.clone(), self.file(&fd)?);
        let stream = self.wasi.write_via_stream(fd, offset)?;
        self.meter(stream, opened, file)
    }

    fn append_via_stream(
        &mut self,
        fd: Resource<Descriptor>,
    ) -> FsResult<Resource<DynOutputStream>> {
        self.files.may_write(fd.rep(), None)?;
        let (opened, file) = (self.files.opened(fd.rep())?.clone(), self.file(&fd)?);
        let stream = self.wasi.append_via_stream(fd)?;
        self.meter(stream, opened, file)
    }

    async fn is_same_object(
        &mut self,
        a: Resource<Descriptor>,
        b: Resource<Descriptor>,
    ) -> wasmtime::Result<bool> {
        self.wasi.is_same_object(a, b).await
    }

    async fn metadata_hash(&mut self, fd: Resource<Descriptor>) -> FsResult<MetadataHashValue> {
        self.files.opened(fd.rep())?;
        self.wasi.metadata_hash(fd).await
    }

    async fn metadata_hash_at(
        &mut self,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
    ) -> FsResult<MetadataHashValue> {
        let at = fd.rep();
        self.files.may_read(at, Some(&path))?;
        let answer = self.wasi.metadata_hash_at(fd, flags, path.clone()).await;
        self.files.heard(at, &path, READ, answer)
    }
}

impl HostDirectoryEntryStream for FilesView<'_> {
    async fn read_directory_entry(
        &mut self,
        list: Resource<DirectoryEntryStream>,
    ) -> FsResult<Option<DirectoryEntry>> {
        self.wasi.read_directory_entry(list).await
    }

    fn drop(&mut self, list: Resource<DirectoryEntryStream>) -> wasmtime::Result<()> {
        self.files.lists.remove(list.rep());
        HostDirectoryEntryStream::drop(&mut self.wasi, list)
    }
}
