//! TLS 1.3, as a client that knows the authorities it was given and no others.
//!
//! The attack: somebody in between who has a certificate as well. `verify-full` is what keeps them
//! out; what the weaker modes leave open is what `libpq` leaves open in them. Nothing falls back: a
//! handshake that fails ends the connection.

mod provider;
#[cfg(test)]
mod tests;
mod verify;

use std::io::ErrorKind;
use std::net::TcpStream;
use std::sync::Arc;

use lockgate_sdk::Failure;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::server::SslMode;

/// What the next connection begins with.
pub(crate) struct Client {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Client {
    /// Reads the certificates.
    pub(crate) fn new(mode: SslMode, roots: Option<&str>, host: &str) -> Result<Self, Failure> {
        let provider = Arc::new(provider::provider());
        let verifier =
            verify::Verifier::new(mode, roots, provider.signature_verification_algorithms)?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| Failure::system("TLS cannot be set up").with_detail(error))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        let name = ServerName::try_from(host.to_owned()).map_err(|_| {
            Failure::config(format!("`host` is neither a name nor an address: {host}"))
        })?;
        Ok(Self { config: Arc::new(config), name })
    }

    /// Encrypts a connection.
    pub(crate) fn handshake(
        self,
        mut tcp: TcpStream,
    ) -> Result<StreamOwned<ClientConnection, TcpStream>, Failure> {
        let failed = |error: rustls::Error| {
            Failure::config(format!("the server is not trusted, or has no TLS 1.3: {error}"))
        };
        let mut connection = ClientConnection::new(self.config, self.name).map_err(failed)?;
        while connection.is_handshaking() {
            connection.complete_io(&mut tcp).map_err(|error| match error.kind() {
                // What rustls finds wrong comes as this.
                ErrorKind::InvalidData => Failure::config(format!(
                    "the server is not trusted, or has no TLS 1.3: {error}"
                )),
                _ => Failure::transient("the connection was lost while it was being encrypted")
                    .with_detail(error),
            })?;
        }
        Ok(StreamOwned::new(connection, tcp))
    }
}
