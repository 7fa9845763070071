//! `wharf exec`: a command in a container of a task, by ExecuteCommand and the session's data channel.
//!
//! The same call and the same channel as the AWS CLI with session-manager-plugin, without either. Between
//! two terminals the command gets a terminal too. Anywhere else it gets pipes, as in a script of the
//! machine's own: bytes pass as they are, errors apart, and the input's end is the command's. The
//! command's exit code comes back as this program's own.

use std::io::{IsTerminal, Read, Write};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use aws_agent::channel::{self, MAX_MESSAGE, OpenDataChannel, Size};
use aws_agent::exec::{Client, ClientEvent};
use futures_util::{SinkExt, StreamExt};
use plane_gateway::{Outbound, Stream};
use rustix::termios::{self, OptionalActions, Termios};
use serde::Deserialize;
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use uuid::Uuid;

use crate::client;
use crate::data_dir::DataDirArgument;
use crate::endpoint::Endpoint;
use crate::root_key::RootKey;

#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    data_dir: DataDirArgument,
    /// The task's id or ARN
    task: String,
    /// The container, where the task has more than one
    #[arg(long, short)]
    container: Option<String>,
    #[arg(long, default_value = "default")]
    cluster: String,
    /// The command and its arguments; a shell where there is none
    #[arg(trailing_var_arg = true)]
    command: Vec<String>,
}

#[derive(Deserialize)]
struct Answer {
    session: Session,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Session {
    stream_url: String,
    token_value: String,
}

/// How long a lost message may take to be noticed where nothing else happens.
const LOOK: Duration = Duration::from_millis(100);

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let dir = arguments.data_dir.resolve()?;
    let endpoint = Endpoint::find(&dir)?;
    let key = RootKey::load(&dir)?.context("there is no root-key.json in the data directory")?;
    let mut words: Vec<String> =
        arguments.command.iter().map(|word| crate::process::shell_quoted(word)).collect();
    if words.is_empty() {
        words.push("sh".to_owned());
    }
    let input = json!({
        "cluster": arguments.cluster,
        "task": arguments.task,
        "container": arguments.container,
        // AWS: there are no sessions but interactive ones; whether there is a terminal is our matter.
        "interactive": true,
        "command": words.join(" "),
    });
    let answer: Answer = client::call_ecs(&endpoint, &key, "ExecuteCommand", &input)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    runtime.block_on(converse(&endpoint, answer.session, terminal))
}

/// The terminal without its own line editing, until this is dropped.
struct Raw(Termios);

impl Raw {
    fn enter() -> Option<Raw> {
        let stdin = std::io::stdin();
        let before = termios::tcgetattr(&stdin).ok().filter(|_| stdin.is_terminal())?;
        let mut raw = before.clone();
        raw.make_raw();
        termios::tcsetattr(&stdin, OptionalActions::Now, &raw).ok()?;
        Some(Raw(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing restored.
        let _ = termios::tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0);
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn random() -> Result<Uuid> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).context("no random bytes")?;
    Ok(Uuid::from_bytes(bytes))
}

fn terminal_size() -> Option<Size> {
    let size = termios::tcgetwinsize(std::io::stdout()).ok()?;
    Some(Size { cols: size.ws_col.into(), rows: size.ws_row.into() })
}

async fn dial(endpoint: &Endpoint, session: &Session) -> Result<WebSocketStream<Stream>> {
    // The same address, as HTTP names it.
    let url = session.stream_url.replacen("ws", "http", 1);
    let outbound = Outbound::new(endpoint.ca.as_deref(), Duration::from_secs(30))?;
    let stream = outbound.websocket(url.parse().context("the stream's URL")?).await?;
    let config = WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE));
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Client, Some(config)).await;
    let hello = OpenDataChannel {
        message_schema_version: "1.0".to_owned(),
        request_id: random()?.to_string(),
        token_value: session.token_value.clone(),
        client_id: random()?.to_string(),
        client_version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let hello = String::from_utf8(channel::json(&hello)).context("JSON is text")?;
    socket.send(Message::text(hello)).await.context("the session's first frame")?;
    Ok(socket)
}

/// What ends a program from outside; the terminal is put back before.
struct Signals {
    resized: Signal,
    ended: [Signal; 2],
}

