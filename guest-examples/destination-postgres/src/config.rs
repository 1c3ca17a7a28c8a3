//! The configuration.

use std::fmt;

use postgres_client::{Server, Side, SslMode};
use schemars::JsonSchema;
use serde::Deserialize;

/// The server, and where in it the tables are.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "PostgreSQL")]
pub struct Config {
    /// The server's name or address.
    #[schemars(title = "Host", length(min = 1), example = "db.example.com")]
    pub(crate) host: String,
    /// The server's port.
    #[serde(default = "default_port")]
    #[schemars(title = "Port", range(min = 1, max = 65535))]
    pub(crate) port: u16,
    /// The database.
    #[schemars(title = "Database", length(min = 1))]
    pub(crate) database: String,
    /// The role that writes. It needs `CREATE` on the database, or on the schemas it writes to.
    #[schemars(title = "User", length(min = 1))]
    pub(crate) username: String,
    /// The role's password.
    #[serde(default)]
    #[schemars(title = "Password", extend("airbyte_secret" = true))]
    pub(crate) password: String,
    /// The schema of streams that have no namespace.
    #[serde(default = "default_schema")]
    #[schemars(title = "Default schema", length(min = 1))]
    pub(crate) schema: String,
    /// Whether the connection is encrypted, and how well the server is known.
    #[serde(default)]
    #[schemars(title = "TLS")]
    pub(crate) sslmode: SslMode,
    /// The certificates, in PEM, of the authorities that may vouch for the server, or that of the
    /// server itself. The sandbox has none of its own.
    #[serde(default)]
    #[schemars(title = "Root certificate")]
    pub(crate) root_certificate: Option<String>,
    /// Answer a server that asks for the password in clear or as MD5 over a connection that is not
    /// encrypted. Whoever listens has the password then.
    #[serde(default)]
    #[schemars(title = "Allow unsafe passwords")]
    pub(crate) allow_unsafe_password: bool,
}

fn default_port() -> u16 {
    5432
}

fn default_schema() -> String {
    "public".to_owned()
}

impl Config {
    /// The server, and as whom.
    pub(crate) fn server(&self) -> Server<'_> {
        Server {
            side: Side::Destination,
            host: &self.host,
            port: self.port,
            database: &self.database,
            username: &self.username,
            password: &self.password,
            sslmode: self.sslmode,
            root_certificate: self.root_certificate.as_deref(),
            allow_unsafe_password: self.allow_unsafe_password,
        }
    }
}

/// Without the password.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("database", &self.database)
            .field("username", &self.username)
            .field("schema", &self.schema)
            .field("sslmode", &self.sslmode)
            .finish_non_exhaustive()
    }
}
