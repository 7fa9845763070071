//! What a container can ask its host: every version of the metadata endpoint with figures, keys that
//! work as its role, and what an operator asks on the host itself.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::inside::{LOGGING, between, role};
use crate::world::{Client, Machine, PATIENCE, wait_for};

/// Prints what each path answers, one line each, and stays. Figures are there after the first look at
/// the container, and are asked for until then.
fn asking(questions: &[(&str, &str)]) -> Value {
    let asks = questions.iter().map(|(name, url)| {
        let enough = if name.ends_with("stats") { "*memory_stats*" } else { "*" };
        format!(
            "for try in $(seq 300); do a=$(busybox wget -qO- \"{url}\" || echo nothing); \
             case \"$a\" in {enough}) break;; esac; sleep 0.1; done; echo {name}: \"$a\"; "
        )
    });
    let stay = "echo done:; trap 'exit 0' TERM; while true; do sleep 1; done";
    json!(["sh", "-c", asks.collect::<String>() + stay])
}

/// What a container of a task got for an answer.
fn answers(machine: &Machine, arn: &str) -> impl Fn(&str) -> Value + use<> {
    let output = wait_for("the container has asked everything", || {
        let output = machine.output(arn, "app");
        output.contains("done:").then_some(output)
    });
    move |name| {
        let line = output.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        let line = line.unwrap_or_else(|| panic!("{name} in {output}"));
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{name}: {error}: {line}"))
    }
}

#[test]
fn each_version_tells_of_the_task_with_figures() {
    let Some(machine) = Machine::start() else { return };
    let command = asking(&[
        ("v3", "$ECS_CONTAINER_METADATA_URI"),
        ("v3task", "$ECS_CONTAINER_METADATA_URI/task"),
        ("v3stats", "$ECS_CONTAINER_METADATA_URI/stats"),
        ("v4", "$ECS_CONTAINER_METADATA_URI_V4"),
        ("v4task", "$ECS_CONTAINER_METADATA_URI_V4/task"),
        ("v4stats", "$ECS_CONTAINER_METADATA_URI_V4/stats"),
        ("v4taskstats", "$ECS_CONTAINER_METADATA_URI_V4/task/stats"),
        ("tags", "$ECS_CONTAINER_METADATA_URI_V4/taskWithTags"),
    ]);
    let ports = json!([{ "containerPort": 80 }]);
    let container = json!({ "command": command, "portMappings": ports, "cpu": 128 });
    machine.define("asks", container, json!({ "memory": "64" }));
    let input = json!({ "taskDefinition": "asks", "tags": [{ "key": "team", "value": "blue" }] });
    let arn = machine.call("RunTask", input)["tasks"][0]["taskArn"].as_str().unwrap().to_owned();
    let task = machine.wait(&arn, "RUNNING");
    let got = answers(&machine, &arn);
    for version in ["v3", "v4"] {
        let container = got(version);
        assert_eq!(container["Name"], "app", "{container:#}");
        assert_eq!(container["DockerId"], task["containers"][0]["runtimeId"], "{container:#}");
        assert_eq!(container["Ports"][0]["ContainerPort"], 80, "{container:#}");
        assert_eq!(got(&format!("{version}task"))["TaskARN"], arn);
        let stats = got(&format!("{version}stats"));
        assert!(stats["memory_stats"]["usage"].as_u64().unwrap() > 0, "{stats:#}");
        assert!(stats["memory_stats"]["limit"].as_u64().unwrap() <= 64 << 20, "{stats:#}");
        assert!(stats["cpu_stats"]["cpu_usage"]["total_usage"].as_u64().unwrap() > 0, "{stats:#}");
    }
    let container = got("v4");
    assert_eq!(container["ContainerARN"], task["containers"][0]["containerArn"]);
    assert_eq!(got("v4task")["Limits"]["Memory"], 64);
    // AWS: where a container has no limit of its own it says 0.
    assert_eq!(container["Limits"], json!({ "CPU": 128, "Memory": 64 }));
    let periods = &got("v4stats")["cpu_stats"]["throttling_data"]["periods"];
    assert!(periods.is_u64() && got("v4stats")["blkio_stats"]["sectors_recursive"].is_null());
    if machine.engine().is_none() {
        assert_eq!(got("v4task")["VPCID"], vpc(&machine));
        assert_eq!(got("v4task")["AvailabilityZoneID"].as_str().unwrap().len(), "use1-az1".len());
    }
    let older = got("v3task");
    for newer in ["VPCID", "AvailabilityZoneID", "LaunchType", "FaultInjectionEnabled"] {
        assert_eq!(older[newer], Value::Null, "{older:#}");
    }
    let id = container["DockerId"].as_str().unwrap();
    assert!(got("v4taskstats")[id]["memory_stats"].is_object());
    let name = format!("/{}", container["DockerName"].as_str().unwrap());
    assert_eq!(got("v4stats")["name"], json!(name));
    // AWS: tags are asked for as the instance; what has none is left out.
    assert_eq!(got("tags")["TaskARN"], arn);
    assert_eq!(got("tags")["TaskTags"], json!({ "team": "blue" }));
    assert_eq!(got("tags")["ContainerInstanceTags"], Value::Null);

    if machine.engine().is_some() {
        // There nobody but its own machine may ask.
        return;
    }
    // On the host itself an operator asks the agent.
    let host = machine.host_address(&task);
    let told = ask(&host, "/v1/metadata");
    assert_eq!(told["Cluster"], "default", "{told:#}");
    assert_eq!(told["ContainerInstanceArn"], task["containerInstanceArn"], "{told:#}");
    let told = ask(&host, "/v1/tasks");
    let all = told["Tasks"].as_array().unwrap();
    assert!(all.iter().any(|task| task["Arn"] == json!(arn)), "{told:#}");
}

