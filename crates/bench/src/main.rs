//! Benchmarks: each is one file and one line here. They print figures and assert none.

mod api;
mod bursts;
mod containers;
mod core_step;
mod hello;
mod load;
mod placement;
mod process;
mod service;
mod start;

use clap::{Parser, Subcommand};

/// What the binary uses (`wharf/src/main.rs`), so that figures are its.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(about = "Figures for docs/BENCHMARKS.md")]
struct Arguments {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Subcommand)]
enum Bench {
    /// Task observations through `step`, and the memory of a task row.
    Step(core_step::Options),
    /// Signed requests against wharf, a bare hyper server and moto_server, in turn.
    Api(api::Options),
    /// Tasks placed a second, without anything around placement.
    Placement(placement::Options),
    /// Tasks on a real host: starts, ends, memory, log lines, kill -9; beside Docker where it runs.
    Containers(containers::Options),
    /// Tasks through a real server to agents over real sockets.
    Bursts(bursts::Options),
    /// A service from nothing to thousands of tasks, in the plane alone.
    Service(service::Options),
    /// Start to ready, idle memory, and both with many rows in the journal.
    Start(start::Options),
    /// The bare hyper server that `api` compares with.
    Hello,
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().bench {
        Bench::Step(options) => core_step::run(&options),
        Bench::Api(options) => api::run(&options),
        Bench::Placement(options) => placement::run(&options),
        Bench::Containers(options) => containers::run(&options),
        Bench::Bursts(options) => bursts::run(&options),
        Bench::Service(options) => service::run(&options),
        Bench::Start(options) => start::run(&options),
        Bench::Hello => hello::run(),
    }
}
