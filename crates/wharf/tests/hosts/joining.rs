//! Machines that join a server that runs elsewhere: by the file of ECS's agent, by environment, by
//! flags; with keys of each kind that an instance may have.

use std::io::{Read, Write};
use std::net::TcpListener;

use serde_json::{Value, json};

use crate::inside::{between, encoded};
use crate::life::get;
use crate::world::{Elsewhere, Machine, wait_for};

/// What AWS's managed policy for instances lets them do, in short.
const HOSTING: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecs:*","Resource":"*"}]}"#;

pub fn form(machine: &Machine, form: &str) -> String {
    let answer = machine.client().iam(form);
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.text
}

/// A user for hosts: id and secret of its key.
pub fn user(machine: &Machine, name: &str) -> (String, String) {
    form(machine, &format!("Action=CreateUser&UserName={name}"));
    let policy = encoded(HOSTING);
    form(
        machine,
        &format!("Action=PutUserPolicy&UserName={name}&PolicyName=hosting&PolicyDocument={policy}"),
    );
    let made = form(machine, &format!("Action=CreateAccessKey&UserName={name}"));
    let part = |name: &str| between(&made, &format!("<{name}>"), &format!("</{name}>")).to_owned();
    (part("AccessKeyId"), part("SecretAccessKey"))
}

pub fn connected(machine: &Machine, cluster: &str) -> Value {
    wait_for("the host is connected", || machine.instances_of(cluster, true).pop())
}

