//! A world: the plane, its hosts, and parcels on their way between them. Time is the next parcel's
//! or the plane's own next deadline, whichever comes first; nothing waits.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_agent::acs::TaskIdentifier;
use core_state::State;
use core_task::{Desired, TaskStatus};
use core_types::{Dice, Id128, Time};
use serde_json::{Value, json};
use service_ecs::feeds;
use service_ecs::reports::{
    AgentConnected, AgentDisconnected, ContainerHealth, PayloadAcknowledged,
};
use service_ecs::rows::container_instance::ContainerInstance;
use service_ecs::rows::task::{self, Health, Task};

use crate::agent::{Agent, Fate, Pace, Told, Word};
use crate::auditor::{self, Promises};
use crate::group::{self, Group};
use crate::plane::{Answer, Plane};
use crate::registry::Registry;
use crate::{Outcome, Violation, balancer, hold};

/// How bad the ways between the plane and the hosts are, in thousandths.
#[derive(Clone, Copy, Debug, Default)]
pub struct Link {
    pub lost: u64,
    pub twice: u64,
    /// Parcels of one host overtake each other within this time.
    pub slowest_ms: u64,
    /// How often a step is left undurable for a while.
    pub lazy: u64,
}

#[derive(Clone, Debug)]
enum Parcel {
    Connected {
        session: u64,
    },
    Disconnected {
        session: u64,
    },
    Manifest {
        session: u64,
    },
    Payload {
        session: u64,
        tasks: Vec<Told>,
    },
    Acknowledged {
        tasks: Vec<(Id128, Desired)>,
    },
    Word {
        number: u64,
        word: Word,
    },
    Taken {
        number: u64,
    },
    /// What a container's check says, and since when.
    Check {
        task: Id128,
        health: Health,
        since: Time,
    },
    /// The load balancer looks at what is behind it.
    Look,
    /// An Auto Scaling group looks at its size.
    Group(usize),
    /// Something is due on the host itself.
    Turn,
    /// The host says again what nobody took, and connects if it is not.
    Retry,
}

/// The cluster that all of it is about.
pub const CLUSTER: &str = "c";
/// The plane tells again what was not acknowledged.
const TOLD_AGAIN: Duration = Duration::from_secs(10);
const RETRIED: Duration = Duration::from_secs(5);
/// How often a load balancer looks at its targets.
const LOOKS: Duration = Duration::from_secs(2);
/// The same of an Auto Scaling group and its size.
const GROUP_LOOKS: Duration = Duration::from_secs(10);
/// Says what an image's name means before it pulls it.
pub const NEW_AGENT: &str = "1.105.1";

pub struct World {
    pub plane: Plane,
    pub agents: Vec<Agent>,
    pub dice: Dice,
    pub link: Link,
    /// How long a task's start and its stop take on a host, in milliseconds: least and most.
    pub pace: Pace,
    /// By family and revision; the others run.
    pub fates: BTreeMap<(String, u32), Fate>,
    pub promises: Promises,
    pub registry: Registry,
    pub groups: Vec<Group>,
    /// Of hosts that come from now on.
    pub agent_version: &'static str,
    /// Services that a load balancer sends users to.
    behind: Vec<&'static str>,
    /// Tell what happens on standard error, to look at a seed.
    pub told_aloud: bool,
    parcels: BTreeMap<(Time, u64), (usize, Parcel)>,
    sent: u64,
    sessions: u64,
    /// What each host was told over its connection.
    told: BTreeMap<(usize, u64), BTreeMap<Id128, (Desired, Time)>>,
    told_at_rev: u64,
    /// What waits for the journal: words taken, and what a lost append must hear again.
    undurable: Vec<(usize, Parcel)>,
}

impl World {
    pub fn new(seed: u64, start: Time) -> World {
        World {
            plane: Plane::new(seed, start),
            agents: Vec::new(),
            dice: Dice::from_number(seed),
            link: Link::default(),
            pace: ((100, 4_100), (50, 3_050)),
            fates: BTreeMap::new(),
            promises: Promises::default(),
            registry: Registry::default(),
            groups: Vec::new(),
            // Its services' first tasks go alone.
            agent_version: NEW_AGENT,
            behind: Vec::new(),
            told_aloud: false,
            parcels: BTreeMap::new(),
            sent: 0,
            sessions: 0,
            told: BTreeMap::new(),
            told_at_rev: 0,
            undurable: Vec::new(),
        }
    }

