//! The whole plane under a burst: a real server with its journal and fsync, thousands of agents over
//! real sockets, and more tasks than it can place at once. A task counts once its agent's word that it
//! has it can be read from the plane. The agents share the cores with the server, so the server's CPU
//! time a task stands beside the rate.

mod agents;

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::api::{Form, sign, start_wharf};
use crate::containers::plane::read_answer;
use crate::process::{Process, load};
use agents::Agents;

#[derive(clap::Args)]
pub struct Options {
    #[arg(long, default_value_t = 5_000)]
    agents: usize,
    #[arg(long, default_value_t = 100_000)]
    tasks: usize,
    /// By services that want them, in place of calls of RunTask.
    #[arg(long)]
    services: Option<usize>,
    /// Connections that call RunTask, ten tasks a call.
    #[arg(long, default_value_t = 64)]
    callers: usize,
    #[arg(long, default_value_t = 1)]
    rounds: usize,
    #[arg(long, default_value = "target/release/wharf")]
    wharf: PathBuf,
}

const CLUSTER: &str = "burst";
const PATIENCE: Duration = Duration::from_secs(300);
const BETWEEN_LOOKS: Duration = Duration::from_millis(2);
/// AWS: tasks of one service, tasks of one call of RunTask, tasks described at once.
const OF_A_SERVICE: usize = 5_000;
const OF_A_CALL: usize = 10;
const DESCRIBED: usize = 100;

/// One connection that calls the API.
pub struct Caller {
    address: SocketAddr,
    stream: TcpStream,
}

impl Caller {
    fn new(address: SocketAddr) -> Result<Caller> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Caller { address, stream })
    }

    fn call(&mut self, operation: &str, input: &Value) -> Result<Value> {
        let target = format!("AmazonEC2ContainerServiceV20141113.{operation}");
        let form = Form::Json { target: &target };
        let bytes = sign(self.address, "ecs", form, &input.to_string())?;
        self.stream.write_all(&bytes)?;
        let (status, body) = read_answer(&mut self.stream)?;
        if status != 200 {
            bail!("{operation}: {status} {}", String::from_utf8_lossy(&body));
        }
        Ok(serde_json::from_slice(&body)?)
    }
}

/// Calls shared out over connections; what each came to, in no order.
fn calls<T: Send>(
    address: SocketAddr,
    connections: usize,
    count: usize,
    call: impl Fn(&mut Caller, usize) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let work = || -> Result<Vec<T>> {
        let (mut caller, mut done) = (Caller::new(address)?, Vec::new());
        loop {
            let nth = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if nth >= count {
                return Ok(done);
            }
            done.push(call(&mut caller, nth)?);
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..connections).map(|_| scope.spawn(work)).collect();
        let mut all = Vec::with_capacity(count);
        for worker in workers {
            let Ok(done) = worker.join() else { bail!("a caller panicked") };
            all.extend(done?);
        }
        Ok(all)
    })
}

fn register(caller: &mut Caller, number: usize, room: usize) -> Result<String> {
    let integer =
        |name: &str, n: usize| json!({"name": name, "type": "INTEGER", "integerValue": n});
    let ports = |name: &str| json!({"name": name, "type": "STRINGSET", "stringSetValue": ["22"]});
    let zone = ["us-east-1a", "us-east-1b"][number % 2];
    let document = json!({"instanceId": format!("i-{number:017x}"), "availabilityZone": zone});
    let abilities: Vec<Value> = (0..30)
        .map(|n| json!({"name": format!("com.amazonaws.ecs.capability.number-{n}")}))
        .chain([json!({"name": "com.amazonaws.ecs.capability.docker-remote-api.1.18"})])
        .collect();
    let answer = caller.call(
        "RegisterContainerInstance",
        &json!({
            "cluster": CLUSTER, "instanceIdentityDocument": document.to_string(),
            "attributes": abilities,
            "totalResources": [integer("CPU", room * 10), integer("MEMORY", room * 64),
                ports("PORTS"), ports("PORTS_UDP")],
        }),
    )?;
    let arn = answer["containerInstance"]["containerInstanceArn"].as_str();
    Ok(arn.context("an instance has an ARN")?.to_owned())
}

