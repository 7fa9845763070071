//! Registrations that AWS refuses, each with AWS's text.

use core_types::AccountId;
use model_ecs as api;
use serde_json::{Value, json};

use super::{Registration, normalised};

fn register(given: Value) -> Result<api::TaskDefinition, String> {
    let bytes = serde_json::to_vec(&given).unwrap();
    let given: Registration = aws_protocol::stored::from_json(&bytes).unwrap();
    normalised(given, AccountId::new(1).unwrap()).map_err(|error| {
        let known = ["ClientException", "InvalidParameterException"];
        assert!(known.contains(&&*error.code), "{error}");
        error.message
    })
}

fn task(container: Value) -> Value {
    let mut base = json!({"name": "app", "image": "nginx", "memory": 64});
    merge(&mut base, container);
    json!({"family": "web", "containerDefinitions": [base]})
}

fn fargate(container: Value) -> Value {
    let mut given = task(container);
    merge(
        &mut given,
        json!({"requiresCompatibilities": ["FARGATE"], "networkMode": "awsvpc", "cpu": "256",
            "memory": "512"}),
    );
    given
}

fn with(mut given: Value, more: Value) -> Value {
    merge(&mut given, more);
    given
}

fn merge(into: &mut Value, from: Value) {
    let Value::Object(from) = from else { panic!("an object is merged") };
    for (key, value) in from {
        match value {
            Value::Null => drop(into.as_object_mut().unwrap().remove(&key)),
            value => into[key] = value,
        }
    }
}

#[track_caller]
fn refused(given: Value, text: &str) {
    let error = register(given).expect_err(text);
    assert!(error.contains(text), "{error}");
}

#[test]
fn names_and_images() {
    let none = json!({"family": "web", "containerDefinitions": []});
    refused(none, "Container list cannot be empty.");
    refused(json!({"family": "", "containerDefinitions": [{}]}), "Family should not be null");
    refused(with(task(json!({})), json!({"family": "a b"})), "Family contains invalid characters.");
    refused(task(json!({"name": null})), "Container.name should not be null or empty.");
    refused(task(json!({"name": "a b"})), "Container.name contains invalid characters.");
    refused(task(json!({"image": null})), "Container.image should not be null or empty.");
    let twice = json!([{"name": "a", "image": "i", "memory": 4}, {"name": "a", "image": "i",
        "memory": 4}]);
    refused(
        json!({"family": "web", "containerDefinitions": twice}),
        "Container names must be unique within a task definition.",
    );
    let many: Vec<_> =
        (0..11).map(|n| json!({"name": format!("c{n}"), "image": "i", "memory": 4})).collect();
    refused(json!({"family": "web", "containerDefinitions": many}), "Too many containers.");
    refused(
        task(json!({"essential": false})),
        "Task definition doesn't have any essential container.",
    );
    refused(with(task(json!({})), json!({"taskRoleArn": "a/b"})), "Role is not valid");
}

#[test]
fn memory_and_cpu() {
    refused(
        task(json!({"memory": null})),
        "Invalid setting for container 'app'. At least one of 'memory' or 'memoryReservation' \
         must be specified.",
    );
    assert!(register(task(json!({"memory": null, "memoryReservation": 4}))).is_ok());
    let on_task = with(task(json!({"memory": null})), json!({"memory": "512"}));
    assert!(register(on_task).is_ok());
    refused(
        task(json!({"memoryReservation": 65})),
        "'memory' must be greater than or equal to 'memoryReservation'",
    );
    refused(
        with(task(json!({"memory": 513})), json!({"memory": "512"})),
        "The 'memory' setting for container 'app' is greater than for the task",
    );
    refused(
        with(task(json!({"cpu": 257})), json!({"cpu": "256"})),
        "The sum of all container 'cpu' values cannot be greater than the value of the task 'cpu'.",
    );
    refused(with(task(json!({})), json!({"cpu": "x"})), "Invalid 'cpu' setting for task.");
    refused(with(task(json!({})), json!({"memory": "x"})), "Invalid 'memory' setting for task.");
}

