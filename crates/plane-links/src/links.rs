//! All links of this process: who is connected, who is woken by what, and the gateway's door to them.
//!
//! A link belongs to an instance, not to a socket: a newer socket takes the older one's place, and what
//! outlives both (sequence numbers, when credentials grow old) stays here.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_agent::paths;
use core_step::View;
use core_types::{Id128, Time};
use http::StatusCode;
use plane_engine::{Engine, News, Refusal};
use plane_gateway::{Conversation, Gate, Opening, SocketRefused, Sockets};

use crate::acs::{Connection, End, Hello};
use crate::credentials::Renewals;
use crate::exec::{self, Meetings};
use crate::mailbox::{Ending, Mailbox};
use crate::socket::Socket;
use crate::telemetry::Telemetry;
use crate::world::{Agent, Poll, Told, Touched, World};

/// Lists of changes that may wait until the links look.
const NEWS: usize = 1024;

/// How links keep time.
#[derive(Clone, Debug)]
pub struct Pace {
    /// AWS: an agent closes a socket that was silent for a minute or two.
    pub heartbeat: Duration,
    /// AWS: an agent expects to be hung up on after half an hour, and hangs up itself soon after.
    pub life: Duration,
    /// How long an agent may be away, from its last sign of life on, before its instance counts as
    /// disconnected: hung up on, it dials anew at once.
    pub linger: Duration,
}

/// How many heartbeats an agent lets pass before it is found to be silent.
const BEATS: u32 = 3;

impl Pace {
    /// For hosts that are given up when they have not answered for `grace`: by then it is known that
    /// they do not, and it is not said of those that answer in time.
    pub fn for_grace(grace: Duration) -> Pace {
        let usual = Pace::default();
        let heartbeat = (grace / BEATS).clamp(Duration::from_millis(500), usual.heartbeat);
        Pace { heartbeat, ..usual }
    }
}

impl Default for Pace {
    fn default() -> Self {
        Pace {
            heartbeat: Duration::from_secs(30),
            life: Duration::from_secs(30 * 60),
            linger: Duration::from_secs(2),
        }
    }
}

/// What is kept of an instance that was ever connected to this process.
#[derive(Default)]
pub(crate) struct Host {
    state: Mutex<HostState>,
    sequence: Mutex<i64>,
    renewals: Mutex<Renewals>,
}

#[derive(Default)]
struct HostState {
    /// The ACS connection that stands, or stood last.
    session: u64,
    acs: Option<Arc<Mailbox>>,
    tcs: Option<Arc<Mailbox>>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Host {
    /// The next sequence number: above every one of this term, of any term before, and above what the
    /// agent says it has seen. AWS: an agent drops a manifest that is not above.
    pub fn next_sequence(&self, term: u64, seen: i64) -> i64 {
        let mut last = lock(&self.sequence);
        let least = i64::try_from(term << 32).unwrap_or(i64::MAX >> 1);
        // An agent that claims more than any term could give is not followed up to the end of numbers.
        let seen = if seen < i64::MAX >> 1 { seen } else { 0 };
        *last = last.max(least).max(seen) + 1;
        *last
    }

    pub fn renewals<T>(&self, act: impl FnOnce(&mut Renewals) -> T) -> T {
        act(&mut lock(&self.renewals))
    }
}

/// All links.
pub struct Links {
    pub(crate) world: Arc<dyn World>,
    pub(crate) telemetry: Arc<dyn Telemetry>,
    pub(crate) pace: Pace,
    hosts: Mutex<HashMap<Id128, Arc<Host>>>,
    sessions: AtomicU64,
    /// The term in which agents are let in: its `Reset` is durable.
    open_in: AtomicU64,
    pub(crate) meetings: Meetings,
    itself: Weak<Links>,
}

impl Links {
    pub fn new(world: Arc<dyn World>, telemetry: Arc<dyn Telemetry>, pace: Pace) -> Arc<Links> {
        Arc::new_cyclic(|itself| Links {
            world,
            telemetry,
            pace,
            hosts: Mutex::default(),
            sessions: AtomicU64::new(0),
            open_in: AtomicU64::new(0),
            meetings: Meetings::default(),
            itself: itself.clone(),
        })
    }

    fn host(&self, instance: Id128) -> Arc<Host> {
        lock(&self.hosts).entry(instance).or_default().clone()
    }

