//! One request: an operation, an input, a protocol, a signature, and what went wrong with each.

use std::fmt::Write as _;

use aws_protocol::{OperationDef, Protocol, ServiceDef};
use aws_sigv4::{SignBody, Signer, Style};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use http_body_util::Full;

use crate::chance::Chance;
use crate::world::{Key, World};
use crate::{bend, spell};

const HOST: &str = "localhost:4566";

/// A request as its parts, so that a failure can be told in full.
pub struct Hostile {
    pub method: Method,
    pub target: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    /// What it set out to be.
    pub operation: &'static str,
}

impl Hostile {
    /// Request number `n` of a run.
    pub fn make(world: &World, seed: u64, n: u64) -> Hostile {
        let mut chance = Chance::new(seed, n);
        let services = world.services();
        let service = services[chance.below(services.len())];
        let mut operation = service.operations[chance.below(service.operations.len())];
        if !world.offers(operation) && chance.in_a_hundred(95) {
            let offered = world.offered();
            operation = offered[chance.below(offered.len())];
        }
        let service = operation.service;
        let mut made = spelled(&mut chance, service, operation);
        if chance.tame {
            sign_well(&mut chance, world, service, &mut made);
            return made;
        }
        if chance.in_a_hundred(15) {
            made.body = bend::body(&mut chance, made.body);
        }
        if chance.in_a_hundred(4) {
            made.body = bend::gzip(&mut chance, &made.body);
            made.headers.insert("content-encoding", HeaderValue::from_static("gzip"));
        }
        if chance.in_a_hundred(6) {
            bend::headers(&mut chance, &mut made.headers);
        }
        if chance.in_a_hundred(2) {
            made.target = odd_target(&mut chance);
        }
        if chance.in_a_hundred(2) {
            let methods = [Method::GET, Method::PUT, Method::HEAD, Method::DELETE, Method::PATCH];
            made.method = methods[chance.below(methods.len())].clone();
        }
        sign(&mut chance, world, service, &mut made);
        if chance.in_a_hundred(4) {
            bend::headers(&mut chance, &mut made.headers);
        }
        made
    }

    pub fn http(&self) -> Option<http::Request<Full<Bytes>>> {
        let mut request = http::Request::builder().method(&self.method).uri(&self.target);
        *request.headers_mut()? = self.headers.clone();
        request.body(Full::new(self.body.clone().into())).ok()
    }

    /// The request as text, for a person who has to send it again.
    pub fn told(&self) -> String {
        let mut text = format!("{} {} ({})\n", self.method, self.target, self.operation);
        for (name, value) in &self.headers {
            let _ = writeln!(text, "{name}: {}", String::from_utf8_lossy(value.as_bytes()));
        }
        let shown = &self.body[..self.body.len().min(4_000)];
        let _ = write!(text, "\n{}", shown.escape_ascii());
        text
    }
}

fn spelled(
    chance: &mut Chance,
    service: &'static ServiceDef,
    operation: &'static OperationDef,
) -> Hostile {
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static(HOST));
    let mut made = Hostile {
        method: Method::POST,
        target: "/".to_owned(),
        headers,
        body: Vec::new(),
        operation: operation.name,
    };
    let native = service.protocols.first().copied().unwrap_or(Protocol::AwsJson11);
    let protocol = match chance.below(40) {
        0 => Protocol::AwsQuery,
        1 => Protocol::AwsJson10,
        2 => Protocol::RpcV2Cbor,
        _ => native,
    };
    match protocol {
        Protocol::AwsQuery | Protocol::Ec2Query => {
            let version = service.api_version;
            let form = spell::form(chance, operation.input, operation.name, version);
            if chance.in_a_hundred(15) && form.len() < 30_000 {
                made.method = Method::GET;
                made.target = format!("/?{form}");
            } else {
                made.body = form.into_bytes();
                content_type(&mut made, "application/x-www-form-urlencoded; charset=utf-8");
            }
        }
        Protocol::RpcV2Cbor => {
            made.body = spell::cbor(chance, operation.input);
            let prefix = service.target_prefix.unwrap_or("None");
            made.target = format!("/service/{prefix}/operation/{}", operation.name);
            made.headers.insert("smithy-protocol", HeaderValue::from_static("rpc-v2-cbor"));
            content_type(&mut made, "application/cbor");
        }
        json => {
            made.body = spell::json(chance, operation.input).into_bytes();
            let target = format!("{}.{}", service.target_prefix.unwrap_or("None"), operation.name);
            let target = HeaderValue::from_str(&target).expect("names of operations are ASCII");
            made.headers.insert("x-amz-target", target);
            let old = json == Protocol::AwsJson10;
            let kind = if old { "1.0" } else { "1.1" };
            content_type(&mut made, &format!("application/x-amz-json-{kind}"));
        }
    }
    made
}

fn content_type(made: &mut Hostile, text: &str) {
    let value = HeaderValue::from_str(text).expect("content types are ASCII");
    made.headers.insert("content-type", value);
}

fn odd_target(chance: &mut Chance) -> String {
    const ODD: [&str; 10] = [
        "/healthz?x",
        "/metrics?x=1",
        "/bucket/key",
        "//",
        "/?",
        "/?Action",
        "/?Action=",
        "/?Action=ListUsers&Action=CreateUser",
        "/%ff%00",
        "/?X-Amz-Algorithm=AWS4-HMAC-SHA256",
    ];
    ODD[chance.below(ODD.len())].to_owned()
}

/// Any of the principals, rightly.
fn sign_well(chance: &mut Chance, world: &World, service: &'static ServiceDef, made: &mut Hostile) {
    let key = &world.keys()[chance.below(world.keys().len())];
    let signer = signer(world, service, key);
    let (path, query) = made.target.split_once('?').unwrap_or((&made.target, ""));
    let body = SignBody::Bytes(&made.body);
    let signed = signer.sign(made.method.as_str(), path, query, &mut made.headers, body);
    signed.expect("an unbent request can be signed");
}

fn signer<'a>(world: &World, service: &'static ServiceDef, key: &'a Key) -> Signer<'a> {
    Signer {
        access_key: &key.id,
        secret: &key.secret,
        token: key.token.as_deref(),
        region: "us-east-1",
        service: service.signing_name,
        style: Style::General,
        now: world.now(),
    }
}

/// Any of the principals, rightly for the most part.
fn sign(chance: &mut Chance, world: &World, service: &'static ServiceDef, made: &mut Hostile) {
    let keys = world.keys();
    let key: &Key = &keys[chance.below(keys.len())];
    let how = chance.below(100);
    if how < 4 {
        return;
    }
    let mut signer = signer(world, service, key);
    match how {
        4..=6 => signer.secret = "wrong",
        7 => signer.token = Some("made-up"),
        8 => signer.region = "eu-west-1",
        9 => signer.service = "s3",
        10 => signer.now = 1_000_000_000,
        _ => {}
    }
    let (path, query) = made.target.split_once('?').unwrap_or((&made.target, ""));
    let (path, query) = (path.to_owned(), query.to_owned());
    let method = made.method.as_str().to_owned();
    if (11..14).contains(&how) {
        if let Ok(query) = signer.presign(&method, &path, &query, &made.headers, 60) {
            made.target = format!("{path}?{query}");
        }
        return;
    }
    // A header that cannot be signed leaves the request unsigned, which is a request too.
    let body = SignBody::Bytes(&made.body);
    let _ = signer.sign(&method, &path, &query, &mut made.headers, body);
}
