//! The log: to standard error, as text or as one JSON object a line.

use std::io::IsTerminal;

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt;

#[derive(Clone, Debug, clap::Args)]
pub struct LogArguments {
    /// How the log is written
    #[arg(long, env = "WHARF_LOG_FORMAT", default_value = "text")]
    log_format: Format,
    /// What the log tells; debug has a line for each request [default: info, with --demo warn]
    #[arg(long, env = "WHARF_LOG_LEVEL")]
    log_level: Option<Level>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Level {
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl LogArguments {
    /// For whoever writes to the screen as well: only what is wrong, unless more was asked for.
    pub fn make_room(&mut self) {
        self.log_level.get_or_insert(Level::Warn);
    }

    /// Once, at the start of a long-running command.
    pub fn start(&self) {
        let level = match self.log_level.unwrap_or(Level::Info) {
            Level::Off => LevelFilter::OFF,
            Level::Error => LevelFilter::ERROR,
            Level::Warn => LevelFilter::WARN,
            Level::Info => LevelFilter::INFO,
            Level::Debug => LevelFilter::DEBUG,
            Level::Trace => LevelFilter::TRACE,
        };
        let log = fmt().with_max_level(level).with_writer(std::io::stderr);
        match self.log_format {
            Format::Text => log.with_ansi(std::io::stderr().is_terminal()).init(),
            Format::Json => log.json().flatten_event(true).init(),
        }
    }
}
