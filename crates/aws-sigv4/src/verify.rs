//! Verifying a signature: the canonical request is built from the bytes that came, signed with
//! the secret, and compared in constant time.
//!
//! A body is either at hand, or comes later (S3 streams it). `Verified::payload` then says what is
//! still owed: a verified header signature alone proves nothing of a body.

use crate::canonical::{EMPTY_SHA256, canonical_request, hex_of, string_to_sign};
use crate::chunked::ChunkedBody;
use crate::error::SigV4Error;
use crate::keys::{SigningKey, SigningKeys, derive, hmac};
use crate::parse::{Parsed, header, is_signed, query_value};
use crate::request::Style;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use subtle::ConstantTimeEq;

/// The request's body, as far as it is known.
#[derive(Clone, Copy, Debug)]
pub enum Body<'a> {
    Bytes(&'a [u8]),
    Sha256([u8; 32]),
    /// It is read after the signature of the head has been verified.
    Later,
}

/// What the signature says of the body.
#[derive(Debug)]
pub enum Payload {
    /// The body that was given is the one that was signed.
    Checked,
    /// The body still to come must have this hash; `check_sha256` compares.
    MustHash([u8; 32]),
    /// The client left the body unsigned, which only S3 and presigned URLs allow.
    Unsigned,
    /// The body comes in signed or checksummed chunks.
    Chunked(ChunkedBody),
}

/// A request whose signature is that of the secret's owner.
#[derive(Debug)]
pub struct Verified {
    pub payload: Payload,
}

impl Payload {
    /// Compares a body's hash with the one that was signed.
    pub fn check_sha256(&self, computed: [u8; 32]) -> Result<(), SigV4Error> {
        match self {
            Self::MustHash(claimed) if !bool::from(claimed.ct_eq(&computed)) => {
                Err(SigV4Error::ContentSha256Mismatch {
                    claimed: hex::encode(claimed),
                    computed: hex::encode(computed),
                })
            }
            _ => Ok(()),
        }
    }
}

const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// What `X-Amz-Content-Sha256` stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Claim {
    Hash([u8; 32]),
    Unsigned,
    Chunked { signed: bool, trailer: bool },
}

impl Claim {
    fn read(text: &str) -> Result<Self, SigV4Error> {
        Ok(match text {
            UNSIGNED => Self::Unsigned,
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" => Self::Chunked { signed: true, trailer: false },
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" => {
                Self::Chunked { signed: true, trailer: true }
            }
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER" => Self::Chunked { signed: false, trailer: true },
            "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"
            | "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER" => {
                let algorithm = "AWS4-ECDSA-P256-SHA256".to_owned();
                return Err(SigV4Error::UnsupportedAlgorithm { algorithm, presigned: false });
            }
            _ => {
                let mut hash = [0; 32];
                let read = hex::decode_to_slice(text, &mut hash);
                if read.is_err() || text.bytes().any(|byte| byte.is_ascii_uppercase()) {
                    return Err(SigV4Error::BadContentSha256 { got: text.to_owned() });
                }
                Self::Hash(hash)
            }
        })
    }
}

/// Verifies the signature of a request with the secret of its access key.
pub fn verify(
    parsed: &Parsed<'_>,
    secret: &str,
    body: Body<'_>,
    keys: &SigningKeys,
) -> Result<Verified, SigV4Error> {
    let actual = match body {
        Body::Bytes(bytes) => Some(Sha256::digest(bytes).into()),
        Body::Sha256(hash) => Some(hash),
        Body::Later => None,
    };
    let (hash, claim) = payload_of(parsed, actual)?;
    let canonical = canonical_request(
        &parsed.request,
        parsed.style,
        &parsed.signed_headers,
        &hash,
        parsed.presigned.is_some(),
    );
    let text = string_to_sign(parsed.time.text(), parsed.credential.scope(), &canonical);
    let credential = &parsed.credential;
    let (key, cached) = match keys.get(credential.text(), secret) {
        Some(key) => (key, true),
        None => {
            let (date, region) = (credential.date(), credential.region());
            (derive(secret, date, region, credential.service()), false)
        }
    };
    let signature = hmac(key.as_slice(), &[text.as_bytes()]);
    if !signature_matches(&parsed.signature, &signature) {
        return Err(SigV4Error::SignatureMismatch {
            access_key: credential.access_key().to_owned(),
            provided: parsed.signature.clone().into_owned(),
            string_to_sign: text,
            canonical_request: String::from_utf8_lossy(&canonical).into_owned(),
        });
    }
    if !cached {
        keys.put(credential.text(), secret, &key);
    }
    finish(parsed, claim, actual, key)
}

