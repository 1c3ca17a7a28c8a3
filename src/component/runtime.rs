//! From a file to a checked and compiled component.

use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use wasmtime::Engine;

use super::link::link;
use super::{CompileCache, Component, ComponentError, Interruption, contract, engine};

/// Bytes of a component file: more is refused before it is read. Python components have 20 MB.
const LARGEST_FILE: u64 = 256 << 20;
/// Loads components. Cheap to clone; the engine behind it is one a process.
#[derive(Debug, Clone, Default)]
pub struct ComponentRuntime {
    cache: Option<CompileCache>,
    interruption: Interruption,
}
impl ComponentRuntime {
    /// With a cache of compiled code, or without.
    #[must_use]
    pub fn new(cache: Option<CompileCache>) -> Self {
        Self { cache, interruption: Interruption::default() }
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

    /// Reads and compiles a component, or takes it from the cache. Whether it is a connector that
    /// may be run is asked afterwards ([`Component::kind`]), so that one that may not can still be
    /// inspected.
    ///
    /// # Errors
    /// [`ComponentError`], when it is no component.
    pub fn load(&self, path: &Path) -> Result<Component, ComponentError> {
        let bytes = read(path)?;
        header(path, &bytes)?;
        let engine = engine::engine(self.interruption)?;
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
        let linked = match &verdict {
            Ok((kind, _)) => Some(link(&engine, &compiled, *kind).map_err(|e| {
                // The names fit and the types do not: somebody else's idea of the contract.
                ComponentError::Invalid { path: path.to_owned(), reason: format!("{e:#}") }
            })?),
            Err(_) => None,
        };
        Ok(Component {
            engine,
            interruption: self.interruption,
            runtime: self.clone(),
            compiled,
            path: path.to_owned(),
            digest,
            size,
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
    // Not blocking: to open a named pipe is to wait for its writer.
    let mut open = std::fs::OpenOptions::new();
    let file = open.read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = file.map_err(|e| unreadable(e.to_string()))?;
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
