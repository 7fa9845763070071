//! The wording of refusals: AWS's code, status, text and extra members, by the protocol that the
//! request came in.
//!
//! JSON services say `InvalidSignatureException` where Query services say `SignatureDoesNotMatch`,
//! and S3 has its own, finer set of codes, which SDKs and tools match on.

use crate::error::{ChunkError, ScopeFaults, SigV4Error};
use crate::time::Stamp;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// How the request's protocol words its errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// awsJson 1.0 and 1.1, rpc-v2-cbor.
    Json,
    RestJson,
    /// awsQuery, and restXml services other than S3.
    Query,
    Ec2,
    S3,
}

/// A refusal as it goes to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub code: &'static str,
    pub status: u16,
    pub message: String,
    /// Elements beside code and message, which only S3 has.
    pub members: Vec<(&'static str, String)>,
}

const MISMATCH: &str = "The request signature we calculated does not match the signature you \
     provided. Check your AWS Secret Access Key and signing method. Consult the service \
     documentation for details.";
const TOKEN_INVALID: &str = "The security token included in the request is invalid.";
const TOKEN_EXPIRED: &str = "The security token included in the request is expired";
const EC2_AUTH: &str = "AWS was not able to validate the provided access credentials";

/// The general kinds, each of which has a name per protocol.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Missing,
    Incomplete,
    Mismatch,
    /// A mismatch of the clock, which EC2 words on its own.
    Clock,
    Unknown,
    Expired,
}

impl Kind {
    fn code(self, dialect: Dialect) -> (&'static str, u16) {
        let json = matches!(dialect, Dialect::Json | Dialect::RestJson);
        let status = if dialect == Dialect::Json { 400 } else { 403 };
        if dialect == Dialect::Ec2 {
            match self {
                Self::Clock | Self::Unknown => return ("AuthFailure", 401),
                Self::Expired => return ("RequestExpired", 400),
                Self::Missing | Self::Incomplete | Self::Mismatch => {}
            }
        }
        match (self, json) {
            (Self::Missing, true) => ("MissingAuthenticationTokenException", status),
            (Self::Missing, false) => ("MissingAuthenticationToken", 403),
            (Self::Incomplete, true) => ("IncompleteSignatureException", status),
            (Self::Incomplete, false) => ("IncompleteSignature", 400),
            (Self::Mismatch | Self::Clock, true) => ("InvalidSignatureException", status),
            (Self::Mismatch | Self::Clock, false) => ("SignatureDoesNotMatch", 403),
            (Self::Unknown, true) => ("UnrecognizedClientException", status),
            (Self::Unknown, false) => ("InvalidClientTokenId", 403),
            (Self::Expired, true) => ("ExpiredTokenException", status),
            (Self::Expired, false) => ("ExpiredToken", 403),
        }
    }
}

