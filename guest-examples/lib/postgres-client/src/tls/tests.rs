//! Handshakes with a server of another make.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use lockgate_sdk::FailureKind;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::*;

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

fn authority(algorithm: &'static rcgen::SignatureAlgorithm) -> Authority {
    let key = KeyPair::generate_for(algorithm).unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    Authority { pem: params.self_signed(&key).unwrap().pem(), issuer: Issuer::new(params, key) }
}

/// A server that answers a connection with what it was sent, and how it is reached.
fn serve(authority: &Authority, provider: CryptoProvider, name: &str) -> std::net::SocketAddr {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority.issuer).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (tcp, _) = listener.accept().unwrap();
        let connection = ServerConnection::new(Arc::new(config)).unwrap();
        let mut stream = StreamOwned::new(connection, tcp);
        let mut bytes = vec![0; TEXT.len()];
        // A client that trusts nobody is gone.
        if stream.read_exact(&mut bytes).is_ok() {
            let _ = stream.write_all(&bytes).and_then(|()| stream.flush());
        }
    });
    address
}

/// More than one record.
static TEXT: [u8; 100_000] = [b'x'; 100_000];

fn connect(
    address: std::net::SocketAddr,
    mode: SslMode,
    roots: Option<&str>,
) -> Result<(), Failure> {
    let client = Client::new(mode, roots, "127.0.0.1")?;
    let mut stream = client.handshake(TcpStream::connect(address).unwrap())?;
    stream.write_all(&TEXT).unwrap();
    stream.flush().unwrap();
    let mut answer = vec![0; TEXT.len()];
    stream.read_exact(&mut answer).unwrap();
    assert!(answer == TEXT);
    Ok(())
}

#[test]
fn every_suite_and_group_is_understood() {
    for suite in [
        ring::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        ring::cipher_suite::TLS13_AES_128_GCM_SHA256,
    ] {
        for group in [ring::kx_group::SECP256R1, ring::kx_group::SECP384R1] {
            for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384] {
                let provider = CryptoProvider {
                    cipher_suites: vec![suite],
                    kx_groups: vec![group],
                    ..ring::default_provider()
                };
                let authority = authority(algorithm);
                let address = serve(&authority, provider, "127.0.0.1");
                connect(address, SslMode::VerifyFull, Some(&authority.pem)).unwrap();
            }
        }
    }
}

#[test]
fn a_server_that_nobody_vouches_for_is_refused() {
    let (good, bad) =
        (authority(&rcgen::PKCS_ECDSA_P256_SHA256), authority(&rcgen::PKCS_ECDSA_P256_SHA256));
    let refused = |roots: &Authority, name: &str, mode| {
        let address = serve(&good, ring::default_provider(), name);
        let failure = connect(address, mode, Some(&roots.pem)).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Config);
        assert!(failure.message.contains("not trusted"), "{}", failure.message);
    };
    for mode in [SslMode::Require, SslMode::VerifyCa, SslMode::VerifyFull] {
        refused(&bad, "127.0.0.1", mode);
    }
    refused(&good, "db.example.com", SslMode::VerifyFull);
    let address = serve(&good, ring::default_provider(), "db.example.com");
    connect(address, SslMode::VerifyCa, Some(&good.pem)).unwrap();
    let address = serve(&good, ring::default_provider(), "db.example.com");
    connect(address, SslMode::Require, None).unwrap();
}

#[test]
fn a_server_with_old_tls_only_is_refused() {
    let authority = authority(&rcgen::PKCS_ECDSA_P256_SHA256);
    let mut provider = ring::default_provider();
    provider.cipher_suites.retain(|suite| suite.tls13().is_none());
    let address = serve(&authority, provider, "127.0.0.1");
    let failure = connect(address, SslMode::Prefer, None).unwrap_err();
    assert!(failure.message.contains("TLS 1.3"), "{}", failure.message);
}
