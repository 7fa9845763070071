//! One session's talk: frames of the channel on one side, a command's streams on the other.

use std::collections::VecDeque;
use std::time::Duration;

use aws_agent::acs::Exec as Asked;
use aws_agent::channel::Size;
use aws_agent::exec::{Host, HostEvent};
use futures_util::{Stream, StreamExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::tungstenite::{self, Message};
use uuid::Uuid;

use super::SessionError;
use super::command::{Command, Input, NotStarted, Step, Target};
use crate::clock;

/// How long a client may take for its part of the handshake.
const INTRODUCTION: Duration = Duration::from_secs(30);
/// AWS: the client tells its terminal's size after the handshake, at once. A command that begins
/// with the right one is worth a short wait.
const SIZE: Duration = Duration::from_millis(300);
/// The plane asks for a sign of life every 30 s.
const SILENT: Duration = Duration::from_secs(95);
/// How long a client may take to acknowledge the last output.
const DRAIN: Duration = Duration::from_secs(60);
/// Between two looks at what is due by time: while something is, and while nothing is.
const LOOK: Duration = Duration::from_millis(100);
const IDLE_LOOK: Duration = Duration::from_secs(5);
/// Pieces of input that wait before the client is told to.
const WAITING: usize = 64;

enum Stage {
    /// The client has not introduced itself.
    Greeting(Instant),
    /// Its terminal's size is not known yet.
    Sizing(Instant),
    Running(Command),
    /// Everything is said; what was said last is on its way.
    Ending {
        by: Instant,
        words: String,
    },
}

pub struct Talk {
    host: Host,
    /// Or why there can be no command.
    target: Result<Target, String>,
    stage: Stage,
    queue: mpsc::Sender<Vec<u8>>,
    next: Option<Vec<u8>>,
    /// What the command has not taken yet.
    input: VecDeque<Input>,
    held: bool,
    looked: Instant,
}

fn now() -> u64 {
    u64::try_from(clock::now().millis()).unwrap_or_default()
}

/// What happens next.
enum Happened {
    Frame(Option<Result<Message, tungstenite::Error>>),
    Step(Step),
    /// A frame, or a piece of input, has a place to go to.
    Moved,
    Timer,
}

impl Talk {
    pub fn new(
        asked: &Asked,
        target: Result<Target, String>,
        queue: mpsc::Sender<Vec<u8>>,
    ) -> Talk {
        let seed = Uuid::from_bytes(crate::tasks::random());
        Talk {
            host: Host::new(&asked.session_id, asked.interactive, seed, now()),
            target,
            stage: Stage::Greeting(Instant::now() + INTRODUCTION),
            queue,
            next: None,
            input: VecDeque::new(),
            held: false,
            looked: Instant::now(),
        }
    }

    /// To the session's end, however it comes; the command does not outlive it.
    pub async fn run(
        mut self,
        source: impl Stream<Item = Result<Message, tungstenite::Error>> + Unpin,
    ) -> Result<(), SessionError> {
        let ended = self.talk(source).await;
        if let Stage::Running(command) = self.stage {
            command.hang_up().await;
        }
        ended
    }

    async fn talk(
        &mut self,
        mut source: impl Stream<Item = Result<Message, tungstenite::Error>> + Unpin,
    ) -> Result<(), SessionError> {
        let mut heard = Instant::now();
        loop {
            self.next = self.next.take().or_else(|| self.host.outgoing());
            if let Stage::Ending { by, words } = &self.stage
                && self.next.is_none()
            {
                let late = Instant::now() > *by;
                if self.host.is_closed() {
                    return Ok(());
                }
                if late || self.host.is_drained() {
                    self.host.close(&words.clone(), now());
                    continue;
                }
            }
            match self.happens(&mut source).await {
                Happened::Frame(Some(Ok(frame))) => {
                    heard = Instant::now();
                    match frame {
                        Message::Binary(bytes) => {
                            let events = self.host.receive(&bytes, now())?;
                            self.take(events).await;
                        }
                        Message::Close(_) => return Err(SessionError::Gone),
                        _ => {}
                    }
                }
                Happened::Frame(Some(Err(_)) | None) => return Err(SessionError::Gone),
                Happened::Step(step) => self.follow(step),
                Happened::Moved => self.let_in().await?,
                Happened::Timer => {
                    if heard.elapsed() > SILENT {
                        return Err(SessionError::Silent);
                    }
                    self.look().await?;
                }
            }
        }
    }

    async fn happens(
        &mut self,
        source: &mut (impl Stream<Item = Result<Message, tungstenite::Error>> + Unpin),
    ) -> Happened {
        let due = matches!(self.stage, Stage::Greeting(_) | Stage::Sizing(_));
        let look = if due || self.host.due().is_some() { LOOK } else { IDLE_LOOK };
        let room = self.host.has_room();
        let Talk { stage, queue, next, input, looked, .. } = self;
        let feed = match stage {
            Stage::Running(command) if !input.is_empty() => Some(command.input.clone()),
            _ => None,
        };
        let fed = async {
            match &feed {
                Some(feed) => feed.reserve().await.ok(),
                None => std::future::pending().await,
            }
        };
        let step = async {
            match stage {
                Stage::Running(command) => command.next(room).await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            frame = source.next() => Happened::Frame(frame),
            place = queue.reserve(), if next.is_some() => match (place, next.take()) {
                (Ok(place), Some(bytes)) => {
                    place.send(bytes);
                    Happened::Moved
                }
                _ => Happened::Frame(None),
            },
            place = fed => {
                match (place, input.pop_front()) {
                    (Some(place), Some(input)) => place.send(input),
                    // The command reads no more: nobody misses the rest.
                    _ => input.clear(),
                }
                Happened::Moved
            }
            step = step => Happened::Step(step),
            () = sleep_until(*looked + look) => {
                *looked = Instant::now();
                Happened::Timer
            }
        }
    }

    /// What is due by time alone.
    async fn look(&mut self) -> Result<(), SessionError> {
        match &self.stage {
            Stage::Greeting(by) if *by < Instant::now() => return Err(SessionError::Silent),
            Stage::Sizing(by) if *by < Instant::now() => self.start(None).await,
            _ => {}
        }
        // While frames wait for the socket, nothing new can have been lost.
        if self.next.is_none() {
            self.host.tick(now())?;
        }
        Ok(())
    }

    async fn let_in(&mut self) -> Result<(), SessionError> {
        if self.held && self.input.is_empty() {
            self.held = false;
            let waited = self.host.resume(now())?;
            self.take(waited).await;
        }
        Ok(())
    }

    async fn take(&mut self, events: Vec<HostEvent>) {
        for event in events {
            match event {
                HostEvent::Ready if self.host.has_terminal() => {
                    self.stage = Stage::Sizing(Instant::now() + SIZE);
                }
                HostEvent::Ready => self.start(None).await,
                HostEvent::Resize(size) => self.resize(size).await,
                HostEvent::Input(bytes) => self.input.push_back(Input::Bytes(bytes)),
                HostEvent::EndOfInput => self.input.push_back(Input::End),
                HostEvent::Terminate => {
                    let stage = self.end(String::new());
                    if let Stage::Running(command) = stage {
                        command.hang_up().await;
                    }
                }
            }
        }
        if self.input.len() >= WAITING && !self.held {
            self.held = true;
            self.host.hold();
        }
    }

    async fn resize(&mut self, size: Size) {
        match &mut self.stage {
            Stage::Running(command) => command.resize(&size).await,
            Stage::Sizing(_) => self.start(Some(size)).await,
            Stage::Greeting(_) | Stage::Ending { .. } => {}
        }
    }

    async fn start(&mut self, size: Option<Size>) {
        let size = self.host.has_terminal().then_some(size);
        let started = match &self.target {
            Ok(target) => target.start(size).await,
            Err(words) => Err(NotStarted { text: words.clone(), code: 126 }),
        };
        match started {
            Ok(command) => self.stage = Stage::Running(command),
            Err(why) => {
                self.host.exited(why.code, now());
                let text = format!("Unable to start command: {}", why.text);
                // AWS: in its agent's words; the plugin shows them behind the session's id.
                self.end(match self.host.takes_exit_code() {
                    true => text,
                    false => format!("\n----------ERROR-------\n{text}\n"),
                });
            }
        }
    }

    fn follow(&mut self, step: Step) {
        match step {
            Step::Output(bytes) => self.host.output(&bytes, now()),
            Step::ErrorOutput(bytes) => self.host.error_output(&bytes, now()),
            Step::Ended(code) => {
                self.host.exited(code, now());
                self.end(String::new());
            }
        }
    }

    /// The stage that was.
    fn end(&mut self, words: String) -> Stage {
        let by = Instant::now() + DRAIN;
        std::mem::replace(&mut self.stage, Stage::Ending { by, words })
    }
}
