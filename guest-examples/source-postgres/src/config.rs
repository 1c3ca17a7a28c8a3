//! The configuration.

use std::fmt;

use lockgate_sdk::Failure;
use postgres_client::{Server, Side, SslMode};
use schemars::JsonSchema;
use serde::Deserialize;

/// Schemas that can be listed: each is a part of a query.
const SCHEMAS: usize = 1000;

/// Tables that can be listed: each is a part of a query.
const TABLES: usize = 10_000;

/// Where changes are read from.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Replication {
    /// The logical replication slot, of the plugin `pgoutput`. It belongs to one connection alone.
    #[schemars(title = "Replication slot", length(min = 1), example = &"lockgate")]
    pub(crate) slot: String,
    /// The publication that the tables are in.
    #[schemars(title = "Publication", length(min = 1), example = &"lockgate")]
    pub(crate) publication: String,
}

/// The server, and what of it is read.
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
    /// The role that reads. It needs `USAGE` on the schemas and `SELECT` on the tables.
    #[schemars(title = "User", length(min = 1))]
    pub(crate) username: String,
    /// The role's password.
    #[serde(default)]
    #[schemars(title = "Password", extend("airbyte_secret" = true))]
    pub(crate) password: String,
    /// The schemas whose tables are streams.
    #[serde(default = "default_schemas")]
    #[schemars(title = "Schemas", length(min = 1))]
    pub(crate) schemas: Vec<String>,
    /// The tables that are streams, each as `table` or `schema.table`; without it, all that the role
    /// may read. A partition is a stream only where it is named here.
    #[serde(default)]
    #[schemars(title = "Tables")]
    pub(crate) tables: Option<Vec<String>>,
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
    /// Reads changes, deleted rows among them, from the server's log (change data capture) instead of
    /// rows by a cursor.
    #[serde(default)]
    #[schemars(title = "Logical replication")]
    pub(crate) replication: Option<Replication>,
    /// The most rows that are asked for at once; fewer where they are long. An incremental read has a
    /// checkpoint after about so many.
    #[serde(default = "default_fetch_size")]
    #[schemars(title = "Fetch size", range(min = 1, max = 1_000_000))]
    pub(crate) fetch_size: u32,
    /// The pages of a table (of 8 KiB) that one query of a full refresh reads; a checkpoint follows
    /// each.
    #[serde(default = "default_chunk_pages")]
    #[schemars(title = "Pages per checkpoint", range(min = 1, max = 1_048_576))]
    pub(crate) chunk_pages: u32,
}

fn default_port() -> u16 {
    5432
}

fn default_schemas() -> Vec<String> {
    vec!["public".to_owned()]
}

fn default_fetch_size() -> u32 {
    50_000
}

/// 32 MiB: a query costs nothing beside it, and no more is read again after a failure.
fn default_chunk_pages() -> u32 {
    4096
}

impl Config {
    /// The server, and as whom.
    pub(crate) fn server(&self) -> Server<'_> {
        Server {
            side: Side::Source,
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

    /// Refuses what cannot work before anything is connected to.
    pub(crate) fn validate(&self) -> Result<(), Failure> {
        let names = |member: &str, names: &[String], most: usize| {
            if names.is_empty() || names.len() > most {
                return Err(Failure::config(format!(
                    "`{member}` has {} members, and must have 1 to {most}",
                    names.len()
                )));
            }
            if names.iter().any(|name| name.is_empty() || name.contains('\0')) {
                return Err(Failure::config(format!(
                    "`{member}` has a name that no table or schema has: an empty one, or one with a NUL"
                )));
            }
            Ok(())
        };
        names("schemas", &self.schemas, SCHEMAS)?;
        if let Some(tables) = &self.tables {
            names("tables", tables, TABLES)?;
        }
        if let Some(Replication { slot, publication }) = &self.replication {
            for (member, name) in [("slot", slot), ("publication", publication)] {
                if name.is_empty() || name.contains('\0') {
                    return Err(Failure::config(format!(
                        "`replication.{member}` is a name that nothing has: an empty one, or one with a \
                         NUL"
                    )));
                }
            }
        }
        for (member, value, most) in
            [("fetch_size", self.fetch_size, 1_000_000), ("chunk_pages", self.chunk_pages, 1 << 20)]
        {
            if !(1..=most).contains(&value) {
                return Err(Failure::config(format!("`{member}` must be from 1 to {most}")));
            }
        }
        Ok(())
    }
}

/// Without the password.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("server", &self.server())
            .field("schemas", &self.schemas)
            .field("tables", &self.tables)
            .field("replication", &self.replication)
            .finish_non_exhaustive()
    }
}
