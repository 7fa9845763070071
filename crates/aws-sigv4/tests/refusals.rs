//! What a refused request is told, word for word, and in which order faults are found.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use aws_sigv4::{
    Body, Dialect, Request, Rules, SigV4Error, SignBody, Signer, SigningKeys, Stamp, Style, parse,
    peek_credential, verify,
};
use http::{HeaderMap, HeaderName, HeaderValue};

const TIME: &str = "20260101T120000Z";

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| {
            (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
        })
        .collect()
}

fn now() -> i64 {
    Stamp::parse_basic(TIME).unwrap().seconds
}

fn signer(service: &'static str, style: Style) -> Signer<'static> {
    Signer {
        access_key: "AKIDEXAMPLE",
        secret: "secret",
        token: None,
        region: "us-east-1",
        service,
        style,
        now: now(),
    }
}

/// The refusal of a request, parsed and then verified with the right secret.
fn refusal(pairs: &[(&str, &str)], query: &str, at: i64, service: &str) -> SigV4Error {
    let headers = headers(pairs);
    let request = Request { method: "POST", path: "/", query, headers: &headers, authority: None };
    let services = [service];
    let rules = Rules::for_services(&services).in_region("us-east-1");
    match parse(&request, &rules, at) {
        Err(error) => error,
        Ok(None) => SigV4Error::MissingAuthentication,
        Ok(Some(parsed)) => {
            verify(&parsed, "secret", Body::Bytes(b"{}"), &SigningKeys::default()).unwrap_err()
        }
    }
}

fn told(error: &SigV4Error, dialect: Dialect) -> (String, u16, String) {
    let answer = error.answer(dialect);
    (answer.code.to_owned(), answer.status, answer.message)
}

#[track_caller]
fn check(error: SigV4Error, dialect: Dialect, code: &str, status: u16, text: &str) {
    assert_eq!(told(&error, dialect), (code.to_owned(), status, text.to_owned()));
}

fn authorization(scope: &str, signed: &str) -> String {
    format!("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{scope}, SignedHeaders={signed}, Signature=00")
}

const GOOD: &str = "20260101/us-east-1/ecs/aws4_request";

#[test]
fn nothing_is_signed() {
    let none = || refusal(&[("host", "h")], "", now(), "ecs");
    let (json, plain) = ("Missing Authentication Token", "Request is missing Authentication Token");
    check(none(), Dialect::Json, "MissingAuthenticationTokenException", 400, json);
    check(none(), Dialect::RestJson, "MissingAuthenticationTokenException", 403, json);
    check(none(), Dialect::Query, "MissingAuthenticationToken", 403, plain);
    check(none(), Dialect::S3, "AccessDenied", 403, "Access Denied");
    let bearer = || refusal(&[("authorization", "Bearer x")], "", now(), "ecs");
    check(bearer(), Dialect::Query, "MissingAuthenticationToken", 403, plain);
    check(bearer(), Dialect::S3, "InvalidArgument", 400, "Unsupported Authorization Type");
}

#[test]
fn the_header_is_incomplete() {
    check(
        refusal(&[("authorization", "AWS4-HMAC-SHA256")], "", now(), "iam"),
        Dialect::Query,
        "IncompleteSignature",
        400,
        "Authorization header requires 'Credential' parameter. Authorization header requires \
         'Signature' parameter. Authorization header requires 'SignedHeaders' parameter. \
         Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. \
         (Hashed with SHA-256 and encoded with Base64) \
         Authorization=YI2YWea8FSxnksZL2ETHbs5elHm9HQufxTLK0W0ffV0=",
    );
    let error = refusal(&[("authorization", "AWS4-HMAC-SHA256 nonsense")], "", now(), "ecs");
    let answer = error.answer(Dialect::Json);
    assert_eq!(answer.code, "IncompleteSignatureException");
    assert!(answer.message.starts_with(
        "Invalid key=value pair (missing equal-sign) in Authorization header (hashed with SHA-256 \
         and encoded with Base64): '"
    ));
    check(
        refusal(&[("host", "h")], "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=x", now(), "ecs"),
        Dialect::Json,
        "IncompleteSignatureException",
        400,
        "AWS query-string parameters must include 'X-Amz-Credential'. AWS query-string parameters \
         must include 'X-Amz-Signature'. AWS query-string parameters must include \
         'X-Amz-SignedHeaders'. Re-examine the query-string parameters.",
    );
}

#[test]
fn clocks_differ() {
    let auth = authorization(GOOD, "host;x-amz-date");
    let pairs = [("host", "h"), ("x-amz-date", TIME), ("authorization", auth.as_str())];
    let late = "Signature expired: 20260101T120000Z is now earlier than 20260101T120001Z \
                (20260101T121501Z - 15 min.)";
    let error = || refusal(&pairs, "", now() + 901, "ecs");
    check(error(), Dialect::Json, "InvalidSignatureException", 400, late);
    check(error(), Dialect::Query, "SignatureDoesNotMatch", 403, late);
    let ec2 = "AWS was not able to validate the provided access credentials";
    check(error(), Dialect::Ec2, "AuthFailure", 401, ec2);
    let s3 = error().answer(Dialect::S3);
    assert_eq!((s3.code, s3.status), ("RequestTimeTooSkewed", 403));
    assert_eq!(s3.members[1], ("ServerTime", "2026-01-01T12:15:01Z".to_owned()));
    check(
        refusal(&pairs, "", now() - 901, "ecs"),
        Dialect::Json,
        "InvalidSignatureException",
        400,
        "Signature not yet current: 20260101T120000Z is still later than 20260101T115959Z \
         (20260101T114459Z + 15 min.)",
    );
    check(
        refusal(&[("authorization", &auth), ("x-amz-date", "201")], "", now(), "ecs"),
        Dialect::Json,
        "IncompleteSignatureException",
        400,
        "Date must be in ISO-8601 'basic format'. Got '201'. See \
         http://en.wikipedia.org/wiki/ISO_8601",
    );
}

#[test]
fn the_scope_is_wrong() {
    let with = |scope: &str| {
        let auth = authorization(scope, "host;x-amz-date");
        refusal(&[("host", "h"), ("x-amz-date", TIME), ("authorization", &auth)], "", now(), "ecs")
    };
    check(
        with("20250101/eu-west-1/sts/aws5"),
        Dialect::Json,
        "InvalidSignatureException",
        400,
        "Credential should be scoped to a valid region. Credential should be scoped to correct \
         service: 'ecs'. Credential should be scoped with a valid terminator: 'aws4_request', not \
         'aws5'. Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date \
         from HTTP: '20250101' != '20260101', from '20260101T120000Z'.",
    );
    check(
        with("20260101/us-east-1"),
        Dialect::Query,
        "IncompleteSignature",
        400,
        "Credential must have exactly 5 slash-delimited elements, e.g. \
         keyid/date/region/service/term, got 'AKIDEXAMPLE/20260101/us-east-1'",
    );
    check(
        with("20260101/eu-west-1/ecs/aws4_request"),
        Dialect::S3,
        "AuthorizationHeaderMalformed",
        400,
        "The authorization header is malformed; the region 'eu-west-1' is wrong; expecting \
         'us-east-1'",
    );
}

#[test]
fn algorithms_and_mechanisms() {
    let auth = authorization(GOOD, "host;x-amz-date")
        .replace("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256");
    let pairs = [("host", "h"), ("x-amz-date", TIME), ("authorization", auth.as_str())];
    check(
        refusal(&pairs, "", now(), "ecs"),
        Dialect::Json,
        "IncompleteSignatureException",
        400,
        "Unsupported AWS 'algorithm': 'AWS4-ECDSA-P256-SHA256' (only AWS4-HMAC-SHA256 for now). ",
    );
    let s3 = "The authorization mechanism you have provided is not supported. Please use \
              AWS4-HMAC-SHA256.";
    check(refusal(&pairs, "", now(), "s3"), Dialect::S3, "InvalidRequest", 400, s3);
    let v2 = refusal(&[("authorization", "AWS AKID:sig")], "", now(), "s3");
    assert_eq!(v2, SigV4Error::SignatureVersion2);
    let v2 = refusal(&[("host", "h")], "AWSAccessKeyId=A&Signature=x&Expires=1", now(), "s3");
    assert_eq!(v2, SigV4Error::SignatureVersion2);
    check(
        refusal(&pairs, "X-Amz-Algorithm=AWS4-HMAC-SHA256", now(), "ecs"),
        Dialect::Json,
        "InvalidSignatureException",
        400,
        "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.",
    );
}

#[test]
fn what_must_be_signed() {
    let auth = authorization(GOOD, "x-amz-date");
    let pairs = [("host", "h"), ("x-amz-date", TIME), ("authorization", auth.as_str())];
    check(
        refusal(&pairs, "", now(), "ecs"),
        Dialect::Json,
        "InvalidSignatureException",
        400,
        "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
    );
    let auth = authorization(&GOOD.replace("ecs", "s3"), "host;x-amz-date");
    let pairs = [("host", "h"), ("x-amz-date", TIME), ("authorization", &auth), ("x-amz-acl", "a")];
    let answer = refusal(&pairs, "", now(), "s3").answer(Dialect::S3);
    assert_eq!((answer.code, answer.status), ("AccessDenied", 403));
    assert_eq!(answer.members, [("HeadersNotSigned", "x-amz-acl".to_owned())]);
}

#[test]
fn presigned_lives() {
    let head = headers(&[("host", "h")]);
    let query = signer("s3", Style::S3).presign("POST", "/", "", &head, 60).unwrap();
    let answer = refusal(&[("host", "h")], &query, now() + 61, "s3").answer(Dialect::S3);
    assert_eq!((answer.code, answer.message.as_str()), ("AccessDenied", "Request has expired"));
    for (value, text) in [
        ("x", "X-Amz-Expires should be a number"),
        ("-5", "X-Amz-Expires must be non-negative"),
        (
            "604801",
            "X-Amz-Expires must be less than a week (in seconds); that is, the given \
             X-Amz-Expires must be less than 604800 seconds",
        ),
    ] {
        let query = query.replace("Expires=60", &format!("Expires={value}"));
        let code = "AuthorizationQueryParametersError";
        check(refusal(&[("host", "h")], &query, now(), "s3"), Dialect::S3, code, 400, text);
    }
    // STS: 15 minutes, whatever is stated.
    let query = signer("sts", Style::General).presign("GET", "/", "", &head, 60).unwrap();
    let request =
        Request { method: "GET", path: "/", query: &query, headers: &head, authority: None };
    let rules = Rules::for_services(&["sts"]);
    let parsed = parse(&request, &rules, now() + 900).unwrap().unwrap();
    assert!(verify(&parsed, "secret", Body::Bytes(b""), &SigningKeys::default()).is_ok());
    assert!(verify(&parsed, "secret", Body::Bytes(b"x"), &SigningKeys::default()).is_err());
    assert!(matches!(parse(&request, &rules, now() + 901), Err(SigV4Error::Expired { .. })));
}

#[test]
fn bodies_are_what_was_signed() {
    for (service, style) in [("ecs", Style::General), ("s3", Style::S3)] {
        let mut head = headers(&[("host", "h")]);
        signer(service, style).sign("POST", "/", "", &mut head, SignBody::Bytes(b"{}")).unwrap();
        let services = [service];
        let rules = Rules::for_services(&services);
        let request =
            Request { method: "POST", path: "/", query: "", headers: &head, authority: None };
        let parsed = parse(&request, &rules, now()).unwrap().unwrap();
        let keys = SigningKeys::default();
        assert!(verify(&parsed, "secret", Body::Bytes(b"{}"), &keys).is_ok());
        let error = verify(&parsed, "secret", Body::Bytes(b"[]"), &keys).unwrap_err();
        let code = error.answer(Dialect::Json).code;
        assert_eq!(code, "InvalidSignatureException");
        let s3 = error.answer(Dialect::S3).code;
        let expected =
            if style == Style::S3 { "XAmzContentSHA256Mismatch" } else { "SignatureDoesNotMatch" };
        assert_eq!(s3, expected);
    }
    // An unsigned body is S3's alone, and S3 demands the header.
    let mut head = headers(&[("host", "h")]);
    let unsigned = signer("ecs", Style::S3).sign("POST", "/", "", &mut head, SignBody::Unsigned);
    assert!(unsigned.is_ok());
    let pairs: Vec<(String, String)> = head
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    assert!(matches!(refusal(&pairs, "", now(), "ecs"), SigV4Error::ContentSha256Mismatch { .. }));
    let mut head = headers(&[("host", "h")]);
    signer("s3", Style::General).sign("POST", "/", "", &mut head, SignBody::Bytes(b"{}")).unwrap();
    let request = Request { method: "POST", path: "/", query: "", headers: &head, authority: None };
    let parsed = parse(&request, &Rules::for_services(&["s3"]), now()).unwrap().unwrap();
    let error = verify(&parsed, "secret", Body::Later, &SigningKeys::default()).unwrap_err();
    assert_eq!(error, SigV4Error::MissingContentSha256);
}

#[test]
fn a_mismatch_tells_s3_clients_what_was_signed() {
    let auth = authorization(GOOD, "host;x-amz-date");
    let pairs = [("host", "h"), ("x-amz-date", TIME), ("authorization", auth.as_str())];
    let error = refusal(&pairs, "", now(), "ecs");
    check(
        error.clone(),
        Dialect::Json,
        "InvalidSignatureException",
        400,
        "The request signature we calculated does not match the signature you provided. Check \
         your AWS Secret Access Key and signing method. Consult the service documentation for \
         details.",
    );
    let members = error.answer(Dialect::S3).members;
    assert_eq!(members[0], ("AWSAccessKeyId", "AKIDEXAMPLE".to_owned()));
    assert!(members[1].1.starts_with("AWS4-HMAC-SHA256\n20260101T120000Z\n20260101/us-east-1/"));
    let unknown = SigV4Error::UnknownAccessKey { access_key: "A".to_owned() };
    let text = "The security token included in the request is invalid.";
    check(unknown.clone(), Dialect::Json, "UnrecognizedClientException", 400, text);
    check(unknown, Dialect::Query, "InvalidClientTokenId", 403, text);
}

#[test]
fn the_credential_is_seen_before_any_check() {
    let auth = authorization(GOOD, "host");
    let head = headers(&[("authorization", &auth)]);
    let mut request =
        Request { method: "GET", path: "/", query: "", headers: &head, authority: None };
    let credential = peek_credential(&request).unwrap();
    assert_eq!((credential.service(), credential.region()), ("ecs", "us-east-1"));
    let none = HeaderMap::new();
    request.headers = &none;
    request.query = "X-Amz-Credential=A%2F20260101%2Fus-east-1%2Fs3%2Faws4_request";
    assert_eq!(peek_credential(&request).unwrap().service(), "s3");
}

#[test]
fn http2_names_the_host_in_its_authority() {
    let mut head = headers(&[("host", "h.example.com")]);
    signer("ecs", Style::General).sign("GET", "/", "", &mut head, SignBody::Bytes(b"")).unwrap();
    head.remove("host");
    let rules = Rules::for_services(&["ecs"]);
    for (authority, good) in [(Some("h.example.com"), true), (Some("other"), false), (None, false)]
    {
        let request = Request { method: "GET", path: "/", query: "", headers: &head, authority };
        let parsed = parse(&request, &rules, now()).unwrap().unwrap();
        let verified = verify(&parsed, "secret", Body::Bytes(b""), &SigningKeys::default());
        assert_eq!(verified.is_ok(), good);
    }
}
