//! `postgres://user:password@host:port/database?sslmode=…`, and what of it may be shown.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use postgres::Config;
use postgres::config::{SslMode, TargetSessionAttrs};
use url::Url;

/// How long a server may take until a connection stands.
const CONNECT_TIME: Duration = Duration::from_secs(10);
/// What was sent and is not acknowledged by the other machine for so long is lost.
const SILENT: Duration = Duration::from_secs(30);
/// How soon a quiet connection is asked whether it is still there.
const QUIET: Duration = Duration::from_secs(10);
/// The options that a URL may have.
const OPTIONS: &str = "host, sslmode, sslrootcert, schema, application_name";

/// Why a URL names no server. Never holds a part of the URL that may be secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PostgresUrlError(String);

/// A server, a database in it and a schema in that.
#[derive(Clone)]
pub struct PostgresUrl {
    pub(super) config: Config,
    /// Whether the server must show a certificate.
    pub(super) tls: bool,
    /// A file of authorities, instead of the platform's.
    pub(super) roots: Option<PathBuf>,
    schema: Option<String>,
    shown: String,
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresUrl({})", self.shown)
    }
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

fn decoded(text: &str) -> Result<String, PostgresUrlError> {
    let decoded = percent_decode_str(text).decode_utf8();
    let no_text = || PostgresUrlError("a part of the URL is no text in UTF-8".to_owned());
    let decoded = decoded.map_err(|_| no_text())?;
    if decoded.contains('\0') {
        return Err(PostgresUrlError("a part of the URL holds a NUL".to_owned()));
    }
    Ok(decoded.into_owned())
}

/// Whether a host is this machine: a socket's folder, or a name or address of the loopback.
fn is_here(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.starts_with('/')
        || host == "localhost"
        || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl PostgresUrl {
    /// Reads a URL: `postgres://user:password@host:port/database`, and as its options `sslmode`
    /// (`disable`, `require` or `verify-full`), `sslrootcert`, `schema`, `application_name`, and
    /// `host` for a folder with a socket.
    ///
    /// Without `sslmode` a server elsewhere must show a certificate that is valid for its name, and one
    /// on this machine needs none.
    ///
    /// # Errors
    /// [`PostgresUrlError`].
    pub fn parse(text: &str) -> Result<Self, PostgresUrlError> {
        let wrong = |what: &str| PostgresUrlError(what.to_owned());
        // What the parser says may quote the URL.
        let url = Url::parse(text).map_err(|_| wrong("it is no URL"))?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err(wrong("it does not begin with postgres://"));
        }
        let mut host = decoded(url.host_str().unwrap_or_default())?;
        let (mut mode, mut roots, mut schema) = (None, None, None);
        let mut application = "lockgate".to_owned();
        for (name, value) in url.query_pairs() {
            let value = decoded(&value)?;
            match name.as_ref() {
                "host" => host = value,
                "sslmode" => mode = Some(value),
                "sslrootcert" => roots = Some(PathBuf::from(value)),
                "schema" if value.is_empty() => return Err(wrong("the schema has no name")),
                "schema" => schema = Some(value),
                "application_name" => application = value,
                other => {
                    let other: String = other.chars().take(40).collect();
                    return Err(PostgresUrlError(format!(
                        "the option {other:?} is not known; there are {OPTIONS}"
                    )));
                }
            }
        }
        if host.is_empty() {
            return Err(wrong("it names no host; for a socket add ?host=/var/run/postgresql"));
        }
        if url.username().is_empty() {
            return Err(wrong("it names no user"));
        }
        let user = decoded(url.username())?;
        let database = decoded(url.path().trim_start_matches('/'))?;
        if database.is_empty() {
            return Err(wrong("it names no database"));
        }
        let tls = match mode.as_deref() {
            None => !is_here(&host),
            Some("disable") => false,
            Some("require" | "verify-full") => true,
            Some("allow" | "prefer" | "verify-ca") => {
                return Err(wrong(
                    "sslmode allow, prefer and verify-ca believe whoever answers; there are disable, require and verify-full, which are the same here",
                ));
            }
            Some(_) => {
                return Err(wrong("sslmode is none of disable, require and verify-full"));
            }
        };
        let mut config = Config::new();
        if host.starts_with('/') {
            config.host_path(&host);
        } else {
            config.host(host.trim_start_matches('[').trim_end_matches(']'));
            config.tcp_user_timeout(SILENT).keepalives(true).keepalives_idle(QUIET);
            config.keepalives_interval(QUIET / 2).keepalives_retries(3);
        }
        config.port(url.port().unwrap_or(5432)).user(&user).dbname(&database);
        if let Some(password) = url.password() {
            config.password(decoded(password)?);
        }
        config.application_name(&application).connect_timeout(CONNECT_TIME);
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        config.ssl_mode(if tls { SslMode::Require } else { SslMode::Disable });
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let mut shown = format!("postgres://{user}@{host}{port}/{database}");
        if let Some(schema) = &schema {
            shown.push_str(&format!("?schema={schema}"));
        }
        let shown = crate::sandbox::printable(&shown).into_owned();
        Ok(Self { config, tls, roots, schema, shown })
    }

    /// The URL without its password and options: `postgres://user@host/database`.
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// The schema that it names.
    #[must_use]
    pub fn schema(&self) -> Option<&str> {
        self.schema.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        let text = "postgres://me:hunter2%40@db.example:6543/states?schema=ours";
        let url = PostgresUrl::parse(text).unwrap();
        assert_eq!(url.shown(), "postgres://me@db.example:6543/states?schema=ours");
        assert!(!format!("{url:?} {url}").contains("hunter2"));
        assert_eq!(url.config.get_password(), Some(&b"hunter2@"[..]));
        for wrong in [
            "postgres://me:hunter2@/states",
            "postgres://me:hunter2@db/",
            "postgres://me:hunter2@db/x?sslmode=prefer",
            "postgres://me:hunter2@db/x?hunter=2",
            "postgres://me:hunter2@db:x/x",
            "mysql://me:hunter2@db/x",
            "postgres://:hunter2@db/x",
        ] {
            let error = PostgresUrl::parse(wrong).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn only_this_machine_is_reached_without_tls() {
        let tls = |text: &str| PostgresUrl::parse(text).unwrap().tls;
        assert!(tls("postgres://me@db.example/x"));
        assert!(tls("postgresql://me@10.0.0.1/x"));
        assert!(tls("postgres://me@localhost.example/x"));
        assert!(!tls("postgres://me@db.example/x?sslmode=disable"));
        for here in ["localhost", "127.0.0.1", "[::1]", "%2Frun%2Fpostgresql"] {
            assert!(!tls(&format!("postgres://me@{here}/x")), "{here}");
            assert!(tls(&format!("postgres://me@{here}/x?sslmode=require")), "{here}");
        }
    }
}
