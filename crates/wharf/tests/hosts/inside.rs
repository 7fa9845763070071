//! What a task sees of itself from inside, and what leaves it: metadata, its role's keys, its output,
//! its own address.

use std::io::{BufRead, BufReader};
use std::process::{Output, Stdio};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::life::get;
use crate::world::{Answer, Machine, kill, wait_for, wharf};

const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ecs-tasks.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
pub const LOGGING: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["logs:CreateLogGroup","logs:CreateLogStream","logs:PutLogEvents"],"Resource":"*"}]}"#;

pub fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric();
    let each = text.bytes().map(|byte| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    });
    each.collect()
}

/// A role that tasks may have; its ARN.
pub fn role(machine: &Machine, name: &str, policy: Option<&str>) -> String {
    let form =
        format!("Action=CreateRole&RoleName={name}&AssumeRolePolicyDocument={}", encoded(TRUST));
    let answer = machine.client().iam(&form);
    assert_eq!(answer.status, 200, "{}", answer.text);
    if let Some(policy) = policy {
        let form = format!(
            "Action=PutRolePolicy&RoleName={name}&PolicyName=p&PolicyDocument={}",
            encoded(policy)
        );
        assert_eq!(machine.client().iam(&form).status, 200);
    }
    between(&answer.text, "<Arn>", "</Arn>").to_owned()
}

pub fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("{before} in {text}"));
    rest.split_once(after).unwrap().0
}

fn shell(script: &str) -> Value {
    json!(["sh", "-c", script])
}

#[test]
fn a_container_learns_of_itself_and_gets_nothing_of_others() {
    let Some(machine) = Machine::start() else { return };
    let role = role(&machine, "app", None);
    let script = "get() { busybox wget -qO- \"$1\" || echo nothing; echo; }; \
                  echo metadata: $(get $ECS_CONTAINER_METADATA_URI_V4/task); \
                  echo keys: $(get http://169.254.170.2$AWS_CONTAINER_CREDENTIALS_RELATIVE_URI); \
                  echo where: $AWS_CONTAINER_CREDENTIALS_RELATIVE_URI; \
                  echo theirs: $(get http://169.254.170.2$THEIRS); \
                  trap 'exit 0' TERM; while true; do sleep 1; done";
    let own = json!({ "taskRoleArn": role });
    let line = |arn: &str, name: &str| {
        wait_for("the container tells", || {
            let output = machine.output(arn, "app");
            let found = output.lines().find(|line| line.starts_with(name))?;
            output.contains("theirs:").then(|| found[name.len()..].trim().to_owned())
        })
    };
    machine.define("first", json!({ "command": shell(script) }), own.clone());
    let first = machine.run("first", 1).remove(0);
    let metadata: Value = serde_json::from_str(&line(&first, "metadata:")).unwrap();
    assert_eq!(metadata["TaskARN"], first);
    assert_eq!(metadata["Family"], "first");
    assert_eq!(metadata["Containers"][0]["Name"], "app");
    let keys: Value = serde_json::from_str(&line(&first, "keys:")).unwrap();
    assert_eq!(keys["RoleArn"], role, "{keys}");
    assert!(keys["AccessKeyId"].as_str().unwrap().starts_with("ASIA"), "{keys}");
    for name in ["SecretAccessKey", "Token", "Expiration"] {
        assert!(keys[name].as_str().is_some_and(|text| !text.is_empty()), "{name} in {keys}");
    }

    let theirs = json!([{ "name": "THEIRS", "value": line(&first, "where:") }]);
    let container = json!({ "command": shell(script), "environment": theirs });
    machine.define("second", container, own);
    let second = machine.run("second", 1).remove(0);
    let keys: Value = serde_json::from_str(&line(&second, "keys:")).unwrap();
    assert_eq!(keys["RoleArn"], role, "it has its own");
    assert_eq!(line(&second, "theirs:"), "nothing");
}

pub fn awslogs(group: &str, more: Value) -> Value {
    let mut options = json!({ "awslogs-group": group, "awslogs-region": "us-east-1",
        "awslogs-stream-prefix": "p" });
    crate::world::merge(&mut options, more);
    json!({ "logDriver": "awslogs", "options": options })
}

