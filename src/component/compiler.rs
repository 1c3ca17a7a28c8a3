//! Compilation, in a process of its own.
//!
//! The attack: a component that is small to send and endless to compile. What the engine promises of
//! running code it does not promise of compiling it, so a stranger's component is compiled where its
//! memory and time have limits, without files and network, and where a crash is somebody else's.
//!
//! It protects from what a compilation uses up, not from a compiler that a component has taken over:
//! what comes back is loaded as code.

use std::io::{self, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use wasmtime::Engine;

use super::{ComponentError, Interruption, engine};
use crate::sandbox::fence::{FencePlan, PreparedFence, die_with};
use crate::sandbox::{Fence, Limits};

/// The subcommand of `lockgate` that is the child.
pub const COMPILE_COMMAND: &str = "compile-component";
/// Its option for code that runs in a worker.
const FOR_WORKER: &str = "--for-worker";
/// Bytes of the line before the code.
const HEADER: usize = 64 << 10;
/// Bytes of the child's stderr that are kept.
const ERRORS: u64 = 16 << 10;

/// Where components are compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compiler {
    /// By this `lockgate`, in a process with limits.
    Child(PathBuf),
    /// In this process, without limits: only for components that one trusts.
    InProcess,
}

impl Compiler {
    /// The `lockgate` to compile with: this program, if it is that, else one beside it or in the
    /// folder above. Never one of `PATH` or of the environment.
    #[must_use]
    pub fn find() -> Option<Self> {
        let me = std::env::current_exe().ok()?;
        let name = me.file_name()?.to_string_lossy();
        // As the kernel says it of a file that was replaced while it runs.
        if name.trim_end_matches(" (deleted)") == "lockgate" {
            return Some(Self::Child("/proc/self/exe".into()));
        }
        let folders = me.ancestors().skip(1).take(2);
        folders.map(|folder| folder.join("lockgate")).find(|file| file.is_file()).map(Self::Child)
    }
}

/// The line before the code.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Header {
    /// Compiled, by this version and these settings of the engine.
    Code { version: String, settings: String },
    /// It ends too early.
    Truncated,
    /// It is no component.
    Invalid { reason: String },
    /// The engine cannot be made.
    Engine { reason: String },
}

/// Compiles a component within its limits.
pub(super) fn compile(
    compiler: &Compiler,
    engine: &Engine,
    interruption: Interruption,
    path: &Path,
    bytes: &[u8],
    limits: &Limits,
) -> Result<Vec<u8>, ComponentError> {
    match compiler {
        Compiler::InProcess => engine
            .precompile_component(bytes)
            .map_err(|e| explain(bytes, &e).into_error(path, bytes)),
        Compiler::Child(program) => in_child(program, engine, interruption, path, bytes, limits),
    }
}