/// The word that stands for the body in the canonical request, and what it claims.
fn payload_of<'a>(
    parsed: &Parsed<'a>,
    actual: Option<[u8; 32]>,
) -> Result<(Cow<'a, str>, Claim), SigV4Error> {
    let stated = header(&parsed.request, "x-amz-content-sha256");
    if parsed.style == Style::S3 {
        return match (stated, parsed.presigned) {
            (Some(stated), None) => Ok((Cow::Borrowed(stated), Claim::read(stated)?)),
            (None, None) => Err(SigV4Error::MissingContentSha256),
            // AWS: a presigned URL leaves the body open unless it signs a statement of it; one
            // that is not signed still has to be true.
            (stated, Some(_)) => {
                let claim = stated.map_or(Ok(Claim::Unsigned), Claim::read)?;
                let in_query = query_value(parsed.request.query, "X-Amz-Content-Sha256");
                let word = match (stated, in_query) {
                    (Some(stated), _) if is_signed(parsed, "x-amz-content-sha256") => {
                        Cow::Borrowed(stated)
                    }
                    (_, Some(word)) => word,
                    _ => Cow::Borrowed(UNSIGNED),
                };
                let claim = match Claim::read(&word)? {
                    Claim::Unsigned => claim,
                    signed => signed,
                };
                Ok((word, claim))
            }
        };
    }
    // AWS: other services hash what they got and do not trust the header. Where the body is still
    // to come, the header is the claim, and the empty body where there is none.
    let claim = match (actual, stated) {
        (Some(hash), _) => Claim::Hash(hash),
        (None, Some(stated)) => Claim::read(stated)?,
        (None, None) => Claim::read(EMPTY_SHA256)?,
    };
    let Claim::Hash(hash) = claim else {
        let got = stated.unwrap_or_default().to_owned();
        return Err(SigV4Error::BadContentSha256 { got });
    };
    let word = hex_of(&hash);
    match stated {
        Some(stated) if stated != word => {
            Err(SigV4Error::ContentSha256Mismatch { claimed: stated.to_owned(), computed: word })
        }
        _ => Ok((Cow::Owned(word), claim)),
    }
}

fn finish(
    parsed: &Parsed<'_>,
    claim: Claim,
    actual: Option<[u8; 32]>,
    key: SigningKey,
) -> Result<Verified, SigV4Error> {
    let payload = match (claim, actual) {
        (Claim::Unsigned, _) => Payload::Unsigned,
        (Claim::Chunked { signed, trailer }, _) => {
            Payload::Chunked(ChunkedBody::new(parsed, signed.then_some(key), trailer)?)
        }
        (Claim::Hash(claimed), None) => Payload::MustHash(claimed),
        (Claim::Hash(claimed), Some(computed)) => {
            Payload::MustHash(claimed).check_sha256(computed)?;
            Payload::Checked
        }
    };
    Ok(Verified { payload })
}

/// Compares in constant time the hexadecimal text of a signature with the one we made.
pub(crate) fn signature_matches(given: &str, ours: &[u8; 32]) -> bool {
    let mut text = [0u8; 64];
    // 64 digits always fit 32 bytes.
    hex::encode_to_slice(ours, &mut text).is_ok() && bool::from(text.ct_eq(given.as_bytes()))
}
