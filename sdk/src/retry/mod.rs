//! Trying again what may work the next time: waits that grow, with jitter, under one deadline.
//!
//! A connector wraps one request, reading its answer included, so that an answer that breaks off is
//! asked for again:
//!
//! ```
//! use lockgate_sdk::{Failure, http, retry::Policy};
//! # #[derive(serde::Deserialize)] struct Page {}
//!
//! fn page(client: &http::Client, url: &str) -> Result<Page, Failure> {
//!     let page = Policy::default()
//!         .run("read a page", || client.get(url).send()?.success()?.json())?;
//!     Ok(page)
//! }
//! ```
//!
//! What is tried again is what the error says of itself ([`Retryable`]): for HTTP the statuses of
//! [`is_retried`], connections that failed, and answers that broke off. `Retry-After` is the least that
//! is waited. Each wait is logged. When the attempts or the time are used up, the last error is the
//! answer; as a [`Failure`] it is transient, so that whoever runs the sync may try later.

mod after;
mod clock;

use std::fmt::Display;
use std::time::Duration;

pub use after::{LONGEST_RETRY_AFTER, parse_retry_after};
pub use clock::{Clock, SystemClock};

use crate::{Failure, FailureKind, log};

/// How often something is tried in all: with the waits below, for about a minute.
pub const ATTEMPTS: u32 = 8;
/// The wait after the first attempt; it doubles with each.
pub const FIRST_WAIT: Duration = Duration::from_millis(500);
/// What a wait grows to at most, unless the other side asks for more.
pub const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// From the first attempt to the last: beyond it the host is better at waiting than a connector.
pub const DEADLINE: Duration = Duration::from_secs(10 * 60);

/// How often, and how long.
///
/// ```
/// use std::time::Duration;
/// use lockgate_sdk::retry::Policy;
///
/// let patient = Policy { deadline: Duration::from_secs(3600), attempts: 100, ..Policy::default() };
/// # let _ = patient;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Attempts in all, the first included.
    pub attempts: u32,
    /// The wait after the first attempt; it doubles with each.
    pub first_wait: Duration,
    /// What a wait grows to at most, unless the other side asks for more.
    pub longest_wait: Duration,
    /// From the first attempt to the start of the last.
    pub deadline: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            attempts: ATTEMPTS,
            first_wait: FIRST_WAIT,
            longest_wait: LONGEST_WAIT,
            deadline: DEADLINE,
        }
    }
}

/// What an error says about another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It would fail again.
    Final,
    /// It may work, after this time at the earliest where the other side gave one.
    Again {
        /// What the other side asked for.
        after: Option<Duration>,
    },
}

/// What is done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Wait so long, and try again.
    Wait(Duration),
    /// Another attempt would fail as well.
    Final,
    /// All attempts are used up.
    NoAttemptsLeft,
    /// The wait would end behind the deadline.
    NoTimeLeft,
}

/// An error that knows whether another attempt may work. Its text is logged: it holds no secret.
pub trait Retryable: Display {
    /// Whether another attempt may work.
    fn verdict(&self) -> Verdict;
}

/// Only what is transient; see [`FailureKind`].
impl Retryable for Failure {
    fn verdict(&self) -> Verdict {
        if self.kind == FailureKind::Transient {
            Verdict::Again { after: self.retry_after_ms.map(Duration::from_millis) }
        } else {
            Verdict::Final
        }
    }
}

/// Whether a request with this answer is sent again: 408, 425, 429 and 5xx.
#[must_use]
pub fn is_retried(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500..=599)
}

impl Policy {
    /// What is done after the attempt number `attempt`, the first being 1, which ended `elapsed` after
    /// the first began. `chance` is from 0 to 1 and picks the wait within its range: from half of what
    /// it has grown to, to the whole.
    ///
    /// ```
    /// use std::time::Duration;
    /// use lockgate_sdk::retry::{Decision, Policy, Verdict};
    ///
    /// let (policy, again) = (Policy::default(), Verdict::Again { after: None });
    /// let wait = |attempt, chance| policy.decide(attempt, Duration::ZERO, again, chance);
    /// assert_eq!(wait(1, 1.0), Decision::Wait(Duration::from_millis(500)));
    /// assert_eq!(wait(3, 0.0), Decision::Wait(Duration::from_millis(1000)));
    /// assert_eq!(wait(8, 0.5), Decision::NoAttemptsLeft);
    /// ```
    #[must_use]
    pub fn decide(
        &self,
        attempt: u32,
        elapsed: Duration,
        verdict: Verdict,
        chance: f64,
    ) -> Decision {
        let Verdict::Again { after } = verdict else { return Decision::Final };
        if attempt >= self.attempts {
            return Decision::NoAttemptsLeft;
        }
        let factor = 2_u32.saturating_pow(attempt.saturating_sub(1));
        let grown = self.first_wait.saturating_mul(factor).min(self.longest_wait);
        // Not a number is no chance.
        let chance = if (0.0..=1.0).contains(&chance) { chance } else { 1.0 };
        let wait = (grown / 2 + (grown / 2).mul_f64(chance)).max(after.unwrap_or_default());
        if elapsed.saturating_add(wait) > self.deadline {
            return Decision::NoTimeLeft;
        }
        Decision::Wait(wait)
    }

    /// Does `operation`, again where its error says that it may work. `what` names it in the log.
    ///
    /// # Errors
    /// The last attempt's.
    pub fn run<T, E: Retryable>(
        &self,
        what: &str,
        operation: impl FnMut() -> Result<T, E>,
    ) -> Result<T, E> {
        self.run_with(what, &mut SystemClock::default(), operation)
    }

    /// As [`Policy::run`], by another clock.
    ///
    /// # Errors
    /// The last attempt's.
    pub fn run_with<T, E: Retryable>(
        &self,
        what: &str,
        clock: &mut dyn Clock,
        mut operation: impl FnMut() -> Result<T, E>,
    ) -> Result<T, E> {
        let start = clock.now();
        let mut attempt = 0_u32;
        loop {
            attempt = attempt.saturating_add(1);
            let error = match operation() {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let elapsed = clock.now().saturating_sub(start);
            match self.decide(attempt, elapsed, error.verdict(), clock.chance()) {
                Decision::Wait(wait) => {
                    log::warn(format_args!(
                        "{what}: {error}; trying again in {:.1} s (attempt {attempt} of {})",
                        wait.as_secs_f64(),
                        self.attempts
                    ));
                    clock.sleep(wait);
                }
                Decision::Final => return Err(error),
                Decision::NoAttemptsLeft => {
                    log::warn(format_args!("{what}: giving up after {attempt} attempts"));
                    return Err(error);
                }
                Decision::NoTimeLeft => {
                    log::warn(format_args!(
                        "{what}: giving up after {:.1} s: the next wait would end behind the \
                         deadline of {:.1} s",
                        elapsed.as_secs_f64(),
                        self.deadline.as_secs_f64()
                    ));
                    return Err(error);
                }
            }
        }
    }
}
