//! Frames of ACS and TCS: as AWS writes them, and under bytes that nobody meant to send.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use aws_agent::docker::{Config, DockerConfig, Healthcheck, HostConfig, Ulimit};
use aws_agent::frame::MAX_FROM_AGENT;
use aws_agent::task::{Container, ElasticNetworkInterface, HostVolume, PortMapping, Task, Volume};
use aws_agent::{FrameError, acs, tcs};
use proptest::prelude::*;

#[test]
fn a_payload_is_written_as_aws_writes_it() {
    let task = Task {
        arn: "arn:aws:ecs:us-east-1:000000000000:task/c/1".to_owned(),
        desired_status: "RUNNING".to_owned(),
        cpu: Some(0.25),
        volumes: vec![Volume {
            name: "v".to_owned(),
            r#type: "host".to_owned(),
            host: Some(HostVolume::default()),
            ..Volume::default()
        }],
        containers: vec![Container {
            name: "web".to_owned(),
            essential: true,
            entry_point: vec!["/bin/sh".to_owned()],
            environment: [("A".to_owned(), "b".to_owned())].into(),
            port_mappings: vec![PortMapping { container_port: 80, ..PortMapping::default() }],
            ..Container::default()
        }],
        elastic_network_interfaces: vec![ElasticNetworkInterface {
            ec2_id: "eni-1".to_owned(),
            subnet_gateway_ipv4_address: "10.0.0.1/24".to_owned(),
            ..ElasticNetworkInterface::default()
        }],
        ..Task::default()
    };
    let payload = acs::Payload {
        message_id: "m".to_owned(),
        seq_num: 7,
        tasks: vec![task],
        ..acs::Payload::default()
    };
    let text = acs::FromPlane::from(payload.clone()).encode();
    assert_eq!(
        text,
        concat!(
            r#"{"type":"PayloadMessage","message":{"messageId":"m","seqNum":7,"tasks":[{"#,
            r#""arn":"arn:aws:ecs:us-east-1:000000000000:task/c/1","desiredStatus":"RUNNING","#,
            r#""cpu":0.25,"volumes":[{"name":"v","type":"host","host":{}}],"#,
            r#""containers":[{"name":"web","essential":true,"entryPoint":["/bin/sh"],"#,
            r#""environment":{"A":"b"},"portMappings":[{"containerPort":80}]}],"#,
            r#""elasticNetworkInterfaces":[{"ec2Id":"eni-1","#,
            r#""subnetGatewayIpv4Address":"10.0.0.1/24"}]}]}}"#,
        )
    );
    assert_eq!(acs::FromPlane::decode(&text).unwrap(), payload.into());
}

#[test]
fn what_is_unknown_is_kept_and_is_no_error() {
    let text = r#"{"type":"NewMessage","message":{"a":[1,2]}}"#;
    let frame = acs::FromAgent::decode(text).unwrap();
    assert_eq!(frame.kind(), "NewMessage");
    assert_eq!(frame.encode(), text);
    let text = r#"{"type":"HeartbeatAckRequest","message":{"messageId":"m","new":{"x":null}}}"#;
    let ack = acs::HeartbeatAck { message_id: "m".to_owned() };
    assert_eq!(acs::FromAgent::decode(text).unwrap(), ack.into());
}

