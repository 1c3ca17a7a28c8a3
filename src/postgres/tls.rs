//! TLS to a server: who is trusted.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;

/// A client that trusts the platform's authorities; with a file of the operator's, those in it only.
pub(super) fn client(own: Option<&Path>) -> Result<MakeRustlsConnect, String> {
    let mut roots = RootCertStore::empty();
    match own {
        Some(path) => {
            let cannot = |reason: String| format!("sslrootcert {}: {reason}", path.display());
            let all = CertificateDer::pem_file_iter(path).map_err(|e| cannot(e.to_string()))?;
            for certificate in all {
                let certificate = certificate.map_err(|e| cannot(e.to_string()))?;
                roots.add(certificate).map_err(|e| cannot(e.to_string()))?;
            }
            if roots.is_empty() {
                return Err(cannot("it has no certificate".to_owned()));
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}
