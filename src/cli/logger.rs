//! What connectors say, on stderr.
//!
//! The attack: a connector asks for a million things that it is not granted, and each refusal is a
//! line on the operator's terminal. The first ones are; the record has the others.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use super::output::{Output, write_stderr};
use crate::protocol::{Capability, Decision, Failure, Json, LogLevel, Observer};
use crate::sandbox::{NEED_NOT_GRANTED, one_line, printable};

/// Refusals that are printed, of each connector.
const TOLD: usize = 50;

/// Prints warnings, and with `--verbose` the rest; with `--quiet` nothing.
#[derive(Debug)]
pub(super) struct Logger {
    who: &'static str,
    least: Option<LogLevel>,
    /// What was printed as refused; none once there was too much.
    told: Mutex<Option<HashSet<String>>>,
}

impl Logger {
    pub(super) fn new(who: &'static str, output: &Output) -> Self {
        let least = match (output.quiet, output.verbose) {
            (true, _) => None,
            (_, true) => Some(LogLevel::Debug),
            _ => Some(LogLevel::Warn),
        };
        Self { who, least, told: Mutex::new(Some(HashSet::new())) }
    }

    /// What is printed of a refusal: nothing when it was printed before, or when too many were.
    fn denied(&self, text: String) -> Option<String> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let known = told.as_mut()?;
        if known.contains(&text) {
            return None;
        }
        if known.len() == TOLD {
            *told = None;
            return Some(format!(
                "denied: more than {TOLD} different things; the record of the run has the rest"
            ));
        }
        known.insert(text.clone());
        Some(text)
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
            false => {
                // What the network's refusals would be granted by is said where they are made.
                let level = match decision.capability {
                    Capability::Lookup
                    | Capability::Connect
                    | Capability::Http
                    | Capability::Socket => LogLevel::Debug,
                    _ => LogLevel::Warn,
                };
                let text = one_line(&format!("denied: {what} {target}{rule}"));
                if self.least.is_some_and(|least| level >= least)
                    && let Some(text) = self.denied(text)
                {
                    self.log(level, &text);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::output::Format;
    use super::*;

    #[test]
    fn a_flood_of_refusals_ends_with_one_line() {
        let output = Output { format: Format::Human, quiet: false, verbose: false };
        let logger = Logger::new("source", &output);
        let said: Vec<String> = (0..10 * TOLD)
            .flat_map(|i| [format!("denied: {}", i / 2), format!("denied: {}", i / 2)])
            .filter_map(|text| logger.denied(text))
            .collect();
        assert_eq!(said.len(), TOLD + 1);
        assert_eq!(said[1], "denied: 1");
        assert!(said[TOLD].contains("the record of the run has the rest"), "{}", said[TOLD]);
    }
}
