//! `application/vnd.amazon.eventstream`: replies that go on, as length-prefixed messages.
//!
//! A message is a prelude (two lengths and their CRC), headers, a payload and a CRC over all of it.
//! Which event a message is stands in its headers; the payload is the event's structure in the
//! request's own protocol. Members that a model binds to headers or to the bare payload of an
//! event are not in the schemas, so operations that have such events are not offered.

use bytes::{BufMut, Bytes, BytesMut};

use crate::cbor::Writer;
use crate::error::ApiError;
use crate::json::{self, Dialect};
use crate::service::Protocol;
use crate::shape::{AnyShape, Value};

pub const CONTENT_TYPE: &str = "application/vnd.amazon.eventstream";

/// Two lengths and their checksum.
const PRELUDE: usize = 12;
const CHECKSUM: usize = 4;
/// AWS: headers and payload of one message.
pub const MAX_HEADERS: usize = 128 << 10;
pub const MAX_PAYLOAD: usize = 24 << 20;

/// The value of a message's header.
#[derive(Clone, Debug, PartialEq)]
pub enum HeaderValue {
    Boolean(bool),
    Byte(i8),
    Short(i16),
    Integer(i32),
    Long(i64),
    Bytes(Bytes),
    String(String),
    /// Milliseconds since 1970.
    Timestamp(i64),
    Uuid([u8; 16]),
}

/// One message.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Message {
    pub headers: Vec<(String, HeaderValue)>,
    pub payload: Bytes,
}

/// Bytes that are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("the message's prelude has another checksum")]
    Prelude,
    #[error("the message has another checksum")]
    Message,
    #[error("the message is longer than allowed, or shorter than possible")]
    Length,
    #[error("the message's headers cannot be read")]
    Headers,
}

impl Message {
    fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), HeaderValue::String(value.into())));
        self
    }

    /// The text of a header.
    pub fn text(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(key, _)| key == name)?;
        match value {
            HeaderValue::String(text) => Some(text),
            _ => None,
        }
    }

    /// The message on the wire. Its headers and payload are within the format's bounds.
    pub fn encode(&self) -> Bytes {
        let mut headers = BytesMut::new();
        for (name, value) in &self.headers {
            put_header(&mut headers, name, value);
        }
        assert!(headers.len() <= MAX_HEADERS, "headers are a few short names");
        assert!(self.payload.len() <= MAX_PAYLOAD, "whoever makes an event bounds it");
        let total = PRELUDE + headers.len() + self.payload.len() + CHECKSUM;
        let mut out = BytesMut::with_capacity(total);
        out.put_u32(total as u32);
        out.put_u32(headers.len() as u32);
        out.put_u32(crc32fast::hash(&out));
        out.extend_from_slice(&headers);
        out.extend_from_slice(&self.payload);
        out.put_u32(crc32fast::hash(&out));
        out.freeze()
    }

    /// The message at the beginning of `bytes` and its length there; `None` while it is incomplete.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Message, usize)>, FrameError> {
        let Some(prelude) = bytes.get(..PRELUDE) else { return Ok(None) };
        let (total, of_headers) = (number(&prelude[..4]), number(&prelude[4..8]));
        if crc32fast::hash(&prelude[..8]) != number(&prelude[8..]) as u32 {
            return Err(FrameError::Prelude);
        }
        let least = PRELUDE + of_headers + CHECKSUM;
        if of_headers > MAX_HEADERS || total < least || total > least + MAX_PAYLOAD {
            return Err(FrameError::Length);
        }
        let Some(whole) = bytes.get(..total) else { return Ok(None) };
        let (content, checksum) = whole.split_at(total - CHECKSUM);
        if crc32fast::hash(content) != number(checksum) as u32 {
            return Err(FrameError::Message);
        }
        let (headers, payload) = content[PRELUDE..].split_at(of_headers);
        let headers = read_headers(headers).ok_or(FrameError::Headers)?;
        let payload = Bytes::copy_from_slice(payload);
        Ok(Some((Message { headers, payload }, total)))
    }
}

