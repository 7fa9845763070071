//! The socket over which work comes. Everything is taken at least once and acknowledged when it is
//! durable; a message that does not read is not acknowledged, and nothing that reads is refused.

use std::sync::Arc;
use std::time::Duration;

use aws_agent::acs::{
    Ack, FromAgent, FromPlane, HeartbeatAck, Manifest, Nack, Payload, RoleCredentialsAck,
    RoleCredentialsMessage, StopVerification, StopVerificationAck, TASK_EXECUTION, TaskIdentifier,
};
use aws_agent::task::{RUNNING, STOPPED};
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::exec::Sessions;
use crate::plane::api::{Api, Backoff, CallError, chance};
use crate::plane::socket::{Socket, SocketError};
use crate::registration::DOCKER_VERSION;
use crate::tasks::{Tasks, TasksError};

/// AWS: a connection is given up after half an hour, and up to five minutes more.
const LIFE: Duration = Duration::from_secs(30 * 60);
const LIFE_JITTER: Duration = Duration::from_secs(5 * 60);
/// AWS: a host that was deregistered asks again after an hour.
const INACTIVE: Duration = Duration::from_secs(3600);
/// AWS: the endpoint is asked for again after this.
const ENDPOINT_LIFE: Duration = Duration::from_secs(12 * 3600);
/// Acknowledgements that wait to be sent.
const OUTGOING: usize = 256;

pub struct Acs {
    pub api: Arc<Api>,
    pub tasks: Arc<Tasks>,
    pub cluster: String,
    pub instance: String,
    pub endpoints: Arc<Endpoints>,
    pub sessions: Arc<Sessions>,
    /// Silence for so long, and up to as long again, ends the connection.
    pub silence: Duration,
    /// Whether the plane is heard at this time.
    pub connected: watch::Sender<bool>,
}

/// Where the sockets are, as the plane said last.
pub struct Endpoints {
    pub api: Arc<Api>,
    pub cluster: String,
    pub instance: String,
    known: tokio::sync::Mutex<Option<(Instant, String, String)>>,
}

impl Endpoints {
    pub fn new(api: Arc<Api>, cluster: String, instance: String) -> Arc<Endpoints> {
        Arc::new(Endpoints { api, cluster, instance, known: Default::default() })
    }

    /// ACS's and TCS's. An old answer is better than none.
    pub async fn get(&self) -> Result<(String, String), CallError> {
        let mut known = self.known.lock().await;
        if let Some((at, acs, tcs)) = &*known
            && at.elapsed() < ENDPOINT_LIFE
        {
            return Ok((acs.clone(), tcs.clone()));
        }
        let input = json!({ "cluster": self.cluster, "containerInstance": self.instance });
        match (self.api.call("DiscoverPollEndpoint", &input).await, &*known) {
            (Ok(answer), _) => {
                let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
                let (acs, tcs) = (text("endpoint"), text("telemetryEndpoint"));
                *known = Some((Instant::now(), acs.clone(), tcs.clone()));
                Ok((acs, tcs))
            }
            (Err(_), Some((_, acs, tcs))) => Ok((acs.clone(), tcs.clone())),
            (Err(error), None) => Err(error),
        }
    }

    /// The plane is not where it said it was.
    pub async fn forget(&self) {
        *self.known.lock().await = None;
    }
}

/// One connection.
struct Session<'a> {
    acs: &'a Acs,
    /// The one that the plane named.
    endpoint: String,
    outgoing: mpsc::Sender<FromAgent>,
    /// What is being made durable before it is acknowledged.
    taking: JoinSet<()>,
}

