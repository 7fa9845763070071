//! What needs a service that is not here: registration takes it as AWS does, and the task stops with
//! AWS's error, which names it.

use serde_json::{Value, json};

use super::container;
use crate::inside::role;
use crate::world::{Machine, merge};

pub fn what_is_not_here_is_named(machine: &Machine) {
    let role = role(machine, "refused-exec", None);
    let volume = |more: Value| {
        let mut volume = json!({ "name": "v" });
        merge(&mut volume, more);
        json!({ "volumes": [volume] })
    };
    let secret = json!([{ "name": "S", "valueFrom": "/a/parameter" }]);
    let cases = [
        ("secrets", json!({ "secrets": secret }), json!({}), "container app"),
        (
            "environment-files",
            json!({ "environmentFiles": [{ "type": "s3", "value": "arn:aws:s3:::b/x.env" }] }),
            json!({}),
            "environmentFiles of container app",
        ),
        (
            "credentials",
            json!({ "repositoryCredentials": {
                "credentialsParameter": "arn:aws:secretsmanager:us-east-1:123456789012:secret:x",
            } }),
            json!({}),
            "repositoryCredentials of container app",
        ),
        (
            "secret-options",
            json!({ "logConfiguration": { "logDriver": "json-file", "secretOptions": secret } }),
            json!({}),
            "container app",
        ),
        (
            "efs",
            json!({}),
            volume(json!({ "efsVolumeConfiguration": { "fileSystemId": "fs-1" } })),
            "volume v: efsVolumeConfiguration",
        ),
        (
            "fsx",
            json!({}),
            volume(json!({ "fsxWindowsFileServerVolumeConfiguration": {
                "fileSystemId": "fs-1", "rootDirectory": "share",
                "authorizationConfig": { "credentialsParameter": "arn:x", "domain": "d" },
            } })),
            "volume v: fsxWindowsFileServerVolumeConfiguration",
        ),
        (
            "firelens-s3",
            json!({ "firelensConfiguration": { "type": "fluentbit", "options": {
                "config-file-type": "s3", "config-file-value": "arn:aws:s3:::b/x.conf",
            } } }),
            json!({}),
            "firelens resource of container app: config-file-type s3",
        ),
    ];
    for (family, own, more, names) in cases {
        let mut input = json!({ "family": family, "executionRoleArn": role,
            "containerDefinitions": [container("app", "echo no", own)] });
        merge(&mut input, more);
        machine.call("RegisterTaskDefinition", input);
        let arn = machine.run(family, 1).remove(0);
        let task = machine.wait(&arn, "STOPPED");
        let reason = task["stoppedReason"].as_str().unwrap_or_default();
        assert!(reason.starts_with("ResourceInitializationError: "), "{family}: {task:#}");
        assert!(reason.contains(names), "{family}: {reason}");
        assert_eq!(task["stopCode"], "TaskFailedToStart", "{family}");
        assert_eq!(machine.output(&arn, "app"), "", "{family}");
    }
}

pub fn what_cannot_be_is_named(machine: &Machine) {
    let tmpfs = json!({ "containerPath": "/t", "size": 1, "mountOptions": ["bogus"] });
    let host = json!({ "hostname": "h", "ipAddress": "host" });
    let control = |namespace: &str, value: &str| json!({ "systemControls": [{ "namespace": namespace, "value": value }] });
    let files = json!({ "name": "nofile", "softLimit": 1, "hardLimit": i32::MAX });
    let cases = [
        (
            "odd-control",
            control("net.ipv4.no_such_thing", "1"),
            "invalid systemControls: this host's kernel knows no \"net.ipv4.no_such_thing\"",
        ),
        (
            "odd-control-value",
            control("net.core.somaxconn", "many"),
            "systemControls: this host's kernel does not take \"many\" for \"net.core.somaxconn\"",
        ),
        (
            "control-of-all",
            control("vm.swappiness", "1"),
            "systemControls: \"vm.swappiness\" is a parameter of the whole host",
        ),
        (
            "odd-ulimit",
            json!({ "ulimits": [files] }),
            "invalid ulimits: the hard limit of nofile, 2147483647, is above the ",
        ),
        ("odd-tmpfs", json!({ "linuxParameters": { "tmpfs": [tmpfs] } }), "[\"bogus\"]"),
        ("odd-dns", json!({ "dnsServers": ["resolver"] }), "resolver is not an ip address"),
        ("odd-hosts", json!({ "extraHosts": [host] }), "in add-host: \"host\""),
    ];
    for (family, own, names) in cases {
        machine.define(family, container("app", "echo no", own), json!({}));
        let arn = machine.run(family, 1).remove(0);
        let task = machine.wait(&arn, "STOPPED");
        let reason = task["containers"][0]["reason"].as_str().unwrap_or_default();
        assert!(reason.starts_with("CannotCreateContainerError: "), "{family}: {task:#}");
        assert!(reason.contains(names), "{family}: {reason}");
        assert_eq!(task["stopCode"], "TaskFailedToStart", "{family}");
    }
}
