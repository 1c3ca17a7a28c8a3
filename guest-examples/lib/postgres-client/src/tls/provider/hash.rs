//! SHA-2, and HMAC over it.

use std::marker::PhantomData;

use hmac::{KeyInit as _, Mac as _, SimpleHmac};
use rustls::crypto::hash::{Context, Hash, HashAlgorithm, Output};
use rustls::crypto::hmac::{Hmac, Key, Tag};
use sha2::digest::common::BlockSizeUser;
use sha2::{Digest, Sha256};

pub(super) static SHA256: Sha2<Sha256> = Sha2(HashAlgorithm::SHA256, PhantomData);

/// A hash function, as rustls calls one.
pub(super) struct Sha2<D>(HashAlgorithm, PhantomData<fn() -> D>);

struct Running<D>(D);

impl<D: Digest + Clone + Send + Sync + 'static> Hash for Sha2<D> {
    fn start(&self) -> Box<dyn Context> {
        Box::new(Running(D::new()))
    }

    fn hash(&self, data: &[u8]) -> Output {
        Output::new(&D::digest(data))
    }

    fn output_len(&self) -> usize {
        <D as Digest>::output_size()
    }

    fn algorithm(&self) -> HashAlgorithm {
        self.0
    }
}

impl<D: Digest + Clone + Send + Sync + 'static> Context for Running<D> {
    fn fork_finish(&self) -> Output {
        Output::new(&self.0.clone().finalize())
    }

    fn fork(&self) -> Box<dyn Context> {
        Box::new(Self(self.0.clone()))
    }

    fn finish(self: Box<Self>) -> Output {
        Output::new(&self.0.finalize())
    }

    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }
}

/// A key; none when it was refused, which HMAC does with none.
struct HmacKey<D: Digest + BlockSizeUser>(Option<SimpleHmac<D>>);

impl<D: Digest + BlockSizeUser + Clone + Send + Sync + 'static> Hmac for Sha2<D> {
    fn with_key(&self, key: &[u8]) -> Box<dyn Key> {
        Box::new(HmacKey::<D>(SimpleHmac::new_from_slice(key).ok()))
    }

    fn hash_output_len(&self) -> usize {
        <D as Digest>::output_size()
    }
}

impl<D: Digest + BlockSizeUser + Clone + Send + Sync + 'static> Key for HmacKey<D> {
    fn sign_concat(&self, first: &[u8], middle: &[&[u8]], last: &[u8]) -> Tag {
        let Some(mut mac) = self.0.clone() else { return Tag::new(&[]) };
        mac.update(first);
        for part in middle {
            mac.update(part);
        }
        mac.update(last);
        Tag::new(&mac.finalize().into_bytes())
    }

    fn tag_len(&self) -> usize {
        <D as Digest>::output_size()
    }
}
