//! All that CI runs, in the order in which it fails fastest. Each step names itself and its time.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

#[derive(clap::Args)]
pub struct Arguments {
    /// Leave out what needs minutes: end-to-end conformance and the real-process fault tests.
    #[arg(long)]
    quick: bool,
}

/// A step: its name and its command line. `{python}` is the interpreter of the project's venv.
struct Step {
    name: &'static str,
    command: &'static [&'static str],
    slow: bool,
}

const STEPS: &[Step] = &[
    Step { name: "formatting", command: &["cargo", "fmt", "--all", "--check"], slow: false },
    Step { name: "house rules", command: &["cargo", "xtask", "tidy"], slow: false },
    Step {
        name: "generated models",
        command: &["cargo", "xtask", "codegen", "--check"],
        slow: false,
    },
    Step {
        name: "clippy",
        command: &[
            "cargo",
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--",
            "-D",
            "warnings",
        ],
        slow: false,
    },
    Step {
        name: "the binary that the tests run",
        command: &["cargo", "build", "--locked", "-p", "wharf"],
        slow: false,
    },
    Step {
        name: "coverage table",
        command: &["cargo", "xtask", "coverage", "--check"],
        slow: false,
    },
    Step {
        name: "tests",
        command: &["cargo", "test", "--workspace", "--locked", "--no-fail-fast"],
        slow: false,
    },
    Step {
        name: "conformance with stock clients",
        command: &["{python}", "-m", "pytest", "-q", "--no-header", "tests"],
        slow: true,
    },
];

/// A run on unchanged code must end as the last one did: chance belongs to the longer runs, whose
/// seeds are set from outside.
const SEEDS: &[&str] = &["PROPTEST_RNG_SEED", "WHARF_SEED"];

pub fn run(root: &Path, arguments: &Arguments) -> Result<()> {
    let whole = Instant::now();
    crate::prerequisites::ensure()?;
    let mut failed = Vec::new();
    for step in STEPS.iter().filter(|step| !(arguments.quick && step.slow)) {
        println!("── {} ─ {}", step.name, step.command.join(" "));
        let started = Instant::now();
        let done = run_step(root, step);
        println!("── {} took {:.0} s", step.name, started.elapsed().as_secs_f64());
        if let Err(error) = done {
            eprintln!("── {} FAILED: {error:#}", step.name);
            failed.push(step.name);
        }
    }
    println!("── all took {:.0} s", whole.elapsed().as_secs_f64());
    if failed.is_empty() { Ok(()) } else { bail!("failed: {}", failed.join(", ")) }
}

fn run_step(root: &Path, step: &Step) -> Result<()> {
    let mut words = Vec::new();
    for word in step.command {
        words.push(match *word {
            "{python}" => crate::python::interpreter(root)?.display().to_string(),
            word => word.to_owned(),
        });
    }
    let unset = |name: &&str| std::env::var_os(name).is_none();
    let status = Command::new(&words[0])
        .args(&words[1..])
        .current_dir(root)
        .envs(SEEDS.iter().copied().filter(unset).map(|name| (name, "1")))
        // A bundle set for another proxy or service breaks clients that speak plain HTTP to us.
        .env_remove("AWS_CA_BUNDLE")
        .status()
        .with_context(|| format!("start {}", words[0]))?;
    if status.success() { Ok(()) } else { bail!("ended with {status}") }
}
