//! What a mistake on the command line says, and what `wharf env` gives to a shell.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::world::{Client, Home, Server, run, text, wait_for, wharf};

#[test]
fn mistakes_are_one_line_and_exit_code_2() {
    let home = Home::new();
    let dir = home.dir();
    let dir = dir.to_str().unwrap();
    for words in [
        &["server", "--listen", "nonsense"][..],
        &["server", "--listen", "127.0.0.1:99999"],
        &["server", "--account-id", "42"],
        &["server", "--region", "Us_East"],
        &["server", "--state", "redis://x:1"],
        &["server", "--state", "etcd://nowhere"],
        &["server", "--leader-timeout", "5"],
        &["server", "--leader-timeout", "0", "--state", "etcd://a:1"],
        &["server", "--listen", "0.0.0.0:0", "--state", "etcd://127.0.0.1:1"],
        &["server", "--advertise", "not a url"],
        &["server", "--advertise", "http://h/path"],
        &["server", "--tls", "yes"],
        &["server", "--tls-cert", "/x"],
        &["server", "--tls-key", "/x"],
        &["server", "--tls-ca", "/x"],
        &["server", "--tls", "local", "--tls-cert", "/x", "--tls-key", "/y"],
        &["server", "--log-level", "loud"],
        &["server", "--log-format", "xml"],
        &["server", "--root-access-key-id", "AKIAIOSFODNN7EXAMPLE"],
        &["server", "--hosts", "3"],
        &["up", "--hosts", "many"],
        &["replay", "etcd://nowhere"],
        &["replay", "--until", "soon"],
        &["nonsense"],
    ] {
        let told = wharf(words).env("WHARF_DATA_DIR", dir).output().unwrap();
        let said = text(&told.stderr);
        assert_eq!(told.status.code(), Some(2), "{words:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{words:?}: {said}");
        assert!(said.starts_with("wharf: ") && told.stdout.is_empty(), "{words:?}: {said}");
    }
    assert!(!home.dir().exists(), "nothing was made for a command that was not carried out");
}

/// The end of a pipe that nobody reads.
fn unread() -> std::io::PipeWriter {
    std::io::pipe().unwrap().1
}

#[test]
fn a_reader_that_has_seen_enough_ends_a_command_in_silence_and_no_server() {
    for words in [&["version"][..], &["--help"]] {
        let told = wharf(words).stdout(unread()).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(text(&told.stderr), "", "{words:?}");
    }
    let told = wharf(&["version"]).stdout(unread()).output().unwrap();
    assert_eq!(told.status.signal(), Some(13), "SIGPIPE, as of other programs");

    let home = Home::new();
    let dir = home.dir();
    let words = ["server", "--listen", "127.0.0.1:0", "--data-dir", dir.to_str().unwrap()];
    let mut server = wharf(&words).stdout(unread()).stderr(Stdio::null()).spawn().unwrap();
    wait_for("the server listens", || dir.join("endpoint.json").exists());
    let pid = server.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert_eq!(server.wait().unwrap().code(), Some(0));
}

#[test]
fn every_flag_has_its_variable() {
    let commands: [&[&str]; 8] = [
        &["server"],
        &["up"],
        &["env"],
        &["check"],
        &["replay"],
        &["account", "create"],
        &["account", "list"],
        &["version"],
    ];
    for command in commands {
        let help = text(&run(&[command, &["--help"]].concat()).stdout);
        let flags = help.split("\n      --").skip(1);
        let flags: Vec<&str> = flags.filter(|flag| !flag.starts_with("help")).collect();
        assert!(!flags.is_empty(), "{help}");
        for flag in flags {
            let name = flag.split([' ', '\n']).next().unwrap();
            let name = name.to_uppercase().replace('-', "_");
            let variable =
                flag.split("[env: WHARF_").nth(1).and_then(|rest| rest.split(['=', ']']).next());
            assert!(variable.is_some_and(|it| it.ends_with(&name)), "{command:?} {flag}");
        }
    }
}

