//! One agent's ACS socket, from its opening to its end.
//!
//! One task with one timer. It reads what the agent says, writes what is to be told, and wakes for what
//! changed, for a heartbeat, for a payload that went unheard, for credentials that grow old.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use aws_agent::acs::{self, FromAgent, FromPlane};
use core_step::View;
use core_types::{Id128, Time};
use plane_engine::{Engine, Published};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::delivery::{BATCH, Delivery};
use crate::links::{Host, Links, now};
use crate::mailbox::{Ending, Mailbox};
use crate::socket::{Broken, Incoming, Socket, at};
use crate::world::{Agent, Assignment, Credentials, Desired, RoleType, Told, Want};

/// Heartbeats that may go unanswered.
const UNANSWERED: u32 = 2;

/// Interfaces are waited for as long as AWS's agent waits by default.
const ATTACH_MS: i64 = 300_000;

/// How long the engine may take to make credentials or to take an acknowledgement.
const ENGINE: Duration = Duration::from_secs(10);

/// When credentials that were not acknowledged are made again.
const UNHEARD: Duration = Duration::from_secs(20);

/// When a session of ExecuteCommand is told again: somebody waits before a screen.
const EXEC_UNHEARD: Duration = Duration::from_secs(3);

/// How long delivery rests when the engine is busy.
const PAUSE: Duration = Duration::from_millis(500);

/// Why a connection ends on our side.
#[derive(Debug, thiserror::Error)]
pub(crate) enum End {
    #[error("another connection of this instance stands")]
    Superseded,
    #[error("this server leads no more")]
    Leaving,
    /// AWS: about every half hour a connection is made anew.
    #[error("ConnectionExpired: Reconnect to continue")]
    OldAge,
    #[error("InactiveInstanceException")]
    Deregistered,
    /// It lives, as far as TCP knows, but answers nothing.
    #[error("no heartbeat was answered")]
    Silent { since: Instant },
    #[error(transparent)]
    Broken(#[from] Broken),
    /// It says what no agent says.
    #[error("not understood: {0}")]
    Nonsense(String),
}

/// What the agent's URL tells beside its identity.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hello {
    /// Scheme and host by which the agent came.
    pub endpoint: String,
    /// 2: the agent answers heartbeats.
    pub protocol_version: u32,
    pub send_credentials: bool,
    /// The highest sequence number that the agent has seen.
    pub seq_num: i64,
}

pub(crate) struct Connection {
    links: Arc<Links>,
    engine: Engine,
    agent: Agent,
    hello: Hello,
    host: Arc<Host>,
    session: u64,
    mailbox: Arc<Mailbox>,
    socket: Socket,
    delivery: Delivery,
    /// Credentials that were sent, by message, and when they count as unheard.
    renewed: HashMap<String, (Want, Instant)>,
    /// Tasks whose interfaces were told on this connection, and the messages that went unheard so far.
    attached: BTreeSet<Id128>,
    attaching: HashMap<String, (Assignment, Instant)>,
    /// Sessions of ExecuteCommand that were told, by message, and when they count as unheard.
    exec: HashMap<String, (String, Instant)>,
    exec_heard: BTreeSet<String>,
    messages: u64,
    unanswered: u32,
    beat_at: Instant,
    /// The last sign of life.
    heard_at: Instant,
    ends_at: Instant,
    /// After the engine had no credentials to give: nothing is delivered until then.
    paused_until: Option<Instant>,
}

impl Connection {
    pub fn new(
        links: Arc<Links>,
        engine: Engine,
        (agent, hello): (Agent, Hello),
        host: Arc<Host>,
        (session, mailbox): (u64, Arc<Mailbox>),
        socket: Socket,
    ) -> Connection {
        let start = Instant::now();
        // Spread, so that agents that came together do not go together.
        let ends_at = start + links.pace.life.mul_f64(0.9 + 0.1 * spread(session));
        Connection {
            links,
            engine,
            agent,
            hello,
            host,
            session,
            mailbox,
            socket,
            delivery: Delivery::default(),
            renewed: HashMap::new(),
            attached: BTreeSet::new(),
            attaching: HashMap::new(),
            exec: HashMap::new(),
            exec_heard: BTreeSet::new(),
            messages: 0,
            unanswered: 0,
            beat_at: start,
            heard_at: start,
            ends_at,
            paused_until: None,
        }
    }

