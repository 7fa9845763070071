//! A websocket to the control plane: dialled, signed, upgraded.

use futures_util::{SinkExt, StreamExt};
use http::{Request, Uri};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};

use super::api::{Api, sign, user_agent};
use super::connect::{ConnectError, PATIENCE, Stream};
use super::credentials::CredentialsError;

#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The plane answered the upgrade with something else.
    #[error("the control plane refused the socket: {status} {body}")]
    Refused { status: u16, body: String },
    #[error("the socket broke off: {0}")]
    Broken(Box<tungstenite::Error>),
    #[error("the control plane closed the socket: {code} {reason}")]
    Closed { code: u16, reason: String },
    #[error("the control plane was silent for too long")]
    Silent,
    /// The plane said so after it had taken the socket.
    #[error("the control plane does not know this host any more: {0}")]
    Inactive(String),
}

pub struct Socket {
    stream: WebSocketStream<Box<dyn Stream>>,
}

/// `pairs` as a query, each value escaped.
pub fn query(pairs: &[(&str, &str)]) -> String {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    const KEPT: &percent_encoding::AsciiSet =
        &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    let pair =
        |(name, value): &(&str, &str)| format!("{name}={}", utf8_percent_encode(value, KEPT));
    pairs.iter().map(pair).collect::<Vec<_>>().join("&")
}

impl Socket {
    /// Opens the socket at an endpoint of DiscoverPollEndpoint: AWS has the agent append `ws`.
    pub async fn open(
        api: &Api,
        endpoint: &str,
        pairs: &[(&str, &str)],
        largest: usize,
    ) -> Result<Socket, SocketError> {
        let slash = if endpoint.ends_with('/') { "" } else { "/" };
        Socket::dial(api, &format!("{endpoint}{slash}ws?{}", query(pairs)), largest).await
    }

    /// Opens the socket at a URL, signed as this host.
    pub async fn dial(api: &Api, url: &str, largest: usize) -> Result<Socket, SocketError> {
        let bad = || ConnectError::Url(url.to_owned());
        // AWS: endpoints are told as `http`, and dialled as `ws`.
        let socket_url = match url.strip_prefix("http") {
            Some(rest) => format!("ws{rest}"),
            None => url.to_owned(),
        };
        let uri: Uri = socket_url.parse().map_err(|_| bad())?;
        let mut request = Request::new(());
        *request.uri_mut() = uri.clone();
        let headers = request.headers_mut();
        let credentials = api.credentials()?;
        sign(&uri, "GET", api.region(), &credentials, headers, b"").map_err(|_| bad())?;
        let fixed = http::HeaderValue::from_static;
        headers.insert("connection", fixed("Upgrade"));
        headers.insert("upgrade", fixed("websocket"));
        headers.insert("sec-websocket-version", fixed("13"));
        let key = tungstenite::handshake::client::generate_key();
        headers.insert("sec-websocket-key", key.parse().map_err(|_| bad())?);
        headers.insert("user-agent", user_agent().parse().map_err(|_| bad())?);
        let stream = api.connector.dial(&uri).await?;
        let config = WebSocketConfig::default()
            .read_buffer_size(4 << 10)
            .write_buffer_size(32 << 10)
            .max_write_buffer_size(16 << 20)
            .max_message_size(Some(largest))
            .max_frame_size(Some(largest));
        let upgrade = tokio_tungstenite::client_async_with_config(request, stream, Some(config));
        let late = || ConnectError::Late { to: url.to_owned() };
        match tokio::time::timeout(PATIENCE, upgrade).await.map_err(|_| late())? {
            Ok((stream, _)) => Ok(Socket { stream }),
            Err(tungstenite::Error::Http(answer)) => {
                let body = answer.body().as_deref().unwrap_or_default();
                let body = String::from_utf8_lossy(&body[..body.len().min(1024)]).into_owned();
                Err(SocketError::Refused { status: answer.status().as_u16(), body })
            }
            Err(error) => Err(SocketError::Broken(Box::new(error))),
        }
    }

    /// Without what is only for sockets of texts.
    pub fn into_inner(self) -> WebSocketStream<Box<dyn Stream>> {
        self.stream
    }

    pub async fn send(&mut self, text: String) -> Result<(), SocketError> {
        let sent = self.stream.send(Message::text(text)).await;
        sent.map_err(|error| SocketError::Broken(Box::new(error)))
    }

    /// The next text; pings and the like are dealt with on the way.
    pub async fn next(&mut self) -> Result<String, SocketError> {
        loop {
            match self.stream.next().await {
                Some(Ok(Message::Text(text))) => return Ok(text.to_string()),
                Some(Ok(Message::Close(frame))) => {
                    let (code, reason) = match frame {
                        Some(frame) => (frame.code.into(), frame.reason.to_string()),
                        None => (1005, String::new()),
                    };
                    return Err(SocketError::Closed { code, reason });
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(SocketError::Broken(Box::new(error))),
                None => return Err(SocketError::Closed { code: 1006, reason: String::new() }),
            }
        }
    }

    /// Say goodbye; whether it is heard does not matter.
    pub async fn close(mut self, reason: &'static str) {
        use tungstenite::protocol::CloseFrame;
        use tungstenite::protocol::frame::coding::CloseCode;
        let frame = CloseFrame { code: CloseCode::Normal, reason: reason.into() };
        let _ =
            tokio::time::timeout(std::time::Duration::from_secs(1), self.stream.close(Some(frame)))
                .await;
    }
}

impl SocketError {
    /// AWS: after these the agent dials again at once.
    pub fn is_usual_end(&self) -> bool {
        match self {
            SocketError::Closed { code, .. } => matches!(code, 1000 | 1001 | 1005 | 1006 | 1011),
            SocketError::Broken(_) => true,
            _ => false,
        }
    }

    /// AWS: how a host is told that it was deregistered, in the answer to its dialling or later.
    pub fn is_inactive(&self) -> bool {
        match self {
            SocketError::Inactive(_) => true,
            SocketError::Refused { body, .. } => body.contains("InactiveInstanceException"),
            _ => false,
        }
    }
}
