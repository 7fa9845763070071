//! A load client that costs little itself: prepared bytes out, replies counted by their length.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What one run measured.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    pub requests: u64,
    pub wall: Duration,
}

impl Measured {
    pub fn rate(&self) -> f64 {
        self.requests as f64 / self.wall.as_secs_f64()
    }
}

/// Send the same request over `connections` keep-alive connections for a while.
pub fn run(
    address: SocketAddr,
    request: &[u8],
    connections: usize,
    time: Duration,
) -> Result<Measured> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let started = Instant::now();
        let until = started + time;
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..connections {
            let request = request.to_vec();
            tasks.spawn(async move { connection(address, &request, until).await });
        }
        let mut requests = 0;
        while let Some(done) = tasks.join_next().await {
            requests += done??;
        }
        Ok(Measured { requests, wall: started.elapsed() })
    })
}

async fn connection(address: SocketAddr, request: &[u8], until: Instant) -> Result<u64> {
    let mut buffer = vec![0u8; 64 << 10];
    let mut stream = None;
    let mut done = 0;
    while Instant::now() < until {
        let mut open = match stream.take() {
            Some(open) => open,
            None => {
                let open = TcpStream::connect(address).await?;
                open.set_nodelay(true)?;
                open
            }
        };
        open.write_all(request).await?;
        let reply = tokio::time::timeout(PATIENCE, read_reply(&mut open, &mut buffer)).await;
        // Some servers close after each reply; that is then part of what they cost.
        if reply.context("no reply")?? {
            stream = Some(open);
        }
        done += 1;
    }
    Ok(done)
}

const PATIENCE: Duration = Duration::from_secs(60);

/// Read one reply and insist that it is a 200: a fast error would be a fine figure for nothing.
/// True where the connection may be used again.
async fn read_reply(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<bool> {
    let mut filled = 0;
    let (head, length) = loop {
        if filled == buffer.len() {
            buffer.resize(filled * 2, 0);
        }
        let n = stream.read(&mut buffer[filled..]).await?;
        if n == 0 {
            bail!("the server hung up");
        }
        filled += n;
        if let Some(end) = memchr::memmem::find(&buffer[..filled], b"\r\n\r\n") {
            break (end + 4, content_length(&buffer[..end])?);
        }
    };
    if !buffer.starts_with(b"HTTP/1.1 200") {
        bail!("{}", String::from_utf8_lossy(&buffer[..filled.min(800)]));
    }
    let closes = memchr::memmem::find(&buffer[..head], b"Connection: close").is_some();
    let mut missing = (head + length).saturating_sub(filled);
    while missing > 0 {
        let take = missing.min(buffer.len());
        let n = stream.read(&mut buffer[..take]).await?;
        if n == 0 {
            bail!("the server hung up inside a body");
        }
        missing -= n;
    }
    Ok(!closes)
}

fn content_length(head: &[u8]) -> Result<usize> {
    let head = std::str::from_utf8(head)?;
    let line = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then_some(value)
    });
    line.context("a reply without Content-Length")?.trim().parse().context("Content-Length")
}
