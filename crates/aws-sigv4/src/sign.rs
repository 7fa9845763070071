//! The client's side: signing a request in its headers, presigning a URL, and encoding a body in
//! signed chunks. It shares the canonical request and the key derivation with the verifier.

use crate::canonical::{EMPTY_SHA256, canonical_request, encode_all, sha256_hex, string_to_sign};
use crate::chunked::{Chain, trailer_hash};
use crate::keys::{derive, hmac};
use crate::request::{Request, Style};
use crate::time::Stamp;
use http::{HeaderMap, HeaderValue};

/// Who signs, for which service, and when (Unix seconds).
#[derive(Clone, Copy)]
pub struct Signer<'a> {
    pub access_key: &'a str,
    pub secret: &'a str,
    pub token: Option<&'a str>,
    pub region: &'a str,
    pub service: &'a str,
    pub style: Style,
    pub now: i64,
}

impl std::fmt::Debug for Signer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

/// What the signature says of the body.
#[derive(Clone, Copy, Debug)]
pub enum SignBody<'a> {
    Bytes(&'a [u8]),
    /// S3 only.
    Unsigned,
    /// S3 only: the body is to be encoded by the `ChunkSigner` that signing returns.
    Chunked {
        signed: bool,
        trailer: bool,
    },
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SignError {
    #[error("the request has no Host header")]
    NoHost,
    #[error("{what} does not fit in a header")]
    BadHeader { what: &'static str },
    #[error("only S3 takes unsigned and chunked bodies")]
    BodyNotForService,
}

/// A request that has been signed in its headers.
#[derive(Debug)]
pub struct Signed {
    pub signature: String,
    pub chunks: ChunkSigner,
}

/// Headers that proxies and HTTP libraries change, which nobody signs.
const NOT_SIGNED: [&str; 7] = [
    "authorization",
    "connection",
    "expect",
    "te",
    "transfer-encoding",
    "user-agent",
    "x-amzn-trace-id",
];

impl Signer<'_> {
    fn scope(&self, time: &Stamp) -> String {
        format!("{}/{}/{}/aws4_request", time.date(), self.region, self.service)
    }

    /// Signs a request: adds `X-Amz-Date`, the token, S3's content hash, and `Authorization`.
    pub fn sign(
        &self,
        method: &str,
        path: &str,
        query: &str,
        headers: &mut HeaderMap,
        body: SignBody<'_>,
    ) -> Result<Signed, SignError> {
        let time = Stamp::from_seconds(self.now);
        let word = match (body, self.style) {
            (SignBody::Bytes(bytes), _) => sha256_hex(bytes),
            (_, Style::General) => return Err(SignError::BodyNotForService),
            (SignBody::Unsigned, _) => "UNSIGNED-PAYLOAD".to_owned(),
            (SignBody::Chunked { signed, trailer }, _) => format!(
                "STREAMING-{}-PAYLOAD{}",
                if signed { "AWS4-HMAC-SHA256" } else { "UNSIGNED" },
                if trailer { "-TRAILER" } else { "" }
            ),
        };
        headers.insert("x-amz-date", value("the time", time.text())?);
        if let Some(token) = self.token {
            headers.insert("x-amz-security-token", value("the session token", token)?);
        }
        if self.style == Style::S3 {
            headers.insert("x-amz-content-sha256", value("the body's hash", &word)?);
        }
        let signed_headers = signed_headers(headers)?;
        let request = Request { method, path, query, headers, authority: None };
        let canonical = canonical_request(&request, self.style, &signed_headers, &word, false);
        let scope = self.scope(&time);
        let key = derive(self.secret, time.date(), self.region, self.service);
        let text = string_to_sign(time.text(), &scope, &canonical);
        let signature = hex::encode(hmac(key.as_slice(), &[text.as_bytes()]));
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={signed_headers}, \
             Signature={signature}",
            self.access_key
        );
        headers.insert("authorization", value("the access key", &authorization)?);
        let signs_chunks = matches!(body, SignBody::Chunked { signed: true, .. });
        let time = time.text().to_owned();
        let previous = signature.clone();
        let chain = signs_chunks.then_some(Chain { key, time, scope, previous });
        Ok(Signed { signature, chunks: ChunkSigner { chain } })
    }

    /// The query of a presigned URL, good for `expires` seconds. `headers` must have `Host`; all
    /// of them must be sent with the request as they are.
    pub fn presign(
        &self,
        method: &str,
        path: &str,
        query: &str,
        headers: &HeaderMap,
        expires: u32,
    ) -> Result<String, SignError> {
        let time = Stamp::from_seconds(self.now);
        let scope = self.scope(&time);
        let signed_headers = signed_headers(headers)?;
        let credential = format!("{}/{scope}", self.access_key);
        let mut all = query.to_owned();
        let mut push = |name: &str, value: &str| {
            if !all.is_empty() {
                all.push('&');
            }
            all.push_str(name);
            all.push('=');
            let mut encoded = Vec::new();
            encode_all(&mut encoded, value.as_bytes());
            all.push_str(&String::from_utf8_lossy(&encoded));
        };
        push("X-Amz-Algorithm", "AWS4-HMAC-SHA256");
        push("X-Amz-Credential", &credential);
        push("X-Amz-Date", time.text());
        push("X-Amz-Expires", &expires.to_string());
        push("X-Amz-SignedHeaders", &signed_headers);
        if let Some(token) = self.token {
            push("X-Amz-Security-Token", token);
        }
        let word = if self.style == Style::S3 { "UNSIGNED-PAYLOAD" } else { EMPTY_SHA256 };
        let request = Request { method, path, query: &all, headers, authority: None };
        let canonical = canonical_request(&request, self.style, &signed_headers, word, true);
        let key = derive(self.secret, time.date(), self.region, self.service);
        let text = string_to_sign(time.text(), &scope, &canonical);
        let signature = hex::encode(hmac(key.as_slice(), &[text.as_bytes()]));
        Ok(format!("{all}&X-Amz-Signature={signature}"))
    }
}

