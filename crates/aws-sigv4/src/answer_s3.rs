//! S3's wording of refusals: finer codes than other services', with the facts as XML members.

use crate::answer::{Answer, EXPIRES_TOO_LONG};
use crate::error::{ChunkError, ScopeFaults, SigV4Error};
use crate::time::Stamp;

const MALFORMED: &str = "The authorization header is malformed; ";
const QUERY_CREDENTIAL: &str = "Error parsing the X-Amz-Credential parameter; ";
const CREDENTIAL_SHAPE: &str = "the Credential is mal-formed; expecting \
     \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".";
const USE_V4: &str = "The authorization mechanism you have provided is not supported. Please use \
     AWS4-HMAC-SHA256.";
const ONE_MECHANISM: &str = "Only one auth mechanism allowed; only the X-Amz-Algorithm query \
     parameter, Signature query string parameter or the Authorization header should be specified";
const NEEDS_QUERY: &str = "Query-string authentication version 4 requires the X-Amz-Algorithm, \
     X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires \
     parameters.";
const CONTENT_SHA256: &str = "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, \
     STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, \
     STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD, \
     STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER or a valid sha256 value.";
const SIGNATURE: &str = "The request signature we calculated does not match the signature you \
     provided. Check your key and signing method.";
const TRAILER: &str = "The request contained trailing data that was not well-formed or did not \
     conform to our published schema.";

fn say(code: &'static str, status: u16, message: impl Into<String>) -> Answer {
    Answer { code, status, message: message.into(), members: Vec::new() }
}

impl Answer {
    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.members.push((name, value.into()));
        self
    }
}

fn query(message: impl Into<String>) -> Answer {
    say("AuthorizationQueryParametersError", 400, message)
}

fn header(message: &str) -> Answer {
    say("AuthorizationHeaderMalformed", 400, format!("{MALFORMED}{message}"))
}

