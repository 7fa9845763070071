//! FireLens: the router's configuration and socket, and what arrives there.

use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixListener;

use serde_json::json;

use super::{container, run};
use crate::world::{Machine, wait_for};

pub fn a_router_takes_what_others_write(machine: &Machine) {
    let router = json!({ "firelensConfiguration": { "type": "fluentbit" } });
    let forever = "trap 'exit 0' TERM; while true; do sleep 0.1; done";
    let tell = format!("cat /fluent-bit/etc/fluent-bit.conf; {forever}");
    let log = json!({ "logConfiguration": { "logDriver": "awsfirelens", "options": {
        "Name": "stdout", "exclude-pattern": "^noise", "log-driver-buffer-limit": "1048576",
    } } });
    let say = format!("echo to $FLUENT_HOST $FLUENT_PORT; {forever}");
    let containers = json!([container("app", &say, log), container("router", &tell, router)]);
    let arn = run(machine, "router", containers, json!({}));
    let task = machine.wait(&arn, "RUNNING");
    let id = arn.rsplit('/').next().unwrap();
    let folder = machine.host_dir(&task).join("tasks").join(id).join("firelens/socket");
    // In the router's place: what it would listen on.
    let folder = std::fs::File::open(folder).unwrap();
    let socket = format!("/proc/self/fd/{}/fluent.sock", folder.as_raw_fd());
    let listener = UnixListener::bind(socket).unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    let mut heard = Vec::new();
    let tag = format!("app-firelens-{id}");
    while !(contains(&heard, &tag) && contains(&heard, "to 172.") && contains(&heard, " 24224")) {
        let mut more = [0; 4096];
        let read = stream.read(&mut more).unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&heard));
        heard.extend_from_slice(&more[..read]);
    }
    let config = wait_for("the router has read its configuration", || {
        let text = machine.output(&arn, "router");
        text.contains("[OUTPUT]\n    Name stdout").then_some(text)
    });
    for expected in [
        "unix_path /var/run/fluent.sock",
        "Record ecs_task_definition router:1",
        "Record ec2_instance_id i-",
        "Exclude log ^noise",
        "Match app-firelens*",
    ] {
        assert!(config.contains(expected), "{expected} in {config}");
    }
    machine.call("StopTask", json!({ "task": arn }));
    machine.wait(&arn, "STOPPED");
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}
