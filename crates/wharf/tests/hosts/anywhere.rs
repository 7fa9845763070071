//! Hosts elsewhere (ECS Anywhere): a machine joins with an activation, and runs EXTERNAL tasks.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::inside::encoded;
use crate::world::{Elsewhere, Machine, is_root, wait_for};

const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ssm.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
const HOSTING: &str = "arn:aws:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role";

fn ssm(machine: &Machine, operation: &str, input: Value) -> Value {
    let target = format!("AmazonSSM.{operation}");
    let answer = machine.client().json("ssm", &target, &input.to_string());
    assert_eq!(answer.status, 200, "{operation}: {}", answer.text);
    answer.json()
}

/// A role for machines elsewhere, as AWS's manual makes it.
fn role(machine: &Machine) {
    for form in [
        format!(
            "Action=CreateRole&RoleName=ecsAnywhereRole&AssumeRolePolicyDocument={}",
            encoded(TRUST)
        ),
        format!("Action=AttachRolePolicy&RoleName=ecsAnywhereRole&PolicyArn={}", encoded(HOSTING)),
    ] {
        let answer = machine.client().iam(&form);
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
}

#[test]
fn a_machine_joins_with_an_activation_and_runs_external_tasks() {
    if !is_root() {
        return eprintln!("skipped: hosts need root");
    }
    let mut elsewhere = Elsewhere::new();
    let listen = format!("127.0.0.1:0,{}:0", elsewhere.here);
    let Some(machine) = Machine::server(&["--listen", &listen]) else { return };
    machine.call("CreateCluster", json!({ "clusterName": "default" }));
    role(&machine);
    let made = ssm(&machine, "CreateActivation", json!({ "IamRole": "ecsAnywhereRole" }));
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    let (id, code, url) = (text("ActivationId"), text("ActivationCode"), machine.url(1));
    let dirs = [elsewhere.dir(), elsewhere.dir()];
    let [dir, other] = dirs.each_ref().map(|dir| dir.to_str().unwrap());
    let base = ["--endpoint", &url, "--region", "us-east-1", "--data-dir"];
    let joining = ["--activation-id", &id, "--activation-code", &code];
    let words = [&base[..], &[dir], &joining].concat();
    elsewhere.agent("", &words, &[]);
    let host = wait_for("the host is connected", || machine.instances(true).pop());
    let managed = host["ec2InstanceId"].as_str().unwrap_or_default().to_owned();
    assert!(managed.starts_with("mi-"), "{host:#}");
    let attributes = host["attributes"].to_string();
    assert!(attributes.contains("ecs.capability.external"), "{host:#}");
    assert!(!attributes.contains("task-eni"), "{host:#}");
    let kept = dirs[0].join("identity.json");
    assert_eq!(std::fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    let told = ssm(&machine, "DescribeActivations", json!({}));
    assert_eq!(told["ActivationList"][0]["RegistrationsCount"], 1);

    // EC2 tasks do not go there, EXTERNAL ones do.
    machine.define("code", json!({ "command": ["sh", "-c", "exit 7"] }), json!({}));
    let ask = |kind: &str| json!({ "taskDefinition": "code", "launchType": kind });
    let refused = machine.client().call("RunTask", &ask("EC2").to_string());
    assert!(!refused.text.contains("\"taskArn\""), "{}", refused.text);
    let started = machine.call("RunTask", ask("EXTERNAL"));
    let arn = started["tasks"][0]["taskArn"].as_str().unwrap_or_else(|| panic!("{started:#}"));
    let task = wait_for("the task ends", || {
        Some(machine.task(arn)).filter(|task| task["lastStatus"] == "STOPPED")
    });
    assert_eq!(task["launchType"], "EXTERNAL");
    assert_eq!(task["containers"][0]["exitCode"], 7, "{task:#}");

    // It has joined: started again it needs no code, and is the same host.
    elsewhere.stop();
    wait_for("it is missed", || machine.instances(false).pop());
    elsewhere.agent("", &[&base[..], &[dir]].concat(), &[]);
    let again = wait_for("it is back", || machine.instances(true).pop());
    assert_eq!(again["containerInstanceArn"], host["containerInstanceArn"]);

    // The activation was for one machine.
    elsewhere.agent("", &[&base[..], &[other], &joining].concat(), &[]);
    assert_eq!(elsewhere.ended(), Some(5));
    assert!(elsewhere.said().contains("registration limit (1)"), "{}", elsewhere.said());
    assert!(!elsewhere.said().contains(&code), "the code is in no log");

    // One that was deregistered gets no further session.
    ssm(&machine, "DeregisterManagedInstance", json!({ "InstanceId": managed }));
    elsewhere.agent("", &[&base[..], &[dir]].concat(), &[]);
    assert_eq!(elsewhere.ended(), Some(5));
    assert!(elsewhere.said().contains("InvalidInstanceId"), "{}", elsewhere.said());
}
