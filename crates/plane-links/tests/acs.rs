//! Agents' connections, end to end: what is told, when, to whom, and what happens when it is not heard.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::time::Duration;

use aws_agent::acs::{self, FromPlane};
use plane_links::Pace;
use tokio_tungstenite::tungstenite;
use world::*;

#[tokio::test]
async fn an_agent_is_told_what_it_should_run_and_what_changes() {
    let plane = Plane::start(Pace::default()).await;
    plane.add_machine(1).await;
    plane.add_job(10, 1).await;
    let mut agent = plane.agent(1).await;
    // An agent tells the end of what is named and it does not have: what it was never told is not.
    let manifest = agent.manifest().await;
    assert_eq!(manifest.tasks, []);
    assert_eq!(manifest.container_instance_arn, machine_arn(id(1)));
    let payload = agent.payload().await;
    assert!(payload.seq_num > manifest.timeline);
    assert_eq!(payload.tasks[0].desired_status, "RUNNING");
    agent.acknowledge(&payload.message_id).await;
    plane.until("acknowledged", |plane| plane.job(10).acknowledged == 1).await;
    assert!(plane.machine(1).connected);
    drop(agent);
    let mut agent = plane.agent(1).await;
    let manifest = agent.manifest().await;
    assert_eq!(manifest.tasks[0].task_arn, job_arn(id(10)));
    // A later change comes by itself; another machine's does not.
    plane.add_machine(2).await;
    plane.add_job(20, 2).await;
    plane.edit::<Job>(id(10), |job| job.stop = true).await;
    let payload = agent.payload().await;
    assert_eq!(payload.tasks.len(), 1);
    assert_eq!(payload.tasks[0].desired_status, "STOPPED");
    agent.acknowledge(&payload.message_id).await;
    plane.until("acknowledged", |plane| plane.job(10).acknowledged == 2).await;
    plane.stop().await;
}

