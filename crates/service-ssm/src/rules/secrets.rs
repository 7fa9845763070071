//! Codes and secrets are long and random, so that a plain digest of them keeps them.

use sha2::{Digest, Sha256};

/// As text, in lower-case hex.
pub fn digest(secret: &str) -> String {
    hex::encode(Sha256::digest(secret))
}

/// Whether a text may be a digest.
pub fn is_digest(text: &str) -> bool {
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == 64 && text.bytes().all(digit)
}
