//! A registry that does as it is told: also lie, hang, cut short, and send clients elsewhere. It
//! speaks HTTP/1.1 by hand, since no server library agrees to break the protocol.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub struct Asked {
    pub target: String,
    pub headers: BTreeMap<String, String>,
    /// How often this target was asked for before.
    pub before: usize,
}

#[derive(Clone, Default)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Close the connection after so many bytes of the body.
    pub cut: Option<usize>,
    /// Say nothing more after so many bytes of the body.
    pub hang: Option<usize>,
}

impl Reply {
    pub fn ok(body: impl Into<Vec<u8>>) -> Reply {
        Reply { status: 200, body: body.into(), ..Reply::default() }
    }

    pub fn status(status: u16) -> Reply {
        Reply { status, ..Reply::default() }
    }

    pub fn header(mut self, name: &str, value: &str) -> Reply {
        self.headers.push((name.into(), value.into()));
        self
    }
}

pub type Handler = Arc<dyn Fn(&Asked) -> Reply + Send + Sync>;

/// Targets with their headers, in the order they were asked for.
type Log = Arc<Mutex<Vec<(String, BTreeMap<String, String>)>>>;

pub struct Fake {
    pub host: String,
    log: Log,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Fake {
    pub async fn start(handler: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has ports");
        let host = listener.local_addr().expect("it is bound").to_string();
        let handler: Handler = Arc::new(handler);
        let log = Log::default();
        let shared = log.clone();
        let task = tokio::spawn(async move {
            let mut serving = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                serving.spawn(serve(stream, handler.clone(), shared.clone()));
            }
        });
        Fake { host, log, task }
    }

    /// Requests whose target contains the text, with their headers.
    pub fn asked(&self, text: &str) -> Vec<BTreeMap<String, String>> {
        let log = self.log.lock().expect("no test panics while it holds the log");
        log.iter().filter(|(t, _)| t.contains(text)).map(|(_, headers)| headers.clone()).collect()
    }
}

async fn serve(mut stream: TcpStream, handler: Handler, log: Log) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
        // A TLS greeting: this registry knows none.
        if head[0] == 0x16 {
            return None;
        }
    }
    let head = String::from_utf8(head).ok()?;
    let mut lines = head.lines();
    let target = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let before = {
        let mut log = log.lock().ok()?;
        log.push((target.clone(), headers.clone()));
        log.iter().filter(|(t, _)| *t == target).count() - 1
    };
    let reply = handler(&Asked { target, headers, before });
    let mut out = format!(
        "HTTP/1.1 {} X\r\ncontent-length: {}\r\nconnection: close\r\n",
        reply.status,
        reply.body.len()
    );
    for (name, value) in &reply.headers {
        out.push_str(&format!("{name}: {value}\r\n"));
    }
    out.push_str("\r\n");
    stream.write_all(out.as_bytes()).await.ok()?;
    let most = reply.cut.or(reply.hang).unwrap_or(reply.body.len());
    stream.write_all(&reply.body[..most.min(reply.body.len())]).await.ok()?;
    if reply.hang.is_some() {
        std::future::pending::<()>().await;
    }
    stream.shutdown().await.ok()
}
