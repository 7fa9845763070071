//! `wharf version`.

use std::process::ExitCode;

#[derive(clap::Args)]
pub struct Arguments {
    /// Print JSON.
    #[arg(long, env = "WHARF_JSON")]
    json: bool,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let version = env!("CARGO_PKG_VERSION");
    if arguments.json {
        println!("{}", serde_json::json!({ "version": version }));
    } else {
        println!("wharf {version}");
    }
    Ok(ExitCode::SUCCESS)
}
