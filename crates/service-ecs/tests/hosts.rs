//! Who a host is, who may speak for it, and what it may tell.

#![allow(clippy::unwrap_used)]

mod world;

use aws_agent::docker::HostConfig;
use aws_agent::task::RoleCredentials;
use core_types::Id128;
use serde_json::{Value, json};
use service_ecs::feeds;
use service_ecs::reports::{AgentConnected, ConnectionsReset, ContainerHealth, InstanceHealth};
use service_ecs::rows::container_instance::ContainerInstance;
use service_ecs::rows::task::Health;
use world::World;

const WEB: &str = "arn:aws:sts::123456789012:assumed-role/web/host-1";
const OTHER: &str = "arn:aws:sts::123456789012:assumed-role/web/host-2";

const CAPABILITIES: [&str; 15] = [
    "com.amazonaws.ecs.capability.docker-remote-api.1.17",
    "com.amazonaws.ecs.capability.docker-remote-api.1.18",
    "com.amazonaws.ecs.capability.docker-remote-api.1.19",
    "com.amazonaws.ecs.capability.docker-remote-api.1.21",
    "com.amazonaws.ecs.capability.docker-remote-api.1.22",
    "com.amazonaws.ecs.capability.docker-remote-api.1.24",
    "com.amazonaws.ecs.capability.docker-remote-api.1.25",
    "com.amazonaws.ecs.capability.docker-remote-api.1.28",
    "com.amazonaws.ecs.capability.docker-remote-api.1.29",
    "com.amazonaws.ecs.capability.logging-driver.awslogs",
    "com.amazonaws.ecs.capability.task-iam-role",
    "ecs.capability.container-health-check",
    "ecs.capability.container-ordering",
    "ecs.capability.container-restart-policy",
    "ecs.capability.execution-role-awslogs",
];

fn registration(more: Value) -> Value {
    let number = |name: &str| json!({"name": name, "type": "INTEGER", "integerValue": 4096});
    let mut input = json!({
        "cluster": "c",
        "totalResources": [number("CPU"), number("MEMORY"),
            {"name": "PORTS", "type": "STRINGSET", "stringSetValue": []}],
        "attributes": CAPABILITIES.map(|name| json!({"name": name})),
    });
    more.as_object().unwrap().iter().for_each(|(key, value)| input[key] = value.clone());
    input
}

fn world() -> World {
    let mut world = World::new();
    world.call("CreateCluster", json!({"clusterName": "c"}));
    world.caller.arn = WEB.into();
    world
}

fn register(world: &mut World, more: Value) -> String {
    let answer = world.call("RegisterContainerInstance", registration(more));
    answer["containerInstance"]["containerInstanceArn"].as_str().unwrap().to_owned()
}

fn id(arn: &str) -> Id128 {
    arn.rsplit('/').next().unwrap().parse().unwrap()
}

#[test]
fn a_host_without_a_document_registers_once_under_its_token() {
    let mut world = world();
    let first = register(&mut world, json!({"clientToken": "t1"}));
    assert_eq!(register(&mut world, json!({"clientToken": "t1"})), first);
    assert_ne!(register(&mut world, json!({"clientToken": "t2"})), first);
    // The ARN that it remembers is stronger than a new process's token.
    let again = json!({"clientToken": "t3", "containerInstanceArn": first});
    assert_eq!(register(&mut world, again), first);
    let described = world.call("DescribeClusters", json!({"clusters": ["c"]}));
    assert_eq!(described["clusters"][0]["registeredContainerInstancesCount"], 2);
    world.survives_a_restart();
}