#[test]
fn ports() {
    let ports = |mode: &str, mappings: Value| {
        with(task(json!({"portMappings": mappings})), json!({"networkMode": mode}))
    };
    for mode in ["host", "awsvpc"] {
        refused(
            ports(mode, json!([{"containerPort": 80, "hostPort": 81}])),
            &format!(
                "When networkMode={mode}, the host ports and container ports in port mappings \
                 must match."
            ),
        );
        let given = ports(mode, json!([{"containerPort": 80}]));
        let shown = register(given).unwrap().container_definitions.unwrap();
        assert_eq!(shown[0].port_mappings.as_ref().unwrap()[0].host_port, Some(80));
    }
    for bad in [json!({}), json!({"containerPort": 0}), json!({"containerPort": 65536})] {
        let text = "Invalid 'containerPort' setting for container 'app'.";
        refused(ports("bridge", json!([bad])), text);
    }
    refused(ports("none", json!([{"containerPort": 80}])), "not supported when networkMode=none");
    refused(ports("bridge", json!([{"containerPort": 1, "protocol": "sctp"}])), "protocol should");
    let both = json!([{"containerPort": 1, "containerPortRange": "1-2"}]);
    refused(ports("bridge", both), "cannot specify both single port and port range");
    let reversed = json!([{"containerPortRange": "2-1"}]);
    refused(ports("bridge", reversed), "Invalid 'containerPortRange' setting");
    let twice = json!([{"containerPort": 80}, {"containerPort": 80}]);
    refused(ports("awsvpc", twice.clone()), "is used multiple times in task");
    assert!(register(ports("bridge", twice)).is_ok(), "dynamic host ports never collide");
    let names = json!([{"containerPort": 1, "name": "a"}, {"containerPort": 2, "name": "a"}]);
    refused(ports("bridge", names), "is already used");
}

#[test]
fn network_modes() {
    let awsvpc = |container: Value| with(task(container), json!({"networkMode": "awsvpc"}));
    for (container, what) in [
        (json!({"links": ["app"]}), "Links are not supported when networkMode=awsvpc."),
        (json!({"hostname": "h"}), "hostname is not supported on container"),
        (json!({"dnsServers": ["1.1.1.1"]}), "DNS servers are not supported on container"),
        (json!({"dnsSearchDomains": ["x"]}), "DNS search domains are not supported on container"),
        (json!({"disableNetworking": true}), "Disable Networking is not supported on container"),
    ] {
        refused(awsvpc(container), what);
    }
    refused(with(task(json!({})), json!({"networkMode": "bad"})), "networkMode should be one of");
}

#[test]
fn volumes_and_dependencies() {
    let mount = json!({"mountPoints": [{"sourceVolume": "v", "containerPath": "/v"}]});
    refused(task(mount.clone()), "Unknown volume 'v'.");
    assert!(register(with(task(mount), json!({"volumes": [{"name": "v"}]}))).is_ok());
    let shown = register(with(task(json!({})), json!({"volumes": [{"name": "v"}]}))).unwrap();
    assert_eq!(shown.volumes.unwrap()[0].host, Some(api::HostVolumeProperties::default()));
    let blank = json!({"volumes": [{"name": "v", "host": {"sourcePath": ""}}]});
    refused(with(task(json!({})), blank), "host.sourcePath should not be blank.");
    let efs = |more: Value| {
        let efs = with(json!({"fileSystemId": "fs-1"}), more);
        with(task(json!({})), json!({"volumes": [{"name": "v", "efsVolumeConfiguration": efs}]}))
    };
    refused(efs(json!({"transitEncryptionPort": 1})), "TransitEncryptionPort requires");
    refused(
        efs(json!({"authorizationConfig": {"iam": "ENABLED"}})),
        "EFS IAM authorization requires TransitEncryption to be enabled.",
    );
    refused(
        efs(json!({"transitEncryption": "ENABLED", "rootDirectory": "/x",
            "authorizationConfig": {"accessPointId": "fsap-1"}})),
        "the root directory must either be set to \"/\" or be omitted.",
    );
    refused(task(json!({"volumesFrom": [{"sourceContainer": "x"}]})), "Unknown container 'x'.");
    let depends = |first: Value, on: Value, second: Value| {
        let first = with(json!({"name": "a", "image": "i", "memory": 4, "dependsOn": on}), first);
        let second = with(json!({"name": "b", "image": "i", "memory": 4}), second);
        json!({"family": "web", "containerDefinitions": [first, second]})
    };
    let on = |name: &str, condition: &str| json!([{"containerName": name, "condition": condition}]);
    let none = || json!({});
    refused(
        depends(none(), on("x", "START"), none()),
        "Cannot depend on container x because it does not exist.",
    );
    refused(
        depends(none(), on("b", "HEALTHY"), none()),
        "A dependency container with HEALTHY condition must have health check configured.",
    );
    refused(
        depends(none(), on("b", "SUCCESS"), none()),
        "A dependency container with SUCCESS or COMPLETE condition cannot be an essential \
         container.",
    );
    refused(depends(none(), on("a", "START"), none()), "cannot depend on itself");
    let back = json!({"dependsOn": [{"containerName": "a", "condition": "START"}]});
    refused(depends(none(), on("b", "START"), back), "cycle");
    assert!(register(depends(none(), on("b", "START"), none())).is_ok());
}

