//! One request, phase by phase.

use std::net::IpAddr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_protocol::router::{Route, Router};
use aws_protocol::{AnyShape, ApiError, OperationDef, Protocol, ServiceDef};
use aws_sigv4::{Request, Rules, SigningKeys, peek_credential};
use bytes::Bytes;
use core_step::{Action, Call, Demands, Origin, Run, View};
use core_types::Time;
use http::request;
use http::{Response, header};
use plane_engine::{Engine, Published, Refusal, Role};
use tokio::sync::Semaphore;
use tokio::sync::watch;

use crate::authenticate::{Authenticated, anonymous, authenticate, refusal};
use crate::data::{Handled, Handlers, event_reply};
use crate::figures::Figures;
use crate::forward::Forward;
use crate::guard::guarded;
use crate::operator::{self, Operator, OperatorAnswer, OperatorCall};
use crate::patience::Patience;
use crate::reply::ReplyBody;
use crate::socket::{Door, Sockets};
use crate::{admin, body, request_id};

/// Bounds on one request.
#[derive(Clone, Debug)]
pub struct Limits {
    pub body: usize,
    /// How long a client may take to send its body.
    pub body_time: Duration,
    /// How long a client may take to send a request's head, or to come with the next request.
    pub head_time: Duration,
    pub connections: usize,
    /// Websockets that may be open at once; they count no longer as connections.
    pub sockets: usize,
    /// How long a follower may need to catch up with what a reader must see.
    pub catch_up: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            body: 8 << 20,
            body_time: Duration::from_secs(60),
            head_time: Duration::from_secs(60),
            connections: 4096,
            sockets: 16384,
            catch_up: Duration::from_secs(10),
        }
    }
}

/// What a gateway is made of beside its engine.
#[derive(Default)]
pub struct Parts {
    pub limits: Limits,
    /// Answers under `/_wharf/`; without one there is nothing there.
    pub operator: Option<Arc<dyn Operator>>,
    /// How followers pass writes on; without it they refuse them.
    pub forward: Option<Forward>,
    /// What does the jobs of data actions; those without a handler are not offered.
    pub data: Handlers,
    /// Who carries on what is said on websockets; without it none is opened.
    pub sockets: Option<Arc<dyn Sockets>>,
    /// Learns of each signed request before it is known whether it is granted.
    pub uses: Option<Uses>,
    /// Writes further figures for `/metrics`, in Prometheus' text form.
    pub figures: Option<MoreFigures>,
}

/// Told of who calls which service, by its signing name.
pub type Uses = Box<dyn Fn(&Call, &'static str) + Send + Sync>;

/// Appends to the text of `/metrics`.
pub type MoreFigures = Box<dyn Fn(&mut String) + Send + Sync>;

/// Everything a request needs.
pub struct Gateway {
    pub(crate) engine: Engine,
    router: Router,
    offered: Offered,
    keys: SigningKeys,
    pub(crate) limits: Limits,
    pub(crate) figures: Figures,
    operator: Option<Arc<dyn Operator>>,
    pub(crate) forward: Option<Forward>,
    data: Handlers,
    uses: Option<Uses>,
    more_figures: Option<MoreFigures>,
    door: Option<Door>,
    /// Set when the server stops: replies that go on end then.
    pub(crate) stopping: watch::Sender<bool>,
}

/// What the connection knows of its peer.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    pub address: Option<SocketAddr>,
    pub secure: bool,
}

