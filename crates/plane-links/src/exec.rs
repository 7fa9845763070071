//! ExecuteCommand: the client's side of a session paired with the host's, and bytes relayed between them.
//!
//! The client (session-manager-plugin) dials `streamUrl` and proves itself by its first frame, the token
//! that ExecuteCommand gave it, which opens one connection and no second. The host is told over ACS and
//! dials back with its own signature. Whoever comes first waits; then frames pass both ways, unread and in
//! order, each side at the pace of the other. What the frames say is the two ends' own matter: a host that
//! loses its server loses its sessions, and nothing else.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_agent::channel::{self, ChannelClosed, MAX_MESSAGE, Message, OpenDataChannel};
use core_step::View;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use plane_engine::Engine;
use plane_gateway::Stream;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Message as Frame, Utf8Bytes};

use crate::links::{Links, now};
use crate::world::{Agent, ExecSession, Told};

type Ws = WebSocketStream<Stream>;

/// How long a client may take to say who it is.
const INTRODUCTION: Duration = Duration::from_secs(10);

/// How long one side waits for the other.
const MEETING: Duration = Duration::from_secs(30);

/// AWS: a session in which nothing was typed or shown for 20 minutes ends.
const IDLE: Duration = Duration::from_secs(20 * 60);

/// How often a side is asked whether it is there, and how long it may be silent.
const ASK: Duration = Duration::from_secs(30);
const SILENT: Duration = Duration::from_secs(95);

/// How long a frame may take to be written. A terminal that is held back is not gone.
const WRITE: Duration = Duration::from_secs(90);

/// Sessions that are open or wait at one time.
const SESSIONS: usize = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Client,
    Host,
}

/// Where a session stands in this process.
enum Standing {
    Waiting(Side, oneshot::Sender<Ws>),
    Open,
}

#[derive(Default)]
pub(crate) struct Meetings(Mutex<HashMap<String, Standing>>);

