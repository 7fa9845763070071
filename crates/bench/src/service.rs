//! A service scaled from nothing to thousands of tasks, in the plane alone: what the core thread and
//! the journal's encoding have of a core until every task runs and the service is steady. Every task
//! is acknowledged by its host, told PENDING, and told RUNNING, in random order.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use aws_protocol::Protocol;
use core_step::{
    Call, Caller, Core, Event, Handled, OnPanic, Origin, Principal, Registry, Report, Slice,
};
use core_task::{ContainerReport, ContainerStatus, Desired, TaskReport, TaskStatus};
use core_types::{AccountId, Dice, Id128, Time};
use serde_json::{Value, json};
use service_ecs::reports::{AgentConnected, PayloadAcknowledged, TaskObserved};
use service_ecs::rows::container_instance::ContainerInstance;
use service_ecs::rows::service::Service;
use service_ecs::rows::task::{Task, TasksOn};

use crate::process::{cpu_of_thread, load};

static SLICES: &[&Slice] =
    &[&service_iam::SLICE, &service_ec2::SLICE, &service_ssm::SLICE, &service_ecs::SLICE];

#[derive(clap::Args)]
pub struct Options {
    #[arg(long, default_value_t = 5_000)]
    tasks: usize,
    #[arg(long, default_value_t = 1_000)]
    hosts: usize,
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Observations taken into one step.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 256])]
    batch: Vec<usize>,
    /// A daemon on all hosts in place of that many tasks.
    #[arg(long)]
    daemon: bool,
}

/// What the plane took of a core.
#[derive(Clone, Copy, Default)]
struct Spent {
    step: Duration,
    encode: Duration,
    steps: usize,
    rows: usize,
}

struct Plane {
    registry: Arc<Registry>,
    core: Core,
    call: Arc<Call>,
    dice: Dice,
    now: Time,
    wake_at: Option<Time>,
    spent: Spent,
}

fn root() -> Result<Call> {
    let account = AccountId::new(123_456_789_012).context("it has twelve digits")?;
    let caller = Caller {
        arn: format!("arn:aws:iam::{account}:root").into(),
        account,
        principal: Principal::Root,
        ..Caller::anonymous()
    };
    let origin = Origin {
        source_ip: None,
        user_agent: "bench".to_owned(),
        endpoint: "http://127.0.0.1:4566".to_owned(),
        secure: false,
    };
    let region = "us-east-1".parse().ok().context("it is a region's name")?;
    let (caller, origin) = (Arc::new(caller), Arc::new(origin));
    Ok(Call { caller, region, request_id: "bench".into(), origin })
}

impl Plane {
    fn new() -> Result<Plane> {
        let registry = Registry::new(SLICES, Box::new(service_iam::IamIdentity));
        let core = Core::new(registry.clone(), registry.empty_state(), OnPanic::Abort);
        Ok(Plane {
            registry,
            core,
            call: Arc::new(root()?),
            dice: Dice::from_number(5),
            now: Time(1_700_000_000_000),
            wake_at: None,
            spent: Spent::default(),
        })
    }

    fn step(&mut self, events: Vec<Event>) -> Result<Vec<Handled>> {
        // A reader holds the former revision, as the published view always does.
        let reader = self.core.state().clone();
        let seed = self.dice.bytes();
        let before = cpu_of_thread()?;
        let step = self.core.step(self.now, seed, events);
        let between = cpu_of_thread()?;
        let rows = self.core.state().encode(&step.changes);
        let after = cpu_of_thread()?;
        drop(reader);
        ensure!(step.faults.is_empty(), "{}", step.faults.join("; "));
        self.wake_at = step.wake_at;
        self.spent.step += between - before;
        self.spent.encode += after - between;
        self.spent.steps += 1;
        self.spent.rows += rows.len();
        Ok(step.replies)
    }

    fn ask(&mut self, operation: &str, input: &Value) -> Result<Value> {
        let action = self.registry.action("ecs", operation).context("an operation of ours")?;
        let (parts, ()) = http::Request::new(()).into_parts();
        let body = serde_json::to_vec(input)?.into();
        let decoded = action.op.decode(Protocol::AwsJson11, &parts, &body);
        let Ok(input) = decoded else { bail!("{operation} does not decode") };
        let call = self.call.clone();
        match self.step(vec![Event::Call { call, action, input }])?.pop() {
            Some(Handled::Call(Ok(output))) => {
                let reply = action.op.encode(Protocol::AwsJson11, &*output, "bench");
                Ok(serde_json::from_slice(reply.body())?)
            }
            Some(Handled::Call(Err(error))) => bail!("{operation}: {}", error.message),
            _ => bail!("{operation} was not answered"),
        }
    }

