//! A component that can be called: one function an operation.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use wasmtime::{Engine, Store};

use super::contract::{self, ContractFault, Kind};
use super::link::{Instance, Linked, link};
use super::network::{Network, Resolver, Run};
use super::store::{Guest, new_store};
use super::{ComponentError, ComponentRuntime, Interruption, Operation, convert, cpu, engine};
use crate::protocol::{
    Capability, Catalog, Decision, DestinationInput, DiscoveredStream, Json, Observer,
    SourceOutput, Specification, StateMessage,
};
use crate::sandbox::{LogBudget, NetworkGrants, Policy};

/// One import of a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// Its name, with version.
    pub name: String,
    /// Why it is refused; none: it is linked.
    pub refused: Option<&'static str>,
    /// It is linked only where some of the network is granted.
    pub needs_network: bool,
}

/// A checked, compiled component.
#[derive(Clone)]
pub struct Component {
    pub(super) engine: Engine,
    pub(super) interruption: Interruption,
    /// What loaded it.
    pub(super) runtime: ComponentRuntime,
    pub(super) compiled: wasmtime::component::Component,
    pub(super) path: PathBuf,
    pub(super) digest: String,
    pub(super) size: u64,
    /// Where compiled code is kept: never written by a guest.
    pub(super) cache: Option<PathBuf>,
    pub(super) verdict: Result<(Kind, String), Arc<ContractFault>>,
    /// The first import that reaches the network.
    pub(super) network: Option<String>,
    /// Linked once.
    pub(super) linked: Arc<OnceLock<Linked>>,
    pub(super) resolver: Arc<dyn Resolver>,
    /// What the operations under one policy share.
    pub(super) run: Option<Arc<Run>>,
}

impl fmt::Debug for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Component")
            .field("path", &self.path)
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}
impl Component {
    /// Where it came from.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `sha256:` and the digest of the file.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Bytes of the file.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Every import, in the component's order.
    #[must_use]
    pub fn imports(&self) -> Vec<Import> {
        contract::imports(&self.compiled.component_type(), &self.engine)
            .into_iter()
            .map(|v| Import { name: v.name, refused: v.refused, needs_network: v.network })
            .collect()
    }

    /// Every export.
    #[must_use]
    pub fn exports(&self) -> Vec<String> {
        let ty = self.compiled.component_type();
        ty.exports(&self.engine).map(|(name, _)| name.to_owned()).collect()
    }

    /// Whether it is a source or a destination, and the contract's version it was built for.
    ///
    /// # Errors
    /// [`ComponentError`], when it is no connector or may not be run here.
    pub fn kind(&self) -> Result<(Kind, &str), ComponentError> {
        let path = self.path.clone();
        match &self.verdict {
            Ok((kind, version)) => Ok((*kind, version)),
            Err(fault) => Err(match fault.as_ref() {
                ContractFault::NoConnector { exports } => {
                    ComponentError::NoConnector { path, exports: exports.clone() }
                }
                ContractFault::Version { built, missing } => ComponentError::Contract {
                    path,
                    built: built.clone(),
                    host: contract::CONTRACT_VERSION,
                    missing: missing.clone(),
                },
                ContractFault::Import { import, why } => {
                    ComponentError::Import { path, import: import.clone(), why }
                }
            }),
        }
    }

    /// The component as one connector runs it: its operations share what they found out about the
    /// network.
    ///
    /// # Errors
    /// [`ComponentError`], when a file of certificate authorities cannot be used.
    pub fn granted(mut self, policy: &Policy) -> Result<Self, ComponentError> {
        self.run = Some(self.run_under(&policy.network)?);
        Ok(self)
    }

    /// Whether a policy grants what it imports. Asked before every operation but `spec`, which finds
    /// a closed network: what a connector needs is known only from there.
    ///
    /// # Errors
    /// [`ComponentError::NoNetwork`].
    pub fn may_import(&self, policy: &Policy) -> Result<(), ComponentError> {
        match &self.network {
            Some(import) if policy.network.patterns.is_empty() => {
                Err(ComponentError::NoNetwork { path: self.path.clone(), import: import.clone() })
            }
            _ => Ok(()),
        }
    }

    /// What operations under these grants share; a run of its own where nobody began one.
    fn run_under(&self, grants: &NetworkGrants) -> Result<Arc<Run>, ComponentError> {
        match &self.run {
            Some(run) if run.is_of(grants) => Ok(run.clone()),
            _ => Ok(Arc::new(Run::new(grants)?)),
        }
    }

