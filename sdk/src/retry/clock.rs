//! What a retry waits by.

use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

/// Time and chance, so that a test need not wait.
pub trait Clock {
    /// The time since some start.
    fn now(&mut self) -> Duration;

    /// Waits.
    fn sleep(&mut self, wait: Duration);

    /// A number from 0 to 1, another one each time.
    fn chance(&mut self) -> f64;
}

/// The system's clock and its chance.
#[derive(Debug)]
pub struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn now(&mut self) -> Duration {
        self.0.elapsed()
    }

    fn sleep(&mut self, wait: Duration) {
        std::thread::sleep(wait);
    }

    fn chance(&mut self) -> f64 {
        // Keyed at random. Jitter keeps clients apart; it guards no secret.
        let bits = RandomState::new().hash_one(self.0.elapsed().subsec_nanos());
        f64::from((bits >> 32) as u32) / f64::from(u32::MAX)
    }
}
