//! From a file to a checked and compiled component.

use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use wasmtime::Engine;

use super::header::header;
use super::{
    CompileCache, Compiler, Component, ComponentError, Interruption, Resolver, SystemResolver,
    compiler, contract, engine, filesystem,
};
use crate::sandbox::{Limits, Policy};

/// Loads components. Cheap to clone; the engine behind it is one a process.
#[derive(Debug, Clone)]
pub struct ComponentRuntime {
    cache: Option<CompileCache>,
    resolver: Arc<dyn Resolver>,
    /// None: it is looked for when it is needed.
    compiler: Option<Compiler>,
    interruption: Interruption,
}

impl Default for ComponentRuntime {
    fn default() -> Self {
        Self::new(None)
    }
}

impl ComponentRuntime {
    /// With a cache of compiled code, or without. What compiles is found by [`Compiler::find`].
    #[must_use]
    pub fn new(cache: Option<CompileCache>) -> Self {
        Self {
            cache,
            resolver: Arc::new(SystemResolver),
            compiler: None,
            interruption: Interruption::default(),
        }
    }

    /// What it resolves names with.
    pub(crate) fn resolver(&self) -> Arc<dyn Resolver> {
        self.resolver.clone()
    }

    /// The same with another compiler.
    #[must_use]
    pub fn with_compiler(mut self, compiler: Compiler) -> Self {
        self.compiler = Some(compiler);
        self
    }

    /// The same with another cache, or none.
    #[must_use]
    pub fn with_cache(mut self, cache: Option<CompileCache>) -> Self {
        self.cache = cache;
        self
    }

    /// The same with another resolver of names.
    #[must_use]
    pub fn with_resolver(mut self, resolver: Arc<dyn Resolver>) -> Self {
        self.resolver = resolver;
        self
    }

    /// The same for code that is ended in another way. What is loaded with [`Interruption::Off`] runs
    /// in a worker only.
    #[must_use]
    pub fn with_interruption(mut self, interruption: Interruption) -> Self {
        self.interruption = interruption;
        self
    }

    /// How what it loads is ended.
    #[must_use]
    pub fn interruption(&self) -> Interruption {
        self.interruption
    }

    /// Whether a policy leaves what this host keeps for itself to the host. Asked again by each
    /// operation; asked first of all, nothing is said to be given that never is.
    ///
    /// # Errors
    /// [`ComponentError::DirectoryRefused`].
    pub fn may_grant(&self, policy: &Policy, to_a_process: bool) -> Result<(), ComponentError> {
        let cache = self.cache.as_ref().map(CompileCache::folder);
        match to_a_process {
            true => filesystem::may_grant_to_process(policy, cache),
            false => filesystem::may_grant(policy, cache),
        }
    }

    /// As [`ComponentRuntime::load_within`], with the limits that are the default.
    ///
    /// # Errors
    /// [`ComponentError`].
    pub fn load(&self, path: &Path) -> Result<Component, ComponentError> {
        self.load_within(path, &Limits::default())
    }

    /// Reads and compiles a component, or takes it from the cache. Whether it is a connector that
    /// may be run is asked afterwards ([`Component::kind`]), so that one that may not can still be
    /// inspected.
    ///
    /// # Errors
    /// [`ComponentError`], when it is no component.
    pub fn load_within(&self, path: &Path, limits: &Limits) -> Result<Component, ComponentError> {
        let bytes = read(path, limits.component_bytes as u64)?;
        header(path, &bytes, |bytes| Engine::detect_precompiled(bytes).is_some())?;
        let engine = engine::engine(self.interruption)?;
        let digest = hex::encode(Sha256::digest(&bytes));
        let file = self.cache.as_ref().map(|cache| cache.file(&engine, &digest));
        let cached = match (&self.cache, &file) {
            (Some(cache), Some(file)) => cache.load(file),
            _ => None,
        };
        let compiled = match cached.and_then(|code| deserialize(&engine, &code).ok()) {
            Some(compiled) => compiled,
            None => {
                let code = self.compile(&engine, path, &bytes, limits)?;
                if let (Some(cache), Some(file)) = (&self.cache, &file) {
                    // Without a cache the next start is slower and nothing else.
                    let _ = cache.store(file, &code);
                }
                deserialize(&engine, &code).map_err(|e| unusable(path, &e))?
            }
        };
        self.component(engine, compiled, path, format!("sha256:{digest}"), bytes.len() as u64)
    }

