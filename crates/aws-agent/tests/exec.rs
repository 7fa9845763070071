//! An exec session between both ends over a link that loses, repeats and reorders.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use aws_agent::channel::{Message, Size, payload};
use aws_agent::exec::{Client, ClientEvent, ExecError, Host, HostEvent};
use proptest::prelude::*;
use uuid::Uuid;

/// What the link does with the next message: lose it, repeat it, or keep it for later.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Pass,
    Lose,
    Twice,
    Late,
}

#[derive(Default)]
struct Link {
    late: Vec<Vec<u8>>,
}

impl Link {
    fn carry(&mut self, bytes: Vec<u8>, fate: Fate) -> Vec<Vec<u8>> {
        match fate {
            Fate::Lose => Vec::new(),
            Fate::Twice => vec![bytes.clone(), bytes],
            Fate::Late => {
                self.late.push(bytes);
                Vec::new()
            }
            Fate::Pass => {
                let mut all = vec![bytes];
                all.append(&mut self.late);
                all
            }
        }
    }
}

struct Session {
    host: Host,
    client: Client,
    links: [Link; 2],
    now: u64,
    at_host: Vec<HostEvent>,
    at_client: Vec<ClientEvent>,
}

impl Session {
    fn new() -> Session {
        Session {
            host: Host::new("s", true, Uuid::from_u128(1), 0),
            client: Client::new("0.1", true, Uuid::from_u128(2)),
            links: Default::default(),
            now: 0,
            at_host: Vec::new(),
            at_client: Vec::new(),
        }
    }

    /// Move everything that waits; true if anything did.
    fn round(&mut self, fates: &mut impl Iterator<Item = Fate>) -> bool {
        let mut moved = false;
        while let Some(bytes) = self.host.outgoing() {
            moved = true;
            for bytes in self.links[0].carry(bytes, fates.next().unwrap_or(Fate::Pass)) {
                self.at_client.extend(self.client.receive(&bytes, self.now).unwrap());
            }
        }
        while let Some(bytes) = self.client.outgoing() {
            moved = true;
            for bytes in self.links[1].carry(bytes, fates.next().unwrap_or(Fate::Pass)) {
                self.at_host.extend(self.host.receive(&bytes, self.now).unwrap());
            }
        }
        moved
    }

    fn settle(&mut self, fates: &mut impl Iterator<Item = Fate>) {
        loop {
            while self.round(fates) {}
            let Some(due) = [self.host.due(), self.client.due()].into_iter().flatten().min() else {
                return;
            };
            self.now = due;
            self.host.tick(due).unwrap();
            self.client.tick(due).unwrap();
        }
    }
}

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let fate = prop_oneof![
        4 => Just(Fate::Pass), 2 => Just(Fate::Lose), 1 => Just(Fate::Twice), 1 => Just(Fate::Late)
    ];
    prop::collection::vec(fate, 0..200)
}

#[test]
fn a_session_opens_speaks_and_ends_with_its_code() {
    let mut session = Session::new();
    let mut fates = std::iter::empty();
    session.settle(&mut fates);
    assert_eq!(session.at_host, [HostEvent::Ready]);
    assert_eq!(session.at_client, [ClientEvent::Ready]);
    let size = Size { cols: 80, rows: 24 };
    session.client.resize(&size, session.now);
    session.client.input(b"exit 3\n", session.now);
    session.host.output(b"$ ", session.now);
    session.host.error_output(b"gone", session.now);
    session.host.exited(3, session.now);
    session.settle(&mut fates);
    assert!(session.host.is_drained());
    session.host.close("", session.now);
    session.settle(&mut fates);
    assert_eq!(
        session.at_host[1..],
        [HostEvent::Resize(size), HostEvent::Input(b"exit 3\n".to_vec())]
    );
    assert_eq!(
        session.at_client[1..],
        [
            ClientEvent::Output(b"$ ".to_vec()),
            ClientEvent::ErrorOutput(b"gone".to_vec()),
            ClientEvent::Exited(3),
            ClientEvent::Closed(String::new()),
        ]
    );
    assert!(!session.host.has_room());
}