    /// Until the connection ends.
    pub async fn run(mut self) -> End {
        let end = match self.carry_on().await {
            Ok(never) => match never {},
            Err(end) => end,
        };
        self.farewell(&end).await;
        end
    }

    async fn farewell(mut self, end: &End) {
        let code = match end {
            // Nobody there would hear it, and others wait to be told.
            End::Broken(_) | End::Silent { .. } => return,
            End::Leaving => CloseCode::Away,
            End::Nonsense(_) => CloseCode::Policy,
            End::Deregistered => {
                tracing::warn!(
                    instance = self.agent.arn,
                    "a container instance was deregistered: its agent takes no more tasks, and joins \
                     anew when it is started again (on a host of `wharf up` by `wharf host restart`)"
                );
                let message = "The container instance is not registered any more.".to_owned();
                let frame = FromPlane::from(acs::InactiveInstance { message });
                let _ = self.socket.send(frame.encode());
                CloseCode::Normal
            }
            End::Superseded | End::OldAge => CloseCode::Normal,
        };
        // A close frame's reason may have 123 bytes.
        let reason: String = end.to_string().chars().take(100).filter(char::is_ascii).collect();
        self.socket.close(code, &reason).await;
    }

    async fn carry_on(&mut self) -> Result<std::convert::Infallible, End> {
        self.welcome()?;
        loop {
            self.obey_mail()?;
            if self.socket.is_idle() {
                self.renew_credentials().await?;
                self.deliver().await?;
            }
            let wake = self.next_wake();
            let mailbox = self.mailbox.clone();
            tokio::select! {
                incoming = self.socket.next() => match incoming? {
                    Incoming::Text(text) => self.take(&text).await?,
                    Incoming::Binary => return Err(End::Nonsense("binary".to_owned())),
                    Incoming::Sign => self.signed(),
                    Incoming::Sent => {}
                },
                () = mailbox.arrived() => {}
                () = at(wake) => self.tick()?,
            }
        }
    }

    /// The first words: a heartbeat, then everything that this instance should run.
    fn welcome(&mut self) -> Result<(), End> {
        self.heartbeat()?;
        let view = self.engine.view();
        let mut tasks = Vec::new();
        let now = now();
        self.each_assignment(&view, |this, row| {
            this.delivery.touch(row.task);
            if row.settled {
                return;
            }
            // What is not told yet brings its credentials with it, and is named when the agent has it:
            // an agent tells the end of what a manifest names as running and it does not know.
            if row.desired == Desired::Running {
                if row.acknowledged.is_none() {
                    return;
                }
                this.ask_credentials(&row, now);
            }
            tasks.push(acs::TaskIdentifier {
                task_arn: row.arn,
                task_cluster_arn: row.cluster_arn,
                desired_status: status(row.desired).to_owned(),
            });
        });
        let (message_id, timeline) = (self.next_message(), self.next_sequence());
        let manifest = acs::Manifest {
            message_id,
            cluster_arn: self.agent.cluster_arn.clone(),
            container_instance_arn: self.agent.arn.clone(),
            generated_at: now.millis(),
            timeline,
            tasks,
        };
        self.say(manifest)?;
        self.tell_exec()
    }

    fn each_assignment(&mut self, view: &Published, mut each: impl FnMut(&mut Self, Assignment)) {
        let world = self.links.world.clone();
        let (view, instance) = (View::new(&view.state, now()), self.agent.instance);
        world.assignments(&view, instance, &mut |row| each(self, row));
    }

