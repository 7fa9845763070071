//! A small world for the links: machines and jobs as rows of a real engine behind a real gateway, and
//! agents that dial it over TCP.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test uses its part")]

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_agent::acs::{FromAgent, FromPlane};
use aws_agent::task::{RoleCredentials, Task};
use aws_protocol::ApiError;
use aws_sigv4::{SignBody, Signer, Style};
use core_state::{Change, Row, SchemaBuilder, Tx};
use core_step::*;
use core_types::{AccountId, Id128, Time};
use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, HeaderValue};
use plane_engine::{Engine, Options, Refusal};
use plane_gateway::{Gateway, Parts, Serving};
use plane_journal::{EmbeddedJournal, EmbeddedOptions};
use plane_links::*;
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message};

pub const SECRET: &str = "secret";

/// How long anything that must come is waited for.
pub const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    pub id: Id128,
    /// Who may speak for it.
    pub owner: String,
    pub registered: bool,
    pub connected: bool,
    pub session: u64,
    pub connections: u32,
    /// Milliseconds that it was away when it was said to be.
    pub away: u64,
}

impl Row for Machine {
    type Key = Id128;
    const TABLE: &'static str = "machines";

    fn key(&self) -> Id128 {
        self.id
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Job {
    pub id: Id128,
    pub machine: Id128,
    pub stop: bool,
    /// 0 nothing, 1 the start, 2 the stop.
    pub acknowledged: u8,
    pub settled: bool,
    pub role: bool,
    pub interface: bool,
    pub health: Vec<String>,
}

impl Row for Job {
    type Key = Id128;
    const TABLE: &'static str = "jobs";

    fn key(&self) -> Id128 {
        self.id
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exec {
    pub id: String,
    pub machine: Id128,
    pub opened: bool,
    pub waits_until: i64,
}

impl Row for Exec {
    type Key = String;
    const TABLE: &'static str = "execs";

    fn key(&self) -> String {
        self.id.clone()
    }
}

pub fn id(n: u8) -> Id128 {
    Id128([n; 16])
}

pub fn machine_arn(id: Id128) -> String {
    format!("arn:aws:ecs:us-east-1:000000000000:container-instance/default/{id}")
}

pub fn job_arn(id: Id128) -> String {
    format!("arn:aws:ecs:us-east-1:000000000000:task/default/{id}")
}

/// Any change of rows.
pub struct Do<F>(pub F);

impl<F: FnOnce(&mut Tx<'_>) + Send + 'static> Report for Do<F> {
    fn apply(self: Box<Self>, tx: &mut Tx<'_>) -> Box<dyn Any + Send> {
        (self.0)(tx);
        Box::new(())
    }
}

/// Every access key is its own user, and all have one secret.
struct Everybody;

impl Identity for Everybody {
    fn credentials(
        &self,
        _: &View<'_>,
        key: &str,
        _: Option<&str>,
    ) -> Result<core_step::Credentials, CredentialError> {
        let mut caller = Caller::anonymous();
        caller.arn = key.into();
        caller.account = AccountId::default();
        Ok(core_step::Credentials { secret: SECRET.into(), caller: Arc::new(caller) })
    }

    fn authorize(&self, _: &Call, _: &View<'_>, _: &[Demand]) -> Result<(), ApiError> {
        Ok(())
    }
}

static SLICE: Slice = Slice {
    service: &model_ecs::SERVICE,
    actions: &[],
    loops: &[],
    tables: |schema: &mut SchemaBuilder| {
        schema.table::<Machine>().table::<Job>().table::<Exec>();
    },
    invariants: &[],
};
static SLICES: &[&Slice] = &[&SLICE];

pub struct Rows;

fn agent_of(machine: &Machine) -> Agent {
    Agent {
        instance: machine.id,
        arn: machine_arn(machine.id),
        cluster_arn: "arn:aws:ecs:us-east-1:000000000000:cluster/default".to_owned(),
    }
}

fn row_of(job: &Job) -> Assignment {
    Assignment {
        task: job.id,
        instance: job.machine,
        arn: job_arn(job.id),
        cluster_arn: String::new(),
        desired: if job.stop { Desired::Stopped } else { Desired::Running },
        acknowledged: [None, Some(Desired::Running), Some(Desired::Stopped)]
            [usize::from(job.acknowledged)],
        settled: job.settled,
        application_role: job.role,
        execution_role: false,
        attaching: job
            .interface
            .then(|| aws_agent::task::ElasticNetworkInterface {
                ec2_id: "eni-1".to_owned(),
                ..Default::default()
            })
            .into_iter()
            .collect(),
    }
}

fn session_of(exec: &Exec) -> ExecSession {
    ExecSession {
        id: exec.id.clone(),
        instance: exec.machine,
        task_arn: job_arn(id(10)),
        container: "web".to_owned(),
        command: "/bin/sh".to_owned(),
        interactive: true,
        token: format!("token of {}", exec.id),
        opened: exec.opened,
        waits_until: Time(exec.waits_until),
    }
}

impl World for Rows {
    fn admit(&self, view: &View<'_>, call: &Call, poll: &Poll) -> Result<Agent, ApiError> {
        let machine = view.all::<Machine>().find(|m| machine_arn(m.id) == poll.container_instance);
        let Some(machine) = machine.filter(|machine| *machine.owner == *call.caller.arn) else {
            return Err(ApiError::new("AccessDeniedException", 403, "not yours"));
        };
        match machine.registered {
            true => Ok(agent_of(machine)),
            false => Err(ApiError::new("InactiveInstanceException", 400, "gone")),
        }
    }

    fn is_registered(&self, view: &View<'_>, instance: Id128) -> bool {
        view.get::<Machine>(&instance).is_some_and(|machine| machine.registered)
    }

    fn concerned(&self, changes: &[Change], touch: &mut dyn FnMut(Id128, Touched)) {
        for change in changes {
            if let Some(exec) = change.row::<Exec>() {
                touch(exec.machine, Touched::Exec);
            }
            if let Some(job) = change.row::<Job>() {
                touch(job.machine, Touched::Task(job.id));
            }
            if let Some((Some(before), after)) = change.of::<Machine>()
                && after.is_none_or(|after| after.registered != before.registered)
            {
                touch(before.id, Touched::Instance);
            }
        }
    }

    fn assignments(&self, view: &View<'_>, instance: Id128, each: &mut dyn FnMut(Assignment)) {
        view.all::<Job>().filter(|job| job.machine == instance).for_each(|job| each(row_of(job)));
    }

    fn assignment(&self, view: &View<'_>, task: Id128) -> Option<Assignment> {
        view.get::<Job>(&task).map(row_of)
    }

    fn task(&self, view: &View<'_>, arn: &str) -> Option<Id128> {
        view.all::<Job>().find(|job| job_arn(job.id) == arn).map(|job| job.id)
    }

    fn payload(
        &self,
        view: &View<'_>,
        task: Id128,
        _: &str,
        made: plane_links::Credentials,
    ) -> Option<Task> {
        let job = view.get::<Job>(&task)?;
        Some(Task {
            arn: job_arn(job.id),
            desired_status: if job.stop { "STOPPED" } else { "RUNNING" }.to_owned(),
            role_credentials: made.application,
            ..Task::default()
        })
    }

    fn credentials<'a>(
        &'a self,
        _: &'a Engine,
        wants: Vec<Want>,
    ) -> Future<'a, Result<Vec<Option<Issued>>, Refusal>> {
        Box::pin(async move {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
            let made = |want: Want| Issued {
                credentials: RoleCredentials {
                    credentials_id: want.task.to_string(),
                    access_key_id: "ASIA".to_owned(),
                    ..RoleCredentials::default()
                },
                expires: Time(now + 2000),
            };
            Ok(wants.into_iter().map(|want| Some(made(want))).collect())
        })
    }

    fn exec_sessions(&self, view: &View<'_>, machine: Id128, each: &mut dyn FnMut(ExecSession)) {
        let waiting = |exec: &&Exec| exec.machine == machine && !exec.opened;
        view.all::<Exec>().filter(waiting).for_each(|exec| each(session_of(exec)));
    }

    fn exec_session(&self, view: &View<'_>, id: &str) -> Option<ExecSession> {
        view.get::<Exec>(&id.to_owned()).map(session_of)
    }

    fn tell<'a>(&'a self, engine: &'a Engine, told: Told) -> Future<'a, Result<(), Refusal>> {
        let report = Do(move |tx: &mut Tx<'_>| take(tx, told));
        Box::pin(async move { engine.report(Box::new(report)).await.map(|_| ()) })
    }
}

fn take(tx: &mut Tx<'_>, told: Told) {
    let stands = |tx: &mut Tx<'_>, instance: Id128, session: u64, connected: bool| {
        tx.edit::<Machine>(&instance, |machine| {
            if session >= machine.session {
                (machine.connected, machine.session) = (connected, session);
                machine.connections += u32::from(connected);
            }
        });
    };
    match told {
        Told::Reset => {
            let all: Vec<Id128> = tx.all::<Machine>().map(|machine| machine.id).collect();
            for id in all {
                tx.edit::<Machine>(&id, |machine| machine.connected = false);
            }
        }
        Told::Connected { instance, session } => stands(tx, instance, session, true),
        Told::Disconnected { instance, session, away } => {
            stands(tx, instance, session, false);
            let away = u64::try_from(away.as_millis()).unwrap_or(u64::MAX);
            tx.edit::<Machine>(&instance, |machine| machine.away = away);
        }
        Told::Acknowledged { tasks, .. } => {
            for (task, desired) in tasks {
                let told = if desired == Desired::Running { 1 } else { 2 };
                tx.edit::<Job>(&task, |job| job.acknowledged = job.acknowledged.max(told));
            }
        }
        Told::Health { task, status, .. } => {
            tx.edit::<Job>(&task, |job| job.health.push(status));
        }
        Told::InstanceStatus { .. } => {}
        Told::ExecOpened { session } => {
            tx.edit::<Exec>(&session, |exec| exec.opened = true);
        }
        Told::ExecEnded { session } => {
            tx.delete::<Exec>(&session);
        }
    }
}

pub struct Plane {
    pub engine: Engine,
    pub links: Arc<Links>,
    pub figures: Arc<LastFigures>,
    pub address: std::net::SocketAddr,
    pub dir: Arc<tempfile::TempDir>,
    serving: Option<Serving>,
}

impl Plane {
    pub async fn start(pace: Pace) -> Plane {
        Plane::start_on(Arc::new(tempfile::tempdir().unwrap()), pace).await
    }

    pub async fn start_on(dir: Arc<tempfile::TempDir>, pace: Pace) -> Plane {
        let journal = EmbeddedJournal::open(EmbeddedOptions::new(dir.path())).unwrap();
        let registry = Registry::new(SLICES, Box::new(Everybody));
        let engine = Engine::start(registry, Box::new(journal), Options::default()).unwrap();
        engine.led().await.unwrap();
        let figures = Arc::new(LastFigures::default());
        let links = Links::new(Arc::new(Rows), figures.clone(), pace);
        tokio::spawn(links.clone().run(engine.clone()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let parts = Parts { sockets: Some(links.clone()), ..Parts::default() };
        let serving = Serving::start(Gateway::new(engine.clone(), parts), listener, None).unwrap();
        let address = serving.address;
        Plane { engine, links, figures, address, dir, serving: Some(serving) }
    }

    pub async fn stop(mut self) -> Arc<tempfile::TempDir> {
        self.links.end_all();
        self.serving.take().unwrap().stop().await;
        let engine = self.engine.clone();
        tokio::task::spawn_blocking(move || engine.stop()).await.unwrap();
        self.dir.clone()
    }

    pub async fn change(&self, change: impl FnOnce(&mut Tx<'_>) + Send + 'static) {
        self.engine.report(Box::new(Do(change))).await.unwrap();
    }

    pub async fn edit<R: Row>(&self, key: R::Key, change: impl FnOnce(&mut R) + Send + 'static) {
        self.change(move |tx| assert!(tx.edit::<R>(&key, change))).await;
    }

    pub async fn add_machine(&self, n: u8) {
        let owner = format!("agent{n}");
        let machine = Machine { id: id(n), owner, registered: true, ..Machine::default() };
        self.change(move |tx| tx.put(machine)).await;
    }

    pub async fn add_job(&self, n: u8, machine: u8) {
        let job = Job { id: id(n), machine: id(machine), ..Job::default() };
        self.change(move |tx| tx.put(job)).await;
    }

    pub fn machine(&self, n: u8) -> Machine {
        self.engine.view().state.get::<Machine>(&id(n)).unwrap().clone()
    }

    pub fn job(&self, n: u8) -> Job {
        self.engine.view().state.get::<Job>(&id(n)).unwrap().clone()
    }

    /// Until the rows are so.
    pub async fn until(&self, what: &str, so: impl Fn(&Plane) -> bool) {
        let mut revisions = self.engine.revisions();
        let wait = async {
            while !so(self) {
                revisions.changed().await.unwrap();
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("not: {what}"));
    }

    pub async fn dial(
        &self,
        key: &str,
        path: &str,
        query: &str,
    ) -> Result<Dialled, tungstenite::Error> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let url = format!("ws://{}{path}?{query}", self.address);
        let mut request = url.into_client_request().unwrap();
        let host = self.address.to_string();
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_str(&host).unwrap());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let signer = Signer {
            access_key: key,
            secret: SECRET,
            token: None,
            region: "us-east-1",
            service: "ecs",
            style: Style::General,
            now: now.as_secs() as i64,
        };
        signer.sign("GET", path, query, &mut headers, SignBody::Bytes(b"")).unwrap();
        for (name, value) in &headers {
            request.headers_mut().insert(name, value.clone());
        }
        tokio_tungstenite::client_async(request, stream).await.map(|(socket, _)| socket)
    }

    /// Dial ACS as the agent of a machine, once the server lets agents in.
    pub async fn agent(&self, n: u8) -> Socket {
        self.agent_with(n, "protocolVersion=2&sendCredentials=true&seqNum=1").await
    }

    pub async fn agent_with(&self, n: u8, more: &str) -> Socket {
        let arn = machine_arn(id(n)).replace(':', "%3A").replace('/', "%2F");
        let query = format!("clusterArn=default&containerInstanceArn={arn}&{more}");
        for _ in 0..1000 {
            match self.dial(&format!("agent{n}"), "/_wharf/acs/ws", &query).await {
                Ok(socket) => return Socket(socket),
                // The server has just started: it takes agents when it has told that there are none.
                Err(tungstenite::Error::Http(answer)) if answer.status() == 503 => {
                    tokio::task::yield_now().await;
                }
                Err(error) => panic!("{error}"),
            }
        }
        panic!("agents are not let in");
    }

    pub async fn telemetry(&self, n: u8) -> Dialled {
        let arn = machine_arn(id(n)).replace(':', "%3A").replace('/', "%2F");
        let query = format!("cluster=default&containerInstance={arn}");
        self.dial(&format!("agent{n}"), "/_wharf/tcs/ws", &query).await.unwrap()
    }
}

pub type Dialled = WebSocketStream<TcpStream>;

/// An agent's end of ACS.
pub struct Socket(pub Dialled);

impl Socket {
    /// The next frame; `None` when the plane has ended the connection.
    pub async fn hear(&mut self) -> Option<FromPlane> {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.0.next()).await.expect("a frame");
            match next {
                Some(Ok(Message::Text(text))) => return Some(FromPlane::decode(&text).unwrap()),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(_) | Err(_)) | None => return None,
            }
        }
    }

    /// The next frame that is no heartbeat; heartbeats are answered.
    pub async fn next(&mut self) -> Option<FromPlane> {
        loop {
            match self.hear().await? {
                FromPlane::Heartbeat(beat) => {
                    let ack = aws_agent::acs::HeartbeatAck { message_id: beat.message_id };
                    self.say(ack).await;
                }
                other => return Some(other),
            }
        }
    }

    pub async fn say(&mut self, frame: impl Into<FromAgent>) {
        // The plane may have hung up already; the next read tells.
        let _ = self.0.send(Message::text(frame.into().encode())).await;
    }

    pub async fn manifest(&mut self) -> aws_agent::acs::Manifest {
        match self.next().await {
            Some(FromPlane::Manifest(manifest)) => manifest,
            other => panic!("no manifest but {other:?}"),
        }
    }

    pub async fn payload(&mut self) -> aws_agent::acs::Payload {
        match self.next().await {
            Some(FromPlane::Payload(payload)) => payload,
            other => panic!("no payload but {other:?}"),
        }
    }

    pub async fn acknowledge(&mut self, message_id: &str) {
        let message_id = message_id.to_owned();
        self.say(aws_agent::acs::Ack { message_id, ..Default::default() }).await;
    }
}
