//! The agent's settings: AWS's own environment variables, from `/etc/ecs/ecs.config`, the process's
//! environment, or flags, the later over the earlier. A value that cannot be used is an error that
//! names the variable: an agent that guesses joins the wrong cluster.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use host_images::PullBehavior;
use serde_json::Value;

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read {path}")]
    File { path: PathBuf, source: std::io::Error },
    #[error("{path}, line {line}: expected NAME=VALUE")]
    Line { path: PathBuf, line: usize },
    #[error("{name}={value}: {rule}")]
    Value { name: &'static str, value: String, rule: &'static str },
    #[error("{name} is not set: {rule}")]
    Missing { name: &'static str, rule: &'static str },
}

#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub cluster: String,
    /// No cluster was named: `default` is meant, and made where it is missing.
    pub cluster_is_default: bool,
    /// The control plane, as a URL.
    pub endpoint: String,
    pub region: String,
    pub data_dir: PathBuf,
    /// Whom to trust in place of the system's store.
    pub ca: Option<PathBuf>,
    pub insecure: bool,
    pub external: bool,
    /// Tasks in awsvpc mode may come here: their addresses are routed to this host.
    pub task_eni: bool,
    pub attributes: BTreeMap<String, String>,
    pub tags: BTreeMap<String, String>,
    pub reserved_ports: Vec<u16>,
    pub reserved_udp_ports: Vec<u16>,
    /// MiB that tasks do not get.
    pub reserved_memory: u64,
    /// MiB and CPU units of the host, where they are not the machine's.
    pub memory: Option<u64>,
    pub cpu: Option<u64>,
    pub pull: PullBehavior,
    pub pull_inactivity: Duration,
    pub stop_timeout: Duration,
    pub start_timeout: Duration,
    pub cleanup_wait: Duration,
    pub image_cleanup: Option<Duration>,
    pub image_minimum_age: Duration,
    pub images_per_cleanup: usize,
    pub log_drivers: Vec<String>,
    pub privileged: bool,
    /// Whether tasks may have CPU and memory of their own; `None` is as the runtime can.
    pub task_limits: Option<bool>,
    pub metrics: bool,
    pub checkpoint: bool,
    pub instance_id: Option<String>,
    /// What the machine is called where machines have types.
    pub instance_type: Option<String>,
    pub availability_zone: Option<String>,
    pub availability_zone_id: Option<String>,
    pub vpc_id: Option<String>,
    pub subnet_id: Option<String>,
    pub dynamic_ports: Option<(u16, u16)>,
    pub block_imds: bool,
    pub metadata_rate: Option<(u32, u32)>,
    pub docker_auth: Option<Value>,
    /// AWS: a control plane that says nothing for a minute, and up to one more, is dialled anew.
    pub silence: Duration,
    /// Where an operator may ask the agent what it runs.
    pub introspection: Ipv4Addr,
}

/// What a machine is whose operator gave it no type.
pub const INSTANCE_TYPE: &str = "wharf.host";

impl Config {
    /// AWS: a machine in the cloud always has a type, and one outside of it has none.
    pub fn instance_type(&self) -> Option<&str> {
        let usual = (!self.external).then_some(INSTANCE_TYPE);
        self.instance_type.as_deref().or(usual)
    }
}

