//! Sessions of ExecuteCommand: who may open which, and that bytes pass.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use aws_agent::acs::FromPlane;
use aws_agent::channel::{self, Message as Channel, OpenDataChannel};
use futures_util::{SinkExt, StreamExt};
use plane_links::Pace;
use tokio_tungstenite::tungstenite::Message;
use world::*;

/// Far in the future, in milliseconds.
const LATER: i64 = 1 << 45;

async fn add_exec(plane: &Plane, session: &str, waits_until: i64) {
    let id = session.to_owned();
    let exec = Exec { id, machine: world::id(1), opened: false, waits_until };
    plane.change(move |tx| tx.put(exec)).await;
}

/// Dial as session-manager-plugin does.
async fn client(plane: &Plane, session: &str, token: &str) -> Dialled {
    let path = format!("/v1/data-channel/{session}");
    let mut socket = plane.dial("nobody", &path, "role=publish_subscribe").await.unwrap();
    let hello = OpenDataChannel {
        message_schema_version: "1.0".to_owned(),
        request_id: "r".to_owned(),
        token_value: token.to_owned(),
        client_id: "c".to_owned(),
        client_version: "1.2.677.0".to_owned(),
    };
    let hello = String::from_utf8(channel::json(&hello)).unwrap();
    // The plugin pings from a thread of its own, which may be the faster one.
    socket.send(Message::Ping("keepalive".into())).await.unwrap();
    socket.send(Message::text(hello)).await.unwrap();
    socket
}

async fn host(plane: &Plane, n: u8, session: &str) -> Dialled {
    let arn = machine_arn(world::id(n)).replace(':', "%3A").replace('/', "%2F");
    let query = format!("clusterArn=default&containerInstanceArn={arn}");
    let path = format!("/_wharf/exec/{session}");
    plane.dial(&format!("agent{n}"), &path, &query).await.unwrap()
}

/// The next binary frame; `None` when the other end has ended it.
async fn binary(socket: &mut Dialled) -> Option<Vec<u8>> {
    loop {
        match tokio::time::timeout(PATIENCE, socket.next()).await.expect("a frame") {
            Some(Ok(Message::Binary(bytes))) => return Some(bytes.to_vec()),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(_) | Err(_)) | None => return None,
        }
    }
}

#[tokio::test]
async fn the_host_is_told_and_frames_pass_both_ways_until_one_side_ends() {
    let plane = Plane::start(Pace::default()).await;
    plane.add_machine(1).await;
    let mut agent = plane.agent(1).await;
    agent.manifest().await;
    add_exec(&plane, "s1", LATER).await;
    let Some(FromPlane::Exec(told)) = agent.next().await else { panic!() };
    assert_eq!((&*told.path, &*told.command), ("/_wharf/exec/s1", "/bin/sh"));
    agent.acknowledge(&told.message_id).await;
    let mut client = client(&plane, "s1", "token of s1").await;
    let mut host = host(&plane, 1, "s1").await;
    for n in 0..100u8 {
        let message = Channel { payload: vec![n; 900], ..Channel::default() }.encode();
        host.send(Message::binary(message.clone())).await.unwrap();
        assert_eq!(binary(&mut client).await, Some(message.clone()));
        client.send(Message::binary(message.clone())).await.unwrap();
        assert_eq!(binary(&mut host).await, Some(message));
    }
    plane
        .until("opened", |plane| {
            plane.engine.view().state.get::<Exec>(&"s1".to_owned()).is_some_and(|e| e.opened)
        })
        .await;
    host.close(None).await.unwrap();
    assert_eq!(binary(&mut client).await, None);
    plane
        .until("ended", |plane| plane.engine.view().state.get::<Exec>(&"s1".to_owned()).is_none())
        .await;
    plane.stop().await;
}

