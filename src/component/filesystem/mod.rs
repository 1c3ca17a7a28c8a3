//! The directories a guest was granted, as it sees them.
//!
//! The attack: a guest leaves its directory (`..`, a link, a link that somebody flips while it is
//! resolved), writes where it may only read (by truncating, renaming, linking, setting times), fills
//! the disk, uses up inodes and descriptors, or changes what the host itself keeps in there. The
//! engine's implementation keeps a guest inside; this layer stands in front of it, counts what is
//! used, and decides about rights and places once more by itself: a fault on one side (CVE-2026-47261,
//! CVE-2026-58494, GHSA-vqjp-4c8c-hfgg) is then no hole.

mod call;
mod grants;
mod listing;
mod path;
mod quota;
mod streams;
mod view;

use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub(super) use call::{FilesView, HasFiles};
pub(super) use grants::{may_grant, may_grant_to_process, open_grants};
use wasmtime::component::ResourceTable;
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemCtx, WasiFilesystemCtxView};
use wasmtime_wasi::p2::FsError;
use wasmtime_wasi::p2::bindings::filesystem::{preopens, types::ErrorCode};

use self::listing::Lists;
use self::path::Place;
use self::quota::{Disk, Quota, Slot};
use crate::protocol::{Capability, Decision, Observer};
use crate::sandbox::{Access, LogBudget, Policy};

/// What one operation does with its directories.
pub(super) struct Files {
    quota: Arc<Quota>,
    grants: Vec<Arc<Grant>>,
    /// By the descriptor's number. A descriptor that is not in here has no rights.
    open: HashMap<u32, Opened>,
    lists: Lists,
    may_block: bool,
}

/// A granted directory while an operation runs.
struct Grant {
    guest: String,
    /// The grant's text: what decisions rest on.
    rule: String,
    access: Access,
    /// The directory itself.
    root: Arc<File>,
    disk: Disk,
    reading: AtomicBool,
    writing: AtomicBool,
}

/// An open descriptor.
#[derive(Clone)]
struct Opened {
    grant: Arc<Grant>,
    /// What the guest calls it, for decisions.
    path: Arc<str>,
    slot: Arc<Slot>,
}

impl Files {
    /// The directories that [`open_grants`] opened in `wasi`, in the policy's order.
    pub(super) fn new(
        wasi: &mut WasiFilesystemCtx,
        policy: &Policy,
        logs: Arc<LogBudget>,
        may_block: bool,
    ) -> wasmtime::Result<Self> {
        let mut table = ResourceTable::new();
        let mut view = WasiFilesystemCtxView { ctx: wasi, table: &mut table };
        let mut roots = Vec::new();
        for (directory, _) in preopens::Host::get_directories(&mut view)? {
            let Descriptor::Dir(directory) = view.table.get(&directory)? else { continue };
            roots.push(directory.dir.clone());
        }
        let grants = policy.directories.iter().zip(roots).map(|(grant, root)| {
            let (host, guest) = (grant.host.display(), &grant.guest);
            let ending = if grant.access == Access::Read { "ro" } else { "rw" };
            Arc::new(Grant {
                guest: guest.clone(),
                rule: format!("allow-dir {host}::{guest}:{ending}"),
                access: grant.access,
                root,
                disk: Disk::default(),
                reading: AtomicBool::new(false),
                writing: AtomicBool::new(false),
            })
        });
        Ok(Self {
            grants: grants.collect(),
            quota: Arc::new(Quota::new(logs, &policy.limits)),
            open: HashMap::new(),
            lists: Lists::default(),
            may_block,
        })
    }

    fn opened(&self, descriptor: u32) -> Result<&Opened, FsError> {
        self.open.get(&descriptor).ok_or_else(|| ErrorCode::NotPermitted.into())
    }

    /// Whether something at `path` of a descriptor may be read; without a path, itself.
    fn may_read(&self, descriptor: u32, path: Option<&str>) -> Result<(), FsError> {
        let opened = self.opened(descriptor)?;
        let capability = Capability::DirectoryRead;
        self.fit(opened, path, capability)?;
        self.say_once(&opened.grant.reading, capability, &opened.grant);
        Ok(())
    }

    /// Whether something at `path` of a descriptor may be changed; without a path, itself. Without
    /// an allocation where it may: it is asked for each write.
    fn may_write(&self, descriptor: u32, path: Option<&str>) -> Result<(), FsError> {
        let opened = self.opened(descriptor)?;
        let capability = Capability::DirectoryWrite;
        if opened.grant.access != Access::ReadWrite {
            self.deny(capability, &target(&opened.path, path), "read-only");
            return Err(ErrorCode::NotPermitted.into());
        }
        self.fit(opened, path, capability)?;
        self.say_once(&opened.grant.writing, capability, &opened.grant);
        Ok(())
    }

    /// Refuses a path that no file of a guest can have.
    fn fit(
        &self,
        opened: &Opened,
        path: Option<&str>,
        capability: Capability,
    ) -> Result<(), FsError> {
        let Some(path) = path else { return Ok(()) };
        path::check(path).map_err(|refusal| {
            self.deny(capability, &target(&opened.path, Some(path)), refusal.rule);
            refusal.code.into()
        })
    }

    /// What the engine's implementation answered, heard: what it refuses is in the trail too.
    fn heard<T>(
        &self,
        descriptor: u32,
        path: &str,
        capability: Capability,
        answer: Result<T, FsError>,
    ) -> Result<T, FsError> {
        if let Err(error) = &answer
            && matches!(error.downcast_ref(), Some(ErrorCode::NotPermitted))
            && let Ok(opened) = self.opened(descriptor)
        {
            let rule = if path::points_out(path) { "outside" } else { "not-permitted" };
            self.deny(capability, &target(&opened.path, Some(path)), rule);
        }
        answer
    }

    /// Whether an opened file is where it may be, asked of the kernel and not of whoever opened it.
    fn placed(&self, opened: &Opened, file: &File, capability: Capability) -> Result<(), FsError> {
        let rule = match path::place(&opened.grant.root, file) {
            Place::Inside => return Ok(()),
            Place::Outside => "outside",
            Place::HostState => "host-state",
            Place::KernelFiles => "kernel-files",
        };
        self.deny(capability, &opened.path, rule);
        Err(ErrorCode::NotPermitted.into())
    }

    fn say_once(&self, said: &AtomicBool, capability: Capability, grant: &Grant) {
        if !said.load(Ordering::Relaxed) {
            said.store(true, Ordering::Relaxed);
            let decision = Decision::allow(capability, grant.guest.clone(), grant.rule.clone());
            self.quota.logs().decided(&decision);
        }
    }

    fn deny(&self, capability: Capability, target: &str, rule: &str) {
        self.quota.logs().decided(&Decision::deny(capability, target, rule));
    }
}

/// A path below a descriptor's, at a length for a trail.
fn target(base: &str, path: Option<&str>) -> String {
    const LONGEST: usize = 512;
    let mut text = match path {
        Some(path) => format!("{}/{path}", base.trim_end_matches('/')),
        None => base.to_owned(),
    };
    text.truncate(text.floor_char_boundary(LONGEST));
    text
}