    pub fn now(&self) -> Time {
        self.plane.now
    }

    pub fn say(&self, text: impl FnOnce() -> String) {
        if self.told_aloud {
            eprintln!("{} {}", self.now(), text());
        }
    }

    /// A user's call, durable before it is answered.
    pub fn call(&mut self, operation: &str, input: &Value) -> Outcome<Answer> {
        let answer = self.plane.call(operation, input)?;
        self.sync()?;
        Ok(answer)
    }

    /// A call that must succeed.
    pub fn must(&mut self, operation: &str, input: &Value) -> Outcome<Value> {
        let refused = |refusal| Violation(format!("{operation} {input}: {refusal:?}"));
        self.call(operation, input)?.map_err(refused)
    }

    /// A new host, connected.
    pub fn add_host(
        &mut self,
        cpu: i64,
        memory: i64,
        attributes: &[(&str, &str)],
    ) -> Outcome<usize> {
        let number = self.agents.len();
        let integer =
            |name: &str, n: i64| json!({"name": name, "type": "INTEGER", "integerValue": n});
        let ports = |name: &str| json!({"name": name, "type": "STRINGSET", "stringSetValue": []});
        let zone = attributes.iter().find(|(name, _)| *name == "ecs.availability-zone");
        let zone = zone.map_or(["us-east-1a", "us-east-1b"][number % 2], |(_, zone)| zone);
        let document = json!({"instanceId": format!("i-{number:017x}"), "availabilityZone": zone});
        let abilities = [
            "com.amazonaws.ecs.capability.docker-remote-api.1.18",
            "com.amazonaws.ecs.capability.docker-remote-api.1.24",
            "com.amazonaws.ecs.capability.docker-remote-api.1.29",
            "ecs.capability.container-health-check",
            "ecs.capability.task-cpu-mem-limit",
        ];
        let mut told: Vec<Value> = abilities.iter().map(|name| json!({"name": name})).collect();
        let own = attributes.iter().filter(|(name, _)| *name != "ecs.availability-zone");
        told.extend(own.map(|(name, value)| json!({"name": name, "value": value})));
        let input = json!({
            "cluster": CLUSTER, "instanceIdentityDocument": document.to_string(),
            "attributes": told,
            "versionInfo": {"agentVersion": self.agent_version},
            "totalResources": [integer("CPU", cpu), integer("MEMORY", memory), ports("PORTS"),
                ports("PORTS_UDP")],
        });
        let answer = self.must("RegisterContainerInstance", &input)?;
        let instance = id_of(&answer["containerInstance"]["containerInstanceArn"])?;
        let mut agent = Agent::new(instance, (cpu, memory), self.pace);
        agent.tells_early = self.agent_version == NEW_AGENT;
        self.agents.push(agent);
        self.post(number, Parcel::Retry, 0);
        self.connect(number);
        Ok(number)
    }

    fn connect(&mut self, host: usize) {
        self.sessions += 1;
        let session = self.sessions;
        self.agents[host].session = Some(session);
        self.carry(host, Parcel::Connected { session });
    }

    /// The host cannot be reached any more; the plane hears of it some time later.
    pub fn cut(&mut self, host: usize, lasting: Option<Duration>) {
        self.say(|| format!("host {host} is cut off for {lasting:?}"));
        let until = lasting.map(|lasting| self.now() + lasting);
        let agent = &mut self.agents[host];
        agent.away_until = until.or(agent.away_until);
        agent.gone |= lasting.is_none();
        if let Some(session) = agent.session.take() {
            let noticed = 1 + self.dice.below(30_000);
            self.post(host, Parcel::Disconnected { session }, noticed);
        }
    }

    /// All hosts that will ever come back are back.
    pub fn heal(&mut self) {
        self.link = Link::default();
        self.agents.iter_mut().for_each(|agent| agent.away_until = None);
    }

    /// The plane's process dies and is started again; sockets die with it.
    pub fn crash(&mut self) -> Outcome<()> {
        self.undurable.clear();
        self.told.clear();
        self.agents.iter_mut().for_each(|agent| agent.session = None);
        self.plane.crash()
    }

