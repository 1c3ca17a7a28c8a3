//! The cryptography of TLS in pure Rust: rustls with the algorithms of RustCrypto.
//!
//! `ring` needs a C compiler for WebAssembly, which a machine does not have by itself, and the
//! provider that RustCrypto publishes is an alpha over versions of two years ago, with a verifier of
//! certificates that is no longer maintained. This is what joins rustls to the current ones, and no
//! algorithm of its own: TLS 1.3, P-256 and P-384 (what PostgreSQL offers unless it is told
//! otherwise), ECDSA and RSA signatures, ChaCha20-Poly1305 and AES-128-GCM. AES-256-GCM is left out
//! because servers would choose it: without the processor's instructions for AES, ChaCha20 is several
//! times as fast, and it is what comes first for them of these two. `rsa` only verifies here; what is
//! known of its timing (RUSTSEC-2023-0071) concerns private keys, and there are none.

mod cipher;
mod exchange;
mod hash;
mod signature;

use std::sync::Arc;

use rustls::crypto::tls13::HkdfUsingHmac;
use rustls::crypto::{
    CipherSuiteCommon, CryptoProvider, GetRandomFailed, KeyProvider, SecureRandom,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::SigningKey;
use rustls::{CipherSuite, Error, SupportedCipherSuite, Tls13CipherSuite};

/// Records that one key may encrypt: 2^23 of 16 KiB keep AES-GCM safe (RFC 8446, 5.5).
const AES_RECORDS: u64 = 1 << 23;

static CHACHA20_POLY1305: Tls13CipherSuite = Tls13CipherSuite {
    common: CipherSuiteCommon {
        suite: CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
        hash_provider: &hash::SHA256,
        confidentiality_limit: u64::MAX,
    },
    hkdf_provider: &HkdfUsingHmac(&hash::SHA256),
    aead_alg: &cipher::CHACHA20_POLY1305,
    quic: None,
};

static AES_128_GCM: Tls13CipherSuite = Tls13CipherSuite {
    common: CipherSuiteCommon {
        suite: CipherSuite::TLS13_AES_128_GCM_SHA256,
        hash_provider: &hash::SHA256,
        confidentiality_limit: AES_RECORDS,
    },
    hkdf_provider: &HkdfUsingHmac(&hash::SHA256),
    aead_alg: &cipher::AES_128_GCM,
    quic: None,
};

#[derive(Debug)]
struct System;

/// What rustls is built from.
pub(super) fn provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: vec![
            SupportedCipherSuite::Tls13(&CHACHA20_POLY1305),
            SupportedCipherSuite::Tls13(&AES_128_GCM),
        ],
        kx_groups: vec![&exchange::P256, &exchange::P384],
        signature_verification_algorithms: signature::ALGORITHMS,
        secure_random: &System,
        key_provider: &System,
    }
}

impl SecureRandom for System {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), GetRandomFailed> {
        getrandom::fill(bytes).map_err(|_| GetRandomFailed)
    }
}

impl KeyProvider for System {
    fn load_private_key(&self, _: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, Error> {
        Err(Error::General("certificates of clients are not supported".to_owned()))
    }
}
