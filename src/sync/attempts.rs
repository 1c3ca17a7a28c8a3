//! One run, several attempts: what fails for a reason that may pass is tried again.
//!
//! An attempt goes on from the last committed state, in the generation and under the sync id of the
//! first. Tried again is what a side calls transient, and what an engine or a registry could not do at
//! the moment. What the operator or a developer has to mend fails at once: a configuration, a broken
//! contract, a lost lease, a limit; so does a sync in which nothing happened for the idle time, since
//! whoever hangs once hangs again. Limits are of one operation, and so of one attempt.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use serde::Serialize;

use super::{ErrorReport, Report, SyncError, SyncFailure, WriteOptions, WriteResult};
use crate::connector::ConnectorError;
use crate::executor::{Cancel, ExecutorError};
use crate::protocol::{Retry, now_ms};

/// How often a sync is tried where nobody says.
const ATTEMPTS: u32 = 3;

/// How long is waited between two attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// After the first; doubles from there.
    pub first: Duration,
    /// At most, where the side that failed does not say.
    pub most: Duration,
    /// At most, whatever it says: it may be hostile.
    pub most_asked: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            // A dropped connection is back by then.
            first: Duration::from_secs(1),
            // A restart of the other system takes a minute or two.
            most: Duration::from_secs(60),
            // The windows of most rate limits end within ten minutes.
            most_asked: Duration::from_secs(600),
        }
    }
}

impl Backoff {
    /// The wait after attempt `number`, from 1. `chance` spreads those who failed together: of the
    /// wait, from half to all.
    fn wait(&self, number: u32, retry: Retry, chance: f64) -> Duration {
        let doubled = 1_u32.checked_shl(number.saturating_sub(1)).unwrap_or(u32::MAX);
        let own = self.first.saturating_mul(doubled).min(self.most);
        let own = own.mul_f64(0.5 + chance / 2.0);
        match retry.after {
            Some(asked) => own.max(asked.min(self.most_asked)),
            None => own,
        }
    }
}

/// A number from 0 up to 1.
fn chance() -> f64 {
    // Each has keys of its own.
    let bits = RandomState::new().build_hasher().finish() >> 32;
    #[expect(clippy::cast_precision_loss, reason = "32 bits fit")]
    let (part, all) = (bits as f64, (1_u64 << 32) as f64);
    part / all
}

/// An attempt of a sync.
#[derive(Debug, Clone, Serialize)]
pub struct Attempt {
    /// From 1.
    pub number: u32,
    /// ms since the epoch.
    pub started_at: i64,
    /// From its first question to its end.
    pub duration_ms: u64,
    /// Rows the source emitted in it.
    pub records_emitted: u64,
    /// Rows the destination confirmed in it.
    pub records_committed: u64,
    /// Why it failed; none: it did not.
    pub error: Option<ErrorReport>,
    /// How long was waited before it, in ms.
    pub waited_ms: u64,
}

/// It is tried again.
#[derive(Debug, Clone)]
pub struct Again {
    /// The attempt that comes.
    pub number: u32,
    /// How many there are at most.
    pub most: u32,
    /// Why the one before failed.
    pub error: ErrorReport,
    /// How long is waited.
    pub wait: Duration,
}

/// Is told that a sync is tried again.
pub type OnRetry = Arc<dyn Fn(&Again) + Send + Sync>;

impl SyncError {
    /// Whether the sync is worth another try.
    #[must_use]
    pub fn retry(&self) -> Option<Retry> {
        match self {
            Self::Connector(ConnectorError::Run { error, .. }) => error.retry(),
            Self::Source { error, .. } | Self::Destination { error, .. } => match error.as_ref() {
                ExecutorError::Failure(failure) if super::pipeline::is_idle(failure) => None,
                error => error.retry(),
            },
            Self::Remote(error) => error.retry(),
            _ => None,
        }
    }
}

type Outcome = Result<WriteResult, Box<SyncFailure>>;

