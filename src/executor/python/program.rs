//! Programs that an installation starts: uv, and a Python to get uv with. The only place that looks
//! for them and starts them.
//!
//! The attack: what is installed may be built from source, and that runs code of whoever published
//! it, as this user, before anybody granted it anything. So an installation runs behind the
//! kernel's fence: the network is open to it, it writes to its environment and to a private folder
//! with its downloads, which no other installation sees, and it reads the system, Python, uv, and the files that its variables and its
//! requirement name. Of this process's environment it gets what [`super::variables`] names.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

use super::PythonError;
use super::variables::{of_install, pip_files};
use super::words::Told;
use crate::executor::ExecutorError;
use crate::executor::process::reach::{Surroundings, of_program};
use crate::sandbox::Policy;
use crate::sandbox::fence::{
    FencePlan, PreparedFence, TcpAccess, devices, die_with, keep_standard_descriptors,
    system_folders,
};

/// Bytes that are kept of what a program says, on each of its outputs. A list of a thousand
/// packages has a tenth of that.
const KEPT: usize = 1 << 20;
/// Bytes of one of pip's files that are read. They have a few lines.
const PIP_FILE: u64 = 64 << 10;

/// A variable of this process, by its name.
fn own(name: &str) -> Option<OsString> {
    #[expect(
        clippy::disallowed_methods,
        reason = "by name: where programs and caches are, and what configures an installation"
    )]
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Lockgate's cache of this user: `$LOCKGATE_CACHE_DIR`, else `$XDG_CACHE_HOME/lockgate`, else
/// `~/.cache/lockgate`.
fn cache_folder() -> Option<PathBuf> {
    let named = |key: &str| own(key).map(PathBuf::from);
    named("LOCKGATE_CACHE_DIR")
        .or_else(|| named("XDG_CACHE_HOME").map(|folder| folder.join("lockgate")))
        .or_else(|| named("HOME").map(|home| home.join(".cache/lockgate")))
}

/// What an installation works with.
#[derive(Debug)]
pub(super) struct Workshop {
    /// Lockgate's own folder, with its uv.
    pub(super) cache: PathBuf,
    /// Where uv keeps the Pythons that it was told to download.
    pythons: PathBuf,
    variables: BTreeMap<String, OsString>,
}

impl Workshop {
    /// In a folder, or in this user's cache.
    pub(super) fn new(cache: Option<PathBuf>) -> Result<Self, PythonError> {
        let cache = cache.or_else(cache_folder).ok_or_else(|| {
            let what = "there is no folder for lockgate's own files: neither HOME, XDG_CACHE_HOME nor LOCKGATE_CACHE_DIR is set";
            PythonError::Settings(what.into())
        })?;
        let texts = pip_files(&own).into_iter().filter_map(|file| {
            let mut text = String::new();
            let file = std::fs::File::open(file).ok()?;
            std::io::Read::read_to_string(&mut std::io::Read::take(file, PIP_FILE), &mut text)
                .ok()?;
            Some(text)
        });
        let variables = of_install(&own, &texts.collect::<Vec<_>>());
        let named = |name: &str| variables.get(name).map(PathBuf::from);
        let data = own("XDG_DATA_HOME").map(PathBuf::from);
        let data =
            data.or_else(|| own("HOME").map(|home| PathBuf::from(home).join(".local/share")));
        let pythons = named("UV_PYTHON_INSTALL_DIR")
            .or_else(|| data.map(|data| data.join("uv/python")))
            .unwrap_or_else(|| cache.join("uv/python"));
        Ok(Self { cache, pythons, variables })
    }

    /// Whether uv may download a Python.
    fn downloads_pythons(&self) -> bool {
        let told = self.variables.get("UV_PYTHON_DOWNLOADS").and_then(|value| value.to_str());
        told.is_some_and(|told| told != "never")
    }

