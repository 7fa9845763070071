//! Reading a signature from a request, and all of its checks that need no secret, in AWS's order:
//! present, complete, of this time, of our algorithm, for this service, and over all that must be
//! signed.

use crate::canonical::decode_query;
use crate::error::{ScopeFaults, SigV4Error};
use crate::request::{PresignWindow, Request, Rules, Style};
use crate::time::Stamp;
use std::borrow::Cow;
use std::ops::Range;

/// Clocks may differ by this much.
pub const SKEW_SECONDS: i64 = 15 * 60;
/// The longest life of a presigned URL.
pub const MAX_PRESIGN_SECONDS: i64 = 7 * 24 * 3600;

pub(crate) const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// `AKID/20150830/us-east-1/ecs/aws4_request`, with where its parts are.
#[derive(Clone, Debug)]
pub struct Credential<'a> {
    text: Cow<'a, str>,
    parts: [Range<usize>; 5],
}

impl<'a> Credential<'a> {
    fn split(text: Cow<'a, str>) -> Option<Self> {
        // AWS: trailing slashes are ignored.
        let length = text.trim_end_matches('/').len();
        let mut parts: [Range<usize>; 5] = Default::default();
        let (mut start, mut count) = (0, 0);
        for piece in text[..length].split('/') {
            *parts.get_mut(count)? = start..start + piece.len();
            start += piece.len() + 1;
            count += 1;
        }
        (count == 5).then_some(Self { text, parts })
    }

    /// The credential as sent.
    pub fn text(&self) -> &str {
        &self.text
    }
    pub fn access_key(&self) -> &str {
        &self.text[self.parts[0].clone()]
    }
    pub fn date(&self) -> &str {
        &self.text[self.parts[1].clone()]
    }
    pub fn region(&self) -> &str {
        &self.text[self.parts[2].clone()]
    }
    pub fn service(&self) -> &str {
        &self.text[self.parts[3].clone()]
    }
    pub fn terminator(&self) -> &str {
        &self.text[self.parts[4].clone()]
    }
    /// `20150830/us-east-1/ecs/aws4_request`.
    pub fn scope(&self) -> &str {
        &self.text[self.parts[1].start..self.parts[4].end]
    }
}

/// A request's signature, taken apart and found sound in all that needs no secret.
#[derive(Clone, Debug)]
pub struct Parsed<'a> {
    pub request: Request<'a>,
    pub style: Style,
    pub credential: Credential<'a>,
    pub signed_headers: Cow<'a, str>,
    pub signature: Cow<'a, str>,
    pub time: Stamp,
    /// The session token, from the header or the query.
    pub token: Option<Cow<'a, str>>,
    /// `X-Amz-Expires`, where the request is a presigned URL.
    pub presigned: Option<i64>,
}

/// The credential of a request without any check: for routing, before the rules are known.
pub fn peek_credential<'a>(request: &Request<'a>) -> Option<Credential<'a>> {
    let text = match header(request, "authorization") {
        Some(value) => {
            let after = &value[value.find("Credential=")? + "Credential=".len()..];
            let end = after.find([',', ' ']).unwrap_or(after.len());
            Cow::Borrowed(&after[..end])
        }
        None => query_value(request.query, "X-Amz-Credential")?,
    };
    Credential::split(text)
}

/// Reads and checks a request's signature. `Ok(None)`: the request is not signed at all.
pub fn parse<'a>(
    request: &Request<'a>,
    rules: &Rules<'_>,
    now: i64,
) -> Result<Option<Parsed<'a>>, SigV4Error> {
    let mut values = request.headers.get_all("authorization").iter();
    let authorization = match values.next() {
        // A header that is no UTF-8 is nobody's signature; it is told so by its lossy text.
        Some(value) => Some(match std::str::from_utf8(value.as_bytes()) {
            Ok(text) => text,
            Err(_) => {
                let part = String::from_utf8_lossy(value.as_bytes()).into_owned();
                return Err(SigV4Error::NotKeyValue { part });
            }
        }),
        None => None,
    };
    let presigned = has_query(request.query, "X-Amz-Algorithm");
    let version2 =
        has_query(request.query, "Signature") && has_query(request.query, "AWSAccessKeyId");
    let mechanisms = [authorization.is_some(), values.next().is_some(), presigned, version2];
    if mechanisms.iter().filter(|&&used| used).count() > 1 {
        return Err(SigV4Error::TwoMechanisms { authorization: authorization.map(str::to_owned) });
    }
    let parsed = match authorization {
        Some(text) => parse_header(request, rules, text, now)?,
        None if presigned => parse_query(request, rules, now)?,
        None if version2 => return Err(SigV4Error::SignatureVersion2),
        None => return Ok(None),
    };
    check_signed_headers(&parsed)?;
    Ok(Some(parsed))
}

