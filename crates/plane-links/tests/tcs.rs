//! Telemetry sockets, and what hostile or unlucky peers do to any socket.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::time::Duration;

use aws_agent::tcs::{self, FromAgent, FromPlane};
use futures_util::{SinkExt, StreamExt};
use plane_links::Pace;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio_tungstenite::tungstenite::Message;
use world::*;

/// The signature's lines, as the stock agent puts them before each frame.
const HEADERS: &[(&str, &str)] =
    &[("Authorization", "AWS4-HMAC-SHA256 Credential=a"), ("Host", "h"), ("X-Amz-Date", "d")];

async fn say(socket: &mut Dialled, frame: impl Into<FromAgent>) {
    socket.send(Message::text(frame.into().encode_signed(HEADERS))).await.unwrap();
}

/// The next frame that is no heartbeat; `None` when the plane has ended the connection.
async fn hear(socket: &mut Dialled) -> Option<FromPlane> {
    loop {
        match tokio::time::timeout(PATIENCE, socket.next()).await.expect("a frame") {
            Some(Ok(Message::Text(text))) => match FromPlane::decode(&text).unwrap() {
                FromPlane::Heartbeat(_) => {}
                other => return Some(other),
            },
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(_) | Err(_)) | None => return None,
        }
    }
}

fn health(task: u8, status: &str) -> tcs::PublishHealth {
    tcs::PublishHealth {
        tasks: vec![tcs::TaskHealth {
            task_arn: job_arn(id(task)),
            containers: vec![tcs::ContainerHealth {
                container_name: "web".to_owned(),
                health_status: status.to_owned(),
                status_since: Some(1.5),
                ..tcs::ContainerHealth::default()
            }],
            ..tcs::TaskHealth::default()
        }],
        ..tcs::PublishHealth::default()
    }
}

#[tokio::test]
async fn frames_are_acknowledged_figures_kept_and_transitions_told() {
    let plane = Plane::start(Pace::default()).await;
    plane.add_machine(1).await;
    plane.add_machine(2).await;
    plane.add_job(10, 1).await;
    plane.add_job(20, 2).await;
    drop(plane.agent(1).await);
    let mut socket = plane.telemetry(1).await;
    let cpu = tcs::StatsSet { min: 1.0, max: 9.0, sum: 10.0, sample_count: 2 };
    let metrics = tcs::PublishMetrics {
        task_metrics: vec![tcs::TaskMetric {
            task_arn: job_arn(id(10)),
            container_metrics: vec![tcs::ContainerMetric {
                container_name: "web".to_owned(),
                cpu_stats_set: Some(cpu.clone()),
                ..tcs::ContainerMetric::default()
            }],
            ..tcs::TaskMetric::default()
        }],
        ..tcs::PublishMetrics::default()
    };
    say(&mut socket, metrics).await;
    assert!(matches!(hear(&mut socket).await, Some(FromPlane::AckMetric(_))));
    let figures = plane.figures.task(id(1), &job_arn(id(10))).unwrap();
    assert_eq!(figures.containers[0].cpu, Some(cpu));
    for (task, status) in
        [(10, "HEALTHY"), (10, "HEALTHY"), (10, "UNHEALTHY"), (20, "UNHEALTHY"), (10, "HEALTHY")]
    {
        say(&mut socket, health(task, status)).await;
        assert!(matches!(hear(&mut socket).await, Some(FromPlane::AckHealth(_))));
    }
    assert_eq!(plane.job(10).health, ["HEALTHY", "UNHEALTHY", "HEALTHY"]);
    assert!(plane.job(20).health.is_empty(), "a host speaks for its own tasks");
    say(&mut socket, tcs::PublishInstanceStatus::default()).await;
    assert!(matches!(hear(&mut socket).await, Some(FromPlane::AckInstanceStatus(_))));
    // A second socket closes the first; a frame that nobody understands its own.
    let mut second = plane.telemetry(1).await;
    assert_eq!(hear(&mut socket).await, None);
    second.send(Message::text("Host: h\r\n{}")).await.unwrap();
    assert_eq!(hear(&mut second).await, None);
    plane.stop().await;
}