impl Signals {
    fn new() -> Result<Signals> {
        let listen = |kind| signal(kind).context("signals");
        let ended = [listen(SignalKind::terminate())?, listen(SignalKind::hangup())?];
        Ok(Signals { resized: listen(SignalKind::window_change())?, ended })
    }

    /// The signal's number.
    async fn end(ended: &mut [Signal; 2]) -> i32 {
        let [terminated, hung_up] = ended;
        tokio::select! {
            _ = terminated.recv() => SignalKind::terminate().as_raw_value(),
            _ = hung_up.recv() => SignalKind::hangup().as_raw_value(),
        }
    }
}

async fn converse(endpoint: &Endpoint, session: Session, terminal: bool) -> Result<ExitCode> {
    let mut socket = dial(endpoint, &session).await?;
    let mut client = Client::new(env!("CARGO_PKG_VERSION"), terminal, random()?);
    let mut signals = Signals::new()?;
    let (mut typed, mut reads) = (typed(), true);
    let mut screen = Screen { terminal, raw: None, code: None };
    let mut reaches = true;
    loop {
        while let Some(bytes) = client.outgoing() {
            // Who hears no more may have said how it ended; that is still to be read.
            reaches = reaches && socket.send(Message::binary(bytes)).await.is_ok();
        }
        let room = client.has_room();
        tokio::select! {
            frame = socket.next() => match frame {
                Some(Ok(Message::Binary(bytes))) => {
                    for event in client.receive(&bytes, now())? {
                        if let Some(words) = screen.show(event, &mut client)? {
                            return screen.closed(&words);
                        }
                    }
                }
                Some(Ok(Message::Close(frame))) => {
                    let words = frame.map(|frame| frame.reason.to_string()).unwrap_or_default();
                    return screen.closed(&words);
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => bail!("the session broke off: {error}"),
                None => return screen.closed(""),
            },
            read = typed.recv(), if reads && room => match read {
                Some(bytes) => client.input(&bytes, now()),
                None => {
                    // A terminal says by a character of its own that there will be no more.
                    if terminal { client.input(&[4], now()) } else { client.end_input(now()) }
                    reads = false;
                }
            },
            _ = signals.resized.recv(), if room && terminal => {
                if let Some(size) = terminal_size() {
                    client.resize(&size, now());
                }
            }
            number = Signals::end(&mut signals.ended) => {
                return Ok(ExitCode::from(u8::try_from(128 + number).unwrap_or(u8::MAX)));
            }
            () = tokio::time::sleep(LOOK), if client.due().is_some() => client.tick(now())?,
        }
    }
}

/// What the user sees of the session.
struct Screen {
    terminal: bool,
    raw: Option<Raw>,
    code: Option<i32>,
}

impl Screen {
    /// The words with which the session ends, when it does.
    fn show(&mut self, event: ClientEvent, client: &mut Client) -> Result<Option<String>> {
        match event {
            ClientEvent::Ready if self.terminal => {
                // Not before: until here Ctrl-C is ours.
                self.raw = Raw::enter();
                if let Some(size) = terminal_size() {
                    client.resize(&size, now());
                }
            }
            ClientEvent::Ready => {}
            ClientEvent::Output(bytes) => put(std::io::stdout(), &bytes)?,
            ClientEvent::ErrorOutput(bytes) => put(std::io::stderr(), &bytes)?,
            ClientEvent::Exited(exited) => self.code = Some(exited),
            ClientEvent::Closed(words) => return Ok(Some(words)),
        }
        Ok(None)
    }

    /// The command's own code, if the host told it.
    fn closed(mut self, words: &str) -> Result<ExitCode> {
        self.raw = None;
        let words = words.trim();
        match self.code {
            Some(code) => {
                if !words.is_empty() {
                    eprintln!("wharf: {words}");
                }
                Ok(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)))
            }
            None if words.is_empty() => bail!("the session ended before the command did"),
            None => bail!("{words}"),
        }
    }
}

/// What is typed, until its end. A thread reads it: a read of a terminal cannot be taken back.
fn typed() -> mpsc::Receiver<Vec<u8>> {
    let (tell, told) = mpsc::channel(16);
    std::thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(count) = std::io::stdin().read(&mut piece) {
            if count == 0 || tell.blocking_send(piece[..count].to_vec()).is_err() {
                return;
            }
        }
    });
    told
}

fn put(mut to: impl Write, bytes: &[u8]) -> Result<()> {
    to.write_all(bytes).and_then(|()| to.flush()).context("the output")
}