#[test]
fn the_rest_of_a_container() {
    let health =
        |more: Value| task(json!({"healthCheck": with(json!({"command": ["CMD", "x"]}), more)}));
    for more in [
        json!({"interval": 4}),
        json!({"timeout": 61}),
        json!({"retries": 11}),
        json!({"startPeriod": 301}),
    ] {
        refused(health(more), "for container 'app' must be between");
    }
    refused(health(json!({"command": []})), "Health check command");
    refused(
        task(json!({"restartPolicy": {"enabled": true, "restartAttemptPeriod": 59}})),
        "the 'restartAttemptPeriod' setting for container 'app' must be between 60 and 1800",
    );
    refused(
        task(json!({"secrets": [{"name": "a", "valueFrom": "b"}]})),
        "When you are specifying container secrets, you must also specify a value for \
         'executionRoleArn'.",
    );
    refused(
        task(json!({"logConfiguration": {"logDriver": "awslogs"}})),
        "Log driver awslogs requires options: awslogs-region, awslogs-group",
    );
    let options = json!({"awslogs-region": "r", "awslogs-group": "g", "log_key": "log"});
    refused(
        task(json!({"logConfiguration": {"logDriver": "awslogs", "options": options}})),
        "Log driver awslogs disallows options: log_key",
    );
    refused(
        task(json!({"logConfiguration": {"logDriver": "awsfirelens"}})),
        "a firelens configuration object must be specified.",
    );
    refused(task(json!({"logConfiguration": {"logDriver": "x"}})), "logDriver should be one of");
    let limit = json!([{"name": "nofile", "softLimit": 2, "hardLimit": 1}]);
    refused(task(json!({"ulimits": limit})), "Invalid 'ulimits' setting");
    let file = json!([{"type": "s3", "value": "bucket/key"}]);
    refused(task(json!({"environmentFiles": file})), "Invalid arn syntax.");
    let caps = json!({"capabilities": {"add": ["FLY"]}});
    refused(task(json!({"linuxParameters": caps})), "FLY");
    let gpu = json!([{"type": "GPU", "value": "x"}]);
    refused(task(json!({"resourceRequirements": gpu})), "Invalid 'resourceRequirements' setting");
}