    fn all(&self) -> Vec<Arc<Host>> {
        lock(&self.hosts).values().cloned().collect()
    }

    /// How many agents are connected.
    pub fn connected(&self) -> usize {
        self.all().iter().filter(|host| lock(&host.state).acs.is_some()).count()
    }

    /// Wake links as rows change. Ends with the process.
    pub async fn run(self: Arc<Self>, engine: Engine) {
        let mut feed = engine.feed(NEWS);
        let mut leading = engine.leading();
        let mut led = false;
        loop {
            let leads = *leading.borrow_and_update();
            if leads && !led {
                let term = engine.term();
                self.tell_until_taken(&engine, Told::Reset, || true).await;
                // Not before: a connection that stood already would be told to be gone.
                self.open_in.store(term, Ordering::Release);
            }
            if !leads && led {
                self.end_all();
            }
            led = leads;
            tokio::select! {
                changed = leading.changed() => if changed.is_err() { return },
                news = feed.next() => match news {
                    News::Changed(_, changes) => self.wake(&engine, &changes),
                    News::Everything => self.wake_all(),
                },
            }
        }
    }

    fn wake(&self, engine: &Engine, changes: &[core_state::Change]) {
        let mut left = Vec::new();
        {
            let hosts = lock(&self.hosts);
            self.world.concerned(changes, &mut |instance, touched| {
                let Some(host) = hosts.get(&instance) else { return };
                match &lock(&host.state).acs {
                    Some(mailbox) => mailbox.touch(touched),
                    None if touched == Touched::Instance => left.push(instance),
                    None => {}
                }
            });
        }
        left.into_iter().for_each(|instance| self.forget_unregistered(engine, instance));
    }

    /// Keep nothing of an instance that is gone for good.
    fn forget_unregistered(&self, engine: &Engine, instance: Id128) {
        let published = engine.view();
        if !self.world.is_registered(&View::new(&published.state, now()), instance) {
            lock(&self.hosts).remove(&instance);
            self.telemetry.forget(instance);
        }
    }

    fn wake_all(&self) {
        for host in self.all() {
            if let Some(mailbox) = &lock(&host.state).acs {
                mailbox.everything();
            }
        }
    }

    /// Send every agent away: it dials anew, wherever the leader is.
    pub fn end_all(&self) {
        for host in self.all() {
            let state = lock(&host.state);
            for mailbox in [&state.acs, &state.tcs].into_iter().flatten() {
                mailbox.end(Ending::Leaving);
            }
        }
    }

