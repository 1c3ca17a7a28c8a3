//! What can be wrong with a component, before and while it runs.

use std::path::PathBuf;
use std::time::Duration;

use crate::fault::{ExitClass, Fault};
use crate::protocol::{Failure, FailureKind};

/// Why a component cannot be used, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum ComponentError {
    /// The file is not there or cannot be read.
    #[error("{path}: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        reason: String,
    },
    /// Something else altogether: text, an archive, nothing.
    #[error("{path} is not WebAssembly: it is {found}")]
    NotWasm {
        /// The file.
        path: PathBuf,
        /// What it looks like.
        found: &'static str,
    },
    /// A core module.
    #[error("{path} is a core WebAssembly module, not a component")]
    CoreModule {
        /// The file.
        path: PathBuf,
    },
    /// It ends too early.
    #[error("{path} is cut off: it ends at byte {offset}, where more was promised")]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: usize,
    },
    /// It does not validate, or uses what this host does not run.
    #[error("{path} is not a valid component: {reason}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The validator's reason.
        reason: String,
    },
    /// Its file has more bytes than its limit.
    #[error("{path} is larger than {limit} bytes")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
    /// It takes too long to compile.
    #[error("{path} takes more than {} to compile", seconds(*.limit))]
    CompileTime {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit: Duration,
    },
    /// It takes too much memory to compile.
    #[error("{path} takes more than {limit} bytes of memory to compile")]
    CompileMemory {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        limit: usize,
    },
    /// There is no program to compile with.
    #[error("{path} cannot be compiled: there is no lockgate program beside this one")]
    CompilerMissing {
        /// The file.
        path: PathBuf,
    },
    /// The process that compiles did not do so.
    #[error("{path} cannot be compiled: the process that compiles it failed: {reason}")]
    Compiler {
        /// The file.
        path: PathBuf,
        /// How.
        reason: String,
    },
    /// A `.cwasm` file: native code of unknown origin.
    #[error("{path} is compiled code, and only code that this host compiled itself is run")]
    Precompiled {
        /// The file.
        path: PathBuf,
    },
    /// It exports neither a source nor a destination.
    #[error("{path} is a component, but no connector: it exports {exports}")]
    NoConnector {
        /// The file.
        path: PathBuf,
        /// What it exports.
        exports: String,
    },
    /// It was built for a contract this host does not speak.
    #[error("{path} was built for lockgate:connector@{built}; this host speaks {host}: {missing}")]
    Contract {
        /// The file.
        path: PathBuf,
        /// The component's version.
        built: String,
        /// The host's version.
        host: &'static str,
        /// What the host lacks.
        missing: String,
    },
    /// It imports what its policy does not grant, or what nobody could.
    #[error("{path} imports {import}, which {why}")]
    Import {
        /// The file.
        path: PathBuf,
        /// The import's name.
        import: String,
        /// Why not.
        why: &'static str,
    },
    /// It imports the network, and its policy grants nothing of it.
    #[error("{path} imports {import}, which reaches the network, and it is granted none of it")]
    NoNetwork {
        /// The file.
        path: PathBuf,
        /// The import's name.
        import: String,
    },
    /// A file of trusted certificate authorities cannot be used.
    #[error("the certificate authorities in {path} cannot be used: {reason}")]
    TlsRoot {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Asked for the wrong half of a sync.
    #[error("{path} is a {is}, not a {wanted}")]
    Kind {
        /// The file.
        path: PathBuf,
        /// What it is.
        is: &'static str,
        /// What was asked for.
        wanted: &'static str,
    },
    /// A granted directory cannot be opened.
    #[error("the granted directory {path} cannot be opened: {reason}")]
    Directory {
        /// The host directory.
        path: PathBuf,
        /// The system's reason.
        reason: String,
    },
    /// A directory that is granted to no connector.
    #[error("the directory {path} is never granted: {reason}")]
    DirectoryRefused {
        /// The host directory.
        path: PathBuf,
        /// What is in it.
        reason: &'static str,
    },
    /// The engine cannot be set up, or the compile cache cannot be used.
    #[error("the component engine cannot be used: {0}")]
    Engine(String),
    /// It trapped.
    #[error("the component trapped in {operation}: {reason}")]
    Trap {
        /// Which operation.
        operation: &'static str,
        /// The trap.
        reason: String,
        /// The guest's stack.
        detail: String,
    },
    /// It used up its memory.
    #[error("the component asked for more memory than its {limit_mib} MiB in {operation}")]
    Memory {
        /// Which operation.
        operation: &'static str,
        /// The limit.
        limit_mib: usize,
        /// What it ended in.
        detail: String,
    },
    /// It took too long.
    #[error("{operation} was stopped after {}", seconds(*.limit))]
    Timeout {
        /// Which operation.
        operation: &'static str,
        /// The limit.
        limit: Duration,
    },
    /// It computed too long.
    #[error("{operation} was stopped after {} of CPU time", seconds(*.limit))]
    Cpu {
        /// Which operation.
        operation: &'static str,
        /// The limit.
        limit: Duration,
    },
    /// It asked for more of something than it may have.
    #[error("the component went beyond its limit {what} in {operation}")]
    Spent {
        /// Which operation.
        operation: &'static str,
        /// The limit's name.
        what: &'static str,
        /// What it ended in.
        detail: String,
    },
    /// Everything that components run in is in use.
    #[error("too many components run at once in this process: {operation} has no place")]
    Busy {
        /// Which operation.
        operation: &'static str,
        /// What there is none left of.
        detail: String,
    },
    /// It said so itself.
    #[error("{0}")]
    Failure(Failure),
}

