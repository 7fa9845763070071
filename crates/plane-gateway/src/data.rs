//! The third kind of action: bytes that a `data-*` crate handles and core never sees.
//!
//! The slice says purely what is to be done (`DataAction::prepare`), and the binary, which alone
//! knows both sides, binds a handler that does it. The gateway authenticates and authorizes as for
//! any other action, then hands the job over. Replies may be a stream of events.

use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use aws_protocol::{AnyShape, ApiError, Operation, OperationDef, Protocol, event_stream};
use bytes::Bytes;
use core_step::{Call, DataAction, Job, Output};
use http::Response;
use hyper::body::{Body, Frame};
use tokio::sync::{mpsc, watch};

use crate::reply::{BrokenOff, ReplyBody};

/// An event of a stream: the union of the operation's output with one member set.
pub type Event = Box<dyn AnyShape>;

/// The events of a reply, as they happen. An error is told to the client and ends the stream; the
/// channel's end ends it in peace. When the client has gone, the sender finds the channel closed.
pub type Events = mpsc::Receiver<Result<Event, ApiError>>;

pub(crate) enum Handled {
    Shape(Box<dyn AnyShape>),
    Events(Events),
}

type Handling = Pin<Box<dyn Future<Output = Result<Handled, ApiError>> + Send>>;
type Handler = Box<dyn Fn(Arc<Call>, Job) -> Handling + Send + Sync>;

/// The handlers of a server's data actions.
#[derive(Default)]
pub struct Handlers(Vec<(&'static OperationDef, Handler)>);

impl Handlers {
    /// Bind an action to what does its job.
    pub fn on<A, F, R>(&mut self, handler: F) -> &mut Self
    where
        A: DataAction,
        F: Fn(Arc<Call>, A::Job) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Output<A::Op>, ApiError>> + Send + 'static,
    {
        self.bind::<A>(Box::new(move |call, job| {
            let handling = handler(call, typed::<A>(job));
            Box::pin(async move { Ok(Handled::Shape(Box::new(handling.await?))) })
        }))
    }

    /// Bind an action whose reply is a stream of events.
    pub fn on_events<A, F, R>(&mut self, handler: F) -> &mut Self
    where
        A: DataAction,
        F: Fn(Arc<Call>, A::Job) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Events, ApiError>> + Send + 'static,
    {
        self.bind::<A>(Box::new(move |call, job| {
            let handling = handler(call, typed::<A>(job));
            Box::pin(async move { Ok(Handled::Events(handling.await?)) })
        }))
    }

    fn bind<A: DataAction>(&mut self, handler: Handler) -> &mut Self {
        let operation = <A::Op as Operation>::DEF;
        assert!(self.find(operation).is_none(), "{operation:?} has two handlers");
        self.0.push((operation, handler));
        self
    }

    /// Whether an operation's data action is bound.
    pub fn has(&self, operation: &'static OperationDef) -> bool {
        self.find(operation).is_some()
    }

    fn find(&self, operation: &'static OperationDef) -> Option<&Handler> {
        let bound = self.0.iter().find(|(bound, _)| std::ptr::eq(*bound, operation));
        bound.map(|(_, handler)| handler)
    }

    pub(crate) async fn handle(
        &self,
        operation: &'static OperationDef,
        call: Arc<Call>,
        job: Job,
    ) -> Result<Handled, ApiError> {
        match self.find(operation) {
            Some(handler) => handler(call, job).await,
            None => Err(ApiError::unsupported_operation(format!(
                "{} of {} is not offered by this server.",
                operation.name, operation.service.sdk_id
            ))),
        }
    }
}

fn typed<A: DataAction>(job: Job) -> A::Job {
    let job: Box<dyn Any> = job;
    *job.downcast().expect("a job goes to the handler of the action that prepared it")
}

/// The reply that carries the events, until they end or the server stops.
pub(crate) fn event_reply(
    protocol: Protocol,
    events: Events,
    stopping: watch::Receiver<bool>,
    request_id: &str,
) -> Response<ReplyBody> {
    let first = Some(event_stream::initial_response(protocol));
    let stopped = Box::pin(async move {
        let mut stopping = stopping;
        let _ = stopping.wait_for(|stop| *stop).await;
    });
    let body = EventBody { protocol, first, events, stopped, ended: false };
    event_stream::reply(ReplyBody::flowing(body), request_id)
}

struct EventBody {
    protocol: Protocol,
    first: Option<Bytes>,
    events: Events,
    stopped: Pin<Box<dyn Future<Output = ()> + Send>>,
    ended: bool,
}

impl Body for EventBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let this = self.get_mut();
        if let Some(first) = this.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        if this.ended || this.stopped.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        let protocol = this.protocol;
        let bytes = match ready!(this.events.poll_recv(cx)) {
            None => return Poll::Ready(None),
            Some(Ok(event)) => event_stream::event(protocol, &*event),
            Some(Err(error)) => {
                this.ended = true;
                event_stream::error(protocol, &error)
            }
        };
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }
}