    /// Tell the rows what they must know. A full disk or a full queue passes.
    async fn tell_until_taken(&self, engine: &Engine, told: Told, still: impl Fn() -> bool) {
        let mut wait = Duration::from_millis(50);
        while still() {
            match self.world.tell(engine, told.clone()).await {
                Ok(()) => return,
                Err(Refusal::Busy(_) | Refusal::NotDurable(_)) => {}
                Err(refusal) => {
                    // Whoever leads now has its own connections to tell of.
                    return tracing::debug!("a report was not taken: {refusal}");
                }
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(Duration::from_secs(5));
        }
    }

    /// Tell it until it is taken.
    pub(crate) async fn tell(&self, engine: &Engine, told: Told) {
        self.tell_until_taken(engine, told, || true).await;
    }

    fn open_exec(&self, opening: &Opening<'_>, id: &str) -> Result<Conversation, SocketRefused> {
        let (agent, _) = self.admit(opening, "ecs:Poll")?;
        let links = self.itself.upgrade().ok_or_else(stopping)?;
        let (engine, id) = (opening.engine.clone(), id.to_owned());
        Ok(Box::new(move |stream| Box::pin(exec::serve_host(links, engine, agent, id, stream))))
    }

    fn open_channel(&self, opening: &Opening<'_>, id: &str) -> Result<Conversation, SocketRefused> {
        let links = self.itself.upgrade().ok_or_else(stopping)?;
        let (engine, id) = (opening.engine.clone(), id.to_owned());
        Ok(Box::new(move |stream| Box::pin(exec::serve_client(links, engine, id, stream))))
    }

    fn open_acs(&self, opening: &Opening<'_>) -> Result<Conversation, SocketRefused> {
        let (agent, query) = self.admit(opening, "ecs:Poll")?;
        let hello = Hello {
            endpoint: opening.origin.endpoint.clone(),
            protocol_version: query.number("protocolVersion").unwrap_or(1) as u32,
            send_credentials: query.text("sendCredentials") == "true",
            seq_num: query.number("seqNum").unwrap_or(0),
        };
        let links = self.itself.upgrade().ok_or_else(stopping)?;
        let engine = opening.engine.clone();
        Ok(Box::new(move |stream| {
            Box::pin(async move {
                let socket = Socket::new(stream, aws_agent::frame::MAX_FROM_AGENT).await;
                links.serve_acs(engine, agent, hello, socket).await;
            })
        }))
    }

    async fn serve_acs(
        self: Arc<Self>,
        engine: Engine,
        agent: Agent,
        hello: Hello,
        socket: Socket,
    ) {
        let (instance, host) = (agent.instance, self.host(agent.instance));
        let session = (engine.term() << 32) + self.sessions.fetch_add(1, Ordering::Relaxed) + 1;
        let mailbox = Arc::new(Mailbox::default());
        let older = {
            let mut state = lock(&host.state);
            state.session = session;
            state.acs.replace(mailbox.clone())
        };
        if let Some(older) = older {
            older.end(Ending::Superseded);
        }
        tracing::info!(instance = agent.arn, session, "an agent is connected");
        let arn = agent.arn.clone();
        let stands = || lock(&host.state).session == session;
        let connected = Told::Connected { instance, session };
        let telling = self.tell_until_taken(&engine, connected, stands);
        let both = (session, mailbox.clone());
        let connection = Connection::new(
            self.clone(),
            engine.clone(),
            (agent, hello),
            host.clone(),
            both,
            socket,
        );
        let ((), end) = tokio::join!(telling, connection.run());
        // Who fell silent was gone before that was noticed, and does not dial anew for our sake.
        let gone = match end {
            End::Silent { since } => since,
            _ => tokio::time::Instant::now(),
        };
        tracing::info!(instance = arn, session, "an agent is gone: {end}");
        self.end_session(&host, session, matches!(end, End::Deregistered));
        if matches!(end, End::Leaving | End::Superseded) {
            return;
        }
        tokio::time::sleep_until(gone + self.pace.linger).await;
        let disconnected = Told::Disconnected { instance, session, away: gone.elapsed() };
        self.tell_until_taken(&engine, disconnected, stands).await;
        self.forget_unregistered(&engine, instance);
    }

    fn end_session(&self, host: &Host, session: u64, deregistered: bool) {
        let mut state = lock(&host.state);
        if state.session != session {
            return;
        }
        state.acs = None;
        if deregistered && let Some(tcs) = &state.tcs {
            tcs.end(Ending::Leaving);
        }
    }

    fn open_tcs(&self, opening: &Opening<'_>) -> Result<Conversation, SocketRefused> {
        let (agent, _) = self.admit(opening, "ecs:StartTelemetrySession")?;
        let links = self.itself.upgrade().ok_or_else(stopping)?;
        let engine = opening.engine.clone();
        Ok(Box::new(move |stream| {
            Box::pin(async move {
                let socket = Socket::new(stream, aws_agent::frame::MAX_FROM_AGENT).await;
                let (host, mailbox) = (links.host(agent.instance), Arc::new(Mailbox::default()));
                let older = lock(&host.state).tcs.replace(mailbox.clone());
                if let Some(older) = older {
                    older.end(Ending::Superseded);
                }
                crate::tcs::serve(&links, &engine, &agent, &mailbox, socket).await;
                let mut state = lock(&host.state);
                if state.tcs.as_ref().is_some_and(|now| Arc::ptr_eq(now, &mailbox)) {
                    state.tcs = None;
                }
            })
        }))
    }

    fn admit(
        &self,
        opening: &Opening<'_>,
        action: &'static str,
    ) -> Result<(Agent, Query), SocketRefused> {
        let query = Query::of(opening.parts.uri.query().unwrap_or_default());
        // AWS: the two sockets name the same things differently.
        let either = |one: &str, other: &str| match query.text(one) {
            "" => query.text(other).to_owned(),
            text => text.to_owned(),
        };
        let poll = Poll {
            action,
            cluster: either("clusterArn", "cluster"),
            container_instance: either("containerInstanceArn", "containerInstance"),
        };
        if self.open_in.load(Ordering::Acquire) != opening.engine.term() {
            let text = "The server is not ready for agents yet.";
            let status = StatusCode::SERVICE_UNAVAILABLE;
            return Err(SocketRefused::new(status, "ServerException", text));
        }
        let call = opening.call.as_ref().ok_or_else(stopping)?;
        let published = opening.engine.view();
        let view = View::new(&published.state, now());
        let agent = self.world.admit(&view, call, &poll)?;
        Ok((agent, query))
    }
}

fn stopping() -> SocketRefused {
    let text = "The server is stopping.";
    SocketRefused::new(StatusCode::SERVICE_UNAVAILABLE, "ServerException", text)
}

/// What a path names.
enum Path<'a> {
    Acs,
    Tcs,
    /// The host's side of an exec session.
    Exec(&'a str),
    /// The client's side.
    Channel(&'a str),
}

impl Path<'_> {
    fn of(path: &str) -> Option<Path<'_>> {
        let id = |rest: &'_ str| rest.len() <= 128 && !rest.is_empty() && !rest.contains('/');
        let below = |folder: &str| path.strip_prefix(folder)?.strip_prefix('/').filter(|r| id(r));
        match path.strip_suffix(paths::SOCKET) {
            Some(paths::ACS) => Some(Path::Acs),
            Some(paths::TCS) => Some(Path::Tcs),
            _ => below(paths::EXEC)
                .map(Path::Exec)
                .or_else(|| below(paths::DATA_CHANNEL).map(Path::Channel)),
        }
    }
}

impl Sockets for Links {
    fn gate(&self, path: &str) -> Option<Gate> {
        Some(match Path::of(path)? {
            Path::Acs | Path::Tcs | Path::Exec(_) => Gate::Signed("ecs"),
            Path::Channel(_) => Gate::Open,
        })
    }

