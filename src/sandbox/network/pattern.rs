//! `HOST:PORT` as an operator grants it.

use crate::sandbox::PolicyError;

/// One grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkPattern {
    text: String,
}

impl NetworkPattern {
    /// Reads `HOST:PORT`, where HOST is a name, `*.suffix`, an address, a range of addresses, or `*`
    /// where any network is allowed.
    ///
    /// # Errors
    /// [`PolicyError::Network`].
    pub fn parse(text: &str, allow_any: bool) -> Result<Self, PolicyError> {
        let refused = |why| Err(PolicyError::Network { grant: text.to_owned(), why });
        match text.rsplit_once(':') {
            Some(("*", _)) if !allow_any => {
                refused("* opens every host: that needs allow-any-network")
            }
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok_and(|p| p > 0) => {
                Ok(Self { text: text.to_owned() })
            }
            _ => refused("it is not HOST:PORT"),
        }
    }

    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}
