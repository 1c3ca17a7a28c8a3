//! How a worker fails besides the ways a sync fails.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::fault::{ExitClass, Fault};
use crate::protocol::Retry;
use crate::sandbox::secrets::Redactor;
use crate::sync::SyncError;

/// Why a worker could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// It could not be started.
    #[error("the worker process cannot be started: {0}")]
    Start(String),
    /// It ended without a word about the sync.
    #[error("the worker process {how}")]
    Crashed {
        /// `was killed by signal 11 (SIGSEGV)`.
        how: String,
        /// What it printed last.
        stderr: String,
    },
    /// It said what it may not say.
    #[error("the worker process broke its protocol, and was killed: {0}")]
    Protocol(String),
    /// It neither worked nor said anything.
    #[error("the worker process did nothing for {} s, and was killed", .0.as_secs())]
    Silent(Duration),
}

impl Fault for WorkerError {
    fn code(&self) -> &'static str {
        match self {
            Self::Start(_) => "WORKER_START",
            Self::Crashed { .. } => "WORKER_CRASHED",
            Self::Protocol(_) => "WORKER_PROTOCOL",
            Self::Silent(_) => "WORKER_SILENT",
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Start(_) => "--isolation in-process does without it".into(),
            _ => "run it again: it goes on from the last committed state".into(),
        })
    }

    fn context(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Crashed { stderr, .. } if !stderr.is_empty() => vec![("stderr", stderr.clone())],
            _ => Vec::new(),
        }
    }
}

/// An error that a worker reported: the same code, message, hint, facts and exit code as the error
/// it had there.
#[derive(Debug, Clone, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct RemoteError {
    code: String,
    message: String,
    hint: Option<String>,
    context: Vec<(String, String)>,
    exit: Exit,
    /// Whether it is worth another try; then after how many ms, where somebody says so.
    retry: Option<Option<u64>>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
enum Exit {
    Failed,
    Usage,
    Refused,
    Interrupted,
}

impl RemoteError {
    /// The same of the error of a sync.
    pub(super) fn of_sync(error: &SyncError) -> Self {
        let millis = |after: Duration| u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        let retry = error.retry().map(|retry| retry.after.map(millis));
        Self { retry, ..Self::of(error) }
    }

    /// Whether it is worth another try.
    pub(in crate::sync) fn retry(&self) -> Option<Retry> {
        self.retry.map(|after| Retry { after: after.map(Duration::from_millis) })
    }

    /// What is to be said of an error elsewhere.
    pub(super) fn of(error: &dyn Fault) -> Self {
        let owned = |(name, value): (&'static str, String)| (name.to_owned(), value);
        Self {
            code: error.code().to_owned(),
            message: error.to_string(),
            hint: error.hint(),
            context: error.context().into_iter().map(owned).collect(),
            exit: match error.exit() {
                ExitClass::Failed => Exit::Failed,
                ExitClass::Usage => Exit::Usage,
                ExitClass::Refused => Exit::Refused,
                ExitClass::Interrupted => Exit::Interrupted,
            },
            retry: None,
        }
    }

    /// The same with secrets hidden.
    pub(super) fn hidden(mut self, redactor: &Redactor) -> Self {
        let hide = |text: &mut String| *text = redactor.redact(text).into_owned();
        hide(&mut self.message);
        self.hint.as_mut().map(hide);
        self.context.iter_mut().for_each(|(_, value)| hide(value));
        self
    }
}

impl Fault for RemoteError {
    fn code(&self) -> &'static str {
        let shape = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        kept(&self.code, shape).unwrap_or("WORKER_PROTOCOL")
    }

    fn hint(&self) -> Option<String> {
        self.hint.clone()
    }

    fn exit(&self) -> ExitClass {
        match self.exit {
            Exit::Failed => ExitClass::Failed,
            Exit::Usage => ExitClass::Usage,
            Exit::Refused => ExitClass::Refused,
            Exit::Interrupted => ExitClass::Interrupted,
        }
    }

    fn context(&self) -> Vec<(&'static str, String)> {
        let shape = |c: char| c.is_ascii_lowercase() || c == '_' || c == '-';
        let members = self.context.iter();
        members.filter_map(|(name, value)| Some((kept(name, shape)?, value.clone()))).collect()
    }
}

/// The word, kept for as long as this process lives: codes and names are few and known. A word of
/// another shape, or one more than all that are known, is none of ours.
fn kept(word: &str, shape: impl Fn(char) -> bool) -> Option<&'static str> {
    /// Far above the number of codes and names there are.
    const WORDS: usize = 1000;
    static KEPT: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    if word.is_empty() || word.len() > 40 || !word.chars().all(shape) {
        return None;
    }
    let mut all = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = all.get(word) {
        return Some(known);
    }
    if all.len() == WORDS {
        return None;
    }
    let word: &'static str = Box::leak(word.to_owned().into_boxed_str());
    all.insert(word);
    Some(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::ExecutorError;
    use crate::protocol::{Failure, FailureKind};

    #[test]
    fn an_error_says_the_same_elsewhere() {
        let error = SyncError::Busy { connection: "c".into() };
        let remote = RemoteError::of(&error);
        assert_eq!(remote.code(), error.code());
        assert_eq!(remote.to_string(), error.to_string());
        assert_eq!(remote.hint(), error.hint());
        assert_eq!(remote.exit(), error.exit());
    }

    #[test]
    fn what_may_pass_may_pass_elsewhere() {
        let mut failure = Failure::new(FailureKind::Transient, "busy");
        failure.retry_after_ms = Some(1500);
        let of = |error: Failure| SyncError::Source {
            name: "s".into(),
            error: Box::new(ExecutorError::Failure(error)),
        };
        let error = of(failure);
        assert!(error.retry().is_some_and(|retry| retry.after.is_some()));
        assert_eq!(RemoteError::of_sync(&error).retry(), error.retry());
        assert_eq!(RemoteError::of_sync(&of(Failure::system("a trap"))).retry(), None);
    }

    #[test]
    fn words_of_another_shape_are_none() {
        let mut remote = RemoteError::of(&SyncError::Cancelled);
        remote.context = vec![("detail".into(), "x".into()), ("\u{1b}[2J".into(), "x".into())];
        for bad in ["", "lower", "A\nB", &"A".repeat(41)] {
            remote.code = bad.to_owned();
            assert_eq!(remote.code(), "WORKER_PROTOCOL");
        }
        assert_eq!(remote.context(), [("detail", "x".to_owned())]);
    }
}
