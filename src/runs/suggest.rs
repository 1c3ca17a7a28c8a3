//! The smallest policy that would have allowed what a run asked for.
//!
//! The attack: a connector asks for much, so that an operator who copies the suggestion grants it.
//! So every line says why it is there, what is dangerous says so, what must never be granted is not
//! in it, and no word of a connector leaves its quotes.

use serde::Serialize;

use super::remedy::{Remedy, endpoint, limit_grant, network_warning, remedy};
use super::summary::used;
use super::trail::Answer;
use super::{CountedDecision, Run, RunConnector, Side};
use crate::sandbox::{Grant, one_line};

/// One grant of a suggestion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SuggestedLine {
    /// `allow-net`, `allow-dir`, `env`, `limit`, `max-memory`, `timeout`.
    pub option: &'static str,
    /// Its value.
    pub value: String,
    /// As a flag.
    pub flag: String,
    /// Why it is there: what was granted and used, or what was refused.
    pub why: String,
    /// What to think of before it is granted.
    pub warning: Option<&'static str>,
}

/// One side of a suggestion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SuggestedSide {
    /// The side.
    pub side: Side,
    /// Its name in `lockgate.toml`.
    pub key: Option<String>,
    /// The connector, as it was named.
    pub connector: String,
    /// `sha256:…` of a component.
    pub digest: Option<String>,
    /// The grants and limits.
    pub lines: Vec<SuggestedLine>,
    /// What was asked for and is not in it, with the reason.
    pub refused: Vec<String>,
    /// Grants of the run that were never used, and are not in it.
    pub unused: Vec<String>,
}

/// A suggestion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Suggestion {
    /// The run.
    pub run: String,
    /// Its sides.
    pub sides: Vec<SuggestedSide>,
}

impl Suggestion {
    /// From what a run asked for.
    #[must_use]
    pub fn new(run: &Run) -> Self {
        let sides = run.file.connectors.iter().map(|connector| side(connector, run)).collect();
        Self { run: run.file.run.clone(), sides }
    }
}

fn side(connector: &RunConnector, run: &Run) -> SuggestedSide {
    let decisions: Vec<&CountedDecision> =
        run.decisions.iter().filter(|d| d.side == connector.side).collect();
    let prefix = connector.side.prefix();
    let mut lines: Vec<SuggestedLine> = Vec::new();
    let (mut refused, mut unused) = (Vec::new(), Vec::new());
    let mut add = |grant: Grant, why: String, warning| match lines.iter_mut().find(|l| {
        l.option == grant.option && key(l.option, &l.value) == key(l.option, &grant.value)
    }) {
        Some(line) => {
            // Read only gives way to read and write, a limit to a larger one.
            if !line.why.contains(&why) {
                line.why = format!("{}; {why}", line.why);
            }
            if grant.option != "allow-dir" || !grant.value.ends_with(":ro") {
                line.value.clone_from(&grant.value);
                line.flag = grant.flag(prefix);
            }
        }
        None => lines.push(SuggestedLine {
            option: grant.option,
            flag: grant.flag(prefix),
            value: grant.value,
            why,
            warning,
        }),
    };
    if let Some(policy) = &connector.policy {
        for grant in used(connector.side, policy, &decisions) {
            let why = match (grant.given, grant.used) {
                // What a run did not come to, it may need in the next.
                (0, 0) if run.file.status != "succeeded" => {
                    "granted, and not used before the run ended".to_owned()
                }
                (0, 0) => {
                    unused.push(grant.grant);
                    continue;
                }
                (given, 0) => format!("given to {}", times(given, "operation")),
                (_, used) => format!("used {}", times(used, "time")),
            };
            let Some((option, value)) = grant.grant.split_once(' ') else { continue };
            if value.starts_with("*:") && grant.used > 0 {
                // Every host was open: what was reached is less.
                for reached in decisions.iter().filter(|d| d.rule == grant.grant) {
                    if let Some(endpoint) = endpoint(&reached.target) {
                        let grant = Grant::new("allow-net", endpoint);
                        let warning = network_warning(&grant);
                        add(grant, format!("used {}", times(reached.count, "time")), warning);
                    }
                }
                continue;
            }
            let grant = match option {
                "allow-net" => Grant::new("allow-net", value),
                "allow-dir" => Grant::new("allow-dir", value),
                _ => Grant::new("env", format!("{value}=VALUE")),
            };
            let warning = match grant.option {
                "env" => Some("put its value for VALUE"),
                _ => network_warning(&grant),
            };
            add(grant, why, warning);
        }
        for limit in policy.limits.iter().filter(|l| l.set) {
            // What a `timeout` left of the start of a process.
            if limit.value != "0s" {
                add(limit_grant(&limit.name, &limit.value, policy), "set".to_owned(), None);
            }
        }
    }
    for decision in decisions.iter().filter(|d| d.decision == Answer::Deny) {
        let why = format!("refused {} ({})", times(decision.count, "time"), decision.rule);
        match remedy(decision, connector.policy.as_ref()) {
            Remedy::Grant { grant, warning } => add(grant, why, warning),
            Remedy::Never(reason) => refused.push(format!(
                "{} {} ({}): {reason}",
                decision.capability.word(),
                decision.target,
                decision.rule
            )),
        }
    }
    SuggestedSide {
        side: connector.side,
        key: connector.key.clone(),
        connector: one_line(&connector.connector),
        digest: connector.digest.clone(),
        lines,
        refused,
        unused,
    }
}

/// What two grants of one option are about, so that the second takes the place of the first.
fn key<'a>(option: &str, value: &'a str) -> &'a str {
    match option {
        "env" | "limit" => value.split_once('=').map_or(value, |(name, _)| name),
        "allow-dir" => {
            let guest = value.rsplit_once("::").map_or(value, |(_, guest)| guest);
            guest.trim_end_matches(":ro").trim_end_matches(":rw")
        }
        "max-memory" | "timeout" => "",
        _ => value,
    }
}

pub(crate) fn times(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
