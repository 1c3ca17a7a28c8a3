//! What all connectors of one host were given.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use secrecy::SecretString;

use super::SecretSource;
use crate::sandbox::secrets::{Redactor, SecretReference, Secrets};

/// Keeps secrets for a run, so that a command runs once, and hides those of every connector in what
/// any of them says: a destination may log rows that a source put its password in.
#[derive(Default)]
pub struct Vault {
    values: tokio::sync::Mutex<HashMap<SecretReference, SecretString>>,
    known: Arc<Mutex<(Secrets, Arc<Redactor>)>>,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").finish_non_exhaustive()
    }
}

impl Vault {
    /// Another one that asks anew, and hides what either of them knows.
    pub(crate) fn beside(&self) -> Self {
        Self { values: tokio::sync::Mutex::default(), known: self.known.clone() }
    }

    /// The value of a reference, asked for once.
    pub(super) async fn resolve(
        &self,
        source: &dyn SecretSource,
        reference: &SecretReference,
    ) -> Result<SecretString, String> {
        let mut values = self.values.lock().await;
        if let Some(value) = values.get(reference) {
            return Ok(value.clone());
        }
        let value = source.resolve(reference).await?;
        values.insert(reference.clone(), value.clone());
        Ok(value)
    }

    /// Takes note of secrets.
    pub(super) fn learn(&self, secrets: &Secrets) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.0.extend(secrets) {
            known.1 = Arc::new(Redactor::new(&known.0));
        }
    }

    /// Hides all of them.
    #[must_use]
    pub fn redactor(&self) -> Arc<Redactor> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).1.clone()
    }
}
