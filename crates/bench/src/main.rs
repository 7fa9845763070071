//! Benchmarks: each is one file and one line here. They print figures and assert none.

mod core_step;

use clap::{Parser, Subcommand};

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
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().bench {
        Bench::Step(options) => core_step::run(&options),
    }
}