    /// A store for one operation. `spec` has a network that is closed, whatever is granted.
    fn store(
        &self,
        policy: &Policy,
        operation: Operation,
        observer: Arc<dyn Observer>,
    ) -> Result<Store<Guest>, ComponentError> {
        let run = match operation {
            Operation::Spec => self.run_under(&NetworkGrants::default())?,
            _ => {
                if let Err(refused) = self.may_import(policy) {
                    let import = self.network.as_deref().unwrap_or_default();
                    let decision = Decision::deny(Capability::Import, import, "not-granted");
                    observer.decided(&decision);
                    return Err(refused);
                }
                self.run_under(&policy.network)?
            }
        };
        let network = |observer: Arc<LogBudget>| {
            Network::new(run, self.resolver.clone(), observer, &policy.limits)
        };
        new_store(&self.engine, policy, operation, observer, network, self.cache.as_deref())
    }

    /// The component, linked.
    pub(super) fn linked(&self) -> Result<&Linked, ComponentError> {
        if let Some(linked) = self.linked.get() {
            return Ok(linked);
        }
        let (kind, _) = self.kind()?;
        let linked = link(&self.engine, &self.compiled, kind, self.network.is_some());
        let linked = linked.map_err(|e| {
            // The names fit and the types do not: somebody else's idea of the contract.
            ComponentError::Invalid { path: self.path.clone(), reason: format!("{e:#}") }
        })?;
        Ok(self.linked.get_or_init(|| linked))
    }

    /// Asks what it is. Nothing is granted, and what it imports of the network is closed.
    ///
    /// # Errors
    /// [`ComponentError`].
    pub async fn spec(
        &self,
        policy: &Policy,
        observer: Arc<dyn Observer>,
    ) -> Result<Specification, ComponentError> {
        let mut store = self.store(policy, Operation::Spec, observer)?;
        let spec = self
            .call(&mut store, policy, Operation::Spec, async |store, instance| match instance {
                Instance::Source(i) => {
                    i.lockgate_connector_source().call_spec(store).await.map(|s| (s, true))
                }
                Instance::Destination(i) => {
                    i.lockgate_connector_destination().call_spec(store).await.map(|s| (s, false))
                }
            })
            .await?;
        convert::specification(spec.0, spec.1).map_err(ComponentError::Failure)
    }

    /// Lets it try its configuration.
    ///
    /// # Errors
    /// [`ComponentError`]; a `Failure` is the connector's answer "no".
    pub async fn check(
        &self,
        policy: &Policy,
        observer: Arc<dyn Observer>,
        config: &Json,
    ) -> Result<(), ComponentError> {
        let mut store = self.store(policy, Operation::Check, observer)?;
        let config = &config.get().to_owned();
        self.call(&mut store, policy, Operation::Check, async |store, instance| match instance {
            Instance::Source(i) => i.lockgate_connector_source().call_check(store, config).await,
            Instance::Destination(i) => {
                i.lockgate_connector_destination().call_check(store, config).await
            }
        })
        .await?
        .map_err(|f| ComponentError::Failure(convert::failure(f)))
    }

    /// Lets a source list its streams.
    ///
    /// # Errors
    /// [`ComponentError`].
    pub async fn discover(
        &self,
        policy: &Policy,
        observer: Arc<dyn Observer>,
        config: &Json,
    ) -> Result<Vec<DiscoveredStream>, ComponentError> {
        self.must_be(Kind::Source)?;
        let mut store = self.store(policy, Operation::Discover, observer)?;
        let config = &config.get().to_owned();
        let streams = self
            .call(&mut store, policy, Operation::Discover, async |store, instance| match instance {
                Instance::Source(i) => {
                    i.lockgate_connector_source().call_discover(store, config).await.map(Some)
                }
                Instance::Destination(_) => Ok(None),
            })
            .await?;
        let streams = streams.unwrap_or(Ok(Vec::new()));
        let streams = streams.map_err(|f| ComponentError::Failure(convert::failure(f)))?;
        convert::discovered(streams, &policy.limits).map_err(ComponentError::Failure)
    }

    /// Lets a source read.
    ///
    /// # Errors
    /// [`ComponentError`].
    pub async fn read(
        &self,
        policy: &Policy,
        observer: Arc<dyn Observer>,
        config: &Json,
        catalog: &Catalog,
        states: &[StateMessage],
        output: Arc<dyn SourceOutput>,
    ) -> Result<(), ComponentError> {
        self.must_be(Kind::Source)?;
        let mut store = self.store(policy, Operation::Read, observer)?;
        store.data_mut().output = Some(output);
        let (config, catalog) = (&config.get().to_owned(), convert::catalog(catalog));
        let states = convert::wit_states(states).map_err(ComponentError::Failure)?;
        let (catalog, states) = (&catalog, states.as_slice());
        self.call(&mut store, policy, Operation::Read, async |store, instance| match instance {
            Instance::Source(i) => {
                i.lockgate_connector_source().call_read(store, config, catalog, states).await
            }
            Instance::Destination(_) => Ok(Ok(())),
        })
        .await?
        .map_err(|f| ComponentError::Failure(convert::failure(f)))?;
        match store.data_mut().refused.take() {
            Some(failure) => Err(ComponentError::Failure(failure)),
            None => Ok(()),
        }
    }

