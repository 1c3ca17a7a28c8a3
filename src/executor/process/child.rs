//! A connector's process: how it starts, what it is given, how it ends.
//!
//! The attack: a child that inherits the environment holds every secret of its parent; one that
//! outlives its parent goes on writing; one that ignores a polite word stays. A child gets a
//! minimal environment and a process group of its own, dies with this process, and is told to stop
//! twice, the second time by SIGKILL.

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncRead;
use tokio::process::Command;
use tokio::sync::watch;

use super::folder::RunFolder;
use super::guard::Guard;
use super::input::ProcessInput;
use super::pipe::Stdout;
use crate::executor::ExecutorError;
use crate::executor::session::{Running, Started, Stdin};
use crate::executor::stdio::LineReader;
use crate::protocol::{LogLevel, Observer};
use crate::sandbox::Policy;
use crate::sandbox::fence::{PreparedFence, die_with, keep_standard_descriptors};

/// Bytes of a pipe: the most an ordinary user may ask for. Fewer switches between the processes.
const PIPE: usize = 1 << 20;
/// Lines of stderr kept for an error.
const STDERR_LINES: usize = 20;

/// The last lines of a connector's stderr.
pub(in crate::executor) type Tail = Arc<Mutex<Vec<String>>>;

/// A running connector.
#[derive(Debug)]
pub(super) struct Connector {
    /// How it ended, once it has. A task of its own waits for it, so that it is never left unreaped
    /// and everyone who reads its output hears of it.
    exit: watch::Receiver<Option<ExitStatus>>,
    /// How it ended, for whoever asked it to.
    status: Option<ExitStatus>,
    group: Option<Pid>,
    /// It did not end by itself in time, after this.
    overdue: Option<&'static str>,
    program: String,
    stderr: Tail,
    stderr_task: tokio::task::JoinHandle<()>,
    stop_time: Duration,
    // The process's files live as long as it does.
    _folder: Arc<RunFolder>,
}

impl Connector {
    /// Starts a program. Its stdin is there only if it is wanted.
    pub(super) fn start(
        program: &Path,
        arguments: &[OsString],
        with_stdin: bool,
        policy: &Policy,
        fence: PreparedFence,
        folder: Arc<RunFolder>,
        observer: Arc<dyn Observer>,
    ) -> Result<Started, ExecutorError> {
        let shown = program.display().to_string();
        let mut command = Command::new(program);
        command.args(arguments).env_clear();
        // Interpreters and shells are found on PATH; nothing else of ours is theirs.
        #[expect(clippy::disallowed_methods, reason = "a program finds its interpreter by it")]
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command
            .env("LANG", "C.UTF-8")
            .env("HOME", folder.scratch())
            .env("TMPDIR", folder.scratch());
        command.envs(policy.environment.iter().map(|(name, value)| (name, value.expose())));
        command.stdin(if with_stdin { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        let parent = std::process::id();
        // SAFETY: all three promise to be async-signal-safe and to touch no memory of ours.
        #[expect(unsafe_code, reason = "the only way to act between fork and exec")]
        unsafe {
            command.pre_exec(move || {
                // Without this a child would see the end of its input when we are killed, and take
                // a torn stream for a whole one.
                die_with(parent)?;
                keep_standard_descriptors();
                fence.enter()
            });
        }
        let mut child = command.spawn().map_err(|e| {
            let reason = if e.kind() == std::io::ErrorKind::NotFound && program.is_file() {
                // The system says that the file is not there, and it is.
                "the interpreter that its first line names is not there, or that line ends in CR LF"
                    .to_owned()
            } else {
                e.to_string()
            };
            ExecutorError::Start { program: shown.clone(), reason }
        })?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let (Some(stdout), Some(errors)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(ExecutorError::Io { what: "the pipes", reason: "they are missing".into() });
        };
        let stdin = child.stdin.take();
        // A smaller pipe is slower and nothing else.
        let _ = rustix::pipe::fcntl_setpipe_size(&stdout, PIPE);
        if let Some(stdin) = &stdin {
            let _ = rustix::pipe::fcntl_setpipe_size(stdin, PIPE);
        }
        let stderr = Tail::default();
        let limits = &policy.limits;
        let stderr_task =
            tokio::spawn(listen(errors, stderr.clone(), observer, limits.log_message_bytes));
        let guard = group.and_then(|group| {
            let second = stdin.as_ref().and_then(|s| s.as_fd().try_clone_to_owned().ok());
            Guard::watch(group, second)
        });
        let (ended, exit) = watch::channel(None);
        tokio::spawn(async move {
            if let Ok(status) = child.wait().await {
                ended.send_replace(Some(status));
            }
        });
        let mut seen = exit.clone();
        let stdout = Stdout::new(stdout, async move {
            // An error means that nobody waits for the process any more: it is as good as gone.
            let _ = seen.wait_for(Option::is_some).await;
        });
        let connector = Self {
            exit,
            status: None,
            group,
            overdue: None,
            program: shown,
            stderr,
            stderr_task,
            stop_time: limits.stop_time,
            _folder: folder,
        };
        let stdin = stdin.map(|stdin| Box::new(ProcessInput { stdin, guard }) as Box<dyn Stdin>);
        Ok(Started { connector: Box::new(connector), stdin, stdout: Box::new(stdout) })
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // It may be gone already.
            let _ = kill_process_group(group, signal);
        }
    }

    async fn ended_within(&mut self, time: Duration) -> Option<Result<ExitStatus, ExecutorError>> {
        let ended = self.exit.wait_for(Option::is_some);
        match tokio::time::timeout(time, ended).await {
            Ok(Ok(status)) => Some(status.ok_or_else(|| unreaped("its status is gone"))),
            Ok(Err(_)) => Some(Err(unreaped("nobody waits for it"))),
            Err(_) => None,
        }
    }

    /// Grandchildren may hold the pipes open; they go too.
    async fn after(&mut self) {
        let quiet = Duration::from_millis(200);
        if tokio::time::timeout(quiet, &mut self.stderr_task).await.is_err() {
            self.stderr_task.abort();
        }
        self.signal(Signal::KILL);
        self.group = None;
    }
}

#[async_trait]
impl Running for Connector {
    fn program(&self) -> &str {
        &self.program
    }

