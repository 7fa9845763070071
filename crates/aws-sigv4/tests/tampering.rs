//! Properties: what the signer signs verifies; any one changed byte of it does not; no bytes at
//! all make a parser panic.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use aws_sigv4::{
    Algorithm, Body, Checksum, Dialect, Payload, Request, Rules, SigV4Error, SignBody, Signer,
    SigningKeys, Style, parse, peek_credential, verify,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

const NOW: i64 = 1_767_268_800;

#[derive(Clone, Debug)]
struct Sent {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    service: &'static str,
}

impl Sent {
    fn header_map(&self) -> Option<HeaderMap> {
        let mut map = HeaderMap::new();
        for (name, value) in &self.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            map.append(name, HeaderValue::from_bytes(value).ok()?);
        }
        Some(map)
    }

    fn verify(&self, keys: &SigningKeys) -> Result<(), SigV4Error> {
        let headers = self.header_map().ok_or(SigV4Error::MissingAuthentication)?;
        let request = Request {
            method: &self.method,
            path: &self.path,
            query: &self.query,
            headers: &headers,
            authority: None,
        };
        let services = [self.service];
        let rules = Rules::for_services(&services);
        let parsed = parse(&request, &rules, NOW)?.ok_or(SigV4Error::MissingAuthentication)?;
        // The access key is no part of the signed text: it selects the secret.
        let access_key = parsed.credential.access_key();
        if access_key != "AKIDEXAMPLE" {
            return Err(SigV4Error::UnknownAccessKey { access_key: access_key.to_owned() });
        }
        verify(&parsed, "the secret", Body::Bytes(&self.body), keys).map(drop)
    }
}

fn signer(service: &'static str, token: Option<&'static str>) -> Signer<'static> {
    let style = Rules::for_services(&[service]).style;
    let (access_key, secret, region) = ("AKIDEXAMPLE", "the secret", "us-east-1");
    Signer { access_key, secret, token, region, service, style, now: NOW }
}