/// A big-endian number of at most four bytes.
fn number(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte))
}

fn put_header(out: &mut BytesMut, name: &str, value: &HeaderValue) {
    out.put_u8(u8::try_from(name.len()).expect("a header's name has at most 255 bytes"));
    out.extend_from_slice(name.as_bytes());
    let mut sized = |kind: u8, bytes: &[u8]| {
        out.put_u8(kind);
        out.put_u16(u16::try_from(bytes.len()).expect("a header's value is below 64 KiB"));
        out.extend_from_slice(bytes);
    };
    match value {
        HeaderValue::Bytes(bytes) => sized(6, bytes),
        HeaderValue::String(text) => sized(7, text.as_bytes()),
        HeaderValue::Boolean(flag) => out.put_u8(u8::from(!flag)),
        HeaderValue::Byte(n) => {
            out.put_u8(2);
            out.put_i8(*n);
        }
        HeaderValue::Short(n) => {
            out.put_u8(3);
            out.put_i16(*n);
        }
        HeaderValue::Integer(n) => {
            out.put_u8(4);
            out.put_i32(*n);
        }
        HeaderValue::Long(n) => {
            out.put_u8(5);
            out.put_i64(*n);
        }
        HeaderValue::Timestamp(millis) => {
            out.put_u8(8);
            out.put_i64(*millis);
        }
        HeaderValue::Uuid(id) => {
            out.put_u8(9);
            out.extend_from_slice(id);
        }
    }
}

fn read_headers(mut bytes: &[u8]) -> Option<Vec<(String, HeaderValue)>> {
    let mut headers = Vec::new();
    while !bytes.is_empty() {
        let length = usize::from(take(&mut bytes, 1)?[0]);
        let name = str::from_utf8(take(&mut bytes, length)?).ok()?.to_owned();
        let value = match take(&mut bytes, 1)?[0] {
            0 => HeaderValue::Boolean(true),
            1 => HeaderValue::Boolean(false),
            2 => HeaderValue::Byte(i8::from_be_bytes(array(&mut bytes)?)),
            3 => HeaderValue::Short(i16::from_be_bytes(array(&mut bytes)?)),
            4 => HeaderValue::Integer(i32::from_be_bytes(array(&mut bytes)?)),
            5 => HeaderValue::Long(i64::from_be_bytes(array(&mut bytes)?)),
            6 => HeaderValue::Bytes(Bytes::copy_from_slice(sized(&mut bytes)?)),
            7 => HeaderValue::String(str::from_utf8(sized(&mut bytes)?).ok()?.to_owned()),
            8 => HeaderValue::Timestamp(i64::from_be_bytes(array(&mut bytes)?)),
            9 => HeaderValue::Uuid(array(&mut bytes)?),
            _ => return None,
        };
        headers.push((name, value));
    }
    Some(headers)
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

fn array<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    take(bytes, N)?.try_into().ok()
}

fn sized<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = u16::from_be_bytes(array(bytes)?);
    take(bytes, usize::from(length))
}

fn document(protocol: Protocol, shape: &dyn AnyShape) -> (&'static str, Bytes) {
    match protocol {
        Protocol::RpcV2Cbor => {
            let mut writer = Writer::default();
            writer.open_map();
            writer.members(shape);
            writer.close();
            ("application/cbor", writer.out.into())
        }
        Protocol::RestXml | Protocol::AwsQuery | Protocol::Ec2Query => {
            unreachable!("no operation of an XML protocol that is offered has events")
        }
        _ => ("application/json", json::write(shape, Dialect::Wire).into()),
    }
}

/// The first message of a stream. AWS: in the RPC protocols it carries the output's own members.
pub fn initial_response(protocol: Protocol) -> Bytes {
    let kind =
        if protocol == Protocol::RpcV2Cbor { "application/cbor" } else { "application/json" };
    let empty: &'static [u8] = if protocol == Protocol::RpcV2Cbor { b"\xa0" } else { b"{}" };
    Message { headers: Vec::new(), payload: Bytes::from_static(empty) }
        .with(":message-type", "event")
        .with(":event-type", "initial-response")
        .with(":content-type", kind)
        .encode()
}

