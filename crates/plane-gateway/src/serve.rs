//! Listening: connections, their limits, and an end that lets running requests finish.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use crate::patience::Patience;
use crate::phases::{Gateway, Peer};
use crate::tls::Tls;

/// How long running requests may take to finish once the server is asked to stop.
const FAREWELL: Duration = Duration::from_secs(5);

/// How long a client may take over the TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A listener that serves until told to stop.
pub struct Serving {
    pub address: SocketAddr,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl Serving {
    /// Serve in the background what comes in on a listener; with a certificate, only over TLS.
    pub fn start(
        gateway: Arc<Gateway>,
        listener: TcpListener,
        tls: Option<Arc<Tls>>,
    ) -> std::io::Result<Self> {
        let address = listener.local_addr()?;
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(accept(gateway, listener, tls, stopped));
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

async fn accept(
    gateway: Arc<Gateway>,
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    mut stopped: watch::Receiver<bool>,
) {
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
        let peer = Peer { address: Some(address), secure: tls.is_some() };
        let connection = Connection { gateway: gateway.clone(), peer, watcher: graceful.watcher() };
        let tls = tls.clone();
        tokio::spawn(async move {
            let figures = connection.gateway.clone();
            figures.figures.open_connections.fetch_add(1, Ordering::Relaxed);
            match tls {
                Some(tls) => connection.serve_tls(&tls, stream).await,
                None => connection.serve_http1(stream).await,
            }
            figures.figures.open_connections.fetch_sub(1, Ordering::Relaxed);
            drop(place);
        });
    }
    drop(listener);
    gateway.stopping.send_replace(true);
    if tokio::time::timeout(FAREWELL, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not finish in time and were cut off");
    }
}

/// Wait until the flag is set (or its owner is gone).
async fn told(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stop| *stop).await;
}

/// One connection before it is known what it speaks.
struct Connection {
    gateway: Arc<Gateway>,
    peer: Peer,
    watcher: Watcher,
}

impl Connection {
    async fn serve_tls(self, tls: &Tls, stream: TcpStream) {
        let stream = match tokio::time::timeout(HANDSHAKE, tls.acceptor().accept(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return tracing::debug!("TLS handshake: {error}"),
            Err(_) => return tracing::debug!("TLS handshake: took too long"),
        };
        match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => self.serve_http2(stream).await,
            _ => self.serve_http1(stream).await,
        }
    }

    async fn serve_http1(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let Connection { gateway, peer, watcher } = self;
        let patience = Patience::new(gateway.limits.head_time);
        let mut stopping = gateway.stopping.subscribe();
        let mut builder = http1::Builder::new();
        builder
            .timer(patience.clone())
            // A client that dribbles its head, or sends nothing, holds a place no longer.
            .header_read_timeout(gateway.limits.head_time)
            .max_buf_size(128 << 10)
            .max_headers(200);
        let service = service_fn(move |request| {
            let (gateway, patience) = (gateway.clone(), patience.clone());
            async move {
                let response = gateway.answer(request, peer, &patience).await;
                Ok::<_, Infallible>(response)
            }
        });
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection.with_upgrades());
        // hyper-util's watcher takes no connection that may be upgraded: we tell it ourselves to end, and
        // hold the watcher for as long as it goes on, which is what the farewell waits for.
        let done = tokio::select! {
            done = connection.as_mut() => done,
            () = told(&mut stopping) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        drop(watcher);
        ended(done);
    }

    async fn serve_http2(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let Connection { gateway, peer, watcher } = self;
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(256)
            .max_header_list_size(64 << 10)
            .keep_alive_interval(Duration::from_secs(60));
        let service = service_fn(move |request| {
            let gateway = gateway.clone();
            async move {
                // Streams of one connection wait each by itself.
                let patience = Patience::new(gateway.limits.body_time);
                let response = gateway.answer(request, peer, &patience).await;
                Ok::<_, Infallible>(response)
            }
        });
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        ended(watcher.watch(connection).await);
    }
}

fn ended(connection: hyper::Result<()>) {
    if let Err(error) = connection {
        tracing::debug!("connection: {error}");
    }
}
