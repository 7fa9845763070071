//! The canonical request and the string to sign: one text of a request that the client and we
//! build alike.
//!
//! Both are made from the bytes on the wire. What the client listed as signed is taken word for
//! word (`SignedHeaders`, the credential scope, the date), so any change of it changes the text.

use crate::request::{Request, Style};
use http::HeaderMap;
use sha2::{Digest, Sha256};

/// The hash of an empty body.
pub(crate) const EMPTY_SHA256: &str =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

const HEX: &[u8; 16] = b"0123456789ABCDEF";

pub(crate) fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

pub(crate) fn encode_byte(out: &mut Vec<u8>, byte: u8) {
    out.extend_from_slice(&[b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
}

/// Percent-encodes everything but the unreserved characters.
pub(crate) fn encode_all(out: &mut Vec<u8>, text: &[u8]) {
    for &byte in text {
        if is_unreserved(byte) { out.push(byte) } else { encode_byte(out, byte) }
    }
}

fn escape_at(text: &[u8], at: usize) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
    match text.get(at..at + 3)? {
        [b'%', high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    }
}

/// Brings an already encoded text to the one form that SigV4 signs: escapes in upper case,
/// unreserved characters bare, everything else escaped, `keep` left alone.
fn normalize_escapes(out: &mut Vec<u8>, text: &[u8], keep: Option<u8>, plus_is_space: bool) {
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        if let Some(decoded) = escape_at(text, at) {
            if is_unreserved(decoded) {
                out.push(decoded)
            } else {
                encode_byte(out, decoded)
            }
            at += 3;
            continue;
        }
        match byte {
            b'+' if plus_is_space => encode_byte(out, b' '),
            byte if is_unreserved(byte) || Some(byte) == keep => out.push(byte),
            byte => encode_byte(out, byte),
        }
        at += 1;
    }
}

/// Decodes a query value. Bytes that are not UTF-8 make it unreadable.
pub(crate) fn decode_query(text: &str) -> Option<String> {
    let (bytes, mut out, mut at) = (text.as_bytes(), Vec::with_capacity(text.len()), 0);
    while let Some(&byte) = bytes.get(at) {
        if let Some(decoded) = escape_at(bytes, at) {
            out.push(decoded);
            at += 3;
        } else {
            out.push(if byte == b'+' { b' ' } else { byte });
            at += 1;
        }
    }
    String::from_utf8(out).ok()
}

/// The canonical path.
// AWS: S3 signs the path as it is, with each character encoded once; every other service signs
// the path without `.`, `..` and empty segments, with the already encoded text encoded again.
pub(crate) fn push_path(out: &mut Vec<u8>, path: &str, style: Style) {
    if path.is_empty() {
        return out.push(b'/');
    }
    match style {
        Style::S3 => normalize_escapes(out, path.as_bytes(), Some(b'/'), false),
        Style::General => {
            let mut segments: Vec<&str> = Vec::new();
            for segment in path.split('/') {
                match segment {
                    "" | "." => {}
                    ".." => drop(segments.pop()),
                    other => segments.push(other),
                }
            }
            for segment in &segments {
                out.push(b'/');
                encode_all(out, segment.as_bytes());
            }
            if segments.is_empty() || path.ends_with('/') {
                out.push(b'/');
            }
        }
    }
}

/// The canonical query: encoded, sorted by name and then by value, without the signature itself.
pub(crate) fn push_query(out: &mut Vec<u8>, query: &str, without: Option<&str>) {
    if query.is_empty() {
        return;
    }
    let mut buffer = Vec::with_capacity(query.len() + 16);
    let mut pairs = Vec::new();
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        if without == Some(name) {
            continue;
        }
        let start = buffer.len();
        normalize_escapes(&mut buffer, name.as_bytes(), None, true);
        let middle = buffer.len();
        normalize_escapes(&mut buffer, value.as_bytes(), None, true);
        pairs.push((start..middle, middle..buffer.len()));
    }
    pairs.sort_by(|a, b| {
        let key = |pair: &(std::ops::Range<usize>, std::ops::Range<usize>)| {
            (&buffer[pair.0.clone()], &buffer[pair.1.clone()])
        };
        key(a).cmp(&key(b))
    });
    for (n, (name, value)) in pairs.into_iter().enumerate() {
        if n > 0 {
            out.push(b'&');
        }
        out.extend_from_slice(&buffer[name]);
        out.push(b'=');
        out.extend_from_slice(&buffer[value]);
    }
}

