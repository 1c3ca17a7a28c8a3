//! From a file to a component that can be called.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Engine, Store};

use super::bindings::{control, destination, input, logging, output, source};
use super::contract::{self, ContractFault, Kind};
use super::store::{Guest, new_store};
use super::{CompileCache, ComponentError, Operation, convert, engine};
use crate::protocol::{
    Catalog, DestinationInput, DiscoveredStream, Json, Observer, SourceOutput, Specification,
    StateMessage,
};
use crate::sandbox::Policy;

/// Bytes of a component file: more is refused before it is read. Python components have 20 MB.
const LARGEST_FILE: u64 = 256 << 20;

/// Loads components. Cheap to clone; the engine behind it is one a process.
#[derive(Debug, Clone, Default)]
pub struct ComponentRuntime {
    cache: Option<CompileCache>,
}

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
    engine: Engine,
    compiled: wasmtime::component::Component,
    path: PathBuf,
    digest: String,
    size: u64,
    verdict: Result<(Kind, String), Arc<ContractFault>>,
    /// Linked once; none where the verdict is against it.
    linked: Option<Linked>,
}

impl fmt::Debug for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Component").field("path", &self.path).field("digest", &self.digest).finish_non_exhaustive()
    }
}

impl ComponentRuntime {
    /// With a cache of compiled code, or without.
    #[must_use]
    pub fn new(cache: Option<CompileCache>) -> Self {
        Self { cache }
    }

    /// Reads and compiles a component, or takes it from the cache. Whether it is a connector that
    /// may be run is asked afterwards ([`Component::kind`]), so that one that may not can still be
    /// inspected.
    ///
    /// # Errors
    /// [`ComponentError`], when it is no component.
    pub fn load(&self, path: &Path) -> Result<Component, ComponentError> {
        let bytes = read(path)?;
        header(path, &bytes)?;
        let engine = engine::engine()?;
        let digest = hex::encode(Sha256::digest(&bytes));
        let file = self.cache.as_ref().map(|cache| cache.file(&engine, &digest));
        let cached = match (&self.cache, &file) {
            (Some(cache), Some(file)) => cache.load(file),
            _ => None,
        };
        #[expect(
            unsafe_code,
            clippy::disallowed_methods,
            reason = "the only way to load compiled code, and the only place that does"
        )]
        let cached = cached.and_then(|code| {
            // SAFETY: the code was serialized by this engine's version and settings (they are in
            // the file's name), and its content and owner were verified by `CompileCache::load`.
            unsafe { wasmtime::component::Component::deserialize(&engine, code).ok() }
        });
        let compiled = match cached {
            Some(compiled) => compiled,
            None => self.compile(&engine, path, &bytes, file.as_deref())?,
        };
        let ty = compiled.component_type();
        let verdict = contract::check(&ty, &engine).map_err(Arc::new);
        let linked = match &verdict {
            Ok((kind, _)) => Some(link(&engine, &compiled, *kind).map_err(|e| {
                // The names fit and the types do not: somebody else's idea of the contract.
                ComponentError::Invalid { path: path.to_owned(), reason: format!("{e:#}") }
            })?),
            Err(_) => None,
        };
        Ok(Component {
            engine,
            compiled,
            path: path.to_owned(),
            digest: format!("sha256:{digest}"),
            size: bytes.len() as u64,
            verdict,
            linked,
        })
    }

    fn compile(
        &self,
        engine: &Engine,
        path: &Path,
        bytes: &[u8],
        file: Option<&Path>,
    ) -> Result<wasmtime::component::Component, ComponentError> {
        let compiled = wasmtime::component::Component::from_binary(engine, bytes)
            .map_err(|e| explain(path, bytes, &e))?;
        if let (Some(cache), Some(file)) = (&self.cache, file)
            && let Ok(code) = compiled.serialize()
        {
            // Without a cache the next start is slower and nothing else.
            let _ = cache.store(file, &code);
        }
        Ok(compiled)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, ComponentError> {
    let unreadable = |reason: String| ComponentError::Unreadable { path: path.to_owned(), reason };
    let file = std::fs::File::open(path).map_err(|e| unreadable(e.to_string()))?;
    let facts = file.metadata().map_err(|e| unreadable(e.to_string()))?;
    if !facts.is_file() {
        return Err(unreadable("it is not a file".into()));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(facts.len().min(LARGEST_FILE)).unwrap_or(0));
    file.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(|e| unreadable(e.to_string()))?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(unreadable(format!("it is larger than {LARGEST_FILE} bytes")));
    }
    Ok(bytes)
}

/// Tells from the first bytes what a file is.
fn header(path: &Path, bytes: &[u8]) -> Result<(), ComponentError> {
    let path = path.to_owned();
    let not_wasm = |found| Err(ComponentError::NotWasm { path: path.clone(), found });
    match bytes {
        [] => not_wasm("empty"),
        [0, b'a', b's', b'm', version @ ..] => match version {
            [0x0d, 0, 1, 0, ..] => Ok(()),
            [1, 0, 0, 0, ..] => Err(ComponentError::CoreModule { path }),
            [_, _, _, _, ..] => {
                let reason = "its header has an unknown version".into();
                Err(ComponentError::Invalid { path, reason })
            }
            _ => Err(ComponentError::Truncated { path, offset: bytes.len() }),
        },
        [0x7f, b'E', b'L', b'F', ..] if Engine::detect_precompiled(bytes).is_some() => {
            Err(ComponentError::Precompiled { path })
        }
        [0x7f, b'E', b'L', b'F', ..] => not_wasm("a native program"),
        [b'P', b'K', 3, 4, ..] | [0x1f, 0x8b, ..] => not_wasm("an archive"),
        _ if std::str::from_utf8(&bytes[..bytes.len().min(512)]).is_ok() => not_wasm("text"),
        _ => not_wasm("binary data of another kind"),
    }
}