/// The actions by their operations. Operations are statics, so their addresses name them.
struct Offered(Vec<(usize, &'static Action)>);

impl Offered {
    fn new(engine: &Engine) -> Offered {
        let actions = engine.registry().slices().iter().flat_map(|slice| slice.actions);
        let mut all: Vec<_> = actions.map(|action| (address(action.op), action)).collect();
        all.sort_by_key(|(address, _)| *address);
        Offered(all)
    }

    /// The action, and its place for the figures.
    fn find(&self, operation: &'static OperationDef) -> Option<(usize, &'static Action)> {
        let at = self.0.binary_search_by_key(&address(operation), |(address, _)| *address).ok()?;
        Some((at, self.0[at].1))
    }
}

fn address(operation: &'static OperationDef) -> usize {
    std::ptr::from_ref(operation).addr()
}

/// A request on its way.
pub(crate) struct Incoming<'a> {
    pub parts: &'a request::Parts,
    pub body: &'a Bytes,
    pub signature: Request<'a>,
    pub peer: Peer,
    pub id: &'a Arc<str>,
}

/// How a request ended, for the log and the figures.
struct Ended {
    response: Response<ReplyBody>,
    service: &'static str,
    operation: &'static str,
    /// The action's place in the figures.
    place: Option<usize>,
    code: Option<String>,
    caller: Option<Arc<str>>,
}

impl Gateway {
    pub fn new(engine: Engine, parts: Parts) -> Arc<Self> {
        let router = Router::new(engine.registry().slices().iter().map(|slice| slice.service));
        let offered = Offered::new(&engine);
        let names = offered.0.iter().map(|(_, action)| (action.op.service.id, action.op.name));
        let figures = Figures::new(names.collect());
        let Parts { limits, operator, forward, data, sockets, uses, figures: more_figures } = parts;
        let places = Arc::new(Semaphore::new(limits.sockets));
        let door = sockets.map(|sockets| Door { sockets, places });
        let keys = SigningKeys::new(1024);
        let stopping = watch::Sender::new(false);
        Arc::new(Gateway {
            engine,
            router,
            offered,
            keys,
            limits,
            figures,
            operator,
            forward,
            data,
            uses,
            more_figures,
            door,
            stopping,
        })
    }

    /// Answer one request.
    pub async fn answer<B>(
        &self,
        request: http::Request<B>,
        peer: Peer,
        patience: &Patience,
    ) -> Response<ReplyBody>
    where
        B: hyper::body::Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let started = Instant::now();
        if let Some(door) = &self.door
            && let Some(gate) = door.gate(&request)
        {
            return self.open_socket(door, gate, request, peer).await.map(ReplyBody::from);
        }
        let (parts, body) = request.into_parts();
        if let Some(response) = self.administer(&parts) {
            return response.map(ReplyBody::from);
        }
        let request_id = request_id::next();
        let body = body::read(body, self.limits.body, patience, self.limits.body_time).await;
        let ended = match body {
            Ok(body) => self.run(&parts, &body, peer, &request_id).await,
            Err(error) => ended(None, &error, Protocol::AwsJson11, None, &request_id),
        };
        let took = started.elapsed();
        let status = ended.response.status().as_u16();
        self.figures.count(ended.place, (ended.service, ended.operation), status, took);
        tracing::debug!(
            target: "wharf::request",
            request_id = &*request_id,
            service = ended.service,
            operation = ended.operation,
            status,
            code = ended.code,
            caller = ended.caller.as_deref(),
            source_ip = peer.address.map(|a| tracing::field::display(a.ip())),
            micros = took.as_micros() as u64,
        );
        ended.response
    }

    fn administer(&self, parts: &request::Parts) -> Option<Response<Bytes>> {
        admin::answer(&self.engine, &self.figures, self.more_figures.as_ref(), parts)
    }

    async fn run(&self, parts: &request::Parts, body: &Bytes, peer: Peer, id: &Arc<str>) -> Ended {
        let signature = sigv4_request(parts);
        let incoming = Incoming { parts, body, signature, peer, id };
        if let Some(operator) = &self.operator
            && let Some(path) = parts.uri.path().strip_prefix(operator::PREFIX)
        {
            return self.operate(&**operator, path, &incoming).await;
        }
        let credential = peek_credential(&incoming.signature);
        let signing_name = credential.as_ref().map(|c| c.service());
        let route = match self.router.route(parts, body, signing_name) {
            Ok(route) => route,
            Err(refused) => {
                let service = refused.service;
                return ended(service, &refused.error, refused.protocol, None, id);
            }
        };
        let Some((place, action)) = self.offered.find(route.operation) else {
            let error = ApiError::unsupported_operation(format!(
                "{} of {} is not offered by this server yet.",
                route.operation.name, route.service.sdk_id
            ));
            return route_ended(&route, None, &error, id);
        };
        // Users' bytes are where the leader is, like rows.
        let reads = matches!(action.run, Run::Read(_));
        if !reads && self.engine.role() == Role::Follower {
            return match self.pass_on(&incoming).await {
                Ok(response) => done(&route, place, response, None),
                Err(error) => route_ended(&route, Some(place), &error, id),
            };
        }
        match guarded(self.call(&route, action, &incoming)).await.flatten() {
            Ok((caller, response)) => done(&route, place, response, Some(caller)),
            Err(error) => route_ended(&route, Some(place), &error, id),
        }
    }

    async fn pass_on(&self, incoming: &Incoming<'_>) -> Result<Response<ReplyBody>, ApiError> {
        let Some(forward) = &self.forward else {
            return Err(unavailable(self.engine.not_leading()));
        };
        forward.send(&self.engine, incoming.parts, incoming.body, incoming.peer).await
    }

    /// A revision that shows every write acknowledged before the request came.
    async fn current_view(&self) -> Result<Arc<Published>, ApiError> {
        if self.engine.role() == Role::Leader {
            return Ok(self.engine.view());
        }
        match tokio::time::timeout(self.limits.catch_up, self.engine.current_view()).await {
            Ok(view) => view.map_err(unavailable),
            Err(_) => Err(ApiError::service_unavailable(
                "This server has fallen behind the leader of the control plane.",
            )),
        }
    }

    pub(crate) fn authenticate(
        &self,
        incoming: &Incoming<'_>,
        view: &View<'_>,
        clock: Duration,
        signing_name: &'static str,
        protocol: Protocol,
    ) -> Result<Authenticated, ApiError> {
        let names = [signing_name];
        let rules = Rules::for_services(&names);
        let identity = self.engine.registry().identity();
        let (body, seconds) = (incoming.body, clock.as_secs() as i64);
        authenticate(identity, &self.keys, view, &incoming.signature, &rules, body, seconds)
            .map_err(|error| refusal(&error, protocol))
    }

    async fn call(
        &self,
        route: &Route,
        action: &'static Action,
        incoming: &Incoming<'_>,
    ) -> Result<(Arc<str>, Response<ReplyBody>), ApiError> {
        let published = self.current_view().await?;
        let clock = clock();
        let view = View::new(&published.state, Time(clock.as_millis() as i64));
        let name = route.service.signing_name;
        let signed = peek_credential(&incoming.signature).is_some();
        let known = match route.operation.unsigned && !signed {
            true => anonymous(),
            false => self.authenticate(incoming, &view, clock, name, route.protocol)?,
        };
        let peer = self.forward.as_ref().and_then(|f| f.true_peer(&view, incoming.parts));
        let call = Call {
            caller: known.caller,
            region: known.region,
            request_id: incoming.id.clone(),
            origin: Arc::new(origin(incoming.parts, peer.unwrap_or(incoming.peer))),
        };
        if let Some(uses) = &self.uses
            && signed
        {
            uses(&call, name);
        }
        let input = route.operation.decode(route.protocol, incoming.parts, incoming.body)?;
        let caller = call.caller.arn.clone();
        let output = match action.run {
            Run::Read(run) => {
                self.authorize(action, &call, &view, &*input)?;
                run(&call, &view, input)?
            }
            Run::Write(_) => {
                let call = Arc::new(call);
                self.engine.call(call, action, input).await.map_err(unavailable)??
            }
            Run::Data(prepare) => {
                self.authorize(action, &call, &view, &*input)?;
                let job = prepare(&call, &view, input)?;
                drop(published);
                match self.data.handle(route.operation, Arc::new(call), job).await? {
                    Handled::Shape(output) => output,
                    Handled::Events(events) => {
                        let stopping = self.stopping.subscribe();
                        let reply = event_reply(route.protocol, events, stopping, incoming.id);
                        return Ok((caller, reply));
                    }
                }
            }
        };
        let response = route.operation.encode(route.protocol, &*output, incoming.id);
        Ok((caller, response.map(ReplyBody::from)))
    }

    fn authorize(
        &self,
        action: &'static Action,
        call: &Call,
        view: &View<'_>,
        input: &dyn AnyShape,
    ) -> Result<(), ApiError> {
        match (action.authorize)(call, view, input) {
            Demands::Need(demands) => {
                self.engine.registry().identity().authorize(call, view, &demands)
            }
            Demands::Nothing { .. } => Ok(()),
        }
    }

    async fn operate(&self, operator: &dyn Operator, path: &str, incoming: &Incoming<'_>) -> Ended {
        let done = self.ask_operator(operator, path, incoming).await;
        let id = incoming.id;
        let (response, code) = match done {
            Ok(response) => (response, None),
            Err(error) => {
                let code = error.code_in(Protocol::AwsJson11).to_owned();
                (error.reply(Protocol::AwsJson11, None, id).map(ReplyBody::from), Some(code))
            }
        };
        Ended { response, service: "wharf", operation: "-", place: None, code, caller: None }
    }

    async fn ask_operator(
        &self,
        operator: &dyn Operator,
        path: &str,
        incoming: &Incoming<'_>,
    ) -> Result<Response<ReplyBody>, ApiError> {
        let published = self.current_view().await?;
        let clock = clock();
        let view = View::new(&published.state, Time(clock.as_millis() as i64));
        let name = operator::SIGNING_NAME;
        let known = self.authenticate(incoming, &view, clock, name, Protocol::AwsJson11)?;
        let (caller, method) = (&*known.caller, &incoming.parts.method);
        let call = OperatorCall { caller, method, path, body: incoming.body };
        match operator.answer(&self.engine, call).await {
            OperatorAnswer::Json(status, body) => {
                Ok(operator::response(status, body, incoming.id).map(ReplyBody::from))
            }
            OperatorAnswer::Forward => self.pass_on(incoming).await,
        }
    }
}

