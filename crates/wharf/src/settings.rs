//! What a server can be told on its command line, each flag also as `WHARF_…` in the environment.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::Result;
use core_types::{AccountId, Region};
use http::Uri;
use plane_journal::EtcdOptions;
use plane_links::Pace;

use crate::commands::misuse;
use crate::data_dir::DataDirArgument;
use crate::logs::LogArguments;
use crate::root_key::RootKeyArguments;

#[derive(Clone, clap::Args)]
pub struct Settings {
    #[command(flatten)]
    pub data_dir: DataDirArgument,
    /// Where to listen; several with commas between, port 0 is any free one
    #[arg(long, env = "WHARF_LISTEN", value_name = "ADDR:PORT", value_delimiter = ',')]
    #[arg(default_value = "127.0.0.1:4566")]
    pub listen: Vec<SocketAddr>,
    /// The URL by which tools and other servers reach this one [default: the first --listen]
    #[arg(long, env = "WHARF_ADVERTISE", value_name = "URL", value_parser = advertised)]
    pub advertise: Option<String>,
    /// The first account
    #[arg(long, env = "WHARF_ACCOUNT_ID", default_value = "123456789012", value_name = "ID")]
    pub account_id: AccountId,
    /// The region that `wharf env` exports; requests name their own
    #[arg(long, env = "WHARF_REGION", default_value = "us-east-1")]
    pub region: Region,
    /// Where state is kept: `embedded` in the data directory, or etcd://HOST:PORT[,…][/PREFIX]
    #[arg(long, env = "WHARF_STATE", default_value = "embedded", value_name = "WHERE")]
    pub state: StateArgument,
    /// With etcd: seconds without a sign of life after which another server takes over [default: 10]
    #[arg(long, env = "WHARF_LEADER_TIMEOUT", value_name = "SECONDS")]
    #[arg(value_parser = clap::value_parser!(u64).range(2..=300))]
    pub leader_timeout: Option<u64>,
    /// Write a snapshot whenever the log has grown by this many bytes [default: 32 MiB, etcd 16 MiB]
    #[arg(long, env = "WHARF_SNAPSHOT_AFTER", value_name = "BYTES", hide_short_help = true)]
    #[arg(value_parser = clap::value_parser!(u64).range(4096..))]
    pub snapshot_after: Option<u64>,
    #[command(flatten)]
    pub timing: TimingArguments,
    #[command(flatten)]
    pub hooks: HookArguments,
    #[command(flatten)]
    pub tls: TlsArguments,
    #[command(flatten)]
    pub root_key: RootKeyArguments,
    #[command(flatten)]
    pub logs: LogArguments,
    /// Tell what happens as one JSON object a line on standard output
    #[arg(long, env = "WHARF_JSON")]
    pub json: bool,
}

/// How long things are waited for and kept. What was told once holds until it is told otherwise.
#[derive(Clone, clap::Args)]
pub struct TimingArguments {
    /// Give up the tasks of a host that has not answered for so many seconds [default: 60]
    #[arg(long, env = "WHARF_HOST_GRACE", value_name = "SECONDS")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=86_400))]
    host_grace: Option<u64>,
    /// Ask hosts for a sign of life every so many seconds; three that go unanswered are too many
    /// [default: a third of the grace, 30 at most]
    #[arg(long, env = "WHARF_HOST_HEARTBEAT", value_name = "SECONDS", hide_short_help = true)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=45))]
    host_heartbeat: Option<u64>,
    /// Show stopped tasks for so many seconds [default: 3600]
    #[arg(long, env = "WHARF_KEEP_STOPPED", value_name = "SECONDS")]
    #[arg(value_parser = clap::value_parser!(u64).range(60..=604_800))]
    keep_stopped: Option<u64>,
}

impl TimingArguments {
    /// AWS: agents hang up on a control plane that was silent for a minute. `kept`: the grace that an
    /// earlier start was told.
    pub fn pace(&self, kept: Duration) -> Pace {
        let usual = Pace::for_grace(self.host_grace.map_or(kept, Duration::from_secs));
        let heartbeat = self.host_heartbeat.map_or(usual.heartbeat, Duration::from_secs);
        Pace { heartbeat, ..usual }
    }

    /// The two that are kept, if either was told.
    pub fn told(&self) -> Option<(Duration, Duration)> {
        let seconds = |told: Option<u64>, default| Duration::from_secs(told.unwrap_or(default));
        let any = self.host_grace.or(self.keep_stopped).is_some();
        any.then(|| (seconds(self.host_grace, 60), seconds(self.keep_stopped, 3600)))
    }
}

#[derive(Clone, clap::Args)]
pub struct HookArguments {
    /// Let webhooks of deployments be at these addresses too; several with commas between. Without it
    /// none is called on this machine itself (127.0.0.0/8) or on its link (169.254.0.0/16)
    #[arg(long, env = "WHARF_HOOK_ALLOW", value_name = "CIDR", value_delimiter = ',')]
    #[arg(hide_short_help = true)]
    pub hook_allow: Vec<ipnet::IpNet>,
}