    /// A full disk: what was not durable is undone, and those whose word it was say it again.
    pub fn lose_append(&mut self) -> Outcome<()> {
        for (host, parcel) in std::mem::take(&mut self.undurable) {
            if !matches!(parcel, Parcel::Taken { .. }) {
                self.post(host, parcel, 1_000);
            }
        }
        self.plane.lose_append()?;
        self.sync()
    }

    /// A parcel that may be lost, doubled and late.
    fn send(&mut self, host: usize, parcel: Parcel) {
        let times = match self.dice.below(1000) {
            n if n < self.link.lost => 0,
            n if n < self.link.lost + self.link.twice => 2,
            _ => 1,
        };
        for _ in 0..times {
            self.carry(host, parcel.clone());
        }
    }

    /// A parcel that may be late. Opening a connection cannot get lost: it fails, or it stands.
    fn carry(&mut self, host: usize, parcel: Parcel) {
        let late = 1 + self.dice.below(self.link.slowest_ms + 1);
        self.post(host, parcel, late);
    }

    fn post(&mut self, host: usize, parcel: Parcel, late: u64) {
        self.sent += 1;
        let at = self.now() + Duration::from_millis(late);
        self.parcels.insert((at, self.sent), (host, parcel));
    }

    /// Everything that happens until then.
    pub fn run_until(&mut self, end: Time) -> Outcome<()> {
        loop {
            let parcel = self.parcels.first_key_value().map(|((at, _), _)| *at);
            let wake = self.plane.wake_at.map(|at| at.max(self.now()));
            let next = [parcel, wake].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.plane.now = self.now().max(next);
            if parcel.is_some_and(|at| wake.is_none_or(|wake| at <= wake)) {
                let (_, (host, parcel)) = self.parcels.pop_first().expect("there is one");
                self.deliver(host, parcel)?;
            } else {
                let before = self.plane.wake_at;
                self.plane.tick()?;
                let stuck = self.plane.wake_at == before;
                hold!(!stuck, "the plane wakes at {before:?} again and again");
                self.maybe_sync()?;
            }
        }
        self.plane.now = self.now().max(end);
        Ok(())
    }

    fn deliver(&mut self, host: usize, parcel: Parcel) -> Outcome<()> {
        let now = self.now();
        if !matches!(parcel, Parcel::Retry | Parcel::Turn | Parcel::Look | Parcel::Group(_)) {
            self.say(|| format!("host {host}: {parcel:?}"));
        }
        let agent = &mut self.agents[host];
        let here = |session: u64, agent: &Agent| agent.session == Some(session);
        let instance = agent.instance;
        match parcel {
            Parcel::Connected { session } if here(session, agent) => {
                self.plane.report(AgentConnected { instance, session })?;
                self.undurable.push((host, Parcel::Connected { session }));
                self.maybe_sync()?;
                if feeds::is_inactive(self.plane.view(), instance) {
                    self.agents[host].gone = true;
                }
                self.carry(host, Parcel::Manifest { session });
            }
            Parcel::Disconnected { session } => {
                self.plane.report(AgentDisconnected {
                    instance,
                    session,
                    away: std::time::Duration::ZERO,
                })?;
                self.undurable.push((host, Parcel::Disconnected { session }));
                self.told.remove(&(host, session));
                self.maybe_sync()?;
            }
            Parcel::Manifest { session } if here(session, agent) => self.manifest(host),
            Parcel::Payload { session, tasks } if here(session, agent) => {
                tasks.iter().for_each(|told| agent.take(told, now, &mut self.dice));
                let tasks = tasks.iter().map(|told| (told.task, told.desired)).collect();
                self.send(host, Parcel::Acknowledged { tasks });
                self.plan_turn(host);
            }
            Parcel::Acknowledged { tasks } => {
                self.plane.report(PayloadAcknowledged { instance, tasks })?;
                self.maybe_sync()?;
            }
            Parcel::Word { number, word } => self.hear(host, number, &word)?,
            Parcel::Taken { number } if agent.is_reachable() => {
                agent.outbox.remove(&number);
            }
            Parcel::Check { task, health, since } => {
                let container = "web".to_owned();
                self.plane.report(ContainerHealth { instance, task, container, health, since })?;
                self.maybe_sync()?;
            }
            Parcel::Look => {
                balancer::look(&mut self.plane, &self.agents, &self.behind)?;
                self.maybe_sync()?;
                self.post(host, Parcel::Look, LOOKS.as_millis() as u64);
            }
            Parcel::Group(nth) => {
                group::turn(self, nth)?;
                self.post(host, Parcel::Group(nth), GROUP_LOOKS.as_millis() as u64);
            }
            Parcel::Turn if !agent.gone => {
                agent.turn(now, &mut self.dice, &mut self.registry);
                self.speak(host);
                self.plan_turn(host);
                auditor::hosts(self.agents.iter())?;
            }
            Parcel::Retry if !agent.gone => self.retry(host),
            _ => {}
        }
        Ok(())
    }

