//! Drivers before the world they deliver to: a fake of CloudWatch Logs, sockets, files.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use host_logs::{
    About, Cloud, CloudCall, CloudError, Ended, Feed, Later, Line, LogError, Opening, Position,
    Shipping, Source, check, open,
};
use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, UdpSocket};

/// In the test's own time.
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

#[derive(Default)]
struct World {
    groups: Vec<String>,
    streams: Vec<String>,
    events: Vec<String>,
    /// So many calls get no answer.
    away: usize,
}

#[derive(Default)]
struct Fake(Mutex<World>);

impl Cloud for Fake {
    fn call<'a>(&'a self, call: CloudCall<'a>) -> Later<'a, Result<Vec<u8>, CloudError>> {
        let mut world = self.0.lock().unwrap();
        let input: Value = serde_json::from_slice(&call.body).unwrap();
        let (group, stream) = (&input["logGroupName"], &input["logStreamName"]);
        let missing = |what: &str| {
            Err(CloudError::Service {
                status: 400,
                code: "ResourceNotFoundException".into(),
                message: format!("The specified log {what} does not exist."),
            })
        };
        let known = |list: &[String], name: &Value| list.iter().any(|known| name == known);
        let result = if world.away > 0 {
            world.away -= 1;
            Err(CloudError::Unreachable("nobody there".into()))
        } else {
            match call.target.strip_prefix("Logs_20140328.").unwrap() {
                "CreateLogGroup" => {
                    world.groups.push(group.as_str().unwrap().to_owned());
                    Ok(Vec::new())
                }
                "CreateLogStream" if !known(&world.groups, group) => missing("group"),
                "CreateLogStream" => {
                    world.streams.push(stream.as_str().unwrap().to_owned());
                    Ok(Vec::new())
                }
                "PutLogEvents" if !known(&world.streams, stream) => missing("stream"),
                "PutLogEvents" => {
                    let events = input["logEvents"].as_array().unwrap();
                    let texts = events.iter().map(|e| e["message"].as_str().unwrap().to_owned());
                    world.events.extend(texts);
                    Ok(b"{}".to_vec())
                }
                other => panic!("{other} was called"),
            }
        };
        Box::pin(async move { result })
    }
}

fn opening(cloud: &Arc<Fake>, options: &[(&str, &str)]) -> Opening {
    let about = About {
        container_id: "0123456789abcdef".into(),
        runtime_name: "web-1".into(),
        container_name: "web".into(),
        task_id: "t1".into(),
        region: "us-east-1".into(),
        host_name: "host".into(),
        labels: BTreeMap::from([("team".into(), "blue".into())]),
        ..About::default()
    };
    let options = options.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect();
    Opening { about: Arc::new(about), options, cloud: cloud.clone() }
}

/// What a container wrote, and how far it is delivered.
#[derive(Default)]
struct Output {
    lines: Vec<Line>,
    delivered: usize,
}

type Files = Arc<Mutex<Output>>;

fn write(files: &Files, text: &str) {
    files.lock().unwrap().lines.push(line(text, Source::Stdout));
}

/// Reads two lines at a time, so that what belongs together comes apart.
struct Reader {
    files: Files,
    at: usize,
    /// The container goes on, and says nothing more.
    runs: bool,
}

fn reader(files: &Files) -> Box<dyn Feed> {
    let at = files.lock().unwrap().delivered;
    Box::new(Reader { files: files.clone(), at, runs: false })
}

impl Feed for Reader {
    fn next(&mut self) -> Later<'_, Result<Vec<(Line, Position)>, LogError>> {
        Box::pin(async {
            let position = |n: usize| Position { major: 0, minor: n as u64 };
            let lines: Vec<_> = {
                let files = self.files.lock().unwrap();
                let portion = files.lines[self.at..].iter().take(2).enumerate();
                portion.map(|(n, line)| (line.clone(), position(self.at + n + 1))).collect()
            };
            if lines.is_empty() && self.runs {
                std::future::pending::<()>().await;
            }
            self.at += lines.len();
            Ok(lines)
        })
    }

    fn acknowledge(&mut self, position: Position) -> Later<'_, Result<(), LogError>> {
        let mut files = self.files.lock().unwrap();
        assert!(files.delivered < position.minor as usize, "acknowledged backwards");
        files.delivered = position.minor as usize;
        Box::pin(async { Ok(()) })
    }
}

fn line(text: &str, source: Source) -> Line {
    Line { source, at: 1_795_255_200_500_000_000, text: text.into(), partial: false }
}

