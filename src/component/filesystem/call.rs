//! One call of a guest: the engine's implementation, and our account in front of it.

use std::sync::Arc;

use wasmtime::component::{HasData, Resource};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemCtxView};
use wasmtime_wasi::p2::bindings::filesystem::types::{
    DescriptorFlags, DescriptorType, ErrorCode, HostDescriptor, OpenFlags, PathFlags,
};
use wasmtime_wasi::p2::{DynOutputStream, FsError, FsResult};

use super::quota::Spent;
use super::streams::Metered;
use super::{Files, Opened, target};
use crate::protocol::Capability;

/// The engine's implementation and our account, for one call.
pub(in crate::component) struct FilesView<'a> {
    pub(in crate::component) wasi: WasiFilesystemCtxView<'a>,
    pub(in crate::component) files: &'a mut Files,
}

/// For the linker.
pub(in crate::component) struct HasFiles;

impl HasData for HasFiles {
    type Data<'a> = FilesView<'a>;
}

pub(super) fn spent(what: Spent) -> FsError {
    what.code().into()
}

pub(super) fn again<T: 'static>(resource: &Resource<T>) -> Resource<T> {
    Resource::new_borrow(resource.rep())
}

impl FilesView<'_> {
    /// Takes the bytes that are to be written to a file.
    pub(super) fn charge(&self, fd: &Resource<Descriptor>, bytes: u64) -> FsResult<()> {
        let Descriptor::File(file) = self.wasi.table.get(fd)? else {
            return Err(ErrorCode::IsDirectory.into());
        };
        let opened = self.files.opened(fd.rep())?;
        self.files.quota.write(&opened.grant.disk, &file.file, bytes).map_err(spent)
    }

    /// What there is at a path before it is opened; none: nothing, or nothing that can be seen.
    pub(super) async fn found(
        &mut self,
        fd: &Resource<Descriptor>,
        flags: PathFlags,
        path: &str,
    ) -> Option<DescriptorType> {
        let stat = self.wasi.stat_at(again(fd), flags, path.to_owned()).await;
        stat.ok().map(|stat| stat.type_)
    }

    /// Whether what is at a path may be made, moved or removed. The directory it is in must be where it
    /// may be, also when a link leads there.
    pub(super) async fn may_change(
        &mut self,
        fd: &Resource<Descriptor>,
        path: &str,
    ) -> FsResult<()> {
        self.files.may_write(fd.rep(), Some(path))?;
        let Some((parent, _)) = path.trim_end_matches('/').rsplit_once('/') else { return Ok(()) };
        let (how, read) = (OpenFlags::DIRECTORY, DescriptorFlags::READ);
        let follow = PathFlags::SYMLINK_FOLLOW;
        // What cannot be opened is refused by whoever is asked next, with the right error.
        let Ok(parent) = self.wasi.open_at(again(fd), follow, parent.to_owned(), how, read).await
        else {
            return Ok(());
        };
        let directory = self.file(&parent)?;
        let opened = self.files.opened(fd.rep())?;
        let at = Opened { path: target(&opened.path, Some(path)).into(), ..opened.clone() };
        HostDescriptor::drop(&mut self.wasi, parent).map_err(FsError::trap)?;
        self.files.placed(&at, &directory, Capability::DirectoryWrite)
    }

    /// The file behind a descriptor.
    pub(super) fn file(&self, fd: &Resource<Descriptor>) -> FsResult<Arc<std::fs::File>> {
        Ok(match self.wasi.table.get(fd)? {
            Descriptor::File(file) => file.file.clone(),
            Descriptor::Dir(directory) => directory.dir.clone(),
        })
    }

    /// Does something that may create a file or a directory, and counts it if it does.
    pub(super) async fn creating<T>(
        &mut self,
        creates: bool,
        body: impl AsyncFnOnce(&mut WasiFilesystemCtxView<'_>) -> FsResult<T>,
    ) -> FsResult<T> {
        if creates {
            self.files.quota.create().map_err(spent)?;
        }
        let answer = body(&mut self.wasi).await;
        if creates && answer.is_err() {
            self.files.quota.not_created();
        }
        answer
    }

    /// Puts the account in front of a stream that writes.
    pub(super) fn meter(
        &mut self,
        stream: Resource<DynOutputStream>,
        opened: Opened,
        file: Arc<std::fs::File>,
    ) -> FsResult<Resource<DynOutputStream>> {
        let place = self.wasi.table.get_mut(&stream)?;
        let inner = std::mem::replace(place, Box::new(wasmtime_wasi::p2::pipe::ClosedOutputStream));
        *place = Box::new(Metered::new(inner, opened, file));
        Ok(stream)
    }
}