    fn stderr(&self) -> String {
        self.stderr.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }

    async fn wait(&mut self) -> Result<(), ExecutorError> {
        if let Some(ended) = self.ended_within(self.stop_time).await {
            self.after().await;
            self.status = Some(ended?);
            return Ok(());
        }
        self.stop_overdue("its output had ended").await
    }

    async fn stop_overdue(&mut self, since: &'static str) -> Result<(), ExecutorError> {
        self.overdue = Some(since);
        self.stop().await
    }

    /// SIGTERM, and SIGKILL to what is left after the stop time.
    async fn stop(&mut self) -> Result<(), ExecutorError> {
        self.signal(Signal::TERM);
        let ended = match self.ended_within(self.stop_time).await {
            Some(ended) => ended,
            None => {
                self.signal(Signal::KILL);
                // Nothing survives that, but a disk that hangs can delay it.
                let gone = self.ended_within(self.stop_time).await;
                gone.unwrap_or_else(|| Err(unreaped("it does not end, not even when killed")))
            }
        };
        self.after().await;
        self.status = Some(ended?);
        Ok(())
    }

    fn ended(&self, early: bool) -> Option<ExecutorError> {
        let success = self.status.is_some_and(|status| status.success());
        // A crash says more than what it left unread, and the two are no race with one answer.
        let early = early && success;
        if success && !early && self.overdue.is_none() {
            return None;
        }
        let code = self.status.and_then(|status| status.code());
        let how = match (self.overdue, code, self.status.and_then(|status| status.signal())) {
            (Some(since), ..) => {
                let time = self.stop_time.as_secs_f64();
                format!("did not end within {time} s after {since}, and was stopped")
            }
            (None, Some(code), _) => format!("exited with code {code}"),
            (None, None, Some(signal)) => format!("was killed by signal {signal}{}", name(signal)),
            (None, None, None) => "ended in an unknown way".to_owned(),
        };
        Some(ExecutorError::Ended {
            program: self.program.clone(),
            how,
            early,
            stderr: self.stderr(),
        })
    }
}

impl Drop for Connector {
    fn drop(&mut self) {
        self.stderr_task.abort();
        if self.group.is_some() {
            self.signal(Signal::KILL);
        }
    }
}

fn unreaped(reason: &str) -> ExecutorError {
    ExecutorError::Io { what: "waiting for the process", reason: reason.to_owned() }
}

fn name(signal: i32) -> &'static str {
    match signal {
        libc::SIGKILL => " (SIGKILL)",
        libc::SIGTERM => " (SIGTERM)",
        libc::SIGSEGV => " (SIGSEGV)",
        libc::SIGABRT => " (SIGABRT)",
        libc::SIGPIPE => " (SIGPIPE)",
        libc::SIGINT => " (SIGINT)",
        _ => "",
    }
}

/// Logs stderr and keeps its last lines. Never stops reading: a full pipe would stop the child.
pub(in crate::executor) async fn listen(
    errors: impl AsyncRead + Unpin,
    last: Tail,
    observer: Arc<dyn Observer>,
    line_limit: usize,
) {
    // Far above what is kept of a line, so that only a flood without line feeds ends the logging.
    let mut reader = LineReader::new(errors, line_limit.saturating_mul(64));
    loop {
        match reader.fill().await {
            Ok(true) => {}
            Ok(false) => return,
            Err(_) => {
                // A flood without line feeds. It is not kept, but a pipe that nobody reads would
                // stop the child, and one that is closed would end it.
                let _ = tokio::io::copy(&mut reader.into_inner(), &mut tokio::io::sink()).await;
                return;
            }
        }
        while let Ok(Some(line)) = reader.next_line() {
            let text = String::from_utf8_lossy(&line[..line.len().min(line_limit)]);
            let text = text.trim_end();
            if text.is_empty() {
                continue;
            }
            observer.log(LogLevel::Info, text);
            let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
            if last.len() == STDERR_LINES {
                last.remove(0);
            }
            last.push(text.to_owned());
        }
    }
}
