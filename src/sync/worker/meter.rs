//! The CPU time of a thread, read by another one.

use std::time::Duration;

/// The clock that runs while its thread does.
#[derive(Debug, Clone, Copy)]
pub(super) struct ThreadClock(libc::clockid_t);

impl ThreadClock {
    /// Of the thread that asks. None where there is no such clock.
    pub(super) fn of_this_thread() -> Option<Self> {
        let mut clock = 0;
        #[expect(unsafe_code, reason = "the standard library has no CPU time")]
        // SAFETY: the thread that asks lives, and the pointer is to a clock's number.
        let result = unsafe { libc::pthread_getcpuclockid(libc::pthread_self(), &raw mut clock) };
        (result == 0).then_some(Self(clock))
    }

    /// What the thread has used so far; none: it has ended.
    pub(super) fn spent(self) -> Option<Duration> {
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
    use std::sync::mpsc::sync_channel;
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_thread_is_seen_to_compute_and_to_wait() {
        let (tell, told) = sync_channel(1);
        let (stop, stopped) = sync_channel::<()>(1);
        let thread = std::thread::spawn(move || {
            tell.send(ThreadClock::of_this_thread().unwrap()).unwrap();
            let begun = Instant::now();
            let clock = ThreadClock::of_this_thread().unwrap();
            while clock.spent().unwrap() < Duration::from_millis(20) {
                assert!(begun.elapsed() < Duration::from_secs(60));
            }
            tell.send(clock).unwrap();
            let _ = stopped.recv();
        });
        let clock = told.recv().unwrap();
        told.recv().unwrap();
        let computed = clock.spent().unwrap();
        assert!(computed >= Duration::from_millis(20), "{computed:?}");
        std::thread::sleep(Duration::from_millis(50));
        assert!(clock.spent().unwrap() < computed + Duration::from_millis(40));
        drop(stop);
        thread.join().unwrap();
    }
}