fn parse_header<'a>(
    request: &Request<'a>,
    rules: &Rules<'_>,
    text: &'a str,
    now: i64,
) -> Result<Parsed<'a>, SigV4Error> {
    let text = text.trim();
    let (scheme, rest) = text.split_once(' ').unwrap_or((text, ""));
    match scheme {
        "AWS" => return Err(SigV4Error::SignatureVersion2),
        _ if scheme.starts_with("AWS4-") => {}
        _ => {
            let (scheme, authorization) = (scheme.to_owned(), text.to_owned());
            return Err(SigV4Error::UnsupportedScheme { scheme, authorization });
        }
    }
    let date = header(request, "x-amz-date").or_else(|| header(request, "date"));
    let parts = match rules.style {
        Style::General => {
            let parts = HeaderParts::read(rest, text, date.is_some())?;
            (Some(parts), check_time(read_date(date)?, rules, now, None)?)
        }
        // AWS: S3 looks at the clock before it looks at the header's parts.
        Style::S3 => (None, check_time(read_date(date)?, rules, now, None)?),
    };
    let (parts, time) = match parts {
        (Some(parts), time) => (parts, time),
        (None, time) => (HeaderParts::read(rest, text, true)?, time),
    };
    if rules.style == Style::General {
        check_host(parts.signed_headers)?;
    }
    if scheme != ALGORITHM {
        let algorithm = scheme.to_owned();
        return Err(SigV4Error::UnsupportedAlgorithm { algorithm, presigned: false });
    }
    Ok(Parsed {
        request: *request,
        style: rules.style,
        credential: check_credential(parts.credential.into(), &time, rules, false)?,
        signed_headers: parts.signed_headers.into(),
        signature: parts.signature.into(),
        time,
        token: header(request, "x-amz-security-token").map(Cow::Borrowed),
        presigned: None,
    })
}

struct HeaderParts<'a> {
    credential: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
}

impl<'a> HeaderParts<'a> {
    fn read(rest: &'a str, whole: &str, has_date: bool) -> Result<Self, SigV4Error> {
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for part in rest.split([',', ' ', '\t']).filter(|part| !part.is_empty()) {
            let bad = || SigV4Error::NotKeyValue { part: part.to_owned() };
            let (name, value) = part.split_once('=').ok_or_else(bad)?;
            let place = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed_headers,
                "Signature" => &mut signature,
                _ => return Err(bad()),
            };
            // A parameter given twice would leave open which of the two was meant.
            if place.replace(value).is_some() {
                return Err(bad());
            }
        }
        let given = |place: Option<&'a str>| place.filter(|value| !value.is_empty());
        match (given(credential), given(signed_headers), given(signature), has_date) {
            (Some(credential), Some(signed_headers), Some(signature), true) => {
                Ok(Self { credential, signed_headers, signature })
            }
            (credential, signed_headers, signature, has_date) => {
                let missing = [
                    ("Credential", credential),
                    ("Signature", signature),
                    ("SignedHeaders", signed_headers),
                ];
                let missing = missing.iter().filter(|(_, value)| value.is_none());
                Err(SigV4Error::MissingParts {
                    missing: missing.map(|(name, _)| *name).collect(),
                    date: !has_date,
                    authorization: whole.to_owned(),
                })
            }
        }
    }
}

fn parse_query<'a>(
    request: &Request<'a>,
    rules: &Rules<'_>,
    now: i64,
) -> Result<Parsed<'a>, SigV4Error> {
    let mut missing = Vec::new();
    let mut get = |name: &'static str, needed: bool| -> Cow<'a, str> {
        let value = query_value(request.query, name);
        if needed && value.as_deref().is_none_or(str::is_empty) {
            missing.push(name);
        }
        value.unwrap_or_default()
    };
    let algorithm = get("X-Amz-Algorithm", true);
    let bad_algorithm = || SigV4Error::UnsupportedAlgorithm {
        algorithm: algorithm.clone().into_owned(),
        presigned: true,
    };
    if rules.style == Style::S3 && algorithm != ALGORITHM {
        return Err(bad_algorithm());
    }
    let credential = get("X-Amz-Credential", true);
    let signature = get("X-Amz-Signature", true);
    let signed_headers = get("X-Amz-SignedHeaders", true);
    let date = get("X-Amz-Date", true);
    let expires = get("X-Amz-Expires", rules.style == Style::S3);
    if !missing.is_empty() {
        return Err(SigV4Error::MissingQueryParts { missing });
    }
    let unreadable = || SigV4Error::UnreadableDate { got: date.to_string(), presigned: true };
    let time = Stamp::parse_basic(&date).ok_or_else(unreadable)?;
    let expires = read_expires(&expires)?;
    let time = check_time(time, rules, now, Some(expires))?;
    if rules.style == Style::General {
        check_host(&signed_headers)?;
    }
    if algorithm != ALGORITHM {
        return Err(bad_algorithm());
    }
    Ok(Parsed {
        request: *request,
        style: rules.style,
        credential: check_credential(credential, &time, rules, true)?,
        signed_headers,
        signature,
        time,
        token: query_value(request.query, "X-Amz-Security-Token"),
        presigned: Some(expires),
    })
}

