//! Floor 1: how a PostgreSQL server is reached: by its URL, over TLS unless it is on this machine, with
//! deadlines, and again when a connection was lost.
//!
//! The attack: a password that is printed with the URL it is in, in an error, a report or a log; and
//! whoever is between us and the server, who offers no TLS or a certificate of his own. So nothing but
//! [`PostgresUrl::shown`] is ever printed, and a server elsewhere must show a certificate that is
//! valid for its name, unless the operator says `sslmode=disable`.

mod server;
mod tls;
mod url;

pub(crate) use server::{Server, ServerError, connect, quoted};
pub use url::{PostgresUrl, PostgresUrlError};
