//! How much an operation may write, create and keep open.
//!
//! The attack: a guest that fills the disk, uses up its inodes, or keeps files open until the whole
//! process has no descriptor left for anybody else.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};

use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;

use crate::protocol::{Capability, Decision, LogLevel, Observer};
use crate::sandbox::{Limits, LogBudget};

/// A disk is asked for its free space each time so much was written to it.
const ASK_EVERY: u64 = 16 << 20;

/// What a guest is refused by a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Spent {
    /// Bytes written.
    #[error("the limit written-bytes is reached")]
    Written,
    /// Files and directories created.
    #[error("the limit created-files is reached")]
    Created,
    /// Files open at once.
    #[error("the limit open-files is reached")]
    Open,
    /// Too little is left free on the disk.
    #[error("what disk-reserve-bytes keeps free on the disk would be used")]
    Reserve,
    /// A listing of a directory, or all that are held.
    #[error("a listing of a directory is larger than host-call-bytes")]
    Listing,
}

impl Spent {
    fn limit(self) -> &'static str {
        match self {
            Self::Written => "written-bytes",
            Self::Created => "created-files",
            Self::Open => "open-files",
            Self::Reserve => "disk-reserve-bytes",
            Self::Listing => "host-call-bytes",
        }
    }

    /// What the guest hears.
    pub(super) fn code(self) -> ErrorCode {
        match self {
            Self::Written | Self::Created | Self::Open => ErrorCode::Quota,
            Self::Reserve => ErrorCode::InsufficientSpace,
            Self::Listing => ErrorCode::InsufficientMemory,
        }
    }
}

/// What is left of an operation's limits. Shared with the streams that write: they outlive the
/// descriptor they came from.
pub(super) struct Quota {
    logs: Arc<LogBudget>,
    limits: Limits,
    written: AtomicU64,
    created: AtomicUsize,
    open: AtomicUsize,
    /// A bit for each limit whose refusal was said.
    said: AtomicU8,
}

/// Bytes written to a disk since it was asked for its free space; at first, it was never asked.
#[derive(Debug)]
pub(super) struct Disk(AtomicU64);

impl Default for Disk {
    fn default() -> Self {
        Self(AtomicU64::new(ASK_EVERY))
    }
}

/// An open file, counted until the last that uses it is gone.
pub(super) struct Slot(Arc<Quota>);

impl Slot {
    pub(super) fn quota(&self) -> &Quota {
        &self.0
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Quota {
    pub(super) fn new(logs: Arc<LogBudget>, limits: &Limits) -> Self {
        Self {
            logs,
            limits: limits.clone(),
            written: AtomicU64::new(0),
            created: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            said: AtomicU8::new(0),
        }
    }

    pub(super) fn logs(&self) -> &LogBudget {
        &self.logs
    }

    /// Takes `bytes` that are to be written to a file.
    pub(super) fn write(&self, disk: &Disk, file: &File, bytes: u64) -> Result<(), Spent> {
        let limit = self.limits.written_bytes;
        let fits = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= limit);
        if self.written.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_err() {
            return Err(self.refuse(Spent::Written));
        }
        let unasked = disk.0.fetch_add(bytes.min(ASK_EVERY), Ordering::Relaxed);
        if unasked.saturating_add(bytes) > ASK_EVERY {
            if !self.leaves_reserve(file, bytes) {
                self.give_back(bytes);
                // The next write asks again.
                disk.0.store(ASK_EVERY, Ordering::Relaxed);
                return Err(self.refuse(Spent::Reserve));
            }
            disk.0.store(0, Ordering::Relaxed);
        }
        Ok(())
    }

    fn leaves_reserve(&self, file: &File, bytes: u64) -> bool {
        // A disk that does not say is not refused: the system ends a write for which it has no room.
        rustix::fs::fstatvfs(file).map_or(true, |facts| {
            let free = facts.f_bavail.saturating_mul(facts.f_frsize);
            free >= self.limits.disk_reserve_bytes.saturating_add(bytes)
        })
    }

    /// Bytes that were not written after all.
    pub(super) fn give_back(&self, bytes: u64) {
        self.written.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Bytes that may still be written.
    pub(super) fn left(&self) -> u64 {
        self.limits.written_bytes.saturating_sub(self.written.load(Ordering::Relaxed))
    }

    /// Takes one file or directory that is to be created.
    pub(super) fn create(&self) -> Result<(), Spent> {
        let limit = self.limits.created_files;
        let fits = |used: usize| (used < limit).then_some(used + 1);
        match self.created.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits) {
            Ok(_) => Ok(()),
            Err(_) => Err(self.refuse(Spent::Created)),
        }
    }

    /// It was not created after all.
    pub(super) fn not_created(&self) {
        self.created.fetch_sub(1, Ordering::Relaxed);
    }

    /// Takes a place for one more open file.
    pub(super) fn open(self: &Arc<Self>) -> Result<Arc<Slot>, Spent> {
        let limit = self.limits.open_files;
        let fits = |used: usize| (used < limit).then_some(used + 1);
        match self.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits) {
            Ok(_) => Ok(Arc::new(Slot(self.clone()))),
            Err(_) => Err(self.refuse(Spent::Open)),
        }
    }

