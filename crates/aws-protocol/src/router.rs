//! From an HTTP request to protocol, service and operation.
//!
//! Each protocol says in its own place what it wants: a header (json), the path (cbor), a parameter
//! (query), method and path (REST). The signing name of the credential scope decides where the same
//! version and action belong to two services.

use std::borrow::Cow;
use std::collections::BTreeMap;

use http::header::CONTENT_TYPE;
use http::request::Parts;

use crate::error::ApiError;
use crate::schema::Location;
use crate::service::{OperationDef, Protocol, ServiceDef};
use crate::uri::{Template, query_pairs};

/// Where a request goes.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    pub protocol: Protocol,
    pub service: &'static ServiceDef,
    pub operation: &'static OperationDef,
}

/// A request that goes nowhere, and how to say so.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub protocol: Protocol,
    pub service: Option<&'static ServiceDef>,
    /// The operation's name as far as it was given; for logs and metrics.
    pub operation: Option<String>,
    pub error: ApiError,
}

/// The services that a gateway offers.
pub struct Router {
    services: Vec<&'static ServiceDef>,
    by_target: BTreeMap<&'static str, &'static ServiceDef>,
    rest: Vec<RestEntry>,
}

struct RestEntry {
    operation: &'static OperationDef,
    protocol: Protocol,
    template: Template,
}

impl Router {
    pub fn new(services: impl IntoIterator<Item = &'static ServiceDef>) -> Router {
        let services: Vec<_> = services.into_iter().collect();
        let mut by_target = BTreeMap::new();
        let mut rest = Vec::new();
        for service in &services {
            if let Some(prefix) = service.target_prefix {
                by_target.insert(prefix, *service);
            }
            let rest_protocol = service
                .protocols
                .iter()
                .find(|protocol| matches!(protocol, Protocol::RestJson | Protocol::RestXml));
            let Some(&protocol) = rest_protocol else { continue };
            rest.extend(service.operations.iter().map(|&operation| RestEntry {
                operation,
                protocol,
                template: Template::parse(operation.uri),
            }));
        }
        Router { services, by_target, rest }
    }

    pub fn services(&self) -> &[&'static ServiceDef] {
        &self.services
    }

    /// Finds the operation. `signing_name` is the service of the credential scope, if the request
    /// is signed; `body` is looked at only for a form's `Action`.
    pub fn route(
        &self,
        parts: &Parts,
        body: &[u8],
        signing_name: Option<&str>,
    ) -> Result<Route, Box<Refusal>> {
        if let Some(value) = parts.headers.get("smithy-protocol") {
            return self.cbor(parts, value.as_bytes());
        }
        if let Some(target) = parts.headers.get("x-amz-target") {
            return self.json(parts, target.to_str().unwrap_or_default());
        }
        if let Some((action, version)) = self.action(parts, body, signing_name) {
            return self.query(&action, version.as_deref(), signing_name);
        }
        self.rest(parts, signing_name)
    }

    fn cbor(&self, parts: &Parts, value: &[u8]) -> Result<Route, Box<Refusal>> {
        let protocol = Protocol::RpcV2Cbor;
        let mut segments = parts.uri.path().rsplit('/');
        let (operation, word) = (segments.next().unwrap_or(""), segments.next());
        let (service_name, service_word) = (segments.next().unwrap_or(""), segments.next());
        let well_formed =
            value == b"rpc-v2-cbor" && word == Some("operation") && service_word == Some("service");
        let service = self.by_target.get(service_name).copied();
        let service = service.filter(|s| well_formed && s.protocols.contains(&protocol));
        find(protocol, service, operation)
    }