fn read_date(date: Option<&str>) -> Result<Stamp, SigV4Error> {
    let got = date.unwrap_or_default();
    Stamp::parse_date_header(got)
        .ok_or_else(|| SigV4Error::UnreadableDate { got: got.to_owned(), presigned: false })
}

fn read_expires(text: &str) -> Result<i64, SigV4Error> {
    // Outside S3 the parameter may be missing: what is then left is the skew that clocks may have.
    if text.is_empty() {
        return Ok(SKEW_SECONDS);
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(SigV4Error::ExpiresNotANumber { got: text.to_owned() });
    }
    match text.parse::<i64>() {
        Ok(seconds) if seconds < 0 => Err(SigV4Error::ExpiresNegative),
        Ok(seconds) if seconds <= MAX_PRESIGN_SECONDS => Ok(seconds),
        Err(_) if text.starts_with('-') => Err(SigV4Error::ExpiresNegative),
        Ok(_) | Err(_) => Err(SigV4Error::ExpiresTooLong),
    }
}

fn check_time(
    request: Stamp,
    rules: &Rules<'_>,
    now: i64,
    expires: Option<i64>,
) -> Result<Stamp, SigV4Error> {
    let window = match (expires, rules.presign) {
        (Some(expires), PresignWindow::AsStated) => expires,
        _ => SKEW_SECONDS,
    };
    let stamp = || Stamp::from_seconds(now);
    if now.saturating_sub(request.seconds) > window {
        return Err(SigV4Error::Expired { request, now: stamp(), window, expires });
    }
    if request.seconds.saturating_sub(now) > SKEW_SECONDS {
        let (now, window) = (stamp(), SKEW_SECONDS);
        return Err(SigV4Error::NotYetCurrent { request, now, window, expires });
    }
    Ok(request)
}

fn check_credential<'a>(
    text: Cow<'a, str>,
    time: &Stamp,
    rules: &Rules<'_>,
    presigned: bool,
) -> Result<Credential<'a>, SigV4Error> {
    let Some(credential) = Credential::split(text.clone()) else {
        return Err(SigV4Error::CredentialShape { got: text.into_owned(), presigned });
    };
    let mut faults = ScopeFaults::default();
    let region = credential.region();
    // A scope without a region is nobody's, even where every region is taken.
    if region.is_empty() || rules.region.is_some_and(|expected| expected != region) {
        let expected = rules.region.unwrap_or("us-east-1");
        faults.region = Some((region.to_owned(), expected.to_owned()));
    }
    let service = credential.service();
    if !rules.services.is_empty() && !rules.services.contains(&service) {
        faults.service = Some((service.to_owned(), rules.services[0].to_owned()));
    }
    if credential.terminator() != "aws4_request" {
        faults.terminator = Some(credential.terminator().to_owned());
    }
    if credential.date() != time.date() {
        faults.date = Some((credential.date().to_owned(), time.text().to_owned()));
    }
    if faults != ScopeFaults::default() {
        return Err(SigV4Error::Scope { faults: Box::new(faults), presigned });
    }
    Ok(credential)
}

fn check_host(signed_headers: &str) -> Result<(), SigV4Error> {
    if signed_headers.split(';').any(|name| name.eq_ignore_ascii_case("host")) {
        return Ok(());
    }
    Err(SigV4Error::HostNotSigned)
}

// AWS: every `x-amz-*` header that is sent must be signed. A token may be added afterwards outside
// S3 (it is compared with the access key's own), and a presigned URL's body may be declared.
fn check_signed_headers(parsed: &Parsed<'_>) -> Result<(), SigV4Error> {
    check_host(&parsed.signed_headers)?;
    let mut names = Vec::new();
    for name in parsed.request.headers.keys().map(http::HeaderName::as_str) {
        let exempt = match name {
            "x-amz-security-token" => parsed.style == Style::General,
            "x-amz-content-sha256" => parsed.presigned.is_some(),
            _ => false,
        };
        if name.starts_with("x-amz-") && !exempt && !is_signed(parsed, name) {
            names.push(name.to_owned());
        }
    }
    if names.is_empty() {
        return Ok(());
    }
    names.sort_unstable();
    Err(SigV4Error::HeadersNotSigned { names })
}

pub(crate) fn is_signed(parsed: &Parsed<'_>, name: &str) -> bool {
    parsed.signed_headers.split(';').any(|signed| signed.eq_ignore_ascii_case(name))
}

pub(crate) fn header<'a>(request: &Request<'a>, name: &str) -> Option<&'a str> {
    request.headers.get(name).and_then(|value| std::str::from_utf8(value.as_bytes()).ok())
}

fn raw_query<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').find_map(|pair| {
        let (given, value) = pair.split_once('=').unwrap_or((pair, ""));
        (given == name).then_some(value)
    })
}

fn has_query(query: &str, name: &str) -> bool {
    !query.is_empty() && raw_query(query, name).is_some()
}

pub(crate) fn query_value<'a>(query: &'a str, name: &str) -> Option<Cow<'a, str>> {
    let raw = raw_query(query, name)?;
    if raw.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return decode_query(raw).map(Cow::Owned);
    }
    Some(Cow::Borrowed(raw))
}
