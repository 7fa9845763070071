//! Log drivers, each to somebody who listens.

use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::{container, run};
use crate::inside::{LOGGING, awslogs, events, role};
use crate::metadata::fetch;
use crate::world::{Machine, wait_for, wharf};

fn log(driver: &str, options: Value) -> Value {
    json!({ "logConfiguration": { "logDriver": driver, "options": options } })
}

pub fn files_are_kept_as_asked(machine: &Machine) {
    let script = "i=0; while [ $i -lt 4000 ]; do echo line-$i; i=$((i+1)); done";
    let options = json!({ "max-size": "64k", "max-file": "2" });
    let app = container("app", script, log("json-file", options));
    let arn = run(machine, "json-file", json!([app]), json!({}));
    let task = machine.wait(&arn, "STOPPED");
    let id = arn.rsplit('/').next().unwrap();
    let folder = machine.host_dir(&task).join("logs").join(id).join("app");
    let files = std::fs::read_dir(&folder).unwrap().flatten();
    let logs = files.map(|file| file.metadata().unwrap().len()).filter(|size| *size > 1024);
    let sizes: Vec<u64> = logs.collect();
    assert!(sizes.len() <= 2 && sizes.iter().all(|size| *size <= 66 << 10), "{sizes:?}");
    let output = machine.output(&arn, "app");
    assert!(output.contains("line-3999\n") && !output.contains("line-0\n"));
}

/// What came, whoever said it.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<u8>>>);

