//! Why a request's signature was refused. A variant carries the facts; `answer.rs` words them as
//! the protocol of the request demands.

use crate::time::Stamp;

/// The parts of a credential scope that were wrong: what was sent and what was expected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScopeFaults {
    pub region: Option<(String, String)>,
    pub service: Option<(String, String)>,
    pub terminator: Option<String>,
    /// The scope's date and the request's time.
    pub date: Option<(String, String)>,
}

/// Every way in which authentication by signature fails.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SigV4Error {
    #[error("the request carries no signature")]
    MissingAuthentication,
    #[error("the request is signed both in a header and in its query")]
    TwoMechanisms { authorization: Option<String> },
    #[error("authorization scheme {scheme:?} is not a signature")]
    UnsupportedScheme { scheme: String, authorization: String },
    #[error("signature version 2 is not supported")]
    SignatureVersion2,
    #[error("algorithm {algorithm:?} is not supported")]
    UnsupportedAlgorithm { algorithm: String, presigned: bool },
    #[error("the authorization header is not a list of key=value pairs")]
    NotKeyValue { part: String },
    #[error("the authorization header lacks parameters")]
    MissingParts { missing: Vec<&'static str>, date: bool, authorization: String },
    #[error("the query lacks signature parameters")]
    MissingQueryParts { missing: Vec<&'static str> },
    #[error("the request time {got:?} is unreadable")]
    UnreadableDate { got: String, presigned: bool },
    #[error("the request of {} is too old at {}", request.text(), now.text())]
    Expired { request: Stamp, now: Stamp, window: i64, expires: Option<i64> },
    #[error("the request of {} is ahead of {}", request.text(), now.text())]
    NotYetCurrent { request: Stamp, now: Stamp, window: i64, expires: Option<i64> },
    #[error("X-Amz-Expires {got:?} is not a number")]
    ExpiresNotANumber { got: String },
    #[error("X-Amz-Expires is negative")]
    ExpiresNegative,
    #[error("X-Amz-Expires is more than a week")]
    ExpiresTooLong,
    #[error("the Host header is not signed")]
    HostNotSigned,
    #[error("headers that must be signed are not: {}", names.join(", "))]
    HeadersNotSigned { names: Vec<String> },
    #[error("the credential {got:?} has not five parts")]
    CredentialShape { got: String, presigned: bool },
    #[error("the credential scope is wrong")]
    Scope { faults: Box<ScopeFaults>, presigned: bool },
    #[error("X-Amz-Content-Sha256 is missing")]
    MissingContentSha256,
    #[error("X-Amz-Content-Sha256 {got:?} is neither a hash nor a known word")]
    BadContentSha256 { got: String },
    #[error("the body's hash is not the stated one")]
    ContentSha256Mismatch { claimed: String, computed: String },
    #[error("the signature does not match")]
    SignatureMismatch {
        access_key: String,
        provided: String,
        string_to_sign: String,
        canonical_request: String,
    },
    // The four below are found by whoever looks up keys and tokens, and worded here with the rest.
    #[error("there is no access key {access_key:?}")]
    UnknownAccessKey { access_key: String },
    #[error("the session token is not that of the access key")]
    InvalidToken,
    #[error("the session token has expired")]
    ExpiredToken { token: String },
    #[error(transparent)]
    Chunk(#[from] ChunkError),
}

/// What can be wrong with an aws-chunked body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    #[error("X-Amz-Decoded-Content-Length is missing or not a number")]
    MissingDecodedLength,
    #[error("the aws-chunked framing is broken: {0}")]
    Malformed(&'static str),
    #[error("chunk {chunk} has only {size} bytes and is not the last")]
    SmallChunk { chunk: u64, size: u64 },
    #[error("the body has other than the stated {expected} bytes")]
    Length { expected: u64 },
    #[error("the signature of chunk {chunk} does not match")]
    Signature { chunk: u64, access_key: String, string_to_sign: String, provided: String },
    #[error("the trailing headers are not as announced: {0}")]
    Trailer(&'static str),
    #[error("trailing header {name:?} is not one that is known")]
    UnsupportedTrailer { name: String },
    #[error("the {algorithm} is not that of the body")]
    Checksum { algorithm: &'static str },
    #[error("{header} is not a checksum")]
    BadChecksum { header: &'static str },
}
