//! Both ends of an exec session's data channel, without sockets or clocks: bytes in, bytes and events out.
//!
//! The idea: a stream of numbered messages each way. What was sent is kept until it is acknowledged, and sent
//! again until it is; what comes early is kept until its turn; what comes twice is acknowledged twice and
//! delivered once. So either end survives a peer that drops messages while it is not ready, which
//! session-manager-plugin does before its handshake is complete.
//!
//! The caller moves bytes: [`Host::receive`] what came, [`Host::outgoing`] what is to be sent,
//! [`Host::tick`] when [`Host::due`] has come. Time is milliseconds since 1970.

use std::collections::{BTreeMap, VecDeque};

use serde_json::value::RawValue;
use uuid::Uuid;

use crate::channel::{
    self, ACKNOWLEDGE, Acknowledge, CHANNEL_CLOSED, ChannelClosed, ChannelError, HandshakeComplete,
    HandshakeRequest, HandshakeResponse, MAX_STREAM_PAYLOAD, Message, ProcessedAction,
    RequestedAction, SESSION_TYPE, SYN, SessionTypeParameters, Size, payload,
};

/// When a message that was not acknowledged is sent again. AWS: 200 ms to 1 s.
const AGAIN_MS: u64 = 300;
const AGAIN_AT_MOST_MS: u64 = 1000;

/// After so many attempts the peer counts as gone. AWS: five minutes of them.
const ATTEMPTS: u32 = 300;

/// Messages that may be on their way. Beyond it the caller reads no more from its program.
const WINDOW: usize = 256;

/// Messages that may come before their turn, or wait while this end has no room for them.
const EARLY: usize = 256;

/// The version that this end names; the plugin expects one of AWS's agent.
const AGENT_VERSION: &str = "3.3.131.0";

/// A client that takes exit codes names itself so. AWS's plugin would print one.
const OWN_CLIENT: &str = "wharf/";
/// What our own client adds to its name where the command shall have pipes and no terminal.
const WITHOUT_TERMINAL: &str = " pipes";

/// Why a session cannot go on.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum ExecError {
    #[error(transparent)]
    Channel(#[from] ChannelError),
    #[error("the other end does not acknowledge what it is sent")]
    Unheard,
}

#[derive(Debug)]
struct Sent {
    sequence: i64,
    bytes: Vec<u8>,
    again_at: u64,
    attempts: u32,
}

/// Numbered messages, both ways.
#[derive(Debug)]
struct Flow {
    /// What this end sends: `input_stream_data` or `output_stream_data`.
    sends: &'static str,
    takes: &'static str,
    ids: u128,
    next: i64,
    expected: i64,
    sent: VecDeque<Sent>,
    early: BTreeMap<i64, Message>,
    /// What is in turn waits all the same: whoever it is for has no room for it.
    held: bool,
    outgoing: VecDeque<Vec<u8>>,
}

impl Flow {
    fn new(sends: &'static str, takes: &'static str, seed: Uuid) -> Flow {
        Flow {
            sends,
            takes,
            ids: seed.as_u128(),
            next: 0,
            expected: 0,
            sent: VecDeque::new(),
            early: BTreeMap::new(),
            held: false,
            outgoing: VecDeque::new(),
        }
    }

