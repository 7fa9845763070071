//! All automation of the project: each subcommand is one file and one line in the list below.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

mod bench;
mod ci;
mod codegen;
mod coverage;
mod guest;
mod prerequisites;
mod python;
mod scaffold;
mod sim;
mod tidy;

#[derive(Parser)]
#[command(name = "xtask", about = "The project's own automation")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Writes models/* from the pinned AWS service models.
    Codegen(codegen::Arguments),
    /// Runs everything that CI runs.
    Ci(ci::Arguments),
    /// Writes docs/COVERAGE.md from the models and the slices' lists.
    Coverage(coverage::Arguments),
    /// Checks the house rules: imports, file sizes, pure crates.
    Tidy,
    /// Measures; figures go into docs/BENCHMARKS.md.
    Bench(bench::Arguments),
    /// Lives through seeded worlds around the real core.
    Sim(sim::Arguments),
    /// Runs tests in a virtual machine with cgroup v2, where this machine can have one.
    TestV2(guest::Arguments),
    /// Installs what the tests need of the machine (root, apt), or names it; `ci` begins with it.
    Prerequisites,
    /// Makes the Python environment of the tests and prints its interpreter.
    Python,
    /// Writes the files that something new begins with.
    #[command(subcommand)]
    New(New),
}

#[derive(Subcommand)]
enum New {
    /// An action of a slice: one file and one line.
    Action { service: String, operation: String },
    /// A slice.
    Service { service: String },
}

/// The workspace's folder.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn main() -> anyhow::Result<()> {
    let root = root().canonicalize()?;
    match Arguments::parse().task {
        Task::Codegen(arguments) => codegen::run(&arguments),
        Task::Ci(arguments) => ci::run(&root, &arguments),
        Task::Coverage(arguments) => coverage::run(&root, &arguments),
        Task::Tidy => tidy::run(&root),
        Task::Bench(arguments) => bench::run(&root, &arguments),
        Task::Sim(arguments) => sim::run(&root, &arguments),
        Task::TestV2(arguments) => guest::run(&root, &arguments),
        Task::Prerequisites => prerequisites::ensure(),
        Task::Python => {
            println!("{}", python::interpreter(&root)?.display());
            Ok(())
        }
        Task::New(New::Action { service, operation }) => {
            scaffold::new_action(&root, &service, &operation)
        }
        Task::New(New::Service { service }) => scaffold::new_service(&root, &service),
    }
}
