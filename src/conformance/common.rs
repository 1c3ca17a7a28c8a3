//! The rules of every connector: how it starts, what it says of a configuration, and what was heard
//! of it while the others were tried.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::{Map, Value};

use super::ear::is_limit;
use super::report::Findings;
use super::rule::{
    CHECK_ACCEPTS, CHECK_REJECTS, LIMITS_KEPT, SANDBOX_NEEDS, SECRETS_HIDDEN, SPEC_ANSWERS,
    SPEC_CONFIG, SPEC_SCHEMA,
};
use super::{Trial, answered, spec, told};
use crate::connector::ConnectorError;
use crate::protocol::{Capability, FailureKind, Json, Specification};
use crate::sandbox::judge_needs;

/// Asks it what it is, and looks at that.
pub(super) async fn spec(trial: &Trial<'_>, findings: &mut Findings) -> Option<Specification> {
    trial.progress.tries("spec");
    findings.begin();
    let mut faults = Vec::new();
    let mut answers = Vec::new();
    for _ in 0..2 {
        let begun = Instant::now();
        match trial.heard(trial.executor.spec(&trial.context()).await) {
            Ok(spec) => answers.push(spec),
            Err(error) => {
                faults.push(told(&error));
                break;
            }
        }
        let (took, budget) = (begun.elapsed(), trial.options.start_time);
        // The first call may compile, or install.
        if answers.len() == 2 && took > budget {
            faults.push(format!(
                "it took {:.1} s, and may take {:.1} s (--start-time)",
                took.as_secs_f64(),
                budget.as_secs_f64()
            ));
        }
    }
    if let [first, second] = answers.as_slice()
        && first.to_airbyte() != second.to_airbyte()
    {
        faults.push("two calls gave different specifications".into());
    }
    findings.judge(SPEC_ANSWERS, faults);
    let spec = answers.into_iter().next()?;
    spec::schema(findings, &spec);
    Some(spec)
}

/// Whether its configuration does. False: nothing else can be tried.
pub(super) async fn check(
    trial: &Trial<'_>,
    findings: &mut Findings,
    spec: &Specification,
) -> bool {
    trial.progress.tries("check");
    findings.begin();
    if findings.failed(SPEC_SCHEMA) {
        findings.skip(SPEC_CONFIG, "SPEC_SCHEMA does not hold");
        return false;
    }
    let fits = match trial.connector.validate(spec).await {
        Ok(()) => Vec::new(),
        Err(ConnectorError::Invalid { faults, .. }) => faults,
        Err(error) => vec![error.to_string()],
    };
    if !findings.judge(SPEC_CONFIG, fits) {
        return false;
    }
    findings.begin();
    let checked = trial.executor.check(&trial.context(), trial.config()).await;
    let faults = trial.heard(checked).err().map(|error| told(&error));
    if !findings.judge(CHECK_ACCEPTS, faults.into_iter().collect()) {
        return false;
    }
    rejects(trial, findings, spec).await;
    true
}

/// A configuration without a property that is required, and with one of the wrong type: a required one
/// where there is one, which every connector looks at.
///
/// No text in it may be taken for a secret and then be found in an honest answer: it is short.
fn spoiled(schema: &Value, config: &Value) -> Vec<(String, Value)> {
    let Value::Object(members) = config else { return Vec::new() };
    let properties = schema.get("properties").and_then(Value::as_object);
    let mut all = Vec::new();
    let required = schema.get("required").and_then(Value::as_array);
    let required: Vec<&str> = required.into_iter().flatten().filter_map(Value::as_str).collect();
    if let Some(name) = required.first().copied() {
        let mut without = members.clone();
        without.remove(name);
        all.push((format!("without {name}, which is required"), Value::Object(without)));
    }
    let typed = |(name, schema): (&String, &Value)| {
        let wrong = match schema.get("type").and_then(Value::as_str)? {
            "string" => Value::from(17),
            "integer" | "number" | "boolean" | "object" => Value::from("text"),
            "array" => Value::Object(Map::new()),
            _ => return None,
        };
        Some((name.clone(), wrong))
    };
    let of_all = || properties.into_iter().flatten();
    let needed = of_all().filter(|(name, _)| required.contains(&name.as_str())).find_map(typed);
    if let Some((name, wrong)) = needed.or_else(|| of_all().find_map(typed)) {
        let mut spoiled = members.clone();
        spoiled.insert(name.clone(), wrong);
        all.push((format!("with {name} of the wrong type"), Value::Object(spoiled)));
    }
    all
}

