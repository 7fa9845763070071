//! Who signed this request? The only place where a secret is looked at.

use std::sync::Arc;

use aws_protocol::{ApiError, Protocol};
use aws_sigv4::{Body, Dialect, Payload, Request, Rules, SigV4Error, SigningKeys};
use core_step::{Caller, CredentialError, Identity, View};
use core_types::Region;

/// An authenticated request.
pub struct Authenticated {
    pub caller: Arc<Caller>,
    pub region: Region,
}

/// Verify the signature over a body that is at hand.
pub fn authenticate(
    identity: &dyn Identity,
    keys: &SigningKeys,
    view: &View<'_>,
    request: &Request<'_>,
    rules: &Rules<'_>,
    body: &[u8],
    clock: i64,
) -> Result<Authenticated, SigV4Error> {
    let parsed = aws_sigv4::parse(request, rules, clock)?;
    let parsed = parsed.ok_or(SigV4Error::MissingAuthentication)?;
    let access_key = parsed.credential.access_key();
    let credentials =
        identity.credentials(view, access_key, parsed.token.as_deref()).map_err(|e| match e {
            CredentialError::Unknown => {
                SigV4Error::UnknownAccessKey { access_key: access_key.to_owned() }
            }
            CredentialError::BadToken => SigV4Error::InvalidToken,
            CredentialError::Expired => SigV4Error::ExpiredToken {
                token: parsed.token.as_deref().unwrap_or_default().to_owned(),
            },
        })?;
    let verified = aws_sigv4::verify(&parsed, &credentials.secret, Body::Bytes(body), keys)?;
    if let Payload::Chunked(_) = verified.payload {
        // Only S3 streams, and its objects are read by the crate that keeps them.
        return Err(SigV4Error::BadContentSha256 { got: "STREAMING".to_owned() });
    }
    let region = parsed.credential.region();
    let region = region.parse().map_err(|_| SigV4Error::Scope {
        faults: Box::new(aws_sigv4::ScopeFaults {
            region: Some((region.to_owned(), "us-east-1".to_owned())),
            ..Default::default()
        }),
        presigned: parsed.presigned.is_some(),
    })?;
    Ok(Authenticated { caller: credentials.caller, region })
}

/// The caller of an operation that AWS takes unsigned, where the request carries no signature.
pub fn anonymous() -> Authenticated {
    // AWS: without a credential scope the global endpoint's region counts.
    let region = "us-east-1".parse().expect("a region's name");
    Authenticated { caller: Arc::new(Caller::anonymous()), region }
}

/// The refusal as an AWS error of the request's protocol.
pub fn refusal(error: &SigV4Error, protocol: Protocol) -> ApiError {
    let answer = error.answer(dialect(protocol));
    ApiError::new(answer.code, answer.status, answer.message)
}

fn dialect(protocol: Protocol) -> Dialect {
    match protocol {
        Protocol::AwsJson10 | Protocol::AwsJson11 | Protocol::RpcV2Cbor => Dialect::Json,
        Protocol::RestJson => Dialect::RestJson,
        Protocol::AwsQuery => Dialect::Query,
        Protocol::Ec2Query => Dialect::Ec2,
        Protocol::RestXml => Dialect::S3,
    }
}
