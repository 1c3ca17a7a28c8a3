//! Which contract a component was built for, and whether this host can serve it. Read from the
//! component's type, before anything of it runs (`docs/wit-evolution.md`).

use wasmtime::Engine;
use wasmtime::component::types::ComponentItem;

/// The version of `lockgate:connector` this host serves.
pub const CONTRACT_VERSION: &str = "0.1.0";

/// Which half of a sync a component is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It reads.
    Source,
    /// It writes.
    Destination,
}

impl Kind {
    /// `source` or `destination`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Destination => "destination",
        }
    }
}

const PACKAGE: &str = "lockgate:connector/";

/// What the host offers a guest of each interface of the contract.
const OFFERED: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("logging", &["log"]),
    ("control", &["update-config"]),
    ("output", &["emit", "checkpoint", "status", "estimate"]),
    ("input", &["next", "committed"]),
];

/// The WASI 0.2 interfaces that open nothing by themselves. `filesystem` is among them because
/// every standard library imports it: without a granted directory there is no descriptor to call
/// it on.
const HARMLESS: &[&str] = &[
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/stderr",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:cli/terminal-stderr",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/random",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
];

/// The interfaces that reach the network: linked where a policy grants some of it. Every call passes
/// the gate (`network`).
const NETWORK: &[&str] = &[
    "wasi:http/outgoing-handler",
    "wasi:http/types",
    "wasi:sockets/instance-network",
    "wasi:sockets/ip-name-lookup",
    "wasi:sockets/network",
    "wasi:sockets/tcp",
    "wasi:sockets/tcp-create-socket",
    "wasi:sockets/udp",
    "wasi:sockets/udp-create-socket",
];

/// What is wrong with a component's imports and exports.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ContractFault {
    NoConnector { exports: String },
    Version { built: String, missing: String },
    Import { import: String, why: &'static str },
}

/// One import, and why it is refused if it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ImportVerdict {
    pub(super) name: String,
    pub(super) refused: Option<&'static str>,
    /// It is linked only where the policy grants some of the network.
    pub(super) network: bool,
}

/// A component's name of an interface, and the version behind `@`.
fn split(name: &str) -> (&str, &str) {
    name.split_once('@').unwrap_or((name, ""))
}

/// The part of a version within which everything is compatible: `0.1` of `0.1.7`.
fn track(version: &str) -> &str {
    let mut dots = version.match_indices('.');
    match (version.starts_with("0."), dots.next(), dots.next()) {
        (true, _, Some((second, _))) => &version[..second],
        (false, Some((first, _)), _) => &version[..first],
        _ => version,
    }
}

/// Whether an import reaches the network.
fn is_network(name: &str) -> bool {
    NETWORK.contains(&split(name).0)
}

/// Judges an import by its name: what no policy could grant is refused.
pub(super) fn judge_import(name: &str) -> Option<&'static str> {
    let (interface, version) = split(name);
    if let Some(ours) = interface.strip_prefix(PACKAGE) {
        let known = OFFERED.iter().any(|(offered, _)| *offered == ours);
        if !known {
            return Some("is no interface of this host's contract");
        }
        return (track(version) != track(CONTRACT_VERSION))
            .then_some("is of another version of the contract");
    }
    if HARMLESS.contains(&interface) || NETWORK.contains(&interface) {
        return (track(version) != "0.2")
            .then_some("is not of WASI 0.2, the only WASI this host runs");
    }
    if interface.starts_with("wasi:sockets/") || interface.starts_with("wasi:http/") {
        return Some("reaches the network in a way that this host does not grant");
    }
    if interface.starts_with("wasi:") {
        return Some("is a WASI interface this host does not grant");
    }
    Some("is no interface this host knows")
}