    /// Every program of a name on `PATH`, in its order.
    pub(super) fn on_path(name: &str) -> Vec<PathBuf> {
        let folders = own("PATH").unwrap_or_default();
        let files = std::env::split_paths(&folders).filter(|folder| folder.is_absolute());
        files.map(|folder| folder.join(name)).filter(|file| is_program(file)).collect()
    }

    /// A program that installs: behind the fence of a policy, with a private folder as its home.
    /// It may change the folders in `writes`, which are there.
    pub(super) fn fenced(
        &self,
        program: &Path,
        scratch: &Path,
        policy: &Policy,
        opened: &Opened,
    ) -> Result<Call, ExecutorError> {
        let downloads = opened.pythons && self.downloads_pythons();
        let mut writes = vec![scratch.to_owned()];
        let mut reads = vec![self.pythons.clone()];
        if downloads {
            private_folder(&self.pythons)?;
            writes.push(self.pythons.clone());
        }
        writes.extend(opened.write.iter().cloned());
        reads.extend(opened.read.iter().cloned());
        reads.extend(self.named_files());
        let around = Surroundings::here();
        reads.extend(of_program(program, &around));
        for interpreter in &opened.interpreters {
            reads.extend(of_program(interpreter, &around));
        }
        reads.extend(system_folders());
        writes.extend(devices());
        let plan = FencePlan {
            read: reads,
            write: writes,
            connect: TcpAccess::Any,
            shared_memory: true,
            open_files: Some(policy.limits.process_files),
            ..FencePlan::default()
        };
        let mut call = self.call(program, scratch);
        call.fence = Some(plan.prepare(policy.fence)?);
        let set = |name: &str, value: &OsStr| (name.to_owned(), value.to_owned());
        call.variables.extend([
            // Nobody else's: what is built could change what another installation takes from it.
            set("UV_CACHE_DIR", scratch.join("downloads").as_os_str()),
            set("UV_PYTHON_INSTALL_DIR", self.pythons.as_os_str()),
            set("UV_NO_CONFIG", OsStr::new("1")),
            set("UV_NO_PROGRESS", OsStr::new("1")),
        ]);
        if !downloads {
            call.variables.insert("UV_PYTHON_DOWNLOADS".into(), "never".into());
        }
        Ok(call)
    }

    /// A program that installs nothing of a connector's: pip and uv, as they are published. It
    /// finds the user's settings.
    pub(super) fn trusted(&self, program: &Path) -> Call {
        let home = own("HOME").map_or_else(|| self.cache.clone(), PathBuf::from);
        let mut call = self.call(program, &home);
        call.variables.remove("TMPDIR");
        let set = |name: &str, value: &str| (name.to_owned(), OsString::from(value));
        call.variables.extend([
            set("PIP_DISABLE_PIP_VERSION_CHECK", "1"),
            set("PIP_NO_INPUT", "1"),
            // What a file of pip's may say of every other installation.
            set("PIP_USER", "0"),
        ]);
        call
    }

    fn call(&self, program: &Path, home: &Path) -> Call {
        let mut variables = self.variables.clone();
        for name in ["HOME", "TMPDIR"] {
            variables.insert(name.into(), home.as_os_str().to_owned());
        }
        variables.insert("PATH".into(), own("PATH").unwrap_or_default());
        variables.insert("LANG".into(), "C.UTF-8".into());
        variables.insert("NO_COLOR".into(), "1".into());
        Call {
            program: program.to_owned(),
            arguments: Vec::new(),
            folder: home.to_owned(),
            variables,
            fence: None,
        }
    }

    /// The files and folders that the variables name: certificates, wheels, constraints.
    fn named_files(&self) -> Vec<PathBuf> {
        let texts = self.variables.values().filter_map(|value| value.to_str());
        let words = texts.flat_map(|text| text.split([' ', ',', ':']));
        let paths = words.filter(|word| word.len() > 1 && word.starts_with('/')).map(PathBuf::from);
        paths.filter(|path| path.exists() && path.components().count() > 2).collect()
    }
}