/// What comes of a side's arrival.
enum Arrived {
    /// The other side was there, and this is its connection's way.
    Met(oneshot::Sender<Ws>, Ws),
    Waits(oneshot::Receiver<Ws>, Ws),
    Refused(Ws, &'static str),
}

impl Meetings {
    fn with<T>(&self, act: impl FnOnce(&mut HashMap<String, Standing>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn arrive(&self, session: &str, side: Side, ws: Ws) -> Arrived {
        self.with(|all| match all.remove(session) {
            Some(Standing::Open) => {
                all.insert(session.to_owned(), Standing::Open);
                Arrived::Refused(ws, "the session is open already")
            }
            Some(Standing::Waiting(there, other)) if there != side && !other.is_closed() => {
                all.insert(session.to_owned(), Standing::Open);
                Arrived::Met(other, ws)
            }
            Some(Standing::Waiting(Side::Client, other))
                if side == Side::Client && !other.is_closed() =>
            {
                // AWS: a token opens one connection.
                all.insert(session.to_owned(), Standing::Waiting(Side::Client, other));
                Arrived::Refused(ws, "the token was used already")
            }
            None if all.len() >= SESSIONS => Arrived::Refused(ws, "too many sessions are open"),
            _ => {
                let (here, waits) = oneshot::channel();
                all.insert(session.to_owned(), Standing::Waiting(side, here));
                Arrived::Waits(waits, ws)
            }
        })
    }

    /// Nobody came: what waits is forgotten, unless it is somebody else by now.
    fn leave(&self, session: &str) {
        self.with(|all| {
            if all.get(session).is_some_and(
                |standing| matches!(standing, Standing::Waiting(_, other) if other.is_closed()),
            ) {
                all.remove(session);
            }
        });
    }

    fn end(&self, session: &str) {
        self.with(|all| drop(all.remove(session)));
    }
}

async fn websocket(stream: Stream) -> Ws {
    let config = WebSocketConfig::default()
        .read_buffer_size(8 << 10)
        .write_buffer_size(0)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE));
    WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await
}

async fn hang_up(mut ws: Ws, code: CloseCode, reason: &'static str) {
    let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
    let farewell = async {
        let _ = ws.close(Some(frame)).await;
        while let Some(Ok(_)) = ws.next().await {}
    };
    // A peer that does not answer has its end by the connection's.
    let _ = tokio::time::timeout(Duration::from_secs(2), farewell).await;
}

/// The client's side, from its first frame to the session's end.
pub(crate) async fn serve_client(links: Arc<Links>, engine: Engine, id: String, stream: Stream) {
    let mut ws = websocket(stream).await;
    let hello = async {
        loop {
            match ws.next().await {
                // AWS: the plugin's first ping may overtake its token.
                Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => {}
                other => return other,
            }
        }
    };
    let hello = tokio::time::timeout(INTRODUCTION, hello).await;
    let Ok(Some(Ok(Frame::Text(hello)))) = hello else {
        return hang_up(ws, CloseCode::Policy, "the first frame must be the token").await;
    };
    let hello = OpenDataChannel::read(hello.as_str()).unwrap_or_default();
    let session = {
        let view = engine.view();
        links.world.exec_session(&View::new(&view.state, now()), &id)
    };
    let granted = session.filter(|session| {
        !session.opened
            && session.waits_until >= now()
            && is_same(&session.token, &hello.token_value)
    });
    let Some(session) = granted else {
        return hang_up(ws, CloseCode::Policy, "the token opens no session").await;
    };
    meet(&links, &engine, session, Side::Client, ws).await;
}

/// The host's side.
pub(crate) async fn serve_host(
    links: Arc<Links>,
    engine: Engine,
    agent: Agent,
    id: String,
    stream: Stream,
) {
    let ws = websocket(stream).await;
    let session = {
        let view = engine.view();
        links.world.exec_session(&View::new(&view.state, now()), &id)
    };
    let Some(session) = session.filter(|session| session.instance == agent.instance) else {
        return hang_up(ws, CloseCode::Policy, "no such session waits for this instance").await;
    };
    meet(&links, &engine, session, Side::Host, ws).await;
}

/// Compare in a time that tells nothing of where they differ.
fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let pairs = one.iter().zip(other);
    one.len() == other.len() && pairs.fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

async fn meet(links: &Arc<Links>, engine: &Engine, session: ExecSession, side: Side, ws: Ws) {
    let id = &session.id;
    let (waits, ws) = match links.meetings.arrive(id, side, ws) {
        Arrived::Refused(ws, why) => return hang_up(ws, CloseCode::Policy, why).await,
        // The one who waited carries both from here on.
        Arrived::Met(other, ws) => {
            if let Err(ws) = other.send(ws) {
                links.meetings.end(id);
                hang_up(ws, CloseCode::Normal, "the other side is gone").await;
            }
            return;
        }
        Arrived::Waits(waits, ws) => (waits, ws),
    };
    let met = tokio::time::timeout(MEETING, waits).await;
    let Ok(Ok(other)) = met else {
        links.meetings.leave(id);
        return nobody_came(session, side, ws).await;
    };
    links.tell(engine, Told::ExecOpened { session: id.clone() }).await;
    tracing::info!(session = id, task = session.task_arn, "an exec session is open");
    let (client, host) = if side == Side::Client { (ws, other) } else { (other, ws) };
    relay(client, host).await;
    links.meetings.end(id);
    links.tell(engine, Told::ExecEnded { session: id.clone() }).await;
    tracing::info!(session = id, "an exec session has ended");
}

/// The client is told in the words that it shows.
async fn nobody_came(session: ExecSession, side: Side, mut ws: Ws) {
    if side == Side::Client {
        let id = uuid::Uuid::from_u64_pair(now().millis() as u64, 1);
        let closed = ChannelClosed {
            message_id: id.to_string(),
            created_date: now().millis().to_string(),
            session_id: session.id,
            message_type: channel::CHANNEL_CLOSED.to_owned(),
            schema_version: 1,
            output: "The container's host did not answer.".to_owned(),
            ..ChannelClosed::default()
        };
        let message = Message {
            message_type: channel::CHANNEL_CLOSED.to_owned(),
            schema_version: 1,
            created_date: now().millis() as u64,
            message_id: id,
            payload: channel::json(&closed),
            ..Message::default()
        };
        let _ = tokio::time::timeout(WRITE, ws.send(Frame::binary(message.encode()))).await;
    }
    hang_up(ws, CloseCode::Normal, "the other side did not come").await;
}

/// Pass frames both ways until one side ends.
async fn relay(client: Ws, host: Ws) {
    let (mut to_client, mut from_client) = client.split();
    let (mut to_host, mut from_host) = host.split();
    let moved = AtomicI64::new(now().millis());
    // Whichever way ends first, what it has passed on is out; the other has nobody to speak to.
    tokio::select! {
        () = pass(&mut from_client, &mut to_host, &moved) => {}
        () = pass(&mut from_host, &mut to_client, &moved) => {}
    }
    let ends = [(to_client, from_client), (to_host, from_host)];
    let ends = ends.map(|(sink, stream)| async {
        if let Ok(ws) = sink.reunite(stream) {
            hang_up(ws, CloseCode::Normal, "").await;
        }
    });
    futures_util::future::join_all(ends).await;
}

/// One way. The other end's sign of life is asked for on it, and the answer is read on the other way.
async fn pass(from: &mut SplitStream<Ws>, to: &mut SplitSink<Ws, Frame>, moved: &AtomicI64) {
    let mut heard = Instant::now();
    let mut ask = tokio::time::interval(ASK);
    let mut reaches = true;
    loop {
        let frame = tokio::select! {
            frame = from.next() => {
                heard = Instant::now();
                match frame {
                    Some(Ok(frame @ Frame::Binary(_))) => {
                        moved.store(now().millis(), Ordering::Relaxed);
                        frame
                    }
                    Some(Ok(Frame::Close(_)) | Err(_)) | None => return,
                    // Pings are answered below this; nothing else is said on the channel.
                    Some(Ok(_)) => continue,
                }
            }
            _ = ask.tick() => {
                let idle = now().millis() - moved.load(Ordering::Relaxed);
                if heard.elapsed() > SILENT || idle > IDLE.as_millis() as i64 {
                    return;
                }
                Frame::Ping(Default::default())
            }
        };
        if reaches {
            match tokio::time::timeout(WRITE, to.send(frame)).await {
                Ok(Ok(())) => {}
                // It hears no more; what it said before is still under way, and ends the other way.
                Ok(Err(_)) => reaches = false,
                Err(_) => return,
            }
        }
    }
}
