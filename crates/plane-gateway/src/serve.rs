//! Listening: connections, their limits, and an end that lets running requests finish.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use crate::phases::{Gateway, Peer};

/// How long running requests may take to finish once the server is asked to stop.
const FAREWELL: Duration = Duration::from_secs(5);

/// A listener that serves until told to stop.
pub struct Serving {
    pub address: SocketAddr,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl Serving {
    /// Serve in the background what comes in on a listener.
    pub fn start(gateway: Arc<Gateway>, listener: TcpListener) -> std::io::Result<Self> {
        let address = listener.local_addr()?;
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(accept(gateway, listener, stopped));
        Ok(Serving { address, stop, task })
    }

    /// Take no more connections, let requests finish, close.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!("the listener ended badly: {error}");
        }
    }
}

async fn accept(gateway: Arc<Gateway>, listener: TcpListener, mut stopped: watch::Receiver<bool>) {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(gateway.limits.connections));
    loop {
        // Waiting for a place before accepting leaves further clients in the kernel's queue.
        let place = tokio::select! {
            place = places.clone().acquire_owned() => place,
            () = told(&mut stopped) => break,
        };
        let Ok(place) = place else { break };
        let (stream, address) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, most likely: others must close before it helps.
                    tracing::warn!("cannot accept a connection: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
            () = told(&mut stopped) => break,
        };
        let _ = stream.set_nodelay(true);
        let peer = Peer { address: Some(address), secure: false };
        let connection = connection(gateway.clone(), TokioIo::new(stream), peer, &graceful);
        tokio::spawn(async move {
            connection.await;
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(FAREWELL, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not finish in time and were cut off");
    }
}

/// Wait until the flag is set (or its owner is gone).
async fn told(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stop| *stop).await;
}

/// Serve one connection, of any kind of stream.
fn connection<S>(
    gateway: Arc<Gateway>,
    stream: S,
    peer: Peer,
    graceful: &GracefulShutdown,
) -> impl Future<Output = ()> + use<S>
where
    S: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // A client that dribbles its head holds a place for at most this long.
        .header_read_timeout(Duration::from_secs(30))
        .max_headers(200);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(256)
        .max_header_list_size(64 << 10)
        .keep_alive_interval(Duration::from_secs(60));
    let figures = gateway.clone();
    let service = service_fn(move |request| {
        let gateway = gateway.clone();
        async move {
            let response = gateway.answer(request, peer).await;
            Ok::<_, Infallible>(response.map(Full::new))
        }
    });
    let watched =
        graceful.watch(builder.serve_connection_with_upgrades(stream, service).into_owned());
    async move {
        figures.figures.open_connections.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = watched.await {
            tracing::debug!("connection: {error}");
        }
        figures.figures.open_connections.fetch_sub(1, Ordering::Relaxed);
    }
}
