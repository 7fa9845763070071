//! Calls to etcd: one channel over all endpoints, a time limit on each call, and errors sorted by
//! what the journal can do about them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::uri::PathAndQuery;
use tonic::metadata::MetadataValue;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Status, Streaming};
use tonic_prost::ProstCodec;

use super::options::{EtcdOptions, TlsFiles};
use super::wire::{
    AuthenticateRequest, AuthenticateResponse, CompactionRequest, Done, LeaseGrantRequest,
    LeaseGrantResponse, LeaseKeepAliveResponse, LeaseRequest, RangeRequest, RangeResponse,
    TxnRequest, TxnResponse, WatchCreateRequest, WatchRequest, WatchResponse,
};
use crate::JournalError;

/// A page of log values or snapshot chunks can be this many MiB, plus what surrounds them.
const MAX_ANSWER: usize = 64 << 20;

/// A failed call, before it is known whether that matters.
#[derive(Debug)]
pub(super) struct CallError {
    endpoints: Arc<str>,
    action: &'static str,
    status: Status,
}

impl CallError {
    /// The answer may come when asked again; whether the call took effect is not known.
    pub fn is_transient(&self) -> bool {
        use Code::{Aborted, Cancelled, DeadlineExceeded, Internal, Unavailable, Unknown};
        let code = self.status.code();
        // A broken connection shows as any of these, depending on when it broke.
        matches!(code, Unavailable | DeadlineExceeded | Cancelled | Aborted | Unknown | Internal)
    }

    /// etcd's space quota is used up: it told so without doing anything.
    pub fn is_full(&self) -> bool {
        self.status.code() == Code::ResourceExhausted && self.status.message().contains("space")
    }

    /// etcd puts off too many requests before it takes them up.
    pub fn is_overload(&self) -> bool {
        self.status.code() == Code::ResourceExhausted && !self.is_full()
    }

    /// The revision that was asked for has been compacted away.
    pub fn is_compacted(&self) -> bool {
        self.status.code() == Code::OutOfRange
    }
}

impl From<CallError> for JournalError {
    fn from(error: CallError) -> JournalError {
        let sources = std::error::Error::source(&error.status).map(chain);
        let detail = sources.unwrap_or_else(|| error.status.message().to_owned());
        let reason = format!("{:?}: {detail}", error.status.code());
        if error.is_full() {
            let reason = format!(
                "{reason} (raise its quota, or compact and defragment; then `etcdctl alarm disarm`)"
            );
            return JournalError::Full { place: "etcd".into(), reason };
        }
        JournalError::Etcd { endpoints: error.endpoints.to_string(), action: error.action, reason }
    }
}

#[derive(Clone)]
pub(super) struct Client {
    channel: Channel,
    endpoints: Arc<str>,
    timeout: Duration,
    user: Option<(String, String)>,
    token: Arc<Mutex<Option<String>>>,
}

fn endpoint(url: &str, options: &EtcdOptions) -> Result<Endpoint, String> {
    // A member that hangs is found out within the lease's time, by pings.
    let third = options.lease_ttl / 3;
    let endpoint = Endpoint::from_shared(url.to_owned())
        .map_err(|error| error.to_string())?
        .connect_timeout(third)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(third)
        .keep_alive_timeout(third)
        .keep_alive_while_idle(true);
    match &options.tls {
        None => Ok(endpoint),
        Some(files) => endpoint.tls_config(tls_config(files)?).map_err(|error| error.to_string()),
    }
}

fn tls_config(files: &TlsFiles) -> Result<ClientTlsConfig, String> {
    let read = |path: &std::path::Path| {
        std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
    };
    let config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(&files.ca)?));
    match &files.identity {
        None => Ok(config),
        Some((cert, key)) => Ok(config.identity(Identity::from_pem(read(cert)?, read(key)?))),
    }
}