#[test]
fn null_and_absent_are_the_default() {
    let text = r#"{"type":"AckRequest","message":{"cluster":null}}"#;
    assert_eq!(acs::FromAgent::decode(text).unwrap(), acs::Ack::default().into());
    assert_eq!(
        acs::FromAgent::decode(r#"{"type":"AckRequest"}"#).unwrap(),
        acs::Ack::default().into()
    );
}

#[test]
fn frames_that_are_too_long_or_too_deep_are_refused() {
    let long = format!(r#"{{"type":"{}","message":{{}}}}"#, "x".repeat(MAX_FROM_AGENT));
    assert!(matches!(acs::FromAgent::decode(&long), Err(FrameError::TooLong { .. })));
    let deep = format!(
        r#"{{"type":"AckRequest","message":{}{}}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    assert!(acs::FromAgent::decode(&deep).is_err());
}

#[test]
fn a_signed_frame_is_split_at_its_first_empty_line() {
    let frame = concat!(
        "Authorization: AWS4-HMAC-SHA256 Credential=AKID/20300101/us-east-1/ecs/aws4_request, ",
        "SignedHeaders=host;x-amz-date, Signature=00\r\nHost: 127.0.0.1:4566\r\n",
        "X-Amz-Date: 20300101T000000Z\r\n\r\n",
        r#"{"type":"PublishMetricsRequest","message":{"metadata":{"cluster":"default","#,
        r#""idle":true,"fin":true},"timestamp":1893456000.123}}"#
    );
    let (headers, _) = tcs::split_signed(frame).unwrap();
    assert_eq!(headers[1], ("Host", "127.0.0.1:4566"));
    let tcs::FromAgent::Metrics(metrics) = tcs::FromAgent::decode_signed(frame).unwrap() else {
        panic!("not metrics");
    };
    assert!(metrics.metadata.idle && metrics.metadata.fin);
    assert_eq!(metrics.timestamp, 1893456000.123);
    assert_eq!(tcs::FromAgent::Metrics(metrics).encode_signed(&headers), frame);
    assert!(matches!(tcs::split_signed("Host: a\r\n{}"), Err(FrameError::NoBlankLine)));
    let many = format!("{}\r\n{{}}", "A: b\r\n".repeat(40));
    assert!(matches!(tcs::split_signed(&many), Err(FrameError::TooManyHeaders(40))));
}

#[test]
fn dockers_strings_read_as_go_writes_them() {
    let docker = DockerConfig {
        config: concat!(
            r#"{"Hostname":"h","Env":null,"Cmd":["a"],"Volumes":null,"Entrypoint":null,"#,
            r#""Labels":{"k":"v"},"Healthcheck":{"Test":["CMD-SHELL","true"],"#,
            r#""Interval":5000000000},"ExposedPorts":{"80/tcp":{}},"Unknown":1}"#
        )
        .to_owned(),
        host_config: concat!(
            r#"{"Binds":null,"ContainerIDFile":"","LogConfig":{"Type":"awslogs","Config":"#,
            r#"{"awslogs-group":"g"}},"UTSMode":"host","Dns":["1.1.1.1"],"Init":true,"#,
            r#""ConsoleSize":[0,0],"Ulimits":[{"Name":"nofile","Hard":2,"Soft":1}],"#,
            r#""PortBindings":{"80/tcp":null},"MaskedPaths":null,"ReadonlyPaths":[],"#,
            r#""BlkioDeviceReadIOps":null,"IOMaximumIOps":0,"MemorySwappiness":0}"#
        )
        .to_owned(),
        ..DockerConfig::default()
    };
    let config = docker.config().unwrap();
    assert_eq!(config.healthcheck.as_ref().unwrap().interval, 5_000_000_000);
    assert!(config.exposed_ports.contains_key("80/tcp"));
    let host = docker.host_config().unwrap();
    assert_eq!(host.uts_mode, "host");
    assert_eq!(host.init, Some(true));
    assert_eq!(host.memory_swappiness, Some(0));
    assert_eq!((host.masked_paths.as_ref(), host.readonly_paths.as_ref()), (None, Some(&vec![])));
    let again = DockerConfig::new(&config, &host);
    assert_eq!((again.config().unwrap(), again.host_config().unwrap()), (config, host));
    assert!(again.host_config.contains(r#""UTSMode":"host""#));
}

fn word() -> impl Strategy<Value = String> {
    proptest::string::string_regex("[ -~é\u{1F600}\"\\\\]{0,12}").unwrap()
}

prop_compose! {
    fn configs()(
        user in word(), env in prop::collection::vec(word(), 0..4), tty: bool, retries in 0..9i64,
        check: bool, labels in prop::collection::btree_map(word(), word(), 0..3),
        memory: i64, init: Option<bool>, pids: Option<i64>, soft: i64,
        masked in prop::option::of(prop::collection::vec(word(), 0..3)),
    ) -> (Config, HostConfig) {
        let healthcheck = check.then(|| Healthcheck { retries, ..Healthcheck::default() });
        let config = Config { user, env, tty, healthcheck, labels, ..Config::default() };
        let ulimits = vec![Ulimit { name: "core".to_owned(), hard: -1, soft }];
        let host = HostConfig {
            memory, init, pids_limit: pids, ulimits, masked_paths: masked, ..HostConfig::default()
        };
        (config, host)
    }
}

proptest! {
    #[test]
    fn dockers_strings_come_back(pair in configs(), arn in word()) {
        let docker = DockerConfig::new(&pair.0, &pair.1);
        let container = Container { docker_config: Some(docker), ..Container::default() };
        let task = Task { arn, containers: vec![container], ..Task::default() };
        let text = acs::FromPlane::from(acs::Payload { tasks: vec![task], ..Default::default() })
            .encode();
        let acs::FromPlane::Payload(payload) = acs::FromPlane::decode(&text).unwrap() else {
            panic!("not a payload");
        };
        let docker = payload.tasks[0].containers[0].docker_config.clone().unwrap();
        prop_assert_eq!((docker.config().unwrap(), docker.host_config().unwrap()), pair);
    }

    #[test]
    fn any_text_is_read_or_refused(text in ".{0,300}") {
        let _ = acs::FromAgent::decode(&text);
        let _ = acs::FromPlane::decode(&text);
        let _ = tcs::FromAgent::decode_signed(&text);
        let docker = DockerConfig { config: text.clone(), host_config: text, ..Default::default() };
        let _ = (docker.config(), docker.host_config());
    }

    #[test]
    fn a_bent_frame_is_read_or_refused(at in 0usize..400, byte in 0u8..128, cut in 0usize..400) {
        let frame = concat!(
            "Host: a\r\nX-Amz-Date: b\r\n\r\n",
            r#"{"type":"PublishHealthRequest","message":{"metadata":{"fin":true},"tasks":[{"#,
            r#""taskArn":"t","containers":[{"containerName":"c","healthStatus":"HEALTHY","#,
            r#""statusSince":1.5}]}],"timestamp":1}}"#
        );
        let mut bytes = frame.as_bytes().to_vec();
        let length = bytes.len();
        bytes[at % length] = byte;
        bytes.truncate(length - cut % length);
        if let Ok(frame) = tcs::FromAgent::decode_signed(&String::from_utf8(bytes).unwrap()) {
            prop_assert_eq!(tcs::FromAgent::decode(&frame.encode()).unwrap(), frame);
        }
    }

    #[test]
    fn headers_of_signed_frames_come_back(
        headers in prop::collection::vec(("[A-Za-z-]{1,9}", "[!-~]{1,20}"), 0..6), message in word()
    ) {
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let frame = tcs::FromAgent::from(tcs::StartTelemetrySession {
            cluster: message, ..Default::default()
        });
        let text = frame.encode_signed(&headers);
        prop_assert_eq!(&tcs::split_signed(&text).unwrap().0, &headers);
        prop_assert_eq!(tcs::FromAgent::decode_signed(&text).unwrap(), frame);
    }
}

#[test]
fn a_stream_url_has_the_scheme_by_which_the_caller_came() {
    use aws_agent::paths::stream_url;
    assert_eq!(
        stream_url("https://wharf.example:4566", "ecs-execute-command-1"),
        "wss://wharf.example:4566/v1/data-channel/ecs-execute-command-1?role=publish_subscribe"
    );
    assert!(stream_url("http://127.0.0.1:4566", "s").starts_with("ws://127.0.0.1:4566/v1/"));
}
