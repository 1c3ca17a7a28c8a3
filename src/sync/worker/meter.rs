//! The CPU time of an operation, on whichever threads it had its turns, read while it computes.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

/// What an operation has used.
#[derive(Debug, Default)]
pub(super) struct Meter(Mutex<Used>);

#[derive(Debug, Default)]
struct Used {
    /// In turns that have ended.
    before: Duration,
    /// The clock of the turn that lasts, and where it stood.
    turn: Option<(ThreadClock, Duration)>,
}

impl Meter {
    /// What was used until now.
    pub(super) fn spent(&self) -> Duration {
        let used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The turn cannot end meanwhile, so its thread and its clock are there.
        used.before + used.turn.map_or(Duration::ZERO, |(clock, since)| clock.since(since))
    }
}

/// An operation whose turns are measured.
pub(super) struct Metered<F> {
    pub(super) meter: Arc<Meter>,
    pub(super) operation: Pin<Box<F>>,
}

impl<F: Future> Future for Metered<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let clock = ThreadClock::of_this_thread();
        let meter = self.meter.clone();
        let used = || meter.0.lock().unwrap_or_else(PoisonError::into_inner);
        used().turn = clock.and_then(|clock| Some((clock, clock.spent()?)));
        let polled = self.operation.as_mut().poll(context);
        let mut used = used();
        if let Some((clock, since)) = used.turn.take() {
            used.before += clock.since(since);
        }
        polled
    }
}

/// The clock that runs while its thread does.
#[derive(Debug, Clone, Copy)]
struct ThreadClock(libc::clockid_t);

impl ThreadClock {
    /// Of the thread that asks. None where there is no such clock.
    fn of_this_thread() -> Option<Self> {
        let mut clock = 0;
        #[expect(unsafe_code, reason = "the standard library has no CPU time")]
        // SAFETY: the thread that asks lives, and the pointer is to a clock's number.
        let result = unsafe { libc::pthread_getcpuclockid(libc::pthread_self(), &raw mut clock) };
        (result == 0).then_some(Self(clock))
    }

    /// What the thread has used since its clock stood there.
    fn since(self, then: Duration) -> Duration {
        self.spent().unwrap_or(then).saturating_sub(then)
    }

    /// What the thread has used so far; none: it has ended.
    fn spent(self) -> Option<Duration> {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        #[expect(unsafe_code, reason = "the standard library has no CPU time")]
        // SAFETY: the pointer is to a time; the kernel refuses the clock of a thread that is gone.
        let result = unsafe { libc::clock_gettime(self.0, &raw mut time) };
        let (seconds, nanoseconds) = (time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs());
        (result == 0).then(|| Duration::new(seconds, u32::try_from(nanoseconds).unwrap_or(0)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// Uses this thread's CPU for a while.
    fn compute(time: Duration) {
        let (clock, begun) = (ThreadClock::of_this_thread().unwrap(), Instant::now());
        let since = clock.spent().unwrap();
        while clock.since(since) < time {
            assert!(begun.elapsed() < Duration::from_secs(60));
        }
    }

    #[test]
    fn turns_add_up_and_the_one_that_lasts_is_seen() {
        let meter = Arc::new(Meter::default());
        let (told, seen) = std::sync::mpsc::sync_channel(0);
        let (stop, stopped) = std::sync::mpsc::sync_channel::<()>(0);
        let operation = Box::pin(async move {
            compute(Duration::from_millis(20));
            tokio::task::yield_now().await;
            compute(Duration::from_millis(20));
            told.send(()).unwrap();
            // Waits within its turn.
            let _ = stopped.recv();
        });
        let metered = Metered { meter: meter.clone(), operation };
        let thread = std::thread::spawn(move || {
            // What this thread did before is not the operation's.
            compute(Duration::from_millis(100));
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(metered);
        });
        seen.recv().unwrap();
        let used = meter.spent();
        assert!(used >= Duration::from_millis(40) && used < Duration::from_millis(90), "{used:?}");
        std::thread::sleep(Duration::from_millis(50));
        assert!(meter.spent() < used + Duration::from_millis(40));
        drop(stop);
        thread.join().unwrap();
        assert!(meter.spent() >= used);
    }
}
