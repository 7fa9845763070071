//! FireLens: one container of a task, the router, takes what the others write and sends it on.
//!
//! It finds its configuration made of the others' log options, and listens on a socket in a folder
//! that it shares with the agent. To the others' output nothing is special: it goes to fluentd, at
//! that socket.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aws_agent::docker::LogConfig;

use super::given::{Given, NetworkMode};
use crate::engine::{Condition, Dependency, Failure};

const DRIVER: &str = "awsfirelens";
/// Where the router listens, as it sees it.
const SOCKET: &str = "/var/run/fluent.sock";
const PORT: u16 = 24224;
/// MiB, for a router that says nothing of its memory.
const MEMORY_BUFFER: i64 = 25;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Fluentd,
    Fluentbit,
}

/// A task's router.
#[derive(Debug, PartialEq, Eq)]
pub struct Router {
    pub part: usize,
    /// Whose output it takes.
    pub users: Vec<usize>,
    /// The text of its configuration, and the file that it is for it.
    pub config: String,
    pub target: &'static str,
    pub env: Vec<(String, String)>,
}

/// What is known around the task.
pub struct Around<'a> {
    /// Of this task alone.
    pub dir: &'a Path,
    pub cluster: &'a str,
    pub instance_id: Option<&'a str>,
}

/// The folders that a router shares with its agent.
pub fn socket_dir(task_dir: &Path) -> PathBuf {
    task_dir.join("firelens").join("socket")
}

/// Find the task's router, and let those who use it write to its socket.
pub fn wire(given: &mut Given, around: &Around<'_>) {
    let all = &given.task.containers;
    let Some(part) = all.iter().position(|c| c.firelens_configuration.is_some()) else { return };
    match router(given, part, around) {
        Ok(router) => connect(given, router, around),
        Err(text) => {
            let name = &given.task.containers[part].name;
            let text =
                format!("unable to initialize firelens resource of container {name}: {text}");
            given.refused.get_or_insert(Failure::new(Failure::RESOURCE, text));
        }
    }
}

fn connect(given: &mut Given, router: Router, around: &Around<'_>) {
    let (task, part) = (&given.task, router.part);
    let socket = socket_dir(around.dir).join("fluent.sock");
    // AWS: a router that waits for others itself is not waited for.
    let waited_for = task.containers[part].depends_on.is_empty();
    for &user in &router.users {
        let old = &given.configs[user].1.log_config.config;
        let mut config = BTreeMap::from([
            ("tag".to_owned(), format!("{}-firelens-{}", task.containers[user].name, given.id)),
            ("fluentd-address".to_owned(), format!("unix://{}", socket.display())),
            ("fluentd-sub-second-precision".to_owned(), "true".to_owned()),
            ("fluentd-async".to_owned(), "true".to_owned()),
        ]);
        if let Some(limit) = old.get("log-driver-buffer-limit") {
            config.insert("fluentd-buffer-limit".to_owned(), limit.clone());
        }
        given.configs[user].1.log_config = LogConfig { r#type: "fluentd".to_owned(), config };
        let depends_on = &mut given.spec.parts[user].depends_on;
        if waited_for && user != part && !depends_on.iter().any(|d| d.on == part) {
            depends_on.push(Dependency { on: part, condition: Condition::Start });
        }
    }
    given.router = Some(router);
}

fn router(given: &Given, part: usize, around: &Around<'_>) -> Result<Router, String> {
    let container = &given.task.containers[part];
    let firelens = container.firelens_configuration.as_ref().ok_or("there is none")?;
    let kind = match firelens.r#type.as_str() {
        "fluentd" => Kind::Fluentd,
        "fluentbit" => Kind::Fluentbit,
        other => return Err(format!("unsupported firelens config type {other}")),
    };
    let option = |name: &str| firelens.options.get(name).map(String::as_str);
    let mut text = Text { kind, out: String::new() };
    inputs(&mut text, given, part);
    if option("enable-ecs-log-metadata") != Some("false") {
        let task = &given.task;
        let mut fields = vec![
            ("ecs_cluster", around.cluster.to_owned()),
            ("ecs_task_arn", task.arn.clone()),
            ("ecs_task_definition", format!("{}:{}", task.family, task.version)),
        ];
        fields.extend(around.instance_id.map(|id| ("ec2_instance_id", id.to_owned())));
        text.fields(&fields);
    }
    let uses = |user: &usize| given.configs[*user].1.log_config.r#type == DRIVER;
    let users: Vec<usize> = (0..given.configs.len()).filter(uses).collect();
    let mut outputs = Vec::new();
    for &user in &users {
        let name = &given.task.containers[user].name;
        let options = &given.configs[user].1.log_config.config;
        let output = text.filters(name, options);
        outputs.push(output.map_err(|why| format!("log options of container {name}: {why}"))?);
    }
    match (option("config-file-type"), option("config-file-value")) {
        (None, _) => {}
        (Some("file"), Some(path)) => text.include(path),
        (Some("s3"), Some(_)) => {
            return Err("config-file-type s3 needs S3, which is not available here".to_owned());
        }
        (Some(_), None) => {
            return Err("option config-file-type is specified but config-file-value is not".into());
        }
        (Some(other), _) => {
            return Err(format!("invalid value {other} is specified for option config-file-type"));
        }
    }
    outputs.into_iter().flatten().for_each(|output| text.output(&output));
    let env = match kind {
        // AWS: fluentd must be root to reach the socket.
        Kind::Fluentd => vec![("FLUENT_UID".to_owned(), "0".to_owned())],
        Kind::Fluentbit => Vec::new(),
    };
    let target = match kind {
        Kind::Fluentd => "/fluentd/etc/fluent.conf",
        Kind::Fluentbit => "/fluent-bit/etc/fluent-bit.conf",
    };
    Ok(Router { part, users, config: text.out, target, env })
}