fn value(what: &'static str, text: &str) -> Result<HeaderValue, SignError> {
    HeaderValue::from_str(text).map_err(|_| SignError::BadHeader { what })
}

fn signed_headers(headers: &HeaderMap) -> Result<String, SignError> {
    if !headers.contains_key("host") {
        return Err(SignError::NoHost);
    }
    let names = headers.keys().map(http::HeaderName::as_str);
    let mut names: Vec<&str> = names.filter(|name| !NOT_SIGNED.contains(name)).collect();
    names.sort_unstable();
    Ok(names.join(";"))
}

/// Encodes a body as `aws-chunked`, chunk by chunk.
#[derive(Debug)]
pub struct ChunkSigner {
    chain: Option<Chain>,
}

impl ChunkSigner {
    /// Appends one chunk. S3 wants at least 8 KiB in all but the last.
    pub fn chunk(&mut self, data: &[u8], out: &mut Vec<u8>) {
        // An empty chunk is the end of the body, which `finish` writes.
        if !data.is_empty() {
            self.push(data, out);
            out.extend_from_slice(b"\r\n");
        }
    }

    /// Ends the body, with trailing headers where they were announced.
    pub fn finish(mut self, trailers: &[(String, String)], out: &mut Vec<u8>) {
        self.push(b"", out);
        for (name, value) in trailers {
            out.extend_from_slice(format!("{name}:{value}\r\n").as_bytes());
        }
        if let (Some(chain), false) = (&self.chain, trailers.is_empty()) {
            let text = chain.text("TRAILER", &trailer_hash(trailers));
            let signature = hex::encode(chain.sign(&text));
            out.extend_from_slice(format!("x-amz-trailer-signature:{signature}\r\n").as_bytes());
        }
        out.extend_from_slice(b"\r\n");
    }

    fn push(&mut self, data: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(format!("{:x}", data.len()).as_bytes());
        if let Some(chain) = &mut self.chain {
            let text = chain.text("PAYLOAD", &sha256_hex(data));
            chain.previous = hex::encode(chain.sign(&text));
            out.extend_from_slice(format!(";chunk-signature={}", chain.previous).as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(data);
    }
}
