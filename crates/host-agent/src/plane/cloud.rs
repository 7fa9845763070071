//! Calls of other services than ECS, in JSON 1.1, signed with the keys of a task's role. Log drivers
//! make them: few, large, one after the other for each container.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use aws_sigv4::{SignBody, Signer, Style};
use bytes::Bytes;
use host_logs::{Cloud, CloudCall, CloudError, Later};
use http::{HeaderMap, HeaderValue, Request, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use serde_json::Value;

use super::api::{Api, user_agent};
use super::connect::PATIENCE;
use super::credentials::Credentials;
use crate::tasks::Live;

const LARGEST_ANSWER: usize = 1 << 20;

type Connection = SendRequest<Full<Bytes>>;

/// The services as a task's execution role may call them; as the host itself where the task has
/// none.
pub struct TaskCloud {
    pub api: Arc<Api>,
    pub live: Arc<Live>,
    /// A connection for each endpoint, between two calls.
    idle: tokio::sync::Mutex<BTreeMap<String, Connection>>,
}

fn unreachable(error: impl std::fmt::Display) -> CloudError {
    CloudError::Unreachable(error.to_string())
}

impl TaskCloud {
    pub fn new(api: Arc<Api>, live: Arc<Live>) -> TaskCloud {
        TaskCloud { api, live, idle: tokio::sync::Mutex::default() }
    }

    /// AWS: logs are written with the execution role. They are read anew for each call: the plane
    /// renews them while the task runs.
    fn credentials(&self) -> Result<Credentials, CloudError> {
        let kept = self.live.credentials.lock().unwrap_or_else(PoisonError::into_inner);
        match &kept.execution {
            Some(role) => Ok(Credentials {
                access_key: role.access_key_id.clone(),
                secret: role.secret_access_key.clone(),
                token: Some(role.session_token.clone()),
            }),
            None => self.api.credentials().map_err(unreachable),
        }
    }

    async fn answer(&self, call: CloudCall<'_>) -> Result<Vec<u8>, CloudError> {
        let endpoint = call.endpoint.map_or_else(|| self.api.endpoint(), str::to_owned);
        let uri: Uri = endpoint.parse().map_err(unreachable)?;
        let body = Bytes::from(call.body);
        let credentials = self.credentials()?;
        let target = (call.service, call.region, call.target);
        let headers = signed(&uri, target, &credentials, &body).map_err(unreachable)?;
        let sent = tokio::time::timeout(PATIENCE, self.send(&uri, endpoint, headers, body));
        let (status, body) = sent.await.map_err(unreachable)??;
        match status {
            200..300 => Ok(body.into()),
            status => Err(refusal(status, &body)),
        }
    }

    async fn send(
        &self,
        uri: &Uri,
        endpoint: String,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<(u16, Bytes), CloudError> {
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let mut request = Request::post(path).body(Full::new(body)).map_err(unreachable)?;
        *request.headers_mut() = headers;
        let kept = self.idle.lock().await.remove(&endpoint);
        let kept = match kept {
            Some(mut kept) => kept.ready().await.is_ok().then_some(kept),
            None => None,
        };
        let mut connection = match kept {
            Some(kept) => kept,
            None => self.connect(uri).await?,
        };
        let answer = match connection.try_send_request(request).await {
            Ok(answer) => answer,
            // The other side had closed the kept connection already.
            Err(mut error) => match error.take_message() {
                Some(unsent) => {
                    connection = self.connect(uri).await?;
                    connection.send_request(unsent).await.map_err(unreachable)?
                }
                None => return Err(unreachable(error.into_error())),
            },
        };
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), LARGEST_ANSWER).collect().await;
        let body = body.map_err(unreachable)?.to_bytes();
        self.idle.lock().await.insert(endpoint, connection);
        Ok((status, body))
    }

    async fn connect(&self, uri: &Uri) -> Result<Connection, CloudError> {
        let stream = self.api.connector.dial(uri).await.map_err(unreachable)?;
        let made = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = made.map_err(unreachable)?;
        tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(sender)
    }
}

impl Cloud for TaskCloud {
    fn call<'a>(&'a self, call: CloudCall<'a>) -> Later<'a, Result<Vec<u8>, CloudError>> {
        Box::pin(self.answer(call))
    }
}

/// Headers for `(service, region, target)`.
fn signed(
    uri: &Uri,
    (service, region, target): (&str, &str, &str),
    credentials: &Credentials,
    body: &[u8],
) -> Result<HeaderMap, Box<dyn std::error::Error + Send + Sync>> {
    let mut headers = HeaderMap::new();
    let authority = uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
    headers.insert("host", HeaderValue::from_str(authority)?);
    headers.insert("x-amz-target", HeaderValue::from_str(target)?);
    headers.insert("content-type", HeaderValue::from_static("application/x-amz-json-1.1"));
    headers.insert("user-agent", HeaderValue::from_str(&user_agent())?);
    let signer = Signer {
        access_key: &credentials.access_key,
        secret: &credentials.secret,
        token: credentials.token.as_deref(),
        region,
        service,
        style: Style::General,
        now: crate::clock::wall().seconds(),
    };
    let path = if uri.path().is_empty() { "/" } else { uri.path() };
    let query = uri.query().unwrap_or_default();
    signer.sign("POST", path, query, &mut headers, SignBody::Bytes(body))?;
    Ok(headers)
}

/// What a service said when it said no.
fn refusal(status: u16, body: &[u8]) -> CloudError {
    let told: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let code = told["__type"].as_str().or(told["code"].as_str()).unwrap_or("UnknownError");
    let message = told["message"].as_str().or(told["Message"].as_str()).unwrap_or_default();
    CloudError::Service {
        status,
        code: code.rsplit('#').next().unwrap_or(code).to_owned(),
        message: message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_name_their_code() {
        let body = br#"{"__type":"com.amazonaws.logs#ResourceNotFoundException","message":"no"}"#;
        let error = refusal(400, body);
        assert!(error.is("ResourceNotFoundException") && !error.passes());
        assert_eq!(error.to_string(), "ResourceNotFoundException: no");
        assert!(refusal(503, b"<html>").passes());
    }

    #[test]
    fn calls_are_signed_for_their_service() {
        let credentials = Credentials {
            access_key: "AKID".into(),
            secret: "secret".into(),
            token: Some("token".into()),
        };
        let uri = "http://10.0.0.1:4566/".parse().unwrap();
        let target = ("logs", "eu-west-1", "Logs_20140328.PutLogEvents");
        let headers = signed(&uri, target, &credentials, b"{}").unwrap();
        let authorization = headers["authorization"].to_str().unwrap();
        assert!(authorization.contains("/eu-west-1/logs/aws4_request"), "{authorization}");
        assert_eq!(headers["x-amz-security-token"], "token");
        assert_eq!(headers["host"], "10.0.0.1:4566");
    }
}