#[test]
fn the_environment_sets_what_flags_set() {
    let home = Home::new();
    let server = Server::start(&home.dir(), &[], |command| {
        command.env("WHARF_ACCOUNT_ID", "000011112222").env("WHARF_REGION", "eu-west-3");
        command.env("WHARF_LOG_FORMAT", "json").env("WHARF_LOG_LEVEL", "debug");
    });
    let made = server.client().create("c").json();
    assert_eq!(made["cluster"]["clusterArn"], "arn:aws:ecs:us-east-1:000011112222:cluster/c");
    let dir = home.dir();
    let words = ["env", "--json", "--data-dir", dir.to_str().unwrap()];
    let env: Value = serde_json::from_slice(&run(&words).stdout).unwrap();
    assert_eq!(env["AWS_REGION"], "eu-west-3");
    server.stop();
    let log = std::fs::read_to_string(home.dir().with_extension("log")).unwrap();
    let events: Vec<Value> =
        log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let of_create = |event: &&Value| event["operation"] == "CreateCluster";
    let request = events.iter().find(of_create).expect("a line for the request");
    assert_eq!(request["status"], 200);
    assert_eq!(request["request_id"].as_str().unwrap().len(), 36);
}

#[test]
fn a_shell_that_evaluates_env_can_sign() {
    let home = Home::new();
    let server = home.server(&[]);
    let script = format!(
        "eval \"$({} env --data-dir {})\" && env",
        env!("CARGO_BIN_EXE_wharf"),
        home.dir().display()
    );
    let in_the_way = [
        ("AWS_SESSION_TOKEN", "stale"),
        ("AWS_PROFILE", "stale"),
        ("AWS_CA_BUNDLE", "/nowhere"),
        ("AWS_ENDPOINT_URL_ECS", "http://elsewhere"),
        ("AWS_REGION", "mars-1"),
        ("WHARF_JSON", "true"),
    ];
    let out = Command::new("sh").args(["-euc", &script]).envs(in_the_way).output().unwrap();
    assert!(out.status.success(), "{}", text(&out.stderr));
    let all = text(&out.stdout);
    let value = |name: &str| {
        all.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned)
    };
    for gone in ["AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_CA_BUNDLE", "AWS_ENDPOINT_URL_ECS"] {
        assert_eq!(value(gone), None, "{gone}");
    }
    assert_eq!(value("AWS_REGION").as_deref(), Some("us-east-1"));
    assert_eq!(value("AWS_DEFAULT_REGION").as_deref(), Some("us-east-1"));
    assert_eq!(value("AWS_ENDPOINT_URL").as_deref(), Some(&*server.url));
    let (key, secret) = (value("AWS_ACCESS_KEY_ID"), value("AWS_SECRET_ACCESS_KEY"));
    let client = Client::new(&server.url, &key.unwrap(), &secret.unwrap());
    assert_eq!(client.create("from-env").status, 200);
}

#[test]
fn half_a_root_key_is_refused() {
    let home = Home::new();
    let dir = home.dir();
    for (name, value) in [
        ("WHARF_ROOT_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        ("WHARF_ROOT_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
    ] {
        let told = wharf(&["server", "--data-dir", dir.to_str().unwrap()])
            .env(name, value)
            .output()
            .unwrap();
        assert_eq!(told.status.code(), Some(2));
        assert_eq!(text(&told.stderr).lines().count(), 1);
        assert!(!text(&told.stderr).contains(value), "a secret is not repeated");
    }
}

#[test]
fn versions_agree() {
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(text(&run(&["version"]).stdout), format!("wharf {version}\n"));
    assert_eq!(text(&run(&["--version"]).stdout), format!("wharf {version}\n"));
    let json: Value = serde_json::from_slice(&run(&["version", "--json"]).stdout).unwrap();
    assert_eq!(json["version"], version);
}
