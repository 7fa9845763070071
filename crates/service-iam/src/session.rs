//! Temporary credentials as sealed tokens: a session is not remembered, it is carried.
//!
//! A token is `version ‖ nonce ‖ ChaCha20-Poly1305(deflate(JSON of the session))` in base 64, bound
//! to the access key id that it was given out with. What can change after a token is made (the
//! user, the role, their policies) is looked up by unique id whenever it is used; so deleting a
//! role ends its sessions, and a new role of the same name does not revive them.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use core_types::{AccountId, Dice, Time};
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use serde::{Deserialize, Serialize};

/// What a token carries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Session {
    #[serde(rename = "a")]
    pub account: AccountId,
    #[serde(rename = "w")]
    pub who: Who,
    #[serde(rename = "s")]
    pub secret: Arc<str>,
    #[serde(rename = "i")]
    pub issued: Time,
    #[serde(rename = "x")]
    pub expires: Time,
    #[serde(rename = "g", default, skip_serializing_if = "Given::is_empty")]
    pub given: Given,
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    pub source_identity: Option<Arc<str>>,
    #[serde(rename = "m", default)]
    pub mfa: bool,
}

/// Whom a session stands for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Who {
    /// `key`: the long-term key that asked for the session.
    Root {
        key: Arc<str>,
    },
    User {
        name: Arc<str>,
        id: Arc<str>,
        key: Arc<str>,
    },
    Role {
        name: Arc<str>,
        id: Arc<str>,
        session: Arc<str>,
    },
    /// `user`: name and id of who asked; `None`: the root user.
    Federated {
        name: Arc<str>,
        user: Option<(Arc<str>, Arc<str>)>,
        key: Arc<str>,
    },
}

/// What a caller may hand to a session: its size is limited.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Given {
    #[serde(rename = "p", default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<Arc<str>>,
    #[serde(rename = "r", default, skip_serializing_if = "Vec::is_empty")]
    pub policy_arns: Vec<Arc<str>>,
    #[serde(rename = "t", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<Arc<str>, Arc<str>>,
    #[serde(rename = "k", default, skip_serializing_if = "Vec::is_empty")]
    pub transitive: Vec<Arc<str>>,
}

/// The packed size of policies and tags that counts as 100 %. AWS does not tell its own limit.
const PACKED_LIMIT: usize = 4096;
/// No token that is made comes near; whatever is longer is not opened.
const MAX_TOKEN: usize = 16 * 1024;
const MAX_PLAIN: u64 = 64 * 1024;
const VERSION: u8 = 1;
const NONCE: usize = 12;

impl Given {
    pub fn is_empty(&self) -> bool {
        *self == Given::default()
    }

    /// How much of the room for policies and tags is used, in percent; more than 100 is too much.
    pub fn packed_percent(&self) -> usize {
        if self.is_empty() {
            return 0;
        }
        let json = serde_json::to_vec(self).expect("what was given is plain data");
        deflate(&json).len().saturating_mul(100).div_ceil(PACKED_LIMIT)
    }
}

/// A token was cut, altered, made with another key, or belongs to another access key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadToken;

fn cipher(key: &[u8; 32]) -> ChaCha20Poly1305 {
    ChaCha20Poly1305::new(&Key::from(*key))
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("a vector takes every byte");
    encoder.finish().expect("a vector takes every byte")
}

pub fn seal(key: &[u8; 32], dice: &mut Dice, access_key_id: &str, session: &Session) -> String {
    let nonce: [u8; NONCE] = dice.bytes();
    let json = serde_json::to_vec(session).expect("a session is plain data");
    let plain = deflate(&json);
    let payload = Payload { msg: &plain, aad: access_key_id.as_bytes() };
    let sealed = cipher(key)
        .encrypt(&Nonce::from(nonce), payload)
        .expect("the cipher takes any message of this size");
    let mut bytes = Vec::with_capacity(1 + NONCE + sealed.len());
    bytes.push(VERSION);
    bytes.extend_from_slice(&nonce);
    bytes.extend_from_slice(&sealed);
    STANDARD.encode(bytes)
}