    fn id(&mut self) -> Uuid {
        self.ids = self.ids.wrapping_add(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        Uuid::from_u128(self.ids)
    }

    fn send(&mut self, payload_type: u32, payload: &[u8], now: u64) {
        let message = Message {
            message_type: self.sends.to_owned(),
            schema_version: 1,
            created_date: now.max(1),
            sequence_number: self.next,
            flags: if self.next == 0 { SYN } else { 0 },
            message_id: self.id(),
            payload_type,
            payload: payload.to_vec(),
        };
        let bytes = message.encode();
        self.outgoing.push_back(bytes.clone());
        let again_at = now + AGAIN_MS;
        self.sent.push_back(Sent { sequence: self.next, bytes, again_at, attempts: 1 });
        self.next += 1;
    }

    fn has_room(&self) -> bool {
        self.sent.len() < WINDOW
    }

    /// Take a message; what is in turn now comes out, in order.
    fn receive(&mut self, message: Message, now: u64) -> Result<Vec<Message>, ExecError> {
        if message.message_type == ACKNOWLEDGE {
            let ack: Acknowledge = message.content("an acknowledgement")?;
            if ack.acknowledged_message_type == self.sends {
                let sequence = ack.acknowledged_message_sequence_number;
                self.sent.retain(|sent| sent.sequence != sequence);
            }
            return Ok(Vec::new());
        }
        if message.message_type != self.takes {
            return Ok(Vec::new());
        }
        if message.sequence_number.saturating_sub(self.expected) >= EARLY as i64 {
            // Not acknowledged, so it comes again: the other end runs ahead, or this one has no room.
            return Ok(Vec::new());
        }
        let id = self.id();
        self.outgoing.push_back(message.acknowledgement(id, now.max(1)).encode());
        if message.sequence_number < self.expected {
            return Ok(Vec::new());
        }
        self.early.insert(message.sequence_number, message);
        Ok(self.in_turn())
    }

    fn in_turn(&mut self) -> Vec<Message> {
        let mut turn = Vec::new();
        while !self.held
            && let Some(message) = self.early.remove(&self.expected)
        {
            self.expected += 1;
            turn.push(message);
        }
        turn
    }

    fn tick(&mut self, now: u64) -> Result<(), ExecError> {
        for sent in self.sent.iter_mut().filter(|sent| sent.again_at <= now) {
            if sent.attempts >= ATTEMPTS {
                return Err(ExecError::Unheard);
            }
            let wait = (AGAIN_MS << sent.attempts.min(8)).min(AGAIN_AT_MOST_MS);
            (sent.attempts, sent.again_at) = (sent.attempts + 1, now + wait);
            self.outgoing.push_back(sent.bytes.clone());
        }
        Ok(())
    }

    fn due(&self) -> Option<u64> {
        self.sent.iter().map(|sent| sent.again_at).min()
    }
}

/// What a client asks of a host.
#[derive(Clone, Debug, PartialEq)]
pub enum HostEvent {
    /// The handshake is complete: the command may start, if it has not.
    Ready,
    Input(Vec<u8>),
    /// Nothing more will be typed. Only of our own client, and only where there is no terminal.
    EndOfInput,
    Resize(Size),
    /// The client ends the session: the command shall end.
    Terminate,
}

/// The host's end.
#[derive(Debug)]
pub struct Host {
    flow: Flow,
    session_id: String,
    started: u64,
    ready: bool,
    takes_exit_code: bool,
    terminal: bool,
    closed: bool,
}

impl Host {
    /// Opens the session with the handshake. `seed` is any random id.
    pub fn new(session_id: &str, interactive: bool, seed: Uuid, now: u64) -> Host {
        let flow = Flow::new(channel::OUTPUT_STREAM, channel::INPUT_STREAM, seed);
        let session_id = session_id.to_owned();
        let mut host = Host {
            flow,
            session_id,
            started: now,
            ready: false,
            takes_exit_code: false,
            terminal: true,
            closed: false,
        };
        let session_type =
            if interactive { "InteractiveCommands" } else { "NonInteractiveCommands" };
        let parameters = SessionTypeParameters { session_type: session_type.to_owned() };
        let parameters = serde_json::to_string(&parameters).ok();
        let parameters = parameters.and_then(|text| RawValue::from_string(text).ok());
        let request = HandshakeRequest {
            agent_version: AGENT_VERSION.to_owned(),
            requested_client_actions: vec![RequestedAction {
                action_type: SESSION_TYPE.to_owned(),
                action_parameters: parameters,
            }],
        };
        host.flow.send(payload::HANDSHAKE_REQUEST, &channel::json(&request), now);
        host
    }

    /// A message that came. One that does not add up is dropped, as the plugin does: it comes again.
    pub fn receive(&mut self, bytes: &[u8], now: u64) -> Result<Vec<HostEvent>, ExecError> {
        let Ok(message) = Message::decode(bytes) else { return Ok(Vec::new()) };
        let turn = self.flow.receive(message, now)?;
        self.take(turn, now)
    }

    /// The command takes no more input for now: what comes waits, and beyond a bound the client does.
    pub fn hold(&mut self) {
        self.flow.held = true;
    }

