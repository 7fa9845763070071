//! Bending what was well spelled: bytes flipped, cut, doubled; encodings that are none; nesting.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::chance::Chance;

/// A body with one thing wrong, or none that anybody notices.
pub fn body(chance: &mut Chance, mut body: Vec<u8>) -> Vec<u8> {
    let at = chance.below(body.len() + 1);
    match chance.below(10) {
        0 => body.truncate(at),
        1 => body.extend(chance.bytes(64)),
        2 if at < body.len() => body[at] ^= 1 << chance.below(8),
        3 if at < body.len() => body[at] = 0xff,
        4 => {
            let piece = body[at..body.len().min(at + 40)].to_vec();
            body.splice(at..at, piece);
        }
        5 => body = chance.bytes(300),
        6 => {
            let depth = [10, 64, 65, 1_000, 100_000][chance.below(5)];
            let open = chance.pick(&["[", "{\"a\":", "[{\"tags\":"]);
            body = open.repeat(depth).into_bytes();
        }
        7 => body.splice(at..at, *b"\xed\xa0\x80\xc0\xaf").for_each(drop),
        8 => body.clear(),
        _ => body.splice(at..at, *b"0").for_each(drop),
    }
    body
}

/// The body as gzip, whole or not.
pub fn gzip(chance: &mut Chance, body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let written = encoder.write_all(body).and_then(|()| encoder.finish());
    let mut packed = written.expect("memory takes all bytes");
    match chance.below(4) {
        0 => packed.truncate(chance.below(packed.len())),
        1 => {
            let at = chance.below(packed.len());
            packed[at] ^= 0x55;
        }
        _ => {}
    }
    packed
}

/// One more header, one fewer, or one that says something else.
pub fn headers(chance: &mut Chance, headers: &mut HeaderMap) {
    const NAMES: [&str; 12] = [
        "content-type",
        "x-amz-target",
        "smithy-protocol",
        "authorization",
        "x-amz-date",
        "host",
        "content-encoding",
        "x-amz-security-token",
        "x-amz-content-sha256",
        "accept",
        "content-length",
        "x-amzn-query-mode",
    ];
    const TEXTS: [&str; 14] = [
        "",
        "application/x-amz-json-1.0",
        "application/x-amz-json-9",
        "application/cbor",
        "application/x-www-form-urlencoded",
        "text/xml",
        "gzip",
        "gzip, gzip",
        "identity",
        "rpc-v2-cbor",
        "AWS4-HMAC-SHA256 Credential=,SignedHeaders=,Signature=",
        "AmazonEC2ContainerServiceV20141113.",
        "UNSIGNED-PAYLOAD",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    ];
    let name = HeaderName::from_static(NAMES[chance.below(NAMES.len())]);
    let text = match chance.below(10) {
        0 => HeaderValue::from_bytes(&[0xe9; 20]).expect("obs-text is allowed"),
        1 => HeaderValue::from_str(&"x".repeat(chance.below(9_000))).expect("letters"),
        _ => HeaderValue::from_static(TEXTS[chance.below(TEXTS.len())]),
    };
    match chance.below(3) {
        0 => drop(headers.remove(&name)),
        1 => drop(headers.append(name, text)),
        _ => drop(headers.insert(name, text)),
    }
}
