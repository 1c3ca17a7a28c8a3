//! Elliptic curve Diffie-Hellman.

use getrandom::SysRng;
use p256::elliptic_curve::Generate as _;
use p256::elliptic_curve::sec1::ToSec1Point as _;
use rustls::crypto::{ActiveKeyExchange, GetRandomFailed, SharedSecret, SupportedKxGroup};
use rustls::ffdhe_groups::FfdheGroup;
use rustls::{Error, NamedGroup, PeerMisbehaved};

/// How an uncompressed point begins; TLS 1.3 has no other.
const UNCOMPRESSED: u8 = 4;

macro_rules! curve {
    ($name:ident, $group:ident, $curve:ident, $named:expr) => {
        pub(super) static $name: $group = $group;

        #[derive(Debug)]
        pub(super) struct $group;

        impl SupportedKxGroup for $group {
            fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
                struct Exchange {
                    secret: $curve::ecdh::EphemeralSecret,
                    public: Box<[u8]>,
                }

                impl ActiveKeyExchange for Exchange {
                    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
                        let wrong = || Error::from(PeerMisbehaved::InvalidKeyShare);
                        if peer.first() != Some(&UNCOMPRESSED) {
                            return Err(wrong());
                        }
                        // A point that is not on the curve is none.
                        let peer = $curve::PublicKey::from_sec1_bytes(peer).map_err(|_| wrong())?;
                        let shared = self.secret.diffie_hellman(&peer);
                        Ok(SharedSecret::from(shared.raw_secret_bytes().as_slice()))
                    }

                    fn pub_key(&self) -> &[u8] {
                        &self.public
                    }

                    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
                        None
                    }

                    fn group(&self) -> NamedGroup {
                        $named
                    }
                }

                let secret = $curve::ecdh::EphemeralSecret::try_generate_from_rng(&mut SysRng)
                    .map_err(|_| GetRandomFailed)?;
                let public = secret.public_key().to_sec1_point(false).as_bytes().into();
                Ok(Box::new(Exchange { secret, public }))
            }

            fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
                None
            }

            fn name(&self) -> NamedGroup {
                $named
            }
        }
    };
}

curve!(P256, GroupP256, p256, NamedGroup::secp256r1);
curve!(P384, GroupP384, p384, NamedGroup::secp384r1);