    /// Bytes that the listings of directories which are held may have together.
    pub(super) fn listing_bytes(&self) -> usize {
        self.limits.host_call_bytes
    }

    /// Says a refusal, the first of its kind.
    pub(super) fn refuse(&self, what: Spent) -> Spent {
        let bit = 1 << (what as u8);
        if self.said.fetch_or(bit, Ordering::Relaxed) & bit == 0 {
            let limit = what.limit();
            let rule = format!("limit {limit}");
            self.logs.decided(&Decision::deny(Capability::Limit, limit, rule));
            let less = if what == Spent::Reserve { "keep less free" } else { "allow more" };
            let message = format!("refused a file operation: {what}; {less} with --limit {limit}=");
            self.logs.log(LogLevel::Warn, &message);
        }
        what
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::protocol::{Failure, Json};

    #[derive(Default)]
    struct Heard(std::sync::Mutex<Vec<String>>);

    #[async_trait]
    impl Observer for Heard {
        fn log(&self, _: LogLevel, _: &str) {}

        async fn update_config(&self, _: Json) -> Result<(), Failure> {
            Ok(())
        }

        fn decided(&self, decision: &Decision) {
            self.0.lock().unwrap().push(decision.target.clone());
        }
    }

    fn quota(limits: &Limits) -> (Arc<Quota>, Arc<Heard>) {
        let heard = Arc::new(Heard::default());
        (Arc::new(Quota::new(LogBudget::new(heard.clone(), limits), limits)), heard)
    }

    #[test]
    fn bytes_are_counted_to_the_last() {
        let limits = Limits { written_bytes: 10, disk_reserve_bytes: 0, ..Limits::default() };
        let (quota, heard) = quota(&limits);
        let (disk, file) = (Disk::default(), tempfile::tempfile().unwrap());
        quota.write(&disk, &file, 7).unwrap();
        assert_eq!(quota.write(&disk, &file, 4), Err(Spent::Written));
        assert_eq!(quota.write(&disk, &file, u64::MAX), Err(Spent::Written));
        assert_eq!(quota.left(), 3);
        quota.write(&disk, &file, 3).unwrap();
        quota.give_back(2);
        assert_eq!(quota.left(), 2);
        assert_eq!(*heard.0.lock().unwrap(), ["written-bytes"]);
    }

    #[test]
    fn the_reserve_is_kept() {
        let limits = Limits { disk_reserve_bytes: 1 << 60, ..Limits::default() };
        let (quota, heard) = quota(&limits);
        let (disk, file) = (Disk::default(), tempfile::tempfile().unwrap());
        for _ in 0..3 {
            assert_eq!(quota.write(&disk, &file, 1), Err(Spent::Reserve));
        }
        assert_eq!(quota.left(), limits.written_bytes);
        assert_eq!(*heard.0.lock().unwrap(), ["disk-reserve-bytes"]);
    }

    #[test]
    fn a_slot_is_free_again_when_its_last_user_is_gone() {
        let (quota, _) = quota(&Limits { open_files: 1, ..Limits::default() });
        let slot = quota.open().unwrap();
        let stream = slot.clone();
        drop(slot);
        assert!(quota.open().is_err());
        drop(stream);
        assert!(quota.open().is_ok());
    }
}