/// The variables, what they default to, and what they mean, for the help text.
pub const HELP: &str = "\
Settings are read from /etc/ecs/ecs.config, then from the environment, then from flags:
  ECS_CLUSTER                            the cluster to join [default]
  ECS_BACKEND_HOST                       the control plane's URL [http://127.0.0.1:4566]
  AWS_DEFAULT_REGION, AWS_REGION         the region [us-east-1]
  AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN,
  AWS_SHARED_CREDENTIALS_FILE, AWS_PROFILE   who this host is
  AWS_EC2_METADATA_SERVICE_ENDPOINT      who tells it otherwise [http://169.254.169.254]
  AWS_EC2_METADATA_DISABLED              ask nobody [false]
  AWS_CA_BUNDLE                          the CAs of the control plane and of registries [the system's]
  ECS_DATADIR                            what must outlive the agent [/var/lib/ecs/data]
  ECS_CHECKPOINT                         remember it at all [true]
  ECS_INSTANCE_ATTRIBUTES                a JSON object of custom attributes
  ECS_CONTAINER_INSTANCE_TAGS            a JSON object of tags
  ECS_INSTANCE_TYPE                      the attribute ecs.instance-type [wharf.host; none outside of the cloud]
  ECS_RESERVED_PORTS, ECS_RESERVED_PORTS_UDP   JSON lists [[22,2375,2376,51678,51679], []]
  ECS_RESERVED_MEMORY                    MiB that tasks do not get [0]
  ECS_IMAGE_PULL_BEHAVIOR                default, always, once or prefer-cached [default]
  ECS_IMAGE_PULL_INACTIVITY_TIMEOUT      give up on a silent registry [1m]
  ECS_CONTAINER_STOP_TIMEOUT             from SIGTERM to SIGKILL [30s]
  ECS_CONTAINER_START_TIMEOUT            patience with a starting container [3m]
  ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION  how long stopped containers are kept [3h]
  ECS_DISABLE_IMAGE_CLEANUP              keep images that nothing uses [false]
  ECS_IMAGE_CLEANUP_INTERVAL             how often they are looked for [30m]
  ECS_IMAGE_MINIMUM_CLEANUP_AGE          how long they are kept [1h]
  ECS_NUM_IMAGES_DELETE_PER_CYCLE        how many go at once [5]
  ECS_AVAILABLE_LOGGING_DRIVERS          a JSON list [all that come with the agent]
  ECS_DISABLE_PRIVILEGED                 refuse privileged containers [false]
  ECS_ENABLE_TASK_CPU_MEM_LIMIT          take tasks with cpu or memory of their own [true]
  ECS_DISABLE_METRICS                    send none [false]
  ECS_DYNAMIC_HOST_PORT_RANGE            FIRST-LAST [32768-60999]
  ECS_ENABLE_TASK_ENI                    take awsvpc tasks: their addresses lead here [false]
  ECS_AWSVPC_BLOCK_IMDS                  keep awsvpc tasks from 169.254.169.254 [false]
  ECS_TASK_METADATA_RPS_LIMIT            RATE,BURST [40,60]
  DOCKER_HOST                            with --runtime docker, its socket [unix:///var/run/docker.sock]
  ECS_EXTERNAL                           this machine is outside of the cloud [false]
  ECS_ENGINE_AUTH_TYPE, ECS_ENGINE_AUTH_DATA   logins of registries, as docker or dockercfg";

/// Settings by name; the last one set holds.
#[derive(Clone, Debug, Default)]
pub struct Source {
    values: BTreeMap<String, String>,
}

impl Source {
    /// A file of `NAME=VALUE` lines, as `docker --env-file` reads them; a missing one is empty.
    pub fn file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(ConfigError::File { path: path.to_owned(), source }),
        };
        for (nth, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let line = line.strip_prefix("export ").unwrap_or(line);
            let Some((name, value)) = line.split_once('=') else {
                return Err(ConfigError::Line { path: path.to_owned(), line: nth + 1 });
            };
            self.set(name.trim(), unquoted(value.trim()));
        }
        Ok(())
    }

    pub fn environment(&mut self, variables: impl Iterator<Item = (String, String)>) {
        let ours = |name: &str| {
            name.starts_with("ECS_") || name.starts_with("AWS_") || name == "DOCKER_HOST"
        };
        for (name, value) in variables.filter(|(name, _)| ours(name)) {
            self.set(&name, &value);
        }
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.values.insert(name.to_owned(), value.to_owned());
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    fn with<T>(
        &self,
        name: &'static str,
        rule: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let bad = || ConfigError::Value { name, value: value.to_owned(), rule };
        read(value).map(Some).ok_or_else(bad)
    }

    fn flag(&self, name: &'static str) -> Result<bool, ConfigError> {
        Ok(self.maybe(name)?.unwrap_or(false))
    }

    fn maybe(&self, name: &'static str) -> Result<Option<bool>, ConfigError> {
        let read = |value: &str| match value.to_ascii_lowercase().as_str() {
            "true" | "1" | "t" => Some(true),
            "false" | "0" | "f" => Some(false),
            _ => None,
        };
        self.with(name, "expected true or false", read)
    }

    fn span(&self, name: &'static str, default: Duration) -> Result<Duration, ConfigError> {
        let rule = "expected a duration such as 90s, 10m or 1h30m";
        Ok(self.with(name, rule, duration)?.unwrap_or(default))
    }

    fn number(&self, name: &'static str) -> Result<Option<u64>, ConfigError> {
        self.with(name, "expected a whole number", |value| value.parse().ok())
    }

    fn object(&self, name: &'static str) -> Result<BTreeMap<String, String>, ConfigError> {
        let rule = "expected a JSON object of texts, such as {\"stack\":\"prod\"}";
        Ok(self.with(name, rule, |value| serde_json::from_str(value).ok())?.unwrap_or_default())
    }

    fn ports(&self, name: &'static str, default: &[u16]) -> Result<Vec<u16>, ConfigError> {
        let rule = "expected a JSON list of ports, such as [22, 80]";
        let given = self.with(name, rule, |value| serde_json::from_str(value).ok())?;
        Ok(given.unwrap_or_else(|| default.to_vec()))
    }

    pub fn config(&self) -> Result<Config, ConfigError> {
        let minute = Duration::from_secs(60);
        let cluster = self.get("ECS_CLUSTER");
        let region = self.get("AWS_DEFAULT_REGION").or(self.get("AWS_REGION"));
        let external = self.flag("ECS_EXTERNAL")?;
        if external && region.is_none() {
            // AWS: outside of EC2 there is no instance metadata to ask for the region.
            let rule = "a host outside of the cloud must be told its region";
            return Err(ConfigError::Missing { name: "AWS_DEFAULT_REGION", rule });
        }
        let list = |value: &str| serde_json::from_str::<Vec<String>>(value).ok();
        let drivers = self.with("ECS_AVAILABLE_LOGGING_DRIVERS", "expected a JSON list", list)?;
        // Whatever the host has, these come with the agent.
        let usual = || host_logs::names().chain(["awsfirelens"]).map(str::to_owned).collect();
        let text = |name: &str| self.get(name).map(str::to_owned);
        let cleanup = !self.flag("ECS_DISABLE_IMAGE_CLEANUP")?;
        let interval = self.span("ECS_IMAGE_CLEANUP_INTERVAL", 30 * minute)?.max(10 * minute);
        Ok(Config {
            cluster: cluster.unwrap_or("default").to_owned(),
            cluster_is_default: cluster.is_none(),
            endpoint: self.endpoint()?,
            region: region.unwrap_or("us-east-1").to_owned(),
            data_dir: self.get("ECS_DATADIR").unwrap_or("/var/lib/ecs/data").into(),
            ca: self.get("AWS_CA_BUNDLE").map(PathBuf::from),
            insecure: false,
            external,
            task_eni: self.flag("ECS_ENABLE_TASK_ENI")?,
            attributes: self.object("ECS_INSTANCE_ATTRIBUTES")?,
            tags: self.object("ECS_CONTAINER_INSTANCE_TAGS")?,
            // AWS: SSH, Docker's two ports, and the agent's own two.
            reserved_ports: self.ports("ECS_RESERVED_PORTS", &[22, 2375, 2376, 51678, 51679])?,
            reserved_udp_ports: self.ports("ECS_RESERVED_PORTS_UDP", &[])?,
            reserved_memory: self.number("ECS_RESERVED_MEMORY")?.unwrap_or(0),
            memory: self.number("ECS_HOST_MEMORY")?,
            cpu: self.number("ECS_HOST_CPU")?,
            pull: self.pull()?,
            pull_inactivity: self.span("ECS_IMAGE_PULL_INACTIVITY_TIMEOUT", minute)?,
            stop_timeout: self
                .span("ECS_CONTAINER_STOP_TIMEOUT", crate::engine::DEFAULT_STOP_TIMEOUT)?,
            start_timeout: self.span("ECS_CONTAINER_START_TIMEOUT", 3 * minute)?,
            introspection: Ipv4Addr::LOCALHOST,
            cleanup_wait: self.span("ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION", 180 * minute)?,
            image_cleanup: cleanup.then_some(interval),
            image_minimum_age: self.span("ECS_IMAGE_MINIMUM_CLEANUP_AGE", 60 * minute)?,
            images_per_cleanup: self.number("ECS_NUM_IMAGES_DELETE_PER_CYCLE")?.unwrap_or(5) as _,
            log_drivers: drivers.unwrap_or_else(usual),
            privileged: !self.flag("ECS_DISABLE_PRIVILEGED")?,
            task_limits: self.maybe("ECS_ENABLE_TASK_CPU_MEM_LIMIT")?,
            metrics: !self.flag("ECS_DISABLE_METRICS")?,
            checkpoint: self.maybe("ECS_CHECKPOINT")?.unwrap_or(true),
            instance_id: text("ECS_INSTANCE_ID"),
            instance_type: self.with("ECS_INSTANCE_TYPE", TYPE_RULE, instance_type)?,
            availability_zone: text("ECS_AVAILABILITY_ZONE"),
            availability_zone_id: text("ECS_AVAILABILITY_ZONE_ID"),
            vpc_id: text("ECS_VPC_ID"),
            subnet_id: text("ECS_SUBNET_ID"),
            dynamic_ports: self.with(
                "ECS_DYNAMIC_HOST_PORT_RANGE",
                "expected FIRST-LAST",
                range,
            )?,
            block_imds: self.flag("ECS_AWSVPC_BLOCK_IMDS")?,
            metadata_rate: self.with("ECS_TASK_METADATA_RPS_LIMIT", "expected RATE,BURST", rate)?,
            docker_auth: self.auth()?,
            silence: minute,
        })
    }

    /// AWS: a host without a scheme means https.
    fn endpoint(&self) -> Result<String, ConfigError> {
        let rule = "expected http://HOST[:PORT] or https://HOST[:PORT]";
        let read = |value: &str| {
            let url = match value.contains("://") {
                true => value.to_owned(),
                false => format!("https://{value}"),
            };
            let uri: http::Uri = url.parse().ok()?;
            let known = matches!(uri.scheme_str(), Some("http" | "https"));
            (known && uri.authority().is_some()).then(|| url.trim_end_matches('/').to_owned())
        };
        let given = self.with("ECS_BACKEND_HOST", rule, read)?;
        Ok(given.unwrap_or_else(|| "http://127.0.0.1:4566".to_owned()))
    }

    fn pull(&self) -> Result<PullBehavior, ConfigError> {
        let rule = "expected default, always, once or prefer-cached";
        Ok(self
            .with("ECS_IMAGE_PULL_BEHAVIOR", rule, |value| value.parse().ok())?
            .unwrap_or_default())
    }

    /// AWS: `ECS_ENGINE_AUTH_TYPE=docker` or `dockercfg`, and the logins as JSON.
    fn auth(&self) -> Result<Option<Value>, ConfigError> {
        let kinds = |value: &str| matches!(value, "docker" | "dockercfg").then_some(());
        let rule = "expected docker or dockercfg";
        if self.with("ECS_ENGINE_AUTH_TYPE", rule, kinds)?.is_none() {
            return Ok(None);
        }
        let name = "ECS_ENGINE_AUTH_DATA";
        let bad = || ConfigError::Value {
            name,
            value: "(hidden)".to_owned(),
            rule: "expected a JSON object of registries",
        };
        let Some(text) = self.get(name) else {
            return Err(ConfigError::Missing { name, rule: "ECS_ENGINE_AUTH_TYPE asks for it" });
        };
        serde_json::from_str(text).ok().filter(Value::is_object).map(Some).ok_or_else(bad)
    }
}

const TYPE_RULE: &str = "expected up to 128 letters, digits, hyphens, dots, underscores";

fn instance_type(text: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    (text.len() <= 128 && text.chars().all(plain)).then(|| text.to_owned())
}

fn unquoted(text: &str) -> &str {
    let quoted = |quote: char| text.strip_prefix(quote).and_then(|t| t.strip_suffix(quote));
    quoted('"').or_else(|| quoted('\'')).unwrap_or(text)
}

fn range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-')?;
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (0 < first && first <= last).then_some((first, last))
}

fn rate(text: &str) -> Option<(u32, u32)> {
    let (rate, burst) = text.split_once(',')?;
    let (rate, burst) = (rate.trim().parse().ok()?, burst.trim().parse().ok()?);
    (rate > 0 && burst >= rate).then_some((rate, burst))
}

/// Go's durations: numbers with units, in a row.
fn duration(text: &str) -> Option<Duration> {
    let (mut rest, mut all) = (text, Duration::ZERO);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        all = all.checked_add(Duration::try_from_secs_f64(number * unit).ok()?)?;
        rest = &rest[end..];
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn with(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let mut source = Source::default();
        pairs.iter().for_each(|(name, value)| source.set(name, value));
        source.config()
    }

    #[test]
    fn defaults_are_those_of_aws() {
        let config = with(&[]).unwrap();
        assert_eq!((config.cluster.as_str(), config.cluster_is_default), ("default", true));
        assert_eq!(config.reserved_ports, [22, 2375, 2376, 51678, 51679]);
        assert_eq!(config.cleanup_wait, Duration::from_secs(3 * 3600));
        assert_eq!(config.stop_timeout, Duration::from_secs(30));
        assert_eq!(config.pull, PullBehavior::Default);
    }

    #[test]
    fn machines_of_the_cloud_have_a_type() {
        assert_eq!(with(&[]).unwrap().instance_type(), Some("wharf.host"));
        let own = ("ECS_INSTANCE_TYPE", "m7g.large");
        assert_eq!(with(&[own]).unwrap().instance_type(), Some("m7g.large"));
        let outside = [("ECS_EXTERNAL", "true"), ("AWS_REGION", "eu-west-1")];
        assert_eq!(with(&outside).unwrap().instance_type(), None);
        assert_eq!(
            with(&[outside[0], outside[1], own]).unwrap().instance_type(),
            Some("m7g.large")
        );
    }

    #[test]
    fn bad_values_name_their_variable() {
        for (name, value) in [
            ("ECS_BACKEND_HOST", "ftp://x"),
            ("ECS_RESERVED_PORTS", "22"),
            ("ECS_RESERVED_MEMORY", "-1"),
            ("ECS_IMAGE_PULL_BEHAVIOR", "sometimes"),
            ("ECS_INSTANCE_ATTRIBUTES", "[]"),
            ("ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION", "soon"),
            ("ECS_DYNAMIC_HOST_PORT_RANGE", "9-1"),
            ("ECS_EXTERNAL", "yes please"),
            ("ECS_INSTANCE_TYPE", "a type"),
        ] {
            let error = with(&[(name, value)]).unwrap_err().to_string();
            assert!(error.starts_with(name), "{error}");
        }
        assert!(with(&[("ECS_EXTERNAL", "true")]).is_err());
        let error = with(&[("ECS_ENGINE_AUTH_TYPE", "docker"), ("ECS_ENGINE_AUTH_DATA", "pass")]);
        assert!(!error.unwrap_err().to_string().contains("pass"));
    }

    #[test]
    fn later_sources_hold_over_earlier_ones() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ecs.config");
        std::fs::write(&path, "# hosts\nECS_CLUSTER=\"a\"\nexport ECS_BACKEND_HOST=h:1\n\n")
            .unwrap();
        let mut source = Source::default();
        source.file(&path).unwrap();
        let pairs = [("ECS_CLUSTER", "b"), ("DOCKER_HOST", "unix:///d"), ("HOME", "/root")];
        source.environment(pairs.map(|(name, value)| (name.into(), value.into())).into_iter());
        assert_eq!((source.get("DOCKER_HOST"), source.get("HOME")), (Some("unix:///d"), None));
        let config = source.config().unwrap();
        assert_eq!((config.cluster.as_str(), config.endpoint.as_str()), ("b", "https://h:1"));
        std::fs::write(&path, "ECS_CLUSTER\n").unwrap();
        assert!(Source::default().file(&path).unwrap_err().to_string().contains("line 1"));
        assert!(Source::default().file(&dir.path().join("none")).is_ok());
    }

    #[test]
    fn durations_are_those_of_go() {
        assert_eq!(duration("1h30m"), Some(Duration::from_secs(5400)));
        assert_eq!(duration("1.5s"), Some(Duration::from_millis(1500)));
        for wrong in ["", "5", "s", "1d", "-1s", "1h-3m", "99999999999999999999h"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,60}") {
            let _ = (duration(&text), range(&text), rate(&text));
            let _ = with(&[("ECS_BACKEND_HOST", &text), ("ECS_INSTANCE_ATTRIBUTES", &text)]);
        }
    }
}
