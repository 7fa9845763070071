//! `wharf up --demo`: what a first user would do by hand, done through the API that they would use:
//! an image made on the spot, a service of three tasks on dynamic ports, and their state until
//! Ctrl-C.

mod board;
mod site;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::client::call_ecs;
use crate::data_dir::DataDir;
use crate::endpoint::Endpoint;
use crate::root_key::RootKey;
use crate::supervisor::Signals;
use board::{Board, Row};

pub const SERVICE: &str = "demo";
const TASKS: u64 = 3;
const PORT: u16 = 8080;
/// How often the state is asked for while tasks start, and when they run.
const STARTING: Duration = Duration::from_millis(100);
const WATCHING: Duration = Duration::from_secs(1);
/// A page that does not come by then counts as none.
const PAGE: Duration = Duration::from_secs(2);

/// A host, as `up` tells of it: its name and its address, by its instance's id.
pub type Hosts = BTreeMap<String, (String, String)>;

#[derive(Clone)]
struct Api {
    endpoint: Arc<Endpoint>,
    key: Arc<RootKey>,
}

impl Api {
    async fn call(&self, operation: &'static str, input: Value) -> Result<Value> {
        let Api { endpoint, key } = self.clone();
        let called =
            tokio::task::spawn_blocking(move || call_ecs(&endpoint, &key, operation, &input));
        called.await?.with_context(|| operation.to_owned())
    }
}

/// Show it beside the server that has just become ready; a failure is told, and ends nothing.
pub fn start(endpoint: Endpoint, hosts: Hosts, dir: DataDir) {
    let shown = move || -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut signals = Signals::new()?;
            let board = Board::new();
            tokio::select! {
                shown = show(&board, endpoint, &hosts, &dir) => shown,
                // The server is told by the same signal, and removes everything.
                () = signals.any() => {
                    board.end();
                    Ok(())
                }
            }
        })
    };
    let thread = std::thread::Builder::new().name("wharf-demo".to_owned());
    let spawned = thread.spawn(move || {
        if let Err(error) = shown() {
            eprintln!("wharf: the demo: {error:#}; the server runs on, Ctrl-C removes all");
        }
    });
    if let Err(error) = spawned {
        eprintln!("wharf: the demo does not start: {error}");
    }
}

async fn show(board: &Board, endpoint: Endpoint, hosts: &Hosts, dir: &DataDir) -> Result<()> {
    let begun = Instant::now();
    let key = RootKey::load(dir)?.context("there is no root key")?;
    let api = Api { endpoint: Arc::new(endpoint), key: Arc::new(key) };
    board.step("making an image of this program");
    let of = dir.clone();
    tokio::task::spawn_blocking(move || site::make(of.path())).await??;
    board.step("registering a task definition");
    let container = json!({
        "name": "web", "image": site::IMAGE, "cpu": 64, "memory": 64, "essential": true,
        "portMappings": [{"containerPort": PORT}],
    });
    let family = json!({"family": SERVICE, "containerDefinitions": [container]});
    api.call("RegisterTaskDefinition", family).await?;
    board.step("creating a service of three tasks");
    let service = json!({"serviceName": SERVICE, "taskDefinition": SERVICE, "desiredCount": TASKS});
    api.call("CreateService", service).await?;
    let mut watched = Watched { api, hosts, answered: BTreeMap::new() };
    loop {
        let rows = watched.look().await?;
        let up = rows.iter().filter(|row| row.page.is_some()).count() as u64;
        board.step(&format!("{up} of {TASKS} tasks answer"));
        if up >= TASKS {
            let what_next = what_next(&rows, dir);
            board.up(begun.elapsed(), &rows, &what_next);
            break;
        }
        tokio::time::sleep(STARTING).await;
    }
    loop {
        tokio::time::sleep(WATCHING).await;
        board.table(&watched.look().await?);
    }
}