    /// The command takes input again; what has waited.
    pub fn resume(&mut self, now: u64) -> Result<Vec<HostEvent>, ExecError> {
        self.flow.held = false;
        let turn = self.flow.in_turn();
        self.take(turn, now)
    }

    /// Whether the command gets a terminal; known once the handshake is complete.
    pub fn has_terminal(&self) -> bool {
        self.terminal
    }

    fn take(&mut self, turn: Vec<Message>, now: u64) -> Result<Vec<HostEvent>, ExecError> {
        let mut events = Vec::new();
        for message in turn {
            match message.payload_type {
                payload::HANDSHAKE_RESPONSE if !self.ready => {
                    let response: HandshakeResponse = message.content("a handshake's response")?;
                    self.takes_exit_code = response.client_version.starts_with(OWN_CLIENT);
                    self.terminal = !self.takes_exit_code
                        || !response.client_version.ends_with(WITHOUT_TERMINAL);
                    self.ready = true;
                    let took = now.saturating_sub(self.started).min(i64::MAX as u64 / 1_000_000);
                    let complete = HandshakeComplete {
                        handshake_time_to_complete: took as i64 * 1_000_000,
                        customer_message: String::new(),
                    };
                    let complete = channel::json(&complete);
                    self.flow.send(payload::HANDSHAKE_COMPLETE, &complete, now);
                    events.push(HostEvent::Ready);
                }
                payload::OUTPUT => events.push(HostEvent::Input(message.payload)),
                payload::SIZE => {
                    if let Ok(size) = message.content("a terminal's size") {
                        events.push(HostEvent::Resize(size));
                    }
                }
                payload::FLAG => match message.payload[..].try_into().map(u32::from_be_bytes) {
                    Ok(channel::FLAG_TERMINATE) => events.push(HostEvent::Terminate),
                    Ok(channel::FLAG_END_OF_INPUT) => events.push(HostEvent::EndOfInput),
                    Ok(_) | Err(_) => {}
                },
                _ => {}
            }
        }
        Ok(events)
    }

    /// Whether the client wants the command's exit code: ours does.
    pub fn takes_exit_code(&self) -> bool {
        self.takes_exit_code
    }

    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether more output may be handed over now.
    pub fn has_room(&self) -> bool {
        self.ready && !self.closed && self.flow.has_room()
    }

    pub fn output(&mut self, bytes: &[u8], now: u64) {
        self.stream(payload::OUTPUT, bytes, now);
    }

    /// Where the command has no terminal.
    pub fn error_output(&mut self, bytes: &[u8], now: u64) {
        self.stream(payload::STDERR, bytes, now);
    }

    fn stream(&mut self, payload_type: u32, bytes: &[u8], now: u64) {
        for piece in bytes.chunks(MAX_STREAM_PAYLOAD) {
            self.flow.send(payload_type, piece, now);
        }
    }

    /// The command has ended. Send what [`Host::outgoing`] gives until [`Host::is_drained`], then
    /// [`Host::close`].
    pub fn exited(&mut self, code: i32, now: u64) {
        if self.takes_exit_code {
            self.flow.send(payload::EXIT_CODE, code.to_string().as_bytes(), now);
        }
    }

    /// Whether the client has acknowledged everything.
    pub fn is_drained(&self) -> bool {
        self.flow.sent.is_empty() && self.flow.outgoing.is_empty()
    }

    /// The last message. `words` are shown to the user; without any it is told that the session ended.
    pub fn close(&mut self, words: &str, now: u64) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        let message_id = self.flow.id();
        let closed = ChannelClosed {
            message_id: message_id.hyphenated().to_string(),
            created_date: now.to_string(),
            session_id: self.session_id.clone(),
            message_type: CHANNEL_CLOSED.to_owned(),
            schema_version: 1,
            output: words.to_owned(),
            ..ChannelClosed::default()
        };
        let message = Message {
            message_type: CHANNEL_CLOSED.to_owned(),
            schema_version: 1,
            created_date: now.max(1),
            message_id,
            payload: channel::json(&closed),
            ..Message::default()
        };
        self.flow.outgoing.push_back(message.encode());
    }

    pub fn outgoing(&mut self) -> Option<Vec<u8>> {
        self.flow.outgoing.pop_front()
    }

    pub fn due(&self) -> Option<u64> {
        self.flow.due()
    }