fn vpc(machine: &Machine) -> String {
    let subnets = machine.client().form("ec2", "Version=2016-11-15&Action=DescribeSubnets");
    between(&subnets.text, "<vpcId>", "</vpcId>").to_owned()
}

pub fn ask(host: &str, path: &str) -> Value {
    let body = fetch(host, path);
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"))
}

/// What an agent answers to its operator.
pub fn fetch(host: &str, path: &str) -> String {
    let mut stream = TcpStream::connect((host, 51678)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (_, body) = text.split_once("\r\n\r\n").unwrap();
    body.to_owned()
}

#[test]
fn a_task_with_its_own_address_asks_the_second_version() {
    let Some(machine) = Machine::start() else { return };
    let subnets = machine.client().form("ec2", "Version=2016-11-15&Action=DescribeSubnets");
    let subnet = between(&subnets.text, "<subnetId>", "</subnetId>").to_owned();
    let command = asking(&[
        ("task", "http://169.254.170.2/v2/metadata"),
        ("stats", "http://169.254.170.2/v2/stats"),
        ("v4", "$ECS_CONTAINER_METADATA_URI_V4/task"),
    ]);
    let ports = json!([{ "containerPort": 80 }]);
    let container = json!({ "command": command, "portMappings": ports });
    machine.define("asks", container, json!({ "networkMode": "awsvpc" }));
    let input = json!({ "taskDefinition": "asks",
        "networkConfiguration": { "awsvpcConfiguration": { "subnets": [subnet] } } });
    let arn = machine.call("RunTask", input)["tasks"][0]["taskArn"].as_str().unwrap().to_owned();
    machine.wait(&arn, "RUNNING");
    let got = answers(&machine, &arn);
    let task = got("task");
    assert_eq!(task["TaskARN"], arn);
    let id = task["Containers"][0]["DockerId"].as_str().unwrap();
    assert!(got("stats")[id]["memory_stats"].is_object(), "{:#}", got("stats"));
    let task = got("v4");
    if machine.engine().is_none() {
        assert_eq!(task["VPCID"], vpc(&machine), "{task:#}");
    }
    let (container, network) = (&task["Containers"][0], &task["Containers"][0]["Networks"][0]);
    let names: Vec<&str> = network.as_object().unwrap().keys().map(String::as_str).collect();
    let all = "AttachmentIndex IPv4Addresses IPv4SubnetCIDRBlock MACAddress \
               NetworkMode PrivateDNSName SubnetGatewayIpv4Address";
    assert!(all.split(' ').all(|name| names.contains(&name)), "{all} in {network:#}");
    assert_eq!(network["NetworkMode"], "awsvpc");
    // AWS: at an address of its own a port is the same on both sides.
    let port = json!({ "ContainerPort": 80, "HostPort": 80, "Protocol": "tcp" });
    assert_eq!(container["Ports"], json!([port]), "{container:#}");
}

#[test]
fn a_task_of_its_hosts_network_has_an_empty_address() {
    let Some(machine) = Machine::start() else { return };
    let command = asking(&[("own", "$ECS_CONTAINER_METADATA_URI_V4")]);
    machine.define("asks", json!({ "command": command }), json!({ "networkMode": "host" }));
    let arn = machine.run("asks", 1).remove(0);
    machine.wait(&arn, "RUNNING");
    let own = answers(&machine, &arn)("own");
    // AWS: readers take the first one without a look whether there is one.
    let network = json!([{ "NetworkMode": "host", "IPv4Addresses": [""] }]);
    assert_eq!(own["Networks"], network, "{own:#}");
}

#[test]
fn the_keys_of_a_task_are_its_roles() {
    let Some(machine) = Machine::start() else { return };
    let arn = role(&machine, "writer", Some(LOGGING));
    let url = "http://169.254.170.2$AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
    let command = asking(&[("keys", url)]);
    machine.define("keys", json!({ "command": command }), json!({ "taskRoleArn": arn }));
    let task = machine.run("keys", 1).remove(0);
    machine.wait(&task, "RUNNING");
    let keys = answers(&machine, &task)("keys");
    let text = |name: &str| keys[name].as_str().unwrap().to_owned();
    let mut client = Client::new(&machine.url(0), &text("AccessKeyId"), &text("SecretAccessKey"));
    client.token = Some(text("Token"));
    let who = client.form("sts", "Version=2011-06-15&Action=GetCallerIdentity");
    assert_eq!(who.status, 200, "{}", who.text);
    let id = task.rsplit('/').next().unwrap();
    let wanted = format!(":assumed-role/writer/{id}</Arn>");
    assert!(who.text.contains(&wanted), "{}", who.text);
    // It may what its role may, and nothing else.
    let group = json!({ "logGroupName": "made-by-a-task" }).to_string();
    assert_eq!(client.json("logs", "Logs_20140328.CreateLogGroup", &group).status, 200);
    let refused = client.call("ListClusters", "{}");
    assert_eq!((refused.status, refused.code().as_str()), (400, "AccessDeniedException"));
    // Without its token the key is nobody's.
    client.token = None;
    let refused = client.call("ListClusters", "{}");
    assert_eq!(refused.code(), "UnrecognizedClientException", "{}", refused.text);
}