/// Tries a sync until it goes well, fails for good, or was tried often enough. `attempt` is given the
/// sync id that it goes on with.
pub(super) async fn run<'a>(
    options: &WriteOptions,
    attempt: impl Fn(Option<u64>) -> BoxFuture<'a, Outcome>,
) -> Outcome {
    let most = options.attempts.unwrap_or(ATTEMPTS).max(1);
    let cancel = options.cancel.clone().unwrap_or_else(|| Cancel::new().1);
    let mut run = Run::default();
    let mut waited = Duration::ZERO;
    loop {
        let (started_at, began) = (now_ms(), Instant::now());
        let outcome = attempt(run.sync_id()).await;
        let failure = match outcome {
            Ok(result) => return Ok(run.ended(result, started_at, began, waited)),
            Err(failure) => failure,
        };
        let number = run.failed(&failure, started_at, began, waited);
        let retry = failure.error.retry();
        let retry = retry.filter(|_| number < most && !cancel.is_cancelled());
        let Some(retry) = retry else { return Err(run.given_up(failure)) };
        run.keep(failure.report);
        waited = options.backoff.wait(number, retry, chance());
        if let (Some(told), Some(last)) = (&options.on_retry, run.attempts.last())
            && let Some(error) = last.error.clone()
        {
            told(&Again { number: number + 1, most, error, wait: waited });
        }
        tokio::select! {
            biased;
            () = cancel.cancelled() => {
                let stopped = SyncFailure { error: SyncError::Cancelled, report: None };
                return Err(run.given_up(Box::new(stopped)));
            }
            () = tokio::time::sleep(waited) => {}
        }
    }
}