    fn json(&self, parts: &Parts, target: &str) -> Result<Route, Box<Refusal>> {
        let content_type = parts.headers.get(CONTENT_TYPE).map(|value| value.as_bytes());
        // AWS: a service answers in the json version in which it was asked.
        let protocol = match content_type {
            Some(text) if text.starts_with(b"application/x-amz-json-1.0") => Protocol::AwsJson10,
            _ => Protocol::AwsJson11,
        };
        let (prefix, operation) = target.rsplit_once('.').unwrap_or(("", target));
        let service = self.by_target.get(prefix).copied().filter(|service| {
            service.protocols.iter().any(|p| matches!(p, Protocol::AwsJson10 | Protocol::AwsJson11))
        });
        find(protocol, service, operation)
    }

    /// `Action` and `Version` of a query string or a form.
    fn action(
        &self,
        parts: &Parts,
        body: &[u8],
        signing_name: Option<&str>,
    ) -> Option<(String, Option<String>)> {
        // S3 may hold a bucket with any query string; only the root path is a query endpoint.
        let of_rest = signing_name.is_some_and(|name| {
            let mut named = self.services.iter().filter(|s| s.signing_name == name).peekable();
            named.peek().is_some() && named.all(|service| query_protocol(service).is_none())
        });
        if parts.uri.path() != "/" || of_rest {
            return None;
        }
        let body = if is_form(parts) { form_body(parts, body) } else { Cow::Borrowed(&[][..]) };
        let form = std::str::from_utf8(&body).unwrap_or("");
        let mut action = None;
        let mut version = None;
        for text in [parts.uri.query().unwrap_or(""), form] {
            for pair in text.split('&').take(crate::limits::MAX_FORM_PAIRS) {
                let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                let slot = match key {
                    "Action" => &mut action,
                    "Version" => &mut version,
                    _ => continue,
                };
                *slot = crate::form::decode(value.trim_end()).ok().map(Cow::into_owned);
            }
        }
        action.map(|action| (action, version))
    }

    fn query(
        &self,
        action: &str,
        version: Option<&str>,
        signing_name: Option<&str>,
    ) -> Result<Route, Box<Refusal>> {
        let speaking = || self.services.iter().copied().filter(|s| query_protocol(s).is_some());
        let signed = |s: &&'static ServiceDef| signing_name.is_none_or(|n| n == s.signing_name);
        let versioned = |s: &&'static ServiceDef| version.is_none_or(|v| v == s.api_version);
        let knows = |s: &&'static ServiceDef| s.operation(action).is_some() || s.is_absent(action);
        let found = speaking()
            .find(|s| signed(s) && versioned(s) && knows(s))
            .or_else(|| speaking().find(|s| signed(s) && versioned(s)))
            .or_else(|| speaking().find(|s| signed(s)));
        let protocol = found.and_then(query_protocol).unwrap_or(Protocol::AwsQuery);
        match found {
            Some(service) if versioned(&service) && knows(&service) => {
                find(protocol, Some(service), action)
            }
            service => {
                let version = version.unwrap_or_default();
                let text = match protocol {
                    Protocol::Ec2Query => {
                        format!("The action {action} is not valid for this web service.")
                    }
                    _ => format!("Could not find operation {action} for version {version}"),
                };
                let error = ApiError::invalid_action(text);
                Err(Box::new(Refusal {
                    protocol,
                    service,
                    operation: Some(action.to_owned()),
                    error,
                }))
            }
        }
    }

    fn rest(&self, parts: &Parts, signing_name: Option<&str>) -> Result<Route, Box<Refusal>> {
        let path = parts.uri.path();
        let pairs = query_pairs(parts.uri.query().unwrap_or(""));
        let fitting = self.rest.iter().filter(|entry| {
            signing_name.is_none_or(|name| name == entry.operation.service.signing_name)
                && parts.method == entry.operation.method
        });
        let mut best: Option<((usize, bool, usize), &RestEntry)> = None;
        for entry in fitting {
            let Some(discriminators) = entry.template.query_score(&pairs) else { continue };
            if entry.template.labels(path).is_none() {
                continue;
            }
            // AWS: `PUT /bucket/key` is CopyObject if the header that CopyObject requires is there.
            let (present, missing) = required_bindings(entry.operation, parts, &pairs);
            let specific = entry.template.literals() + discriminators;
            let score = (specific, missing == 0, present);
            if best.as_ref().is_none_or(|(other, _)| score > *other) {
                best = Some((score, entry));
            }
        }
        if let Some((_, entry)) = best {
            let operation = entry.operation;
            let (protocol, service) = (entry.protocol, operation.service);
            return Ok(Route { protocol, service, operation });
        }
        Err(Box::new(self.lost(signing_name)))
    }

