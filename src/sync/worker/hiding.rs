//! In the parent: what a worker says, with secrets hidden.
//!
//! The attack: a worker that speaks for a component logs in plain words what it was given. It hides that
//! itself as long as it is what it should be; what is known here is hidden whatever it did.

use std::sync::Arc;

use async_trait::async_trait;

use crate::executor::Executor;
use crate::protocol::{Decision, Failure, Json, LogLevel, Observer};

/// Hears a worker, and hides what its executor knows as secret.
pub(super) struct Hiding {
    pub(super) inner: Arc<dyn Observer>,
    pub(super) executor: Arc<dyn Executor>,
}

#[async_trait]
impl Observer for Hiding {
    fn log(&self, level: LogLevel, message: &str) {
        self.inner.log(level, &self.executor.redactor().redact(message));
    }

    async fn update_config(&self, config: Json) -> Result<(), Failure> {
        self.inner.update_config(config).await
    }

    fn decided(&self, decision: &Decision) {
        let redactor = self.executor.redactor();
        self.inner.decided(&Decision {
            target: redactor.redact(&decision.target).into_owned(),
            rule: redactor.redact(&decision.rule).into_owned(),
            ..decision.clone()
        });
    }
}
