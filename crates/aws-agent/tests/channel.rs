//! The data channel's messages: the layout as session-manager-plugin reads it, and hostile bytes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use aws_agent::channel::{self, Acknowledge, ChannelError, HandshakeRequest, Message};
use proptest::prelude::*;
use uuid::Uuid;

fn sample() -> Message {
    Message {
        message_type: channel::OUTPUT_STREAM.to_owned(),
        schema_version: 1,
        created_date: 1_503_434_274_948,
        sequence_number: 2,
        flags: channel::SYN,
        message_id: Uuid::from_bytes(*b"0123456789abcdef"),
        payload_type: channel::payload::OUTPUT,
        payload: b"payload".to_vec(),
    }
}

#[test]
fn the_layout_is_the_plugins() {
    let bytes = sample().encode();
    assert_eq!(bytes.len(), 120 + 7);
    assert_eq!(bytes[..4], [0, 0, 0, 116]);
    assert_eq!(&bytes[4..36], b"output_stream_data              ");
    assert_eq!(bytes[36..40], [0, 0, 0, 1]);
    assert_eq!(bytes[48..56], [0, 0, 0, 0, 0, 0, 0, 2]);
    // The id's halves are swapped.
    assert_eq!(&bytes[64..80], b"89abcdef01234567");
    assert_eq!(bytes[112..120], [0, 0, 0, 1, 0, 0, 0, 7]);
    assert_eq!(Message::decode(&bytes).unwrap(), sample());
}

#[test]
fn an_acknowledgement_names_what_it_acknowledges() {
    let ack = sample().acknowledgement(Uuid::nil(), 5);
    assert_eq!(
        String::from_utf8(ack.payload.clone()).unwrap(),
        concat!(
            r#"{"AcknowledgedMessageType":"output_stream_data","#,
            r#""AcknowledgedMessageId":"30313233-3435-3637-3839-616263646566","#,
            r#""AcknowledgedMessageSequenceNumber":2,"IsSequentialMessage":true}"#
        )
    );
    assert_eq!(ack.flags, 3);
    let read: Acknowledge = ack.content("acknowledgement").unwrap();
    assert_eq!(read.acknowledged_message_sequence_number, 2);
}

#[test]
fn a_handshake_keeps_its_parameters() {
    let text = concat!(
        r#"{"AgentVersion":"3.3.0","RequestedClientActions":[{"ActionType":"SessionType","#,
        r#""ActionParameters":{"SessionType":"InteractiveCommands"}}]}"#
    );
    let message = Message { payload: text.as_bytes().to_vec(), ..Message::default() };
    let request: HandshakeRequest = message.content("handshake").unwrap();
    assert_eq!(channel::json(&request), text.as_bytes());
}

#[test]
fn what_does_not_add_up_is_refused() {
    let good = sample().encode();
    assert_eq!(Message::decode(&good[..80]), Err(ChannelError::TooShort(80)));
    let mut bent = good.clone();
    *bent.last_mut().unwrap() ^= 1;
    assert_eq!(Message::decode(&bent), Err(ChannelError::Digest));
    let mut bent = good.clone();
    bent[3] = 115;
    assert_eq!(Message::decode(&bent), Err(ChannelError::Header(115)));
    let mut bent = good.clone();
    bent.push(0);
    assert_eq!(Message::decode(&bent), Err(ChannelError::Length { named: 7, there: 8 }));
    let long = vec![0; channel::MAX_MESSAGE + 1];
    assert_eq!(Message::decode(&long), Err(ChannelError::TooLong(long.len())));
}

proptest! {
    #[test]
    fn messages_come_back(
        message_type in "[a-z_]{0,32}", schema_version: u32, created_date: u64,
        sequence_number: i64, flags: u64, id: [u8; 16], payload_type: u32,
        payload in prop::collection::vec(any::<u8>(), 0..2000),
    ) {
        let message = Message {
            message_type, schema_version, created_date, sequence_number, flags,
            message_id: Uuid::from_bytes(id), payload_type, payload,
        };
        prop_assert_eq!(Message::decode(&message.encode()).unwrap(), message);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = Message::decode(&bytes);
    }

    #[test]
    fn a_bent_message_is_never_taken_for_another_payload(at in 0usize..127, byte: u8) {
        let good = sample().encode();
        let mut bent = good.clone();
        bent[at] = byte;
        if let Ok(message) = Message::decode(&bent) {
            prop_assert_eq!(message.payload, sample().payload);
        }
    }
}