/// The attempts so far.
#[derive(Default)]
struct Run {
    attempts: Vec<Attempt>,
    /// What those did in which rows could move.
    report: Option<Report>,
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Run {
    /// The sync that the next attempt goes on with.
    fn sync_id(&self) -> Option<u64> {
        self.report.as_ref().map(|report| report.sync_id).filter(|id| *id > 0)
    }

    /// Notes an attempt; gives its number.
    fn note(
        &mut self,
        report: Option<&Report>,
        error: Option<ErrorReport>,
        started_at: i64,
        began: Instant,
        waited: Duration,
    ) -> u32 {
        let number = u32::try_from(self.attempts.len()).unwrap_or(u32::MAX).saturating_add(1);
        self.attempts.push(Attempt {
            number,
            started_at,
            duration_ms: millis(began.elapsed()),
            records_emitted: report.map_or(0, |report| report.records_emitted),
            records_committed: report.map_or(0, |report| report.records_committed),
            error,
            waited_ms: millis(waited),
        });
        number
    }

    fn failed(
        &mut self,
        failure: &SyncFailure,
        started_at: i64,
        began: Instant,
        waited: Duration,
    ) -> u32 {
        let report = failure.report.as_ref();
        // As the report has it, secrets are hidden.
        let error = report.and_then(|report| report.error.clone());
        let error = error.unwrap_or_else(|| ErrorReport::new(&failure.error));
        self.note(report, Some(error), started_at, began, waited)
    }

    /// Adds what an attempt did to what those before did.
    fn keep(&mut self, report: Option<Report>) {
        self.report = match (self.report.take(), report) {
            (Some(earlier), Some(report)) => Some(report.after(earlier)),
            (earlier, report) => report.or(earlier),
        };
    }

    fn whole(self, error: Option<ErrorReport>) -> Option<Report> {
        let mut report = self.report?;
        if let (Some(first), true) = (self.attempts.first(), self.attempts.len() > 1) {
            report.started_at = first.started_at;
            report.duration_ms = u64::try_from(now_ms() - first.started_at).unwrap_or(0);
        }
        report.status = if error.is_some() { "failed" } else { "succeeded" };
        report.error = error;
        report.attempts = self.attempts;
        Some(report)
    }

    fn ended(
        mut self,
        result: WriteResult,
        started_at: i64,
        began: Instant,
        waited: Duration,
    ) -> WriteResult {
        self.note(Some(&result.report), None, started_at, began, waited);
        let mut last = result.report.clone();
        self.keep(Some(result.report));
        match self.whole(None) {
            Some(report) => WriteResult { report },
            // There is one: it was kept just now.
            None => {
                last.error = None;
                WriteResult { report: last }
            }
        }
    }

    fn given_up(mut self, mut failure: Box<SyncFailure>) -> Box<SyncFailure> {
        let own = failure.report.as_ref().and_then(|report| report.error.clone());
        let error = own.unwrap_or_else(|| ErrorReport::new(&failure.error));
        self.keep(failure.report.take());
        failure.report = self.whole(Some(error));
        failure
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Failure;

    #[test]
    fn waits_double_up_to_a_bound_and_heed_what_is_asked() {
        let backoff = Backoff::default();
        let wait = |number, chance| backoff.wait(number, Retry::default(), chance).as_secs_f64();
        let all = [(1, 1.0), (2, 2.0), (3, 4.0), (7, 60.0), (40, 60.0), (u32::MAX, 60.0)];
        for (number, most) in all {
            assert_eq!([wait(number, 0.0), wait(number, 1.0)], [most / 2.0, most]);
        }
        let asked = |seconds| {
            let retry = Retry { after: Some(Duration::from_secs(seconds)) };
            backoff.wait(1, retry, 1.0).as_secs()
        };
        assert_eq!([asked(0), asked(90), asked(u64::MAX)], [1, 90, 600]);
        assert!((0.0..1.0).contains(&chance()));
    }

    fn failed(failure: Failure) -> Outcome {
        let error = Box::new(failure.into());
        Err(Box::new(SyncFailure {
            error: SyncError::Source { name: "s".into(), error },
            report: None,
        }))
    }

    fn transient() -> Failure {
        Failure::new(crate::protocol::FailureKind::Transient, "busy")
    }

    async fn tried(options: &WriteOptions, failure: fn() -> Failure) -> u32 {
        let tried = std::sync::atomic::AtomicU32::new(0);
        let result = run(options, |_| {
            tried.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Box::pin(async move { failed(failure()) })
        });
        assert!(result.await.is_err());
        tried.into_inner()
    }

    #[tokio::test]
    async fn only_what_may_pass_is_tried_again() {
        let first = Duration::from_millis(1);
        let backoff = Backoff { first, most: first, most_asked: first };
        let options = WriteOptions { backoff, ..WriteOptions::default() };
        assert_eq!(tried(&options, transient).await, 3);
        let five = WriteOptions { attempts: Some(5), ..options.clone() };
        assert_eq!(tried(&five, transient).await, 5);
        let once = WriteOptions { attempts: Some(1), ..options.clone() };
        assert_eq!(tried(&once, transient).await, 1);
        assert_eq!(tried(&options, || Failure::config("a password")).await, 1);
        assert_eq!(tried(&options, || Failure::system("a trap")).await, 1);
        assert_eq!(tried(&options, Failure::cancelled).await, 1);
        assert_eq!(tried(&options, super::super::pipeline::idle).await, 1);
    }

    #[tokio::test]
    async fn a_wait_can_be_stopped() {
        let (canceller, cancel) = Cancel::new();
        let long = Duration::from_secs(3600);
        let backoff = Backoff { first: long, most: long, most_asked: long };
        // Told to stop once it waits.
        let on_retry: OnRetry = Arc::new(move |_| canceller.cancel());
        let options = WriteOptions {
            backoff,
            cancel: Some(cancel),
            on_retry: Some(on_retry),
            ..WriteOptions::default()
        };
        let failure = run(&options, |_| Box::pin(async { failed(transient()) })).await.unwrap_err();
        assert!(matches!(failure.error, SyncError::Cancelled));
    }
}