    fn ask_credentials(&self, row: &Assignment, now: Time) {
        let roles = [
            (row.application_role, RoleType::Application),
            (row.execution_role, RoleType::Execution),
        ];
        for (_, role) in roles.into_iter().filter(|(has, _)| *has) {
            let want = Want { task: row.task, role };
            self.host.renewals(|r| r.ask(want, now, self.hello.send_credentials));
        }
    }

    fn obey_mail(&mut self) -> Result<(), End> {
        let dirty = self.mailbox.take();
        match dirty.ending {
            Some(Ending::Superseded) => return Err(End::Superseded),
            Some(Ending::Leaving) => return Err(End::Leaving),
            None => {}
        }
        dirty.tasks.iter().for_each(|task| self.delivery.touch(*task));
        if dirty.exec {
            self.tell_exec()?;
        }
        if !dirty.instance && !dirty.everything {
            return Ok(());
        }
        let view = self.engine.view();
        let at = View::new(&view.state, now());
        if !self.links.world.is_registered(&at, self.agent.instance) {
            return Err(End::Deregistered);
        }
        if dirty.everything {
            self.delivery.touch_all();
            self.each_assignment(&view, |this, row| this.delivery.touch(row.task));
        }
        Ok(())
    }

    fn next_wake(&self) -> Option<Instant> {
        let unheard = self.renewed.values().map(|(_, due)| *due);
        let unheard = unheard.chain(self.attaching.values().map(|(_, due)| *due));
        let unheard = unheard.chain(self.exec.values().map(|(_, due)| *due)).min();
        let own = [Some(self.beat_at), Some(self.ends_at), self.paused_until];
        let times = own.into_iter().chain([self.delivery.due(), unheard]);
        let renewal = self.host.renewals(|renewals| renewals.next());
        let renewal = renewal.map(|at| Instant::now() + at.since(now()));
        // What is due already waits for the socket, not for the time.
        let renewal = renewal.filter(|_| self.socket.is_idle());
        times.flatten().chain(renewal).min()
    }

    fn tick(&mut self) -> Result<(), End> {
        let now = Instant::now();
        if now >= self.ends_at {
            return Err(End::OldAge);
        }
        self.delivery.expire(now);
        self.paused_until = self.paused_until.filter(|until| *until > now);
        let renewed = std::mem::take(&mut self.renewed);
        let (late, rest) = renewed.into_iter().partition(|(_, (_, due))| *due <= now);
        self.renewed = rest;
        for (want, _) in HashMap::into_values(late) {
            self.host.renewals(|renewals| renewals.ask(want, crate::links::now(), true));
        }
        self.attach_again(now)?;
        let told = self.exec.len();
        self.exec.retain(|_, (_, due)| *due > now);
        if self.exec.len() < told {
            self.tell_exec()?;
        }
        if now < self.beat_at {
            return Ok(());
        }
        if self.unanswered >= UNANSWERED {
            return Err(End::Silent { since: self.heard_at });
        }
        self.heartbeat()
    }

    fn heartbeat(&mut self) -> Result<(), End> {
        self.unanswered += 1;
        self.beat_at = Instant::now() + self.links.pace.heartbeat;
        let message_id = self.next_message();
        // An agent of an older protocol answers no heartbeat, but every websocket answers a ping.
        if self.hello.protocol_version < 2 {
            self.socket.ping()?;
        }
        self.say(acs::Heartbeat { message_id, healthy: true })
    }

    fn signed(&mut self) {
        self.heard_at = Instant::now();
        if self.hello.protocol_version < 2 {
            self.unanswered = 0;
        }
    }