#[tokio::test]
async fn a_token_opens_its_own_session_once_and_in_time() {
    let plane = Plane::start(Pace::default()).await;
    plane.add_machine(1).await;
    plane.add_machine(2).await;
    drop(plane.agent(1).await);
    for (session, until) in [("s1", LATER), ("s2", LATER), ("late", 1)] {
        add_exec(&plane, session, until).await;
    }
    for (session, token) in
        [("s1", "token of s2"), ("s1", ""), ("late", "token of late"), ("none", "token of none")]
    {
        let mut refused = client(&plane, session, token).await;
        assert_eq!(binary(&mut refused).await, None, "{session} by {token}");
    }
    // Another instance may sign for itself, and not for this session.
    let mut stranger = host(&plane, 2, "s1").await;
    assert_eq!(binary(&mut stranger).await, None);
    let mut first = client(&plane, "s1", "token of s1").await;
    let mut second = client(&plane, "s1", "token of s1").await;
    // Which of the two came first the plane alone knows: one stays, one is refused.
    let mut host = host(&plane, 1, "s1").await;
    let message = Channel { payload: b"hello".to_vec(), ..Channel::default() }.encode();
    host.send(Message::binary(message.clone())).await.unwrap();
    let heard = [binary(&mut first).await, binary(&mut second).await];
    assert_eq!(heard.iter().flatten().count(), 1, "{heard:?}");
    let mut third = client(&plane, "s1", "token of s1").await;
    assert_eq!(binary(&mut third).await, None);
    plane.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_introduce_itself_is_hung_up_on() {
    let plane = Plane::start(Pace::default()).await;
    let mut socket = plane.dial("nobody", "/v1/data-channel/s1", "").await.unwrap();
    socket.send(Message::binary(vec![0; 64])).await.unwrap();
    assert_eq!(binary(&mut socket).await, None);
    let mut socket = plane.dial("nobody", "/v1/data-channel/s1", "").await.unwrap();
    let _ = socket.send(Message::text("x".repeat(channel::MAX_MESSAGE + 1))).await;
    assert_eq!(binary(&mut socket).await, None);
    plane.stop().await;
}

#[tokio::test]
async fn both_ends_of_our_own_speak_through_the_plane() {
    use aws_agent::exec::{Client, ClientEvent, Host, HostEvent};
    let plane = Plane::start(Pace::default()).await;
    plane.add_machine(1).await;
    drop(plane.agent(1).await);
    add_exec(&plane, "s1", LATER).await;
    let mut at_client = client(&plane, "s1", "token of s1").await;
    let mut at_host = host(&plane, 1, "s1").await;
    let mut host = Host::new("s1", true, uuid::Uuid::from_u128(1), 1);
    let mut client = Client::new("0.1", true, uuid::Uuid::from_u128(2));
    let (mut output, mut code, mut exited) = (Vec::new(), None, false);
    let closed = 'session: loop {
        while let Some(bytes) = host.outgoing() {
            at_host.send(Message::binary(bytes)).await.unwrap();
        }
        while let Some(bytes) = client.outgoing() {
            at_client.send(Message::binary(bytes)).await.unwrap();
        }
        if exited && host.is_drained() {
            host.close("", 2);
            exited = false;
            continue;
        }
        tokio::select! {
            bytes = binary(&mut at_host) => {
                for event in host.receive(&bytes.expect("the session stands"), 2).unwrap() {
                    if let HostEvent::Input(bytes) = event {
                        host.output(&[&b"you said "[..], &bytes].concat(), 2);
                        host.exited(3, 2);
                        exited = true;
                    }
                }
            }
            bytes = binary(&mut at_client) => {
                for event in client.receive(&bytes.expect("the session stands"), 2).unwrap() {
                    match event {
                        ClientEvent::Ready => client.input(b"hello", 2),
                        ClientEvent::Output(bytes) => output.extend(bytes),
                        ClientEvent::Exited(exited) => code = Some(exited),
                        ClientEvent::Closed(words) => break 'session words,
                        ClientEvent::ErrorOutput(_) => {}
                    }
                }
            }
        }
    };
    assert_eq!((&*output, code, &*closed), (&b"you said hello"[..], Some(3), ""));
    plane.stop().await;
}