impl Client {
    /// Connects when first used. Must be called inside the runtime that is to carry the channel.
    pub fn new(options: &EtcdOptions) -> Result<Client, JournalError> {
        let bad =
            |reason: String| JournalError::Address { url: options.endpoints.join(","), reason };
        let endpoints: Vec<Endpoint> = options
            .endpoints
            .iter()
            .map(|url| endpoint(url, options))
            .collect::<Result<_, _>>()
            .map_err(bad)?;
        let channel = match &endpoints[..] {
            [one] => one.connect_lazy(),
            _ => Channel::balance_list(endpoints.into_iter()),
        };
        let timeout = options.lease_ttl / 3;
        let endpoints = options.endpoints.join(",").into();
        Ok(Client {
            channel,
            endpoints,
            timeout,
            user: options.user.clone(),
            token: Arc::default(),
        })
    }

    fn error(&self, action: &'static str, status: Status) -> CallError {
        CallError { endpoints: self.endpoints.clone(), action, status }
    }

    async fn unary<Q, A>(
        &self,
        action: &'static str,
        path: &'static str,
        message: Q,
    ) -> Result<A, CallError>
    where
        Q: prost::Message + Clone + 'static,
        A: prost::Message + Default + 'static,
    {
        self.sign_in().await?;
        let first = self.once(action, path, message.clone()).await;
        match first {
            Err(error) if self.user.is_some() && error.status.code() == Code::Unauthenticated => {
                // The token ran out: etcd's simple tokens live five minutes.
                *self.token.lock().unwrap_or_else(PoisonError::into_inner) = None;
                self.sign_in().await?;
                self.once(action, path, message).await
            }
            other => other,
        }
    }