fn inputs(text: &mut Text, given: &Given, part: usize) {
    let memory = match given.configs[part].1.memory_reservation >> 20 {
        0 => given.task.containers[part].memory,
        reserved => reserved,
    };
    let limit = if memory / 2 > 0 { memory / 2 } else { MEMORY_BUFFER };
    match text.kind {
        Kind::Fluentd => text.input("unix", "", &[("path", SOCKET)]),
        Kind::Fluentbit => {
            let limit = format!("{limit}MB");
            text.input("forward", "", &[("unix_path", SOCKET), ("Mem_Buf_Limit", &limit)]);
        }
    }
    let address = match given.network_mode() {
        NetworkMode::Bridge => "0.0.0.0",
        NetworkMode::Awsvpc => "127.0.0.1",
        NetworkMode::Host | NetworkMode::None => return,
    };
    let port = PORT.to_string();
    match text.kind {
        Kind::Fluentd => text.input("forward", "", &[("bind", address), ("port", &port)]),
        Kind::Fluentbit => {
            text.input("forward", "", &[("Listen", address), ("Port", &port)]);
            // What a health check of the router's own sends.
            let tag = "firelens-healthcheck";
            text.input("tcp", tag, &[("Listen", "127.0.0.1"), ("Port", "8877")]);
            let nothing = BTreeMap::new();
            text.output(&Output { plugin: "null".into(), matches: tag.into(), options: nothing });
        }
    }
}

struct Output {
    plugin: String,
    matches: String,
    options: BTreeMap<String, String>,
}

/// A configuration in either of the two languages.
struct Text {
    kind: Kind,
    out: String,
}