pub fn open(key: &[u8; 32], access_key_id: &str, token: &str) -> Result<Session, BadToken> {
    if token.len() > MAX_TOKEN {
        return Err(BadToken);
    }
    let bytes = STANDARD.decode(token).map_err(|_| BadToken)?;
    let (&version, rest) = bytes.split_first().ok_or(BadToken)?;
    let (nonce, sealed) = rest.split_first_chunk::<NONCE>().ok_or(BadToken)?;
    if version != VERSION {
        return Err(BadToken);
    }
    let payload = Payload { msg: sealed, aad: access_key_id.as_bytes() };
    let plain = cipher(key).decrypt(&Nonce::from(*nonce), payload).map_err(|_| BadToken)?;
    let mut json = Vec::new();
    let mut decoder = DeflateDecoder::new(&plain[..]).take(MAX_PLAIN);
    decoder.read_to_end(&mut json).map_err(|_| BadToken)?;
    serde_json::from_slice(&json).map_err(|_| BadToken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: [u8; 32] = [7; 32];
    const ID: &str = "ASIAEXAMPLEEXAMPLE00";

    fn session(policy: &str) -> Session {
        Session {
            account: AccountId::new(123_456_789_012).unwrap(),
            who: Who::Role { name: "r".into(), id: "AROA1".into(), session: "s".into() },
            secret: "secret".into(),
            issued: Time(1),
            expires: Time(2),
            given: Given { policies: vec![policy.into()], ..Given::default() },
            source_identity: None,
            mfa: false,
        }
    }

    #[test]
    fn opens_what_it_sealed_with_the_same_key_and_id_only() {
        let token = seal(&KEY, &mut Dice::from_number(1), ID, &session("{}"));
        assert_eq!(open(&KEY, ID, &token), Ok(session("{}")));
        assert_eq!(open(&[8; 32], ID, &token), Err(BadToken));
        assert_eq!(open(&KEY, "ASIAEXAMPLEEXAMPLE01", &token), Err(BadToken));
    }

    #[test]
    fn any_altered_byte_is_refused() {
        let token = seal(&KEY, &mut Dice::from_number(1), ID, &session("{}"));
        let bytes = STANDARD.decode(&token).unwrap();
        for at in 0..bytes.len() {
            for flip in [1u8, 0x80] {
                let mut altered = bytes.clone();
                altered[at] ^= flip;
                assert_eq!(open(&KEY, ID, &STANDARD.encode(altered)), Err(BadToken), "byte {at}");
            }
            assert_eq!(open(&KEY, ID, &STANDARD.encode(&bytes[..at])), Err(BadToken));
        }
    }

    #[test]
    fn what_is_given_has_a_size() {
        assert_eq!(Given::default().packed_percent(), 0);
        let tags = (0..50).map(|n| (format!("key{n}").into(), "v".into())).collect();
        assert!(Given { tags, ..Given::default() }.packed_percent() <= 100);
        let mut dice = Dice::from_number(3);
        let tags = (0..50).map(|_| (dice.base62(128).into(), dice.base62(256).into())).collect();
        assert!(Given { tags, ..Given::default() }.packed_percent() > 100);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(token in any::<Vec<u8>>(), text in ".{0,200}") {
            prop_assert_eq!(open(&KEY, ID, &STANDARD.encode(token)), Err(BadToken));
            prop_assert_eq!(open(&KEY, ID, &text), Err(BadToken));
        }

        #[test]
        fn whatever_is_in_a_session_comes_back(policy in ".{0,300}", seed in any::<u64>()) {
            let token = seal(&KEY, &mut Dice::from_number(seed), ID, &session(&policy));
            prop_assert_eq!(open(&KEY, ID, &token), Ok(session(&policy)));
        }
    }
}
