//! The endpoints over a socket, before a host of two tasks.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use host_endpoints::{
    ContainerMetadata, ContainerStats, Cpu, Door, Found, Host, HostMetadata, Known, Later, Loss,
    Network, Pace, Port, Question, Refused, RoleCredentials, TaskMetadata, serve,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Two tasks; the test says which of them the address on the other side belongs to.
struct World {
    tasks: Vec<Arc<TaskMetadata>>,
    asking: Mutex<Option<usize>>,
    asked: Mutex<Vec<Value>>,
}

fn task(n: usize) -> Arc<TaskMetadata> {
    let container = ContainerMetadata {
        docker_id: format!("{n}123456789abcdef"),
        docker_name: "ecs-web-1-web-0".into(),
        name: "web".into(),
        known_status: "RUNNING".into(),
        container_arn: format!("arn:container/{n}"),
        networks: vec![Network {
            network_mode: "bridge".into(),
            ipv4_addresses: vec![format!("172.17.0.{n}")],
            ..Network::default()
        }],
        ports: vec![Port {
            container_port: 80,
            host_port: Some(32768),
            protocol: "tcp".into(),
            host_ip: "0.0.0.0".into(),
        }],
        ..ContainerMetadata::default()
    };
    Arc::new(TaskMetadata {
        cluster: "default".into(),
        task_arn: format!("arn:task/{n}"),
        containers: vec![container],
        launch_type: "EC2".into(),
        credentials_id: Some(format!("secret-{n}")),
        ..TaskMetadata::default()
    })
}

impl Host for World {
    fn about(&self) -> HostMetadata {
        let container_instance_arn = Some("arn:instance".into());
        HostMetadata { cluster: "default".into(), container_instance_arn, version: "1".into() }
    }
    fn tasks(&self) -> Later<'_, Vec<Arc<TaskMetadata>>> {
        Box::pin(async { self.tasks.clone() })
    }
    fn container(&self, endpoint: &str) -> Option<Found> {
        let n: usize = endpoint.strip_prefix("id-")?.parse().ok()?;
        Some(Found { task: self.tasks.get(n)?.clone(), container: 0 })
    }
    fn losses(&self) -> Vec<Loss> {
        let (task_arn, container) = ("arn:task".to_owned(), "app".to_owned());
        vec![Loss { task_arn, container, lines: 7, bytes: 350 }]
    }
    fn task_at(&self, _: IpAddr) -> Option<Arc<TaskMetadata>> {
        self.asking.lock().unwrap().map(|n| self.tasks[n].clone())
    }
    fn credentials(&self, id: &str) -> Known {
        match id {
            "pending" => Known::Pending,
            "secret-0" | "secret-1" => Known::Credentials {
                task_arn: format!("arn:task/{}", &id[7..]),
                credentials: RoleCredentials { role_arn: "arn:role".into(), ..Default::default() },
            },
            _ => Known::Nothing,
        }
    }
    fn stats<'a>(&'a self, _: &'a str) -> Later<'a, Option<ContainerStats>> {
        let cpu = Cpu { read: "2026-11-22T00:00:00Z".into(), total: 9, user: 6, ..Cpu::default() };
        let stats = ContainerStats { cpu, memory_usage: 7, ..ContainerStats::default() };
        Box::pin(async { Some(stats) })
    }
    fn tags<'a>(&'a self, arn: &'a str) -> Later<'a, Result<BTreeMap<String, String>, Refused>> {
        Box::pin(async move {
            if arn == "arn:instance" {
                let code = "AccessDeniedException".into();
                let (status, message) = (400, "no".into());
                return Err(Refused { status, code, message, request_id: None });
            }
            self.asked.lock().unwrap().push(json!({ "tags": arn }));
            Ok([("team".to_owned(), "a".to_owned())].into())
        })
    }
    fn ask(&self, question: Question) -> Later<'_, Result<Value, Refused>> {
        Box::pin(async move {
            let (asked, answer) = match question {
                Question::Protection { task_arn, .. } => (
                    json!({ "get": task_arn }),
                    json!({ "protectedTasks": [{ "protectionEnabled": false }], "failures": [] }),
                ),
                Question::Protect { task_arn, enabled, minutes, .. } => (
                    json!({ "put": task_arn, "enabled": enabled, "minutes": minutes }),
                    json!({ "protectedTasks": [], "failures": [{ "reason": "MISSING" }] }),
                ),
            };
            self.asked.lock().unwrap().push(asked);
            Ok(answer)
        })
    }
}