fn prepare(options: &Options, server: &Process) -> Result<Vec<String>> {
    let mut caller = Caller::new(server.address)?;
    caller.call("CreateCluster", &json!({"clusterName": CLUSTER}))?;
    let container = json!({"name": "web", "image": "busybox:latest", "cpu": 10, "memory": 64,
        "command": ["sleep", "3600"], "portMappings": [{"containerPort": 80, "hostPort": 0}],
        "environment": [{"name": "STAGE", "value": "prod"}, {"name": "COLOUR", "value": "blue"}]});
    let definition = json!({"family": "web", "containerDefinitions": [container]});
    caller.call("RegisterTaskDefinition", &definition)?;
    let room = 2 * options.tasks.div_ceil(options.agents);
    calls(server.address, options.callers, options.agents, |caller, nth| {
        register(caller, nth, room)
    })
}

/// Ask for all the tasks.
fn ask(options: &Options, address: SocketAddr) -> Result<()> {
    match options.services {
        Some(services) => {
            let share = options.tasks.div_ceil(services);
            ensure!(share <= OF_A_SERVICE, "a service has at most {OF_A_SERVICE} tasks");
            calls(address, options.callers, services, |caller, nth| {
                let count = share.min(options.tasks - (nth * share).min(options.tasks));
                caller.call(
                    "CreateService",
                    &json!({"cluster": CLUSTER,
                    "serviceName": format!("s{nth}"), "taskDefinition": "web",
                    "desiredCount": count}),
                )
            })?;
        }
        None => {
            let count = options.tasks.div_ceil(OF_A_CALL);
            calls(address, options.callers, count, |caller, _| {
                let input = json!({"cluster": CLUSTER, "taskDefinition": "web",
                    "count": OF_A_CALL});
                let answer = caller.call("RunTask", &input)?;
                let placed = answer["tasks"].as_array().map_or(0, Vec::len);
                ensure!(placed == OF_A_CALL, "RunTask: {}", answer["failures"]);
                Ok(())
            })?;
        }
    }
    Ok(())
}

/// Until the plane shows that it has the agents' word for the last of them.
fn shown(address: SocketAddr, last: &[String]) -> Result<()> {
    let mut caller = Caller::new(address)?;
    let give_up = Instant::now() + PATIENCE;
    loop {
        let found = caller.call("DescribeTasks", &json!({"cluster": CLUSTER, "tasks": last}))?;
        let tasks = found["tasks"].as_array().context("tasks")?;
        if tasks.len() == last.len() && tasks.iter().all(|task| task["connectivityAt"].is_number())
        {
            return Ok(());
        }
        ensure!(Instant::now() < give_up, "the plane does not take what agents acknowledge");
        std::thread::sleep(BETWEEN_LOOKS);
    }
}

fn round(options: &Options) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = start_wharf(&options.wharf, folder.path())?;
    let began = Instant::now();
    let instances = prepare(options, &server)?;
    let registered = began.elapsed();
    let agents = Agents::connect(server.address, CLUSTER, instances)?;
    println!(
        "{} agents: registered in {:.1} s, connected after {:.1} s; server {} MiB",
        options.agents,
        registered.as_secs_f64(),
        began.elapsed().as_secs_f64(),
        server.resident()? / 1024
    );
    let (cpu, own, began) =
        (server.cpu()?, crate::process::cpu(std::process::id())?, Instant::now());
    ask(options, server.address)?;
    let asked = began.elapsed();
    let last = agents.wait_for(options.tasks, DESCRIBED, PATIENCE)?;
    shown(server.address, &last)?;
    let took = began.elapsed();
    let (cpu, own) = (server.cpu()? - cpu, crate::process::cpu(std::process::id())? - own);
    let each = |spent: Duration| spent.as_secs_f64() * 1e6 / options.tasks as f64;
    let how = match options.services {
        Some(services) => format!("{services} services"),
        None => format!("RunTask over {} connections", options.callers),
    };
    println!(
        "{} tasks by {how}: {:.0} a second placed, assigned and acknowledged ({:.2} s, asked for in \
         {:.2} s); server CPU {:.0} µs a task, callers and agents {:.0} µs; server {} MiB; load {}",
        options.tasks,
        options.tasks as f64 / took.as_secs_f64(),
        took.as_secs_f64(),
        asked.as_secs_f64(),
        each(cpu),
        each(own),
        server.resident()? / 1024,
        load()
    );
    Ok(())
}

pub fn run(options: &Options) -> Result<()> {
    ensure!(options.agents > 0 && options.tasks >= DESCRIBED, "there is something to measure");
    (0..options.rounds).try_for_each(|_| round(options))
}