impl Acs {
    pub async fn run(self) {
        let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(120), 1.5);
        let mut first = true;
        loop {
            let begun = Instant::now();
            let ended = self.connect(first).await;
            self.connected.send_replace(false);
            if begun.elapsed() > Duration::from_secs(60) {
                backoff.reset();
            }
            match ended {
                Ok(()) => first = false,
                Err(error) => {
                    first &= matches!(error, SocketError::Connect(_) | SocketError::Refused { .. });
                    if error.is_inactive() {
                        tracing::warn!(
                            "this host was deregistered, and takes no more tasks; what runs here goes \
                             on until the agent is started again, which then joins anew: {error}"
                        );
                        sleep(INACTIVE).await;
                        continue;
                    }
                    tracing::info!("the control plane's socket ended: {error}");
                    let usual = error.is_usual_end() && begun.elapsed() > Duration::from_millis(50);
                    if matches!(error, SocketError::Connect(_)) {
                        self.endpoints.forget().await;
                    }
                    if !usual {
                        sleep(backoff.wait()).await;
                    }
                }
            }
        }
    }

    async fn connect(&self, first: bool) -> Result<(), SocketError> {
        let (endpoint, _) = match self.endpoints.get().await {
            Ok(endpoints) => endpoints,
            Err(CallError::Refused { status, code, message }) => {
                return Err(SocketError::Refused { status, body: format!("{code}: {message}") });
            }
            Err(CallError::Connect(error)) => return Err(error.into()),
            Err(CallError::Credentials(error)) => return Err(error.into()),
            Err(CallError::Broken { to, reason }) => {
                return Err(SocketError::Refused { status: 0, body: format!("{to}: {reason}") });
            }
        };
        let sequence = self.tasks.sequence().to_string();
        let pairs = [
            ("agentHash", crate::HASH),
            ("agentVersion", crate::VERSION),
            ("clusterArn", self.cluster.as_str()),
            ("containerInstanceArn", self.instance.as_str()),
            ("dockerVersion", DOCKER_VERSION),
            ("protocolVersion", "2"),
            // On a process's first connection all tasks' credentials are sent anew.
            ("sendCredentials", if first { "true" } else { "false" }),
            ("seqNum", sequence.as_str()),
        ];
        let largest = aws_agent::frame::MAX_FROM_PLANE;
        let socket = Socket::open(&self.api, &endpoint, &pairs, largest).await?;
        tracing::info!("connected to the control plane at {endpoint}");
        self.connected.send_replace(true);
        self.tasks.heard.send_modify(|times| *times += 1);
        let (outgoing, queue) = mpsc::channel(OUTGOING);
        let session = Session { acs: self, endpoint, outgoing, taking: JoinSet::new() };
        session.run(socket, queue).await
    }
}