async fn rejects(trial: &Trial<'_>, findings: &mut Findings, spec: &Specification) {
    findings.begin();
    let schema = spec.config_schema.to_value().unwrap_or(Value::Null);
    let config = trial.config().to_value().unwrap_or(Value::Null);
    let mut bad: Vec<(String, Json)> = spoiled(&schema, &config)
        .into_iter()
        .map(|(what, config)| (what, Json::from_value(&config)))
        .collect();
    if let Some(config) = &trial.options.bad_config {
        bad.push(("with --bad-config".into(), config.clone()));
    }
    if bad.is_empty() {
        findings
            .skip(CHECK_REJECTS, "no configuration is wrong for this schema; give --bad-config");
        return;
    }
    let mut faults = Vec::new();
    for (what, config) in bad {
        let checked = trial.executor.check(&trial.context(), &config).await;
        match trial.heard(checked) {
            Ok(()) => faults.push(format!("{what}: it said yes")),
            Err(error) => match answered(error) {
                Ok(FailureKind::Config) => {}
                Ok(kind) => faults.push(format!(
                    "{what}: it failed as {}, not as {}",
                    kind.airbyte(),
                    FailureKind::Config.airbyte()
                )),
                Err(crash) => faults.push(format!("{what}: it crashed: {crash}")),
            },
        }
    }
    findings.judge(CHECK_REJECTS, faults);
}

/// What was heard while everything else was tried.
pub(super) fn heard(trial: &Trial<'_>, findings: &mut Findings, spec: &Specification) {
    let heard = trial.ear.take();
    findings.judge(SECRETS_HIDDEN, heard.leaks.into_iter().collect());
    let (limits, refused): (Vec<_>, Vec<_>) =
        heard.refused.into_iter().partition(|(capability, ..)| *capability == Capability::Limit);
    let limits = limits.into_iter().filter(|(capability, limit, _)| is_limit(*capability, limit));
    let limits = limits.map(|(_, limit, _)| format!("it reached the limit {limit}"));
    findings.judge(LIMITS_KEPT, limits.collect());
    let Some(policy) = trial.executor.policy().filter(|_| trial.executor.component().is_some())
    else {
        findings.skip(SANDBOX_NEEDS, "it is no component, and declares no needs");
        return;
    };
    let mut faults: Vec<String> = refused
        .into_iter()
        .map(|(capability, target, rule)| {
            format!("refused: {} {target} ({rule})", capability.word())
        })
        .collect();
    let config = trial.config().to_value().unwrap_or(Value::Null);
    let schema = spec.config_schema.to_value().unwrap_or(Value::Null);
    let needs = judge_needs(&spec.needs, policy, &config, &schema);
    // By capability; where it uses more than it named, the rest was granted and not asked for.
    let mut undeclared: BTreeMap<Capability, Vec<String>> = BTreeMap::new();
    for (capability, target) in heard.used {
        let declared = needs.iter().any(|need| covers(&need.capability, capability));
        if !declared {
            undeclared.entry(capability).or_default().push(target);
        }
    }
    for (capability, targets) in undeclared {
        let some: Vec<String> = targets.into_iter().take(3).collect();
        faults.push(format!(
            "used without a need for it: {} {}",
            capability.word(),
            some.join(", ")
        ));
    }
    findings.judge(SANDBOX_NEEDS, faults);
}

/// Whether a declared need is of the kind of what was used.
fn covers(need: &str, used: Capability) -> bool {
    match used {
        Capability::Lookup | Capability::Connect | Capability::Http => need == "network",
        // Who may write may read.
        Capability::DirectoryRead => need.starts_with("directory-"),
        Capability::DirectoryWrite => need == "directory-write",
        Capability::Environment => need == "environment",
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_configuration_is_spoiled_by_its_schema() {
        let schema = json!({ "type": "object", "required": ["host"], "properties": {
            "host": { "type": "string" }, "port": { "type": "integer" } } });
        let bad = spoiled(&schema, &json!({ "host": "a", "port": 1 }));
        assert_eq!(bad[0], ("without host, which is required".into(), json!({ "port": 1 })));
        assert_eq!(bad[1].1, json!({ "host": 17, "port": 1 }));
        assert!(spoiled(&json!({ "type": "object" }), &json!({})).is_empty());
    }
}