#[test]
fn the_task_as_a_whole() {
    let task = |more: Value| with(task(json!({})), more);
    let proxy = |more: Value| {
        let proxy = with(
            json!({"type": "APPMESH", "containerName": "app", "properties": [
                {"name": "ProxyIngressPort", "value": "1"},
                {"name": "ProxyEgressPort", "value": "2"},
                {"name": "AppPorts", "value": "3"}, {"name": "IgnoredUID", "value": "4"}]}),
            more,
        );
        json!({"networkMode": "awsvpc", "proxyConfiguration": proxy})
    };
    assert!(register(task(proxy(json!({})))).is_ok());
    refused(task(proxy(json!({"containerName": "x"}))), "Proxy container x does not exist.");
    refused(task(proxy(json!({"properties": []}))), "Ingress port not found.");
    let bridge = with(proxy(json!({})), json!({"networkMode": "bridge"}));
    refused(task(bridge), "APPMESH proxy configuration is only supported in networkMode=awsvpc.");
    let constraint = |kind: &str, expression: &str| {
        let constraint = json!({"type": kind, "expression": expression});
        json!({"placementConstraints": [constraint]})
    };
    assert!(register(task(constraint("memberOf", "attribute:a == b"))).is_ok());
    refused(task(constraint("distinctInstance", "")), "type should be one of [memberOf]");
    refused(task(constraint("memberOf", "a b c")), "Invalid constraint expression.");
    let storage = |size: i32| json!({"ephemeralStorage": {"sizeInGiB": size}});
    refused(task(storage(20)), "EphemeralStorage size should be at least 21.");
    refused(task(storage(201)), "EphemeralStorage size should be at most 200.");
    let long = "x".repeat(70_000);
    let long = json!([{"name": "app", "image": "i", "memory": 4, "command": [long]}]);
    refused(task(json!({"containerDefinitions": long})), "Max allowed length is '65536' bytes.");
    let eia = json!({"inferenceAccelerators": [{"deviceName": "d", "deviceType": "t"}]});
    refused(task(eia), "Unsupported field 'inferenceAccelerators'.");
}

#[test]
fn fargate_says_no() {
    assert!(register(fargate(json!({}))).is_ok());
    let task = |more: Value| with(fargate(json!({})), more);
    for mode in [json!({"networkMode": "bridge"}), json!({"networkMode": null})] {
        refused(task(mode), "Fargate only supports network mode ‘awsvpc’.");
    }
    for what in ["cpu", "memory"] {
        let text = format!("Fargate requires that '{what}' be defined at the task level.");
        refused(task(json!({what: null})), &text);
    }
    refused(task(json!({"memory": "300"})), "No Fargate configuration exists for given values");
    let windows = json!({"runtimePlatform": {"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE"}});
    refused(task(windows), "No Fargate configuration exists for given values");
    refused(task(json!({"ipcMode": "host"})), "do not support ipcMode");
    refused(
        task(json!({"pidMode": "host"})),
        "Tasks using the Fargate launch type do not support pidMode 'host'. The supported value \
         for pidMode is 'task'.",
    );
    let constraint = json!([{"type": "memberOf", "expression": "attribute:a exists"}]);
    refused(
        task(json!({"placementConstraints": constraint})),
        "Fargate compatible task definitions do not support constraints",
    );
    let volume = json!({"volumes": [{"name": "v", "host": {"sourcePath": "/x"}}]});
    refused(task(volume), "Fargate compatible task definitions do not support sourcePath");
    let role = "Fargate requires task definition to have execution role ARN to support ";
    refused(
        fargate(json!({"image": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/x"})),
        &format!("{role}ECR images."),
    );
    let logs = json!({"logConfiguration": {"logDriver": "awslogs", "options": {
        "awslogs-group": "g", "awslogs-region": "r"}}});
    refused(fargate(logs.clone()), &format!("{role}log driver awslogs."));
    refused(
        with(fargate(logs), json!({"executionRoleArn": "exec"})),
        "Fargate requires log configuration options to include awslogs-stream-prefix",
    );
    for (container, text) in [
        (json!({"privileged": true}), "Fargate requires that the 'privileged' setting be 'false'."),
        (json!({"linuxParameters": {"sharedMemorySize": 1}}), "do not support sharedMemorySize"),
        (json!({"linuxParameters": {"maxSwap": 1}}), "do not support maxSwap"),
        (json!({"linuxParameters": {"devices": [{"hostPath": "/d"}]}}), "do not support devices"),
        (
            json!({"linuxParameters": {"capabilities": {"add": ["SYS_ADMIN"]}}}),
            "SYS_ADMIN is not allowed on Fargate.",
        ),
        (json!({"dockerSecurityOptions": ["x"]}), "do not support dockerSecurityOptions"),
        (json!({"resourceRequirements": [{"type": "GPU", "value": "1"}]}), "GPU"),
        (
            json!({"logConfiguration": {"logDriver": "syslog"}}),
            "syslog is not a valid log driver. Must be one of [awslogs, splunk, awsfirelens]",
        ),
    ] {
        refused(fargate(container), text);
    }
}
