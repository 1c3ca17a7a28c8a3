//! Secrets: where they are, which values are secret, and how they are kept out of everything that
//! is printed or stored.
//!
//! The attack: a connector holds a database password, and whatever it says ends in logs, errors,
//! reports, states and traces that many can read. It may say the password by accident, or encode it
//! so that nobody notices. What is known as a secret is searched for, in all its [forms](Redactor),
//! in everything a connector says besides rows.
//!
//! Who wants to give a secret away to somebody who reads the logs can still do so, one letter a
//! message. What this stops is a password that lies in a file for years.

mod find;
mod forms;
mod json;
mod redactor;
mod reference;
mod variable;

use secrecy::{ExposeSecret, SecretString};

pub use find::{looks_secret, secret_members};
pub use json::{Becomes, Role, map_texts};
pub use redactor::{Redactor, SEALED};
pub use reference::{Piece, SecretKind, SecretReference, escape, pieces, written};
pub use variable::Variable;

/// Characters that a secret must have to be searched for. Shorter ones are parts of ordinary words.
pub const SHORTEST_SECRET: usize = 6;

/// A value that nobody shall read, and a name for it that everybody may.
#[derive(Debug, Clone)]
pub struct Secret {
    /// Where it stands: `config.password`, `env.TOKEN`. Stable when the value changes.
    pub label: String,
    value: SecretString,
}

impl Secret {
    /// The value.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.value.expose_secret()
    }
}

/// The secrets known so far. Its debug form shows no value.
#[derive(Debug, Clone, Default)]
pub struct Secrets(Vec<Secret>);

impl Secrets {
    /// Adds a secret; false where it is known already or too short to be searched for. Each line of
    /// a longer text is a secret of its own as well: they are logged one by one.
    pub fn add(&mut self, label: &str, value: &str) -> bool {
        let mut new = self.add_one(label, value);
        if value.contains('\n') {
            for (number, line) in value.lines().enumerate() {
                new |= self.add_one(&format!("{label}.line{number}"), line.trim_end());
            }
        }
        new
    }

    fn add_one(&mut self, label: &str, value: &str) -> bool {
        if is_short(value) || self.0.iter().any(|s| s.label == label && s.expose() == value) {
            return false;
        }
        // The same label with another value: a token that was replaced. The newest comes first.
        self.0.insert(0, Secret { label: label.to_owned(), value: value.into() });
        true
    }

    /// Adds all that another has.
    pub fn extend(&mut self, other: &Self) -> bool {
        other.0.iter().rev().fold(false, |new, s| self.add_one(&s.label, s.expose()) | new)
    }

    /// Those whose label is none of these, nor a line of one.
    #[must_use]
    pub fn without(&self, labels: &[String]) -> Self {
        let of = |label: &str, known: &String| {
            let rest = label.strip_prefix(known.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(".line"))
        };
        let left = self.0.iter().filter(|s| !labels.iter().any(|known| of(&s.label, known)));
        Self(left.cloned().collect())
    }

    /// All, the newest first.
    #[must_use]
    pub fn all(&self) -> &[Secret] {
        &self.0
    }
}

/// Whether a value is too short to be searched for.
#[must_use]
pub fn is_short(value: &str) -> bool {
    value.trim().chars().count() < SHORTEST_SECRET
}