    /// The tasks that the plane knows of this host; what else it runs it asks about, and stops.
    fn manifest(&mut self, host: usize) {
        let (view, agent) = (self.plane.view(), &mut self.agents[host]);
        let assigned = feeds::assignments(view, agent.instance);
        let known: Vec<Id128> = assigned.iter().map(|one| one.task).collect();
        let Some(row) = view.get::<ContainerInstance>(&agent.instance) else { return };
        let running = agent.tasks.iter().filter(|(_, local)| local.status < TaskStatus::Stopped);
        let strays = running.map(|(id, _)| *id).filter(|id| !known.contains(id));
        let identifier = |id: Id128| TaskIdentifier {
            task_arn: task::arn_of(&row.cluster, id),
            ..TaskIdentifier::default()
        };
        let strays: Vec<_> = strays.map(identifier).collect();
        for stop in feeds::stops(view, agent.instance, &strays) {
            let id = stop.task_arn.rsplit('/').next().and_then(|id| id.parse().ok());
            if let Some(id) = id {
                agent.stop(id, self.plane.now, &mut self.dice, None);
            }
        }
        self.plan_turn(host);
    }

    /// SubmitTaskStateChange, which the host repeats until it is answered.
    fn hear(&mut self, host: usize, number: u64, word: &Word) -> Outcome<()> {
        let status = match word.status {
            TaskStatus::Pending => "MANIFEST_PULLED",
            TaskStatus::Running => "RUNNING",
            _ => "STOPPED",
        };
        let mut container = json!({"containerName": "web", "status": status});
        if let Some(digest) = &word.digest {
            container["imageDigest"] = json!(digest);
        }
        let input = json!({"cluster": CLUSTER, "task": word.task.to_string(), "status": status,
            "containers": [container]});
        if let Err(refusal) = self.plane.call("SubmitTaskStateChange", &input)? {
            // A task that is forgotten by now.
            let known = refusal.code == "InvalidParameterException";
            hold!(known, "a host's word was refused: {refusal:?}");
        }
        self.undurable.push((host, Parcel::Taken { number }));
        self.maybe_sync()
    }

    fn retry(&mut self, host: usize) {
        let now = self.now();
        let agent = &mut self.agents[host];
        agent.away_until = agent.away_until.filter(|until| *until > now);
        if agent.is_reachable() && agent.session.is_none() {
            self.connect(host);
        }
        self.speak(host);
        self.tell(host);
        self.post(host, Parcel::Retry, RETRIED.as_millis() as u64);
    }

    fn speak(&mut self, host: usize) {
        if self.agents[host].is_reachable() {
            let words = self.agents[host].outbox.clone();
            for (number, word) in words {
                self.send(host, Parcel::Word { number, word });
            }
            let now = self.now();
            let checks = self.agents[host].checks(now);
            for (task, health, since) in checks {
                self.send(host, Parcel::Check { task, health, since });
            }
        }
    }

    fn plan_turn(&mut self, host: usize) {
        if let Some(due) = self.agents[host].next_due() {
            let late = due.since(self.now()).as_millis() as u64;
            self.post(host, Parcel::Turn, late);
        }
    }

    pub fn maybe_sync(&mut self) -> Outcome<()> {
        match self.dice.below(1000) < self.link.lazy {
            true => Ok(()),
            false => self.sync(),
        }
    }