    /// Lets a destination write.
    ///
    /// # Errors
    /// [`ComponentError`].
    pub async fn write(
        &self,
        policy: &Policy,
        observer: Arc<dyn Observer>,
        config: &Json,
        catalog: &Catalog,
        input: Arc<dyn DestinationInput>,
    ) -> Result<(), ComponentError> {
        self.must_be(Kind::Destination)?;
        let mut store = self.store(policy, Operation::Write, observer)?;
        store.data_mut().input = Some(input);
        let (config, catalog) = (&config.get().to_owned(), convert::catalog(catalog));
        let catalog = &catalog;
        self.call(&mut store, policy, Operation::Write, async |store, instance| match instance {
            Instance::Destination(i) => {
                i.lockgate_connector_destination().call_write(store, config, catalog).await
            }
            Instance::Source(_) => Ok(Ok(())),
        })
        .await?
        .map_err(|f| ComponentError::Failure(convert::failure(f)))
    }

    /// Whether it is of a kind.
    ///
    /// # Errors
    /// [`ComponentError::Kind`], and whatever [`Component::kind`] says.
    pub fn must_be(&self, wanted: Kind) -> Result<(), ComponentError> {
        let (kind, _) = self.kind()?;
        if kind == wanted {
            return Ok(());
        }
        let path = self.path.clone();
        Err(ComponentError::Kind { path, is: kind.word(), wanted: wanted.word() })
    }

    /// Instantiates and calls, under the operation's deadline, and turns traps into errors.
    async fn call<T>(
        &self,
        store: &mut Store<Guest>,
        policy: &Policy,
        operation: Operation,
        body: impl AsyncFnOnce(&mut Store<Guest>, &Instance) -> wasmtime::Result<T>,
    ) -> Result<T, ComponentError> {
        self.kind()?;
        engine::may_run(self.interruption)?;
        let linked = self.linked()?;
        let limit = operation.deadline(&policy.limits);
        let running = async {
            let instance = linked.instantiate(store).await?;
            body(store, &instance).await
        };
        let cpu = policy.limits.cpu_time;
        let running = async {
            match cpu {
                None => Ok(running.await),
                Some(cpu) => cpu::limited(cpu, running).await,
            }
        };
        let result = match limit {
            None => Ok(running.await),
            Some(limit) => tokio::time::timeout(limit, running).await.map_err(|_| limit),
        };
        let guest = store.data();
        guest.finish();
        let deadline = operation.deadline_name();
        let called = operation;
        let operation = operation.word();
        match result {
            Ok(Ok(Ok(answer))) => Ok(answer),
            Ok(Ok(Err(error))) => Err(trapped(&error, guest, called, limit)),
            Ok(Err(cpu::UsedUp)) => {
                guest.deny_limit("cpu-time");
                let limit = cpu.unwrap_or_default();
                Err(ComponentError::Cpu { operation, limit })
            }
            Err(limit) => {
                guest.deny_limit(deadline);
                Err(ComponentError::Timeout { operation, limit })
            }
        }
    }
}

/// Why a guest stopped, in terms of what it was limited to.
fn trapped(
    error: &wasmtime::Error,
    guest: &Guest,
    called: Operation,
    limit: Option<std::time::Duration>,
) -> ComponentError {
    let operation = called.word();
    let detail = format!("{error:?}");
    if let (Some(wasmtime::Trap::Interrupt), Some(limit)) = (error.downcast_ref(), limit) {
        guest.deny_limit(called.deadline_name());
        return ComponentError::Timeout { operation, limit };
    }
    if error.is::<wasmtime::PoolConcurrencyLimitError>() {
        return ComponentError::Busy { operation, detail };
    }
    if guest.memory.refused {
        guest.deny_limit("memory-bytes");
        let limit_mib = guest.limits.memory_bytes >> 20;
        return ComponentError::Memory { operation, limit_mib, detail };
    }
    let reason = match error.downcast_ref::<wasmtime::Trap>() {
        Some(trap) => trap.to_string(),
        None => error.root_cause().to_string(),
    };
    match spent(&reason) {
        Some(what) => {
            guest.deny_limit(what);
            ComponentError::Spent { operation, what, detail }
        }
        None => ComponentError::Trap { operation, reason, detail },
    }
}

/// The limit behind a refusal of the engine, which has only its words.
fn spent(reason: &str) -> Option<&'static str> {
    const WORDS: [(&str, &str); 7] = [
        ("resource limit exceeded", "instances"),
        ("resource table has no free keys", "handles"),
        ("store handle limit exceeded", "handles"),
        ("exceeds table limits", "table-elements"),
        ("allocated for hostcalls", "host-call-bytes"),
        ("requested len", "random-bytes"),
        ("the limit open-files", "open-files"),
    ];
    WORDS.iter().find(|(words, _)| reason.contains(words)).map(|(_, limit)| *limit)
}
