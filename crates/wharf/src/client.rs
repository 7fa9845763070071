//! The command line as a client of a running server: signed as any request, by the root key.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use aws_sigv4::{SignBody, Signer, Style};
use bytes::Bytes;
use http::{HeaderValue, Request, Uri};
use plane_gateway::{Outbound, PREFIX, SIGNING_NAME};
use serde::de::DeserializeOwned;

use crate::endpoint::Endpoint;
use crate::operator::Told;
use crate::root_key::RootKey;

/// A check of very many rows takes its time.
const PATIENCE: Duration = Duration::from_secs(120);

/// Ask the server; its errors come back in its words.
pub fn ask<T: DeserializeOwned>(
    endpoint: &Endpoint,
    key: &RootKey,
    method: &str,
    path: &str,
    body: Vec<u8>,
) -> Result<T> {
    let mut request = Request::new(Bytes::from(body));
    *request.method_mut() = method.parse().context("the method")?;
    send(endpoint, key, SIGNING_NAME, &format!("{PREFIX}{path}"), request)
}

/// Call an operation of ECS.
pub fn call_ecs<T: DeserializeOwned>(
    endpoint: &Endpoint,
    key: &RootKey,
    operation: &str,
    input: &serde_json::Value,
) -> Result<T> {
    let mut request = Request::new(Bytes::from(input.to_string()));
    *request.method_mut() = http::Method::POST;
    let target = format!("AmazonEC2ContainerServiceV20141113.{operation}");
    let headers = request.headers_mut();
    headers.insert("x-amz-target", HeaderValue::from_str(&target)?);
    headers.insert("content-type", HeaderValue::from_static("application/x-amz-json-1.1"));
    send(endpoint, key, "ecs", "/", request)
}

fn send<T: DeserializeOwned>(
    endpoint: &Endpoint,
    key: &RootKey,
    service: &str,
    path: &str,
    mut request: Request<Bytes>,
) -> Result<T> {
    let uri: Uri = format!("{}{path}", endpoint.first()).parse().context("the endpoint")?;
    let host = uri.authority().context("the endpoint has no host")?.as_str();
    request.headers_mut().insert("host", HeaderValue::from_str(host)?);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let signer = Signer {
        access_key: &key.access_key_id,
        secret: &key.secret_access_key,
        token: None,
        region: &endpoint.region.to_string(),
        service,
        style: Style::General,
        now: now.as_secs() as i64,
    };
    let mut headers = std::mem::take(request.headers_mut());
    let method = request.method().as_str();
    signer.sign(method, uri.path(), "", &mut headers, SignBody::Bytes(request.body()))?;
    *request.headers_mut() = headers;
    *request.uri_mut() = uri;
    let client = Outbound::new(endpoint.ca.as_deref(), PATIENCE)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = runtime.block_on(client.send(request))?;
    if answer.status().is_success() {
        return serde_json::from_slice(answer.body()).context("the server's answer");
    }
    if let Ok(told) = serde_json::from_slice::<Told>(answer.body()) {
        bail!("{}: {}", told.code, told.message);
    }
    #[derive(serde::Deserialize)]
    struct Refused {
        #[serde(rename = "__type")]
        code: String,
        #[serde(default)]
        message: String,
    }
    match serde_json::from_slice::<Refused>(answer.body()) {
        Ok(refused) => bail!("{}: {}", refused.code, refused.message),
        Err(_) => bail!("the server answered with {}", answer.status()),
    }
}