#[test]
fn hosts_elsewhere_run_what_names_no_launch_type() {
    let mut world = world();
    let external = json!({"attributes": [{"name": "ecs.capability.external"}], "clientToken": "t"});
    let arn = register(&mut world, external);
    world.report(AgentConnected { instance: id(&arn), session: 1 });
    world.call(
        "RegisterTaskDefinition",
        json!({"family": "web", "containerDefinitions": [{"name": "a", "image": "i", "memory": 4}]}),
    );
    let mut launch = |more: Value| {
        let mut input = json!({"cluster": "c", "taskDefinition": "web"});
        more.as_object().unwrap().iter().for_each(|(key, value)| input[key] = value.clone());
        let answer = world.try_call("RunTask", input)?;
        Ok::<_, world::Refusal>(answer["tasks"][0]["launchType"].clone())
    };
    assert_eq!(launch(json!({})), Ok(json!("EXTERNAL")));
    assert_eq!(launch(json!({"launchType": "EXTERNAL"})), Ok(json!("EXTERNAL")));
    let text = "No Container Instances were found in your cluster.";
    assert_eq!(launch(json!({"launchType": "EC2"})).unwrap_err().1, text);
    register(&mut world, json!({}));
    let input = json!({"cluster": "c", "taskDefinition": "web"});
    assert_eq!(world.call("RunTask", input)["failures"][0]["reason"], "AGENT");
}

#[test]
fn speaking_for_another_ones_host_asks_for_more() {
    let mut world = world();
    let arn = register(&mut world, json!({"clientToken": "t"}));
    world.report(AgentConnected { instance: id(&arn), session: 1 });
    world.call(
        "RegisterTaskDefinition",
        json!({"family": "web", "containerDefinitions": [{"name": "a", "image": "i", "memory": 4}]}),
    );
    let run = json!({"cluster": "c", "taskDefinition": "web"});
    let task = world.call("RunTask", run)["tasks"][0]["taskArn"].clone();
    let behalf = format!("wharf:SpeakForContainerInstance {arn}");
    let mut asks = |who: &str, operation: &str, input: Value| {
        world.caller.arn = who.into();
        world.call(operation, input);
        world.demanded().contains(&behalf)
    };
    for (operation, input) in [
        ("RegisterContainerInstance", registration(json!({"containerInstanceArn": arn}))),
        ("RegisterContainerInstance", registration(json!({"clientToken": "t"}))),
        ("DiscoverPollEndpoint", json!({"cluster": "c", "containerInstance": arn})),
        ("SubmitTaskStateChange", json!({"cluster": "c", "task": task, "status": "RUNNING"})),
        (
            "SubmitContainerStateChange",
            json!({"cluster": "c", "task": task, "containerName": "a", "status": "RUNNING"}),
        ),
    ] {
        assert!(!asks(WEB, operation, input.clone()), "{operation}");
        assert!(asks(OTHER, operation, input), "{operation}");
    }
}

#[test]
fn agents_are_told_to_come_by_the_way_they_came() {
    let mut world = world();
    let answer = world.call("DiscoverPollEndpoint", json!({"cluster": "c", "zoneId": ""}));
    assert_eq!(answer["endpoint"], "http://127.0.0.1:4566/_wharf/acs");
    assert_eq!(answer["telemetryEndpoint"], "http://127.0.0.1:4566/_wharf/tcs");
    let arn = register(&mut world, json!({}));
    let state = world.core.state();
    let scope: core_types::Scope = "123456789012/us-east-1".parse().unwrap();
    let find = |cluster: &str, arn: &str| {
        feeds::find_instance(state, scope.account, scope.region, cluster, arn)
    };
    assert_eq!(find("c", &arn).unwrap(), id(&arn));
    assert_eq!(find("arn:aws:ecs:us-east-1:123456789012:cluster/c", &arn).unwrap(), id(&arn));
    for (cluster, arn) in [
        ("d", arn.as_str()),
        ("c", &arn.replace("us-east-1", "us-east-2")),
        ("c", &arn.replace("123456789012", "000000000001")),
        ("c", "x"),
        ("c", "arn:aws:ecs:us-east-1:123456789012:container-instance/c/zz"),
    ] {
        assert!(find(cluster, arn).is_err(), "{cluster} {arn}");
    }
}

