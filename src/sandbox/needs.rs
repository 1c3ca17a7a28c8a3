//! What a connector says it needs, beside what it is granted.
//!
//! The attack: a list of needs that opens something by itself, that fools an operator into granting
//! more than is used, or that spells out a secret of the configuration on a terminal. A need is a
//! request: it is filled in from the configuration, compared with the policy, and shown. It grants
//! nothing, it is never filled in from a member that holds a secret, and what it says is printed as
//! one short line.

use serde::Serialize;
use serde_json::Value;

use super::{Access, Grant, NetworkGrants, NetworkPattern, Policy, one_line};
use crate::protocol::{Capability, Need};

/// Bytes of a need that is filled in: a name and a port, a path.
const TARGET: usize = 512;

/// The rule of a need that is not granted, in the audit trail.
pub const NEED_NOT_GRANTED: &str = "need-not-granted";

/// Needs of one connector that are judged; more are a fault of it.
const NEEDS: usize = 1_000;

/// What came of a need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum NeedState {
    /// The policy grants it.
    Granted,
    /// The policy does not.
    Missing {
        /// What would grant it.
        grant: Grant,
    },
    /// This configuration has no such member, so that nothing is needed.
    NotNeeded,
    /// It cannot be compared with a policy, and nothing is granted for it.
    Unjudged {
        /// Why.
        why: &'static str,
    },
}

/// One need of a connector, judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JudgedNeed {
    /// The connector's word for what is needed.
    pub capability: String,
    /// What, filled in where it could be; as one line.
    pub target: String,
    /// Why, in the connector's words; as one line.
    pub reason: String,
    /// What came of it.
    #[serde(flatten)]
    pub state: NeedState,
}

/// Compares what a connector needs with its policy. `config` is the configuration before secrets
/// are put in it; `schema` says which of its members are secrets, and their defaults.
#[must_use]
pub fn judge_needs(
    needs: &[Need],
    policy: &Policy,
    config: &Value,
    schema: &Value,
) -> Vec<JudgedNeed> {
    let judged = needs.iter().take(NEEDS).map(|need| {
        let (target, state) = match fill(&need.pattern, config, schema) {
            Filled::Text(target) => {
                let target = match need.capability.as_str() {
                    "network" => place(target),
                    _ => target,
                };
                let state = judge(&need.capability, &target, policy);
                (target, state)
            }
            Filled::Absent => (need.pattern.clone(), NeedState::NotNeeded),
            Filled::Not(why) => (need.pattern.clone(), NeedState::Unjudged { why }),
        };
        JudgedNeed {
            capability: one_line(&need.capability),
            target: one_line(&target),
            reason: one_line(&need.reason),
            state,
        }
    });
    judged.collect()
}

/// What a URL of HTTP reaches, as `HOST:PORT`; anything else as it is.
fn place(target: String) -> String {
    let url = url::Url::parse(&target).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let place = url.as_ref().and_then(|url| Some((url.host_str()?, url.port_or_known_default()?)));
    place.map(|(host, port)| format!("{host}:{port}")).unwrap_or(target)
}

impl JudgedNeed {
    /// What would grant it; none where it is granted, or cannot be.
    #[must_use]
    pub fn missing(&self) -> Option<&Grant> {
        match &self.state {
            NeedState::Missing { grant } => Some(grant),
            _ => None,
        }
    }

    /// The word of the audit trail for it.
    #[must_use]
    pub fn audited(&self) -> Option<Capability> {
        Some(match self.capability.as_str() {
            "network" => Capability::Connect,
            "directory-read" => Capability::DirectoryRead,
            "directory-write" => Capability::DirectoryWrite,
            "environment" => Capability::Environment,
            _ => return None,
        })
    }
}

fn judge(capability: &str, target: &str, policy: &Policy) -> NeedState {
    let unjudged = |why| NeedState::Unjudged { why };
    let verdict = |granted: bool, grant: Grant| match granted {
        true => NeedState::Granted,
        false => NeedState::Missing { grant },
    };
    match capability {
        "network" => match target.rsplit_once(':') {
            Some(_) if NetworkPattern::parse(target, true).is_ok() => {
                verdict(covers_network(&policy.network, target), Grant::new("allow-net", target))
            }
            _ => unjudged("it is not HOST:PORT"),
        },
        "directory-read" | "directory-write" => {
            let Some(path) = guest_path(target) else {
                return unjudged("it is not an absolute path without . and ..");
            };
            let write = capability == "directory-write";
            // What can only be read so far is granted anew, with more.
            let read = policy.directories.iter().find(|d| inside(&path, &d.guest));
            let (host, guest) = match read {
                Some(read) => (read.host.display().to_string(), read.guest.as_str()),
                None => ("HOST_DIR".to_owned(), path.as_str()),
            };
            let grant = format!("{host}::{guest}{}", if write { "" } else { ":ro" });
            verdict(covers_directory(policy, &path, write), Grant::new("allow-dir", grant))
        }
        "environment" => {
            if target.is_empty() || target.contains('=') {
                return unjudged("it is not a name");
            }
            let granted = policy.environment.iter().any(|(name, _)| name == target);
            verdict(granted, Grant::new("env", format!("{target}=VALUE")))
        }
        _ => unjudged("this host does not know the word"),
    }
}

