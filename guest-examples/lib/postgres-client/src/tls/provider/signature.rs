//! Signatures of certificates and handshakes, verified.

use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use rsa::pkcs1::DecodeRsaPublicKey as _;
use rsa::signature::Verifier as _;
use rsa::{PublicKey, pkcs1v15, pss};
use rustls::SignatureScheme;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{
    AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id,
};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

pub(super) static ALGORITHMS: WebPkiSupportedAlgorithms = WebPkiSupportedAlgorithms {
    all: &[
        &EcdsaP256Sha256,
        &EcdsaP256Sha384,
        &EcdsaP384Sha256,
        &EcdsaP384Sha384,
        &RsaPkcs1Sha256,
        &RsaPkcs1Sha384,
        &RsaPkcs1Sha512,
        &RsaPssSha256,
        &RsaPssSha384,
        &RsaPssSha512,
    ],
    mapping: &[
        (SignatureScheme::ECDSA_NISTP256_SHA256, &[&EcdsaP256Sha256]),
        (SignatureScheme::ECDSA_NISTP384_SHA384, &[&EcdsaP384Sha384]),
        (SignatureScheme::RSA_PSS_SHA256, &[&RsaPssSha256]),
        (SignatureScheme::RSA_PSS_SHA384, &[&RsaPssSha384]),
        (SignatureScheme::RSA_PSS_SHA512, &[&RsaPssSha512]),
        // Of certificates only.
        (SignatureScheme::RSA_PKCS1_SHA256, &[&RsaPkcs1Sha256]),
        (SignatureScheme::RSA_PKCS1_SHA384, &[&RsaPkcs1Sha384]),
        (SignatureScheme::RSA_PKCS1_SHA512, &[&RsaPkcs1Sha512]),
    ],
};

macro_rules! algorithm {
    ($name:ident, $key:expr, $signature:expr, |$public:ident, $message:ident, $given:ident| $verify:expr) => {
        #[derive(Debug)]
        struct $name;

        impl SignatureVerificationAlgorithm for $name {
            fn public_key_alg_id(&self) -> AlgorithmIdentifier {
                $key
            }

            fn signature_alg_id(&self) -> AlgorithmIdentifier {
                $signature
            }

            fn verify_signature(
                &self,
                $public: &[u8],
                $message: &[u8],
                $given: &[u8],
            ) -> Result<(), InvalidSignature> {
                $verify
            }
        }
    };
}

macro_rules! ecdsa {
    ($name:ident, $curve:ident, $hash:ident, $key:expr, $signature:expr) => {
        algorithm!($name, $key, $signature, |public, message, given| {
            let key = $curve::ecdsa::VerifyingKey::from_sec1_bytes(public);
            let given = $curve::ecdsa::DerSignature::try_from(given);
            let (Ok(key), Ok(given)) = (key, given) else { return Err(InvalidSignature) };
            key.verify_prehash(&$hash::digest(message), &given).map_err(|_| InvalidSignature)
        });
    };
}

macro_rules! rsa {
    ($name:ident, $scheme:ident, $hash:ident, $signature:expr) => {
        algorithm!($name, alg_id::RSA_ENCRYPTION, $signature, |public, message, given| {
            let key = PublicKey::from_pkcs1_der(public);
            let given = $scheme::Signature::try_from(given);
            let (Ok(key), Ok(given)) = (key, given) else { return Err(InvalidSignature) };
            $scheme::VerifyingKey::<$hash>::new(key)
                .verify(message, &given)
                .map_err(|_| InvalidSignature)
        });
    };
}

ecdsa!(EcdsaP256Sha256, p256, Sha256, alg_id::ECDSA_P256, alg_id::ECDSA_SHA256);
ecdsa!(EcdsaP256Sha384, p256, Sha384, alg_id::ECDSA_P256, alg_id::ECDSA_SHA384);
ecdsa!(EcdsaP384Sha256, p384, Sha256, alg_id::ECDSA_P384, alg_id::ECDSA_SHA256);
ecdsa!(EcdsaP384Sha384, p384, Sha384, alg_id::ECDSA_P384, alg_id::ECDSA_SHA384);
rsa!(RsaPkcs1Sha256, pkcs1v15, Sha256, alg_id::RSA_PKCS1_SHA256);
rsa!(RsaPkcs1Sha384, pkcs1v15, Sha384, alg_id::RSA_PKCS1_SHA384);
rsa!(RsaPkcs1Sha512, pkcs1v15, Sha512, alg_id::RSA_PKCS1_SHA512);
rsa!(RsaPssSha256, pss, Sha256, alg_id::RSA_PSS_SHA256);
rsa!(RsaPssSha384, pss, Sha384, alg_id::RSA_PSS_SHA384);
rsa!(RsaPssSha512, pss, Sha512, alg_id::RSA_PSS_SHA512);