#[derive(Clone, clap::Args)]
pub struct TlsArguments {
    /// `local`: serve TLS with a certificate of a local CA that wharf makes in the data directory;
    /// servers of one etcd need the same ca.pem and ca-key.pem
    #[arg(long, env = "WHARF_TLS", value_name = "HOW", default_value = "off")]
    tls: TlsHow,
    /// Serve TLS with this certificate chain (PEM); read again when it changes
    #[arg(long, env = "WHARF_TLS_CERT", value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// The key of that certificate (PEM)
    #[arg(long, env = "WHARF_TLS_KEY", value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// The CA of that certificate (PEM), where it is not one that the system trusts
    #[arg(long, env = "WHARF_TLS_CA", value_name = "FILE")]
    tls_ca: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum TlsHow {
    Off,
    Local,
}

/// What a server does about TLS.
#[derive(Clone)]
pub enum TlsChoice {
    Off,
    Local,
    Files { cert: PathBuf, key: PathBuf, ca: Option<PathBuf> },
}

impl TlsArguments {
    pub fn choice(&self) -> Result<TlsChoice> {
        let TlsArguments { tls, tls_cert, tls_key, tls_ca } = self.clone();
        match (tls, tls_cert, tls_key, tls_ca) {
            (TlsHow::Off, None, None, None) => Ok(TlsChoice::Off),
            (TlsHow::Local, None, None, None) => Ok(TlsChoice::Local),
            (TlsHow::Off, Some(cert), Some(key), ca) => Ok(TlsChoice::Files { cert, key, ca }),
            (TlsHow::Local, ..) => {
                misuse("--tls local makes its own certificate: leave out the files")
            }
            (TlsHow::Off, Some(_), None, _) => misuse("--tls-cert needs --tls-key"),
            (TlsHow::Off, None, Some(_), _) => misuse("--tls-key needs --tls-cert"),
            (TlsHow::Off, None, None, Some(_)) => misuse("--tls-ca needs --tls-cert"),
        }
    }
}

/// Where state is kept.
#[derive(Clone)]
pub enum StateArgument {
    Embedded,
    Etcd(EtcdOptions),
}

impl StateArgument {
    /// Whether others may have their state there, too.
    pub fn is_shared(&self) -> bool {
        !matches!(self, StateArgument::Embedded)
    }
}

impl FromStr for StateArgument {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "embedded" => Ok(StateArgument::Embedded),
            text if text.starts_with("etcd") => {
                EtcdOptions::parse(text).map(StateArgument::Etcd).map_err(|e| e.to_string())
            }
            _ => Err("expected embedded or etcd://HOST:PORT".to_owned()),
        }
    }
}

fn advertised(text: &str) -> Result<String, String> {
    let uri: Uri = text.parse().map_err(|_| "it is no URL".to_owned())?;
    let scheme = matches!(uri.scheme_str(), Some("http" | "https"));
    let bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
    match uri.authority() {
        Some(host) if scheme && bare && !host.as_str().contains('@') => {
            Ok(text.trim_end_matches('/').to_owned())
        }
        _ => Err("expected http://HOST[:PORT] or https://HOST[:PORT]".to_owned()),
    }
}

impl Settings {
    /// What the command line asks for as a whole.
    pub fn check(&self) -> Result<()> {
        self.tls.choice()?;
        match &self.state {
            StateArgument::Embedded if self.leader_timeout.is_some() => {
                misuse("--leader-timeout needs --state etcd://…")
            }
            StateArgument::Etcd(_) if self.advertise.is_none() && self.listens_anywhere() => {
                misuse("--state etcd://… needs --advertise URL where --listen names no one address")
            }
            _ => Ok(()),
        }
    }

    fn listens_anywhere(&self) -> bool {
        self.listen.first().is_none_or(|address| address.ip().is_unspecified())
    }

    pub fn lease(&self) -> Duration {
        Duration::from_secs(self.leader_timeout.unwrap_or(10))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advertised_urls_are_bare() {
        assert_eq!(advertised("https://w.example:1/").unwrap(), "https://w.example:1");
        assert!(advertised("http://[::1]:4566").is_ok());
        for wrong in ["", "w.example", "ftp://w", "http://w/x", "http://w/?q", "http://u@w", "/x"] {
            assert!(advertised(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn states_are_told_apart() {
        assert!(matches!("embedded".parse(), Ok(StateArgument::Embedded)));
        assert!(matches!("etcd://a:1,b:2/x".parse(), Ok(StateArgument::Etcd(_))));
        for wrong in ["", "redis://x:1", "etcd", "etcd://x"] {
            assert!(wrong.parse::<StateArgument>().is_err(), "{wrong}");
        }
    }
}
