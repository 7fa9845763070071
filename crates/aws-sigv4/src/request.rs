//! What a request looks like to this crate, and the rules of the service that it is for.

use http::HeaderMap;

/// A request as it came in: the path and the query are the bytes of the request line, not decoded.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub query: &'a str,
    pub headers: &'a HeaderMap,
    /// HTTP/2's `:authority`, which stands in for a missing `Host` header.
    pub authority: Option<&'a str>,
}

/// The two dialects of SigV4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Every service but S3: normalized path, double encoding, the body always hashed.
    General,
    /// S3: the path as it is, `X-Amz-Content-Sha256` required, unsigned and chunked bodies.
    S3,
}

/// How long a presigned URL is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PresignWindow {
    /// As long as its `X-Amz-Expires` says.
    AsStated,
    /// 15 minutes whatever it says.
    // AWS: STS takes a presigned GetCallerIdentity for 15 minutes even with X-Amz-Expires=60,
    // which Kubernetes' authenticators rest on.
    FifteenMinutes,
}

/// What a service demands of a signature.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    pub style: Style,
    /// The region that the scope must name. `None`: any.
    pub region: Option<&'a str>,
    /// The service names that the scope may have, the first of them named in errors. Empty: any.
    pub services: &'a [&'a str],
    pub presign: PresignWindow,
}

impl<'a> Rules<'a> {
    /// The rules of the service with these signing names, in any region.
    pub fn for_services(services: &'a [&'a str]) -> Self {
        let first = services.first().copied().unwrap_or_default();
        let style = if matches!(first, "s3" | "s3express") { Style::S3 } else { Style::General };
        let presign =
            if first == "sts" { PresignWindow::FifteenMinutes } else { PresignWindow::AsStated };
        Self { style, region: None, services, presign }
    }

    /// The same rules for one region only.
    pub fn in_region(self, region: &'a str) -> Self {
        Self { region: Some(region), ..self }
    }
}