#[test]
fn what_a_host_says_of_health_is_shown() {
    let mut world = world();
    let arn = register(&mut world, json!({}));
    let host = id(&arn);
    world.report(AgentConnected { instance: host, session: 1 });
    let check = |status: &str, at: i64| InstanceHealth {
        instance: host,
        check: "ContainerRuntime".into(),
        status: status.into(),
        at: core_types::Time(at),
    };
    world.report(check("IMPAIRED", 2000));
    world.report(check("OK", 1000));
    let input = json!({"cluster": "c", "containerInstances": [arn],
        "include": ["CONTAINER_INSTANCE_HEALTH"]});
    let answer = world.call("DescribeContainerInstances", input);
    let health = &answer["containerInstances"][0]["healthStatus"];
    assert_eq!(health["overallStatus"], "IMPAIRED");
    assert_eq!(health["details"][0]["type"], "CONTAINER_RUNTIME");

    let check = json!({"command": ["CMD-SHELL", "true"], "interval": 7});
    world.call(
        "RegisterTaskDefinition",
        json!({"family": "web", "containerDefinitions": [
            {"name": "a", "image": "i", "memory": 4, "healthCheck": check}]}),
    );
    let run = json!({"cluster": "c", "taskDefinition": "web"});
    let task = world.call("RunTask", run)["tasks"][0]["taskArn"].as_str().unwrap().to_owned();
    let told = |instance, health, since| ContainerHealth {
        instance,
        task: id(&task),
        container: "a".into(),
        health,
        since: core_types::Time(since),
    };
    world.report(told(host, Health::Unhealthy, 20));
    world.report(told(host, Health::Healthy, 10));
    world.report(told(Id128([1; 16]), Health::Healthy, 30));
    let described = json!({"cluster": "c", "tasks": [task]});
    let shown = world.call("DescribeTasks", described.clone())["tasks"][0].clone();
    assert_eq!(shown["healthStatus"], "UNHEALTHY");
    world.report(told(host, Health::Healthy, 40));
    let shown = world.call("DescribeTasks", described)["tasks"][0].clone();
    assert_eq!(shown["healthStatus"], "HEALTHY");
    assert_eq!(shown["containers"][0]["healthStatus"], "HEALTHY");
    world.report(ConnectionsReset);
    let row = world.core.state().get::<ContainerInstance>(&host).unwrap();
    assert!(!row.observed_connected && row.lost_at.is_some());
}

/// A definition that asks for most of what travels.
fn definition() -> Value {
    json!({"family": "web", "taskRoleArn": "arn:aws:iam::123456789012:role/t",
        "volumes": [{"name": "v"}, {"name": "h", "host": {"sourcePath": "/srv"}}],
        "containerDefinitions": [
        {"name": "a", "image": "i:1", "memory": 64, "memoryReservation": 32, "cpu": 10,
            "command": ["x"], "environment": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
            "portMappings": [{"containerPort": 80, "hostPort": 0}],
            "mountPoints": [{"sourceVolume": "v", "containerPath": "/v", "readOnly": true}],
            "dockerLabels": {"l": "1"}, "user": "7:8", "workingDirectory": "/w",
            "ulimits": [{"name": "nofile", "softLimit": 5, "hardLimit": 6}],
            "extraHosts": [{"hostname": "h", "ipAddress": "10.0.0.1"}],
            "systemControls": [{"namespace": "net.ipv4.tcp_keepalive_time", "value": "9"}],
            "healthCheck": {"command": ["CMD-SHELL", "true"], "interval": 7, "timeout": 3},
            "stopTimeout": 11,
            "dependsOn": [{"containerName": "b", "condition": "START"}],
            "linuxParameters": {"initProcessEnabled": true, "sharedMemorySize": 16,
                "capabilities": {"add": ["NET_ADMIN"], "drop": ["CHOWN"]},
                "maxSwap": 0, "swappiness": 5,
                "tmpfs": [{"containerPath": "/t", "size": 8, "mountOptions": ["noexec"]}],
                "devices": [{"hostPath": "/dev/fuse", "permissions": ["read"]}]},
            "logConfiguration": {"logDriver": "awslogs", "options": {
                "awslogs-group": "g", "awslogs-region": "us-east-1",
                "awslogs-stream-prefix": "p"}}},
        {"name": "b", "image": "i:2", "memory": 8, "essential": false, "restartPolicy": {
            "enabled": true, "ignoredExitCodes": [0, 7], "restartAttemptPeriod": 60}},
    ]})
}

