//! `cargo xtask sim`: as many seeds as there is patience for. A seed that fails is named, and runs
//! the same again.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use clap::Parser;

#[derive(Parser)]
#[command(about = "Lives through seeded worlds around the real core")]
struct Arguments {
    /// How many seeds
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Go on behind a seed that fails
    #[arg(long)]
    keep_going: bool,
    /// Tell what happens, one seed at a time
    #[arg(long)]
    trace: bool,
    /// Seeds at a time; as many as there are cores where it is not said
    #[arg(long)]
    threads: Option<u64>,
}

fn main() -> std::process::ExitCode {
    let arguments = Arguments::parse();
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let threads = if arguments.trace { 1 } else { arguments.threads.unwrap_or(cores).max(1) };
    let (next, clean, failed) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let (steps, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let nth = next.fetch_add(1, Ordering::Relaxed);
                    if nth >= arguments.seeds {
                        return;
                    }
                    match sim::run(arguments.from + nth, arguments.trace) {
                        Ok(ran) => {
                            steps.fetch_add(ran.steps, Ordering::Relaxed);
                            clean.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(text) => {
                            eprintln!("{text}");
                            failed.fetch_add(1, Ordering::Relaxed);
                            stop.fetch_or(!arguments.keep_going, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    let took = started.elapsed().as_secs_f64();
    let (clean, failed) = (clean.into_inner(), failed.into_inner());
    println!(
        "{clean} seeds clean, {failed} failed; {:.1} seeds/s, {:.0} steps/s on {threads} threads",
        (clean + failed) as f64 / took,
        steps.into_inner() as f64 / took,
    );
    match failed {
        0 => std::process::ExitCode::SUCCESS,
        _ => std::process::ExitCode::FAILURE,
    }
}
