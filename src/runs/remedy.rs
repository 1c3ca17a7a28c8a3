//! What would have allowed a refusal, and what never will be.

use std::net::IpAddr;

use super::{CountedDecision, EffectivePolicy};
use crate::config::{parse_duration, parse_size};
use crate::protocol::Capability;
use crate::sandbox::{Grant, inside};

/// What would have allowed a refusal.
pub(super) enum Remedy {
    Grant { grant: Grant, warning: Option<&'static str> },
    Never(&'static str),
}

/// What would have allowed a refused decision.
pub(super) fn remedy(decision: &CountedDecision, policy: Option<&EffectivePolicy>) -> Remedy {
    let target = decision.target.as_str();
    let granted = |grant| Remedy::Grant { warning: network_warning(&grant), grant };
    match decision.capability {
        Capability::Lookup | Capability::Connect | Capability::Http => match endpoint(target) {
            Some(endpoint) => granted(Grant::new("allow-net", endpoint)),
            None => Remedy::Never("the port it wants is not known; grant NAME:PORT if you know it"),
        },
        Capability::Socket => Remedy::Never("listening, binding and UDP are never granted"),
        Capability::DirectoryRead | Capability::DirectoryWrite => directory(decision, policy),
        Capability::Environment => Remedy::Grant {
            grant: Grant::new("env", format!("{target}=VALUE")),
            warning: Some("put a value for VALUE, none that others use"),
        },
        Capability::Limit => limit(target, policy),
        Capability::Import
            if ["wasi:sockets/", "wasi:http/"].iter().any(|i| target.starts_with(i)) =>
        {
            Remedy::Never("it is linked where a network grant is: allow-net HOST:PORT")
        }
        Capability::Import => {
            Remedy::Never("no grant links it; the connector has to be built without it")
        }
        Capability::Secret => Remedy::Never("secrets are named in the configuration, not granted"),
        Capability::Process => {
            Remedy::Never("a weaker fence (sandbox) is a decision about the host, not a grant")
        }
    }
}

fn directory(decision: &CountedDecision, policy: Option<&EffectivePolicy>) -> Remedy {
    let path = decision.target.as_str();
    if !path.starts_with('/') || path.split('/').any(|step| matches!(step, "." | "..")) {
        return Remedy::Never("a way out of a directory is never granted");
    }
    if matches!(
        decision.rule.as_str(),
        "outside" | "host-state" | "kernel-files" | "not-permitted" | "never-granted"
    ) {
        return Remedy::Never("a way out of a directory is never granted");
    }
    let write = decision.capability == Capability::DirectoryWrite;
    let known = policy.and_then(|p| p.directories.iter().find(|d| inside(path, &d.guest)));
    let (host, guest) = match known {
        Some(known) => (known.host.as_str(), known.guest.as_str()),
        None => ("HOST_DIR", path.trim_end_matches('/')),
    };
    if guest.is_empty() {
        return Remedy::Never("the root of all directories is nothing to grant");
    }
    let ending = if write { "" } else { ":ro" };
    let grant = Grant::new("allow-dir", format!("{host}::{guest}{ending}"));
    let warning = match (known, write) {
        (Some(_), true) => Some("it could only be read so far"),
        (None, _) => Some("choose HOST_DIR, a folder with nothing else in it"),
        _ => None,
    };
    Remedy::Grant { grant, warning }
}

/// Twice the limit that was reached.
fn limit(name: &str, policy: Option<&EffectivePolicy>) -> Remedy {
    let Some((policy, value)) = policy.and_then(|p| Some((p, p.limit(name)?))) else {
        return Remedy::Never("it is no limit that can be set");
    };
    let doubled = if name.ends_with("-time") {
        parse_duration("limit", value).ok().map(|d| match d.as_millis() * 2 {
            ms if ms % 1000 == 0 => format!("{}s", ms / 1000),
            ms => format!("{ms}ms"),
        })
    } else {
        parse_size("limit", value).ok().and_then(|n| n.checked_mul(2)).map(sized)
    };
    let Some(doubled) = doubled else {
        return Remedy::Never("it has no value that could be doubled");
    };
    let grant = limit_grant(name, &doubled, policy);
    Remedy::Grant { grant, warning: Some("doubled: look at why it is so much first") }
}

/// A limit as it is set: two have an option of their own, which goes before `limit`.
pub(super) fn limit_grant(name: &str, value: &str, policy: &EffectivePolicy) -> Grant {
    // `timeout` sets the three times at once and leaves nothing to the start of a process.
    let by_timeout = policy.limit("process-start") == Some("0s");
    match name {
        "memory-bytes" => Grant::new("max-memory", value),
        "spec-time" | "check-time" | "sync-time" if by_timeout => Grant::new("timeout", value),
        name => Grant::new("limit", format!("{name}={value}")),
    }
}

fn sized(bytes: usize) -> String {
    match bytes {
        b if b >= 1 << 30 && b % (1 << 30) == 0 => format!("{}GiB", b >> 30),
        b if b >= 1 << 20 && b % (1 << 20) == 0 => format!("{}MiB", b >> 20),
        b if b >= 1 << 10 && b % (1 << 10) == 0 => format!("{}KiB", b >> 10),
        b => b.to_string(),
    }
}

/// The host and port of a target. `http://name/path` has a port by its scheme; of
/// `name:5432 (10.0.0.1)` the name is what is granted.
pub(super) fn endpoint(target: &str) -> Option<String> {
    let target = target.split_whitespace().find(|word| word.contains(':'))?;
    let (rest, default) = match target.split_once("://") {
        Some(("http", rest)) => (rest, Some("80")),
        Some(("https", rest)) => (rest, Some("443")),
        Some(_) => return None,
        None => (target, None),
    };
    let authority = rest.split(['/', '?', '#']).next()?;
    // What stands before an @ is no host, and whoever writes one wants to be misread; names in other
    // scripts arrive here in their ASCII form.
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
    if !authority.chars().all(plain) {
        return None;
    }
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|p| p > 0);
    match authority.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && is_port(port) => Some(authority.to_owned()),
        Some(_) => None,
        None => default.map(|port| format!("{authority}:{port}")),
    }
}