#[test]
fn a_payload_says_everything_with_the_overrides_in_it() {
    let mut world = world();
    let host = id(&register(&mut world, json!({})));
    world.report(AgentConnected { instance: host, session: 1 });
    world.role("t", "ecs-tasks.amazonaws.com");
    world.call("RegisterTaskDefinition", definition());
    let overrides = json!({"containerOverrides": [{"name": "a", "command": ["y", "z"], "memory": 70,
        "environment": [{"name": "B", "value": "3"}, {"name": "AWS_REGION", "value": "mine"}]}]});
    let run = json!({"cluster": "c", "taskDefinition": "web", "overrides": overrides});
    let answer = world.call("RunTask", run);
    assert_eq!(answer["failures"], json!([]));
    let task = id(answer["tasks"][0]["taskArn"].as_str().unwrap());
    let mut asked = Vec::new();
    let payload = feeds::payload(world.core.state(), task, "http://here", &mut |role| {
        asked.push((role.kind, role.arn.clone()));
        Some(RoleCredentials { access_key_id: "AK".into(), ..Default::default() })
    });
    let payload = payload.unwrap();
    assert_eq!(asked, [(feeds::RoleKind::Application, "arn:aws:iam::123456789012:role/t".into())]);
    let role = payload.role_credentials.unwrap();
    assert_eq!((role.access_key_id.as_str(), role.credentials_id.len()), ("AK", 36));
    assert!(!role.credentials_id.contains(&task.dashed()));
    assert_eq!((payload.family.as_str(), payload.version.as_str()), ("web", "1"));
    assert_eq!(
        (payload.desired_status.as_str(), payload.cpu, payload.memory),
        ("RUNNING", None, None)
    );
    assert_eq!(payload.volumes[1].host.as_ref().unwrap().source_path, "/srv");
    let a = &payload.containers[0];
    assert_eq!((a.cpu, a.memory, a.stop_timeout, a.essential), (10, 70, Some(11), true));
    assert_eq!(a.command, ["y", "z"]);
    let environment = |name: &str| a.environment[name].as_str();
    assert_eq!((environment("A"), environment("B")), ("1", "3"));
    assert_eq!(
        (environment("AWS_REGION"), environment("AWS_DEFAULT_REGION")),
        ("mine", "us-east-1")
    );
    assert_eq!(environment("AWS_EXECUTION_ENV"), "AWS_ECS_EC2");
    assert_eq!(environment("AWS_ENDPOINT_URL"), "http://here");
    assert_eq!((a.port_mappings[0].container_port, a.port_mappings[0].host_port), (80, 0));
    assert!(a.mount_points[0].read_only && !payload.containers[1].essential);
    let restarts = payload.containers[1].restart_policy.as_ref().unwrap();
    assert!(restarts.enabled && a.restart_policy.is_none());
    assert_eq!(restarts.ignored_exit_codes, [0, 7]);
    assert_eq!(restarts.restart_attempt_period, Some(60));
    assert_eq!(a.depends_on[0].condition, "START");
    assert_eq!(a.health_check_type, "docker");
    let docker = a.docker_config.as_ref().unwrap();
    let config = docker.config().unwrap();
    assert_eq!((config.user.as_str(), config.working_dir.as_str()), ("7:8", "/w"));
    assert_eq!(config.labels["l"], "1");
    assert_eq!(config.healthcheck.unwrap().interval, 7_000_000_000);
    check_host_config(&docker.host_config().unwrap(), task);
}

