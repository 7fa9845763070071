//! `wharf clean`: removes everything that Wharf left on this machine for a data directory, but the
//! directory itself. It works by the directory's name, and so also when nothing of it is left.

use std::process::ExitCode;

use host_network::{CleanOptions, Cleaned, clean, leftovers};

use crate::data_dir::DataDirArgument;

#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    data_dir: DataDirArgument,
    /// List what would be removed, and remove nothing
    #[arg(long, env = "WHARF_DRY_RUN")]
    dry_run: bool,
    /// Print JSON
    #[arg(long, env = "WHARF_JSON")]
    json: bool,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let dir = arguments.data_dir.resolve()?;
    let options = CleanOptions::new(dir.path());
    if arguments.dry_run {
        let found = leftovers(&options)?;
        let cleaned = Cleaned { removed: found, ..Cleaned::default() };
        print(&cleaned, arguments.json, "would remove")?;
        return Ok(ExitCode::SUCCESS);
    }
    // A running server would make anew what is taken away under it.
    let _lock = match dir.path().exists() {
        true => Some(dir.lock()?),
        false => None,
    };
    let cleaned = clean(&options)?;
    print(&cleaned, arguments.json, "removed")?;
    Ok(if cleaned.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(cleaned: &Cleaned, json: bool, verb: &str) -> anyhow::Result<()> {
    if json {
        println!("{}", serde_json::to_string(cleaned)?);
        return Ok(());
    }
    for leftover in &cleaned.removed {
        println!("{verb} {leftover}");
    }
    for (leftover, why) in &cleaned.failed {
        eprintln!("wharf: could not remove {leftover}: {why}");
    }
    if cleaned.removed.is_empty() && cleaned.failed.is_empty() {
        println!("nothing to remove");
    }
    Ok(())
}
