//! A PostgreSQL server that a command names by its URL.

use std::path::Path;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::ExposeSecret;

use crate::config::ConfigError;
use crate::executor::secrets::{SecretSource, SystemSecrets};
use crate::postgres::PostgresUrl;
use crate::sandbox::secrets::{Piece, pieces};

/// How long a secret in a URL may take to be found: a vault over a network needs seconds.
const SECRET_TIME: Duration = Duration::from_secs(30);

/// A server by its URL, with the secrets in it filled in. Relative paths of theirs begin in `folder`.
pub(super) async fn server(text: &str, folder: &Path) -> Result<PostgresUrl, ConfigError> {
    let wrong = |reason: &dyn std::fmt::Display| {
        ConfigError::Usage(format!("the URL of the server: {reason}"))
    };
    let filled = match pieces(text).map_err(|reason| wrong(&reason))? {
        None => text.to_owned(),
        Some(pieces) => {
            let source = SystemSecrets::new(folder, SECRET_TIME);
            // A secret that is all of the URL is one; within a URL it is a part.
            let alone = pieces.len() == 1;
            let mut filled = String::new();
            for piece in pieces {
                match piece {
                    Piece::Text(text) => filled.push_str(&text),
                    Piece::Reference(reference) => {
                        let value = source.resolve(&reference).await;
                        let value =
                            value.map_err(|reason| wrong(&format!("{reference}: {reason}")))?;
                        let value = value.expose_secret();
                        if alone {
                            filled.push_str(value);
                        } else {
                            filled.extend(utf8_percent_encode(value, NON_ALPHANUMERIC));
                        }
                    }
                }
            }
            filled
        }
    };
    PostgresUrl::parse(&filled).map_err(|reason| wrong(&reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn secrets_in_a_url_are_filled_in_and_never_said() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("password"), "p@ss/word:1\n").unwrap();
        std::fs::write(folder.path().join("url"), "postgres://me:hunter2@db/states").unwrap();
        let server = async |text: &str| server(text, folder.path()).await;
        let url = server("postgres://me:${secret:file:password}@db/states").await.unwrap();
        assert_eq!(url.shown(), "postgres://me@db/states");
        let url = server("${secret:file:url}").await.unwrap();
        assert_eq!(url.shown(), "postgres://me@db/states");
        let missing = server("postgres://me:${secret:file:other}@db/states").await.unwrap_err();
        assert!(missing.to_string().contains("file:other"), "{missing}");
        let wrong = server("postgres://me:hunter2@db/states?sslmode=prefer").await.unwrap_err();
        assert!(!wrong.to_string().contains("hunter2"), "{wrong}");
    }
}