/// What to think of before a host is granted.
pub(super) fn network_warning(grant: &Grant) -> Option<&'static str> {
    if grant.option != "allow-net" {
        return None;
    }
    let (host, _) = grant.value.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let private = match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => {
            let [a, b, ..] = ip.octets();
            ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_unspecified()
                || (a == 100 && (64..128).contains(&b))
        }
        Ok(IpAddr::V6(ip)) => {
            let first = ip.segments()[0];
            // Whatever is not of the public range, and what stands for an IPv4 address.
            first & 0xe000 != 0x2000 || first == 0x2002 || ip.segments()[..2] == [0x2001, 0]
        }
        Err(_) => {
            let name = host.trim_end_matches('.').to_ascii_lowercase();
            name == "localhost" || name.ends_with(".localhost") || name.ends_with(".internal")
        }
    };
    private.then_some("a private address: whatever answers there is inside your network")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_and_their_warnings() {
        for (target, found) in [
            ("db.example:5432", Some("db.example:5432")),
            ("db.example:5432 (10.0.0.1)", Some("db.example:5432")),
            ("GET https://api.example/v1?x=y:1", Some("api.example:443")),
            ("http://[::1]:8080/", Some("[::1]:8080")),
            ("https://allowed@evil.example/", None),
            ("ftp://x/", None),
            ("db.example", None),
            ("*:443", None),
            ("x:0", None),
        ] {
            assert_eq!(endpoint(target).as_deref(), found, "{target}");
        }
        let warned =
            |host: &str| network_warning(&Grant::new("allow-net", format!("{host}:1"))).is_some();
        for host in [
            "10.0.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "100.100.100.200",
            "[::1]",
            "[fd00:ec2::254]",
            "[::ffff:10.0.0.1]",
            "[64:ff9b::a00:1]",
            "localhost",
            "metadata.google.internal",
        ] {
            assert!(warned(host), "{host}");
        }
        for host in ["8.8.8.8", "db.example", "[2606:4700::1111]"] {
            assert!(!warned(host), "{host}");
        }
    }
}