    /// The journal has it: answers go out, and hosts are told.
    pub fn sync(&mut self) -> Outcome<()> {
        self.plane.sync();
        for (host, parcel) in std::mem::take(&mut self.undurable) {
            if let Parcel::Taken { .. } = parcel {
                self.send(host, parcel);
            }
        }
        self.promises.audit(self.plane.view())?;
        let rev = self.plane.view().rev();
        if rev != self.told_at_rev {
            self.told_at_rev = rev;
            (0..self.agents.len()).for_each(|host| self.tell(host));
        }
        Ok(())
    }

    /// Payloads of what the host has not acknowledged.
    fn tell(&mut self, host: usize) {
        let (now, view, agent) = (self.now(), self.plane.view(), &self.agents[host]);
        let Some(row) = view.get::<ContainerInstance>(&agent.instance) else { return };
        let Some(session) = agent.session.filter(|one| row.observed_session == *one) else {
            return;
        };
        if !row.observed_connected {
            return;
        }
        let told = self.told.entry((host, session)).or_default();
        let mut tasks = Vec::new();
        for one in feeds::assignments(view, agent.instance) {
            let before = told.get(&one.task);
            let fresh = before
                .is_some_and(|(desired, at)| *desired == one.desired && *at + TOLD_AGAIN > now);
            if one.is_acknowledged() || fresh {
                continue;
            }
            told.insert(one.task, (one.desired, now));
            tasks.extend(view.get::<Task>(&one.task).map(|row| Told {
                task: row.id,
                desired: one.desired,
                fate: fate(&self.fates, row),
                has_check: auditor::has_check(view, row),
                image: image(view, row.id),
                needs: auditor::needs(view, row),
                ports: row.ports.iter().map(|held| held.port).collect(),
            }));
        }
        if !tasks.is_empty() {
            self.send(host, Parcel::Payload { session, tasks });
        }
    }

    /// Some container somewhere exits by itself.
    pub fn exit_one(&mut self, host: usize) {
        let nth = self.dice.below(64) as usize;
        self.agents[host].exit(nth);
        self.speak(host);
    }

    /// A check somewhere fails for a while.
    pub fn sicken_one(&mut self, host: usize) {
        let (now, nth) = (self.now(), self.dice.below(64) as usize);
        self.agents[host].sicken(nth, now, &mut self.dice);
        self.speak(host);
        self.plan_turn(host);
    }

    /// A load balancer sends users to this service from now on.
    pub fn balance(&mut self, service: &'static str) {
        self.behind.push(service);
        self.post(0, Parcel::Look, 0);
    }

    /// A group of instances that follows its capacity provider from now on.
    pub fn scale(&mut self, group: Group) {
        self.groups.push(group);
        self.post(0, Parcel::Group(self.groups.len() - 1), 0);
    }

    /// What runs is what the rows say, on every host.
    pub fn hosts_agree(&self) -> Outcome<()> {
        for agent in self.agents.iter().filter(|agent| !agent.gone) {
            let rows = feeds::assignments(self.plane.view(), agent.instance);
            let rows = rows.iter().filter(|one| one.desired == Desired::Running);
            let wanted: std::collections::BTreeSet<Id128> = rows.map(|one| one.task).collect();
            let running = agent.running().map(|(id, _)| *id).collect();
            hold!(wanted == running, "{} runs {running:?}, not {wanted:?}", agent.instance);
        }
        Ok(())
    }
}

/// The image that a task's host is told to run.
fn image(view: &State, task: Id128) -> String {
    let payload = feeds::payload(view, task, "http://127.0.0.1:4566", &mut |_| None);
    let first = payload.and_then(|payload| payload.containers.into_iter().next());
    first.map(|container| container.image).unwrap_or_default()
}

fn fate(fates: &BTreeMap<(String, u32), Fate>, row: &Task) -> Fate {
    let key = (row.family.to_string(), row.revision);
    fates.get(&key).copied().unwrap_or(Fate::Runs)
}

/// The id at the end of an ARN.
pub fn id_of(arn: &Value) -> Outcome<Id128> {
    let id = arn.as_str().and_then(|arn| arn.rsplit('/').next()?.parse().ok());
    id.ok_or_else(|| Violation(format!("{arn} is no ARN")))
}