/// What to type next, in the order in which it is fun.
fn what_next(rows: &[Row], dir: &DataDir) -> Vec<String> {
    let flag = dir.flag();
    let task = rows.first().map_or("TASK", |row| row.task.as_str());
    let exe = std::env::current_exe().map(|path| path.display().to_string());
    let exe = exe.unwrap_or_else(|_| "wharf".to_owned());
    vec![
        format!("eval \"$({exe} env{flag})\""),
        format!("aws ecs describe-services --services {SERVICE}"),
        format!("aws ecs update-service --service {SERVICE} --desired-count 5"),
        format!("aws ecs update-service --service {SERVICE} --force-new-deployment"),
        format!("aws ecs stop-task --task {task}"),
        format!("{exe} logs{flag} {task}"),
    ]
}

/// The service as it is seen through the API, and by asking its tasks for their page.
struct Watched<'a> {
    api: Api,
    hosts: &'a Hosts,
    /// Pages that each task has given.
    answered: BTreeMap<String, u64>,
}

impl Watched<'_> {
    async fn look(&mut self) -> Result<Vec<Row>> {
        let listed = self.api.call("ListTasks", json!({"serviceName": SERVICE})).await?;
        let arns = &listed["taskArns"];
        if arns.as_array().is_none_or(Vec::is_empty) {
            return Ok(Vec::new());
        }
        let told = self.api.call("DescribeTasks", json!({"tasks": arns})).await?;
        let places = self.places(&told["tasks"]).await?;
        let mut rows: Vec<Row> = each(&told["tasks"]).map(|task| row(task, &places)).collect();
        rows.sort_by(|a, b| a.task.cmp(&b.task));
        let asked: Vec<_> = rows.iter().map(|row| page(row.url.clone())).collect();
        for (row, page) in rows.iter_mut().zip(futures_util::future::join_all(asked).await) {
            let count = self.answered.entry(row.task.clone()).or_default();
            *count += u64::from(page.is_some());
            (row.page, row.pages) = (page, *count);
        }
        Ok(rows)
    }

    /// Host names and addresses by the ARNs of container instances.
    async fn places(&self, tasks: &Value) -> Result<BTreeMap<String, (String, String)>> {
        let mut arns: Vec<&str> =
            each(tasks).filter_map(|task| task["containerInstanceArn"].as_str()).collect();
        arns.sort_unstable();
        arns.dedup();
        if arns.is_empty() {
            return Ok(BTreeMap::new());
        }
        let input = json!({"containerInstances": arns});
        let told = self.api.call("DescribeContainerInstances", input).await?;
        let place = |one: &Value| {
            let place = self.hosts.get(one["ec2InstanceId"].as_str()?)?.clone();
            Some((one["containerInstanceArn"].as_str()?.to_owned(), place))
        };
        Ok(each(&told["containerInstances"]).filter_map(place).collect())
    }
}

fn each(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn row(task: &Value, places: &BTreeMap<String, (String, String)>) -> Row {
    let text = |name: &str| task[name].as_str().unwrap_or_default();
    let place = places.get(text("containerInstanceArn"));
    let port = each(&task["containers"][0]["networkBindings"])
        .find_map(|binding| binding["hostPort"].as_u64());
    let running = text("lastStatus") == "RUNNING";
    let url = place.zip(port).filter(|_| running);
    Row {
        task: text("taskArn").rsplit('/').next().unwrap_or_default().to_owned(),
        status: text("lastStatus").to_owned(),
        host: place.map(|(name, _)| name.clone()).unwrap_or_default(),
        url: url.map(|((_, address), port)| format!("http://{address}:{port}/")),
        page: None,
        pages: 0,
    }
}

/// The page behind an address, if it comes.
async fn page(url: Option<String>) -> Option<String> {
    let uri: http::Uri = url?.parse().ok()?;
    let client = plane_gateway::Outbound::new(None, PAGE).ok()?;
    let mut request = http::Request::new(bytes::Bytes::new());
    *request.uri_mut() = uri;
    let answer = client.send(request).await.ok()?;
    let ok = answer.status().is_success();
    ok.then(|| String::from_utf8_lossy(answer.body()).trim().to_owned())
}
