//! Signing keys: the four HMACs that turn a secret into the key of one date, region and service,
//! and a bounded cache of the results.
//!
//! The cache is keyed by the whole credential text (`AKID/20150830/us-east-1/ecs/aws4_request`),
//! which a request carries as it stands, so a hit allocates nothing. Only keys under which a
//! signature has verified are kept: somebody who knows an access key id, but not its secret,
//! cannot push others' keys out by naming invented regions.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A derived key, wiped when dropped.
pub(crate) type SigningKey = Zeroizing<[u8; 32]>;

pub(crate) fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// The signing key of `secret` for one date, region and service.
pub(crate) fn derive(secret: &str, date: &str, region: &str, service: &str) -> SigningKey {
    let mut start = Zeroizing::new(Vec::with_capacity(4 + secret.len()));
    start.extend_from_slice(b"AWS4");
    start.extend_from_slice(secret.as_bytes());
    let mut key = Zeroizing::new(hmac(&start, &[date.as_bytes()]));
    for part in [region.as_bytes(), service.as_bytes(), b"aws4_request"] {
        key = Zeroizing::new(hmac(key.as_slice(), &[part]));
    }
    key
}

struct Entry {
    /// The secret that the key came from: where an access key gets a new secret, the old signing
    /// key must not verify for another day.
    secret: Zeroizing<Vec<u8>>,
    key: SigningKey,
}

/// Two generations: when the young one is full it becomes the old one, and what was old goes. A
/// key in use is moved back to the young one, so the keys that survive are those in use.
#[derive(Default)]
struct Generations {
    young: BTreeMap<Box<str>, Entry>,
    old: BTreeMap<Box<str>, Entry>,
}

/// A bounded cache of signing keys, owned by whoever verifies requests.
pub struct SigningKeys {
    half: usize,
    generations: Mutex<Generations>,
}

impl std::fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKeys").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl Default for SigningKeys {
    fn default() -> Self {
        Self::new(4096)
    }
}

impl SigningKeys {
    /// A cache of at most `capacity` keys. A capacity of 0 keeps one generation of one key.
    pub fn new(capacity: usize) -> Self {
        Self { half: (capacity / 2).max(1), generations: Mutex::default() }
    }

    /// How many keys are kept at the moment.
    pub fn len(&self) -> usize {
        let generations = self.lock();
        generations.young.len() + generations.old.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets every key. A secret that was revoked is refused by its owner's look-up, so this
    /// is for wiping memory, not for correctness.
    pub fn clear(&self) {
        *self.lock() = Generations::default();
    }

    pub(crate) fn get(&self, credential: &str, secret: &str) -> Option<SigningKey> {
        let mut generations = self.lock();
        if let Some(entry) = generations.young.get(credential) {
            return entry.key_of(secret);
        }
        let (name, entry) = generations.old.remove_entry(credential)?;
        let key = entry.key_of(secret)?;
        self.keep(&mut generations, name, entry);
        Some(key)
    }

    pub(crate) fn put(&self, credential: &str, secret: &str, key: &SigningKey) {
        let entry = Entry { secret: Zeroizing::new(secret.as_bytes().to_vec()), key: key.clone() };
        self.keep(&mut self.lock(), credential.into(), entry);
    }

    fn keep(&self, generations: &mut Generations, name: Box<str>, entry: Entry) {
        if generations.young.len() >= self.half && !generations.young.contains_key(&name) {
            generations.old = std::mem::take(&mut generations.young);
        }
        generations.young.insert(name, entry);
    }

    fn lock(&self) -> MutexGuard<'_, Generations> {
        // A panic elsewhere leaves at worst one key out: the maps are whole between statements.
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn key_of(&self, secret: &str) -> Option<SigningKey> {
        bool::from(self.secret.ct_eq(secret.as_bytes())).then(|| self.key.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derivation_matches_the_published_example() {
        let key =
            derive("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "20150830", "us-east-1", "iam");
        assert_eq!(
            hex::encode(key.as_slice()),
            "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"
        );
    }

    #[test]
    fn the_cache_is_bounded_and_keeps_what_is_used() {
        let keys = SigningKeys::new(8);
        for n in 0..100 {
            keys.put(&format!("K{n}"), "secret", &derive("secret", "d", "r", "s"));
            keys.put("hot", "secret", &derive("secret", "d", "r", "s"));
            assert!(keys.get("hot", "secret").is_some());
            assert!(keys.len() <= 8, "{}", keys.len());
        }
        assert!(keys.get("K0", "secret").is_none());
    }

    #[test]
    fn a_changed_secret_is_not_served_the_old_key() {
        let keys = SigningKeys::default();
        keys.put("K", "one", &derive("one", "d", "r", "s"));
        assert!(keys.get("K", "one").is_some());
        assert!(keys.get("K", "two").is_none());
        keys.clear();
        assert!(keys.is_empty());
    }
}