fn logs(machine: &Machine, operation: &str, input: &Value) -> Answer {
    let target = format!("Logs_20140328.{operation}");
    machine.client().json("logs", &target, &input.to_string())
}

fn ec2(machine: &Machine, form: &str) -> Answer {
    machine.client().form("ec2", &format!("Version=2016-11-15&{form}"))
}

/// A stream's messages.
pub fn events(machine: &Machine, group: &str, stream: &str) -> Vec<String> {
    let (mut all, mut token) = (Vec::new(), Value::Null);
    loop {
        let mut input =
            json!({ "logGroupName": group, "logStreamName": stream, "startFromHead": true });
        if !token.is_null() {
            input["nextToken"] = token.clone();
        }
        let answer = logs(machine, "GetLogEvents", &input);
        assert_eq!(answer.status, 200, "{}", answer.text);
        let page = answer.json();
        let events = page["events"].as_array().unwrap();
        all.extend(events.iter().map(|event| event["message"].as_str().unwrap().to_owned()));
        // AWS: the end is where the token repeats.
        if page["nextForwardToken"] == token {
            return all;
        }
        token = page["nextForwardToken"].clone();
    }
}

#[test]
fn no_line_is_lost_when_agents_are_killed() {
    let Some(machine) = Machine::start() else { return };
    if machine.engine().is_some() {
        // Nobody starts its agent again.
        return;
    }
    let role = role(&machine, "exec", Some(LOGGING));
    let script =
        "i=0; while [ $i -lt 300 ]; do echo line-$i; i=$((i+1)); busybox usleep 10000; done";
    machine.define(
        "talker",
        json!({
            "command": shell(script),
            "logConfiguration": awslogs("talk", json!({ "awslogs-create-group": "true" })),
        }),
        json!({ "executionRoleArn": role }),
    );
    let arn = machine.run("talker", 1).remove(0);
    let stream = format!("p/app/{}", arn.rsplit('/').next().unwrap());
    machine.wait(&arn, "RUNNING");
    wait_for("lines arrive", || {
        let listed = json!({ "logGroupName": "talk" });
        let streams = logs(&machine, "DescribeLogStreams", &listed).json();
        let there = streams["logStreams"].as_array().is_some_and(|all| !all.is_empty());
        (there && !events(&machine, "talk", &stream).is_empty()).then_some(())
    });
    machine.agents().iter().for_each(|agent| kill(*agent, Signal::KILL));
    machine.wait(&arn, "STOPPED");
    wait_for("every line", || {
        let told = events(&machine, "talk", &stream);
        (0..300).all(|n| told.contains(&format!("line-{n}"))).then_some(())
    });
}

#[test]
fn a_driver_that_cannot_be_opened_keeps_the_container_from_starting() {
    let Some(machine) = Machine::start() else { return };
    let role = role(&machine, "exec", Some(LOGGING));
    for (family, log, expected) in [
        (
            "nowhere",
            awslogs("none", json!({})),
            "CannotStartContainerError: Error response from daemon: failed to initialize logging \
             driver: failed to create Cloudwatch log stream: ResourceNotFoundException: The \
             specified log group does not exist.",
        ),
        (
            "badly",
            json!({ "logDriver": "json-file", "options": { "colour": "red" } }),
            "CannotCreateContainerError: Error response from daemon: unknown log opt \
             'colour' for json-file log driver",
        ),
    ] {
        let container = json!({ "command": ["true"], "logConfiguration": log });
        machine.define(family, container, json!({ "executionRoleArn": role }));
        let arn = machine.run(family, 1).remove(0);
        let task = machine.wait(&arn, "STOPPED");
        assert_eq!(task["stopCode"], "TaskFailedToStart", "{task:#}");
        assert_eq!(task["containers"][0]["reason"], expected, "{task:#}");
    }
}

#[test]
fn a_task_has_an_address_of_its_own() {
    let Some(machine) = Machine::start() else { return };
    tasks_have_addresses(&machine);
}