pub(crate) fn clock() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

pub(crate) fn sigv4_request(parts: &request::Parts) -> Request<'_> {
    Request {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        headers: &parts.headers,
        authority: parts.uri.authority().map(|authority| authority.as_str()),
    }
}

pub(crate) fn origin(parts: &request::Parts, peer: Peer) -> Origin {
    let text = |name| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let authority = parts.uri.authority().map(|authority| authority.as_str());
    let host = text(header::HOST).or(authority).unwrap_or("localhost");
    let scheme = if peer.secure { "https" } else { "http" };
    Origin {
        source_ip: peer.address.map(|address| canonical(address.ip())),
        user_agent: text(header::USER_AGENT).unwrap_or_default().to_owned(),
        endpoint: format!("{scheme}://{host}"),
        secure: peer.secure,
    }
}

/// An IPv4 peer of a dual-stack socket is an IPv4 peer.
fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

fn done(
    route: &Route,
    place: usize,
    response: Response<ReplyBody>,
    caller: Option<Arc<str>>,
) -> Ended {
    let (service, operation) = (route.service.id, route.operation.name);
    Ended { response, service, operation, place: Some(place), code: None, caller }
}

fn route_ended(route: &Route, place: Option<usize>, error: &ApiError, id: &str) -> Ended {
    let name = Some(route.operation.name);
    let ended = ended(Some(route.service), error, route.protocol, name, id);
    Ended { place, ..ended }
}

fn ended(
    service: Option<&'static ServiceDef>,
    error: &ApiError,
    protocol: Protocol,
    operation: Option<&'static str>,
    request_id: &str,
) -> Ended {
    // Unavailability is told by whoever causes it; here it would be a line a request.
    if error.status_in(protocol) >= 500 && error.status_in(protocol) != 503 {
        tracing::error!(target: "wharf::request", request_id, operation, "{error}");
    }
    Ended {
        response: error.reply(protocol, service, request_id).map(ReplyBody::from),
        service: service.map_or("-", |service| service.id),
        operation: operation.unwrap_or("-"),
        place: None,
        code: Some(error.code_in(protocol).to_owned()),
        caller: None,
    }
}

/// What the engine refuses is a fault of the service, which clients retry.
fn unavailable(refusal: Refusal) -> ApiError {
    match refusal {
        Refusal::Busy(_) => ApiError::throttling("Rate exceeded"),
        refusal => ApiError::service_unavailable(refusal.to_string()),
    }
}