    async fn take(&mut self, text: &str) -> Result<(), End> {
        self.heard_at = Instant::now();
        let frame = FromAgent::decode(text).map_err(|error| End::Nonsense(error.to_string()))?;
        match frame {
            FromAgent::HeartbeatAck(_) => self.unanswered = 0,
            FromAgent::Ack(ack) => {
                self.attaching.remove(&ack.message_id);
                if let Some((session, _)) = self.exec.remove(&ack.message_id) {
                    self.exec_heard.insert(session);
                }
                self.acknowledged(&ack.message_id).await;
            }
            FromAgent::Nack(nack) => {
                let instance = &self.agent.arn;
                tracing::warn!(instance, reason = nack.reason, "an agent refused a message");
            }
            FromAgent::RoleCredentialsAck(ack) => drop(self.renewed.remove(&ack.message_id)),
            FromAgent::StopVerification(asked) => self.verify_stops(asked)?,
            FromAgent::Unknown(unknown) => {
                tracing::debug!(kind = unknown.kind, "an agent says what is not known here");
            }
        }
        Ok(())
    }

    async fn acknowledged(&mut self, message: &str) {
        let tasks = self.delivery.acknowledged(message);
        if tasks.is_empty() {
            return;
        }
        let told = Told::Acknowledged { instance: self.agent.instance, tasks: tasks.clone() };
        let told = self.links.world.tell(&self.engine, told);
        let outcome = tokio::time::timeout(ENGINE, told).await;
        if !matches!(outcome, Ok(Ok(()))) {
            // Nothing is lost: the next connection tells them again, and the agent has them.
            tracing::warn!(tasks = tasks.len(), "an acknowledgement could not be kept");
        }
    }

    /// The agent runs tasks that its manifest does not have: they stop only if the rows say so now.
    fn verify_stops(&mut self, asked: acs::StopVerification) -> Result<(), End> {
        let view = self.engine.view();
        let view = View::new(&view.state, now());
        let world = self.links.world.clone();
        let stays = |candidate: &acs::TaskIdentifier| {
            let row = world.task(&view, &candidate.task_arn);
            let row = row.and_then(|task| world.assignment(&view, task));
            row.is_some_and(|row| {
                row.instance == self.agent.instance
                    && row.desired == Desired::Running
                    && !row.settled
            })
        };
        let mut stop_tasks = asked.stop_candidates;
        stop_tasks.retain(|candidate| !stays(candidate));
        if stop_tasks.is_empty() {
            return Ok(());
        }
        for task in &mut stop_tasks {
            task.desired_status = aws_agent::task::STOPPED.to_owned();
        }
        let generated_at = now().millis();
        self.say(acs::StopVerificationAck {
            message_id: asked.message_id,
            generated_at,
            stop_tasks,
        })
    }

    /// Tell what is to be told, as far as the agent keeps up.
    async fn deliver(&mut self) -> Result<(), End> {
        if !self.delivery.has_work() || self.paused_until.is_some() {
            return Ok(());
        }
        let view = self.engine.view();
        let world = self.links.world.clone();
        let (instance, mut attaching) = (self.agent.instance, Vec::new());
        let mut settled = Vec::new();
        let at = View::new(&view.state, now());
        let mut wants = Vec::new();
        let plan = self.delivery.plan(|task| {
            let row = world.assignment(&at, task).filter(|row| row.instance == instance);
            match &row {
                Some(row) if !row.settled => {
                    let roles = [
                        (row.application_role, RoleType::Application),
                        (row.execution_role, RoleType::Execution),
                    ];
                    if row.desired == Desired::Running && row.acknowledged.is_none() {
                        let has = roles.into_iter().filter(|(has, _)| *has);
                        wants.extend(has.map(|(_, role)| Want { task, role }));
                        if !row.attaching.is_empty() {
                            attaching.push(row.clone());
                        }
                    }
                }
                _ => settled.push(task),
            }
            row
        });
        for task in settled {
            self.host.renewals(|renewals| renewals.drop_task(task));
            self.attached.remove(&task);
        }
        for stops in plan.stops.chunks(BATCH) {
            self.say_payload(&view, stops, Desired::Stopped, &mut HashMap::new())?;
        }
        wants.retain(|want| plan.starts.binary_search(&want.task).is_ok());
        let Some(mut issued) = self.issue(wants).await else {
            plan.starts.into_iter().for_each(|task| self.delivery.touch(task));
            self.paused_until = Some(Instant::now() + PAUSE);
            return Ok(());
        };
        attaching.retain(|row| plan.starts.binary_search(&row.task).is_ok());
        attaching.into_iter().try_for_each(|row| self.say_attach(row))?;
        for starts in plan.starts.chunks(BATCH) {
            self.say_payload(&view, starts, Desired::Running, &mut issued)?;
        }
        Ok(())
    }

