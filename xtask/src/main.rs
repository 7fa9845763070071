//! All automation of the project: each subcommand is one file and one line in the list below.

use clap::{Parser, Subcommand};

mod codegen;

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
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().task {
        Task::Codegen(arguments) => codegen::run(&arguments),
    }
}
