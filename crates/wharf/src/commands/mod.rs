//! The list of commands, and how their failures are told: one line, exit code 2 where the command
//! line is to blame and 1 otherwise.

mod account;
mod agent;
mod check;
mod clean;
mod coverage;
mod demo_page;
mod doctor;
mod env;
mod events;
mod exec;
mod explain;
mod host;
mod image;
mod logs;
mod replay;
mod server;
mod shim;
mod simulate;
mod up;
mod version;

use std::process::ExitCode;

use clap::builder::FalseyValueParser;
use clap::error::ErrorKind;
use clap::{ArgAction, CommandFactory, FromArgMatches, Parser, Subcommand};

#[derive(Parser)]
#[command(name = "wharf", version, about = "Amazon ECS that you own", max_term_width = 100)]
#[command(arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the control plane alone: the AWS API, without hosts.
    Server(server::Arguments),
    /// Run everything on this machine: the control plane and hosts.
    Up(up::Arguments),
    /// Join this machine to a cluster as a container instance.
    Agent(agent::Arguments),
    /// Print what points the AWS tools at the running server: eval "$(wharf env)".
    Env(env::Arguments),
    /// Check every invariant: of a running server, or of its journal.
    Check(check::Arguments),
    /// Remove everything that Wharf left on this machine: hosts, networks, processes; not the data.
    Clean(clean::Arguments),
    /// Try what this machine can do for containers, and say what to do where it cannot.
    Doctor(doctor::Arguments),
    /// Say why a task is where it is, or nowhere.
    Explain(explain::Arguments),
    /// Show what changes, as EventBridge would tell it.
    Events(events::Arguments),
    /// Show what a plan of hosts, services and mishaps would come to.
    Simulate(simulate::Arguments),
    /// Print a journal's history.
    Replay(replay::Arguments),
    /// Load, pull, build and list the images of this machine's hosts.
    Image(image::Arguments),
    /// Run a command in a container of a task.
    Exec(exec::Arguments),
    /// Show what a task of this machine's hosts wrote.
    Logs(logs::Arguments),
    /// Start the agent of one of this machine's hosts again.
    Host(host::Arguments),
    /// Make and list accounts.
    Account(account::Arguments),
    #[command(hide = true)]
    Coverage(coverage::Arguments),
    #[command(hide = true)]
    DemoPage(demo_page::Arguments),
    #[command(hide = true)]
    Shim(shim::Arguments),
    /// Print the version.
    Version(version::Arguments),
}

impl Command {
    /// Whether others depend on it: it does not end because one of them has gone.
    fn serves(&self) -> bool {
        matches!(self, Command::Server(_) | Command::Up(_) | Command::Agent(_) | Command::Shim(_))
    }
}

/// A command line that cannot be carried out as it stands.
#[derive(Debug)]
pub struct Misuse(pub String);

impl std::fmt::Display for Misuse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Misuse {}

/// For `bail`-like returns: the text is the whole message.
pub fn misuse<T>(text: impl Into<String>) -> anyhow::Result<T> {
    Err(Misuse(text.into()).into())
}

const MISUSE: u8 = 2;

pub fn run() -> ExitCode {
    let parsed = with_environment(Arguments::command()).try_get_matches();
    let parsed = parsed.and_then(|matches| Arguments::from_arg_matches(&matches));
    let arguments = match parsed {
        Ok(arguments) => arguments,
        Err(error) => return refuse(&error),
    };
    if !arguments.command.serves() {
        crate::process::end_with_reader();
    }
    let done = match arguments.command {
        Command::Server(arguments) => server::run(&arguments),
        Command::Up(arguments) => up::run(&arguments),
        Command::Agent(arguments) => agent::run(&arguments),
        Command::Env(arguments) => env::run(&arguments),
        Command::Exec(arguments) => exec::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Events(arguments) => events::run(&arguments),
        Command::Simulate(arguments) => simulate::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Clean(arguments) => clean::run(&arguments),
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Image(arguments) => image::run(&arguments),
        Command::Host(arguments) => host::run(&arguments),
        Command::Logs(arguments) => logs::run(&arguments),
        Command::Account(arguments) => account::run(&arguments),
        Command::Coverage(arguments) => coverage::run(&arguments),
        Command::DemoPage(arguments) => demo_page::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Shim(arguments) => shim::run(arguments),
        Command::Version(arguments) => version::run(&arguments),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("wharf: {error:#}");
            ExitCode::from(if error.is::<Misuse>() { MISUSE } else { 1 })
        }
    }
}

/// Every flag that users see is also a variable: `WHARF_` and its name, where it has no other. A
/// variable turns a switch on by anything but a word that says no.
fn with_environment(command: clap::Command) -> clap::Command {
    let command = command.mut_args(|mut arg| {
        let switch = matches!(arg.get_action(), ArgAction::SetTrue);
        let Some(long) = arg.get_long().filter(|_| switch || arg.get_action().takes_values())
        else {
            return arg;
        };
        if arg.get_env().is_none() && !arg.is_hide_set() {
            let name = format!("WHARF_{}", long.to_uppercase().replace('-', "_"));
            // The list of flags lives as long as the process.
            arg = arg.env(&*String::leak(name));
        }
        if switch { arg.value_parser(FalseyValueParser::new()) } else { arg }
    });
    command.mut_subcommands(with_environment)
}

/// Help goes out as it is; a mistake becomes one line.
fn refuse(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let _ = error.print();
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            ExitCode::from(MISUSE)
        }
        _ => {
            let text = error.render().to_string();
            let what = text.split("\n\nUsage").next().unwrap_or(&text);
            let what = what.split("\n\nFor more").next().unwrap_or(what);
            let words: Vec<&str> = what.split_whitespace().collect();
            let line = words.join(" ");
            eprintln!("wharf: {} (see --help)", line.strip_prefix("error: ").unwrap_or(&line));
            ExitCode::from(MISUSE)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn each(command: &clap::Command, look: &mut dyn FnMut(&clap::Command, &clap::Arg)) {
        command.get_arguments().for_each(|arg| look(command, arg));
        command.get_subcommands().for_each(|command| each(command, look));
    }

    #[test]
    fn every_flag_has_its_variable() {
        let command = with_environment(Arguments::command());
        command.clone().debug_assert();
        let mut flags = 0;
        each(&command, &mut |command, arg| {
            let builtin = matches!(arg.get_id().as_str(), "help" | "version");
            if arg.get_long().is_none() || arg.is_hide_set() || builtin {
                return;
            }
            flags += 1;
            let name = arg.get_env().and_then(|name| name.to_str()).unwrap_or_default();
            let known = ["WHARF_", "ECS_", "AWS_"].iter().any(|prefix| name.starts_with(prefix));
            assert!(known, "{} --{:?}: {name:?}", command.get_name(), arg.get_long());
        });
        assert!(flags > 30, "{flags}");
    }
}