    /// Judges and links what was compiled.
    pub(super) fn component(
        &self,
        engine: Engine,
        compiled: wasmtime::component::Component,
        path: &Path,
        digest: String,
        size: u64,
    ) -> Result<Component, ComponentError> {
        let ty = compiled.component_type();
        let verdict = contract::check(&ty, &engine).map_err(Arc::new);
        let network = contract::imports(&ty, &engine).into_iter().find(|import| import.network);
        let component = Component {
            engine,
            interruption: self.interruption,
            runtime: self.clone(),
            compiled,
            path: path.to_owned(),
            digest,
            size,
            cache: self.cache.as_ref().map(|cache| cache.folder().to_owned()),
            verdict,
            network: network.map(|import| import.name),
            linked: Arc::default(),
            resolver: self.resolver.clone(),
            run: None,
        };
        // Somebody else's idea of the contract is known at once; where the network is imported, when
        // it is known to be granted.
        if component.verdict.is_ok() && component.network.is_none() {
            component.linked()?;
        }
        Ok(component)
    }

    fn compile(
        &self,
        engine: &Engine,
        path: &Path,
        bytes: &[u8],
        limits: &Limits,
    ) -> Result<Vec<u8>, ComponentError> {
        let compiler = self.compiler.clone().or_else(Compiler::find);
        let compiler =
            compiler.ok_or_else(|| ComponentError::CompilerMissing { path: path.to_owned() })?;
        compiler::compile(&compiler, engine, self.interruption, path, bytes, limits)
    }
}

/// Loads compiled code: of the cache, after its owner and digest were verified, or fresh from the
/// compiler that this host started.
#[expect(
    unsafe_code,
    clippy::disallowed_methods,
    reason = "the only way to load compiled code, and the only place that does"
)]
pub(super) fn deserialize(
    engine: &Engine,
    code: &[u8],
) -> wasmtime::Result<wasmtime::component::Component> {
    // SAFETY: the code was made by `compiler::compile` with this engine's version and settings
    // (which the engine checks again), here or in the process that started this worker, and nobody
    // else could have changed it since.
    unsafe { wasmtime::component::Component::deserialize(engine, code) }
}

/// Why fresh code cannot be loaded: what it needs of the pool is known only now. The engine says
/// that in words and nothing else.
fn unusable(path: &Path, error: &wasmtime::Error) -> ComponentError {
    let path = path.to_owned();
    let reason = format!("{error:#}");
    if !reason.contains("pooling allocator") {
        return ComponentError::Compiler { path, reason };
    }
    let what = error.root_cause().to_string();
    let what = what.lines().next().unwrap_or_default().split("; breakdown").next();
    let what = what.unwrap_or_default().trim_end_matches(" in the pooling allocator");
    ComponentError::Invalid {
        path,
        reason: format!("it takes more than one may have here: {what}"),
    }
}

fn read(path: &Path, most: u64) -> Result<Vec<u8>, ComponentError> {
    let unreadable = |reason: String| ComponentError::Unreadable { path: path.to_owned(), reason };
    // Not blocking: to open a named pipe is to wait for its writer.
    let mut open = std::fs::OpenOptions::new();
    let file = open.read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = file.map_err(|e| unreadable(e.to_string()))?;
    let facts = file.metadata().map_err(|e| unreadable(e.to_string()))?;
    if !facts.is_file() {
        return Err(unreadable("it is not a file".into()));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(facts.len().min(most)).unwrap_or(0));
    file.take(most.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|e| unreadable(e.to_string()))?;
    if bytes.len() as u64 > most {
        return Err(ComponentError::TooLarge { path: path.to_owned(), limit: most });
    }
    Ok(bytes)
}