    async fn once<Q, A>(
        &self,
        action: &'static str,
        path: &'static str,
        message: Q,
    ) -> Result<A, CallError>
    where
        Q: prost::Message + 'static,
        A: prost::Message + Default + 'static,
    {
        let mut grpc =
            tonic::client::Grpc::new(self.channel.clone()).max_decoding_message_size(MAX_ANSWER);
        let request = self.signed(message);
        let call = async {
            grpc.ready().await.map_err(|error| Status::unavailable(chain(&error)))?;
            let codec = ProstCodec::<Q, A>::default();
            grpc.unary(request, PathAndQuery::from_static(path), codec).await
        };
        match tokio::time::timeout(self.timeout, call).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            Ok(Err(status)) => Err(self.error(action, status)),
            Err(_) => {
                let status = Status::deadline_exceeded(format!("no answer in {:?}", self.timeout));
                Err(self.error(action, status))
            }
        }
    }

    fn signed<Q>(&self, message: Q) -> Request<Q> {
        let mut request = Request::new(message);
        let token = self.token.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(value) = token.and_then(|token| MetadataValue::try_from(token).ok()) {
            request.metadata_mut().insert("authorization", value);
        }
        request
    }

    async fn sign_in(&self) -> Result<(), CallError> {
        let Some((name, password)) = self.user.clone() else { return Ok(()) };
        if self.token.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
            return Ok(());
        }
        let request = AuthenticateRequest { name, password };
        let path = "/etcdserverpb.Auth/Authenticate";
        let answer: AuthenticateResponse = self.once("sign in", path, request).await?;
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer.token);
        Ok(())
    }

    /// Asked again where a connection breaks, for as long as one call may take: a read changes
    /// nothing, and among several members the next one asked may be there.
    pub async fn range(&self, request: RangeRequest) -> Result<RangeResponse, CallError> {
        let until = Instant::now() + self.timeout;
        let mut pause = Duration::from_millis(10);
        loop {
            let answer = self.unary("read", "/etcdserverpb.KV/Range", request.clone()).await;
            let again = Instant::now() + pause < until;
            match answer {
                Err(error) if error.is_transient() && again => {}
                other => return other,
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(200));
        }
    }

    pub async fn txn(&self, request: TxnRequest) -> Result<TxnResponse, CallError> {
        self.unary("write", "/etcdserverpb.KV/Txn", request).await
    }

    pub async fn compact(&self, revision: i64) -> Result<(), CallError> {
        let request = CompactionRequest { revision };
        self.unary("compact", "/etcdserverpb.KV/Compact", request).await.map(|Done {}| ())
    }

    /// A new lease of at least `ttl` seconds: its id.
    pub async fn grant(&self, ttl: i64) -> Result<LeaseGrantResponse, CallError> {
        self.unary("get a lease", "/etcdserverpb.Lease/LeaseGrant", LeaseGrantRequest { ttl }).await
    }

    pub async fn revoke(&self, id: i64) -> Result<(), CallError> {
        let request = LeaseRequest { id };
        let path = "/etcdserverpb.Lease/LeaseRevoke";
        self.unary("give a lease back", path, request).await.map(|Done {}| ())
    }

    /// One sign of life; the seconds that the lease now has, 0 where it is gone.
    pub async fn keep_alive(&self, id: i64) -> Result<i64, CallError> {
        let action = "keep a lease";
        let path = "/etcdserverpb.Lease/LeaseKeepAlive";
        let request = LeaseRequest { id };
        let call = async {
            let mut answers: Streaming<LeaseKeepAliveResponse> =
                self.stream(action, path, request).await?;
            let first = answers.message().await.map_err(|status| self.error(action, status))?;
            Ok(first.map_or(0, |answer| answer.ttl))
        };
        match tokio::time::timeout(self.timeout, call).await {
            Ok(result) => result,
            Err(_) => {
                let status = Status::deadline_exceeded("no answer to a sign of life");
                Err(self.error(action, status))
            }
        }
    }

    /// Tells of changes to every key that begins with `prefix`, from now on.
    pub async fn watch(&self, prefix: &[u8]) -> Result<Streaming<WatchResponse>, CallError> {
        let (key, range_end) = (prefix.to_vec(), after_prefix(prefix));
        let create = Some(WatchCreateRequest { key, range_end });
        self.sign_in().await?;
        self.stream("watch", "/etcdserverpb.Watch/Watch", WatchRequest { create }).await
    }

    /// A call with one message up and many down. Our side stays open: etcd ends a watch otherwise.
    async fn stream<Q, A>(
        &self,
        action: &'static str,
        path: &'static str,
        message: Q,
    ) -> Result<Streaming<A>, CallError>
    where
        Q: prost::Message + Unpin + 'static,
        A: prost::Message + Default + 'static,
    {
        let mut grpc =
            tonic::client::Grpc::new(self.channel.clone()).max_decoding_message_size(MAX_ANSWER);
        let fail = |status| self.error(action, status);
        grpc.ready().await.map_err(|error| fail(Status::unavailable(chain(&error))))?;
        let upward = OneThenOpen(Some(message));
        let codec = ProstCodec::<Q, A>::default();
        let request = self.signed(upward);
        let answer = grpc.streaming(request, PathAndQuery::from_static(path), codec).await;
        answer.map(|answer| answer.into_inner()).map_err(fail)
    }
}

/// A request stream with one message that never ends by itself.
struct OneThenOpen<Q>(Option<Q>);

impl<Q: Unpin> tokio_stream::Stream for OneThenOpen<Q> {
    type Item = Q;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Q>> {
        // Nothing ever wakes a pending upward side; dropping the answers ends the call.
        match self.0.take() {
            Some(message) => std::task::Poll::Ready(Some(message)),
            None => std::task::Poll::Pending,
        }
    }
}

/// The end of the range that holds every key with this prefix.
pub(super) fn after_prefix(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    if let Some(last) = end.last_mut() {
        // Our prefixes end with '/', which is far from the largest byte.
        *last += 1;
    }
    end
}

/// tonic's own text is "transport error"; what helps is in its sources.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}
