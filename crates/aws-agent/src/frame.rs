//! A frame: `{"type": "<name>", "message": {…}}`, one per websocket text message, both ways.
//!
//! A type that is not known is kept as [`Unknown`] and is never an error: AWS's own agent logs and ignores
//! such frames, and so do we, which is what lets the two ends be of different ages.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The longest frame that the plane takes from an agent. AWS: metrics of ten tasks are about 16 KiB.
pub const MAX_FROM_AGENT: usize = 1 << 20;

/// The longest frame that an agent takes from the plane: a payload of many full task definitions.
pub const MAX_FROM_PLANE: usize = 8 << 20;

/// What is wrong with a frame.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error("the frame has {bytes} bytes, the limit is {limit}")]
    TooLong { bytes: usize, limit: usize },
    #[error("the frame is not {{\"type\": …, \"message\": {{…}}}}")]
    Envelope(#[source] serde_json::Error),
    #[error("{kind} does not read")]
    Message { kind: String, source: serde_json::Error },
    #[error("no empty line between the signature and the message")]
    NoBlankLine,
    #[error("the frame's signature has {0} header lines, the limit is {limit}", limit = crate::tcs::MAX_HEADERS)]
    TooManyHeaders(usize),
    #[error("a header line of the frame's signature has no colon")]
    HeaderWithoutColon,
}

/// A frame of a type that this end does not know, as it came.
#[derive(Clone, Debug, PartialEq)]
pub struct Unknown {
    pub kind: String,
    pub message: String,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
}

/// Type and message of a frame, the message still as text.
pub(crate) fn open(text: &str, limit: usize) -> Result<(String, &str), FrameError> {
    if text.len() > limit {
        return Err(FrameError::TooLong { bytes: text.len(), limit });
    }
    let envelope: Envelope = serde_json::from_str(text).map_err(FrameError::Envelope)?;
    Ok((envelope.kind, envelope.message.map_or("{}", RawValue::get)))
}

pub(crate) fn message<M: DeserializeOwned>(kind: &str, text: &str) -> Result<M, FrameError> {
    serde_json::from_str(text)
        .map_err(|source| FrameError::Message { kind: kind.to_owned(), source })
}

pub(crate) fn close<M: Serialize>(kind: &str, message: &M) -> String {
    #[derive(Serialize)]
    struct Closed<'a, M> {
        #[serde(rename = "type")]
        kind: &'a str,
        message: &'a M,
    }
    serde_json::to_string(&Closed { kind, message })
        .expect("messages have string keys and finite numbers or null")
}

pub(crate) fn close_unknown(unknown: &Unknown) -> String {
    match serde_json::from_str::<&RawValue>(&unknown.message) {
        Ok(raw) => close(&unknown.kind, &raw),
        Err(_) => close(&unknown.kind, &serde_json::Map::new()),
    }
}

/// An enum over the message types of one direction, with `encode`, `decode` and `kind`.
macro_rules! frames {
    (
        $(#[$about:meta])*
        $name:ident, limit $limit:expr;
        $( $(#[$note:meta])* $variant:ident($type:ty) = $kind:literal, )*
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq)]
        pub enum $name {
            $( $(#[$note])* $variant($type), )*
            Unknown(crate::frame::Unknown),
        }

        impl $name {
            pub fn kind(&self) -> &str {
                match self {
                    $( Self::$variant(_) => $kind, )*
                    Self::Unknown(unknown) => &unknown.kind,
                }
            }

            pub fn encode(&self) -> String {
                match self {
                    $( Self::$variant(message) => crate::frame::close($kind, message), )*
                    Self::Unknown(unknown) => crate::frame::close_unknown(unknown),
                }
            }

            pub fn decode(text: &str) -> Result<Self, crate::FrameError> {
                let (kind, text) = crate::frame::open(text, $limit)?;
                Ok(match kind.as_str() {
                    $( $kind => Self::$variant(crate::frame::message(&kind, text)?), )*
                    _ => Self::Unknown(crate::frame::Unknown { message: text.to_owned(), kind }),
                })
            }
        }

        $(
            impl From<$type> for $name {
                fn from(message: $type) -> Self {
                    Self::$variant(message)
                }
            }
        )*
    };
}

pub(crate) use frames;
