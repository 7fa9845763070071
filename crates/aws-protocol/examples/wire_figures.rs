//! What the codecs cost: a task definition read, a list of a hundred tasks written and read.
//!
//! `cargo run --release -p aws-protocol --example wire_figures` prints the median of nine rounds of
//! 200 in microseconds, and the sizes.

use std::time::Instant;

use aws_protocol::{Operation, Protocol, Timestamp};
use bytes::Bytes;
use model_ecs as ecs;

const ROUNDS: usize = 9;
const REPEATS: u32 = 200;

fn median(mut work: impl FnMut()) -> f64 {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..REPEATS {
                work();
            }
            start.elapsed().as_secs_f64() * 1e6 / f64::from(REPEATS)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}

fn pair(name: &str, value: &str) -> ecs::KeyValuePair {
    ecs::KeyValuePair { name: Some(name.to_owned()), value: Some(value.to_owned()) }
}

/// A request of about 4 KB.
fn registration() -> ecs::RegisterTaskDefinitionRequest {
    let container = |index: usize| ecs::ContainerDefinition {
        name: Some(format!("container-{index}")),
        image: Some("123456789012.dkr.ecr.us-east-1.amazonaws.com/team/service:2026-11-21".into()),
        cpu: Some(256),
        memory: Some(512),
        essential: Some(true),
        command: Some(["/bin/server", "--port", "8080"].map(str::to_owned).to_vec()),
        environment: Some(
            (0..14).map(|i| pair(&format!("SETTING_{i}"), "a value of it")).collect(),
        ),
        port_mappings: Some(vec![ecs::PortMapping {
            container_port: Some(8080),
            host_port: Some(0),
            protocol: Some(ecs::TransportProtocol::TCP),
            ..Default::default()
        }]),
        ..Default::default()
    };
    ecs::RegisterTaskDefinitionRequest {
        family: Some("web".into()),
        network_mode: Some(ecs::NetworkMode::AWSVPC),
        container_definitions: Some((0..4).map(container).collect()),
        ..Default::default()
    }
}

/// A reply of about 210 KB.
fn tasks() -> ecs::DescribeTasksResponse {
    let arn = |kind: &str, index: usize| {
        Some(format!("arn:aws:ecs:us-east-1:123456789012:{kind}/default/{index:032x}"))
    };
    let now = Some(Timestamp::from_millis(1_795_000_000_123));
    let container = |index: usize| ecs::Container {
        container_arn: arn("container", index),
        task_arn: arn("task", index),
        name: Some(format!("container-{index}")),
        image: Some("123456789012.dkr.ecr.us-east-1.amazonaws.com/team/service:latest".into()),
        last_status: Some("RUNNING".into()),
        runtime_id: Some(format!("{index:064x}")),
        cpu: Some("256".into()),
        memory: Some("512".into()),
        ..Default::default()
    };
    let task = |index: usize| ecs::Task {
        task_arn: arn("task", index),
        cluster_arn: arn("cluster", 1),
        task_definition_arn: arn("task-definition", 7),
        container_instance_arn: arn("container-instance", index),
        containers: Some((0..2).map(container).collect()),
        attributes: Some(
            (0..4)
                .map(|i| ecs::Attribute {
                    name: Some(format!("ecs.capability.number-{i}")),
                    value: Some("enabled".into()),
                    ..Default::default()
                })
                .collect(),
        ),
        last_status: Some("RUNNING".into()),
        desired_status: Some("RUNNING".into()),
        launch_type: Some(ecs::LaunchType::EC2),
        created_at: now,
        started_at: now,
        version: Some(3),
        ..Default::default()
    };
    ecs::DescribeTasksResponse { tasks: Some((0..100).map(task).collect()), failures: Some(vec![]) }
}

fn main() {
    let parts = http::Request::new(()).into_parts().0;
    let json = Protocol::AwsJson11;
    let request = Bytes::from(serde_json::to_vec(&registration()).expect("a request is JSON"));
    let register = ecs::ops::RegisterTaskDefinition::DEF;
    let read = |body: &Bytes| register.decode(json, &parts, body).expect("the request is good");
    println!(
        "request {} bytes: decode + validate {:.1} us",
        request.len(),
        median(|| drop(read(&request)))
    );
    let unchecked = || drop(register.decode_unchecked(json, &parts, &request));
    println!("request: decode {:.1} us", median(unchecked));
    let describe = ecs::ops::DescribeTasks::DEF;
    let output = tasks();
    for protocol in [json, Protocol::AwsQuery, Protocol::RpcV2Cbor] {
        let reply = describe.encode(protocol, &output, "id");
        let write = median(|| drop(describe.encode(protocol, &output, "id")));
        let read = median(|| {
            let mut shape = (describe.new_output)();
            describe.decode_response(protocol, &reply, &mut *shape).expect("it was just written");
        });
        println!(
            "{protocol:?} {} bytes: write {write:.0} us, read {read:.0} us",
            reply.body().len()
        );
    }
}
