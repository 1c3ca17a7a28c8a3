//! One operation, one store: what a guest can touch while `spec`, `check`, `discover`, `read` or
//! `write` runs, and how it is stopped.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::component::ResourceTable;
use wasmtime::{Engine, ResourceLimiter, Store, UpdateDeadline};
use wasmtime_wasi::filesystem::WasiFilesystemCtxView;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::ComponentError;
use super::engine::{self, TICK};
use super::filesystem::{Files, FilesView, open_grants};
use super::network::Network;
use super::output_log::LogStream;
use crate::protocol::{
    Capability, Decision, DestinationInput, Failure, LogLevel, Observer, SourceOutput,
};
use crate::sandbox::{Limits, LogBudget, Policy};

/// An operation of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// What are you?
    Spec,
    /// Can you reach it?
    Check,
    /// What is there?
    Discover,
    /// Read it.
    Read,
    /// Write it.
    Write,
}

impl Operation {
    /// The function's name.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Spec => "spec",
            Self::Check => "check",
            Self::Discover => "discover",
            Self::Read => "read",
            Self::Write => "write",
        }
    }

    /// The limit that its deadline is.
    #[must_use]
    pub fn deadline_name(self) -> &'static str {
        match self {
            Self::Spec => "spec-time",
            Self::Check | Self::Discover => "check-time",
            Self::Read | Self::Write => "sync-time",
        }
    }

    /// How long it may take.
    #[must_use]
    pub fn deadline(self, limits: &Limits) -> Option<Duration> {
        match self {
            Self::Spec => Some(limits.spec_time),
            Self::Check | Self::Discover => Some(limits.check_time),
            Self::Read | Self::Write => limits.sync_time,
        }
    }
}

impl Operation {
    /// What one call may make the host allocate.
    fn host_call_bytes(self, limits: &Limits) -> usize {
        match self {
            Self::Spec | Self::Check => limits.host_call_bytes.min(limits.spec_bytes),
            Self::Discover | Self::Read | Self::Write => limits.host_call_bytes,
        }
    }
}

/// The store's data.
pub(super) struct Guest {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    files: Files,
    table: ResourceTable,
    pub(super) memory: MemoryLimits,
    pub(super) limits: Limits,
    pub(super) logs: Arc<LogBudget>,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) output: Option<Arc<dyn SourceOutput>>,
    pub(super) input: Option<Arc<dyn DestinationInput>>,
    /// The first failure a source was answered with: what it gave did not arrive, so whatever it
    /// returns after that, it did not succeed.
    pub(super) refused: Option<Failure>,
    streams: [LogStream; 2],
    pub(super) network: Network,
}

impl Guest {
    /// Says what is left of unfinished output.
    pub(super) fn finish(&self) {
        for stream in &self.streams {
            stream.finish();
        }
    }

    /// Says that it ended at a limit.
    pub(super) fn deny_limit(&self, limit: &str) {
        let rule = format!("limit {limit}");
        self.observer.decided(&Decision::deny(Capability::Limit, limit, rule));
    }

    /// Its directories.
    pub(super) fn files(&mut self) -> FilesView<'_> {
        let wasi = WasiFilesystemCtxView { ctx: self.wasi.filesystem(), table: &mut self.table };
        FilesView { wasi, files: &mut self.files }
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        self.network.count_headers(&mut self.table);
        WasiHttpCtxView { hooks: &mut self.network, table: &mut self.table, ctx: &mut self.http }
    }
}

/// Memory and table growth under the policy's limits, remembering the refusal so that the trap
/// that follows can be explained.
pub(super) struct MemoryLimits {
    memory: usize,
    elements: usize,
    instances: usize,
    used: usize,
    pub(super) refused: bool,
}

impl ResourceLimiter for MemoryLimits {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // All memories of the store together: many small ones are no way around the limit.
        let more = desired.saturating_sub(current);
        let fits = self.used.saturating_add(more) <= self.memory;
        if fits {
            self.used += more;
        } else {
            self.refused = true;
        }
        Ok(fits)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= self.elements)
    }

    fn instances(&self) -> usize {
        self.instances
    }

    fn tables(&self) -> usize {
        self.instances
    }

    fn memories(&self) -> usize {
        self.instances
    }
}

/// A store for one operation, with exactly what the policy grants.
pub(super) fn new_store(
    engine: &Engine,
    policy: &Policy,
    operation: Operation,
    observer: Arc<dyn Observer>,
    network: impl FnOnce(Arc<LogBudget>) -> Network,
    cache: Option<&Path>,
) -> Result<Store<Guest>, ComponentError> {
    let limits = policy.limits.clone();
    let logs = LogBudget::new(observer.clone(), &limits);
    let mut http = WasiHttpCtx::new();
    http.set_field_size_limit(limits.http_header_bytes);
    let streams = [
        LogStream::new(logs.clone(), LogLevel::Info),
        LogStream::new(logs.clone(), LogLevel::Warn),
    ];

    let mut wasi = WasiCtxBuilder::new();
    wasi.stdout(streams[0].clone()).stderr(streams[1].clone());
    wasi.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
    wasi.max_random_size(limits.random_bytes);
    // Each of a sync's two components has a thread of the runtime while it runs, so waiting for a
    // disk there holds up nobody else, and saves a switch of threads for every write. The other
    // operations have a deadline, and a file that never opens (a FIFO) would hold up its timer too.
    let may_block = matches!(operation, Operation::Read | Operation::Write);
    wasi.allow_blocking_current_thread(may_block);
    // `spec` is called before anything is granted.
    if operation != Operation::Spec {
        for (name, value) in &policy.environment {
            wasi.env(name, value.expose());
        }
        open_grants(&mut wasi, policy, cache)?;
    }
    let mut wasi = wasi.build();
    let files = Files::new(wasi.filesystem(), policy, logs.clone(), may_block)
        .map_err(|e| ComponentError::Engine(format!("{e:#}")))?;

    let mut table = ResourceTable::new();
    table.set_max_capacity(limits.handles);
    let memory = MemoryLimits {
        memory: limits.memory_bytes,
        elements: limits.table_elements,
        instances: limits.instances,
        used: 0,
        refused: false,
    };
    let (host_call_bytes, handles) = (operation.host_call_bytes(&limits), limits.handles);
    let guest = Guest {
        http,
        wasi,
        files,
        table,
        memory,
        limits,
        network: network(logs.clone()),
        logs,
        observer,
        output: None,
        input: None,
        refused: None,
        streams,
    };
    let mut store = Store::new(engine, guest);
    if engine::accounts() {
        store.limiter(|guest| &mut guest.memory);
        store.set_hostcall_fuel(host_call_bytes);
        store.set_max_component_handles(handles);
    }
    if !engine::has_epochs() {
        // Whoever supervises this process ends what does not end.
        return Ok(store);
    }

    // The clock is read at each tick, where a guest that never waits is found; a guest that waits
    // in a host function is found by the timer around the whole call.
    let end = operation.deadline(&policy.limits).map(|limit| Instant::now() + limit);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(move |_| match end {
        Some(end) if Instant::now() >= end => Ok(UpdateDeadline::Interrupt),
        _ => Ok(UpdateDeadline::Yield(1)),
    });
    debug_assert!(TICK < Duration::from_secs(1), "deadlines are checked at least once a second");
    Ok(store)
}
