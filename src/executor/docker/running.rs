//! A container that runs: how it ends.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bollard::query_parameters::KillContainerOptionsBuilder;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::error::DockerError;
use super::exit::Exit;
use super::output::{Ended, Output};
use super::remains::Remains;
use crate::executor::ExecutorError;
use crate::executor::process::Tail;
use crate::executor::session::Running;

/// How long the last of the output may take once its reader has been let go.
const LAST: Duration = Duration::from_secs(2);

/// A running connector.
pub(super) struct Container {
    pub(super) image: String,
    pub(super) remains: Remains,
    pub(super) exit: watch::Receiver<Option<Exit>>,
    /// Set before anything is sent to it.
    pub(super) told: Arc<AtomicBool>,
    pub(super) output: Arc<Output>,
    pub(super) pump: Option<JoinHandle<Ended>>,
    pub(super) stderr: Tail,
    pub(super) stderr_task: JoinHandle<()>,
    pub(super) stop_time: Duration,
    pub(super) memory: u64,
    pub(super) overdue: Option<&'static str>,
    pub(super) ended: Ended,
}

impl Container {
    async fn ended_within(&mut self, time: Duration) -> bool {
        let ended = self.exit.wait_for(Option::is_some);
        // An error means that nobody waits for it any more, which happens with the runtime's end.
        tokio::time::timeout(time, ended).await.is_ok()
    }

    async fn signal(&self, signal: &str) {
        self.told.store(true, Ordering::Relaxed);
        let docker = &self.remains.engine.docker;
        let options = KillContainerOptionsBuilder::default().signal(signal).build();
        // It may be gone already.
        let _ =
            self.remains.engine.ask(docker.kill_container(&self.remains.name, Some(options))).await;
    }

    /// Hears the last of its output, and removes it.
    async fn after(&mut self) {
        if let Some(mut pump) = self.pump.take() {
            let mut heard = tokio::time::timeout(LAST, &mut pump).await;
            if heard.is_err() {
                self.output.release();
                heard = tokio::time::timeout(LAST, &mut pump).await;
            }
            match heard {
                Ok(ended) => self.ended = ended.unwrap_or_default(),
                Err(_) => pump.abort(),
            }
        }
        if tokio::time::timeout(LAST, &mut self.stderr_task).await.is_err() {
            self.stderr_task.abort();
        }
        self.remains.remove().await;
    }

    fn gone(&self, how: String) -> ExecutorError {
        DockerError::Gone { image: self.image.clone(), how, stderr: self.stderr() }.into()
    }
}

#[async_trait]
impl Running for Container {
    fn program(&self) -> &str {
        &self.image
    }

    fn stderr(&self) -> String {
        self.stderr.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }

    async fn wait(&mut self) -> Result<(), ExecutorError> {
        if self.ended_within(self.stop_time).await {
            self.after().await;
            return Ok(());
        }
        self.stop_overdue("its output had ended").await
    }

    async fn stop_overdue(&mut self, since: &'static str) -> Result<(), ExecutorError> {
        self.overdue = Some(since);
        self.stop().await
    }

    /// SIGTERM, and SIGKILL after the stop time.
    async fn stop(&mut self) -> Result<(), ExecutorError> {
        // It may be paused for its output, and hears nothing then.
        self.output.release();
        self.signal("SIGTERM").await;
        if !self.ended_within(self.stop_time).await {
            self.signal("SIGKILL").await;
            let time = self.remains.engine.time;
            if !self.ended_within(time).await {
                self.after().await;
                let reason = "it does not end, not even when killed".to_owned();
                return Err(ExecutorError::Io { what: "waiting for the container", reason });
            }
        }
        self.after().await;
        Ok(())
    }

    fn ended(&self, early: bool) -> Option<ExecutorError> {
        let early = early || self.ended.unread;
        let exit = self.exit.borrow().clone();
        let (code, oom) = match exit {
            Some(Exit::Code { code, oom }) => (code, oom),
            Some(Exit::Killed(signal)) if self.overdue.is_none() => {
                return Some(self.gone(format!("was killed by somebody else ({signal})")));
            }
            Some(Exit::Removed) => {
                return Some(self.gone("was removed by somebody else while it ran".into()));
            }
            Some(Exit::Lost(reason)) => return Some(self.gone(format!("was lost: {reason}"))),
            Some(Exit::Killed(_)) | None => (137, false),
        };
        if oom && code != 0 {
            let (image, limit_mib) = (self.image.clone(), self.memory >> 20);
            let stderr = self.stderr();
            return Some(DockerError::Memory { image, limit_mib, stderr }.into());
        }
        let how = match self.overdue {
            Some(since) => {
                let time = self.stop_time.as_secs_f64();
                format!("did not end within {time} s after {since}, and was stopped")
            }
            None => format!("exited with code {code}{}", signal_of(code)),
        };
        if code == 0 && self.overdue.is_none() && !early {
            return self.ended.cut.then(|| DockerError::Cut { image: self.image.clone() }.into());
        }
        // A crash says more than what it left unread.
        let early = early && code == 0;
        let (program, stderr) = (self.image.clone(), self.stderr());
        Some(ExecutorError::Ended { program, how, early, stderr })
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.output.release();
        self.stderr_task.abort();
        if let Some(pump) = &self.pump {
            pump.abort();
        }
    }
}

fn signal_of(code: i64) -> &'static str {
    match code {
        137 => ", as one that SIGKILL ends",
        139 => ", as one that SIGSEGV ends",
        134 => ", as one that SIGABRT ends",
        143 => ", as one that SIGTERM ends",
        _ => "",
    }
}
