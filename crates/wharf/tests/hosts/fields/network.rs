//! Networks: ports of every kind, modes, links.

use std::net::UdpSocket;

use serde_json::{Value, json};

use super::{container, part, run};
use crate::life::get;
use crate::world::{Machine, wait_for};

const SERVE: &str = "echo hi > /tmp/hello; exec httpd -f -p 80 -h /tmp";

pub fn ports_are_reached_and_told(machine: &Machine) {
    // Busybox has nobody who listens: the kernel counts what came for a port of nobody.
    let listen = "while sleep 0.1; do grep Udp: /proc/net/snmp | tail -1 | cut -d' ' -f3; done & ";
    let ports = json!({ "portMappings": [
        { "containerPort": 80, "hostPort": 8081, "protocol": "tcp", "name": "web",
          "appProtocol": "http" },
        { "containerPort": 80 },
        { "containerPort": 53, "protocol": "udp" },
    ] });
    let app = container("app", &format!("{listen}{SERVE}"), ports);
    let arn = run(machine, "ports", json!([app]), json!({}));
    let task = machine.wait(&arn, "RUNNING");
    let address = machine.host_address(&task);
    let bindings = part(&task, "app")["networkBindings"].as_array().unwrap();
    let port = |nth: usize| bindings[nth]["hostPort"].as_u64().unwrap();
    assert_eq!(bindings.len(), 3, "{task:#}");
    assert_eq!((&bindings[0]["bindIP"], port(0)), (&json!("0.0.0.0"), 8081));
    assert!((32768..=60999).contains(&port(1)) && (32768..=60999).contains(&port(2)));
    assert_eq!(bindings[2]["protocol"], "udp");
    for nth in [0, 1] {
        let page = wait_for("the port answers", || get(&address, port(nth)));
        assert!(page.ends_with("hi\n"), "{page}");
    }
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    wait_for("a datagram arrives", || {
        socket.send_to(b"datagram\n", (address.as_str(), port(2) as u16)).unwrap();
        let counts = machine.output(&arn, "app");
        counts.lines().any(|line| line.trim() != "0").then_some(())
    });
    machine.call("StopTask", json!({ "task": arn }));
}

pub fn a_range_of_ports_is_one_binding(machine: &Machine) {
    let script = "echo hi > /tmp/hello; exec httpd -f -p 8001 -h /tmp";
    let ports = json!({ "portMappings": [{ "containerPortRange": "8000-8002" }] });
    let arn = run(machine, "range", json!([container("app", script, ports)]), json!({}));
    let task = machine.wait(&arn, "RUNNING");
    let bindings = part(&task, "app")["networkBindings"].as_array().unwrap();
    assert_eq!(bindings.len(), 1, "{task:#}");
    assert_eq!(bindings[0]["containerPortRange"], "8000-8002");
    assert_eq!(bindings[0]["hostPort"], Value::Null);
    let range = bindings[0]["hostPortRange"].as_str().unwrap();
    let (first, last) = range.split_once('-').unwrap();
    let (first, last): (u64, u64) = (first.parse().unwrap(), last.parse().unwrap());
    assert!(first >= 32768 && last == first + 2, "{range}");
    let page = wait_for("it answers", || get(&machine.host_address(&task), first + 1));
    assert!(page.ends_with("hi\n"), "{page}");
    machine.call("StopTask", json!({ "task": arn }));
}

pub fn host_and_none(machine: &Machine) {
    let script = "hostname; echo hi > /tmp/hello; exec httpd -f -p 8090 -h /tmp";
    let app = container("app", script, json!({ "portMappings": [{ "containerPort": 8090 }] }));
    let arn = run(machine, "host", json!([app]), json!({ "networkMode": "host" }));
    let task = machine.wait(&arn, "RUNNING");
    let bound = &part(&task, "app")["networkBindings"][0];
    assert_eq!((&bound["containerPort"], &bound["hostPort"]), (&json!(8090), &json!(8090)));
    let page = wait_for("it answers", || get(&machine.host_address(&task), 8090));
    assert!(page.ends_with("hi\n"), "{page}");
    machine.call("StopTask", json!({ "task": arn }));

    let app = container("app", "ip -o link | cut -d: -f2; ping -c 1 10.0.0.1 || true", json!({}));
    let arn = run(machine, "none", json!([app]), json!({ "networkMode": "none" }));
    machine.wait(&arn, "STOPPED");
    let output = machine.output(&arn, "app");
    let links: Vec<&str> = output.lines().map(str::trim).filter(|l| l.starts_with("eth")).collect();
    assert!(output.contains("lo\n") && links.is_empty(), "{output}");
}

pub fn links_tell_names_and_variables(machine: &Machine) {
    let server = json!({
        "hostname": "harbour",
        "portMappings": [{ "containerPort": 80 }],
        "environment": [{ "name": "DEPTH", "value": "7" }],
    });
    let script = "cat /etc/hosts; env | sort; \
                  until wget -qO- http://sea-port/hello; do sleep 0.1; done; \
                  wget -qO- http://server/hello; wget -qO- http://harbour/hello";
    let containers = json!([
        container("server", SERVE, server),
        container("app", script, json!({ "links": ["server:sea-port"] })),
    ]);
    let arn = run(machine, "links", containers, json!({}));
    let task = machine.wait(&arn, "STOPPED");
    let output = machine.output(&arn, "app");
    assert_eq!(output.lines().filter(|line| *line == "hi").count(), 3, "{output} {task:#}");
    for expected in [
        "\tsea-port server harbour\n",
        "SEA_PORT_PORT=tcp://",
        "SEA_PORT_PORT_80_TCP_PORT=80\n",
        "SEA_PORT_PORT_80_TCP_PROTO=tcp\n",
        "SEA_PORT_PORT_80_TCP_ADDR=",
        "/sea-port\n",
        "SEA_PORT_ENV_DEPTH=7\n",
    ] {
        assert!(output.contains(expected), "{expected} in {output}");
    }
}