#[tokio::test]
async fn another_instances_socket_is_refused_in_the_agents_words() {
    let plane = Plane::start(Pace::default()).await;
    plane.add_machine(1).await;
    plane.add_machine(2).await;
    drop(plane.agent(1).await);
    let arn = machine_arn(id(1));
    let query = format!("containerInstanceArn={}", arn.replace(':', "%3A").replace('/', "%2F"));
    let refused = plane.dial("agent2", "/_wharf/acs/ws", &query).await.unwrap_err();
    let tungstenite::Error::Http(answer) = refused else { panic!("{refused}") };
    assert_eq!(answer.status(), 403);
    assert_eq!(answer.body().as_deref(), Some(&br#"{"AccessDeniedException":"not yours"}"#[..]));
    // A path that is no socket is no socket.
    assert!(plane.dial("agent1", "/_wharf/acs", &query).await.is_err());
    assert!(plane.dial("agent1", "/_wharf/acs/ws/more", &query).await.is_err());
    plane.stop().await;
}

#[tokio::test]
async fn a_second_socket_closes_the_first_and_the_instance_stays_connected() {
    let plane = Plane::start(Pace { linger: Duration::ZERO, ..Pace::default() }).await;
    plane.add_machine(1).await;
    let mut first = plane.agent(1).await;
    first.manifest().await;
    let mut second = plane.agent(1).await;
    second.manifest().await;
    assert_eq!(first.next().await, None);
    plane.until("two connections", |plane| plane.machine(1).connections == 2).await;
    assert!(plane.machine(1).connected);
    drop(second);
    plane.until("disconnected", |plane| !plane.machine(1).connected).await;
    plane.stop().await;
}

#[tokio::test]
async fn a_deregistered_instance_is_told_and_not_let_in_again() {
    let plane = Plane::start(Pace::default()).await;
    plane.add_machine(1).await;
    let mut agent = plane.agent(1).await;
    agent.manifest().await;
    plane.edit::<Machine>(id(1), |m| m.registered = false).await;
    assert!(matches!(agent.next().await, Some(FromPlane::InactiveInstance(_))));
    assert_eq!(agent.next().await, None);
    let arn = machine_arn(id(1));
    let refused = plane
        .dial("agent1", "/_wharf/acs/ws", &format!("containerInstanceArn={arn}"))
        .await
        .unwrap_err();
    let tungstenite::Error::Http(answer) = refused else { panic!("{refused}") };
    assert_eq!(answer.body().as_deref(), Some(&br#"{"InactiveInstanceException":"gone"}"#[..]));
    plane.stop().await;
}

#[tokio::test]
async fn an_agent_that_answers_no_heartbeat_is_dropped_and_one_that_does_stays() {
    let pace =
        Pace { heartbeat: Duration::from_millis(40), linger: Duration::ZERO, ..Pace::default() };
    let plane = Plane::start(pace).await;
    plane.add_machine(1).await;
    let mut deaf = plane.agent(1).await;
    let mut beats = 0;
    while let Some(frame) = deaf.hear().await {
        beats += u32::from(matches!(frame, FromPlane::Heartbeat(_)));
    }
    assert_eq!(beats, 2);
    plane.until("disconnected", |plane| plane.machine(1).connections == 1).await;
    // An agent of the first protocol answers no heartbeat; its pongs are enough.
    let mut old = plane.agent_with(1, "protocolVersion=1").await;
    old.manifest().await;
    for _ in 0..8 {
        assert!(matches!(old.hear().await, Some(FromPlane::Heartbeat(_))));
    }
    plane.stop().await;
}

/// A host's grace began when its silence was noticed, so that its tasks were replaced too late.
#[tokio::test]
async fn silence_counts_from_the_last_sign_of_life() {
    let linger = Duration::from_millis(100);
    let pace = Pace { heartbeat: Duration::from_millis(80), linger, ..Pace::default() };
    let plane = Plane::start(pace).await;
    plane.add_machine(1).await;
    let mut deaf = plane.agent(1).await;
    plane.until("connected", |plane| plane.machine(1).connected).await;
    // It does not answer, and the connection stands until that is one too many.
    while deaf.hear().await.is_some() {}
    plane.until("disconnected", |plane| !plane.machine(1).connected).await;
    let away = plane.machine(1).away;
    assert!(away >= 2 * 80, "two heartbeats went unanswered in {away} ms");
    plane.stop().await;
}

#[test]
fn a_short_grace_asks_for_signs_of_life_more_often() {
    let beat = |grace| Pace::for_grace(Duration::from_millis(grace)).heartbeat.as_millis();
    let beats = [1, 3_000, 60_000, 90_000, 86_400_000].map(beat);
    assert_eq!(beats, [500, 1_000, 20_000, 30_000, 30_000]);
}

#[tokio::test]
async fn a_connection_is_hung_up_on_at_its_age() {
    let pace = Pace { life: Duration::from_millis(60), ..Pace::default() };
    let plane = Plane::start(pace).await;
    plane.add_machine(1).await;
    let mut agent = plane.agent(1).await;
    agent.manifest().await;
    assert_eq!(agent.next().await, None);
    // The agent dials anew at once: nobody was told that it was away.
    let _again = plane.agent(1).await;
    plane.until("connected again", |plane| plane.machine(1).connections == 2).await;
    assert!(plane.machine(1).connected);
    plane.stop().await;
}

#[tokio::test]
async fn only_tasks_that_should_not_run_are_stopped_when_the_agent_asks() {
    let plane = Plane::start(Pace::default()).await;
    plane.add_machine(1).await;
    plane.add_machine(2).await;
    for (job, machine) in [(10, 1), (11, 1), (20, 2)] {
        plane.add_job(job, machine).await;
    }
    plane.edit::<Job>(id(11), |job| job.stop = true).await;
    let mut agent = plane.agent(1).await;
    let manifest = agent.manifest().await;
    let candidate =
        |n: u8| acs::TaskIdentifier { task_arn: job_arn(id(n)), ..acs::TaskIdentifier::default() };
    agent
        .say(acs::StopVerification {
            message_id: manifest.message_id.clone(),
            stop_candidates: [10, 11, 20, 99].map(candidate).to_vec(),
        })
        .await;
    let answer = loop {
        match agent.next().await.unwrap() {
            FromPlane::StopVerificationAck(answer) => break answer,
            FromPlane::Payload(_) => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(answer.message_id, manifest.message_id);
    let stopped: Vec<_> = answer.stop_tasks.into_iter().map(|task| task.task_arn).collect();
    assert_eq!(stopped, [11, 20, 99].map(|n| job_arn(id(n))));
    plane.stop().await;
}

#[tokio::test]
async fn credentials_come_with_the_task_and_are_renewed_in_time() {
    let plane = Plane::start(Pace::default()).await;
    plane.add_machine(1).await;
    plane.add_job(10, 1).await;
    plane.edit::<Job>(id(10), |job| job.role = true).await;
    let mut agent = plane.agent(1).await;
    agent.manifest().await;
    let payload = agent.payload().await;
    let first = payload.tasks[0].role_credentials.clone().unwrap();
    agent.acknowledge(&payload.message_id).await;
    // The world's credentials live two seconds: after one they are made anew, by the same id.
    let Some(FromPlane::RoleCredentials(renewed)) = agent.next().await else { panic!() };
    assert_eq!(renewed.role_credentials.unwrap().credentials_id, first.credentials_id);
    assert_eq!((&*renewed.role_type, renewed.task_arn), ("TaskApplication", job_arn(id(10))));
    // An agent that starts anew has none: they come at once.
    drop(agent);
    let mut agent = plane.agent(1).await;
    agent.manifest().await;
    assert!(matches!(agent.next().await, Some(FromPlane::RoleCredentials(_))));
    plane.stop().await;
}

#[tokio::test]
async fn interfaces_are_told_before_their_task() {
    let plane = Plane::start(Pace::default()).await;
    plane.add_machine(1).await;
    let mut agent = plane.agent(1).await;
    agent.manifest().await;
    plane
        .change(|tx| {
            tx.put(Job { id: id(10), machine: id(1), interface: true, ..Job::default() });
        })
        .await;
    let Some(FromPlane::AttachTaskInterfaces(attach)) = agent.next().await else { panic!() };
    assert_eq!(attach.elastic_network_interfaces[0].ec2_id, "eni-1");
    assert!(attach.wait_timeout_ms > 0);
    assert_eq!(agent.payload().await.tasks[0].arn, job_arn(id(10)));
    plane.stop().await;
}

#[tokio::test]
async fn after_a_restart_numbers_go_on_and_connections_begin_anew() {
    let plane = Plane::start(Pace::default()).await;
    plane.add_machine(1).await;
    plane.add_job(10, 1).await;
    let mut agent = plane.agent(1).await;
    let before = agent.manifest().await;
    let payload = agent.payload().await;
    plane.until("connected", |plane| plane.machine(1).connected).await;
    let session = plane.machine(1).session;
    let dir = plane.stop().await;
    assert_eq!(agent.next().await, None);
    let plane = Plane::start_on(dir, Pace::default()).await;
    plane.until("reset", |plane| !plane.machine(1).connected).await;
    let mut agent = plane.agent(1).await;
    let after = agent.manifest().await;
    assert!(after.timeline > payload.seq_num && payload.seq_num > before.timeline);
    plane.until("connected", |plane| plane.machine(1).connected).await;
    assert!(plane.machine(1).session > session);
    // The payload was never acknowledged: it is told again.
    assert_eq!(agent.payload().await.tasks[0].arn, job_arn(id(10)));
    plane.stop().await;
}

#[tokio::test]
async fn a_burst_reaches_the_agent_whole_stops_first() {
    let plane = Plane::start(Pace::default()).await;
    plane.add_machine(1).await;
    let mut agent = plane.agent(1).await;
    agent.manifest().await;
    plane
        .change(|tx| {
            for n in 0..600u16 {
                let mut key = [0; 16];
                key[..2].copy_from_slice(&n.to_be_bytes());
                let stop = n % 3 == 0;
                let machine = id(1);
                tx.put(Job { id: core_types::Id128(key), machine, stop, ..Job::default() });
            }
        })
        .await;
    let (mut heard, mut starts) = (std::collections::BTreeSet::new(), 0);
    while heard.len() < 600 {
        let payload = agent.payload().await;
        for task in &payload.tasks {
            assert!(heard.insert(task.arn.clone()), "told twice");
            starts += usize::from(task.desired_status == "RUNNING");
            assert!(starts == 0 || task.desired_status == "RUNNING" || starts <= 256);
        }
        agent.acknowledge(&payload.message_id).await;
    }
    let all = |plane: &Plane| plane.engine.view().state.all::<Job>().all(|j| j.acknowledged > 0);
    plane.until("all are acknowledged", all).await;
    plane.stop().await;
}
