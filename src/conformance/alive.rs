//! Whether a connector does anything: one that hangs would be waited for without end.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::executor::ExecutorError;

/// When a connector last gave, took or said something.
#[derive(Debug)]
pub(super) struct Alive(Mutex<Instant>);

impl Default for Alive {
    fn default() -> Self {
        Self(Mutex::new(Instant::now()))
    }
}

impl Alive {
    /// It did something.
    pub(super) fn sign(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Waits until nothing was done for so long; what `operation` ends with then.
    pub(super) async fn silent(&self, operation: &'static str, limit: Duration) -> ExecutorError {
        loop {
            let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(until) = last.checked_add(limit) else {
                return std::future::pending().await;
            };
            if until <= Instant::now() {
                return ExecutorError::Timeout { operation, limit };
            }
            tokio::time::sleep_until(until).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn silence_is_what_follows_the_last_sign() {
        let alive = Alive::default();
        let (short, long) = (Duration::from_millis(20), Duration::from_secs(3600));
        tokio::time::sleep(short).await;
        let ended = alive.silent("a silent read", short).await;
        assert_eq!(ended.to_string(), "a silent read was stopped after 0.02 s");
        alive.sign();
        tokio::select! {
            _ = alive.silent("a silent read", long) => panic!("an hour has passed"),
            () = tokio::time::sleep(short) => {}
        }
    }
}
