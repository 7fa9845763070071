//! One agent's TCS socket: what it measures, its containers' health, its own.
//!
//! Every frame is acknowledged, because that is what keeps the stock agent's timer from running out. Figures
//! go to [`crate::Telemetry`]; of health only transitions go on to the rows.

use std::collections::HashMap;
use std::time::Duration;

use aws_agent::tcs::{self, FromAgent, FromPlane};
use core_step::View;
use core_types::{Id128, Time};
use plane_engine::Engine;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::links::{Links, now};
use crate::mailbox::Mailbox;
use crate::socket::{Broken, Incoming, Socket, at};
use crate::world::{Agent, Told};

/// AWS: the agent's timer is a minute, and heartbeats and acknowledgements alone set it back.
const SILENCE: Duration = Duration::from_secs(180);

/// Containers of one instance whose health is remembered.
const CONTAINERS: usize = 8192;

/// How long the engine may take to take a report.
const ENGINE: Duration = Duration::from_secs(10);

enum End {
    Broken,
    Hung(CloseCode, &'static str),
}

impl From<Broken> for End {
    fn from(broken: Broken) -> Self {
        tracing::debug!("a telemetry socket ended: {broken}");
        End::Broken
    }
}

struct Session<'a> {
    links: &'a Links,
    engine: &'a Engine,
    agent: &'a Agent,
    socket: Socket,
    /// What was last told on, so that only transitions are.
    health: HashMap<(Id128, String), String>,
    status: HashMap<String, String>,
    heard_at: Instant,
}

pub(crate) async fn serve(
    links: &Links,
    engine: &Engine,
    agent: &Agent,
    mailbox: &Mailbox,
    socket: Socket,
) {
    let heard_at = Instant::now();
    let (health, status) = (HashMap::new(), HashMap::new());
    let mut session = Session { links, engine, agent, socket, health, status, heard_at };
    let end = session.carry_on(mailbox).await;
    if let Err(End::Hung(code, reason)) = end {
        session.socket.close(code, reason).await;
    }
}

impl Session<'_> {
    async fn carry_on(&mut self, mailbox: &Mailbox) -> Result<(), End> {
        let ends_at = Instant::now() + self.links.pace.life;
        let mut beat_at = Instant::now();
        loop {
            if mailbox.take().ending.is_some() {
                return Err(End::Hung(CloseCode::Away, "another connection stands"));
            }
            let wake = beat_at.min(ends_at);
            tokio::select! {
                incoming = self.socket.next() => {
                    self.heard_at = Instant::now();
                    if let Incoming::Text(text) = incoming? {
                        self.take(&text).await?;
                    }
                }
                () = mailbox.arrived() => {}
                () = at(Some(wake)) => {
                    let now = Instant::now();
                    if now >= ends_at {
                        let reason = "ConnectionExpired: Reconnect to continue";
                        return Err(End::Hung(CloseCode::Normal, reason));
                    }
                    if now.duration_since(self.heard_at) > SILENCE {
                        return Err(End::Hung(CloseCode::Normal, "silent"));
                    }
                    beat_at = now + self.links.pace.heartbeat;
                    self.say(tcs::Heartbeat { healthy: true })?;
                    // Any websocket answers it: an agent without tasks to tell of stays.
                    self.socket.ping()?;
                }
            }
        }
    }

    fn say(&mut self, frame: impl Into<FromPlane>) -> Result<(), End> {
        Ok(self.socket.send(frame.into().encode())?)
    }

    async fn take(&mut self, text: &str) -> Result<(), End> {
        let frame = match FromAgent::decode_signed(text) {
            Ok(frame) => frame,
            Err(error) => {
                tracing::debug!(instance = self.agent.arn, "telemetry: {error}");
                return Err(End::Hung(CloseCode::Policy, "not understood"));
            }
        };
        let message = String::new();
        match frame {
            FromAgent::Metrics(metrics) => {
                self.links.telemetry.metrics(self.agent.instance, now(), &metrics);
                self.say(tcs::AckPublishMetric { message })
            }
            FromAgent::Health(health) => {
                self.take_health(health).await;
                self.say(tcs::AckPublishHealth { message })
            }
            FromAgent::InstanceStatus(status) => {
                self.take_status(status).await;
                self.say(tcs::AckPublishInstanceStatus { message })
            }
            FromAgent::StartSession(_) => Ok(()),
            FromAgent::Unknown(unknown) => {
                tracing::debug!(kind = unknown.kind, "telemetry of a kind not known here");
                Ok(())
            }
        }
    }

    async fn take_health(&mut self, health: tcs::PublishHealth) {
        let mut news = Vec::new();
        {
            let view = self.engine.view();
            let view = View::new(&view.state, now());
            for told in health.tasks {
                // An agent tells of its own tasks and of no other's.
                let task = self.links.world.task(&view, &told.task_arn);
                let row = task.and_then(|task| self.links.world.assignment(&view, task));
                let Some(row) = row.filter(|row| row.instance == self.agent.instance) else {
                    continue;
                };
                for container in told.containers {
                    let key = (row.task, container.container_name);
                    if self.health.get(&key) != Some(&container.health_status) {
                        let since = container.status_since.map_or_else(now, seconds);
                        news.push((key, container.health_status, since));
                    }
                }
            }
        }
        if self.health.len() > CONTAINERS {
            self.health.clear();
        }
        for ((task, container), status, since) in news {
            let told = Told::Health {
                instance: self.agent.instance,
                task,
                container: container.clone(),
                status: status.clone(),
                since,
            };
            if self.tell(told).await {
                self.health.insert((task, container), status);
            }
        }
    }

    async fn take_status(&mut self, told: tcs::PublishInstanceStatus) {
        for check in told.statuses.into_iter().take(32) {
            if self.status.get(&check.r#type) == Some(&check.status) {
                continue;
            }
            let told = Told::InstanceStatus {
                instance: self.agent.instance,
                check: check.r#type.clone(),
                status: check.status.clone(),
                at: check.last_status_change.map_or_else(now, seconds),
            };
            if self.tell(told).await && self.status.len() < 32 {
                self.status.insert(check.r#type, check.status);
            }
        }
    }

    /// What is not taken is told again with the next frame.
    async fn tell(&self, told: Told) -> bool {
        let telling = self.links.world.tell(self.engine, told);
        matches!(tokio::time::timeout(ENGINE, telling).await, Ok(Ok(())))
    }
}

fn seconds(since: f64) -> Time {
    // A number that is no time becomes the end of times: `as` saturates.
    Time((since * 1000.0) as i64)
}