#[test]
fn a_machine_joins_by_its_file_and_runs_tasks() {
    if !crate::world::is_root() {
        return eprintln!("skipped: hosts need root");
    }
    let mut elsewhere = Elsewhere::new();
    let listen = format!("127.0.0.1:0,{}:0", elsewhere.here);
    let Some(machine) = Machine::server(&["--listen", &listen]) else { return };
    machine.call("CreateCluster", json!({ "clusterName": "far" }));
    let (key, secret) = user(&machine, "host");
    let text = format!("[default]\naws_access_key_id={key}\naws_secret_access_key={secret}\n");
    let credentials = elsewhere.file("credentials", &text);
    let dir = elsewhere.dir();
    let config = format!(
        "ECS_CLUSTER=far\nECS_BACKEND_HOST={}\nECS_DATADIR={}\n\
         AWS_SHARED_CREDENTIALS_FILE={}\nECS_INSTANCE_ATTRIBUTES={{\"stack\":\"prod\"}}\n",
        machine.url(1),
        dir.display(),
        credentials.display(),
    );
    elsewhere.agent(&config, &[], &[]);
    let told = connected(&machine, "far");
    let attributes = told["attributes"].to_string();
    assert!(attributes.contains(r#""stack""#), "{told:#}");
    // No address of a VPC leads to a machine that is only reachable by its own.
    assert!(!attributes.contains("task-eni"), "{told:#}");

    let command = "echo hi > /tmp/hello; exec httpd -f -p 80 -h /tmp";
    machine.define(
        "web",
        json!({ "command": ["sh", "-c", command], "portMappings": [{ "containerPort": 80 }] }),
        json!({}),
    );
    let input = json!({ "cluster": "far", "taskDefinition": "web" });
    let started = machine.call("RunTask", input);
    let arn = started["tasks"][0]["taskArn"].as_str().unwrap_or_else(|| panic!("{started:#}"));
    let describe = || {
        let told = machine.call("DescribeTasks", json!({ "cluster": "far", "tasks": [arn] }));
        told["tasks"][0].clone()
    };
    let until = |status: &str| {
        wait_for(status, || Some(describe()).filter(|task| task["lastStatus"] == status))
    };
    let task = until("RUNNING");
    let port = task["containers"][0]["networkBindings"][0]["hostPort"].as_u64().unwrap();
    let page = wait_for("the task answers", || get(&elsewhere.there, port));
    assert!(page.ends_with("hi\n"), "{page}");

    // Started again it is the same host with the same task.
    let runtime = task["containers"][0]["runtimeId"].clone();
    elsewhere.stop();
    wait_for("it is missed", || machine.instances_of("far", false).pop());
    elsewhere.agent(&config, &[], &[]);
    assert_eq!(connected(&machine, "far")["containerInstanceArn"], told["containerInstanceArn"]);
    assert_eq!(until("RUNNING")["containers"][0]["runtimeId"], runtime);
    assert!(get(&elsewhere.there, port).is_some());
    machine.call("StopTask", json!({ "cluster": "far", "task": arn }));
    until("STOPPED");
}

#[test]
fn flags_hold_over_the_environment_and_that_over_the_file() {
    if !crate::world::is_root() {
        return eprintln!("skipped: hosts need root");
    }
    let mut elsewhere = Elsewhere::new();
    let listen = format!("127.0.0.1:0,{}:0", elsewhere.here);
    let Some(machine) = Machine::server(&["--listen", &listen]) else { return };
    for name in ["by-file", "by-environment", "by-flag"] {
        machine.call("CreateCluster", json!({ "clusterName": name }));
    }
    let (key, secret) = user(&machine, "host");
    let dirs = [elsewhere.dir(), elsewhere.dir()];
    let dirs = dirs.each_ref().map(|dir| dir.to_str().unwrap());
    let url = machine.url(1);
    let config = "ECS_CLUSTER=by-file\nECS_BACKEND_HOST=http://127.0.0.1:1\n";
    let keys = [("AWS_ACCESS_KEY_ID", &*key), ("AWS_SECRET_ACCESS_KEY", &*secret)];
    let mut environment = keys.to_vec();
    environment.extend([("ECS_CLUSTER", "by-environment"), ("ECS_BACKEND_HOST", &*url)]);
    elsewhere.agent(config, &["--data-dir", dirs[0]], &environment);
    connected(&machine, "by-environment");
    let words = ["--data-dir", dirs[1], "--cluster", "by-flag", "--endpoint", &url];
    let mut environment = keys.to_vec();
    environment.extend([("ECS_CLUSTER", "by-environment"), ("ECS_BACKEND_HOST", "nowhere")]);
    elsewhere.agent(config, &words, &environment);
    connected(&machine, "by-flag");
    assert!(machine.instances_of("by-file", true).is_empty());
    // A cluster that nobody made is not made by a host that was told of it.
    let words = ["--data-dir", dirs[1], "--cluster", "none", "--endpoint", &url];
    elsewhere.agent(config, &words, &keys);
    assert_eq!(elsewhere.ended(), Some(5));
    assert!(elsewhere.said().contains("ClusterNotFoundException"), "{}", elsewhere.said());
}

/// Instance metadata of the second version, with one profile, for as many requests as come.
fn metadata_service(address: &str, session: Value) -> String {
    let listener = TcpListener::bind((address, 0)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
                head.push(byte[0]);
            }
            let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
            let profiles = "/latest/meta-data/iam/security-credentials/";
            let knows = head.contains("x-aws-ec2-metadata-token: the-token");
            let (status, body) = match head.split("\r\n").next().unwrap_or_default() {
                "put /latest/api/token http/1.1" => (200, "the-token".to_owned()),
                line if knows && line == format!("get {profiles} http/1.1") => {
                    (200, "hosts".to_owned())
                }
                line if knows && line == format!("get {profiles}hosts http/1.1") => {
                    (200, session.to_string())
                }
                _ => (401, String::new()),
            };
            let length = body.len();
            let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n\r\n{body}");
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    url
}

#[test]
fn a_machine_without_keys_asks_its_metadata() {
    if !crate::world::is_root() {
        return eprintln!("skipped: hosts need root");
    }
    let mut elsewhere = Elsewhere::new();
    let listen = format!("127.0.0.1:0,{}:0", elsewhere.here);
    let Some(machine) = Machine::server(&["--listen", &listen]) else { return };
    let (key, secret) = user(&machine, "host");
    let host = crate::world::Client::new(&machine.url(0), &key, &secret);
    let made = host.form("sts", "Version=2011-06-15&Action=GetSessionToken");
    assert_eq!(made.status, 200, "{}", made.text);
    let part = |name: &str| between(&made.text, &format!("<{name}>"), &format!("</{name}>"));
    let session = json!({
        "Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": part("AccessKeyId"),
        "SecretAccessKey": part("SecretAccessKey"), "Token": part("SessionToken"),
        "Expiration": part("Expiration"),
    });
    let metadata = metadata_service(&elsewhere.here, session);
    let dir = elsewhere.dir();
    let words = ["--data-dir", dir.to_str().unwrap(), "--endpoint", &machine.url(1)];
    elsewhere.agent("", &words, &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &metadata)]);
    // No cluster was named: the default one is meant, and made.
    connected(&machine, "default");
}
