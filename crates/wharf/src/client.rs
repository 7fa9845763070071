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
    let uri: Uri = format!("{}{PREFIX}{path}", endpoint.first()).parse().context("the endpoint")?;
    let host = uri.authority().context("the endpoint has no host")?.as_str();
    let mut request = Request::new(Bytes::from(body));
    *request.method_mut() = method.parse().context("the method")?;
    request.headers_mut().insert("host", HeaderValue::from_str(host)?);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let signer = Signer {
        access_key: &key.access_key_id,
        secret: &key.secret_access_key,
        token: None,
        region: &endpoint.region.to_string(),
        service: SIGNING_NAME,
        style: Style::General,
        now: now.as_secs() as i64,
    };
    let mut headers = std::mem::take(request.headers_mut());
    signer.sign(method, uri.path(), "", &mut headers, SignBody::Bytes(request.body()))?;
    *request.headers_mut() = headers;
    *request.uri_mut() = uri;
    let client = Outbound::new(endpoint.ca.as_deref(), PATIENCE)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = runtime.block_on(client.send(request))?;
    if answer.status().is_success() {
        return serde_json::from_slice(answer.body()).context("the server's answer");
    }
    match serde_json::from_slice::<Told>(answer.body()) {
        Ok(told) => bail!("{}: {}", told.code, told.message),
        Err(_) => bail!("the server answered with {}", answer.status()),
    }
}