/// Checks a component's type against the contract.
pub(super) fn check(
    ty: &wasmtime::component::types::Component,
    engine: &Engine,
) -> Result<(Kind, String), ContractFault> {
    let mut exports = Vec::new();
    let mut found = None;
    for (name, _) in ty.exports(engine) {
        let (interface, version) = split(name);
        let kind = match interface.strip_prefix(PACKAGE) {
            Some("source") => Some(Kind::Source),
            Some("destination") => Some(Kind::Destination),
            _ => None,
        };
        if let Some(kind) = kind {
            found = Some((kind, version.to_owned()));
        }
        exports.push(name.to_owned());
    }

    // The version comes before everything else: it explains what else may be odd.
    for (name, item) in ty.imports(engine) {
        let (interface, version) = split(name);
        let Some(ours) = interface.strip_prefix(PACKAGE) else { continue };
        if track(version) != track(CONTRACT_VERSION) {
            let missing = format!("{name} is of another version and nothing of it fits");
            return Err(ContractFault::Version { built: version.to_owned(), missing });
        }
        let offered = OFFERED.iter().find(|(i, _)| *i == ours).map(|(_, functions)| *functions);
        let Some(offered) = offered else {
            let missing = format!("the interface {ours} is missing");
            return Err(ContractFault::Version { built: version.to_owned(), missing });
        };
        if let ComponentItem::ComponentInstance(instance) = item.ty {
            let lacking: Vec<&str> = instance
                .exports(engine)
                .filter(|(_, item)| matches!(item.ty, ComponentItem::ComponentFunc(_)))
                .map(|(function, _)| function)
                .filter(|function| !offered.contains(function))
                .collect();
            if !lacking.is_empty() {
                let missing = format!("{ours}.{} is missing", lacking.join(&format!(", {ours}.")));
                return Err(ContractFault::Version { built: version.to_owned(), missing });
            }
        }
    }
    let Some((kind, version)) = found else {
        let exports = if exports.is_empty() { "nothing".into() } else { exports.join(", ") };
        return Err(ContractFault::NoConnector { exports });
    };
    if track(&version) != track(CONTRACT_VERSION) {
        let missing = format!("its {} is of another version", kind.word());
        return Err(ContractFault::Version { built: version, missing });
    }
    for verdict in imports(ty, engine) {
        if let Some(why) = verdict.refused {
            return Err(ContractFault::Import { import: verdict.name, why });
        }
    }
    Ok((kind, version))
}

/// Every import, judged.
pub(super) fn imports(
    ty: &wasmtime::component::types::Component,
    engine: &Engine,
) -> Vec<ImportVerdict> {
    ty.imports(engine)
        .map(|(name, _)| ImportVerdict {
            name: name.to_owned(),
            refused: judge_import(name),
            network: is_network(name),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tracks() {
        assert_eq!(track("0.1.0"), "0.1");
        assert_eq!(track("0.12.3"), "0.12");
        assert_eq!(track("2.3.4"), "2");
        assert_eq!(track(""), "");
    }

    #[test]
    fn imports_are_judged_by_name() {
        assert_eq!(judge_import("wasi:cli/environment@0.2.6"), None);
        assert!(judge_import("wasi:cli/environment@0.3.0").is_some());
        for granted in ["wasi:sockets/tcp@0.2.0", "wasi:http/outgoing-handler@0.2.0"] {
            assert_eq!(judge_import(granted), None);
            assert!(is_network(granted));
        }
        assert!(judge_import("wasi:sockets/tcp@0.3.0").is_some());
        assert!(judge_import("wasi:http/incoming-handler@0.2.0").unwrap().contains("network"));
        assert!(judge_import("wasi:sockets/raw@0.2.0").unwrap().contains("network"));
        assert!(!is_network("wasi:cli/environment@0.2.6"));
        assert!(judge_import("evil:corp/backdoor@1.0.0").is_some());
        assert!(judge_import("wasi:cli/environment-x@0.2.0").is_some());
        assert!(judge_import("run").is_some());
        assert_eq!(judge_import("lockgate:connector/output@0.1.9"), None);
        assert!(judge_import("lockgate:connector/output@0.2.0").is_some());
    }
}
