//! Connectors that tell their secrets, in every form, by every way that ends with the operator.

use std::fmt::Write as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate::ConnectorOptions;
use serde_json::json;

use super::prelude::*;
use crate::harness::{CONFIG_FILE, Outcome};

const SECRET: &str = "k3y of/the \"vault\" ü9";

const TELLS: crate::harness::Attacker = Built("misbehaving-source");

fn telling(folder: &Path, by: &str, during: &str) -> ConnectorOptions {
    std::fs::write(folder.join("key"), format!("{SECRET}\n")).expect("a file");
    let reference = format!("${{secret:file:{}}}", folder.join("key").display());
    let config = json!({
        "mode": "leak", "by": by, "during": during, "members": ["/told", "/api_key"],
        "told": reference, "api_key": format!("x{SECRET}x"),
    });
    std::fs::write(folder.join(CONFIG_FILE), config.to_string()).expect("a file");
    ConnectorOptions::default()
}

fn logged(folder: &Path) -> ConnectorOptions {
    telling(folder, "log", "check")
}

fn printed(folder: &Path) -> ConnectorOptions {
    telling(folder, "print", "check")
}

fn failed(folder: &Path) -> ConnectorOptions {
    telling(folder, "failure", "check")
}

fn trapped(folder: &Path) -> ConnectorOptions {
    telling(folder, "trap", "read")
}

fn named(folder: &Path) -> ConnectorOptions {
    telling(folder, "name", "discover")
}

/// Forms as this test makes them, and not as the host does.
fn forms() -> Vec<String> {
    let bytes = |prefix: &str| {
        SECRET.bytes().fold(String::new(), |mut all, byte| {
            write!(all, "{prefix}{byte:02x}").expect("a text takes it");
            all
        })
    };
    let quoted = json!(SECRET).to_string();
    let mut forms = vec![SECRET.to_owned(), quoted[1..quoted.len() - 1].to_owned()];
    forms.extend([bytes(""), bytes("%"), bytes("\\x"), bytes("").to_uppercase()]);
    for before in ["", "a", "ab"] {
        // The digits in the middle depend on the secret alone.
        let whole = STANDARD.encode(format!("{before}{SECRET}"));
        forms.push(whole[4..whole.len() - 4].to_owned());
    }
    forms
}

fn nothing_was_told(outcome: &Outcome, _: &Path) {
    let mut told = outcome.heard.clone();
    told.push(outcome.message.clone());
    for form in forms() {
        assert!(!told.iter().any(|text| text.contains(&form)), "{form} was told: {outcome:#?}");
    }
}

/// It was said that something is hidden: the attack was made.
fn hidden(outcome: &Outcome, folder: &Path) {
    let mut told = outcome.heard.iter().chain([&outcome.message]);
    assert!(told.any(|text| text.contains("***")), "{outcome:#?}");
    nothing_was_told(outcome, folder);
}

pub(super) const ATTACKS: &[Attack] = &[
    Attack {
        name: "secret-logged",
        items: &[41],
        what: "logs its secrets in 60 forms",
        attacker: TELLS,
        operation: Check,
        options: logged,
        code: "-",
        words: "",
        then: hidden,
    },
    Attack {
        name: "secret-printed",
        items: &[41],
        what: "prints its secrets in 60 forms",
        attacker: TELLS,
        operation: Check,
        options: printed,
        code: "-",
        words: "",
        then: hidden,
    },
    Attack {
        name: "secret-in-failure",
        items: &[41],
        what: "fails with its secrets",
        attacker: TELLS,
        operation: Check,
        options: failed,
        code: "CONNECTOR_FAILED",
        words: "***",
        then: hidden,
    },
    Attack {
        name: "secret-in-trap",
        items: &[41],
        what: "traps with its secrets",
        attacker: TELLS,
        operation: Read,
        options: trapped,
        code: "CONNECTOR_TRAP",
        words: "",
        then: hidden,
    },
    Attack {
        name: "secret-in-name",
        items: &[41],
        what: "a stream whose name is its secret",
        attacker: TELLS,
        operation: Discover,
        options: named,
        code: "SECRET_IN_NAME",
        words: "",
        then: nothing_was_told,
    },
];