/// A guest's path as grants write it.
fn guest_path(text: &str) -> Option<String> {
    let steps: Vec<&str> = text.split('/').filter(|s| !s.is_empty()).collect();
    let plain = steps.iter().all(|s| !matches!(*s, "." | ".."));
    (text.starts_with('/') && plain).then(|| format!("/{}", steps.join("/")))
}

/// Whether a guest path lies in a granted directory, with enough access.
#[must_use]
pub fn covers_directory(policy: &Policy, path: &str, write: bool) -> bool {
    policy
        .directories
        .iter()
        .any(|d| inside(path, &d.guest) && (!write || d.access == Access::ReadWrite))
}

/// Whether a guest's path is a granted directory, or lies in it.
pub(crate) fn inside(path: &str, guest: &str) -> bool {
    guest == "/" || path.strip_prefix(guest).is_some_and(|r| r.is_empty() || r.starts_with('/'))
}

/// Whether the grants open all of what a need asks for: a host and port, or a pattern of them.
#[must_use]
pub fn covers_network(grants: &NetworkGrants, target: &str) -> bool {
    NetworkPattern::parse(target, true).is_ok_and(|needed| grants.covers(&needed))
}

/// A template, filled in.
enum Filled {
    Text(String),
    Absent,
    Not(&'static str),
}

fn fill(pattern: &str, config: &Value, schema: &Value) -> Filled {
    let mut out = String::new();
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once("${") {
        out.push_str(before);
        let Some((path, after)) = after.split_once('}') else {
            return Filled::Not("its ${ has no end");
        };
        match member(path, config, schema) {
            Ok(Some(text)) => out.push_str(&text),
            Ok(None) => return Filled::Absent,
            Err(why) => return Filled::Not(why),
        }
        if out.len() > TARGET {
            return Filled::Not("it is too long");
        }
        rest = after;
    }
    out.push_str(rest);
    if out.len() > TARGET {
        return Filled::Not("it is too long");
    }
    if out.chars().any(char::is_control) {
        return Filled::Not("it holds control characters");
    }
    Filled::Text(out)
}

/// A member of the configuration, or the default its schema gives it.
fn member(path: &str, config: &Value, schema: &Value) -> Result<Option<String>, &'static str> {
    let mut value = Some(config);
    let mut places = vec![schema];
    for step in path.split('.') {
        value = value.and_then(|value| match value {
            Value::Array(items) => step.parse::<usize>().ok().and_then(|i| items.get(i)),
            value => value.get(step),
        });
        places = below(&places, step);
        if places.iter().any(|p| p.get("airbyte_secret") == Some(&Value::Bool(true))) {
            return Err("it names a secret member of the configuration");
        }
    }
    let default = || places.iter().find_map(|place| place.get("default"));
    match value.or_else(default) {
        // What a reference to a secret stands for is nobody's to print.
        Some(Value::String(text)) if text.contains("${") => {
            Err("it names a member that refers to a secret")
        }
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(Value::Bool(flag)) => Ok(Some(flag.to_string())),
        None | Some(Value::Null) => Ok(None),
        Some(_) => Err("it names a member that is neither a text nor a number"),
    }
}

