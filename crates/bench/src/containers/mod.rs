//! Tasks on one real host, by the API alone: from accepted to RUNNING, a hundred at once, their ends,
//! what agent and shims weigh, killed containers' replacements, log lines, and kill -9 of server and
//! agents. With `--docker` the same machine's Docker takes its turn in each round, so that the
//! machine's mood meets both alike.

mod docker;
mod kills;
mod lines;
pub mod plane;
mod replaced;
mod starts;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use docker::Docker;
use plane::Plane;

#[derive(clap::Args)]
pub struct Options {
    /// Rounds of single starts and of a hundred; 0 leaves them out.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Single starts a round.
    #[arg(long, default_value_t = 10)]
    single: usize,
    #[arg(long, default_value_t = 100)]
    many: usize,
    /// Networks of the tasks.
    #[arg(long, value_delimiter = ',', default_values = ["bridge", "awsvpc"])]
    networks: Vec<String>,
    /// MB that one container writes to awslogs; 0 leaves it out.
    #[arg(long, default_value_t = 500)]
    megabytes: u64,
    /// Rounds of kill -9, of the server and of the agent by turns; 0 leaves them out.
    #[arg(long, default_value_t = 4)]
    kills: usize,
    /// Tasks that run when something is killed.
    #[arg(long, default_value_t = 200)]
    killed: usize,
    /// Containers of a service that are killed one after the other; 0 leaves them out.
    #[arg(long, default_value_t = 9)]
    replaced: usize,
    /// The socket of a Docker daemon to compare with.
    #[arg(long, num_args = 0..=1, default_missing_value = "/var/run/docker.sock")]
    docker: Option<PathBuf>,
    #[arg(long, default_value = "10.87.0.0/16")]
    vpc: String,
    #[arg(long, default_value = "target/release/wharf")]
    wharf: PathBuf,
}

/// Obeys SIGTERM at once, whatever its pid.
const SLEEPER: &[&str] = &["sh", "-c", "trap 'exit 0' TERM; sleep 100000 & wait"];

pub fn run(options: &Options) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let image = busybox(folder.path())?;
    let docker = match &options.docker {
        Some(socket) => Some(Docker::new(socket, &image, SLEEPER)?),
        None => None,
    };
    let mut plane = Plane::new(&options.wharf, folder.path(), &image, &options.vpc)?;
    plane.up()?;
    println!("load at the beginning {}", crate::process::load());
    println!("| what | figure | load |\n|---|---|---|");
    if options.rounds > 0 {
        starts::run(options, &mut plane, docker.as_ref())?;
    }
    if let Some(docker) = &docker {
        docker.forget();
    }
    if options.replaced > 0 {
        replaced::run(options, &mut plane)?;
    }
    if options.megabytes > 0 {
        lines::run(options, &mut plane)?;
    }
    if options.kills > 0 {
        kills::run(options, &mut plane)?;
    }
    Ok(())
}

/// One row of the table.
fn row(what: &str, figure: &str) {
    println!("| {what} | {figure} | {} |", crate::process::load());
}

fn milliseconds(times: &[Duration]) -> String {
    let mut all: Vec<f64> = times.iter().map(|time| time.as_secs_f64() * 1000.0).collect();
    all.sort_by(f64::total_cmp);
    let (Some(first), Some(last)) = (all.first(), all.last()) else { return "—".into() };
    format!("{:.1} ms ({first:.1}–{last:.1}, {} times)", all[all.len() / 2], all.len())
}

fn median(times: &[Duration]) -> f64 {
    let mut all: Vec<f64> = times.iter().map(Duration::as_secs_f64).collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A task definition of one container.
fn define(plane: &mut Plane, family: &str, network: &str, container: Value) -> Result<()> {
    let mut whole = json!({
        "name": "app", "image": "busybox:latest", "memory": 64, "essential": true,
    });
    if let (Value::Object(whole), Value::Object(more)) = (&mut whole, container) {
        whole.extend(more);
    }
    let input =
        json!({ "family": family, "networkMode": network, "containerDefinitions": [whole] });
    plane.ecs("RegisterTaskDefinition", &input).map(drop)
}

/// A root with busybox in it, as a tar.
fn busybox(folder: &Path) -> Result<PathBuf> {
    let (root, image) = (folder.join("root"), folder.join("root.tar"));
    for name in ["bin", "etc", "tmp", "root"] {
        std::fs::create_dir_all(root.join(name))?;
    }
    std::fs::copy("/bin/busybox", root.join("bin/busybox")).context("busybox-static is needed")?;
    for name in ["sh", "sleep", "yes", "head", "true"] {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(name))?;
    }
    std::fs::write(root.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\n")?;
    let made = Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&image).arg(".").status();
    if !made.context("start tar")?.success() {
        bail!("tar made no image");
    }
    Ok(image)
}