/// Makes a folder that is this user's alone.
pub(super) fn private_folder(folder: &Path) -> Result<(), PythonError> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|e| PythonError::Folder { path: folder.to_owned(), reason: e.to_string() })
}

/// What is open to an installation besides what it always has.
#[derive(Debug, Default)]
pub(super) struct Opened {
    /// To read.
    pub(super) read: Vec<PathBuf>,
    /// To change. Must be there.
    pub(super) write: Vec<PathBuf>,
    /// Programs, with what they read to be executed.
    pub(super) interpreters: Vec<PathBuf>,
    /// Whether a Python may be downloaded, where the variables say so.
    pub(super) pythons: bool,
}

fn is_program(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|f| f.is_file() && f.permissions().mode() & 0o111 != 0)
}

/// A program to be run once.
#[derive(Debug)]
pub(super) struct Call {
    program: PathBuf,
    arguments: Vec<OsString>,
    folder: PathBuf,
    variables: BTreeMap<String, OsString>,
    fence: Option<PreparedFence>,
}

/// How it ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// With exit code 0.
    pub(super) good: bool,
    /// What it printed.
    pub(super) stdout: String,
    /// What it said besides, and how it ended where that was no exit.
    pub(super) stderr: String,
}

impl Ended {
    /// All that it said, for an error.
    pub(super) fn said(&self) -> String {
        super::redact::last_lines(&format!("{}\n{}", self.stdout, self.stderr))
    }
}

/// Ends a program and all that it started, also when nobody waits for it any more.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It may be gone already.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Call {
    /// With these words.
    pub(super) fn arguments<W: AsRef<OsStr>>(mut self, words: impl IntoIterator<Item = W>) -> Self {
        self.arguments.extend(words.into_iter().map(|word| word.as_ref().to_owned()));
        self
    }

    /// With the indexes of a requirement.
    pub(super) fn told(mut self, told: &Told) -> Self {
        told.set(&mut self.variables);
        self
    }

    /// In this folder.
    pub(super) fn in_folder(mut self, folder: &Path) -> Self {
        self.folder = folder.to_owned();
        self
    }

    /// Runs it to its end. It is killed when the future is dropped.
    pub(super) async fn run(self) -> std::io::Result<Ended> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env_clear().envs(&self.variables).current_dir(&self.folder);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        let parent = std::process::id();
        let fence = self.fence;
        // SAFETY: all three promise to be async-signal-safe and to touch no memory of ours.
        #[expect(unsafe_code, reason = "the only way to act between fork and exec")]
        unsafe {
            command.pre_exec(move || {
                // An installation that nobody waits for holds no lock any more.
                die_with(parent)?;
                keep_standard_descriptors();
                fence.as_ref().map_or(Ok(()), PreparedFence::enter)
            });
        }
        let mut child = command.spawn()?;
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        let group = Group(id.and_then(Pid::from_raw));
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (stdout, stderr, status) = tokio::join!(end_of(stdout), end_of(stderr), child.wait());
        drop(group);
        let status = status?;
        let mut stderr = stderr;
        if status.code().is_none() {
            stderr.push_str(&format!("\nit was ended: {status}"));
        }
        Ok(Ended { good: status.success(), stdout, stderr })
    }
}

/// Reads an output to its end, and keeps the last of it.
async fn end_of(output: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut output) = output else { return String::new() };
    let mut kept = Vec::new();
    let mut buffer = vec![0; 16 << 10];
    // What cannot be read any more has ended.
    while let Ok(count @ 1..) = output.read(&mut buffer).await {
        kept.extend_from_slice(&buffer[..count]);
        if kept.len() > 2 * KEPT {
            kept.drain(..kept.len() - KEPT);
        }
    }
    let start = kept.len().saturating_sub(KEPT);
    String::from_utf8_lossy(&kept[start..]).into_owned()
}