/// Where a schema describes a member: in its properties, or in those of its alternatives.
fn below<'a>(places: &[&'a Value], step: &str) -> Vec<&'a Value> {
    /// Places looked at: a schema of alternatives within alternatives has no end.
    const MOST: usize = 1_000;
    let mut open: Vec<&Value> = places.to_vec();
    let mut found = Vec::new();
    let mut seen = 0;
    while let Some(place) = open.pop() {
        seen += 1;
        if seen > MOST {
            break;
        }
        found.extend(place.get("properties").and_then(|p| p.get(step)));
        found.extend(place.get("items"));
        for word in ["oneOf", "anyOf", "allOf"] {
            open.extend(place.get(word).and_then(Value::as_array).into_iter().flatten());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn need(capability: &str, pattern: &str) -> Need {
        Need { capability: capability.into(), pattern: pattern.into(), reason: "for rows".into() }
    }

    fn judged(needs: &[Need], policy: &Policy, config: &Value) -> Vec<NeedState> {
        let schema = json!({"properties": {
            "port": {"default": 5432},
            "password": {"airbyte_secret": true},
            "tunnel": {"oneOf": [{"properties": {"key": {"airbyte_secret": true}, "host": {}}}]},
        }});
        judge_needs(needs, policy, config, &schema).into_iter().map(|n| n.state).collect()
    }

    #[test]
    fn urls_are_places() {
        let policy = Policy::default();
        let wanted = [need("network", "${endpoint}")];
        for (url, target) in [
            ("https://s3.example.com", "s3.example.com:443"),
            ("http://127.0.0.1:9000/", "127.0.0.1:9000"),
        ] {
            let missing = NeedState::Missing { grant: Grant::new("allow-net", target) };
            assert_eq!(judged(&wanted, &policy, &json!({"endpoint": url})), [missing]);
        }
        assert_eq!(judged(&wanted, &policy, &json!({})), [NeedState::NotNeeded]);
        let other = judged(&wanted, &policy, &json!({"endpoint": "ftp://x"}));
        assert!(matches!(other[..], [NeedState::Unjudged { .. }]), "{other:?}");
    }

    #[test]
    fn networks() {
        let mut policy = Policy::default();
        let wanted = [need("network", "${host}:${port}")];
        let config = json!({"host": "db.example"});
        let missing = |value: &str| NeedState::Missing { grant: Grant::new("allow-net", value) };
        assert_eq!(judged(&wanted, &policy, &config), [missing("db.example:5432")]);
        policy.allow_net("db.example:5433", &Value::Null, false).unwrap();
        assert_eq!(judged(&wanted, &policy, &config), [missing("db.example:5432")]);
        policy.allow_net("*.example:5432", &Value::Null, false).unwrap();
        assert_eq!(judged(&wanted, &policy, &config), [NeedState::Granted]);
        let config = json!({"host": "DB.example.", "port": 5433});
        assert_eq!(judged(&wanted, &policy, &config), [NeedState::Granted]);
        for (covered, not) in
            [("a.example:5432", "aexample:5432"), ("a.b.example:5432", ".example:5432")]
        {
            assert!(covers_network(&policy.network, covered), "{covered}");
            assert!(!covers_network(&policy.network, not), "{not}");
        }
    }

    #[test]
    fn directories_and_variables() {
        let mut policy = Policy::default();
        policy.allow_dir("in::/in:ro").unwrap();
        policy.allow_dir("out::/out").unwrap();
        policy.allow_env("TZ=UTC").unwrap();
        let config = json!({"path": "/out/x//y"});
        let states = judged(
            &[
                need("directory-write", "${path}"),
                need("directory-read", "/in/a"),
                need("directory-write", "/in/a"),
                need("directory-read", "/input"),
                need("environment", "TZ"),
                need("environment", "HOME"),
            ],
            &policy,
            &config,
        );
        let missing = |option, value: &str| NeedState::Missing { grant: Grant::new(option, value) };
        assert_eq!(
            states,
            [
                NeedState::Granted,
                NeedState::Granted,
                missing("allow-dir", "in::/in"),
                missing("allow-dir", "HOST_DIR::/input:ro"),
                NeedState::Granted,
                missing("env", "HOME=VALUE"),
            ]
        );
    }

    #[test]
    fn what_is_not_needed_and_what_cannot_be_judged() {
        let config = json!({"password": "hunter2", "tunnel": {"key": "hunter2", "host": "h"},
            "url": "${secret:env:URL}", "list": ["/a"], "text": "a\nb"});
        let needs = [
            need("network", "${absent.host}:1"),
            need("network", "${password}:1"),
            need("network", "${tunnel.key}:1"),
            need("directory-read", "${url}"),
            need("directory-read", "${tunnel}"),
            need("directory-read", "${text}"),
            need("directory-read", "/a/../b"),
            need("network", "${tunnel.host"),
            need("camera", "front"),
            need("network", "host"),
        ];
        let states = judged(&needs, &Policy::default(), &config);
        assert_eq!(states[0], NeedState::NotNeeded);
        for (need, state) in needs.iter().zip(&states).skip(1) {
            assert!(matches!(state, NeedState::Unjudged { .. }), "{need:?}: {state:?}");
        }
        let judged = judge_needs(&needs, &Policy::default(), &config, &json!({}));
        // Without the schema's word for it the member is no secret; with it, its value is nowhere.
        assert!(format!("{judged:?}").contains("hunter2"));
        assert!(!format!("{states:?}").contains("hunter2"));
        let listed = [need("directory-read", "${list.0}")];
        let state = &judge_needs(&listed, &Policy::default(), &config, &json!({}))[0];
        assert_eq!(state.target, "/a");
    }

    proptest! {
        #[test]
        fn any_need_is_judged_and_none_is_granted_by_default(
            word in "(network|directory-write|environment|[a-z]{0,4})",
            pattern in "\\PC{0,40}",
            text in ".{0,40}",
        ) {
            let states = judge_needs(
                &[need(&word, &pattern)], &Policy::default(), &json!({"a": text}), &json!({}),
            );
            prop_assert_ne!(&states[0].state, &NeedState::Granted);
        }
    }
}
