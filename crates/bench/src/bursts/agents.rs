//! Thousands of agents in one thread: each holds its ACS socket, answers heartbeats, and acknowledges
//! manifests and payloads. They run nothing, so that the machine is left to the plane.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use aws_agent::acs::{Ack, FromAgent, HeartbeatAck};
use aws_sigv4::{SignBody, Signer, Style};
use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, HeaderValue, Request};
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::api::{KEY, SECRET};

/// As many dial at once.
const DIALLING: usize = 64;
const PATIENCE: Duration = Duration::from_secs(120);

/// What an agent has to say of itself.
enum Word {
    /// It was told all that it should have.
    Welcomed,
    /// It has acknowledged these tasks.
    Took(Vec<String>),
    Failed(anyhow::Error),
}

pub struct Agents {
    words: Receiver<Word>,
}

/// A frame, of which only what is answered is read.
#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    message: Body,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Body {
    message_id: String,
    tasks: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    #[serde(default)]
    arn: String,
}

impl Agents {
    /// Dial for all of these instances, and wait until each was welcomed.
    pub fn connect(address: SocketAddr, cluster: &str, instances: Vec<String>) -> Result<Agents> {
        let (send, words) = mpsc::channel();
        let (count, cluster) = (instances.len(), cluster.to_owned());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("agents".to_owned()).spawn(move || {
            runtime.block_on(run(address, cluster, instances, send));
        })?;
        let agents = Agents { words };
        let mut left = count;
        while left > 0 {
            match agents.words.recv_timeout(PATIENCE).context("agents are welcomed")? {
                Word::Welcomed => left -= 1,
                Word::Took(_) => bail!("a task came before any was asked for"),
                Word::Failed(error) => return Err(error),
            }
        }
        Ok(agents)
    }

    /// Until so many tasks were acknowledged; the last of them.
    pub fn wait_for(&self, count: usize, last: usize, patience: Duration) -> Result<Vec<String>> {
        let give_up = Instant::now() + patience;
        let (mut seen, mut order) = (HashSet::with_capacity(count), Vec::with_capacity(count));
        while seen.len() < count {
            let left = give_up.saturating_duration_since(Instant::now());
            match self.words.recv_timeout(left) {
                Ok(Word::Took(arns)) => {
                    for arn in arns {
                        if seen.insert(arn.clone()) {
                            order.push(arn);
                        }
                    }
                }
                Ok(Word::Welcomed) => {}
                Ok(Word::Failed(error)) => return Err(error),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    bail!("{} of {count} tasks were acknowledged", seen.len())
                }
            }
        }
        Ok(order.split_off(order.len() - last.min(order.len())))
    }
}

async fn run(address: SocketAddr, cluster: String, instances: Vec<String>, words: Sender<Word>) {
    let mut agents = tokio::task::JoinSet::new();
    let dialling = std::sync::Arc::new(tokio::sync::Semaphore::new(DIALLING));
    for instance in instances {
        let (cluster, words, dialling) = (cluster.clone(), words.clone(), dialling.clone());
        agents.spawn(async move {
            if let Err(error) = serve(address, &cluster, &instance, &words, &dialling).await {
                let _ = words.send(Word::Failed(error.context(instance)));
            }
        });
    }
    while agents.join_next().await.is_some() {}
}

async fn serve(
    address: SocketAddr,
    cluster: &str,
    instance: &str,
    words: &Sender<Word>,
    dialling: &tokio::sync::Semaphore,
) -> Result<()> {
    let permit = dialling.acquire().await?;
    let mut socket = dial(address, cluster, instance).await?;
    let mut permit = Some(permit);
    while let Some(message) = socket.next().await {
        let Message::Text(text) = message? else { continue };
        let Frame { kind, message } = serde_json::from_str(&text)?;
        let message_id = message.message_id;
        let answer = match kind {
            "HeartbeatMessage" => FromAgent::from(HeartbeatAck { message_id }),
            "TaskManifestMessage" | "PayloadMessage" => FromAgent::from(Ack {
                cluster: cluster.to_owned(),
                container_instance: instance.to_owned(),
                message_id,
            }),
            _ => continue,
        };
        socket.send(Message::text(answer.encode())).await?;
        let word = match kind {
            "TaskManifestMessage" => {
                permit.take();
                Word::Welcomed
            }
            "PayloadMessage" => {
                Word::Took(message.tasks.into_iter().map(|task| task.arn).collect())
            }
            _ => continue,
        };
        if words.send(word).is_err() {
            // The round is over.
            return Ok(());
        }
    }
    bail!("the server hung up")
}

async fn dial(
    address: SocketAddr,
    cluster: &str,
    instance: &str,
) -> Result<WebSocketStream<TcpStream>> {
    let escaped =
        percent_encoding::utf8_percent_encode(instance, percent_encoding::NON_ALPHANUMERIC);
    let query = format!(
        "agentVersion=1.99.0&clusterArn={cluster}&containerInstanceArn={escaped}&protocolVersion=2&\
         sendCredentials=true&seqNum=1"
    );
    let path = format!("{}{}", aws_agent::paths::ACS, aws_agent::paths::SOCKET);
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_str(&address.to_string())?);
    let signer = Signer {
        access_key: KEY,
        secret: SECRET,
        token: None,
        region: "us-east-1",
        service: "ecs",
        style: Style::General,
        now: SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() as i64,
    };
    signer.sign("GET", &path, &query, &mut headers, SignBody::Bytes(b""))?;
    for (name, value) in [
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let mut request = Request::new(());
    *request.uri_mut() = format!("ws://{address}{path}?{query}").parse()?;
    *request.headers_mut() = headers;
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let config = WebSocketConfig::default()
        .read_buffer_size(8 << 10)
        .write_buffer_size(0)
        .max_message_size(Some(aws_agent::frame::MAX_FROM_PLANE))
        .max_frame_size(Some(aws_agent::frame::MAX_FROM_PLANE));
    let dialled = tokio_tungstenite::client_async_with_config(request, stream, Some(config));
    Ok(tokio::time::timeout(PATIENCE, dialled).await??.0)
}
