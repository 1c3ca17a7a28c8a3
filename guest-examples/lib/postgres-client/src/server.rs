//! The server, and as whom.

use std::fmt;

use lockgate_sdk::Failure;
use schemars::JsonSchema;
use serde::Deserialize;

/// How a connection is protected, as `libpq` names it.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum SslMode {
    /// Never encrypted.
    Disable,
    /// Encrypted if the server can. Whoever is in between can keep it from it.
    #[default]
    Prefer,
    /// Encrypted; any server will do, unless there is a root certificate.
    Require,
    /// Encrypted; the server has a certificate of the given authorities.
    VerifyCa,
    /// As `verify-ca`, and the certificate is for this name.
    VerifyFull,
}

/// Which end of a sync the connector is: it decides what the operator is told to pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// It reads.
    Source,
    /// It writes.
    Destination,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Source => "source",
            Self::Destination => "destination",
        })
    }
}

/// The server, and as whom, from a connector's configuration.
#[derive(Clone, Copy)]
pub struct Server<'a> {
    /// Who connects.
    pub side: Side,
    /// Its name or address.
    pub host: &'a str,
    /// Its port.
    pub port: u16,
    /// The database.
    pub database: &'a str,
    /// The role.
    pub username: &'a str,
    /// The role's password.
    pub password: &'a str,
    /// Whether the connection is encrypted, and how well the server is known.
    pub sslmode: SslMode,
    /// Certificates, in PEM, of the authorities that may vouch for the server, or its own.
    pub root_certificate: Option<&'a str>,
    /// Answer a server that asks for the password in clear or as MD5 over a connection that is not
    /// encrypted.
    pub allow_unsafe_password: bool,
}

impl Server<'_> {
    /// Refuses what cannot work before anything is connected to.
    ///
    /// # Errors
    /// `config`, naming the member.
    pub fn validate(&self) -> Result<(), Failure> {
        let verifies = matches!(self.sslmode, SslMode::VerifyCa | SslMode::VerifyFull);
        if verifies && self.root_certificate.is_none() {
            return Err(Failure::config(
                "`sslmode` asks for a server that is known, and `root_certificate` does not say who \
                 vouches for it",
            ));
        }
        for (member, text) in [
            ("host", self.host),
            ("database", self.database),
            ("username", self.username),
            ("password", self.password),
        ] {
            if text.contains('\0') {
                return Err(Failure::config(format!("`{member}` has a NUL in it")));
            }
        }
        Ok(())
    }
}

/// Without the password.
impl fmt::Debug for Server<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("side", &self.side)
            .field("host", &self.host)
            .field("port", &self.port)
            .field("database", &self.database)
            .field("username", &self.username)
            .field("sslmode", &self.sslmode)
            .finish_non_exhaustive()
    }
}