impl SigV4Error {
    /// The refusal in the words of `dialect`.
    pub fn answer(&self, dialect: Dialect) -> Answer {
        if dialect == Dialect::S3 {
            return crate::answer_s3::answer(self);
        }
        let kind = self.kind();
        let (code, status) = kind.code(dialect);
        let json = matches!(dialect, Dialect::Json | Dialect::RestJson);
        let message = match (code, kind) {
            ("AuthFailure", _) => EC2_AUTH.to_owned(),
            ("RequestExpired", _) => "Request has expired.".to_owned(),
            (_, Kind::Missing) if json => "Missing Authentication Token".to_owned(),
            (_, Kind::Missing) => "Request is missing Authentication Token".to_owned(),
            (_, Kind::Incomplete) => self.incomplete_text(),
            (_, Kind::Mismatch | Kind::Clock) => self.mismatch_text(),
            (_, Kind::Unknown) => TOKEN_INVALID.to_owned(),
            (_, Kind::Expired) => TOKEN_EXPIRED.to_owned(),
        };
        Answer { code, status, message, members: Vec::new() }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::MissingAuthentication | Self::UnsupportedScheme { .. } => Kind::Missing,
            Self::SignatureVersion2
            | Self::UnsupportedAlgorithm { .. }
            | Self::NotKeyValue { .. }
            | Self::MissingParts { .. }
            | Self::MissingQueryParts { .. }
            | Self::UnreadableDate { .. }
            | Self::ExpiresNotANumber { .. }
            | Self::ExpiresNegative
            | Self::ExpiresTooLong
            | Self::CredentialShape { .. } => Kind::Incomplete,
            Self::Expired { .. } | Self::NotYetCurrent { .. } => Kind::Clock,
            // Other services have no word of their own for what is wrong with a body: its hash is
            // a part of the signed text, so a wrong one is a signature that does not match.
            Self::TwoMechanisms { .. }
            | Self::HostNotSigned
            | Self::HeadersNotSigned { .. }
            | Self::Scope { .. }
            | Self::MissingContentSha256
            | Self::BadContentSha256 { .. }
            | Self::ContentSha256Mismatch { .. }
            | Self::SignatureMismatch { .. }
            | Self::Chunk(_) => Kind::Mismatch,
            Self::UnknownAccessKey { .. } | Self::InvalidToken => Kind::Unknown,
            Self::ExpiredToken { .. } => Kind::Expired,
        }
    }

    fn incomplete_text(&self) -> String {
        match self {
            Self::UnsupportedAlgorithm { algorithm, .. } => {
                format!(
                    "Unsupported AWS 'algorithm': '{algorithm}' (only AWS4-HMAC-SHA256 for now). "
                )
            }
            Self::NotKeyValue { part } => format!(
                "Invalid key=value pair (missing equal-sign) in Authorization header (hashed \
                 with SHA-256 and encoded with Base64): '{}'.",
                hashed(part)
            ),
            Self::MissingParts { missing, date, authorization } => {
                missing_parts(missing, *date, authorization)
            }
            Self::MissingQueryParts { missing } => {
                let mut text = String::new();
                for name in missing {
                    text += &format!("AWS query-string parameters must include '{name}'. ");
                }
                text + "Re-examine the query-string parameters."
            }
            Self::UnreadableDate { got, .. } => format!(
                "Date must be in ISO-8601 'basic format'. Got '{got}'. See \
                 http://en.wikipedia.org/wiki/ISO_8601"
            ),
            Self::ExpiresNotANumber { .. } => "X-Amz-Expires should be a number".to_owned(),
            Self::ExpiresNegative => "X-Amz-Expires must be non-negative".to_owned(),
            Self::ExpiresTooLong => EXPIRES_TOO_LONG.to_owned(),
            Self::CredentialShape { got, .. } => format!(
                "Credential must have exactly 5 slash-delimited elements, e.g. \
                 keyid/date/region/service/term, got '{got}'"
            ),
            _ => "Signature Version 2 is not supported. Please use AWS4-HMAC-SHA256.".to_owned(),
        }
    }

    fn mismatch_text(&self) -> String {
        match self {
            Self::TwoMechanisms { .. } => "Found both 'X-Amz-Algorithm' as a query-string param \
                 and 'Authorization' as HTTP header."
                .to_owned(),
            Self::Expired { request, now, window, .. } => clock_text(request, now, -window),
            Self::NotYetCurrent { request, now, window, .. } => clock_text(request, now, *window),
            Self::HostNotSigned => {
                "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."
                    .to_owned()
            }
            Self::HeadersNotSigned { names } => {
                let each = names.iter().map(|name| {
                    format!("'{name}' must be a 'SignedHeader' in the AWS Authorization.")
                });
                each.collect::<Vec<_>>().join(" ")
            }
            Self::Scope { faults, .. } => scope_text(faults),
            _ => MISMATCH.to_owned(),
        }
    }
}

pub(crate) const EXPIRES_TOO_LONG: &str = "X-Amz-Expires must be less than a week (in seconds); \
     that is, the given X-Amz-Expires must be less than 604800 seconds";

fn hashed(text: &str) -> String {
    STANDARD.encode(Sha256::digest(text))
}

// AWS: the header itself is not repeated, since people send secrets in it.
fn missing_parts(missing: &[&str], date: bool, authorization: &str) -> String {
    let mut text = String::new();
    for name in missing {
        text += &format!("Authorization header requires '{name}' parameter. ");
    }
    if date {
        text += "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' \
                 header. ";
    }
    text + &format!(
        "(Hashed with SHA-256 and encoded with Base64) Authorization={}",
        hashed(authorization)
    )
}

/// `window` is negative for a signature that is too old.
fn clock_text(request: &Stamp, now: &Stamp, window: i64) -> String {
    let limit = Stamp::from_seconds(now.seconds.saturating_add(window));
    let size = window.abs();
    let size = if size % 60 == 0 { format!("{} min", size / 60) } else { format!("{size} sec") };
    let (start, sign) = if window < 0 {
        ("Signature expired: {} is now earlier than", '-')
    } else {
        ("Signature not yet current: {} is still later than", '+')
    };
    let start = start.replace("{}", request.text());
    format!("{start} {} ({} {sign} {size}.)", limit.text(), now.text())
}

// AWS: all that is wrong with a scope is told at once, each sentence followed by a space.
fn scope_text(faults: &ScopeFaults) -> String {
    let mut text = String::new();
    if faults.region.is_some() {
        text += "Credential should be scoped to a valid region. ";
    }
    if let Some((_, expected)) = &faults.service {
        text += &format!("Credential should be scoped to correct service: '{expected}'. ");
    }
    if let Some(got) = &faults.terminator {
        text += &format!(
            "Credential should be scoped with a valid terminator: 'aws4_request', not '{got}'. "
        );
    }
    if let Some((got, time)) = &faults.date {
        let date = time.get(..8).unwrap_or_default();
        text += &format!(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from \
             HTTP: '{got}' != '{date}', from '{time}'."
        );
    }
    text
}

impl ChunkError {
    /// S3's answer; no other service takes aws-chunked bodies.
    pub fn answer(&self) -> Answer {
        SigV4Error::from(self.clone()).answer(Dialect::S3)
    }
}