    pub fn tick(&mut self, now: u64) -> Result<(), ExecError> {
        self.flow.tick(now)
    }
}

/// What a host tells a client.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientEvent {
    /// The handshake is complete: input may flow.
    Ready,
    Output(Vec<u8>),
    ErrorOutput(Vec<u8>),
    Exited(i32),
    /// The end, with what is to be shown.
    Closed(String),
}

/// The client's end.
#[derive(Debug)]
pub struct Client {
    flow: Flow,
    version: String,
    ready: bool,
}

impl Client {
    /// Without a terminal the command gets pipes: its errors come apart, and its input has an end.
    pub fn new(version: &str, terminal: bool, seed: Uuid) -> Client {
        let flow = Flow::new(channel::INPUT_STREAM, channel::OUTPUT_STREAM, seed);
        let ending = if terminal { "" } else { WITHOUT_TERMINAL };
        Client { flow, version: format!("{OWN_CLIENT}{version}{ending}"), ready: false }
    }

    pub fn receive(&mut self, bytes: &[u8], now: u64) -> Result<Vec<ClientEvent>, ExecError> {
        let Ok(message) = Message::decode(bytes) else { return Ok(Vec::new()) };
        if message.message_type == CHANNEL_CLOSED {
            let closed: ChannelClosed = message.content("the channel's end")?;
            return Ok(vec![ClientEvent::Closed(closed.output)]);
        }
        let mut events = Vec::new();
        for message in self.flow.receive(message, now)? {
            match message.payload_type {
                payload::HANDSHAKE_REQUEST => {
                    let request: HandshakeRequest = message.content("a handshake")?;
                    let response = self.respond(request);
                    let response = channel::json(&response);
                    self.flow.send(payload::HANDSHAKE_RESPONSE, &response, now);
                }
                payload::HANDSHAKE_COMPLETE => {
                    self.ready = true;
                    events.push(ClientEvent::Ready);
                }
                payload::OUTPUT => events.push(ClientEvent::Output(message.payload)),
                payload::STDERR => events.push(ClientEvent::ErrorOutput(message.payload)),
                payload::EXIT_CODE => {
                    let code = std::str::from_utf8(&message.payload).ok();
                    let code = code.and_then(|code| code.trim().parse().ok());
                    events.extend(code.map(ClientEvent::Exited));
                }
                _ => {}
            }
        }
        Ok(events)
    }

    fn respond(&self, request: HandshakeRequest) -> HandshakeResponse {
        let mut response = HandshakeResponse {
            client_version: self.version.clone(),
            ..HandshakeResponse::default()
        };
        for action in request.requested_client_actions {
            let known = action.action_type == SESSION_TYPE;
            let error = match known {
                true => String::new(),
                false => format!("Unsupported action {}", action.action_type),
            };
            if !known {
                response.errors.push(error.clone());
            }
            response.processed_client_actions.push(ProcessedAction {
                action_type: action.action_type,
                action_status: if known { 1 } else { 3 },
                error,
            });
        }
        response
    }

    pub fn has_room(&self) -> bool {
        self.ready && self.flow.has_room()
    }

    pub fn input(&mut self, bytes: &[u8], now: u64) {
        for piece in bytes.chunks(MAX_STREAM_PAYLOAD) {
            self.flow.send(payload::OUTPUT, piece, now);
        }
    }

    pub fn resize(&mut self, size: &Size, now: u64) {
        self.flow.send(payload::SIZE, &channel::json(size), now);
    }

    /// Nothing more will be typed; the command sees it where it has no terminal.
    pub fn end_input(&mut self, now: u64) {
        self.flow.send(payload::FLAG, &channel::FLAG_END_OF_INPUT.to_be_bytes(), now);
    }

    pub fn terminate(&mut self, now: u64) {
        self.flow.send(payload::FLAG, &channel::FLAG_TERMINATE.to_be_bytes(), now);
    }

    pub fn outgoing(&mut self) -> Option<Vec<u8>> {
        self.flow.outgoing.pop_front()
    }

    pub fn due(&self) -> Option<u64> {
        self.flow.due()
    }

    pub fn tick(&mut self, now: u64) -> Result<(), ExecError> {
        self.flow.tick(now)
    }
}