#[tokio::test]
async fn a_storm_of_reconnects_leaves_one_connection() {
    let plane = Plane::start(Pace { linger: Duration::ZERO, ..Pace::default() }).await;
    plane.add_machine(1).await;
    plane.add_job(10, 1).await;
    drop(plane.agent(1).await);
    let dials: Vec<_> = (0..40).map(|_| plane.agent(1)).collect();
    let mut sockets = futures_util::future::join_all(dials).await;
    let sessions = |plane: &Plane| plane.machine(1).connections;
    plane.until("many came", |plane| sessions(plane) > 1).await;
    let mut stands = 0;
    let mut ends = Vec::new();
    for mut socket in sockets.drain(..) {
        ends.push(tokio::spawn(async move {
            let mut heard = 0;
            loop {
                match tokio::time::timeout(Duration::from_millis(500), socket.next()).await {
                    Ok(Some(_)) => heard += 1,
                    Ok(None) => return (false, heard),
                    Err(_) => return (true, heard),
                }
            }
        }));
    }
    for end in ends {
        stands += u32::from(end.await.unwrap().0);
    }
    assert_eq!(stands, 1, "one connection stands");
    plane.until("gone", |plane| !plane.machine(1).connected).await;
    plane.stop().await;
}

#[tokio::test]
async fn a_frame_that_is_too_long_or_makes_no_sense_ends_its_connection_alone() {
    let plane = Plane::start(Pace::default()).await;
    plane.add_machine(1).await;
    plane.add_machine(2).await;
    let mut good = plane.agent(2).await;
    good.manifest().await;
    let long =
        format!("{{\"type\":\"AckRequest\",\"message\":{{\"x\":\"{}\"}}}}", "x".repeat(2 << 20));
    for nonsense in [Message::text(long), Message::binary(vec![1, 2, 3]), Message::text("{")] {
        let mut agent = plane.agent(1).await;
        agent.manifest().await;
        let _ = agent.0.send(nonsense).await;
        assert_eq!(agent.next().await, None);
    }
    plane.add_job(20, 2).await;
    assert_eq!(good.payload().await.tasks.len(), 1);
    plane.stop().await;
}

/// Frames as an agent could send them, bent.
fn frames() -> impl Strategy<Value = String> {
    let kinds = prop_oneof![
        Just("AckRequest"),
        Just("NackRequest"),
        Just("HeartbeatAckRequest"),
        Just("TaskStopVerificationMessage"),
        Just("IAMRoleCredentialsAckRequest"),
        Just("Nobody"),
    ];
    let members = prop::collection::vec(
        prop_oneof![
            Just(r#""messageId":"m""#.to_owned()),
            Just(r#""stopCandidates":[{"taskArn":"arn:aws:ecs:x"},{}]"#.to_owned()),
            Just(r#""cluster":null"#.to_owned()),
            "\"[a-z]{1,6}\":[0-9]{1,20}".prop_map(|text| text),
        ],
        0..4,
    );
    (kinds, members).prop_map(|(kind, members)| {
        format!("{{\"type\":\"{kind}\",\"message\":{{{}}}}}", members.join(","))
    })
}

#[test]
fn whatever_an_agent_says_the_plane_stays() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let plane = runtime.block_on(async {
        let plane = Plane::start(Pace::default()).await;
        plane.add_machine(1).await;
        plane.add_job(10, 1).await;
        drop(plane.agent(1).await);
        plane
    });
    let mut runner = TestRunner::new(Config { cases: 40, ..Config::default() });
    let said = prop::collection::vec(frames(), 1..20);
    let outcome = runner.run(&said, |frames| {
        runtime.block_on(async {
            let mut agent = plane.agent(1).await;
            agent.manifest().await;
            for frame in frames {
                if agent.0.send(Message::text(frame)).await.is_err() {
                    break;
                }
            }
            let mut next = plane.agent(1).await;
            next.manifest().await;
        });
        Ok(())
    });
    outcome.unwrap();
    runtime.block_on(plane.stop());
}
