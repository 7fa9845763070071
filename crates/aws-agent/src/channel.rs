//! The data channel of an ExecuteCommand session, as session-manager-plugin speaks it: binary messages of
//! one fixed header and a payload, numbered and acknowledged one by one, both ways.
//!
//! All numbers are big-endian. The message's id is the one odd thing: its two halves are swapped on the
//! wire. A payload carries its SHA-256, and a message whose payload does not match is refused.

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::shape::shape;

/// The header's length that every message names, which does not count the payload's length behind it.
pub const HEADER: usize = 116;
const PAYLOAD_AT: usize = HEADER + 4;

/// The largest payload of stream data that is sent. AWS: session-manager-plugin cuts its input so.
pub const MAX_STREAM_PAYLOAD: usize = 1024;

/// The largest message that is read: handshakes and errors may be longer than stream data.
pub const MAX_MESSAGE: usize = 64 << 10;

/// The stream's first message. AWS: bit 0 of the flags.
pub const SYN: u64 = 1;
/// The stream's last message. AWS: bit 1 of the flags.
pub const FIN: u64 = 2;

pub const INPUT_STREAM: &str = "input_stream_data";
pub const OUTPUT_STREAM: &str = "output_stream_data";
pub const ACKNOWLEDGE: &str = "acknowledge";
pub const CHANNEL_CLOSED: &str = "channel_closed";
pub const START_PUBLICATION: &str = "start_publication";
pub const PAUSE_PUBLICATION: &str = "pause_publication";

/// What a payload is.
pub mod payload {
    pub const OUTPUT: u32 = 1;
    pub const ERROR: u32 = 2;
    pub const SIZE: u32 = 3;
    pub const PARAMETER: u32 = 4;
    pub const HANDSHAKE_REQUEST: u32 = 5;
    pub const HANDSHAKE_RESPONSE: u32 = 6;
    pub const HANDSHAKE_COMPLETE: u32 = 7;
    pub const FLAG: u32 = 10;
    pub const STDERR: u32 = 11;
    pub const EXIT_CODE: u32 = 12;
}

/// The flag (a payload of type [`payload::FLAG`], four bytes) by which the client ends the session.
pub const FLAG_TERMINATE: u32 = 2;
/// The flag by which our own client ends a command's input. AWS knows 1 to 3.
pub const FLAG_END_OF_INPUT: u32 = 0x7768_0001;

/// What is wrong with a message.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum ChannelError {
    #[error("the message has {0} bytes, the limit is {MAX_MESSAGE}")]
    TooLong(usize),
    #[error("the message has {0} bytes, too few for its header")]
    TooShort(usize),
    #[error("the message names a header of {0} bytes, not {HEADER}")]
    Header(u32),
    #[error("the message's type is not text")]
    Type,
    #[error("the message names a payload of {named} bytes and has {there}")]
    Length { named: u32, there: usize },
    #[error("the payload's digest does not match")]
    Digest,
    #[error("{what} does not read: {why}")]
    Content { what: &'static str, why: String },
}

/// One message of the channel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Message {
    pub message_type: String,
    pub schema_version: u32,
    /// Milliseconds since 1970; never zero on the wire.
    pub created_date: u64,
    pub sequence_number: i64,
    pub flags: u64,
    pub message_id: Uuid,
    pub payload_type: u32,
    pub payload: Vec<u8>,
}

impl Message {
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(PAYLOAD_AT + self.payload.len());
        bytes.extend((HEADER as u32).to_be_bytes());
        let mut name = [b' '; 32];
        let length = self.message_type.len().min(32);
        name[..length].copy_from_slice(&self.message_type.as_bytes()[..length]);
        bytes.extend(name);
        bytes.extend(self.schema_version.to_be_bytes());
        bytes.extend(self.created_date.to_be_bytes());
        bytes.extend(self.sequence_number.to_be_bytes());
        bytes.extend(self.flags.to_be_bytes());
        let id = self.message_id.as_bytes();
        bytes.extend(&id[8..]);
        bytes.extend(&id[..8]);
        bytes.extend(Sha256::digest(&self.payload));
        bytes.extend(self.payload_type.to_be_bytes());
        bytes.extend((self.payload.len() as u32).to_be_bytes());
        bytes.extend(&self.payload);
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, ChannelError> {
        if bytes.len() > MAX_MESSAGE {
            return Err(ChannelError::TooLong(bytes.len()));
        }
        let mut rest = Rest(bytes, bytes.len());
        let header = u32::from_be_bytes(rest.take()?);
        if header as usize != HEADER {
            return Err(ChannelError::Header(header));
        }
        let name: [u8; 32] = rest.take()?;
        let name = std::str::from_utf8(&name).map_err(|_| ChannelError::Type)?;
        let mut message = Self {
            // AWS: some senders pad with spaces, some with zeros.
            message_type: name.trim_matches(['\0', ' ']).to_owned(),
            schema_version: u32::from_be_bytes(rest.take()?),
            created_date: u64::from_be_bytes(rest.take()?),
            sequence_number: i64::from_be_bytes(rest.take()?),
            flags: u64::from_be_bytes(rest.take()?),
            ..Self::default()
        };
        let mut id = [0; 16];
        id[8..].copy_from_slice(&rest.take::<8>()?);
        id[..8].copy_from_slice(&rest.take::<8>()?);
        message.message_id = Uuid::from_bytes(id);
        let digest: [u8; 32] = rest.take()?;
        message.payload_type = u32::from_be_bytes(rest.take()?);
        let named = u32::from_be_bytes(rest.take()?);
        if named as usize != rest.0.len() {
            return Err(ChannelError::Length { named, there: rest.0.len() });
        }
        if !rest.0.is_empty() && Sha256::digest(rest.0)[..] != digest {
            return Err(ChannelError::Digest);
        }
        message.payload = rest.0.to_vec();
        Ok(message)
    }

