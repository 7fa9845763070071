//! The one error that callers of AWS actions see: code, text, status, fault, and the members that
//! a modelled error adds.
//!
//! Errors that every service shares are spelled differently by the protocol that carries them
//! (`AccessDenied` with 403 in query, `AccessDeniedException` with 400 in json). Such an error
//! holds its kind, and takes its final code and status when it is written.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::service::{ErrorDef, Protocol};
use crate::shape::{AnyShape, Shape};

/// Who is to blame: the caller (4xx) or the service (5xx).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    Client,
    Server,
}

/// An error that an AWS caller gets.
#[derive(Clone, Debug)]
pub struct ApiError {
    /// The code as the query protocols spell it, which is the shape's name in most services.
    pub code: Cow<'static, str>,
    /// The name of the shape where it differs from the code.
    pub name: Option<Cow<'static, str>>,
    pub message: String,
    pub status: u16,
    pub fault: Fault,
    /// Which of the errors common to all services this is.
    pub common: Option<Common>,
    /// The modelled structure, for errors with more members than a message.
    pub detail: Option<Arc<dyn AnyShape>>,
    /// What led to it, for the log; never sent to the caller.
    pub source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// Code and status of a common error in one protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spelling {
    pub code: &'static str,
    pub status: u16,
}

macro_rules! common_errors {
    ($($kind:ident $function:ident: $json:literal $json_status:literal,
        $query:literal $query_status:literal, $rest_xml:literal $rest_xml_status:literal;)*) => {
        /// The errors that AWS's front ends raise for every service.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Common {
            $( $kind, )*
        }

        impl Common {
            pub const ALL: &'static [Common] = &[$( Common::$kind, )*];

            /// The error's code and status in a protocol.
            pub const fn spelling(self, protocol: Protocol) -> Spelling {
                use Protocol::*;
                match (self, protocol) {
                    $(
                        (Common::$kind, AwsJson10 | AwsJson11 | RestJson | RpcV2Cbor) => {
                            Spelling { code: $json, status: $json_status }
                        }
                        (Common::$kind, AwsQuery | Ec2Query) => {
                            Spelling { code: $query, status: $query_status }
                        }
                        (Common::$kind, RestXml) => {
                            Spelling { code: $rest_xml, status: $rest_xml_status }
                        }
                    )*
                }
            }
        }

        impl ApiError {
            $(
                pub fn $function(message: impl Into<String>) -> ApiError {
                    ApiError::common(Common::$kind, message)
                }
            )*
        }
    };
}

// Kind, constructor: code and status in json/cbor/rest-json; in query/ec2; in rest-xml (S3).
common_errors! {
    AccessDenied access_denied:
        "AccessDeniedException" 400, "AccessDenied" 403, "AccessDenied" 403;
    ExpiredToken expired_token:
        "ExpiredTokenException" 400, "ExpiredToken" 403, "ExpiredToken" 400;
    IncompleteSignature incomplete_signature:
        "IncompleteSignatureException" 400, "IncompleteSignature" 400, "AccessDenied" 403;
    InternalFailure internal_failure:
        "InternalFailure" 500, "InternalFailure" 500, "InternalError" 500;
    InvalidAction invalid_action:
        "UnknownOperationException" 400, "InvalidAction" 400, "MethodNotAllowed" 405;
    InvalidClientTokenId invalid_client_token_id:
        "UnrecognizedClientException" 400, "InvalidClientTokenId" 403, "InvalidAccessKeyId" 403;
    InvalidSignature invalid_signature:
        "InvalidSignatureException" 400, "SignatureDoesNotMatch" 403, "SignatureDoesNotMatch" 403;
    MalformedRequest malformed_request:
        "SerializationException" 400, "MalformedInput" 400, "MalformedXML" 400;
    MissingAuthenticationToken missing_authentication_token:
        "MissingAuthenticationTokenException" 400, "MissingAuthenticationToken" 403,
        "AccessDenied" 403;
    NotFound not_found:
        "UnknownOperationException" 404, "InvalidAction" 404, "NoSuchKey" 404;
    OptInRequired opt_in_required:
        "OptInRequired" 403, "OptInRequired" 403, "NotSignedUp" 403;
    RequestExpired request_expired:
        "RequestExpired" 400, "RequestExpired" 400, "RequestTimeTooSkewed" 403;
    RequestTooLarge request_entity_too_large:
        "RequestEntityTooLargeException" 413, "RequestEntityTooLarge" 413, "EntityTooLarge" 400;
    ServiceUnavailable service_unavailable:
        "ServiceUnavailableException" 503, "ServiceUnavailable" 503, "ServiceUnavailable" 503;
    Throttling throttling:
        "ThrottlingException" 400, "Throttling" 400, "SlowDown" 503;
    UnsupportedOperation unsupported_operation:
        "UnsupportedOperation" 400, "UnsupportedOperation" 400, "NotImplemented" 501;
    Validation validation:
        "ValidationException" 400, "ValidationError" 400, "InvalidRequest" 400;
}

impl ApiError {
    /// An error with a given code, outside any model.
    pub fn new(
        code: impl Into<Cow<'static, str>>,
        status: u16,
        message: impl Into<String>,
    ) -> Self {
        ApiError {
            code: code.into(),
            name: None,
            message: message.into(),
            status,
            fault: if status >= 500 { Fault::Server } else { Fault::Client },
            common: None,
            detail: None,
            source: None,
        }
    }

    /// An error that the model declares; generated constructors call this.
    pub fn modelled(def: &'static ErrorDef, message: impl Into<String>) -> Self {
        let mut error = ApiError::new(def.code, def.status, message);
        error.name = (def.name != def.code).then_some(Cow::Borrowed(def.name));
        error.fault = def.fault;
        error
    }

    /// An error common to all services; it is spelled by the protocol that carries it.
    pub fn common(kind: Common, message: impl Into<String>) -> Self {
        let query = kind.spelling(Protocol::AwsQuery);
        let mut error = ApiError::new(query.code, query.status, message);
        let json = kind.spelling(Protocol::AwsJson11).code;
        error.name = (json != query.code).then_some(Cow::Borrowed(json));
        error.common = Some(kind);
        error
    }

    /// Adds the members that the modelled error has besides its message.
    pub fn with_detail<T: Shape>(mut self, detail: T) -> Self {
        self.detail = Some(Arc::new(detail));
        self
    }

    /// Adds what led to the error, for the log.
    pub fn with_source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// The code that a caller of this protocol sees.
    pub fn code_in(&self, protocol: Protocol) -> &str {
        if let Some(kind) = self.common {
            return kind.spelling(protocol).code;
        }
        match &self.name {
            Some(name) if protocol.names_errors_by_shape() => name,
            _ => &self.code,
        }
    }

    /// The HTTP status that a caller of this protocol sees.
    pub fn status_in(&self, protocol: Protocol) -> u16 {
        self.common.map_or(self.status, |kind| kind.spelling(protocol).status)
    }

    /// Whether the error has this code, in either of its spellings.
    pub fn is(&self, code: &str) -> bool {
        self.code == code || self.name.as_deref() == Some(code)
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for ApiError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}