    fn open(&self, opening: Opening<'_>) -> Result<Conversation, SocketRefused> {
        match Path::of(opening.parts.uri.path()) {
            Some(Path::Acs) => self.open_acs(&opening),
            Some(Path::Tcs) => self.open_tcs(&opening),
            Some(Path::Exec(id)) => self.open_exec(&opening, id),
            Some(Path::Channel(id)) => self.open_channel(&opening, id),
            None => Err(stopping()),
        }
    }
}

/// The members of a URL's query.
pub(crate) struct Query(HashMap<String, String>);

/// Members that are looked at.
const MEMBERS: usize = 64;

impl Query {
    pub fn of(query: &str) -> Query {
        let plain = |text: &str| {
            let text = text.replace('+', " ");
            percent_encoding::percent_decode_str(&text).decode_utf8_lossy().into_owned()
        };
        let pairs = query.split('&').take(MEMBERS).filter_map(|pair| pair.split_once('='));
        Query(pairs.map(|(name, value)| (plain(name), plain(value))).collect())
    }

    pub fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    fn number(&self, name: &str) -> Option<i64> {
        self.text(name).parse().ok().filter(|number| *number >= 0)
    }
}

/// The time of day.
pub(crate) fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_numbers_never_go_back() {
        let host = Host::default();
        let first = host.next_sequence(3, 0);
        assert_eq!(first, (3 << 32) + 1);
        assert_eq!(host.next_sequence(3, first + 7), first + 8);
        assert_eq!(host.next_sequence(3, 5), first + 9);
        assert_eq!(host.next_sequence(4, 0), (4 << 32) + 1);
        // A journal that was lost: the agent remembers more than this server.
        assert_eq!(Host::default().next_sequence(1, 9 << 32), (9 << 32) + 1);
        assert_eq!(Host::default().next_sequence(1, i64::MAX), (1 << 32) + 1);
    }

    #[test]
    fn a_query_reads_as_the_stock_agent_writes_it() {
        let query = Query::of(concat!(
            "agentVersion=1.105.1&clusterArn=default&containerInstanceArn=arn%3Aaws%3Aecs%3A",
            "us-east-1%3A1%3Acontainer-instance%2Fdefault%2Fab&dockerVersion=",
            "DockerVersion%3A+20.10.24%2Bdfsg1&protocolVersion=2&sendCredentials=true&seqNum=1"
        ));
        assert_eq!(query.text("dockerVersion"), "DockerVersion: 20.10.24+dfsg1");
        assert!(query.text("containerInstanceArn").ends_with("container-instance/default/ab"));
        assert_eq!((query.number("seqNum"), query.number("agentVersion")), (Some(1), None));
    }
}