fn seconds(limit: Duration) -> String {
    format!("{} s", limit.as_secs_f64())
}

impl ComponentError {
    /// The failure in the contract's terms: a trap becomes `system`.
    #[must_use]
    pub fn into_failure(self) -> Failure {
        match self {
            Self::Failure(failure) => failure,
            Self::Trap { ref detail, .. }
            | Self::Memory { ref detail, .. }
            | Self::Spent { ref detail, .. } => {
                let detail = detail.clone();
                Failure::system(self.to_string()).with_detail(detail)
            }
            Self::Timeout { .. } | Self::Cpu { .. } | Self::Engine(_) => {
                Failure::system(self.to_string())
            }
            Self::Busy { .. } => Failure::new(FailureKind::Transient, self.to_string()),
            other => Failure::config(other.to_string()),
        }
    }
}

impl Fault for ComponentError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "COMPONENT_UNREADABLE",
            Self::NotWasm { .. } => "COMPONENT_NOT_WASM",
            Self::CoreModule { .. } => "COMPONENT_CORE_MODULE",
            Self::Truncated { .. } => "COMPONENT_TRUNCATED",
            Self::Invalid { .. } => "COMPONENT_INVALID",
            Self::TooLarge { .. } => "LIMIT_COMPONENT",
            Self::CompileTime { .. } | Self::CompileMemory { .. } => "COMPONENT_COMPILE_LIMIT",
            Self::CompilerMissing { .. } => "COMPILER_MISSING",
            Self::Compiler { .. } => "COMPILER_FAILED",
            Self::Precompiled { .. } => "COMPONENT_PRECOMPILED",
            Self::NoConnector { .. } => "COMPONENT_NO_CONNECTOR",
            Self::Contract { .. } => "COMPONENT_CONTRACT",
            Self::Import { .. } | Self::NoNetwork { .. } => "COMPONENT_IMPORT",
            Self::TlsRoot { .. } => "GRANT_TLS_ROOT",
            Self::Kind { .. } => "CONNECTOR_KIND",
            Self::Directory { .. } | Self::DirectoryRefused { .. } => "GRANT_DIRECTORY",
            Self::Engine(_) => "COMPONENT_ENGINE",
            Self::Trap { .. } => "CONNECTOR_TRAP",
            Self::Memory { .. } => "LIMIT_MEMORY",
            Self::Timeout { .. } => "LIMIT_TIME",
            Self::Cpu { .. } => "LIMIT_CPU",
            Self::Spent { what, .. } => match *what {
                "instances" => "LIMIT_INSTANCES",
                "handles" => "LIMIT_HANDLES",
                "random-bytes" => "LIMIT_RANDOM",
                "open-files" => "LIMIT_FILES",
                "table-elements" => "LIMIT_TABLE",
                _ => "LIMIT_HOST_CALL",
            },
            Self::Busy { .. } => "LIMIT_COMPONENTS",
            Self::Failure(failure) => match failure.kind {
                FailureKind::Config => "CONNECTOR_CONFIG",
                FailureKind::Transient => "CONNECTOR_TRANSIENT",
                FailureKind::System => "CONNECTOR_FAILED",
                FailureKind::Cancelled => "CANCELLED",
            },
        }
    }

    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Unreadable { .. } => "check the path and its permissions",
            Self::NotWasm { .. } => {
                "a connector is a .wasm component; a program that speaks Airbyte's protocol is named exec:PATH"
            }
            Self::CoreModule { .. } => {
                "build it for the target wasm32-wasip2, or wrap it with `wasm-tools component new`"
            }
            Self::Truncated { .. } => "copy or build the file again",
            Self::TooLarge { .. } => {
                "allow more with --limit component-bytes=SIZE (in sync: --source-limit, --destination-limit), for example 512MiB"
            }
            Self::CompileTime { .. } => {
                "allow more with --limit compile-time=DURATION (in sync: --source-limit, --destination-limit), for example 5m"
            }
            Self::CompileMemory { .. } => {
                "allow more with --limit compile-bytes=SIZE (in sync: --source-limit, --destination-limit), for example 4GiB"
            }
            Self::CompilerMissing { .. } => {
                "install or build the lockgate program beside this one, name it with Compiler::Child, or choose Compiler::InProcess for components that you trust"
            }
            Self::Compiler { .. } => "use the lockgate program of the same version as this one",
            Self::Precompiled { .. } => "give the .wasm file it was made from",
            Self::NoConnector { .. } => {
                "a connector exports lockgate:connector/source or lockgate:connector/destination"
            }
            Self::Contract { .. } => {
                "use a newer lockgate, or build the connector with the SDK of this version"
            }
            Self::Import { .. } => {
                "build the connector without it; `lockgate inspect` lists all imports"
            }
            Self::NoNetwork { .. } => {
                "grant what it may reach with --allow-net HOST:PORT (in sync: --source-allow-net, --destination-allow-net); `lockgate inspect` shows what it asks for"
            }
            Self::TlsRoot { .. } => {
                "--tls-root names a PEM file with the certificates of authorities"
            }
            Self::Directory { .. } => "create the directory, or grant another one",
            Self::DirectoryRefused { .. } => {
                "grant the directory with the connector's own files, and nothing above it"
            }
            Self::Memory { .. } => {
                "grant more with --max-memory (in sync: --source-max-memory, --destination-max-memory), for example 512MiB"
            }
            Self::Timeout { .. } => {
                "allow more with --timeout (in sync: --source-timeout, --destination-timeout), for example 5m"
            }
            Self::Cpu { .. } => {
                "allow more with --limit cpu-time= (in sync: --source-limit, --destination-limit), for example cpu-time=10m"
            }
            Self::Spent { what, .. } => {
                return Some(format!(
                    "allow more with --limit {what}= (in sync: --source-limit, --destination-limit)"
                ));
            }
            Self::Busy { .. } => "run fewer syncs at once in one process, or try again later",
            Self::Invalid { .. }
            | Self::Kind { .. }
            | Self::Engine(_)
            | Self::Trap { .. }
            | Self::Failure(_) => return None,
        };
        Some(text.to_owned())
    }

    fn exit(&self) -> ExitClass {
        match self {
            Self::Unreadable { .. }
            | Self::NotWasm { .. }
            | Self::CoreModule { .. }
            | Self::Truncated { .. }
            | Self::Invalid { .. }
            | Self::NoConnector { .. }
            | Self::Contract { .. }
            | Self::Directory { .. }
            | Self::TlsRoot { .. }
            | Self::Kind { .. } => ExitClass::Usage,
            Self::Import { .. }
            | Self::NoNetwork { .. }
            | Self::Precompiled { .. }
            | Self::DirectoryRefused { .. } => ExitClass::Refused,
            _ => ExitClass::Failed,
        }
    }

    fn context(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Trap { detail, .. }
            | Self::Memory { detail, .. }
            | Self::Spent { detail, .. }
            | Self::Busy { detail, .. }
                if !detail.is_empty() =>
            {
                vec![("detail", detail.clone())]
            }
            Self::Failure(failure) => {
                failure.detail.clone().map(|d| ("detail", d)).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }
}