pub(crate) fn answer(error: &SigV4Error) -> Answer {
    use SigV4Error as E;
    match error {
        E::TwoMechanisms { authorization } => {
            let answer =
                say("InvalidArgument", 400, ONE_MECHANISM).with("ArgumentName", "Authorization");
            match authorization {
                Some(value) => answer.with("ArgumentValue", value),
                None => answer,
            }
        }
        E::UnsupportedScheme { authorization, .. } => {
            say("InvalidArgument", 400, "Unsupported Authorization Type")
                .with("ArgumentName", "Authorization")
                .with("ArgumentValue", authorization)
        }
        E::SignatureVersion2 | E::UnsupportedAlgorithm { presigned: false, .. } => {
            say("InvalidRequest", 400, USE_V4)
        }
        E::UnsupportedAlgorithm { presigned: true, .. } => {
            query("X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\"")
        }
        E::NotKeyValue { .. } | E::MissingParts { date: false, .. } => header(
            "the authorization header requires three components: Credential, SignedHeaders, and \
             Signature.",
        ),
        E::MissingParts { date: true, .. } | E::UnreadableDate { presigned: false, .. } => say(
            "AccessDenied",
            403,
            "AWS authentication requires a valid Date or x-amz-date header",
        ),
        E::MissingQueryParts { .. } => query(NEEDS_QUERY),
        E::UnreadableDate { presigned: true, .. } => {
            query("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
        }
        E::Expired { .. } | E::NotYetCurrent { .. } => out_of_time(error),
        E::ExpiresNotANumber { .. } => query("X-Amz-Expires should be a number"),
        E::ExpiresNegative => query("X-Amz-Expires must be non-negative"),
        E::ExpiresTooLong => query(EXPIRES_TOO_LONG),
        E::HostNotSigned => unsigned_headers("host".to_owned()),
        E::HeadersNotSigned { names } => unsigned_headers(names.join(", ")),
        E::CredentialShape { presigned: false, .. } => header(CREDENTIAL_SHAPE),
        E::CredentialShape { presigned: true, .. } => {
            query(format!("{QUERY_CREDENTIAL}{CREDENTIAL_SHAPE}"))
        }
        E::Scope { faults, presigned } => scope(faults, *presigned),
        E::Chunk(error) => chunk(error),
        _ => identity_or_body(error),
    }
}

fn identity_or_body(error: &SigV4Error) -> Answer {
    use SigV4Error as E;
    match error {
        E::MissingContentSha256 => say(
            "InvalidRequest",
            400,
            "Missing required header for this request: x-amz-content-sha256",
        ),
        E::BadContentSha256 { got } => say("InvalidArgument", 400, CONTENT_SHA256)
            .with("ArgumentName", "x-amz-content-sha256")
            .with("ArgumentValue", got),
        E::ContentSha256Mismatch { claimed, computed } => say(
            "XAmzContentSHA256Mismatch",
            400,
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
        )
        .with("ClientComputedContentSHA256", claimed)
        .with("S3ComputedContentSHA256", computed),
        E::SignatureMismatch { access_key, provided, string_to_sign, canonical_request } => {
            say("SignatureDoesNotMatch", 403, SIGNATURE)
                .with("AWSAccessKeyId", access_key)
                .with("StringToSign", string_to_sign)
                .with("SignatureProvided", provided)
                .with("StringToSignBytes", spaced_hex(string_to_sign))
                .with("CanonicalRequest", canonical_request)
                .with("CanonicalRequestBytes", spaced_hex(canonical_request))
        }
        E::UnknownAccessKey { access_key } => say(
            "InvalidAccessKeyId",
            403,
            "The AWS Access Key Id you provided does not exist in our records.",
        )
        .with("AWSAccessKeyId", access_key),
        E::InvalidToken => {
            say("InvalidToken", 400, "The provided token is malformed or otherwise invalid.")
        }
        E::ExpiredToken { token } => {
            say("ExpiredToken", 400, "The provided token has expired.").with("Token-0", token)
        }
        _ => say("AccessDenied", 403, "Access Denied"),
    }
}

fn out_of_time(error: &SigV4Error) -> Answer {
    use SigV4Error as E;
    match error {
        E::Expired { request, now, expires: Some(expires), .. } => {
            out_of_window("Request has expired", request, now, *expires)
                .with("X-Amz-Expires", expires.to_string())
        }
        E::NotYetCurrent { request, now, expires: Some(expires), .. } => {
            out_of_window("Request is not yet valid", request, now, *expires)
                .with("X-Amz-Date", request.seconds.saturating_mul(1000).to_string())
        }
        E::Expired { request, now, .. } | E::NotYetCurrent { request, now, .. } => say(
            "RequestTimeTooSkewed",
            403,
            "The difference between the request time and the current time is too large.",
        )
        .with("RequestTime", request.text())
        .with("ServerTime", now.extended())
        .with("MaxAllowedSkewMilliseconds", "900000"),
        _ => say("AccessDenied", 403, "Access Denied"),
    }
}

fn unsigned_headers(names: String) -> Answer {
    say("AccessDenied", 403, "There were headers present in the request which were not signed")
        .with("HeadersNotSigned", names)
}

fn out_of_window(message: &str, request: &Stamp, now: &Stamp, expires: i64) -> Answer {
    let end = Stamp::from_seconds(request.seconds.saturating_add(expires));
    say("AccessDenied", 403, message)
        .with("Expires", end.extended())
        .with("ServerTime", now.extended())
}

// AWS: S3 names the first fault only, in this order.
fn scope(faults: &ScopeFaults, presigned: bool) -> Answer {
    let prefixed = |message: String| match presigned {
        true => query(format!("{QUERY_CREDENTIAL}{message}")),
        false => header(&message),
    };
    if let Some((got, expected)) = &faults.region {
        if got.is_empty() {
            return prefixed("a non-empty region must be provided in the credential.".to_owned());
        }
        return prefixed(format!("the region '{got}' is wrong; expecting '{expected}'"))
            .with("Region", expected);
    }
    if let Some((got, expected)) = &faults.service {
        return prefixed(format!(
            "incorrect service \"{got}\". This endpoint belongs to \"{expected}\"."
        ));
    }
    if let Some(got) = &faults.terminator {
        return prefixed(format!(
            "incorrect terminal \"{got}\". This endpoint uses \"aws4_request\"."
        ));
    }
    let (got, time) = faults.date.clone().unwrap_or_default();
    match presigned {
        true => query(format!(
            "Invalid credential date \"{got}\". This date is not the same as X-Amz-Date: \"{}\".",
            time.get(..8).unwrap_or_default()
        )),
        false => header("Invalid credential date. Date is not the same as X-Amz-Date."),
    }
}

fn chunk(error: &ChunkError) -> Answer {
    match error {
        ChunkError::MissingDecodedLength => {
            say("MissingContentLength", 411, "You must provide the Content-Length HTTP header.")
        }
        ChunkError::Malformed(_) => {
            say("IncompleteBody", 400, "The request body terminated unexpectedly")
        }
        ChunkError::Length { .. } => say(
            "IncompleteBody",
            400,
            "You did not provide the number of bytes specified by the \
             x-amz-decoded-content-length HTTP header",
        ),
        ChunkError::SmallChunk { chunk, size } => say(
            "InvalidChunkSizeError",
            403,
            "Only the last chunk is allowed to have a size less than 8192 bytes",
        )
        .with("Chunk", chunk.to_string())
        .with("BadChunkSize", size.to_string()),
        ChunkError::Signature { access_key, string_to_sign, provided, .. } => {
            say("SignatureDoesNotMatch", 403, SIGNATURE)
                .with("AWSAccessKeyId", access_key)
                .with("StringToSign", string_to_sign)
                .with("SignatureProvided", provided)
                .with("StringToSignBytes", spaced_hex(string_to_sign))
        }
        ChunkError::Trailer(_) => say("MalformedTrailerError", 400, TRAILER),
        ChunkError::UnsupportedTrailer { .. } => say(
            "InvalidRequest",
            400,
            "The value specified in the x-amz-trailer header is not supported",
        ),
        ChunkError::Checksum { algorithm } => say(
            "BadDigest",
            400,
            format!("The {algorithm} you specified did not match the calculated checksum."),
        ),
        ChunkError::BadChecksum { header } => {
            say("InvalidRequest", 400, format!("Value for {header} trailing header is invalid."))
        }
    }
}

fn spaced_hex(text: &str) -> String {
    let bytes: Vec<String> = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    bytes.join(" ")
}