struct Served {
    world: Arc<World>,
    containers: SocketAddr,
    operator: SocketAddr,
}

async fn world(pace: Pace) -> Served {
    let (asking, asked) = (Mutex::default(), Mutex::default());
    let world = Arc::new(World { tasks: vec![task(0), task(1)], asking, asked });
    let mut doors = Vec::new();
    for door in [Door::Containers(pace), Door::Operator] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        doors.push(listener.local_addr().unwrap());
        tokio::spawn(serve(listener, world.clone(), door));
    }
    Served { world, containers: doors[0], operator: doors[1] }
}

async fn ask(to: SocketAddr, method: &str, path: &str, body: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(to).await.unwrap();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or(Value::String(body.to_owned())))
}

const FREE: Pace = Pace { steady: 1e6, burst: 1e6 };

#[tokio::test]
async fn each_version_shows_what_it_has() {
    let served = world(FREE).await;
    let get = |path: &'static str| ask(served.containers, "GET", path, "");
    let (status, v4) = get("/v4/id-0/task").await;
    assert_eq!((status, &v4["LaunchType"]), (200, &json!("EC2")));
    assert_eq!(v4["Containers"][0]["Ports"][0]["HostIp"], "0.0.0.0");
    assert_eq!(v4["FaultInjectionEnabled"], false);
    let (_, v3) = get("/v3/id-0/task").await;
    assert_eq!(v3.get("LaunchType"), None);
    assert_eq!(v3["Containers"][0].get("ContainerARN"), None);
    assert_eq!(
        v3["Containers"][0]["Ports"][0],
        json!({ "ContainerPort": 80, "HostPort": 32768, "Protocol": "tcp" })
    );
    let (_, own) = get("/v4/id-1").await;
    assert_eq!(own["DockerId"], "1123456789abcdef");
    let (_, stats) = get("/v4/id-1/stats").await;
    assert_eq!(stats["memory_stats"]["usage"], 7);
    assert_eq!(stats["name"], "/ecs-web-1-web-0");
    // With one reading there is nothing before it; who parses Docker's stats wants a time.
    assert_eq!(stats["preread"], "0001-01-01T00:00:00Z");
    assert_eq!(stats["cpu_stats"]["cpu_usage"]["usage_in_usermode"], 6);
    assert_eq!(stats["precpu_stats"]["cpu_usage"]["usage_in_usermode"], 0);
    let (_, all) = get("/v3/id-1/task/stats").await;
    assert_eq!(all["1123456789abcdef"]["id"], "1123456789abcdef");
    let (status, none) = get("/v4/id-9").await;
    let text = "V4 container metadata handler: unable to get container ID from request: \
                unable to get docker ID from v3 endpoint ID: id-9";
    assert_eq!((status, none), (404, json!(text)));
    assert_eq!(get("/v3/id-9/task").await.0, 400);
    assert_eq!(get("/v4/id-0/nothing").await.0, 404);
    assert_eq!(get("/").await.0, 404);
}

#[tokio::test]
async fn version_two_knows_who_asks_by_the_address() {
    let served = world(FREE).await;
    let (status, text) = ask(served.containers, "GET", "/v2/metadata", "").await;
    let expected = "Unable to get task arn from request: unable to associate '127.0.0.1' with task";
    assert_eq!((status, text), (400, json!(expected)));
    *served.world.asking.lock().unwrap() = Some(1);
    let (status, own) = ask(served.containers, "GET", "/v2/metadata", "").await;
    assert_eq!((status, &own["TaskARN"]), (200, &json!("arn:task/1")));
    let (status, _) = ask(served.containers, "GET", "/v2/stats/0123456789abcdef", "").await;
    assert_eq!(status, 400, "another task's container");
}

