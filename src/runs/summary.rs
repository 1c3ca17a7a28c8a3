//! What a run used of what it was granted, and what it was refused.

use serde::Serialize;

use super::remedy::{Remedy, remedy};
use super::trail::Answer;
use super::{CountedDecision, EffectivePolicy, Run, RunConnector, Side};
use crate::executor::GIVEN;
use crate::protocol::Capability;
use crate::sandbox::inside;

/// One grant, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Used {
    /// The side.
    pub side: Side,
    /// The grant: `allow-net db.example:5432`, `env TZ`.
    pub grant: String,
    /// Operations that it was given to; of a network grant none: it is asked for.
    pub given: u64,
    /// How often it was used. The use of a variable cannot be seen.
    pub used: u64,
}

/// One refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Denied {
    /// The side.
    pub side: Side,
    /// What was asked for.
    pub capability: Capability,
    /// Of what.
    pub target: String,
    /// Why it was refused.
    pub rule: String,
    /// How often.
    pub count: u64,
    /// The flag that would grant it; none where nothing does.
    pub flag: Option<String>,
    /// The line of `lockgate.toml` that would grant it; none where nothing does.
    pub line: Option<String>,
    /// Why nothing does, or what to think of before it is granted.
    pub note: Option<String>,
}

/// A run, summed up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Each grant.
    pub grants: Vec<Used>,
    /// What was refused, besides limits.
    pub denied: Vec<Denied>,
    /// Limits that were reached.
    pub limits: Vec<Denied>,
}

impl Summary {
    /// Of a run.
    #[must_use]
    pub fn new(run: &Run) -> Self {
        let mut summary = Self { grants: Vec::new(), denied: Vec::new(), limits: Vec::new() };
        for connector in &run.file.connectors {
            let decisions: Vec<&CountedDecision> =
                run.decisions.iter().filter(|d| d.side == connector.side).collect();
            if let Some(policy) = &connector.policy {
                summary.grants.extend(used(connector.side, policy, &decisions));
            }
            for decision in decisions.iter().filter(|d| d.decision == Answer::Deny) {
                let list = match decision.capability {
                    Capability::Limit => &mut summary.limits,
                    _ => &mut summary.denied,
                };
                list.push(denied(connector, decision));
            }
        }
        summary
    }
}

fn denied(connector: &RunConnector, decision: &CountedDecision) -> Denied {
    let (grant, note) = match remedy(decision, connector.policy.as_ref()) {
        Remedy::Grant { grant, warning } => (Some(grant), warning.map(str::to_owned)),
        Remedy::Never(why) => (None, Some(why.to_owned())),
    };
    Denied {
        side: connector.side,
        capability: decision.capability,
        target: decision.target.clone(),
        rule: decision.rule.clone(),
        count: decision.count,
        flag: grant.as_ref().map(|g| g.flag(connector.side.prefix())),
        line: grant.as_ref().map(crate::sandbox::Grant::line),
        note,
    }
}

/// What became of each grant of a policy.
pub(super) fn used(
    side: Side,
    policy: &EffectivePolicy,
    decisions: &[&CountedDecision],
) -> Vec<Used> {
    let count = |fits: &dyn Fn(&CountedDecision) -> bool| -> u64 {
        let allowed = decisions.iter().filter(|d| d.decision == Answer::Allow);
        allowed.filter(|d| fits(d)).map(|d| d.count).sum()
    };
    let mut all = Vec::new();
    for pattern in &policy.network {
        let grant = format!("allow-net {pattern}");
        let asked = |d: &CountedDecision| {
            let network =
                [Capability::Connect, Capability::Http, Capability::Lookup].contains(&d.capability);
            network && d.rule == grant
        };
        all.push(Used { side, given: 0, used: count(&asked), grant: grant.clone() });
    }
    if policy.host_network {
        // What it did there is not seen.
        let given = count(&|d| d.capability == Capability::Process);
        all.push(Used { side, given, used: 0, grant: "use-host-network".to_owned() });
    }
    for directory in &policy.directories {
        let about = |d: &CountedDecision| {
            matches!(d.capability, Capability::DirectoryRead | Capability::DirectoryWrite)
                && !d.rule.starts_with(GIVEN)
                && (d.rule == directory.rule || inside(&d.target, &directory.guest))
        };
        // Both kinds of access are given at once.
        let rule = format!("{GIVEN}{}", directory.rule);
        let given = count(&|d| d.capability == Capability::DirectoryRead && d.rule == rule);
        let used = count(&about);
        all.push(Used { side, grant: directory.rule.clone(), given, used });
    }
    for name in &policy.environment {
        let given = count(&|d| d.capability == Capability::Environment && d.target == *name);
        all.push(Used { side, grant: format!("env {name}"), given, used: 0 });
    }
    all
}