#[tokio::test]
async fn awslogs_makes_what_is_missing_or_says_so() {
    let cloud = Arc::new(Fake::default());
    let options = [("awslogs-group", "g"), ("awslogs-stream-prefix", "p")];
    let error = open("awslogs", &opening(&cloud, &options)).await.err().unwrap();
    assert_eq!(
        error.to_string(),
        "failed to create Cloudwatch log stream: ResourceNotFoundException: \
         The specified log group does not exist."
    );
    let create = [&options[..], &[("awslogs-create-group", "true")]].concat();
    open("awslogs", &opening(&cloud, &create)).await.unwrap().unwrap();
    assert_eq!(cloud.0.lock().unwrap().streams, ["p/web/t1"]);
    for bad in [
        &[("awslogs-region", "x")][..],
        &[("awslogs-group", "g"), ("awslogs-nonsense", "x")],
        &[("awslogs-group", "g"), ("awslogs-multiline-pattern", "(")],
        &[("awslogs-group", "g"), ("awslogs-create-group", "perhaps")],
    ] {
        assert!(check("awslogs", &opening(&cloud, bad)).is_err(), "{bad:?}");
    }
    let unknown = check("mystery", &opening(&cloud, &[]));
    assert!(matches!(unknown, Err(LogError::UnknownDriver(_))));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_lost_when_the_service_is_away_or_the_follower_dies() {
    let files = Files::default();
    let cloud = Arc::new(Fake::default());
    cloud.0.lock().unwrap().groups.push("g".into());
    let options = [("awslogs-group", "g"), ("awslogs-stream", "s")];
    let driver = || async { open("awslogs", &opening(&cloud, &options)).await.unwrap().unwrap() };
    write(&files, "one");
    let shipping = Shipping::start(reader(&files), driver().await);
    assert_eq!(shipping.finish(Duration::from_secs(60)).await, Ended::Complete);
    assert_eq!(cloud.0.lock().unwrap().events, ["one"]);
    for text in ["two", "three", "four"] {
        write(&files, text);
    }
    // Away for longer than anyone waits at the container's end.
    let waiting = driver().await;
    cloud.0.lock().unwrap().away = 1000;
    let shipping = Shipping::start(reader(&files), waiting);
    assert_eq!(shipping.finish(Duration::from_secs(30)).await, Ended::Unfinished);
    // The stream itself has gone meanwhile.
    cloud.0.lock().unwrap().away = 0;
    let next = driver().await;
    cloud.0.lock().unwrap().streams.clear();
    let shipping = Shipping::start(reader(&files), next);
    assert_eq!(shipping.finish(Duration::from_secs(60)).await, Ended::Complete);
    assert_eq!(cloud.0.lock().unwrap().events, ["one", "two", "three", "four"]);
    assert_eq!(files.lock().unwrap().delivered, 4);
}

#[tokio::test(start_paused = true)]
async fn what_a_silent_container_said_last_is_acknowledged() {
    let files = Files::default();
    let cloud = Arc::new(Fake::default());
    cloud.0.lock().unwrap().groups.push("g".into());
    let options = [("awslogs-group", "g"), ("awslogs-stream", "s")];
    let driver = open("awslogs", &opening(&cloud, &options)).await.unwrap().unwrap();
    write(&files, "last");
    let reader = Reader { files: files.clone(), at: 0, runs: true };
    let _shipping = Shipping::start(Box::new(reader), driver);
    let acknowledged = async {
        while files.lock().unwrap().delivered < 1 {
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), acknowledged).await.unwrap();
    assert_eq!(cloud.0.lock().unwrap().events, ["last"]);
}

#[tokio::test]
async fn awslogs_joins_lines_by_their_pattern() {
    let files = Files::default();
    let cloud = Arc::new(Fake::default());
    cloud.0.lock().unwrap().groups.push("g".into());
    for text in ["INFO a", "  more", "  and more", "INFO b"] {
        write(&files, text);
    }
    let options =
        [("awslogs-group", "g"), ("awslogs-stream", "s"), ("awslogs-multiline-pattern", "^INFO")];
    let driver = open("awslogs", &opening(&cloud, &options)).await.unwrap().unwrap();
    let shipping = Shipping::start(reader(&files), driver);
    assert_eq!(shipping.finish(Duration::from_secs(30)).await, Ended::Complete);
    assert_eq!(cloud.0.lock().unwrap().events, ["INFO a\n  more\n  and more", "INFO b"]);
}

#[tokio::test]
async fn syslog_has_the_forms_of_the_standards() {
    let cloud = Arc::new(Fake::default());
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = format!("udp://{}", socket.local_addr().unwrap());
    let mut got = Vec::new();
    for form in ["rfc3164", "rfc5424micro"] {
        let options = [
            ("syslog-address", &address[..]),
            ("syslog-facility", "local0"),
            ("syslog-format", form),
            ("tag", "{{.Name}}"),
        ];
        let mut driver = open("syslog", &opening(&cloud, &options)).await.unwrap().unwrap();
        let lines = [line("hello", Source::Stdout), line("oh", Source::Stderr)];
        assert_eq!(driver.deliver(&lines, false).await.unwrap(), 2);
        for _ in &lines {
            let mut buffer = [0; 500];
            let length = socket.recv(&mut buffer).await.unwrap();
            got.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
        }
    }
    let pid = std::process::id();
    assert_eq!(got[0], format!("<134>Nov 21 10:00:00 host web-1[{pid}]: hello"));
    assert_eq!(got[1], format!("<131>Nov 21 10:00:00 host web-1[{pid}]: oh"));
    let time = "2026-11-21T10:00:00.500000Z";
    assert_eq!(got[2], format!("<134>1 {time} host web-1 {pid} web-1 - hello"));
    assert!(check("syslog", &opening(&cloud, &[("syslog-facility", "nobody")])).is_err());
}

#[tokio::test]
async fn fluentd_gets_its_messages_and_must_be_there() {
    let cloud = Arc::new(Fake::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let options = [("fluentd-address", &address[..]), ("tag", "t"), ("labels", "team")];
    let mut driver = open("fluentd", &opening(&cloud, &options)).await.unwrap().unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    driver.deliver(&[line("hello", Source::Stdout)], false).await.unwrap();
    let mut buffer = [0; 500];
    let length = stream.read(&mut buffer).await.unwrap();
    let message = &buffer[..length];
    // An array of three: the tag, the time, a map of five.
    assert_eq!(message[..3], [0x93, 0xa1, b't']);
    assert_eq!(message[8], 0x85);
    for text in ["container_id", "/web-1", "stdout", "hello", "team", "blue"] {
        let found = message.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(found, "{text}");
    }
    drop(listener);
    drop(stream);
    assert!(open("fluentd", &opening(&cloud, &options)).await.is_err(), "nobody listens");
    let later = [("fluentd-address", &address[..]), ("fluentd-async", "true")];
    assert!(open("fluentd", &opening(&cloud, &later)).await.is_ok());
}

#[tokio::test]
async fn gelf_is_cut_into_chunks() {
    let cloud = Arc::new(Fake::default());
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = format!("udp://{}", socket.local_addr().unwrap());
    let options = [("gelf-address", &address[..]), ("gelf-compression-type", "none")];
    let mut driver = open("gelf", &opening(&cloud, &options)).await.unwrap().unwrap();
    driver.deliver(&[line(&"x".repeat(2000), Source::Stdout)], false).await.unwrap();
    let (mut whole, mut buffer) = (Vec::new(), [0; 2000]);
    for n in 0..2 {
        let length = socket.recv(&mut buffer).await.unwrap();
        assert_eq!(buffer[..2], [0x1e, 0x0f]);
        assert_eq!(buffer[10..12], [n, 2]);
        whole.extend_from_slice(&buffer[12..length]);
    }
    let message: Value = serde_json::from_slice(&whole).unwrap();
    assert_eq!(message["_container_name"], "web-1");
    assert_eq!(message["timestamp"], 1_795_255_200.5);
    assert!(check("gelf", &opening(&cloud, &[])).is_err());
}

#[tokio::test]
async fn splunk_is_asked_at_the_start_and_told_events() {
    let cloud = Arc::new(Fake::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let got = Arc::new(Mutex::new(String::new()));
    let kept = got.clone();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 4000];
        loop {
            let length = stream.read(&mut buffer).await.unwrap();
            if length == 0 {
                return;
            }
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            kept.lock().unwrap().push_str(&text);
            if text.starts_with("OPTIONS") || text.contains("}") {
                let reply = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
                tokio::io::AsyncWriteExt::write_all(&mut stream, reply).await.unwrap();
            }
        }
    });
    let options = [("splunk-url", &url[..]), ("splunk-token", "secret"), ("splunk-format", "json")];
    let mut driver = open("splunk", &opening(&cloud, &options)).await.unwrap().unwrap();
    driver.deliver(&[line(r#"{"a":1}"#, Source::Stdout)], false).await.unwrap();
    let got = got.lock().unwrap().clone();
    assert!(got.starts_with("OPTIONS /services/collector/event/1.0"));
    assert!(got.contains("Splunk secret"));
    assert!(got.contains(r#""line":{"a":1}"#));
}
