//! Signed ECS requests against wharf, a bare hyper server and moto_server, in turn within each
//! round, so that a change of the machine's mood meets all of them alike.
//!
//! The client shares the cores with the servers, so the figure to trust is the server's CPU time
//! per request; the rate stands beside it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use aws_sigv4::{SignBody, Signer, Style};
use http::{HeaderMap, HeaderValue};

use crate::load;
use crate::process::Process;

#[derive(clap::Args)]
pub struct Options {
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds each server is loaded for in a round.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    #[arg(long, value_delimiter = ',', default_values_t = [1, 64])]
    connections: Vec<usize>,
    #[arg(long, default_value = "target/release/wharf")]
    wharf: PathBuf,
    /// `moto_server`; left out where there is none.
    #[arg(long)]
    moto: Option<PathBuf>,
}

pub const KEY: &str = "AKIAWHARFBENCHMARK00";
pub const SECRET: &str = "benchmark-secret-benchmark-secret-000000";
const FAMILY: &str = r#"{"family":"web","containerDefinitions":[{"name":"web","image":"nginx:1","memory":128,"cpu":64,"essential":true,"portMappings":[{"containerPort":80,"hostPort":0}],"environment":[{"name":"A","value":"1"},{"name":"B","value":"2"}],"logConfiguration":{"logDriver":"awslogs","options":{"awslogs-group":"/ecs/web","awslogs-region":"us-east-1"}}}]}"#;

/// What a request is called on the wire: AWS's JSON protocols name it in a header, the others in the
/// body.
pub enum Form<'a> {
    Json { target: &'a str },
    Query,
}

/// A signed POST, ready to be sent any number of times within 15 minutes.
pub fn sign(address: SocketAddr, service: &str, form: Form<'_>, body: &str) -> Result<Vec<u8>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() as i64;
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_str(&address.to_string())?);
    let kind = match form {
        Form::Json { target } => {
            headers.insert("x-amz-target", HeaderValue::from_str(target)?);
            "application/x-amz-json-1.1"
        }
        Form::Query => "application/x-www-form-urlencoded",
    };
    headers.insert("content-type", HeaderValue::from_static(kind));
    let signer = Signer {
        access_key: KEY,
        secret: SECRET,
        token: None,
        region: "us-east-1",
        service,
        style: Style::General,
        now,
    };
    signer.sign("POST", "/", "", &mut headers, SignBody::Bytes(body.as_bytes()))?;
    let mut text = String::from("POST / HTTP/1.1\r\n");
    for (name, value) in &headers {
        text.push_str(&format!("{name}: {}\r\n", value.to_str()?));
    }
    text.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
    Ok(text.into_bytes())
}

fn request(address: SocketAddr, operation: &str, body: &str) -> Result<Vec<u8>> {
    let target = format!("AmazonEC2ContainerServiceV20141113.{operation}");
    sign(address, "ecs", Form::Json { target: &target }, body)
}

fn send_once(address: SocketAddr, operation: &str, body: &str) -> Result<()> {
    let bytes = request(address, operation, body)?;
    load::run(address, &bytes, 1, Duration::from_millis(1)).map(|_| ())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

pub fn run(options: &Options) -> Result<()> {
    let servers = start_servers(options)?;
    for server in servers.iter().filter(|server| server.name != "hello") {
        send_once(server.address, "CreateCluster", r#"{"clusterName":"default"}"#)?;
        send_once(server.address, "RegisterTaskDefinition", FAMILY)
            .with_context(|| format!("prepare {}", server.name))?;
    }
    println!("| operation | connections | server | req/s | server CPU µs/req | CPU vs hello |");
    println!("|---|---|---|---|---|---|");
    for (operation, body) in [
        ("ListClusters", "{}"),
        ("DescribeTaskDefinition", r#"{"taskDefinition":"web"}"#),
        ("RegisterTaskDefinition", FAMILY),
    ] {
        for &connections in &options.connections {
            measure(options, &servers, operation, body, connections)?;
        }
    }
    Ok(())
}

fn measure(
    options: &Options,
    servers: &[Process],
    operation: &str,
    body: &str,
    connections: usize,
) -> Result<()> {
    let mut figures = vec![(Vec::new(), Vec::new()); servers.len()];
    for _ in 0..options.rounds {
        for (server, (rates, costs)) in servers.iter().zip(&mut figures) {
            let bytes = request(server.address, operation, body)?;
            let before = server.cpu()?;
            let time = Duration::from_secs_f64(options.seconds);
            let measured = load::run(server.address, &bytes, connections, time)
                .with_context(|| format!("{operation} on {}", server.name))?;
            let spent = server.cpu()? - before;
            rates.push(measured.rate());
            costs.push(spent.as_micros() as f64 / measured.requests as f64);
        }
    }
    let figures: Vec<(f64, f64)> =
        figures.into_iter().map(|(rates, costs)| (median(rates), median(costs))).collect();
    let hello = figures[0].1;
    for (server, (rate, cost)) in servers.iter().zip(figures) {
        let share = hello / cost;
        println!(
            "| {operation} | {connections} | {} | {rate:.0} | {cost:.1} | {share:.2}× |",
            server.name
        );
    }
    Ok(())
}

fn start_servers(options: &Options) -> Result<Vec<Process>> {
    let this = std::env::current_exe()?;
    let mut servers = vec![Process::announced("hello", Command::new(this).arg("hello"))?];
    servers.push(start_wharf(&options.wharf, &tempfile::tempdir()?.keep())?);
    if let Some(moto) = &options.moto {
        let free = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = Command::new(moto);
        command.args(["-H", "127.0.0.1", "-p", &free.port().to_string()]);
        servers.push(Process::at("moto_server", free, &mut command)?);
    }
    Ok(servers)
}

/// A wharf on a data folder, with the benchmark's root key.
pub fn start_wharf(program: &PathBuf, data: &std::path::Path) -> Result<Process> {
    let mut command = Command::new(program);
    command
        .args(["server", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(data)
        .env("WHARF_ROOT_ACCESS_KEY_ID", KEY)
        .env("WHARF_ROOT_SECRET_ACCESS_KEY", SECRET);
    Process::announced("wharf", &mut command)
}
