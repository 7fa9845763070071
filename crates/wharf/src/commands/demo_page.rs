//! `wharf demo-page`: what runs in the demo's containers. It serves one page that tells which task
//! it is. Hidden, since no person has a use for it.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

use crate::supervisor::Signals;

#[derive(clap::Args)]
pub struct Arguments {
    #[arg(long, default_value_t = 8080)]
    port: u16,
}

/// The task's number and its container's, from what the agent tells every container.
async fn page() -> Result<String> {
    let uri = std::env::var("ECS_CONTAINER_METADATA_URI_V4").context("no metadata address")?;
    let client = plane_gateway::Outbound::new(None, std::time::Duration::from_secs(5))?;
    let mut request = http::Request::new(Bytes::new());
    *request.uri_mut() = format!("{uri}/task").parse()?;
    let answer = client.send(request).await?;
    let told: serde_json::Value = serde_json::from_slice(answer.body())?;
    let text = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
    let (arn, zone) = (text("TaskARN"), text("AvailabilityZone"));
    let task = arn.rsplit('/').next().unwrap_or_default();
    Ok(format!("{}:{}, task {task} in {zone}\n", text("Family"), text("Revision")))
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut signals = Signals::new()?;
        let page = Bytes::from(page().await?);
        let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, arguments.port));
        let listener = TcpListener::bind(address).await?;
        println!("serving on port {}: {}", arguments.port, String::from_utf8_lossy(&page).trim());
        loop {
            let (stream, from) = tokio::select! {
                accepted = listener.accept() => accepted?,
                () = signals.any() => return Ok(ExitCode::SUCCESS),
            };
            println!("{from} asks for the page");
            let page = page.clone();
            let answer = service_fn(move |_| {
                let body = Full::new(page.clone());
                async move { Ok::<_, Infallible>(Response::new(body)) }
            });
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new());
            tokio::spawn(http.serve_connection(TokioIo::new(stream), answer));
        }
    })
}
