//! TLS for `wasi:http`: who is trusted. The guest has no say in it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::component::ComponentError;

/// The authorities of one run: the platform's, and the operator's own.
#[derive(Debug, Default)]
pub(super) struct Tls {
    own: Vec<CertificateDer<'static>>,
    client: OnceLock<Result<Arc<ClientConfig>, String>>,
}

impl Tls {
    /// Reads the operator's authorities. The platform's are read when they are needed first.
    pub(super) fn read(files: &[PathBuf]) -> Result<Self, ComponentError> {
        let mut own = Vec::new();
        for path in files {
            own.extend(
                certificates(path)
                    .map_err(|reason| ComponentError::TlsRoot { path: path.clone(), reason })?,
            );
        }
        Ok(Self { own, client: OnceLock::new() })
    }

    /// A client that trusts them. Reads files the first time.
    pub(super) fn client(&self) -> Result<Arc<ClientConfig>, String> {
        self.client.get_or_init(|| self.make()).clone()
    }

    fn make(&self) -> Result<Arc<ClientConfig>, String> {
        let mut roots = RootCertStore::empty();
        // A platform without any is an error only to who has no authorities of their own.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        roots.add_parsable_certificates(self.own.iter().cloned());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let all = CertificateDer::pem_file_iter(path).map_err(|e| e.to_string())?;
    let all = all.collect::<Result<Vec<_>, _>>().map_err(|e| e.to_string())?;
    if all.is_empty() {
        return Err("it has no certificate".to_owned());
    }
    let mut store = RootCertStore::empty();
    for certificate in &all {
        store.add(certificate.clone()).map_err(|e| e.to_string())?;
    }
    Ok(all)
}