/// A header value without outer whitespace, inner runs of it folded to one space.
fn push_folded(out: &mut Vec<u8>, value: &[u8]) {
    let mut words = value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    if let Some(first) = words.next() {
        out.extend_from_slice(first);
    }
    for word in words {
        out.push(b' ');
        out.extend_from_slice(word);
    }
}

fn push_header(out: &mut Vec<u8>, name: &str, headers: &HeaderMap, authority: Option<&str>) {
    out.extend_from_slice(name.as_bytes());
    out.push(b':');
    let mut values = headers.get_all(name).iter().peekable();
    // HTTP/2 has no Host header: its `:authority` is what the client signed as `host`.
    if values.peek().is_none() && name.eq_ignore_ascii_case("host") {
        push_folded(out, authority.unwrap_or_default().as_bytes());
    }
    for (n, value) in values.enumerate() {
        if n > 0 {
            out.push(b',');
        }
        push_folded(out, value.as_bytes());
    }
    out.push(b'\n');
}

/// The canonical request, as the client must have built it.
pub(crate) fn canonical_request(
    request: &Request<'_>,
    style: Style,
    signed_headers: &str,
    payload_hash: &str,
    presigned: bool,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(512 + request.path.len() + request.query.len());
    out.extend_from_slice(request.method.as_bytes());
    out.push(b'\n');
    push_path(&mut out, request.path, style);
    out.push(b'\n');
    push_query(&mut out, request.query, presigned.then_some("X-Amz-Signature"));
    out.push(b'\n');
    for name in signed_headers.split(';') {
        push_header(&mut out, name, request.headers, request.authority);
    }
    out.push(b'\n');
    out.extend_from_slice(signed_headers.as_bytes());
    out.push(b'\n');
    out.extend_from_slice(payload_hash.as_bytes());
    out
}

/// `AWS4-HMAC-SHA256`, the time, the scope (`date/region/service/aws4_request`) and the hash.
pub(crate) fn string_to_sign(time: &str, scope: &str, canonical: &[u8]) -> String {
    let mut out = String::with_capacity(120 + scope.len());
    for part in ["AWS4-HMAC-SHA256", time, scope] {
        out.push_str(part);
        out.push('\n');
    }
    out.push_str(&sha256_hex(canonical));
    out
}

pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex_of(&Sha256::digest(bytes).into())
}

/// Each request needs two of these; `hex::encode` collects digit by digit, several times slower.
pub(crate) fn hex_of(hash: &[u8; 32]) -> String {
    let mut text = vec![0; 64];
    hex::encode_to_slice(hash, &mut text).expect("64 digits always fit 32 bytes");
    String::from_utf8(text).expect("hex digits are ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str, style: Style) -> String {
        let mut out = Vec::new();
        push_path(&mut out, text, style);
        String::from_utf8(out).unwrap()
    }

    fn query(text: &str) -> String {
        let mut out = Vec::new();
        push_query(&mut out, text, Some("X-Amz-Signature"));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn paths_are_normalized_for_all_but_s3() {
        for (given, general, s3) in [
            ("", "/", "/"),
            ("/a//b/./../c/", "/a/c/", "/a//b/./../c/"),
            ("/%20", "/%2520", "/%20"),
            ("/a b~", "/a%20b~", "/a%20b~"),
            ("/%7e%2f%zz", "/%257e%252f%25zz", "/~%2F%25zz"),
        ] {
            assert_eq!(path(given, Style::General), general, "{given}");
            assert_eq!(path(given, Style::S3), s3, "{given}");
        }
    }

    #[test]
    fn queries_are_sorted_and_encoded_once() {
        assert_eq!(query("b=2&a=%7e&a=+&a&&X-Amz-Signature=x"), "a=&a=%20&a=~&b=2");
        assert_eq!(query("a-b=1&a=1"), "a=1&a-b=1");
        assert_eq!(query("k=a=b"), "k=a%3Db");
    }
}
