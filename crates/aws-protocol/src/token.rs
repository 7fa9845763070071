//! Pagination tokens: opaque to clients, bound to the operation they came from.
//!
//! A token is `base64url(version ‖ HMAC ‖ payload)`. The HMAC covers the context (operation and
//! account, say), so a token cannot be forged, altered, or carried to another operation; it is not
//! secret, so nothing that the caller may not see belongs in the payload.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

const VERSION: u8 = 1;
const TAG: usize = 16;
/// AWS's own tokens stay below this; anything longer is not ours.
const MAX_LENGTH: usize = 8192;

/// The token was not made by this server for this context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadToken;

impl std::fmt::Display for BadToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the pagination token is not valid for this operation")
    }
}

impl std::error::Error for BadToken {}

/// Makes a token out of a payload.
pub fn seal(key: &[u8], context: &str, payload: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(1 + TAG + payload.len());
    bytes.push(VERSION);
    bytes.extend_from_slice(&tag(key, context, payload));
    bytes.extend_from_slice(payload);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The payload of a token that `seal` made with the same key and context.
pub fn open(key: &[u8], context: &str, token: &str) -> Result<Vec<u8>, BadToken> {
    if token.len() > MAX_LENGTH {
        return Err(BadToken);
    }
    let mut bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| BadToken)?;
    if bytes.len() < 1 + TAG || bytes[0] != VERSION {
        return Err(BadToken);
    }
    let payload = bytes.split_off(1 + TAG);
    let good: bool = tag(key, context, &payload).ct_eq(&bytes[1..]).into();
    if good { Ok(payload) } else { Err(BadToken) }
}

fn tag(key: &[u8], context: &str, payload: &[u8]) -> [u8; TAG] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(&[VERSION]);
    mac.update(&(context.len() as u64).to_be_bytes());
    mac.update(context.as_bytes());
    mac.update(payload);
    let full = mac.finalize().into_bytes();
    let mut tag = [0; TAG];
    tag.copy_from_slice(&full[..TAG]);
    tag
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn opens_what_it_sealed(context in ".{0,20}", payload: Vec<u8>) {
            let token = seal(b"key", &context, &payload);
            prop_assert_eq!(open(b"key", &context, &token), Ok(payload));
            prop_assert_eq!(open(b"other", &context, &token), Err(BadToken));
            prop_assert_eq!(open(b"key", &format!("{context}x"), &token), Err(BadToken));
        }

        #[test]
        fn refuses_anything_else(token in ".{0,60}") {
            prop_assert_eq!(open(b"key", "op", &token), Err(BadToken));
        }
    }
}