pub fn tasks_have_addresses(machine: &Machine) {
    let subnets = ec2(machine, "Action=DescribeSubnets");
    assert_eq!(subnets.status, 200, "{}", subnets.text);
    let subnet = between(&subnets.text, "<subnetId>", "</subnetId>");
    // A first process that has no word for it is not ended by SIGTERM.
    let command = "echo hi > /tmp/hello; trap 'exit 0' TERM; httpd -f -p 80 -h /tmp & wait";
    machine.define("own", json!({ "command": shell(command) }), json!({ "networkMode": "awsvpc" }));
    let input = json!({ "taskDefinition": "own", "count": 2,
        "networkConfiguration": { "awsvpcConfiguration": { "subnets": [subnet] } } });
    let answer = machine.call("RunTask", input);
    assert_eq!(answer["failures"], json!([]), "{answer:#}");
    let mut addresses = Vec::new();
    for started in answer["tasks"].as_array().unwrap() {
        let arn = started["taskArn"].as_str().unwrap();
        let task = machine.wait(arn, "RUNNING");
        assert_eq!(task["attachments"][0]["status"], "ATTACHED");
        let address = &task["containers"][0]["networkInterfaces"][0]["privateIpv4Address"];
        let address = address.as_str().unwrap().to_owned();
        machine.lead_to(&address);
        let page = wait_for("the task answers", || get(&address, 80));
        assert!(page.ends_with("hi\n"), "{page}");
        addresses.push((arn.to_owned(), address));
    }
    assert_ne!(addresses[0].1, addresses[1].1, "the same port twice on one host");
    for (arn, address) in addresses {
        machine.call("StopTask", json!({ "task": arn }));
        let task = machine.wait(&arn, "STOPPED");
        assert_eq!(task["attachments"][0]["status"], "DELETED");
        let there = ec2(machine, "Action=DescribeNetworkInterfaces");
        assert!(!there.text.contains(&format!(">{address}<")), "{}", there.text);
    }
}

#[test]
fn output_is_shown_without_any_log_configuration() {
    let Some(machine) = Machine::start() else { return };
    output_is_shown(&machine);
}

pub fn output_is_shown(machine: &Machine) {
    machine.define(
        "says",
        json!({ "command": shell("echo one; echo two >&2; echo three") }),
        json!({}),
    );
    let (task, _) = machine.run_to_end("says");
    let arn = task["taskArn"].as_str().unwrap();
    let dir = machine.output_dir();
    let dir = dir.to_str().unwrap();
    let shown = |words: &[&str]| -> Output {
        let words: Vec<&str> = ["logs", "--data-dir", dir].iter().chain(words).copied().collect();
        wharf(&words).output().unwrap()
    };
    for words in [&[arn][..], &[arn, "--follow"], &[arn, "--container", "app"]] {
        let output = shown(words);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(output.stdout, b"one\nthree\n", "{output:?}");
        assert_eq!(output.stderr, b"two\n", "{output:?}");
    }
    let output = shown(&[arn, "--container", "db"]);
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("the task has no container db: it has app"), "{text}");
}

#[test]
fn output_is_followed_until_its_task_ends() {
    let Some(machine) = Machine::start() else { return };
    output_is_followed(&machine);
}

pub fn output_is_followed(machine: &Machine) {
    let script = "echo begun; while [ ! -e /tmp/go ]; do sleep 0.1; done; echo going; exit 0";
    machine.define("talks", json!({ "command": shell(script) }), json!({}));
    let input = json!({ "taskDefinition": "talks", "enableExecuteCommand": true });
    let answer = machine.call("RunTask", input);
    let arn = answer["tasks"][0]["taskArn"].as_str().unwrap().to_owned();
    machine.wait(&arn, "RUNNING");
    let (dir, there) = (machine.dir(), machine.output_dir());
    let (dir, there) = (dir.to_str().unwrap(), there.to_str().unwrap());
    let mut follows = wharf(&["logs", "--data-dir", there, "-f", &arn]);
    let mut follows = follows.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follows.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "begun");
    let go = wharf(&["exec", "--data-dir", dir, &arn, "--", "sh", "-c", "echo >/tmp/go"]).status();
    assert!(go.unwrap().success());
    assert_eq!(lines.next().unwrap().unwrap(), "going");
    assert!(lines.next().is_none(), "it ends with the task");
    assert!(follows.wait().unwrap().success());
}