#[test]
fn a_host_that_holds_gets_everything_in_order_later() {
    let mut session = Session::new();
    let mut fates = std::iter::empty();
    session.settle(&mut fates);
    session.host.hold();
    // More than waits at the host.
    let typed: Vec<u8> = (0..600u32 * 1024).map(|n| (n / 1024) as u8).collect();
    session.client.input(&typed, session.now);
    for _ in 0..20 {
        while session.round(&mut fates) {}
        session.now += 1000;
        session.client.tick(session.now).unwrap();
    }
    assert_eq!(session.at_host, [HostEvent::Ready], "nothing passes while it holds");
    assert!(!session.client.has_room(), "and the client is told to wait");
    let waited = session.host.resume(session.now).unwrap();
    session.at_host.extend(waited);
    session.settle(&mut fates);
    let heard: Vec<u8> = session
        .at_host
        .iter()
        .flat_map(|event| match event {
            HostEvent::Input(bytes) => bytes.clone(),
            _ => Vec::new(),
        })
        .collect();
    assert_eq!(heard, typed);
}

#[test]
fn a_client_without_a_terminal_can_end_its_input() {
    for terminal in [true, false] {
        let mut session = Session::new();
        session.client = Client::new("0.1", terminal, Uuid::from_u128(2));
        session.settle(&mut std::iter::empty());
        assert_eq!(session.host.has_terminal(), terminal);
        session.client.end_input(session.now);
        session.settle(&mut std::iter::empty());
        assert_eq!(session.at_host, [HostEvent::Ready, HostEvent::EndOfInput]);
    }
}

#[test]
fn the_stock_plugin_gets_no_exit_code_which_it_would_print() {
    let mut host = Host::new("s", true, Uuid::from_u128(1), 0);
    let response = br#"{"ClientVersion":"1.2.677.0","ProcessedClientActions":[],"Errors":null}"#;
    let message = Message {
        message_type: aws_agent::channel::INPUT_STREAM.to_owned(),
        created_date: 1,
        payload_type: payload::HANDSHAKE_RESPONSE,
        payload: response.to_vec(),
        ..Message::default()
    };
    assert_eq!(host.receive(&message.encode(), 1).unwrap(), [HostEvent::Ready]);
    assert!(host.has_terminal());
    while host.outgoing().is_some() {}
    host.exited(1, 2);
    assert_eq!(host.outgoing(), None);
}

#[test]
fn a_peer_that_hears_nothing_is_given_up_in_the_end() {
    let mut host = Host::new("s", true, Uuid::from_u128(1), 0);
    let ended = loop {
        let due = host.due().unwrap();
        while host.outgoing().is_some() {}
        if let Err(error) = host.tick(due) {
            break (due, error);
        }
    };
    assert_eq!(ended.1, ExecError::Unheard);
    assert!(ended.0 > 200_000, "given up after {} ms", ended.0);
}

#[test]
fn a_client_that_runs_far_ahead_has_to_say_it_again() {
    let mut host = Host::new("s", true, Uuid::from_u128(1), 0);
    let message = Message {
        message_type: aws_agent::channel::INPUT_STREAM.to_owned(),
        sequence_number: 5000,
        ..Message::default()
    };
    while host.outgoing().is_some() {}
    assert_eq!(host.receive(&message.encode(), 1), Ok(vec![]));
    assert_eq!(host.outgoing(), None, "it is not acknowledged");
    let behind = Message { sequence_number: i64::MIN, ..message };
    assert_eq!(host.receive(&behind.encode(), 1), Ok(vec![]));
}

proptest! {
    #[test]
    fn nothing_is_lost_repeated_or_out_of_order(
        fates in fates(),
        output in prop::collection::vec(any::<u8>(), 0..20_000),
        input in prop::collection::vec(any::<u8>(), 0..5_000),
    ) {
        let mut session = Session::new();
        let mut fates = fates.into_iter();
        session.settle(&mut fates);
        session.host.output(&output, session.now);
        session.client.input(&input, session.now);
        session.settle(&mut fates);
        let at_host: Vec<u8> = session.at_host.iter().flat_map(|event| match event {
            HostEvent::Input(bytes) => bytes.clone(),
            _ => Vec::new(),
        }).collect();
        let at_client: Vec<u8> = session.at_client.iter().flat_map(|event| match event {
            ClientEvent::Output(bytes) => bytes.clone(),
            _ => Vec::new(),
        }).collect();
        prop_assert_eq!(at_host, input);
        prop_assert_eq!(at_client, output);
    }

    #[test]
    fn any_bytes_are_taken_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Host::new("s", true, Uuid::from_u128(1), 0).receive(&bytes, 1);
        let _ = Client::new("1", true, Uuid::from_u128(1)).receive(&bytes, 1);
    }
}