impl Text {
    fn anything(&self) -> &'static str {
        match self.kind {
            Kind::Fluentd => "**",
            Kind::Fluentbit => "*",
        }
    }

    /// `[NAME]` and pairs below it, or `<name>` … `</name>`.
    fn section(&mut self, name: &str, argument: &str, pairs: &[(&str, &str)]) {
        match self.kind {
            Kind::Fluentbit => {
                self.out.push_str(&format!("[{}]\n", name.to_ascii_uppercase()));
                pairs.iter().for_each(|(k, v)| self.out.push_str(&format!("    {k} {v}\n")));
            }
            Kind::Fluentd => {
                let argument = if argument.is_empty() { "" } else { &format!(" {argument}") };
                self.out.push_str(&format!("<{name}{argument}>\n"));
                pairs.iter().for_each(|(k, v)| self.out.push_str(&format!("    {k} {v}\n")));
                self.out.push_str(&format!("</{name}>\n"));
            }
        }
        self.out.push('\n');
    }

    fn input(&mut self, plugin: &str, tag: &str, options: &[(&str, &str)]) {
        let (section, name, tag_name) = match self.kind {
            Kind::Fluentd => ("source", "@type", "tag"),
            Kind::Fluentbit => ("INPUT", "Name", "Tag"),
        };
        let mut pairs = vec![(name, plugin)];
        if !tag.is_empty() {
            pairs.push((tag_name, tag));
        }
        pairs.extend(options);
        self.section(section, "", &pairs);
    }

    /// Add to every record where it comes from.
    fn fields(&mut self, fields: &[(&str, String)]) {
        let anything = self.anything();
        match self.kind {
            Kind::Fluentbit => {
                let records: Vec<String> =
                    fields.iter().map(|(name, value)| format!("{name} {value}")).collect();
                let mut pairs = vec![("Name", "record_modifier"), ("Match", anything)];
                pairs.extend(records.iter().map(|record| ("Record", record.as_str())));
                self.section("FILTER", "", &pairs);
            }
            Kind::Fluentd => {
                let records =
                    fields.iter().map(|(name, value)| format!("        {name} {value}\n"));
                let records: String = records.collect();
                self.out.push_str(&format!(
                    "<filter {anything}>\n    @type record_transformer\n    <record>\n{records}    \
                     </record>\n</filter>\n\n"
                ));
            }
        }
    }

    /// A container's filters; its output, should it name one.
    fn filters(
        &mut self,
        container: &str,
        options: &BTreeMap<String, String>,
    ) -> Result<Option<Output>, String> {
        let matches = format!("{container}-firelens{}", self.anything());
        let key = match self.kind {
            Kind::Fluentd => "@type",
            Kind::Fluentbit => "Name",
        };
        let mut rest = options.clone();
        rest.remove("log-driver-buffer-limit");
        for (option, include) in [("include-pattern", true), ("exclude-pattern", false)] {
            if let Some(pattern) = rest.remove(option) {
                self.grep(&matches, &pattern, include);
            }
        }
        match rest.remove(key) {
            Some(plugin) => Ok(Some(Output { plugin, matches, options: rest })),
            None if rest.is_empty() => Ok(None),
            None => Err(format!("missing output key {key}, which is required")),
        }
    }

    fn grep(&mut self, matches: &str, pattern: &str, include: bool) {
        match self.kind {
            Kind::Fluentbit => {
                let rule = format!("log {pattern}");
                let word = if include { "Regex" } else { "Exclude" };
                let pairs = [("Name", "grep"), ("Match", matches), (word, &rule)];
                self.section("FILTER", "", &pairs);
            }
            Kind::Fluentd => {
                let word = if include { "regexp" } else { "exclude" };
                self.out.push_str(&format!(
                    "<filter {matches}>\n    @type grep\n    <{word}>\n        key log\n        \
                     pattern {pattern}\n    </{word}>\n</filter>\n\n"
                ));
            }
        }
    }

    fn include(&mut self, path: &str) {
        let word = match self.kind {
            Kind::Fluentd => "@include",
            Kind::Fluentbit => "@INCLUDE",
        };
        self.out.push_str(&format!("{word} {path}\n\n"));
    }

    fn output(&mut self, output: &Output) {
        let Output { plugin, matches, options } = output;
        let options = options.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let mut pairs = Vec::new();
        match self.kind {
            Kind::Fluentd => {
                pairs.push(("@type", plugin.as_str()));
                pairs.extend(options);
                self.section("match", matches, &pairs);
            }
            Kind::Fluentbit => {
                pairs.extend([("Name", plugin.as_str()), ("Match", matches)]);
                pairs.extend(options);
                self.section("OUTPUT", "", &pairs);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use aws_agent::docker::{Config, DockerConfig, HostConfig};
    use aws_agent::task::{Container, FirelensConfiguration, Task};

    use super::super::given::Record;
    use super::*;

    fn given(kind: &str, router: &[(&str, &str)], app: &[(&str, &str)]) -> Given {
        let map = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
        };
        let log = LogConfig { r#type: DRIVER.into(), config: map(app) };
        let host = HostConfig { log_config: log, ..Default::default() };
        let firelens = FirelensConfiguration { r#type: kind.into(), options: map(router) };
        let containers = vec![
            Container {
                name: "app".into(),
                docker_config: Some(DockerConfig::new(&Config::default(), &host)),
                ..Default::default()
            },
            Container {
                name: "router".into(),
                memory: 64,
                firelens_configuration: Some(firelens),
                ..Default::default()
            },
        ];
        let task = Task {
            arn: "arn:aws:ecs:us-east-1:1:task/c/abc".into(),
            family: "f".into(),
            version: "2".into(),
            containers,
            ..Default::default()
        };
        let mut given = Given::read(Record { task, ..Default::default() }, Duration::from_secs(30));
        let around = Around { dir: Path::new("/t"), cluster: "c", instance_id: Some("i-1") };
        wire(&mut given, &around);
        given
    }

    #[test]
    fn fluent_bit_is_told_of_inputs_and_outputs() {
        let options = [("Name", "cloudwatch"), ("region", "r"), ("exclude-pattern", "^#")];
        let given = given(
            "fluentbit",
            &[("config-file-type", "file"), ("config-file-value", "/x")],
            &options,
        );
        assert_eq!(given.refused, None);
        let router = given.router.as_ref().unwrap();
        assert_eq!((router.part, &router.users[..]), (1, &[0][..]));
        for expected in [
            "[INPUT]\n    Name forward\n    unix_path /var/run/fluent.sock\n    Mem_Buf_Limit 32MB\n",
            "    Record ecs_task_definition f:2\n    Record ec2_instance_id i-1\n",
            "[FILTER]\n    Name grep\n    Match app-firelens*\n    Exclude log ^#\n",
            "@INCLUDE /x\n\n[OUTPUT]\n    Name cloudwatch\n    Match app-firelens*\n    region r\n",
        ] {
            assert!(router.config.contains(expected), "{expected} in {}", router.config);
        }
        let log = &given.configs[0].1.log_config;
        assert_eq!(log.r#type, "fluentd");
        assert_eq!(log.config["tag"], "app-firelens-abc");
        assert_eq!(log.config["fluentd-address"], "unix:///t/firelens/socket/fluent.sock");
        let waits = Dependency { on: 1, condition: Condition::Start };
        assert_eq!(given.spec.parts[0].depends_on, [waits]);
    }

    #[test]
    fn fluentd_speaks_another_language() {
        let given =
            given("fluentd", &[("enable-ecs-log-metadata", "false")], &[("@type", "stdout")]);
        let router = given.router.unwrap();
        assert_eq!(router.target, "/fluentd/etc/fluent.conf");
        assert!(!router.config.contains("ecs_cluster"));
        let expected = "<match app-firelens**>\n    @type stdout\n</match>\n";
        assert!(router.config.ends_with(&format!("{expected}\n")), "{}", router.config);
        assert_eq!(router.env, [("FLUENT_UID".to_owned(), "0".to_owned())]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (kind, router, app, expected) in [
            (
                "fluentbit",
                &[("config-file-type", "s3"), ("config-file-value", "a")][..],
                &[][..],
                "S3",
            ),
            ("fluentbit", &[("config-file-type", "file")], &[], "config-file-value"),
            ("fluentbit", &[], &[("region", "r")], "missing output key Name"),
            ("logstash", &[], &[], "logstash"),
        ] {
            let text = given(kind, router, app).refused.unwrap().to_string();
            assert!(text.starts_with("ResourceInitializationError: "), "{text}");
            assert!(text.contains("container router") && text.contains(expected), "{text}");
        }
    }
}
