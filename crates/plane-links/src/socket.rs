//! A websocket with bounds: on a frame's size, on what waits to be written, on how long a write may take.
//!
//! Reading never waits for writing: frames are queued, one is handed to the socket at a time, and it is
//! flushed while the next one is read. A peer that does not read until the queue is full, or until a frame
//! has waited too long, is cut off: it will dial anew, and be told what it missed.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use plane_gateway::Stream;
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Bytes, Message, Utf8Bytes};

/// Frames that wait to be written.
const WAITING: usize = 256;

/// How long one frame may take to be written: a half-open socket takes no more than its buffers hold.
const WRITE: Duration = Duration::from_secs(20);

/// How long the end of a connection is waited for.
const FAREWELL: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(crate) enum Incoming {
    Text(Utf8Bytes),
    Binary,
    /// Pings and pongs: the peer lives.
    Sign,
    /// Nothing came, but all that waited is written.
    Sent,
}

/// Why a socket is of no more use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    /// In words, if the peer gave any.
    #[error("the peer has ended it {0}")]
    Closed(String),
    #[error(transparent)]
    Failed(#[from] tungstenite::Error),
    #[error("the peer reads nothing")]
    Stuck,
}

pub(crate) struct Socket {
    sink: SplitSink<WebSocketStream<Stream>, Message>,
    stream: SplitStream<WebSocketStream<Stream>>,
    waiting: VecDeque<Message>,
    /// Since when a frame is on its way out.
    flushing: Option<Instant>,
}

impl Socket {
    pub async fn new(stream: Stream, largest: usize) -> Socket {
        let config = WebSocketConfig::default()
            // Thousands of sockets are idle nearly always: small buffers that grow.
            .read_buffer_size(4 << 10)
            .write_buffer_size(0)
            .max_message_size(Some(largest))
            .max_frame_size(Some(largest));
        let inner = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
        let (sink, stream) = inner.split();
        Socket { sink, stream, waiting: VecDeque::new(), flushing: None }
    }

    /// Whether everything that was sent is out.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.flushing.is_none()
    }

    pub fn send(&mut self, text: String) -> Result<(), Broken> {
        self.queue(Message::text(text))
    }

    pub fn ping(&mut self) -> Result<(), Broken> {
        self.queue(Message::Ping(Bytes::new()))
    }

    fn queue(&mut self, message: Message) -> Result<(), Broken> {
        if self.waiting.len() >= WAITING {
            return Err(Broken::Stuck);
        }
        self.waiting.push_back(message);
        Ok(())
    }

    /// The next frame. Writes what waits meanwhile; may be dropped at any point and called again.
    pub async fn next(&mut self) -> Result<Incoming, Broken> {
        loop {
            if self.flushing.is_none()
                && let Some(message) = self.waiting.pop_front()
            {
                self.flushing = Some(Instant::now());
                // With nothing on its way before it this only fills the buffer.
                self.sink.feed(message).await?;
            }
            let due = self.flushing.map(|since| since + WRITE);
            tokio::select! {
                biased;
                flushed = self.sink.flush(), if due.is_some() => {
                    flushed?;
                    self.flushing = None;
                    if self.waiting.is_empty() {
                        return Ok(Incoming::Sent);
                    }
                }
                frame = self.stream.next() => return match frame {
                    None => Err(Broken::Closed(String::new())),
                    Some(Err(error)) => Err(error.into()),
                    Some(Ok(Message::Text(text))) => Ok(Incoming::Text(text)),
                    Some(Ok(Message::Binary(_))) => Ok(Incoming::Binary),
                    Some(Ok(Message::Close(frame))) => {
                        Err(Broken::Closed(frame.map(|f| f.to_string()).unwrap_or_default()))
                    }
                    Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {
                        Ok(Incoming::Sign)
                    }
                },
                () = at(due) => return Err(Broken::Stuck),
            }
        }
    }

    /// Say why and end. AWS: after 1000 and 1001 an agent dials anew at once, after others it waits.
    pub async fn close(mut self, code: CloseCode, reason: &str) {
        let farewell = async {
            while let Some(message) = self.waiting.pop_front() {
                self.sink.feed(message).await?;
            }
            let reason = Utf8Bytes::from(reason);
            self.sink.send(Message::Close(Some(CloseFrame { code, reason }))).await?;
            // The peer's own close frame, or its end: else the kernel would reset what it has not read.
            while let Some(Ok(_)) = self.stream.next().await {}
            Ok::<_, tungstenite::Error>(())
        };
        // A peer that does not take it has its end by the connection's.
        let _ = tokio::time::timeout(FAREWELL, farewell).await;
    }
}

/// At that time; never, if there is none.
pub(crate) async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