impl Session<'_> {
    async fn run(
        mut self,
        socket: Socket,
        queue: mpsc::Receiver<FromAgent>,
    ) -> Result<(), SocketError> {
        let ended = self.serve(socket, queue).await;
        // What came over this connection is taken whole, or a task would begin that is not written
        // down and that its next coming takes for known.
        self.taking.detach_all();
        ended
    }

    async fn serve(
        &mut self,
        mut socket: Socket,
        mut queue: mpsc::Receiver<FromAgent>,
    ) -> Result<(), SocketError> {
        let silence = self.acs.silence;
        let end = Instant::now() + LIFE + LIFE_JITTER.mul_f64(chance());
        let patience = || silence + silence.mul_f64(chance());
        let mut silent_at = Instant::now() + patience();
        loop {
            tokio::select! {
                text = socket.next() => {
                    silent_at = Instant::now() + patience();
                    match FromPlane::decode(&text?) {
                        Ok(FromPlane::InactiveInstance(told)) => {
                            return Err(SocketError::Inactive(told.message));
                        }
                        Ok(message) => self.take(message).await,
                        Err(error) => {
                            tracing::warn!("a message of the control plane does not read: {error}");
                        }
                    }
                }
                Some(message) = queue.recv() => socket.send(message.encode()).await?,
                Some(_) = self.taking.join_next() => {}
                () = sleep_until(silent_at) => return Err(SocketError::Silent),
                () = sleep_until(end) => {
                    socket.close("ConnectionExpired: Reconnect to continue").await;
                    return Ok(());
                }
            }
        }
    }

    async fn answer(&self, message: impl Into<FromAgent>) {
        // The session's end closes the queue; the plane then sends again.
        let _ = self.outgoing.try_send(message.into());
    }

    fn ack(&self, message_id: &str) -> Ack {
        Ack {
            cluster: self.acs.cluster.clone(),
            container_instance: self.acs.instance.clone(),
            message_id: message_id.to_owned(),
        }
    }

    async fn take(&mut self, message: FromPlane) {
        match message {
            FromPlane::Heartbeat(beat) => {
                self.answer(HeartbeatAck { message_id: beat.message_id }).await;
            }
            FromPlane::Payload(payload) => self.take_payload(payload).await,
            FromPlane::RoleCredentials(message) => self.take_credentials(message).await,
            FromPlane::Manifest(manifest) => self.take_manifest(manifest).await,
            FromPlane::StopVerificationAck(verified) => self.take_verified(verified).await,
            FromPlane::AttachTaskInterfaces(message) => {
                self.answer(self.ack(&message.message_id)).await;
            }
            FromPlane::AttachInstanceInterfaces(message) => {
                self.answer(self.ack(&message.message_id)).await;
            }
            FromPlane::ConfirmAttachment(message) => {
                self.answer(self.ack(&message.message_id)).await;
            }
            FromPlane::StageUpdate(message) => self.refuse_update(message.message_id).await,
            FromPlane::PerformUpdate(message) => self.refuse_update(message.message_id).await,
            FromPlane::Exec(asked) => {
                self.answer(self.ack(&asked.message_id)).await;
                self.acs.sessions.begin(&self.endpoint, asked);
            }
            FromPlane::Close(_) => {}
            FromPlane::Unknown(unknown) => tracing::debug!("{} is not known", unknown.kind),
            other => tracing::warn!("the control plane says {other:?}"),
        }
    }

    async fn refuse_update(&self, message_id: String) {
        let reason = "this agent is updated together with the control plane".to_owned();
        let (cluster, container_instance) = (self.acs.cluster.clone(), self.acs.instance.clone());
        self.answer(Nack { cluster, container_instance, message_id, reason }).await;
    }

    async fn take_payload(&mut self, payload: Payload) {
        let complete = !payload.message_id.is_empty()
            && !payload.cluster_arn.is_empty()
            && !payload.container_instance_arn.is_empty();
        if !complete || payload.container_instance_arn != self.acs.instance {
            // AWS: such a payload is not taken.
            tracing::warn!("a payload for {} was not taken", payload.container_instance_arn);
            return;
        }
        let tasks = self.acs.tasks.clone();
        match tasks.advance(payload.seq_num).await {
            Ok(true) => {}
            Ok(false) => {
                // Of a plane that leads no more: what it wants is not wanted any more.
                tracing::warn!("a payload of an older generation was dropped");
                return;
            }
            Err(error) => return tracing::error!("{error}"),
        }
        let (ack, outgoing) = (self.ack(&payload.message_id), self.outgoing.clone());
        let message_id = payload.message_id;
        // AWS: stops first, so that what they free is there for the starts.
        let (stops, starts): (Vec<_>, Vec<_>) =
            payload.tasks.into_iter().partition(|task| task.desired_status == STOPPED);
        if !starts.is_empty() {
            let runtime = tasks.driver.runtime.clone();
            tokio::spawn(async move { runtime.expect().await });
        }
        self.taking.spawn(async move {
            let mut credentials = Vec::new();
            for task in starts.iter().chain(&stops) {
                for role in [&task.role_credentials, &task.execution_role_credentials] {
                    credentials.extend(role.iter().map(|role| RoleCredentialsAck {
                        message_id: message_id.clone(),
                        credentials_id: role.credentials_id.clone(),
                        expiration: role.expiration.clone(),
                    }));
                }
            }
            let mut all = JoinSet::new();
            for task in stops.into_iter().chain(starts) {
                let tasks = tasks.clone();
                all.spawn(async move { tasks.take(task, payload.seq_num).await });
            }
            for taken in all.join_all().await {
                match taken {
                    Ok(()) => {}
                    Err(error @ TasksError::TooMany) => return tracing::warn!("{error}"),
                    Err(error) => return tracing::error!("{error}"),
                }
            }
            let _ = outgoing.send(ack.into()).await;
            for ack in credentials {
                let _ = outgoing.send(ack.into()).await;
            }
        });
    }

    async fn take_credentials(&self, message: RoleCredentialsMessage) {
        let Some(fresh) = message.role_credentials else { return };
        let ack = RoleCredentialsAck {
            message_id: message.message_id,
            credentials_id: fresh.credentials_id.clone(),
            expiration: fresh.expiration.clone(),
        };
        let execution = message.role_type == TASK_EXECUTION;
        if self.acs.tasks.give_credentials(&message.task_arn, execution, fresh) {
            self.answer(ack).await;
        }
    }

    async fn take_manifest(&self, manifest: Manifest) {
        // AWS: a manifest that is not newer than what was seen is dropped in silence.
        let seen = self.acs.tasks.sequence();
        if manifest.timeline <= seen
            || !matches!(self.acs.tasks.advance(manifest.timeline).await, Ok(true))
        {
            return;
        }
        self.answer(self.ack(&manifest.message_id)).await;
        self.tell_lost(&manifest.tasks).await;
        let known: Vec<(&str, bool)> = manifest
            .tasks
            .iter()
            .map(|task| (task.task_arn.as_str(), task.desired_status == RUNNING))
            .collect();
        let strangers = self.acs.tasks.strangers(&known);
        if strangers.is_empty() {
            return;
        }
        let stop_candidates = strangers.iter().map(|live| TaskIdentifier {
            task_arn: live.given.task.arn.clone(),
            task_cluster_arn: live.given.task.task_cluster_arn.clone(),
            desired_status: STOPPED.to_owned(),
        });
        let stop_candidates = stop_candidates.collect();
        let message_id = manifest.message_id;
        self.answer(StopVerification { message_id, stop_candidates }).await;
    }

    /// A manifest names as running what this agent has acknowledged at one time. What it does not know
    /// any more, as its journal was damaged, would otherwise be counted as running for ever.
    async fn tell_lost(&self, named: &[TaskIdentifier]) {
        for task in named.iter().filter(|task| task.desired_status == RUNNING) {
            if let Err(error) = self.acs.tasks.take_lost(task).await {
                tracing::error!("{error}");
            }
        }
    }

    async fn take_verified(&self, verified: StopVerificationAck) {
        for task in verified.stop_tasks {
            if let Some(live) = self.acs.tasks.find(&task.task_arn)
                && let Err(error) = self.acs.tasks.stop(&live).await
            {
                tracing::error!("{error}");
            }
        }
    }
}
