//! A component that can be called: one function an operation.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wasmtime::{Engine, Store};

use super::contract::{self, ContractFault, Kind};
use super::link::{Instance, Linked};
use super::store::{Guest, new_store};
use super::{ComponentError, ComponentRuntime, Interruption, Operation, convert, engine};
use crate::protocol::{
    Catalog, DestinationInput, DiscoveredStream, Json, Observer, SourceOutput, Specification,
    StateMessage,
};
use crate::sandbox::Policy;

/// One import of a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// Its name, with version.
    pub name: String,
    /// Why it is refused; none: it is linked.
    pub refused: Option<&'static str>,
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
    pub(super) verdict: Result<(Kind, String), Arc<ContractFault>>,
    /// Linked once; none where the verdict is against it.
    pub(super) linked: Option<Linked>,
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
            .map(|v| Import { name: v.name, refused: v.refused })
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

    /// Asks what it is. Nothing is granted.
    ///
    /// # Errors
    /// [`ComponentError`].
    pub async fn spec(
        &self,
        policy: &Policy,
        observer: Arc<dyn Observer>,
    ) -> Result<Specification, ComponentError> {
        let mut store = new_store(&self.engine, policy, Operation::Spec, observer)?;
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
        let mut store = new_store(&self.engine, policy, Operation::Check, observer)?;
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
        let mut store = new_store(&self.engine, policy, Operation::Discover, observer)?;
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
        let mut store = new_store(&self.engine, policy, Operation::Read, observer)?;
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
        let mut store = new_store(&self.engine, policy, Operation::Write, observer)?;
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
        let Some(linked) = &self.linked else {
            return Err(ComponentError::Engine("the component is not linked".into()));
        };
        let limit = operation.deadline(&policy.limits);
        let running = async {
            let instance = linked.instantiate(store).await?;
            body(store, &instance).await
        };
        let result = match limit {
            None => running.await,
            Some(limit) => match tokio::time::timeout(limit, running).await {
                Ok(result) => result,
                Err(_) => {
                    store.data().finish();
                    return Err(ComponentError::Timeout { operation: operation.word(), limit });
                }
            },
        };
        store.data().finish();
        result.map_err(|e| trapped(&e, store.data(), operation, limit))
    }
}
fn trapped(
    error: &wasmtime::Error,
    guest: &Guest,
    operation: Operation,
    limit: Option<std::time::Duration>,
) -> ComponentError {
    let detail = format!("{error:?}");
    let operation = operation.word();
    if let (Some(wasmtime::Trap::Interrupt), Some(limit)) = (error.downcast_ref(), limit) {
        return ComponentError::Timeout { operation, limit };
    }
    if guest.memory.refused {
        let limit_mib = guest.limits.memory_bytes >> 20;
        return ComponentError::Memory { operation, limit_mib, detail };
    }
    let reason = match error.downcast_ref::<wasmtime::Trap>() {
        Some(trap) => trap.to_string(),
        None => error.root_cause().to_string(),
    };
    ComponentError::Trap { operation, reason, detail }
}