fn in_child(
    program: &Path,
    engine: &Engine,
    interruption: Interruption,
    path: &Path,
    bytes: &[u8],
    limits: &Limits,
) -> Result<Vec<u8>, ComponentError> {
    let failed = |reason: String| ComponentError::Compiler { path: path.to_owned(), reason };
    let odd = |e: io::Error| failed(e.to_string());
    let (code, errors, status) = std::thread::scope(|scope| {
        let began = Instant::now();
        let mut child = start(program, interruption, limits).map_err(failed)?;
        let (Some(mut stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(failed("its pipes are missing".into()));
        };
        // Who writes hears of the end by a broken pipe; nobody is left to wait for.
        scope.spawn(move || {
            let _ = stdin.write_all(bytes);
        });
        let (done, wait) = sync_channel(1);
        let most = (limits.compile_bytes as u64).saturating_add(HEADER as u64);
        scope.spawn(move || {
            let mut code = Vec::new();
            let read = stdout.take(most).read_to_end(&mut code).map(|_| code);
            let _ = done.send(read);
        });
        let errors = scope.spawn(move || {
            let mut text = Vec::new();
            let mut stderr = stderr.take(ERRORS);
            let _ = stderr.read_to_end(&mut text);
            // A full pipe would hold it up.
            let _ = io::copy(&mut stderr.into_inner(), &mut io::sink());
            String::from_utf8_lossy(&text).into_owned()
        });
        let left = limits.compile_time.saturating_sub(began.elapsed());
        let code = wait.recv_timeout(left);
        // At its end it is gone already; else it is to be.
        let late = matches!(code, Err(RecvTimeoutError::Timeout));
        let full = matches!(&code, Ok(Ok(code)) if code.len() as u64 == most);
        if late || full {
            child.kill().map_err(odd)?;
        }
        let status = child.wait().map_err(odd)?;
        if late || full {
            let of = if late { Limit::Time } else { Limit::Memory };
            return Err(of.error(path, limits));
        }
        let code = code.map_err(|e| failed(e.to_string()))?.map_err(odd)?;
        Ok((code, errors.join().unwrap_or_default(), status))
    })?;
    let Some((header, code)) = header(&code) else {
        return Err(match Limit::of(status, &errors) {
            Some(limit) => limit.error(path, limits),
            None => failed(format!("it ended with {status}; {}", last_line(&errors))),
        });
    };
    match header {
        Header::Code { version, settings } => {
            let ours = engine::settings(engine);
            if version != env!("CARGO_PKG_VERSION") || settings != ours {
                return Err(failed(format!(
                    "it is lockgate {version} ({settings}), and this is {} ({ours})",
                    env!("CARGO_PKG_VERSION"),
                )));
            }
            Ok(code.to_vec())
        }
        other => Err(other.into_error(path, bytes)),
    }
}

fn header(output: &[u8]) -> Option<(Header, &[u8])> {
    let end = output.iter().take(HEADER).position(|b| *b == b'\n')?;
    Some((serde_json::from_slice(&output[..end]).ok()?, &output[end + 1..]))
}

fn last_line(text: &str) -> &str {
    text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing")
}

#[derive(Debug, Clone, Copy)]
enum Limit {
    Time,
    Memory,
}

impl Limit {
    /// The limit that a child ended at, if it was one.
    fn of(status: ExitStatus, errors: &str) -> Option<Self> {
        let out_of_memory =
            ["memory allocation of", "Cannot allocate memory", "os error 12", "out of memory"];
        match status.signal() {
            Some(libc::SIGXCPU | libc::SIGKILL) => Some(Self::Time),
            _ if out_of_memory.iter().any(|words| errors.contains(words)) => Some(Self::Memory),
            _ => None,
        }
    }

    fn error(self, path: &Path, limits: &Limits) -> ComponentError {
        let path = path.to_owned();
        match self {
            Self::Time => ComponentError::CompileTime { path, limit: limits.compile_time },
            Self::Memory => ComponentError::CompileMemory { path, limit: limits.compile_bytes },
        }
    }
}

impl Header {
    fn into_error(self, path: &Path, bytes: &[u8]) -> ComponentError {
        let path = path.to_owned();
        match self {
            Self::Truncated => ComponentError::Truncated { path, offset: bytes.len() },
            Self::Invalid { reason } => ComponentError::Invalid { path, reason },
            Self::Engine { reason } => ComponentError::Engine(reason),
            Self::Code { .. } => ComponentError::Engine("it compiled after all".into()),
        }
    }
}

fn start(
    program: &Path,
    interruption: Interruption,
    limits: &Limits,
) -> Result<std::process::Child, String> {
    let libraries = ["/usr/lib", "/usr/lib64", "/usr/lib32", "/lib", "/lib64", "/nix/store"];
    let linker = ["/gnu/store", "/etc/ld.so.cache", "/etc/ld.so.preload"];
    let mut read: Vec<PathBuf> = libraries.into_iter().chain(linker).map(PathBuf::from).collect();
    read.push(program.to_owned());
    let plan = FencePlan {
        read,
        memory_bytes: Some(limits.compile_bytes as u64),
        cpu: Some(limits.compile_time),
        open_files: Some(64),
        file_bytes: Some(0),
        ..FencePlan::default()
    };
    // Not the whole fence or nothing: without it, components are compiled under limits still.
    let fence = plan.prepare(Fence::BestEffort).map_err(|e| e.to_string())?;
    let mut command = Command::new(program);
    command.arg(COMPILE_COMMAND).env_clear().current_dir("/");
    if interruption == Interruption::Off {
        command.arg(FOR_WORKER);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    dies_with_us(&mut command, fence);
    command.spawn().map_err(|e| format!("{} cannot be started: {e}", program.display()))
}

fn dies_with_us(command: &mut Command, fence: PreparedFence) {
    let parent = std::process::id();
    // SAFETY: both promise to be async-signal-safe and to touch no memory of ours.
    #[expect(unsafe_code, reason = "the only way to act between fork and exec")]
    unsafe {
        command.pre_exec(move || {
            die_with(parent)?;
            fence.enter()
        });
    }
}

/// The child: fences itself in, reads a component from stdin, and writes what it comes to to stdout.
///
/// # Errors
/// When it cannot be fenced in, or nobody reads what it writes.
pub fn compile_from_stdin(interruption: Interruption) -> io::Result<()> {
    // What the loader needed is loaded. From here on: no file, no socket, no program.
    let plan = FencePlan { exec: false, ..FencePlan::default() };
    plan.prepare(Fence::BestEffort).map_err(io::Error::other)?.enter()?;
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes)?;
    let (header, code) = match engine::compiling(interruption) {
        Err(reason) => (Header::Engine { reason }, Vec::new()),
        Ok(engine) => match engine.precompile_component(&bytes) {
            Ok(code) => {
                let version = env!("CARGO_PKG_VERSION").to_owned();
                (Header::Code { version, settings: engine::settings(&engine) }, code)
            }
            Err(error) => (explain(&bytes, &error), Vec::new()),
        },
    };
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, &header)?;
    out.write_all(b"\n")?;
    out.write_all(&code)?;
    out.flush()
}

/// Why a component does not compile: cut off, or invalid.
fn explain(bytes: &[u8], error: &wasmtime::Error) -> Header {
    let mut validator = wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::all());
    if let Err(fault) = validator.validate_all(bytes)
        && (fault.message().contains("unexpected end") || fault.offset() >= bytes.len())
    {
        return Header::Truncated;
    }
    let mut reason = format!("{error:#}");
    // A stranger's names may be in it.
    let end = (0..=reason.len().min(HEADER / 16)).rev().find(|n| reason.is_char_boundary(*n));
    reason.truncate(end.unwrap_or(0));
    Header::Invalid { reason }
}
