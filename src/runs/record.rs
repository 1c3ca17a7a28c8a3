//! The record of a run while it is being written.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{OFlags, renameat};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::folder::{AUDIT, NEXT, RUN, open_file};
use super::id::{now, time};
use super::trail::{AuditFile, Trail};
use super::{EffectivePolicy, Recorder, RunId, RunsError, RunsFolder, Side};
use crate::protocol::{Decision, Observer};
use crate::sandbox::fence::{KernelSupport, Namespace};
use crate::sandbox::{Fence, JudgedNeed, Policy, redacted};

/// The layout of `run.json`; members are only ever added within one.
const LAYOUT: u32 = 1;

/// `run.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunFile {
    /// Its name.
    pub run: String,
    /// The layout of this file.
    pub layout: u32,
    /// The version that wrote it.
    pub lockgate: String,
    /// `sync`, `check` or `discover`.
    pub command: String,
    /// The key of the states, in a sync.
    pub connection: Option<String>,
    /// RFC 3339, UTC.
    pub started_at: String,
    /// RFC 3339, UTC; none while it runs, and where it was killed.
    pub ended_at: Option<String>,
    /// `running`, `succeeded`, `failed`, `refused` or `interrupted`.
    pub status: String,
    /// Why it did not succeed.
    pub error: Option<RunError>,
    /// How many decisions were refusals, once it ended.
    pub denied: u64,
    /// Whom it ran.
    pub connectors: Vec<RunConnector>,
    /// The report of a sync.
    pub report: Option<Value>,
}

/// Why a run did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunError {
    /// Stable.
    pub code: String,
    /// One sentence.
    pub message: String,
}

/// One connector of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunConnector {
    /// Which.
    pub side: Side,
    /// Its name in `lockgate.toml`: `faker` of `[sources.faker]`.
    pub key: Option<String>,
    /// As it was named.
    pub connector: String,
    /// `component`, `process` or `noop`; none where it could not be loaded.
    pub executor: Option<String>,
    /// `sha256:…` of a component.
    pub digest: Option<String>,
    /// What it was granted; none where nothing can be.
    pub policy: Option<EffectivePolicy>,
    /// What it said it needs, judged.
    pub needs: Vec<Value>,
}

/// How a run ended.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// `succeeded`, `failed`, `refused` or `interrupted`.
    pub status: &'static str,
    /// Why it did not succeed.
    pub error: Option<RunError>,
    /// The report of a sync.
    pub report: Option<Value>,
}

/// A run that is going on.
#[derive(Debug)]
pub struct RunRecord {
    id: RunId,
    path: PathBuf,
    folder: OwnedFd,
    file: Mutex<RunFile>,
    audit: Arc<AuditFile>,
    trails: Mutex<Vec<Arc<Trail>>>,
    // Held as long as the run lives; the kernel lets go of it when the process dies.
    _lock: File,
}

