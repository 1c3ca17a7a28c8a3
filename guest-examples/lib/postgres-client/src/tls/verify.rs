//! Who the server may be.

use lockgate_sdk::Failure;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use crate::server::SslMode;

/// Judges certificates by the configuration.
#[derive(Debug)]
pub(super) struct Verifier {
    algorithms: WebPkiSupportedAlgorithms,
    /// Certificates that may vouch for the server, or be its own; none when any will do.
    roots: Option<Roots>,
    checks_name: bool,
}

#[derive(Debug)]
struct Roots {
    store: RootCertStore,
    given: Vec<CertificateDer<'static>>,
}

impl Verifier {
    pub(super) fn new(
        mode: SslMode,
        pem: Option<&str>,
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Result<Self, Failure> {
        // As libpq has it: who gives a root wants it to count, but `prefer` takes what it gets.
        let roots = match (mode, pem) {
            (SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull, Some(pem)) => {
                Some(Roots::read(pem)?)
            }
            _ => None,
        };
        Ok(Self { algorithms, roots, checks_name: mode == SslMode::VerifyFull })
    }
}

impl Roots {
    fn read(pem: &str) -> Result<Self, Failure> {
        let wrong =
            || Failure::config("`root_certificate` has no certificate in PEM that can be read");
        let given: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(pem.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|_| wrong())?;
        let mut store = RootCertStore::empty();
        let (added, _) = store.add_parsable_certificates(given.iter().cloned());
        if added == 0 { Err(wrong()) } else { Ok(Self { store, given }) }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(roots) = &self.roots else { return Ok(ServerCertVerified::assertion()) };
        let certificate = ParsedCertificate::try_from(end_entity)?;
        // A server's own certificate, given by the operator, needs nobody to vouch for it.
        if !roots.given.iter().any(|given| given == end_entity) {
            verify_server_cert_signed_by_trust_anchor(
                &certificate,
                &roots.store,
                intermediates,
                now,
                self.algorithms.all,
            )?;
        }
        if self.checks_name {
            verify_server_name(&certificate, server_name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken".to_owned()))
    }

    /// In every mode: whoever shows a certificate has its key.
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