    /// Nothing in the request says what it wants.
    fn lost(&self, signing_name: Option<&str>) -> Refusal {
        let named = |name| self.services.iter().copied().find(|s| s.signing_name == name);
        let service = signing_name.and_then(named);
        let protocol = service.and_then(|s| s.protocols.last().copied());
        let protocol = protocol.unwrap_or(Protocol::AwsQuery);
        let error = match protocol {
            Protocol::AwsQuery | Protocol::Ec2Query => {
                let text = "The request must contain the parameter Action";
                ApiError::new("MissingAction", 400, text)
            }
            Protocol::RestXml => ApiError::invalid_action(
                "The specified method is not allowed against this resource.",
            ),
            _ => ApiError::not_found(""),
        };
        Refusal { protocol, service, operation: None, error }
    }
}

fn is_form(parts: &Parts) -> bool {
    let Some(content_type) = parts.headers.get(CONTENT_TYPE) else { return true };
    let form = b"application/x-www-form-urlencoded";
    let text = content_type.as_bytes();
    text.len() >= form.len() && text[..form.len()].eq_ignore_ascii_case(form)
}

/// The form, or as much of a compressed one as tells where it goes: nobody has signed it yet, and
/// SDKs write `Action` and `Version` first.
fn form_body<'a>(parts: &Parts, body: &'a [u8]) -> Cow<'a, [u8]> {
    const START: usize = 4096;
    if !crate::limits::is_gzip(&parts.headers) {
        return Cow::Borrowed(body);
    }
    let mut start = crate::limits::start_of_gzip(body, START);
    if start.len() == START {
        // The last pair may be cut in two.
        start.truncate(start.iter().rposition(|byte| *byte == b'&').unwrap_or(0));
    }
    Cow::Owned(start)
}

fn query_protocol(service: &ServiceDef) -> Option<Protocol> {
    let query = |protocol: &&Protocol| matches!(protocol, Protocol::AwsQuery | Protocol::Ec2Query);
    service.protocols.iter().find(query).copied()
}

/// How many required header and query members a request has, and how many it lacks.
fn required_bindings(
    operation: &OperationDef,
    parts: &Parts,
    pairs: &[(Cow<'_, str>, Cow<'_, str>)],
) -> (usize, usize) {
    let mut present = 0;
    let mut missing = 0;
    for member in operation.input.members().iter().filter(|member| member.required) {
        let found = match member.location {
            Location::Header => parts.headers.contains_key(member.wire),
            Location::Query => pairs.iter().any(|(key, _)| key == member.wire),
            _ => continue,
        };
        if found {
            present += 1;
        } else {
            missing += 1;
        }
    }
    (present, missing)
}

fn find(
    protocol: Protocol,
    service: Option<&'static ServiceDef>,
    name: &str,
) -> Result<Route, Box<Refusal>> {
    let error = match service {
        Some(service) => {
            if let Some(operation) = service.operation(name) {
                return Ok(Route { protocol, service, operation });
            }
            if service.is_absent(name) {
                let id = service.sdk_id;
                ApiError::unsupported_operation(format!(
                    "The operation {name} of {id} is not offered by this server."
                ))
            } else {
                ApiError::invalid_action("")
            }
        }
        None => ApiError::invalid_action(""),
    };
    Err(Box::new(Refusal { protocol, service, operation: Some(name.to_owned()), error }))
}
