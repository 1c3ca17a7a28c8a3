//! Who listens while rules are tried: what was logged with a secret in it, and what the sandbox
//! decided.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use super::alive::Alive;
use crate::executor::GIVEN;
use crate::protocol::{Capability, Decision, Failure, Json, LogLevel, Observer};
use crate::sandbox::one_line;

/// Distinct things that are kept of each kind; what is beyond is one more of the same.
const KEPT: usize = 100;

/// What stands where a secret was.
const HIDDEN: &str = "***";

#[derive(Debug, Default)]
pub(super) struct Heard {
    /// What was said with a secret in it, hidden by now.
    pub(super) leaks: BTreeSet<String>,
    /// What it was refused: capability, target, rule.
    pub(super) refused: BTreeSet<(Capability, String, String)>,
    /// What it used.
    pub(super) used: BTreeSet<(Capability, String)>,
}

/// The observer.
#[derive(Debug, Default)]
pub(super) struct Ear {
    heard: Mutex<Heard>,
    /// Whether it says or does anything.
    pub(super) alive: Alive,
}

impl Ear {
    fn heard<T>(&self, with: impl FnOnce(&mut Heard) -> T) -> T {
        with(&mut self.heard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What was heard so far.
    pub(super) fn take(&self) -> Heard {
        self.heard(std::mem::take)
    }

    /// Whether it reached a limit that is not one of time: what took too long is told of by the rule
    /// that it broke.
    pub(super) fn limited(&self) -> bool {
        self.heard(|heard| {
            heard.refused.iter().any(|(capability, limit, _)| is_limit(*capability, limit))
        })
    }

    /// Takes words of the connector that come another way: a failure.
    pub(super) fn said(&self, text: &str) {
        if text.contains(HIDDEN) {
            self.leaked(text);
        }
    }

    /// Takes what held a secret, which is hidden by now.
    pub(super) fn leaked(&self, text: &str) {
        self.heard(|heard| note(&mut heard.leaks, one_line(text)));
    }
}

/// Whether what was refused is a limit of the sandbox, and not of time.
pub(super) fn is_limit(capability: Capability, limit: &str) -> bool {
    capability == Capability::Limit && !["spec-time", "check-time", "sync-time"].contains(&limit)
}

fn note<T: Ord>(all: &mut BTreeSet<T>, one: T) {
    if all.len() < KEPT {
        all.insert(one);
    }
}

#[async_trait]
impl Observer for Ear {
    fn log(&self, _: LogLevel, message: &str) {
        self.alive.sign();
        self.said(message);
    }

    async fn update_config(&self, _: Json) -> Result<(), Failure> {
        Ok(())
    }

    fn decided(&self, decision: &Decision) {
        let Decision { capability, target, allowed, rule } = decision;
        self.heard(|heard| match allowed {
            // What it is given says nothing of what it uses.
            true if rule.starts_with(GIVEN) || *capability == Capability::Environment => {}
            true => note(&mut heard.used, (*capability, target.clone())),
            false => note(&mut heard.refused, (*capability, target.clone(), rule.clone())),
        });
    }
}
