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

    /// Waits until nothing was done for so long.
    pub(super) async fn silent(&self, limit: Duration) {
        loop {
            let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(until) = last.checked_add(limit) else {
                return std::future::pending().await;
            };
            if until <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }
}

/// What such an operation ends with.
pub(super) fn silent(operation: &'static str, limit: Duration) -> ExecutorError {
    let operation = match operation {
        "read" => "a read without a sign of life",
        _ => "a write without a sign of life",
    };
    ExecutorError::Timeout { operation, limit }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn silence_is_what_follows_the_last_sign() {
        let alive = Alive::default();
        let (short, long) = (Duration::from_millis(20), Duration::from_secs(3600));
        tokio::time::sleep(short).await;
        alive.silent(short).await;
        alive.sign();
        tokio::select! {
            () = alive.silent(long) => panic!("an hour has passed"),
            () = tokio::time::sleep(short) => {}
        }
        assert!(silent("read", long).to_string().contains("3600 s"));
    }
}
