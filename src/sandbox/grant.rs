//! A grant as an operator writes it: a flag, or a line of `lockgate.toml`.
//!
//! The attack: a connector's words in a suggestion that an operator copies become a second grant, or a
//! command of the shell.

use std::fmt::Write as _;

use serde::Serialize;

/// One grant as an operator would write it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Grant {
    /// The option's name, without dashes and prefix: `allow-net`.
    pub option: &'static str,
    /// Its value: `db.example:5432`.
    pub value: String,
}

impl Grant {
    /// A grant.
    #[must_use]
    pub fn new(option: &'static str, value: impl Into<String>) -> Self {
        Self { option, value: value.into() }
    }

    /// As a flag; `prefix` is empty, `source-` or `destination-`. Quoted for a shell where it has
    /// to be.
    #[must_use]
    pub fn flag(&self, prefix: &str) -> String {
        format!("--{prefix}{} {}", self.option, shell(&self.value))
    }

    /// As a line of `lockgate.toml`, in the table of its connector.
    #[must_use]
    pub fn line(&self) -> String {
        match (self.option, self.value.split_once('=')) {
            ("limit", Some((name, value))) => format!("limits.{name} = {}", toml(value)),
            ("max-memory" | "timeout" | "sandbox", _) => {
                format!("{} = {}", self.option, toml(&self.value))
            }
            _ => format!("{} = [{}]", self.option, toml(&self.value)),
        }
    }
}

/// A text as a string of TOML.
#[must_use]
pub fn toml(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            // Writing to a string cannot fail.
            c if c.is_control() => drop(write!(out, "\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A text as one word of a shell: a connector's words must not become commands.
#[must_use]
pub fn shell(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,+%[]".contains(c);
    if !text.is_empty() && !text.contains('[') && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn grants_as_they_are_written() {
        let grant = Grant::new("allow-net", "db.example:5432");
        assert_eq!(grant.flag("source-"), "--source-allow-net db.example:5432");
        assert_eq!(grant.line(), "allow-net = [\"db.example:5432\"]");
        let evil = Grant::new("env", "$(rm -rf '/')\"=1");
        assert_eq!(evil.flag(""), "--env '$(rm -rf '\\''/'\\'')\"=1'");
        assert_eq!(evil.line(), "env = [\"$(rm -rf '/')\\\"=1\"]");
        let limit = Grant::new("limit", "log-bytes=32MiB");
        assert_eq!(limit.line(), "limits.log-bytes = \"32MiB\"");
    }

    proptest! {
        #[test]
        fn any_text_stays_one_value(text in ".{0,40}") {
            let line = format!("x = {}", toml(&text));
            let parsed: toml::Table = toml::from_str(&line).unwrap();
            prop_assert_eq!(parsed["x"].as_str(), Some(text.as_str()));
        }
    }
}