    /// The acknowledgement of this message.
    pub fn acknowledgement(&self, id: Uuid, created_date: u64) -> Self {
        let content = Acknowledge {
            acknowledged_message_type: self.message_type.clone(),
            acknowledged_message_id: self.message_id.hyphenated().to_string(),
            acknowledged_message_sequence_number: self.sequence_number,
            is_sequential_message: true,
        };
        Self {
            message_type: ACKNOWLEDGE.to_owned(),
            schema_version: 1,
            created_date,
            flags: SYN | FIN,
            message_id: id,
            payload: json(&content),
            ..Self::default()
        }
    }

    pub fn content<T: serde::de::DeserializeOwned>(
        &self,
        what: &'static str,
    ) -> Result<T, ChannelError> {
        serde_json::from_slice(&self.payload)
            .map_err(|error| ChannelError::Content { what, why: error.to_string() })
    }
}

/// The bytes that are left, and how many there were.
struct Rest<'a>(&'a [u8], usize);

impl Rest<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], ChannelError> {
        let (head, rest) = self.0.split_first_chunk().ok_or(ChannelError::TooShort(self.1))?;
        self.0 = rest;
        Ok(*head)
    }
}

/// A payload of JSON.
pub fn json<T: serde::Serialize>(content: &T) -> Vec<u8> {
    serde_json::to_vec(content).expect("payloads have string keys and no floats")
}

shape! {
    /// The client's first frame, a text one: it proves with the session's token whose channel this is.
    OpenDataChannel "PascalCase" {
        message_schema_version: String,
        request_id: String,
        token_value: String,
        client_id: String,
        client_version: String,
    }

    Acknowledge "PascalCase" {
        acknowledged_message_type: String,
        acknowledged_message_id: String,
        acknowledged_message_sequence_number: i64,
        is_sequential_message: bool,
    }

    /// The host's end of the session. An output is shown to the user.
    ChannelClosed "PascalCase" {
        message_id: String,
        created_date: String,
        destination_id: String,
        session_id: String,
        message_type: String,
        schema_version: i64,
        output: String,
    }

    /// The terminal's size, sent at the start and on each change.
    Size "camelCase" { cols: u32, rows: u32 }

    HandshakeRequest "PascalCase" {
        agent_version: String,
        requested_client_actions: Vec<RequestedAction>,
    }

    SessionTypeParameters "PascalCase" {
        /// `Standard_Stream`, `InteractiveCommands`, `NonInteractiveCommands`.
        session_type: String,
    }

    HandshakeResponse "PascalCase" {
        client_version: String,
        processed_client_actions: Vec<ProcessedAction>,
        errors: Vec<String>,
    }

    ProcessedAction "PascalCase" {
        action_type: String,
        /// 1 done, 2 failed, 3 not known.
        action_status: i64,
        error: String,
    }

    HandshakeComplete "PascalCase" {
        /// Nanoseconds.
        handshake_time_to_complete: i64,
        customer_message: String,
    }
}

impl OpenDataChannel {
    /// The longest first frame that is read.
    pub const MAX: usize = 16 << 10;

    pub fn read(text: &str) -> Result<Self, ChannelError> {
        if text.len() > Self::MAX {
            return Err(ChannelError::TooLong(text.len()));
        }
        serde_json::from_str(text)
            .map_err(|e| ChannelError::Content { what: "the first frame", why: e.to_string() })
    }
}

/// The one action that this end asks of a client.
pub const SESSION_TYPE: &str = "SessionType";

/// Something that the host asks of the client before the session begins.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RequestedAction {
    #[serde(default)]
    pub action_type: String,
    /// Depends on the type; absent is `null`.
    #[serde(default)]
    pub action_parameters: Option<Box<RawValue>>,
}

impl PartialEq for RequestedAction {
    fn eq(&self, other: &Self) -> bool {
        let parameters = |a: &Self| a.action_parameters.as_ref().map(|raw| raw.get().to_owned());
        self.action_type == other.action_type && parameters(self) == parameters(other)
    }
}
