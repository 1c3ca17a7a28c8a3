//! The process of a worker.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Pid, Signal, kill_process_group};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use super::frame::{Decoder, encode};
use super::message::ToWorker;
use super::{WorkerError, WorkerProgram};
use crate::component::Image;
use crate::sandbox::fence::die_with;
use crate::sync::lock::ConnectionLock;

/// Bytes of its stderr that are kept: a panic's message.
const STDERR: usize = 8 << 10;
/// How long it may leave a message unread.
const UNREAD: std::time::Duration = std::time::Duration::from_secs(10);
/// How long it may take to end after its last word, or after it was killed.
const ENDING: std::time::Duration = std::time::Duration::from_secs(5);

/// A worker that runs. Killed when it is dropped.
#[derive(Debug)]
pub(super) struct Worker {
    child: Child,
    group: Option<Pid>,
    socket: UnixStream,
    decoder: Decoder,
    buffer: Vec<u8>,
    stderr: Arc<Mutex<Vec<u8>>>,
    listening: tokio::task::JoinHandle<()>,
}

impl Worker {
    pub(super) fn start(
        program: &WorkerProgram,
        images: &[Image; 2],
        lock: Option<&ConnectionLock>,
    ) -> Result<Self, WorkerError> {
        let failed = |e: std::io::Error| WorkerError::Start(e.to_string());
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().map_err(failed)?;
        ours.set_nonblocking(true).map_err(failed)?;
        let mut command = Command::new(&program.0);
        command.arg0("lockgate").arg("worker").env_clear().current_dir("/");
        for image in images {
            command.arg(image.as_fd().as_raw_fd().to_string());
        }
        command.stdin(OwnedFd::from(theirs)).stdout(Stdio::null()).stderr(Stdio::piped());
        // A group of its own: Ctrl-C is for the parent, which tells it.
        command.process_group(0).kill_on_drop(true);
        let kept: Vec<i32> = images
            .iter()
            .map(|image| image.as_fd().as_raw_fd())
            .chain(lock.map(|lock| lock.file().as_raw_fd()))
            .collect();
        let parent = std::process::id();
        #[expect(unsafe_code, reason = "the only way to act between fork and exec")]
        // SAFETY: `die_with` promises to be async-signal-safe, and so is fcntl; the list is only read.
        // The descriptors are open: `images` and `lock` outlive the call.
        unsafe {
            command.pre_exec(move || {
                die_with(parent)?;
                for descriptor in &kept {
                    if libc::fcntl(*descriptor, libc::F_SETFD, 0) != 0 {
                        return Err(std::io::Error::last_os_error());
                    }
                }
                Ok(())
            });
        }
        let mut child = command.spawn().map_err(failed)?;
        // The command holds the child's end of the socket; while it is open, the end of the child
        // is not the end of what it says.
        drop(command);
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let stderr = Arc::new(Mutex::new(Vec::new()));
        let listening = tokio::spawn(listen(child.stderr.take(), stderr.clone()));
        let socket = UnixStream::from_std(ours).map_err(failed)?;
        let (decoder, buffer) = (Decoder::default(), vec![0; 64 << 10]);
        Ok(Self { child, group, socket, decoder, buffer, stderr, listening })
    }

    /// Says something.
    pub(super) async fn say(&mut self, message: &ToWorker) -> Result<(), WorkerError> {
        let broken = |what: String| WorkerError::Protocol(what);
        let bytes = encode(message).map_err(|e| broken(e.to_string()))?;
        match tokio::time::timeout(UNREAD, self.socket.write_all(&bytes)).await {
            Err(_) => Err(broken("it does not read what it is told".into())),
            // It is gone: that is seen when it is read from, and then its end tells why.
            Ok(_) => Ok(()),
        }
    }

    /// The next message, if it is here already.
    pub(super) fn heard<M: DeserializeOwned>(&mut self) -> Result<Option<M>, WorkerError> {
        self.decoder.next().map_err(|e| WorkerError::Protocol(e.to_string()))
    }

    /// Waits for more; false: there is no more. May be dropped at any time.
    pub(super) async fn listen(&mut self) -> bool {
        match self.socket.read(&mut self.buffer).await {
            Ok(length) if length > 0 => {
                self.decoder.push(&self.buffer[..length]);
                true
            }
            _ => false,
        }
    }

    /// Kills it and what it may have started, and waits until it is gone.
    pub(super) async fn kill(&mut self) {
        if let (Some(group), Some(_)) = (self.group, self.child.id()) {
            // It may be gone already.
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = tokio::time::timeout(ENDING, self.child.wait()).await;
    }

    /// Lets it end, after its last word.
    pub(super) async fn end(&mut self) {
        if tokio::time::timeout(ENDING, self.child.wait()).await.is_err() {
            self.kill().await;
        }
    }

    /// Why it ended without a last word.
    pub(super) async fn crashed(&mut self) -> WorkerError {
        let status = match tokio::time::timeout(ENDING, self.child.wait()).await {
            Ok(status) => status.ok(),
            Err(_) => None,
        };
        if status.is_none() {
            self.kill().await;
            return WorkerError::Protocol("it stopped talking, and went on".into());
        }
        let _ = tokio::time::timeout(ENDING, &mut self.listening).await;
        let stderr = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
        let stderr = String::from_utf8_lossy(&stderr).trim().to_owned();
        WorkerError::Crashed { how: status.map_or_else(String::new, how), stderr }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.listening.abort();
        // Once it was waited for, its number may be somebody else's.
        if let (Some(group), Some(_)) = (self.group, self.child.id()) {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Keeps the beginning of what it prints, and reads on: a full pipe would stop it.
async fn listen(errors: Option<tokio::process::ChildStderr>, kept: Arc<Mutex<Vec<u8>>>) {
    let Some(mut errors) = errors else { return };
    let mut buffer = vec![0; 4096];
    while let Ok(length) = errors.read(&mut buffer).await {
        if length == 0 {
            return;
        }
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        let room = STDERR.saturating_sub(kept.len()).min(length);
        kept.extend_from_slice(&buffer[..room]);
    }
}

fn how(status: ExitStatus) -> String {
    let name = |signal| match signal {
        libc::SIGKILL => " (SIGKILL)",
        libc::SIGSEGV => " (SIGSEGV)",
        libc::SIGBUS => " (SIGBUS)",
        libc::SIGILL => " (SIGILL)",
        libc::SIGABRT => " (SIGABRT)",
        libc::SIGSYS => " (SIGSYS)",
        _ => "",
    };
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("was killed by signal {signal}{}", name(signal)),
        (None, Some(code)) => format!("exited with code {code}"),
        (None, None) => "ended in an unknown way".to_owned(),
    }
}
