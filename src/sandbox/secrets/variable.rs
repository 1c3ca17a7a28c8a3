//! The value of a granted environment variable.

use std::fmt;
use std::sync::{Arc, OnceLock};

use secrecy::{ExposeSecret, SecretString};

/// A value that is not shown, and whose references are filled in once, late, for all copies of it.
#[derive(Clone)]
pub struct Variable {
    written: SecretString,
    filled: Arc<OnceLock<SecretString>>,
}

impl Variable {
    /// As the operator wrote it.
    #[must_use]
    pub fn new(written: &str) -> Self {
        Self { written: written.into(), filled: Arc::default() }
    }

    /// As the operator wrote it: with references, where there are some.
    #[must_use]
    pub fn written(&self) -> &str {
        self.written.expose_secret()
    }

    /// The value with its references filled in. Only the first call counts.
    pub fn fill(&self, value: SecretString) {
        let _ = self.filled.set(value);
    }

    /// What a connector is given.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.filled.get().map_or_else(|| self.written(), |value| value.expose_secret())
    }
}

impl fmt::Debug for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl PartialEq for Variable {
    fn eq(&self, other: &Self) -> bool {
        self.written() == other.written()
    }
}

impl Eq for Variable {}