/// One event: the member of the stream's union that is set. A modelled exception ends the stream.
pub fn event(protocol: Protocol, union: &dyn AnyShape) -> Bytes {
    let members = union.schema().members().iter().enumerate();
    for (index, member) in members {
        let Value::Structure(shape) = union.field(index).get() else { continue };
        let (kind, payload) = document(protocol, shape);
        let (message_type, name) = match member.target.exception {
            true => ("exception", ":exception-type"),
            false => ("event", ":event-type"),
        };
        return Message { headers: Vec::new(), payload }
            .with(":message-type", message_type)
            .with(name, member.name)
            .with(":content-type", kind)
            .encode();
    }
    panic!("{} has no member that is set", union.schema().name)
}

/// An error that the model does not name, inside a stream that had begun.
pub fn error(protocol: Protocol, error: &ApiError) -> Bytes {
    Message::default()
        .with(":message-type", "error")
        .with(":error-code", error.code_in(protocol))
        .with(":error-message", error.message.chars().take(1024).collect::<String>())
        .encode()
}

/// The reply around the messages.
pub fn reply<B>(body: B, request_id: &str) -> http::Response<B> {
    crate::reply::build(200, CONTENT_TYPE, request_id, Bytes::new()).map(|_| body)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = HeaderValue> {
        prop_oneof![
            any::<bool>().prop_map(HeaderValue::Boolean),
            any::<i8>().prop_map(HeaderValue::Byte),
            any::<i16>().prop_map(HeaderValue::Short),
            any::<i32>().prop_map(HeaderValue::Integer),
            any::<i64>().prop_map(HeaderValue::Long),
            any::<Vec<u8>>().prop_map(|bytes| HeaderValue::Bytes(bytes.into())),
            ".{0,40}".prop_map(HeaderValue::String),
            any::<i64>().prop_map(HeaderValue::Timestamp),
            any::<[u8; 16]>().prop_map(HeaderValue::Uuid),
        ]
    }

    fn message() -> impl Strategy<Value = Message> {
        let headers = proptest::collection::vec(("[a-z:-]{1,20}", value()), 0..6);
        (headers, any::<Vec<u8>>())
            .prop_map(|(headers, payload)| Message { headers, payload: payload.into() })
    }

    proptest! {
        #[test]
        fn reads_what_it_writes(message in message(), more: Vec<u8>) {
            let mut bytes = message.encode().to_vec();
            let length = bytes.len();
            for cut in [0, PRELUDE.min(length - 1), length - 1] {
                prop_assert_eq!(Message::decode(&bytes[..cut]), Ok(None));
            }
            bytes.extend_from_slice(&more);
            prop_assert_eq!(Message::decode(&bytes), Ok(Some((message, length))));
        }

        #[test]
        fn a_flipped_bit_is_noticed(message in message(), at: prop::sample::Index, bit in 0..8u8) {
            let mut bytes = message.encode().to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(Message::decode(&bytes).is_err());
        }

        #[test]
        fn takes_any_bytes(bytes: Vec<u8>) {
            let _ = Message::decode(&bytes);
            let _ = read_headers(&bytes);
        }
    }

    /// The two examples that every implementation of the format is checked against.
    #[test]
    fn known_messages() {
        let empty = hex("000000100000000005c248eb7d98c8ff");
        assert_eq!(Message::default().encode(), empty);
        let content_type = "application/json";
        let message =
            Message { headers: Vec::new(), payload: Bytes::from_static(b"{'foo':'bar'}") }
                .with("content-type", content_type);
        let wanted = hex(
            "0000003d0000002007fd83960c636f6e74656e742d747970650700106170706c69636174696f6e2f6a73\
             6f6e7b27666f6f273a27626172277d8d9c08b1",
        );
        assert_eq!(message.encode(), wanted);
    }

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        let pair = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.chunks(2).map(pair).collect()
    }
}