    fn say_payload(
        &mut self,
        view: &Published,
        tasks: &[Id128],
        desired: Desired,
        issued: &mut HashMap<Id128, Credentials>,
    ) -> Result<(), End> {
        let at = View::new(&view.state, now());
        let mut told = Vec::with_capacity(tasks.len());
        let mut full = Vec::with_capacity(tasks.len());
        for task in tasks {
            let credentials = issued.remove(task).unwrap_or_default();
            let endpoint = &self.hello.endpoint;
            if let Some(payload) = self.links.world.payload(&at, *task, endpoint, credentials) {
                full.push(payload);
                told.push((*task, desired));
            }
        }
        if full.is_empty() {
            return Ok(());
        }
        let (message_id, seq_num) = (self.next_message(), self.next_sequence());
        self.delivery.sent(message_id.clone(), told, Instant::now());
        self.say(acs::Payload {
            message_id,
            cluster_arn: self.agent.cluster_arn.clone(),
            container_instance_arn: self.agent.arn.clone(),
            generated_at: now().millis(),
            seq_num,
            timeline: None,
            tasks: full,
        })
    }

    fn attach_again(&mut self, now: Instant) -> Result<(), End> {
        let attaching = std::mem::take(&mut self.attaching);
        let (late, rest) = attaching.into_iter().partition(|(_, (_, due))| *due <= now);
        self.attaching = rest;
        for (row, _) in HashMap::into_values(late) {
            // A settled task is no more among the attached. The agent may well take it twice.
            if self.attached.remove(&row.task) {
                self.say_attach(row)?;
            }
        }
        Ok(())
    }

    fn say_attach(&mut self, row: Assignment) -> Result<(), End> {
        if !self.attached.insert(row.task) {
            return Ok(());
        }
        let message_id = self.next_message();
        let unheard = (row.clone(), Instant::now() + UNHEARD);
        self.attaching.insert(message_id.clone(), unheard);
        self.say(acs::AttachTaskInterfaces {
            message_id,
            cluster_arn: self.agent.cluster_arn.clone(),
            container_instance_arn: self.agent.arn.clone(),
            task_arn: row.arn,
            task_cluster_arn: row.cluster_arn,
            generated_at: now().millis(),
            wait_timeout_ms: ATTACH_MS,
            elastic_network_interfaces: row.attaching,
        })
    }

    /// Sessions of ExecuteCommand that the host is to open and has not heard of.
    fn tell_exec(&mut self) -> Result<(), End> {
        let (published, world) = (self.engine.view(), self.links.world.clone());
        let view = View::new(&published.state, now());
        let mut waiting = Vec::new();
        world.exec_sessions(&view, self.agent.instance, &mut |session| waiting.push(session));
        // Those that are over are forgotten.
        self.exec_heard.retain(|heard| waiting.iter().any(|session| session.id == *heard));
        let known: BTreeSet<&String> =
            self.exec.values().map(|(session, _)| session).chain(&self.exec_heard).collect();
        waiting.retain(|session| !known.contains(&session.id) && session.waits_until > now());
        for session in waiting {
            let message_id = self.next_message();
            let due = Instant::now() + EXEC_UNHEARD;
            self.exec.insert(message_id.clone(), (session.id.clone(), due));
            self.say(acs::Exec {
                message_id,
                cluster_arn: self.agent.cluster_arn.clone(),
                container_instance_arn: self.agent.arn.clone(),
                task_arn: session.task_arn,
                container_name: session.container,
                path: format!("{}/{}", aws_agent::paths::EXEC, session.id),
                session_id: session.id,
                command: session.command,
                interactive: session.interactive,
                expires_at: session.waits_until.millis(),
            })?;
        }
        Ok(())
    }