/// Why a component does not compile: cut off, or invalid.
fn explain(path: &Path, bytes: &[u8], error: &wasmtime::Error) -> ComponentError {
    let path = path.to_owned();
    let mut validator = wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::all());
    if let Err(fault) = validator.validate_all(bytes)
        && (fault.message().contains("unexpected end") || fault.offset() >= bytes.len())
    {
        return ComponentError::Truncated { path, offset: bytes.len() };
    }
    ComponentError::Invalid { path, reason: format!("{error:#}") }
}

/// One half of the contract, linked: what is left is to instantiate it.
#[derive(Clone)]
enum Linked {
    Source(source::SourceConnectorPre<Guest>),
    Destination(destination::DestinationConnectorPre<Guest>),
}

/// One half of the contract, instantiated.
enum Instance {
    Source(source::SourceConnector),
    Destination(destination::DestinationConnector),
}

impl Linked {
    async fn instantiate(&self, store: &mut Store<Guest>) -> wasmtime::Result<Instance> {
        Ok(match self {
            Self::Source(pre) => Instance::Source(pre.instantiate_async(store).await?),
            Self::Destination(pre) => Instance::Destination(pre.instantiate_async(store).await?),
        })
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
        .map_err(|f| ComponentError::Failure(convert::failure(f)))
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

    fn must_be(&self, wanted: Kind) -> Result<(), ComponentError> {
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

/// Links a component against the contract and the WASI interfaces that open nothing.
fn link(
    engine: &Engine,
    compiled: &wasmtime::component::Component,
    kind: Kind,
) -> wasmtime::Result<Linked> {
    let mut linker = Linker::<Guest>::new(engine);
    link_wasi(&mut linker)?;
    logging::add_to_linker::<_, HasSelf<_>>(&mut linker, |g| g)?;
    control::add_to_linker::<_, HasSelf<_>>(&mut linker, |g| g)?;
    Ok(match kind {
        Kind::Source => {
            output::add_to_linker::<_, HasSelf<_>>(&mut linker, |g| g)?;
            let pre = linker.instantiate_pre(compiled)?;
            Linked::Source(source::SourceConnectorPre::new(pre)?)
        }
        Kind::Destination => {
            input::add_to_linker::<_, HasSelf<_>>(&mut linker, |g| g)?;
            let pre = linker.instantiate_pre(compiled)?;
            Linked::Destination(destination::DestinationConnectorPre::new(pre)?)
        }
    })
}

/// The interfaces that `contract::HARMLESS` lists, one by one: what is not named here is not there.
fn link_wasi(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    use wasmtime_wasi::cli::{WasiCli, WasiCliView};
    use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView};
    use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView};
    use wasmtime_wasi::p2::bindings::{cli, clocks, filesystem, random};
    use wasmtime_wasi::random::WasiRandom;
    use wasmtime_wasi::{ResourceTable, WasiView};
    use wasmtime_wasi_io::bindings::wasi::io;

    /// The interfaces of `wasi:io` need the table only.
    struct HasIo;
    impl wasmtime::component::HasData for HasIo {
        type Data<'a> = &'a mut ResourceTable;
    }

    io::error::add_to_linker::<_, HasIo>(linker, |g| WasiView::ctx(g).table)?;
    io::poll::add_to_linker::<_, HasIo>(linker, |g| WasiView::ctx(g).table)?;
    io::streams::add_to_linker::<_, HasIo>(linker, |g| WasiView::ctx(g).table)?;
    clocks::wall_clock::add_to_linker::<_, WasiClocks>(linker, Guest::clocks)?;
    clocks::monotonic_clock::add_to_linker::<_, WasiClocks>(linker, Guest::clocks)?;
    filesystem::types::add_to_linker::<_, WasiFilesystem>(linker, Guest::filesystem)?;
    filesystem::preopens::add_to_linker::<_, WasiFilesystem>(linker, Guest::filesystem)?;
    random::random::add_to_linker::<_, WasiRandom>(linker, |g| WasiView::ctx(g).ctx.random())?;
    random::insecure::add_to_linker::<_, WasiRandom>(linker, |g| WasiView::ctx(g).ctx.random())?;
    random::insecure_seed::add_to_linker::<_, WasiRandom>(linker, |g| WasiView::ctx(g).ctx.random())?;
    cli::exit::add_to_linker::<_, WasiCli>(linker, Guest::cli)?;
    cli::environment::add_to_linker::<_, WasiCli>(linker, Guest::cli)?;
    cli::stdin::add_to_linker::<_, WasiCli>(linker, Guest::cli)?;
    cli::stdout::add_to_linker::<_, WasiCli>(linker, Guest::cli)?;
    cli::stderr::add_to_linker::<_, WasiCli>(linker, Guest::cli)?;
    cli::terminal_input::add_to_linker::<_, WasiCli>(linker, Guest::cli)?;
    cli::terminal_output::add_to_linker::<_, WasiCli>(linker, Guest::cli)?;
    cli::terminal_stdin::add_to_linker::<_, WasiCli>(linker, Guest::cli)?;
    cli::terminal_stdout::add_to_linker::<_, WasiCli>(linker, Guest::cli)?;
    cli::terminal_stderr::add_to_linker::<_, WasiCli>(linker, Guest::cli)?;
    Ok(())
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