impl Heard {
    fn add(&self, bytes: &[u8]) {
        self.0.lock().unwrap().extend_from_slice(bytes);
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

fn drain(mut stream: impl Read, heard: &Heard) {
    let mut bytes = [0; 8192];
    while let Ok(read @ 1..) = stream.read(&mut bytes) {
        heard.add(&bytes[..read]);
    }
}

fn tcp(heard: &Heard) -> u16 {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let (port, heard) = (listener.local_addr().unwrap().port(), heard.clone());
    std::thread::spawn(move || {
        listener.incoming().flatten().for_each(|stream| drain(stream, &heard));
    });
    port
}

fn udp(heard: &Heard) -> u16 {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    let (port, heard) = (socket.local_addr().unwrap().port(), heard.clone());
    std::thread::spawn(move || {
        let mut bytes = [0; 65536];
        while let Ok(read) = socket.recv(&mut bytes) {
            heard.add(&bytes[..read]);
        }
    });
    port
}

fn unix(path: &Path, heard: &Heard) {
    let (listener, heard) = (UnixListener::bind(path).unwrap(), heard.clone());
    std::thread::spawn(move || {
        listener.incoming().flatten().for_each(|stream| drain(stream, &heard));
    });
}

/// Splunk's collector: 200 to whatever is asked, one request a connection.
fn http(heard: &Heard) -> u16 {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let (port, heard) = (listener.local_addr().unwrap().port(), heard.clone());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut text = Vec::new();
            let mut byte = [0; 1];
            while !text.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
                text.push(byte[0]);
            }
            let head = String::from_utf8_lossy(&text).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length = length.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
            let mut body = vec![0; length];
            if stream.read_exact(&mut body).is_ok() {
                heard.add(&[head.as_bytes(), &body].concat());
            }
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    port
}

pub fn receivers_hear_every_driver(machine: &Machine) {
    let me: IpAddr = machine.own_address();
    let socket = machine.folder("s").join("log");
    let heard: Vec<Heard> = (0..7).map(|_| Heard::default()).collect();
    unix(&socket, &heard[2]);
    let cases = [
        (
            "syslog-udp",
            log(
                "syslog",
                json!({ "syslog-address": format!("udp://{me}:{}", udp(&heard[0])),
                "syslog-facility": "local3", "tag": "{{.Name}}" }),
            ),
            "ecs-syslog-udp-1-app-",
        ),
        (
            "syslog-tcp",
            log(
                "syslog",
                json!({ "syslog-address": format!("tcp://{me}:{}", tcp(&heard[1])),
                "syslog-format": "rfc5424" }),
            ),
            "<30>1 ",
        ),
        (
            "syslog-unix",
            log("syslog", json!({ "syslog-address": format!("unix://{}", socket.display()) })),
            "said by syslog-unix",
        ),
        (
            "fluentd",
            log(
                "fluentd",
                json!({ "fluentd-address": format!("{me}:{}", tcp(&heard[3])),
                "tag": "cargo" }),
            ),
            "cargo",
        ),
        (
            "gelf",
            log(
                "gelf",
                json!({ "gelf-address": format!("udp://{me}:{}", udp(&heard[4])),
                "gelf-compression-type": "none" }),
            ),
            "\"short_message\":\"said by gelf\"",
        ),
        (
            "splunk",
            log(
                "splunk",
                json!({ "splunk-url": format!("http://{me}:{}", http(&heard[5])),
                "splunk-token": "word", "splunk-gzip": "false" }),
            ),
            "authorization: splunk word",
        ),
        (
            "gelf-tcp",
            log("gelf", json!({ "gelf-address": format!("tcp://{me}:{}", tcp(&heard[6])) })),
            "\"version\":\"1.1\"",
        ),
    ];
    let mut started = Vec::new();
    for (family, log, expected) in cases {
        let app = container("app", &format!("echo said by {family}"), log);
        started.push((family, run(machine, family, json!([app]), json!({})), expected));
    }
    for ((family, arn, expected), heard) in started.iter().zip(&heard) {
        let task = machine.wait(arn, "STOPPED");
        assert_eq!(task["containers"][0]["exitCode"], 0, "{family}: {task:#}");
        wait_for(&format!("{family} is heard"), || {
            let text = heard.text();
            (text.contains(&format!("said by {family}")) && text.contains(expected)).then_some(())
        });
    }

    // Who is not there keeps the container from starting.
    let nobody = json!({ "fluentd-address": format!("{me}:1") });
    let arn = run(
        machine,
        "nobody",
        json!([container("app", "true", log("fluentd", nobody))]),
        json!({}),
    );
    let task = machine.wait(&arn, "STOPPED");
    let reason = task["containers"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("failed to initialize logging driver"), "{reason}");
}

pub fn cloudwatch_joins_lines(machine: &Machine) {
    let role = role(machine, "logs-exec", Some(LOGGING));
    let script = "echo 'ERROR one'; echo ' at a'; echo ' at b'; echo 'ERROR two'";
    let dated = "echo '[2026-01-02 03:04:05] one'; echo more; echo '[2026-01-02 03:04:06] two'";
    let cases = [
        (
            "plain",
            script,
            json!({ "awslogs-create-group": "true", "mode": "non-blocking",
                "max-buffer-size": "1m" }),
            &["ERROR one", " at a", " at b", "ERROR two"][..],
        ),
        (
            "pattern",
            script,
            json!({ "awslogs-create-group": "true", "awslogs-multiline-pattern": "^ERROR" }),
            &["ERROR one\n at a\n at b", "ERROR two"][..],
        ),
        (
            "dates",
            dated,
            json!({ "awslogs-create-group": "true",
                "awslogs-datetime-format": "\\[%Y-%m-%d %H:%M:%S\\]" }),
            &["[2026-01-02 03:04:05] one\nmore", "[2026-01-02 03:04:06] two"][..],
        ),
    ];
    for (name, script, options, expected) in cases {
        let (family, group) = (format!("awslogs-{name}"), format!("group-{name}"));
        let log = json!({ "logConfiguration": awslogs(&group, options) });
        let app = container("app", script, log);
        let arn = run(machine, &family, json!([app]), json!({ "executionRoleArn": role }));
        machine.wait(&arn, "STOPPED");
        let stream = format!("p/app/{}", arn.rsplit('/').next().unwrap());
        let told: Vec<String> = wait_for(name, || {
            let told = events(machine, &group, &stream);
            (told.len() >= expected.len()).then_some(told)
        });
        let told: Vec<&str> = told.iter().map(|text| text.trim_end()).collect();
        assert_eq!(told, expected, "{name}");
    }
}

/// AWS: without blocking, what comes while the buffer is full is lost, and nothing else is.
pub fn lines_arrive_or_are_counted(machine: &Machine) {
    if machine.engine().is_some() {
        // Docker rotates files whoever reads, and counts nothing.
        return;
    }
    const LINES: usize = 60_000;
    let role = role(machine, "counted-exec", Some(LOGGING));
    for (name, buffer) in [("roomy", None), ("narrow", Some("64k"))] {
        let (family, group) = (format!("counted-{name}"), format!("group-counted-{name}"));
        let mut options = json!({ "awslogs-create-group": "true" });
        if let Some(buffer) = buffer {
            options["max-buffer-size"] = json!(buffer);
        }
        let script = format!("yes 0123456789012345678901234567890123456789 | head -n {LINES}");
        let log = json!({ "logConfiguration": awslogs(&group, options) });
        let app = container("app", &script, log);
        let arn = run(machine, &family, json!([app]), json!({ "executionRoleArn": role }));
        let task = machine.wait(&arn, "STOPPED");
        let id = arn.rsplit('/').next().unwrap();
        let folder = machine.host_dir(&task).join("logs").join(id).join("app");
        let told = std::fs::read_to_string(folder.join("dropped")).unwrap_or_default();
        let dropped: usize = told.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0);
        wait_for("every line has arrived or was counted", || {
            let arrived = events(machine, &group, &format!("p/app/{id}")).len();
            assert!(arrived + dropped <= LINES, "{name}: {arrived} arrived, {dropped} dropped");
            (arrived + dropped == LINES).then_some(())
        });
        let dir = machine.dir();
        let shown = wharf(&["logs", "--data-dir", dir.to_str().unwrap(), id]).output().unwrap();
        let said = String::from_utf8_lossy(&shown.stderr).contains("of app were dropped");
        assert_eq!(said, dropped > 0, "{name}: {dropped} dropped: {shown:?}");
        // The host's operator can count it, by task and container.
        let name = "wharf_container_log_lines_dropped_total";
        let expected = format!("{name}{{task=\"{arn}\",container=\"app\"}} {dropped}\n");
        let host = machine.host_address(&task);
        if dropped > 0 {
            wait_for("its host counts them", || {
                fetch(&host, "/metrics").contains(&expected).then_some(())
            });
            let log = std::fs::read_to_string(machine.host_dir(&task).join("agent.log")).unwrap();
            let warns = |line: &&str| line.contains(&arn) && line.contains("were dropped so far");
            assert!(log.lines().any(|line| warns(&line)), "{log}");
        }
        // It is less than the buffer that nobody asked to be smaller.
        assert!(buffer.is_some() || dropped == 0, "{name}: {dropped} dropped");
    }
}
