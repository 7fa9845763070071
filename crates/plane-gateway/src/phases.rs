//! One request, phase by phase.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_protocol::router::Router;
use aws_protocol::{ApiError, Protocol, ServiceDef};
use aws_sigv4::{Request, Rules, SigningKeys, peek_credential};
use bytes::Bytes;
use core_step::{Action, Call, Demands, Origin, Run, View};
use core_types::Time;
use http::request::Parts;
use http::{Response, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use plane_engine::{Engine, Refusal};

use crate::admin;
use crate::authenticate::{authenticate, refusal};
use crate::figures::Figures;

/// Bounds on one request.
#[derive(Clone, Debug)]
pub struct Limits {
    pub body: usize,
    /// How long a client may take to send its body.
    pub body_time: Duration,
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { body: 8 << 20, body_time: Duration::from_secs(60), connections: 4096 }
    }
}

/// Everything a request needs.
pub struct Gateway {
    pub(crate) engine: Engine,
    router: Router,
    keys: SigningKeys,
    pub(crate) limits: Limits,
    pub(crate) figures: Figures,
}

/// What the connection knows of its peer.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    pub address: Option<SocketAddr>,
    pub secure: bool,
}

/// A request that is known to be for an operation.
struct Routed {
    protocol: Protocol,
    service: &'static ServiceDef,
    action: &'static Action,
}

/// How a request ended, for the log and the figures.
struct Ended {
    response: Response<Bytes>,
    service: &'static str,
    operation: &'static str,
    code: Option<String>,
    caller: Option<Arc<str>>,
}

impl Gateway {
    pub fn new(engine: Engine, limits: Limits) -> Arc<Self> {
        let router = Router::new(engine.registry().slices().iter().map(|slice| slice.service));
        let keys = SigningKeys::new(1024);
        Arc::new(Gateway { engine, router, keys, limits, figures: Figures::default() })
    }

    /// Answer one request.
    pub async fn answer<B>(&self, request: http::Request<B>, peer: Peer) -> Response<Bytes>
    where
        B: hyper::body::Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let started = Instant::now();
        let (parts, body) = request.into_parts();
        if let Some(response) = admin::answer(&self.engine, &self.figures, &parts) {
            return response;
        }
        let request_id = request_id();
        let ended = self.run(&parts, body, peer, &request_id).await;
        let took = started.elapsed();
        let status = ended.response.status().as_u16();
        self.figures.count(ended.service, ended.operation, status, took);
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

    async fn run<B>(&self, parts: &Parts, body: B, peer: Peer, request_id: &Arc<str>) -> Ended
    where
        B: hyper::body::Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let body = match self.read_body(body).await {
            Ok(body) => body,
            Err(error) => return ended(None, &error, Protocol::AwsJson11, None, request_id),
        };
        let signature = sigv4_request(parts);
        let credential = peek_credential(&signature);
        let signing_name = credential.as_ref().map(|c| c.service());
        let route = match self.router.route(parts, &body, signing_name) {
            Ok(route) => route,
            Err(refused) => {
                let service = refused.service;
                return ended(service, &refused.error, refused.protocol, None, request_id);
            }
        };
        let (protocol, service) = (route.protocol, route.service);
        let fail = |error: &ApiError, operation| {
            ended(Some(service), error, protocol, Some(operation), request_id)
        };
        let operation = route.operation.name;
        let Some(action) = self.engine.registry().action(service.id, operation) else {
            let error = ApiError::unsupported_operation(format!(
                "{operation} of {} is not offered by this server yet.",
                service.sdk_id
            ));
            return fail(&error, operation);
        };
        let routed = Routed { protocol, service, action };
        match self.call(&routed, parts, &signature, &body, peer, request_id).await {
            Ok((caller, output)) => Ended {
                response: route.operation.encode(protocol, &*output, request_id),
                service: service.id,
                operation,
                code: None,
                caller: Some(caller),
            },
            Err(error) => fail(&error, operation),
        }
    }

    async fn read_body<B>(&self, body: B) -> Result<Bytes, ApiError>
    where
        B: hyper::body::Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let read = Limited::new(body, self.limits.body).collect();
        match tokio::time::timeout(self.limits.body_time, read).await {
            Ok(Ok(whole)) => Ok(whole.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                Err(ApiError::request_entity_too_large(format!(
                    "The request body is larger than {} bytes.",
                    self.limits.body
                )))
            }
            Ok(Err(error)) => Err(ApiError::malformed_request(format!(
                "The request body could not be read: {error}"
            ))),
            Err(_) => Err(ApiError::new("RequestTimeout", 408, "The request body took too long.")),
        }
    }

    async fn call(
        &self,
        routed: &Routed,
        parts: &Parts,
        signature: &Request<'_>,
        body: &Bytes,
        peer: Peer,
        request_id: &Arc<str>,
    ) -> Result<(Arc<str>, Box<dyn aws_protocol::AnyShape>), ApiError> {
        let published = self.engine.current_view().await.map_err(unavailable)?;
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let view = View::new(&published.state, Time(clock.as_millis() as i64));
        let names = [routed.service.signing_name];
        let rules = Rules::for_services(&names);
        let identity = self.engine.registry().identity();
        let authenticated = authenticate(
            identity,
            &self.keys,
            &view,
            signature,
            &rules,
            body,
            clock.as_secs() as i64,
        )
        .map_err(|error| refusal(&error, routed.protocol))?;
        let call = Call {
            caller: authenticated.caller,
            region: authenticated.region,
            request_id: request_id.clone(),
            origin: Arc::new(origin(parts, peer)),
        };
        let input = routed.action.op.decode(routed.protocol, parts, body)?;
        let caller = call.caller.arn.clone();
        let output = match routed.action.run {
            Run::Read(run) => {
                let demands = (routed.action.authorize)(&call, &view, &*input);
                if let Demands::Need(demands) = demands {
                    identity.authorize(&call, &view, &demands)?;
                }
                run(&call, &view, input)
            }
            Run::Write(_) => {
                let call = Arc::new(call);
                self.engine.call(call, routed.action, input).await.map_err(unavailable)?
            }
        };
        Ok((caller, output?))
    }
}

fn sigv4_request(parts: &Parts) -> Request<'_> {
    Request {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        headers: &parts.headers,
        authority: parts.uri.authority().map(|authority| authority.as_str()),
    }
}

fn origin(parts: &Parts, peer: Peer) -> Origin {
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

fn ended(
    service: Option<&'static ServiceDef>,
    error: &ApiError,
    protocol: Protocol,
    operation: Option<&'static str>,
    request_id: &str,
) -> Ended {
    if error.status_in(protocol) >= 500 {
        tracing::error!(target: "wharf::request", request_id, operation, "{error}");
    }
    Ended {
        response: error.reply(protocol, service, request_id),
        service: service.map_or("-", |service| service.id),
        operation: operation.unwrap_or("-"),
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

/// A request id in AWS's form. Ids only have to differ, so a counter behind a random start does.
fn request_id() -> Arc<str> {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    static START: LazyLock<[u8; 16]> = LazyLock::new(|| {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("the system gives random bytes");
        bytes
    });
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut id = *START;
    // An odd multiplier spreads the counter over the visible digits.
    let n = COUNT.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for (byte, n) in id.iter_mut().zip(n.to_be_bytes()) {
        *byte ^= n;
    }
    core_types::Id128(id).dashed().into()
}