prop_compose! {
    fn requests()(
        method in "GET|PUT|POST|DELETE",
        path in "(/([A-Za-z0-9._~+!() -]|%2F|%20|%c3%a9|é){0,12}){1,4}",
        query in vec(("[A-Za-z0-9._~-]{1,6}", "([A-Za-z0-9._~*/-]|%20|%C3%A9|%2B){0,8}"), 0..5),
        headers in btree_map("(x-amz-meta-|content-|my-)[a-z]{1,6}", "[ -~é]{0,20}", 0..5),
        body in vec(any::<u8>(), 0..200),
        service in prop_oneof![Just("ecs"), Just("s3"), Just("execute-api")],
        token in prop_oneof![Just(None), Just(Some("a token/+=="))],
        presigned in any::<bool>(),
    ) -> (Sent, bool) {
        let pairs = query.iter().map(|(name, value)| format!("{name}={value}"));
        let mut query = pairs.collect::<Vec<String>>().join("&");
        let mut map = HeaderMap::new();
        map.insert("host", HeaderValue::from_static("ecs.us-east-1.example.com:4566"));
        for (name, value) in &headers {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            map.insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let signer = signer(service, token);
        let mut body = body;
        if presigned {
            query = signer.presign(&method, &path, &query, &map, 300).unwrap();
            body.clear();
        } else {
            let content = SignBody::Bytes(&body);
            signer.sign(&method, &path, &query, &mut map, content).unwrap();
        }
        let headers = map.iter().map(|(n, v)| (n.to_string(), v.as_bytes().to_vec())).collect();
        (Sent { method, path, query, headers, body, service }, presigned)
    }
}

/// The canonical form of a text's escapes, which a change of one byte may leave alone (`%c3` and
/// `%C3` are the same byte).
fn canonical_escapes(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text.replace('+', "%20");
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let end = (at + 3).min(rest.len());
        let escape = rest.get(at..end).unwrap_or("%").to_uppercase();
        let skip = at + escape.len();
        let byte = u8::from_str_radix(escape.get(1..).unwrap_or(""), 16).unwrap_or(b'%');
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&escape);
        }
        rest = rest[skip..].to_owned();
    }
    out + &rest
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_is_signed_verifies((sent, _) in requests()) {
        let keys = SigningKeys::default();
        prop_assert_eq!(sent.verify(&keys), Ok(()));
        prop_assert_eq!(sent.verify(&keys), Ok(()), "with the key from the cache");
    }

    #[test]
    fn a_changed_byte_is_refused(
        (sent, presigned) in requests(),
        at in any::<prop::sample::Index>(),
        bit in 0u8..7,
    ) {
        let keys = SigningKeys::default();
        sent.verify(&keys).unwrap();
        let flip = |text: &str, at: usize| -> Option<String> {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] ^= 1 << bit;
            String::from_utf8(bytes).ok()
        };
        let mut changed = sent.clone();
        if !sent.body.is_empty() {
            let place = at.index(sent.body.len());
            changed.body[place] ^= 1 << bit;
            prop_assert!(changed.verify(&keys).is_err(), "body");
            changed.body = sent.body.clone();
        }
        if let Some(method) = flip(&sent.method, at.index(sent.method.len())) {
            changed.method = method;
            prop_assert!(changed.verify(&keys).is_err(), "method");
            changed.method = sent.method.clone();
        }
        if let Some(path) = flip(&sent.path, at.index(sent.path.len())) {
            // Normalization makes some paths the same (`/a/./b`); those are the same request.
            let s3 = sent.service == "s3";
            let same = s3 && canonical_escapes(&path) == canonical_escapes(&sent.path);
            let folds = !s3 && (path.contains('.') || path.contains("//"));
            changed.path = path;
            let refused = changed.verify(&keys).is_err();
            prop_assert!(same || folds || refused, "path {:?}", changed.path);
            changed.path = sent.path.clone();
        }
        if !sent.query.is_empty()
            && let Some(query) = flip(&sent.query, at.index(sent.query.len())) {
            let same = canonical_escapes(&query) == canonical_escapes(&sent.query);
            changed.query = query;
            let refused = changed.verify(&keys).is_err();
            prop_assert!(same || refused, "query {:?}", changed.query);
            changed.query = sent.query.clone();
        }
        for n in 0..sent.headers.len() {
            let (name, value) = &sent.headers[n];
            let folded = |value: &[u8]| -> Vec<Vec<u8>> {
                let words = value.split(u8::is_ascii_whitespace);
                words.filter(|word| !word.is_empty()).map(<[u8]>::to_vec).collect()
            };
            if value.is_empty() || (name == "authorization" && presigned) {
                continue;
            }
            let mut bytes = value.clone();
            let place = at.index(bytes.len());
            bytes[place] ^= 1 << bit;
            // In `Authorization` a comma and a space separate alike.
            let same = folded(&bytes) == folded(value)
                || (name == "authorization" && matches!(value[place], b',' | b' '));
            changed.headers[n].1 = bytes;
            let refused = changed.verify(&keys).is_err();
            prop_assert!(same || refused, "header {} at {}", name, place);
            changed.headers[n].1 = value.clone();
        }
    }

    #[test]
    fn no_bytes_make_it_panic(
        authorization in prop_oneof![
            vec(any::<u8>(), 0..60),
            "AWS4-HMAC-SHA256 (Credential=[ -~é]{0,9}(/[ -~]{0,4}){0,6})?,?\
             ( SignedHeaders=[a-z;]{0,9})?,?( Signature=[0-9a-fé]{0,70})?"
                .prop_map(String::into_bytes),
        ],
        date in "[0-9TZé]{0,17}|20260101T120000Z|[ -~]{0,30}",
        path in "\\PC{0,20}",
        query in "(X-Amz-(Algorithm|Credential|Date|Expires|SignedHeaders|Signature)\
                  =[!-~é]{0,20}&){0,7}\\PC{0,10}",
        hash in "\\PC{0,70}",
        s3 in any::<bool>(),
    ) {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("authorization", authorization.as_slice()),
            ("x-amz-date", date.as_bytes()),
            ("x-amz-content-sha256", hash.as_bytes()),
        ] {
            if let Ok(value) = HeaderValue::from_bytes(value) {
                headers.insert(name, value);
            }
        }
        let rules = Rules::for_services(if s3 { &["s3"] } else { &["ecs"] });
        for query in ["", query.as_str()] {
            let (method, path, authority) = ("GET", path.as_str(), None);
            let request = Request { method, path, query, headers: &headers, authority };
            let _ = peek_credential(&request).map(|credential| credential.scope().len());
            match parse(&request, &rules, NOW) {
                Ok(Some(parsed)) => {
                    let keys = SigningKeys::new(2);
                    prop_assert!(verify(&parsed, "s", Body::Bytes(b""), &keys).is_err());
                }
                Ok(None) => {}
                Err(error) => {
                    for dialect in [Dialect::Json, Dialect::S3, Dialect::Ec2] {
                        prop_assert!(error.answer(dialect).status >= 400);
                    }
                }
            }
        }
    }

    #[test]
    fn chunked_bodies_round_trip(
        chunks in vec(8192usize..20000, 0..4),
        last in 1usize..9000,
        pieces in 1usize..9000,
        signed in any::<bool>(),
        trailer in any::<bool>(),
        algorithm in prop::sample::select(Algorithm::ALL.to_vec()),
        noise in any::<prop::sample::Index>(),
        bit in 0u8..8,
    ) {
        let trailer = trailer || !signed;
        let sizes: Vec<usize> = chunks.into_iter().chain([last]).collect();
        let total: usize = sizes.iter().sum();
        let payload: Vec<u8> = (0..total).map(|n| (n * 31 % 251) as u8).collect();
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("h"));
        headers.insert("x-amz-decoded-content-length", HeaderValue::from(total));
        let mut trailers = Vec::new();
        if trailer {
            headers.insert("x-amz-trailer", HeaderValue::from_static(algorithm.header()));
            let mut checksum = Checksum::new(algorithm);
            checksum.update(&payload);
            trailers.push((algorithm.header().to_owned(), checksum.finish()));
        }
        let kind = SignBody::Chunked { signed, trailer };
        let signed = signer("s3", None).sign("PUT", "/b/k", "", &mut headers, kind);
        let mut encoder = signed.unwrap().chunks;
        let mut body = Vec::new();
        let mut rest = payload.as_slice();
        for size in sizes {
            let (chunk, after) = rest.split_at(size);
            encoder.chunk(chunk, &mut body);
            rest = after;
        }
        encoder.finish(&trailers, &mut body);
        prop_assert_eq!(decode(&headers, &body, pieces), Ok(payload.clone()));
        // A changed byte is either found, or (in a line break of the framing) changed nothing.
        let place = noise.index(body.len());
        body[place] ^= 1 << bit;
        if let Ok(got) = decode(&headers, &body, pieces) {
            prop_assert_eq!(got, payload);
        }
    }

    #[test]
    fn no_chunked_bytes_make_it_panic(
        signed in any::<bool>(),
        lines in vec(
            "[0-9a-f]{1,3}(;chunk-signature=[0-9a-f]{64})?\r\n|[ -~]{0,40}\r?\n|\
             x-amz-checksum-crc32:[ -~]{0,9}\r\n|\\PC{0,20}",
            0..9,
        ),
        pieces in 1usize..40,
    ) {
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("h"));
        headers.insert("x-amz-decoded-content-length", HeaderValue::from(50));
        headers.insert("x-amz-trailer", HeaderValue::from_static("x-amz-checksum-crc32"));
        let kind = SignBody::Chunked { signed, trailer: true };
        signer("s3", None).sign("PUT", "/b/k", "", &mut headers, kind).unwrap();
        prop_assert!(decode(&headers, lines.concat().as_bytes(), pieces).is_err());
    }
}

fn decode(headers: &HeaderMap, body: &[u8], pieces: usize) -> Result<Vec<u8>, SigV4Error> {
    let request = Request { method: "PUT", path: "/b/k", query: "", headers, authority: None };
    let parsed = parse(&request, &Rules::for_services(&["s3"]), NOW)?.unwrap();
    assert_eq!(parsed.style, Style::S3);
    let verified = verify(&parsed, "the secret", Body::Later, &SigningKeys::default())?;
    let Payload::Chunked(mut decoder) = verified.payload else { panic!("the body is chunked") };
    let mut out = Vec::new();
    for piece in body.chunks(pieces) {
        let mut input = Bytes::copy_from_slice(piece);
        while let Some(payload) = decoder.decode(&mut input)? {
            out.extend_from_slice(&payload);
        }
    }
    decoder.finish()?;
    Ok(out)
}
