//! What connectors say, on stderr.

use async_trait::async_trait;

use super::output::{Output, write_stderr};
use crate::protocol::{Decision, Failure, Json, LogLevel, Observer};
use crate::sandbox::{NEED_NOT_GRANTED, printable};

/// Prints warnings, and with `--verbose` the rest; with `--quiet` nothing.
#[derive(Debug)]
pub(super) struct Logger {
    who: &'static str,
    least: Option<LogLevel>,
}

impl Logger {
    pub(super) fn new(who: &'static str, output: &Output) -> Self {
        let least = match (output.quiet, output.verbose) {
            (true, _) => None,
            (_, true) => Some(LogLevel::Debug),
            _ => Some(LogLevel::Warn),
        };
        Self { who, least }
    }
}

#[async_trait]
impl Observer for Logger {
    fn log(&self, level: LogLevel, message: &str) {
        if self.least.is_some_and(|least| level >= least) {
            let message = printable(message);
            write_stderr(&format!("{} {}: {message}\n", self.who, level.airbyte().to_lowercase()));
        }
    }

    async fn update_config(&self, _: Json) -> Result<(), Failure> {
        self.log(LogLevel::Info, "the connector changed its configuration");
        Ok(())
    }

    fn decided(&self, decision: &Decision) {
        let (what, target) = (decision.capability.word(), &decision.target);
        let rule = match decision.rule.as_str() {
            rule if rule == format!("limit {target}") => String::new(),
            rule => format!(" ({rule})"),
        };
        match decision.allowed {
            true => self.log(LogLevel::Debug, &format!("allowed: {what} {target}{rule}")),
            // The error that this ends in says it better, with all others.
            false if decision.rule == NEED_NOT_GRANTED => {}
            false => self.log(LogLevel::Warn, &format!("denied: {what} {target}{rule}")),
        }
    }
}
