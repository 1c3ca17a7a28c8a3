//! How much an operation may say.
//!
//! The attack: a flood of messages, or one without measure, fills a disk or a terminal and hides
//! what matters. A message is cut at a limit; past the operation's limit all are dropped, and the
//! operator is told so once.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::Limits;
use crate::protocol::{Capability, Decision, Failure, Json, LogLevel, Observer};

/// An observer of one operation, with a budget over everything it says.
pub struct LogBudget {
    observer: Arc<dyn Observer>,
    left: Mutex<usize>,
    message_bytes: usize,
}

impl std::fmt::Debug for LogBudget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogBudget").field("left", &self.left).finish_non_exhaustive()
    }
}

impl LogBudget {
    /// Passes on what the limits allow.
    #[must_use]
    pub fn new(observer: Arc<dyn Observer>, limits: &Limits) -> Arc<Self> {
        let left = Mutex::new(limits.log_bytes);
        Arc::new(Self { observer, left, message_bytes: limits.log_message_bytes })
    }

    /// Bytes of one message that are passed on.
    #[must_use]
    pub fn message_bytes(&self) -> usize {
        self.message_bytes
    }
}

#[async_trait]
impl Observer for LogBudget {
    fn log(&self, level: LogLevel, message: &str) {
        let mut end = message.len().min(self.message_bytes);
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        let message = &message[..end];
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        if *left == 0 {
            return;
        }
        // An empty message costs something too.
        let spent = message.len() + 1;
        if spent >= *left {
            *left = 0;
            drop(left);
            self.observer.decided(&Decision::deny(
                Capability::Limit,
                "log-bytes",
                "limit log-bytes",
            ));
            self.observer
                .log(LogLevel::Warn, "the connector reached its log limit; the rest is dropped");
        } else {
            *left -= spent;
            drop(left);
            self.observer.log(level, message);
        }
    }

    async fn update_config(&self, config: Json) -> Result<(), Failure> {
        self.observer.update_config(config).await
    }

    fn decided(&self, decision: &Decision) {
        self.observer.decided(decision);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Heard(Mutex<Vec<String>>);

    #[async_trait]
    impl Observer for Heard {
        fn log(&self, _: LogLevel, message: &str) {
            self.0.lock().unwrap().push(message.to_owned());
        }

        async fn update_config(&self, _: Json) -> Result<(), Failure> {
            Ok(())
        }

        fn decided(&self, _: &Decision) {}
    }

    #[test]
    fn a_flood_ends_with_one_word() {
        let heard = Arc::new(Heard::default());
        let limits = Limits { log_bytes: 20, log_message_bytes: 5, ..Limits::default() };
        let budget = LogBudget::new(heard.clone(), &limits);
        for _ in 0..1000 {
            budget.log(LogLevel::Info, "éééé");
        }
        let heard = heard.0.lock().unwrap();
        assert_eq!(heard.len(), 4);
        assert_eq!(heard[0], "éé");
        assert!(heard[3].contains("log limit"));
    }
}
