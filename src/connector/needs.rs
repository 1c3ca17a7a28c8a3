//! What a connector says it needs, before it runs: all that is missing at once, each with the flag
//! and the line that would grant it.

use serde_json::Value;

use super::{Connector, ConnectorError};
use crate::protocol::{Decision, Json, LogLevel, Need, Specification};
use crate::sandbox::{Grant, JudgedNeed, NEED_NOT_GRANTED, NeedState, judge_needs};

/// Needs listed before the rest is only counted.
const LISTED: usize = 20;

/// A need of a connector that its policy does not grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingNeed {
    /// The connector, as it was named.
    pub connector: String,
    /// The prefix of its flags: empty, `source-` or `destination-`.
    pub prefix: &'static str,
    /// What it needs, and why.
    pub need: JudgedNeed,
    /// What would grant it.
    pub grant: Grant,
}

/// Compares needs with a connector's policy and configuration, and says nothing of it.
pub(super) fn judged(connector: &Connector, needs: &[Need], schema: &Json) -> Vec<JudgedNeed> {
    let Some(policy) = connector.policy() else { return Vec::new() };
    let config = connector.config().to_value().unwrap_or(Value::Null);
    judge_needs(needs, policy, &config, &schema.to_value().unwrap_or(Value::Null))
}

/// Every need judged, and those that are missing; none where the operator goes on without. What is
/// refused leaves a trail, and what cannot be judged is said.
pub(super) fn judge(
    connector: &Connector,
    spec: &Specification,
    prefix: &'static str,
) -> (Vec<JudgedNeed>, Vec<MissingNeed>) {
    let Some(policy) = connector.policy() else { return (Vec::new(), Vec::new()) };
    let judged = judged(connector, &spec.needs, &spec.config_schema);
    let observer = connector.observer();
    let mut missing = Vec::new();
    for need in &judged {
        let what = format!("{} {}", need.capability, need.target);
        if let NeedState::Unjudged { why } = need.state {
            let text = format!("it needs {what}, for which nothing is granted: {why}");
            observer.log(LogLevel::Warn, &text);
        }
        let Some(grant) = need.missing() else { continue };
        if policy.allow_missing_needs {
            let text = format!("it needs {what}, which is not granted; it goes on without");
            observer.log(LogLevel::Warn, &text);
            continue;
        }
        if let Some(capability) = need.audited() {
            observer.decided(&Decision::deny(capability, &need.target, NEED_NOT_GRANTED));
        }
        missing.push(MissingNeed {
            connector: connector.name().to_owned(),
            prefix,
            need: need.clone(),
            grant: grant.clone(),
        });
    }
    (judged, missing)
}

/// Refuses what is missing.
///
/// # Errors
/// [`ConnectorError::Needs`].
pub(crate) fn require(missing: Vec<MissingNeed>) -> Result<(), ConnectorError> {
    if missing.is_empty() { Ok(()) } else { Err(ConnectorError::Needs { missing }) }
}

pub(super) fn message(missing: &[MissingNeed]) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut named = "";
    for missing in missing.iter().take(LISTED) {
        let what = format!("{} {}", missing.need.capability, missing.need.target);
        match parts.last_mut() {
            Some(part) if named == missing.connector => part.push_str(&format!(", {what}")),
            _ => parts.push(format!("{} needs what it is not granted: {what}", missing.connector)),
        }
        named = &missing.connector;
    }
    if missing.len() > LISTED {
        parts.push(format!("and {} more", missing.len() - LISTED));
    }
    parts.join("; ")
}

/// Each grant as a flag and as a line, with the connector's reason.
pub(super) fn context(missing: &[MissingNeed]) -> Vec<(&'static str, String)> {
    let lines = missing.iter().take(LISTED).map(|missing| {
        let MissingNeed { prefix, need, grant, .. } = missing;
        let section = match prefix.trim_end_matches('-') {
            "" => String::new(),
            side => format!(" of the {side}"),
        };
        let (flag, line) = (grant.flag(prefix), grant.line());
        format!(
            "{flag}\nor in lockgate.toml{section}: {line}\nits reason for {} {}: {}",
            need.capability, need.target, need.reason
        )
    });
    vec![("grant", lines.collect::<Vec<_>>().join("\n"))]
}

pub(super) fn hint(missing: &[MissingNeed]) -> String {
    let mut flags = Vec::new();
    for need in missing {
        let flag = format!("--{}allow-missing-needs", need.prefix);
        if !flags.contains(&flag) {
            flags.push(flag);
        }
    }
    let flags = flags.join(" ");
    format!(
        "grant what you agree to, or go on without it: {flags} (in lockgate.toml: allow-missing-needs = true)"
    )
}