    /// Make credentials. `None`: the engine makes none now. A role that is gone has none, which is tried
    /// again; its task goes without.
    async fn issue(&mut self, wants: Vec<Want>) -> Option<HashMap<Id128, Credentials>> {
        let mut all: HashMap<Id128, Credentials> = HashMap::new();
        if wants.is_empty() {
            return Some(all);
        }
        let issuing = self.links.world.credentials(&self.engine, wants.clone());
        let issued = tokio::time::timeout(ENGINE, issuing).await.ok()?.ok()?;
        let now = now();
        let mut issued = issued.into_iter();
        for want in wants {
            let Some(made) = issued.next().flatten() else {
                self.host.renewals(|renewals| renewals.failed(want, now));
                continue;
            };
            self.host.renewals(|renewals| renewals.issued(want, now, made.expires));
            let entry = all.entry(want.task).or_default();
            match want.role {
                RoleType::Application => entry.application = Some(made.credentials),
                RoleType::Execution => entry.execution = Some(made.credentials),
            }
        }
        Some(all)
    }

    /// Send new credentials for tasks whose old ones grow old.
    async fn renew_credentials(&mut self) -> Result<(), End> {
        let due = self.host.renewals(|renewals| renewals.due(now()));
        if due.is_empty() {
            return Ok(());
        }
        let view = self.engine.view();
        let mut rows = HashMap::new();
        for want in &due {
            let at = View::new(&view.state, now());
            let row = self.links.world.assignment(&at, want.task);
            let runs = |row: &Assignment| {
                row.instance == self.agent.instance
                    && row.desired == Desired::Running
                    && !row.settled
            };
            match row.filter(runs) {
                Some(row) => drop(rows.insert(want.task, row)),
                None => self.host.renewals(|renewals| renewals.drop_task(want.task)),
            }
        }
        let wants: Vec<_> = due.into_iter().filter(|w| rows.contains_key(&w.task)).collect();
        let Some(issued) = self.issue(wants.clone()).await else {
            self.host.renewals(|r| wants.iter().for_each(|want| r.failed(*want, now())));
            return Ok(());
        };
        for (task, made) in issued {
            let both =
                [(made.application, RoleType::Application), (made.execution, RoleType::Execution)];
            for (credentials, role) in both {
                let Some(credentials) = credentials else { continue };
                let message_id = self.next_message();
                let due = Instant::now() + UNHEARD;
                self.renewed.insert(message_id.clone(), (Want { task, role }, due));
                let row = &rows[&task];
                self.say(acs::RoleCredentialsMessage {
                    message_id,
                    task_arn: row.arn.clone(),
                    task_cluster_arn: row.cluster_arn.clone(),
                    role_type: role.as_str().to_owned(),
                    role_credentials: Some(credentials),
                })?;
            }
        }
        Ok(())
    }

    fn say(&mut self, frame: impl Into<FromPlane>) -> Result<(), End> {
        Ok(self.socket.send(frame.into().encode())?)
    }

    fn next_message(&mut self) -> String {
        self.messages += 1;
        uuid::Uuid::from_u64_pair(self.session, self.messages).to_string()
    }

    fn next_sequence(&self) -> i64 {
        self.host.next_sequence(self.engine.term(), self.hello.seq_num)
    }
}

fn status(desired: Desired) -> &'static str {
    match desired {
        Desired::Running => aws_agent::task::RUNNING,
        Desired::Stopped => aws_agent::task::STOPPED,
    }
}

/// A number of its own for each session, evenly between 0 and 1.
fn spread(session: u64) -> f64 {
    (session.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 11) as f64 / (1u64 << 53) as f64
}