fn check_host_config(config: &HostConfig, task: Id128) {
    assert_eq!((config.cap_add[0].as_str(), config.cap_drop[0].as_str()), ("NET_ADMIN", "CHOWN"));
    assert_eq!((config.init, config.shm_size), (Some(true), 16 << 20));
    assert_eq!(config.memory_reservation, 32 << 20);
    // AWS: no swap at all is memory and swap together being the memory.
    assert_eq!((config.memory_swap, config.memory_swappiness), (70 << 20, Some(5)));
    assert_eq!(config.tmpfs["/t"], "noexec,size=8m");
    assert_eq!(config.devices[0].cgroup_permissions, "r");
    assert_eq!(config.devices[0].path_in_container, "/dev/fuse");
    assert_eq!((config.ulimits[0].soft, config.ulimits[0].hard), (5, 6));
    assert_eq!(config.extra_hosts, ["h:10.0.0.1"]);
    assert_eq!(config.sysctls["net.ipv4.tcp_keepalive_time"], "9");
    assert_eq!(config.network_mode, "bridge");
    let log = &config.log_config;
    assert_eq!(log.r#type, "awslogs");
    assert_eq!(log.config["awslogs-stream"], format!("p/a/{task}"));
    assert_eq!(log.config.get("awslogs-stream-prefix"), None);
    assert_eq!(log.config["awslogs-region"], "us-east-1");
    assert_eq!(log.config["awslogs-endpoint"], "http://here");
    // AWS: so it is since 2025 where neither the definition nor the account says otherwise.
    assert_eq!((&*log.config["mode"], &*log.config["max-buffer-size"]), ("non-blocking", "10m"));
}

#[test]
fn the_accounts_log_mode_holds_where_a_definition_has_none() {
    let mut world = world();
    let host = id(&register(&mut world, json!({})));
    world.report(AgentConnected { instance: host, session: 1 });
    let mode = |world: &mut World, options: Value| {
        let log = json!({ "logDriver": "awslogs", "options": options });
        let app = json!({ "name": "a", "image": "i", "memory": 8, "logConfiguration": log });
        let input = json!({ "family": "logs", "containerDefinitions": [app] });
        world.call("RegisterTaskDefinition", input);
        let run = json!({ "cluster": "c", "taskDefinition": "logs" });
        let task = world.call("RunTask", run)["tasks"][0]["taskArn"].clone();
        let task = id(task.as_str().unwrap());
        let told = feeds::payload(world.core.state(), task, "http://here", &mut |_| None).unwrap();
        let docker = told.containers[0].docker_config.clone().unwrap();
        let log = docker.host_config().unwrap().log_config.config;
        (log["mode"].clone(), log.get("max-buffer-size").cloned())
    };
    let of = |mode: &str, buffer: Option<&str>| (mode.to_owned(), buffer.map(str::to_owned));
    let setting = json!({ "name": "defaultLogDriverMode", "value": "blocking" });
    world.call("PutAccountSettingDefault", setting);
    let group = |more: Value| {
        let mut options = json!({ "awslogs-group": "g", "awslogs-region": "us-east-1" });
        for (name, value) in more.as_object().unwrap() {
            options[name] = value.clone();
        }
        options
    };
    assert_eq!(mode(&mut world, group(json!({}))), of("blocking", None));
    let own = group(json!({ "mode": "non-blocking" }));
    assert_eq!(mode(&mut world, own), of("non-blocking", Some("10m")));
    let sized = group(json!({ "max-buffer-size": "25m" }));
    assert_eq!(mode(&mut world, sized), of("non-blocking", Some("25m")));
}
