//! Compiled code on its way into a worker.
//!
//! The attack: whoever can change compiled code between its check and its use runs code as this
//! user, and a worker that could write the cache of compiled code could do so to the next sync. So
//! a worker is given the code itself, in memory that nobody can change any more, and no path.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{MemfdFlags, SealFlags};

use super::runtime::deserialize;
use super::{Component, ComponentError, ComponentRuntime, Interruption, Resolver, engine};
use crate::sandbox::{Limits, Policy};

/// A component's compiled code, in sealed memory.
#[derive(Debug)]
pub struct Image(OwnedFd);

impl Image {
    /// Takes over a descriptor that was made by [`Component::image`], in this process or in the one
    /// that started it.
    pub(crate) fn from_descriptor(descriptor: OwnedFd) -> Self {
        Self(descriptor)
    }

    /// The code. It is refused where its memory could still be changed.
    fn read(&self) -> std::io::Result<Vec<u8>> {
        if !rustix::fs::fcntl_get_seals(&self.0)?.contains(SEALS) {
            return Err(std::io::Error::other("its memory is not sealed"));
        }
        let mut file = File::from(self.0.try_clone()?);
        file.rewind()?;
        let length = file.metadata()?.len();
        let mut code = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
        file.read_to_end(&mut code)?;
        Ok(code)
    }
}

impl AsFd for Image {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

const SEALS: SealFlags =
    SealFlags::WRITE.union(SealFlags::SHRINK).union(SealFlags::GROW).union(SealFlags::SEAL);

impl Component {
    /// What turns names into addresses for it; in a worker, its parent's.
    pub(crate) fn resolver(&self) -> Arc<dyn Resolver> {
        self.runtime.resolver()
    }

    /// Where compiled code is kept: never written by a guest.
    pub(crate) fn cache(&self) -> Option<&Path> {
        self.cache.as_deref()
    }

    /// Refuses what a policy grants and no guest ever gets. A directory that is not there is refused
    /// by the operation that needs it.
    ///
    /// # Errors
    /// [`ComponentError::DirectoryRefused`].
    pub(crate) fn may_have(&self, policy: &Policy) -> Result<(), ComponentError> {
        super::filesystem::may_grant(policy, self.cache())
    }

    /// The same component, compiled for a worker within `limits`.
    ///
    /// # Errors
    /// [`ComponentError`]; also when the file is no longer the one that was loaded.
    pub fn for_worker(&self, limits: &Limits) -> Result<Self, ComponentError> {
        if self.interruption == Interruption::Off {
            return Ok(self.clone());
        }
        let runtime = self.runtime.clone().with_interruption(Interruption::Off);
        let other = runtime.load_within(&self.path, limits)?;
        if other.digest != self.digest {
            let reason = "it has changed since it was loaded".to_owned();
            return Err(ComponentError::Unreadable { path: self.path.clone(), reason });
        }
        Ok(other)
    }

    /// Its compiled code, for a worker.
    ///
    /// # Errors
    /// [`ComponentError::Engine`], where there is no memory for it.
    pub fn image(&self) -> Result<Image, ComponentError> {
        let failed = |what: String| ComponentError::Engine(format!("no memory for code: {what}"));
        let code = self.compiled.serialize().map_err(|e| failed(format!("{e:#}")))?;
        let sealed = || -> std::io::Result<OwnedFd> {
            let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
            let mut file = File::from(rustix::fs::memfd_create("lockgate-code", flags)?);
            file.write_all(&code)?;
            rustix::fs::fcntl_add_seals(&file, SEALS)?;
            Ok(file.into())
        };
        sealed().map(Image).map_err(|e| failed(e.to_string()))
    }
}

impl ComponentRuntime {
    /// A component from its compiled code. Nothing of it is looked up anywhere; `cache` is the folder
    /// that no guest may have.
    pub(crate) fn load_image(
        &self,
        image: &Image,
        path: &Path,
        digest: String,
        size: u64,
        cache: Option<PathBuf>,
    ) -> Result<Component, ComponentError> {
        let failed =
            |what: String| ComponentError::Engine(format!("the code cannot be read: {what}"));
        let engine = engine::engine(self.interruption())?;
        let code = image.read().map_err(|e| failed(e.to_string()))?;
        let compiled = deserialize(&engine, &code).map_err(|e| failed(format!("{e:#}")))?;
        Ok(Component { cache, ..self.component(engine, compiled, path, digest, size)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_can_change_is_refused() {
        let memory = rustix::fs::memfd_create("x", MemfdFlags::ALLOW_SEALING).unwrap();
        let image = Image::from_descriptor(memory);
        assert!(image.read().unwrap_err().to_string().contains("sealed"));
        rustix::fs::fcntl_add_seals(&image.0, SEALS).unwrap();
        assert!(image.read().unwrap().is_empty());
    }
}