    /// Reports in steps of so many, a millisecond apart. What comes due meanwhile is looked at.
    fn report<R: Report + 'static>(&mut self, reports: Vec<R>, batch: usize) -> Result<()> {
        let mut reports = reports.into_iter().map(|one| Event::Report(Box::new(one))).peekable();
        while reports.peek().is_some() {
            self.now.0 += 1;
            let some = reports.by_ref().take(batch).collect();
            self.step(some)?;
        }
        Ok(())
    }

    /// Until nothing is due before `until`.
    fn pass(&mut self, until: Time) -> Result<()> {
        while let Some(at) = self.wake_at.filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.step(Vec::new())?;
        }
        self.now = self.now.max(until);
        Ok(())
    }

    fn add_host(&mut self, number: usize, room: usize) -> Result<()> {
        let integer =
            |name: &str, n: usize| json!({"name": name, "type": "INTEGER", "integerValue": n});
        let ports = |name: &str| json!({"name": name, "type": "STRINGSET", "stringSetValue": []});
        let zone = ["us-east-1a", "us-east-1b", "us-east-1c"][number % 3];
        let document = json!({"instanceId": format!("i-{number:017x}"), "availabilityZone": zone});
        let mut abilities: Vec<Value> = (0..30)
            .map(|n| json!({"name": format!("com.amazonaws.ecs.capability.number-{n}")}))
            .collect();
        abilities.push(json!({"name": "com.amazonaws.ecs.capability.docker-remote-api.1.18"}));
        let answer = self.ask(
            "RegisterContainerInstance",
            &json!({
                "cluster": "c", "instanceIdentityDocument": document.to_string(),
                "attributes": abilities,
                "totalResources": [integer("CPU", room * 10), integer("MEMORY", room * 64),
                    ports("PORTS"), ports("PORTS_UDP")],
            }),
        )?;
        let arn = answer["containerInstance"]["containerInstanceArn"].as_str();
        let id = arn.and_then(|arn| arn.rsplit('/').next()).and_then(|id| id.parse().ok());
        let instance: Id128 = id.context("its ARN ends with its id")?;
        self.report(vec![AgentConnected { instance, session: 1 }], 1)
    }

    fn shuffled(&mut self, mut tasks: Vec<Id128>) -> Vec<Id128> {
        for i in (1..tasks.len()).rev() {
            tasks.swap(i, self.dice.below(i as u64 + 1) as usize);
        }
        tasks
    }

    fn observe(&mut self, status: TaskStatus, seen: ContainerStatus, batch: usize) -> Result<()> {
        let tasks = self.core.state().all::<Task>().map(|task| task.id).collect();
        let tasks = self.shuffled(tasks);
        let observed = |task| {
            let container = ContainerReport {
                name: "web",
                status: seen,
                runtime_id: Some("0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a6978"),
                ..Default::default()
            };
            let containers = vec![container];
            let report = TaskReport { status: Some(status), containers, ..Default::default() };
            TaskObserved { task, report }
        };
        self.report(tasks.into_iter().map(observed).collect(), batch)
    }
}

/// Bring a service up, and say what it cost.
fn round(options: &Options, batch: usize) -> Result<Spent> {
    let mut plane = Plane::new()?;
    plane.ask("CreateCluster", &json!({"clusterName": "c"}))?;
    let container = json!({"name": "web", "image": "i", "cpu": 10, "memory": 64,
        "portMappings": [{"containerPort": 80}]});
    let definition = json!({"family": "web", "containerDefinitions": [container]});
    plane.ask("RegisterTaskDefinition", &definition)?;
    for number in 0..options.hosts {
        plane.add_host(number, 2 * options.tasks.div_ceil(options.hosts))?;
    }
    let service = json!({"cluster": "c", "serviceName": "s", "taskDefinition": "web"});
    let mut created = service.clone();
    created[if options.daemon { "schedulingStrategy" } else { "desiredCount" }] =
        if options.daemon { json!("DAEMON") } else { json!(0) };
    plane.spent = Spent::default();
    plane.ask("CreateService", &created)?;
    let tasks = if options.daemon { options.hosts } else { options.tasks };
    if !options.daemon {
        let update = json!({"cluster": "c", "service": "s", "desiredCount": tasks});
        plane.ask("UpdateService", &update)?;
    }
    plane.pass(plane.now + Duration::from_secs(1))?;
    let there = plane.core.state().count::<Task>();
    ensure!(there == tasks, "{there} of {tasks} tasks were placed");
    let state = plane.core.state();
    let acknowledged = state.all::<ContainerInstance>().map(|host| PayloadAcknowledged {
        instance: host.id,
        tasks: state.by::<TasksOn>(&host.id).map(|task| (task.id, Desired::Running)).collect(),
    });
    let acknowledged = acknowledged.collect();
    plane.report(acknowledged, batch)?;
    plane.observe(TaskStatus::Pending, ContainerStatus::Pending, batch)?;
    plane.observe(TaskStatus::Running, ContainerStatus::Running, batch)?;
    plane.pass(plane.now + Duration::from_secs(20))?;
    let row = plane.core.state().all::<Service>().next().context("the service is there")?;
    ensure!(row.steady_at.is_some(), "the service is not steady: {row:?}");
    let wrong = plane.registry.check(plane.core.state());
    ensure!(wrong.is_empty(), "{}", wrong.join("; "));
    Ok(plane.spent)
}

pub fn run(options: &Options) -> Result<()> {
    ensure!(options.rounds > 0 && options.hosts > 0, "there is something to measure");
    let what = if options.daemon { "daemon" } else { "service" };
    println!("{what}: {} tasks, {} hosts", options.tasks, options.hosts);
    for &batch in &options.batch {
        let all = (0..options.rounds).map(|_| round(options, batch));
        let mut all = all.collect::<Result<Vec<Spent>>>()?;
        all.sort_by_key(|spent| spent.step + spent.encode);
        let Spent { step, encode, steps, rows } = all[all.len() / 2];
        println!(
            "{batch} observations a step: {:.3} s of CPU, {:.3} s of it the journal's encoding; \
             {steps} steps, {rows} rows",
            (step + encode).as_secs_f64(),
            encode.as_secs_f64()
        );
    }
    println!("load of the machine: {}", load());
    Ok(())
}