#[tokio::test]
async fn a_task_gets_its_own_credentials_only() {
    let served = world(FREE).await;
    let get = |path: &'static str| ask(served.containers, "GET", path, "");
    assert_eq!(get("/v2/credentials/secret-0").await.1["RoleArn"], "arn:role");
    assert_eq!(get("/v1/credentials?id=secret-1").await.0, 200);
    let (status, error) = get("/v2/credentials/guessed").await;
    assert_eq!((status, &error["code"]), (400, &json!("InvalidIdInRequest")));
    assert_eq!(error["message"], "CredentialsV2Request: Credentials not found");
    assert_eq!(get("/v2/credentials/").await.1["code"], "NoIdInRequest");
    assert_eq!(get("/v2/credentials/pending").await.0, 503);
    *served.world.asking.lock().unwrap() = Some(1);
    assert_eq!(get("/v2/credentials/secret-0").await.1["code"], "InvalidIdInRequest");
    assert_eq!(get("/v2/credentials/secret-1").await.0, 200);
    assert_eq!(get("/v4/id-0/task").await.0, 404, "another task's metadata");
}

#[tokio::test]
async fn tags_and_protection_are_asked_of_the_plane() {
    let served = world(FREE).await;
    let (_, tagged) = ask(served.containers, "GET", "/v4/id-0/taskWithTags", "").await;
    assert_eq!(tagged["TaskTags"], json!({ "team": "a" }));
    assert_eq!(tagged["Errors"][0]["ErrorField"], "ContainerInstanceTags");
    let path = "/api/id-0/task-protection/v1/state";
    let (status, told) = ask(served.containers, "GET", path, "").await;
    assert_eq!((status, &told["protection"]["protectionEnabled"]), (200, &json!(false)));
    let body = r#"{"ProtectionEnabled":true,"ExpiresInMinutes":5}"#;
    let (status, told) = ask(served.containers, "PUT", path, body).await;
    assert_eq!((status, &told["failure"]["reason"]), (200, &json!("MISSING")));
    assert_eq!(
        served.world.asked.lock().unwrap().last(),
        Some(&json!({ "put": "arn:task/0", "enabled": true, "minutes": 5 }))
    );
    for (body, text) in [
        ("{}", "Invalid request: does not contain 'ProtectionEnabled' field"),
        (r#"{"Other":1}"#, "UpdateTaskProtection: failed to decode request"),
        ("nonsense", "UpdateTaskProtection: failed to decode request"),
    ] {
        let (status, told) = ask(served.containers, "PUT", path, body).await;
        assert_eq!((status, &told["error"]["Message"]), (400, &json!(text)));
    }
}

#[tokio::test]
async fn introspection_finds_tasks() {
    let served = world(FREE).await;
    let get = |path: &'static str| ask(served.operator, "GET", path, "");
    assert_eq!(get("/v1/metadata").await.1["ContainerInstanceArn"], "arn:instance");
    assert_eq!(get("/v1/tasks").await.1["Tasks"].as_array().unwrap().len(), 2);
    assert_eq!(get("/v1/tasks?taskarn=arn:task/1").await.1["Arn"], "arn:task/1");
    assert_eq!(get("/v1/tasks?dockerid=0123456789ab").await.1["Arn"], "arn:task/0");
    assert_eq!(get("/v1/tasks?dockerid=nobody").await.0, 404);
    assert_eq!(get("/v2/credentials/secret-0").await.0, 404, "not through this door");
}

#[tokio::test]
async fn an_operator_counts_what_log_drivers_dropped() {
    let served = world(FREE).await;
    let (status, told) = ask(served.operator, "GET", "/metrics", "").await;
    let told = told.as_str().unwrap();
    let labels = r#"{task="arn:task",container="app"}"#;
    for (name, value) in [("lines", 7), ("bytes", 350)] {
        let name = format!("wharf_container_log_{name}_dropped_total");
        assert!(
            told.contains(&format!("# TYPE {name} counter\n{name}{labels} {value}\n")),
            "{told}"
        );
    }
    assert_eq!(status, 200);
    assert_eq!(ask(served.containers, "GET", "/metrics", "").await.0, 404);
}

#[tokio::test]
async fn too_many_requests_are_slowed_and_large_bodies_refused() {
    let served = world(Pace { steady: 0.001, burst: 2.0 }).await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(ask(served.containers, "GET", "/v4/id-0", "").await.0);
    }
    assert_eq!(statuses, [200, 200, 429, 429]);
    let served = world(FREE).await;
    let large = "x".repeat(20_000);
    let path = "/api/id-0/task-protection/v1/state";
    assert_eq!(ask(served.containers, "PUT", path, &large).await.0, 413);
}
