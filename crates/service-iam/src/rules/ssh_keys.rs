//! SSH public keys as text: `ssh-rsa AAAA… comment`.

use aws_protocol::ApiError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use model_iam::errors;

/// The key's blob, if the text is an RSA public key in SSH's own encoding.
fn blob(text: &str) -> Option<Vec<u8>> {
    const KIND: &[u8] = b"ssh-rsa";
    let mut words = text.split_ascii_whitespace();
    if words.next()?.as_bytes() != KIND {
        return None;
    }
    let blob = STANDARD.decode(words.next()?).ok()?;
    // The blob begins with its kind once more, and then has two numbers, each behind its length.
    let mut rest = &blob[..];
    for nth in 0..3 {
        let (length, tail) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let part = tail.get(..length)?;
        if nth == 0 && part != KIND {
            return None;
        }
        rest = &tail[length..];
    }
    rest.is_empty().then_some(blob)
}

/// AWS: the MD5 of the key, in pairs of digits.
pub fn fingerprint(text: &str) -> Result<String, ApiError> {
    if text.trim_start().starts_with("-----BEGIN") {
        // AWS takes PEM too; here keys are kept in the encoding that ssh-keygen writes.
        return Err(errors::unrecognized_public_key_encoding_exception(
            "The public key must be in the ssh-rsa encoding.",
        ));
    }
    let blob = blob(text).ok_or_else(|| {
        errors::invalid_public_key_exception("The public key is malformed or otherwise invalid.")
    })?;
    let pairs: Vec<String> = Md5::digest(blob).iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(pairs.join(":"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(parts: &[&[u8]]) -> String {
        let mut bytes = Vec::new();
        for part in parts {
            bytes.extend_from_slice(&u32::try_from(part.len()).unwrap().to_be_bytes());
            bytes.extend_from_slice(part);
        }
        format!("ssh-rsa {} ada@home", STANDARD.encode(bytes))
    }

    #[test]
    fn a_key_has_a_fingerprint_and_what_is_none_is_refused() {
        let good = key(&[b"ssh-rsa", &[1, 0, 1], &[7; 257]]);
        let shown = fingerprint(&good).unwrap();
        assert_eq!((shown.len(), shown.matches(':').count()), (47, 15), "{shown}");
        let few = key(&[b"ssh-rsa", &[1, 0, 1]]);
        let many = key(&[b"ssh-rsa", &[1], &[2], &[3]]);
        let other = key(&[b"ssh-dss", &[1], &[2]]);
        for bad in
            [&few, &many, &other, "ssh-rsa", "ssh-rsa ****", "", "-----BEGIN PUBLIC KEY-----"]
        {
            assert!(fingerprint(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in any::<Vec<u8>>(), text in ".{0,100}") {
            let _ = fingerprint(&format!("ssh-rsa {}", STANDARD.encode(bytes)));
            prop_assert!(fingerprint(&text).is_err());
        }
    }
}
