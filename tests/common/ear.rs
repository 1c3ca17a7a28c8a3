//! An observer that remembers what it heard.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::panic,
    reason = "each test binary uses a part of it, and a test ends where something is missing"
)]

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use lockgate::protocol::{Decision, Failure, Json, LogLevel, Observer};

/// Hears logs and decisions.
#[derive(Default)]
pub struct Ear {
    logs: Mutex<Vec<(LogLevel, String)>>,
    decisions: Mutex<Vec<Decision>>,
}

impl Ear {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The messages so far.
    pub fn logs(&self) -> Vec<String> {
        let logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        logs.iter().map(|(_, message)| message.clone()).collect()
    }

    /// The decisions so far, as `allow directory-read /in allow-dir /in:ro`.
    pub fn decisions(&self) -> Vec<String> {
        let decisions = self.decisions.lock().unwrap_or_else(PoisonError::into_inner);
        let text = |d: &Decision| {
            let word = if d.allowed { "allow" } else { "deny" };
            format!("{word} {} {} {}", d.capability.word(), d.target, d.rule)
        };
        decisions.iter().map(text).collect()
    }
}

#[async_trait]
impl Observer for Ear {
    fn log(&self, level: LogLevel, message: &str) {
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        logs.push((level, message.to_owned()));
    }

    async fn update_config(&self, _: Json) -> Result<(), Failure> {
        Ok(())
    }

    fn decided(&self, decision: &Decision) {
        let mut decisions = self.decisions.lock().unwrap_or_else(PoisonError::into_inner);
        decisions.push(decision.clone());
    }
}