impl RunRecord {
    /// Begins the record of a command, and removes records that are too old.
    ///
    /// # Errors
    /// [`RunsError::Unwritable`].
    pub fn begin(runs: &RunsFolder, command: &str) -> Result<Self, RunsError> {
        let at = now();
        let unwritable = |e: std::io::Error| RunsError::Unwritable {
            path: runs.path().to_owned(),
            reason: e.to_string(),
        };
        let (id, folder, lock) = runs.begin(at).map_err(unwritable)?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::APPEND;
        let audit = AuditFile::new(open_file(&folder, AUDIT, flags).map_err(unwritable)?);
        let record = Self {
            path: runs.path().join(id.as_str()),
            folder,
            file: Mutex::new(RunFile {
                run: id.to_string(),
                layout: LAYOUT,
                lockgate: env!("CARGO_PKG_VERSION").to_owned(),
                command: command.to_owned(),
                connection: None,
                started_at: time(at),
                ended_at: None,
                status: "running".to_owned(),
                error: None,
                denied: 0,
                connectors: Vec::new(),
                report: None,
            }),
            id,
            audit,
            trails: Mutex::default(),
            _lock: lock,
        };
        record.change(|_| {})?;
        Ok(record)
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> &RunId {
        &self.id
    }

    /// What to do when a decision cannot be written: nothing goes on without a trail.
    pub fn on_loss(&self, stop: impl Fn() + Send + Sync + 'static) {
        self.audit.on_loss(stop);
    }

    /// Names a connector that is about to be loaded; the credentials of an address are left out.
    ///
    /// # Errors
    /// [`RunsError::Unwritable`].
    pub fn connector(
        &self,
        side: Side,
        key: Option<String>,
        connector: &str,
    ) -> Result<(), RunsError> {
        let connector = redacted(connector);
        let trail = Trail::new(self.id.to_string(), side, &connector, self.audit.clone());
        self.trails.lock().unwrap_or_else(PoisonError::into_inner).push(trail);
        self.change(|file| {
            file.connectors.push(RunConnector {
                side,
                key,
                connector,
                executor: None,
                digest: None,
                policy: None,
                needs: Vec::new(),
            });
        })
    }

    /// Describes a connector that was loaded.
    ///
    /// # Errors
    /// [`RunsError::Exposed`] when its policy opens the folder of records, and
    /// [`RunsError::Unwritable`].
    pub fn describe(
        &self,
        side: Side,
        executor: &str,
        digest: Option<String>,
        policy: Option<&Policy>,
    ) -> Result<(), RunsError> {
        if let Some(trail) = self.trail(side) {
            trail.describe(digest.clone(), policy.map(|p| p.limits.decisions));
        }
        let effective = policy.map(EffectivePolicy::from);
        let exposed = matches!(executor, "process" | "python" | "docker");
        let behind_a_fence = executor != "docker";
        let executor = Some(executor.to_owned());
        self.change_connector(side, |c| {
            (c.executor, c.digest, c.policy) = (executor, digest, effective);
        })?;
        match policy {
            // A component does not see `.lockgate` in what it is granted.
            Some(policy) if exposed => self.is_closed(policy, behind_a_fence),
            _ => Ok(()),
        }
    }

    /// Whether a policy leaves the folder of records, and what is beside it, to the host.
    fn is_closed(&self, policy: &Policy, behind_a_fence: bool) -> Result<(), RunsError> {
        let house = self.path.ancestors().nth(2).unwrap_or(&self.path);
        let house = house.canonicalize().unwrap_or_else(|_| house.to_owned());
        // Behind a fence it is hidden from a process; without one a grant means nothing. A container
        // sees all of what is mounted.
        let hidden = match policy.fence {
            _ if !behind_a_fence => false,
            Fence::Off => true,
            _ => KernelSupport::here().namespace != Namespace::None,
        };
        for grant in &policy.directories {
            // A folder that is not there is refused where it is opened.
            let Ok(host) = grant.host.canonicalize() else { continue };
            if host.starts_with(&house) || (house.starts_with(&host) && !hidden) {
                return Err(RunsError::Exposed { grant: grant.rule(), path: house });
            }
        }
        Ok(())
    }

    /// An observer of one side, which keeps its decisions and passes everything on.
    #[must_use]
    pub fn recorder(&self, side: Side, inner: Arc<dyn Observer>) -> Arc<dyn Observer> {
        match self.trail(side) {
            Some(trail) => Arc::new(Recorder { inner, trail }),
            None => inner,
        }
    }

    /// Keeps a decision that no observer hears: made before there was one.
    pub fn decided(&self, side: Side, decision: &Decision) {
        if let Some(trail) = self.trail(side) {
            trail.note(decision);
        }
    }

    /// Names the connection.
    ///
    /// # Errors
    /// [`RunsError::Unwritable`].
    pub fn connection(&self, connection: &str) -> Result<(), RunsError> {
        self.change(|file| file.connection = Some(connection.to_owned()))
    }

    /// Keeps what a side said it needs.
    ///
    /// # Errors
    /// [`RunsError::Unwritable`].
    pub fn needs(&self, side: Side, needs: &[JudgedNeed]) -> Result<(), RunsError> {
        // Our own types always serialise.
        let needs = needs.iter().map(|n| serde_json::to_value(n).unwrap_or_default()).collect();
        self.change_connector(side, |connector| connector.needs = needs)
    }

    /// Ends the record; gives the number of refusals.
    ///
    /// # Errors
    /// [`RunsError::Unwritable`], also when a decision was lost while it ran.
    pub fn finish(&self, outcome: Outcome) -> Result<u64, RunsError> {
        let trails = self.trails.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let denied = trails.iter().map(|trail| trail.finish()).sum();
        self.audit.sync();
        self.change_durably(true, |file| {
            file.ended_at = Some(time(now()));
            outcome.status.clone_into(&mut file.status);
            (file.error, file.report, file.denied) = (outcome.error, outcome.report, denied);
        })?;
        match self.audit.lost() {
            Some(reason) => {
                Err(RunsError::Unwritable { path: self.path.join(AUDIT), reason: reason.clone() })
            }
            None => Ok(denied),
        }
    }

    fn trail(&self, side: Side) -> Option<Arc<Trail>> {
        let trails = self.trails.lock().unwrap_or_else(PoisonError::into_inner);
        trails.iter().find(|trail| trail.side() == side).cloned()
    }

    fn change_connector(
        &self,
        side: Side,
        change: impl FnOnce(&mut RunConnector),
    ) -> Result<(), RunsError> {
        self.change(|file| {
            if let Some(connector) = file.connectors.iter_mut().find(|c| c.side == side) {
                change(connector);
            }
        })
    }

    /// Writes `run.json` anew: whoever reads it sees the old one or the new one.
    fn change(&self, change: impl FnOnce(&mut RunFile)) -> Result<(), RunsError> {
        self.change_durably(false, change)
    }

    /// The same; what survives a power cut is worth waiting for at the end only.
    fn change_durably(
        &self,
        durable: bool,
        change: impl FnOnce(&mut RunFile),
    ) -> Result<(), RunsError> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut file);
        // Our own types always serialise.
        let mut text = serde_json::to_string_pretty(&*file).unwrap_or_default();
        text.push('\n');
        let write = || -> std::io::Result<()> {
            let flags = OFlags::CREATE | OFlags::TRUNC | OFlags::WRONLY;
            let mut next = open_file(&self.folder, NEXT, flags)?;
            next.write_all(text.as_bytes())?;
            if durable {
                next.sync_data()?;
            }
            Ok(renameat(&self.folder, NEXT, &self.folder, RUN)?)
        };
        write()
            .map_err(|e| RunsError::Unwritable { path: self.path.join(RUN), reason: e.to_string() })
    }
}
