//! Everything over TLS: agents to their control plane, and pulls from a registry that asks who is there.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::life::get;
use crate::world::{Elsewhere, Machine, is_root, wait_for, wharf};

#[test]
fn hosts_of_up_and_elsewhere_speak_tls() {
    if !is_root() {
        return eprintln!("skipped: hosts need root");
    }
    let mut elsewhere = Elsewhere::new();
    let listen = format!("{}:0", elsewhere.here);
    let flags = ["--tls", "local", "--listen", &listen];
    let Some(machine) = Machine::start_with(&flags) else { return };
    assert!(machine.url(1).starts_with("https://"));
    let command = "echo hi > /tmp/hello; exec httpd -f -p 80 -h /tmp";
    machine.define(
        "web",
        json!({ "command": ["sh", "-c", command], "portMappings": [{ "containerPort": 80 }] }),
        json!({}),
    );
    let arn = machine.run("web", 1).remove(0);
    let task = machine.wait(&arn, "RUNNING");
    let instance = json!({ "containerInstances": [task["containerInstanceArn"]] });
    let told = machine.call("DescribeContainerInstances", instance);
    let id = told["containerInstances"][0]["ec2InstanceId"].as_str().unwrap().to_owned();
    let port = task["containers"][0]["networkBindings"][0]["hostPort"].as_u64().unwrap();
    wait_for("the task answers", || get(&machine.address(&id), port));

    // A container trusts whom its host trusts, unless it is sent elsewhere.
    let script = "echo $AWS_ENDPOINT_URL $AWS_CA_BUNDLE $NODE_EXTRA_CA_CERTS; cat $AWS_CA_BUNDLE";
    let own = json!([{ "name": "AWS_ENDPOINT_URL", "value": "https://elsewhere.example" }]);
    for (family, environment) in [("trusts", json!([])), ("elsewhere", own)] {
        let app = json!({ "command": ["sh", "-c", script], "environment": environment });
        machine.define(family, app, json!({}));
        let (_, output) = machine.run_to_end(family);
        let (told, ca) = output.split_once('\n').unwrap();
        match family {
            "trusts" => {
                let expected = " /etc/wharf/ca.pem /etc/wharf/ca.pem";
                assert!(told.starts_with("https://") && told.ends_with(expected), "{told}");
                let real = std::fs::read_to_string(machine.dir().join("ca.pem")).unwrap();
                assert_eq!(ca.trim_end(), real.trim_end());
            }
            _ => assert_eq!((told, ca), ("https://elsewhere.example", "")),
        }
    }
    let exec = json!({ "taskDefinition": "web", "enableExecuteCommand": true });
    let arn = machine.call("RunTask", exec)["tasks"][0]["taskArn"].as_str().unwrap().to_owned();
    machine.wait(&arn, "RUNNING");
    let dir = machine.dir();
    let words = ["exec", "--data-dir", dir.to_str().unwrap(), &arn, "--", "cat", "/tmp/hello"];
    let done = wharf(&words).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&done.stdout), "hi\n", "{done:?}");

    // A machine elsewhere that trusts the CA joins; one that does not says why it cannot.
    machine.call("CreateCluster", json!({ "clusterName": "far" }));
    let key: Value =
        serde_json::from_slice(&std::fs::read(machine.dir().join("root-key.json")).unwrap())
            .unwrap();
    let keys = [
        ("AWS_ACCESS_KEY_ID", key["accessKeyId"].as_str().unwrap()),
        ("AWS_SECRET_ACCESS_KEY", key["secretAccessKey"].as_str().unwrap()),
    ];
    let (dir, url) = (elsewhere.dir(), machine.url(1));
    let words = ["--endpoint", &url, "--data-dir", dir.to_str().unwrap(), "--cluster", "far"];
    elsewhere.agent("", &words, &keys);
    wait_for("it is not trusted", || {
        elsewhere.said().contains("invalid peer certificate").then_some(())
    });
    let ca = machine.dir().join("ca.pem");
    let mut trusting = keys.to_vec();
    trusting.push(("AWS_CA_BUNDLE", ca.to_str().unwrap()));
    elsewhere.agent("", &words, &trusting);
    wait_for("the host is connected", || machine.instances_of("far", true).pop());
}

/// A registry with one image, behind TLS and a login.
struct Registry {
    host: String,
    log: Arc<Mutex<Vec<String>>>,
}

fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// Busybox as an image of one layer: what is asked for, by its path.
fn image(temp: &Path) -> BTreeMap<String, (&'static str, Vec<u8>)> {
    let root = temp.join("image");
    std::fs::create_dir_all(root.join("bin")).unwrap();
    std::fs::copy("/bin/busybox", root.join("bin/busybox")).expect("busybox-static is there");
    std::os::unix::fs::symlink("busybox", root.join("bin/sh")).unwrap();
    let tar = Command::new("tar").arg("-C").arg(&root).args(["-cf", "-", "."]).output().unwrap();
    assert!(tar.status.success());
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let (layer, id) = (tar.stdout.clone(), sha256(&tar.stdout));
    let config = json!({ "architecture": architecture, "os": "linux", "config": {},
        "rootfs": { "type": "layers", "diff_ids": [id] } });
    let config = config.to_string().into_bytes();
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({ "schemaVersion": 2, "mediaType": kind,
        "config": { "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": sha256(&config), "size": config.len() },
        "layers": [{ "mediaType": "application/vnd.oci.image.layer.v1.tar",
            "digest": id, "size": layer.len() }] });
    let manifest = manifest.to_string().into_bytes();
    let blob = "application/octet-stream";
    BTreeMap::from([
        (format!("/v2/team/box/blobs/{}", sha256(&config)), (blob, config)),
        (format!("/v2/team/box/blobs/{id}"), (blob, layer)),
        (format!("/v2/team/box/manifests/{}", sha256(&manifest)), (kind, manifest.clone())),
        ("/v2/team/box/manifests/1".to_owned(), (kind, manifest)),
    ])
}

/// A certificate that is its own CA, written to `ca`, for a server at this address.
fn tls(address: &str, ca: &Path) -> Arc<ServerConfig> {
    let key = KeyPair::generate().unwrap();
    let cert = CertificateParams::new([address.to_owned()]).unwrap().self_signed(&key).unwrap();
    std::fs::write(ca, cert.pem()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(cert.pem().as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap(),
        );
    Arc::new(config.unwrap())
}

impl Registry {
    fn start(address: &str, temp: &Path, ca: &Path, login: &'static str) -> Registry {
        let (tls, image) = (tls(address, ca), Arc::new(image(temp)));
        let listener = TcpListener::bind((address, 0)).unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let log = Arc::<Mutex<Vec<String>>>::default();
        let for_thread = log.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let tls = ServerConnection::new(tls.clone()).unwrap();
                let (image, log) = (image.clone(), for_thread.clone());
                std::thread::spawn(move || {
                    let mut stream = StreamOwned::new(tls, stream);
                    while answer(&mut stream, &image, &log, login).is_some() {}
                });
            }
        });
        Registry { host, log }
    }
}

fn answer(
    stream: &mut StreamOwned<ServerConnection, std::net::TcpStream>,
    image: &BTreeMap<String, (&'static str, Vec<u8>)>,
    log: &Mutex<Vec<String>>,
    login: &str,
) -> Option<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1)?.to_owned();
    let lower = head.to_ascii_lowercase();
    let known = lower.contains("authorization:") && head.contains(login);
    let (status, more, body) = match image.get(&path) {
        _ if !known => (401, "WWW-Authenticate: Basic realm=\"r\"\r\n".to_owned(), Vec::new()),
        None => (404, String::new(), Vec::new()),
        Some((kind, body)) => (200, format!("Content-Type: {kind}\r\n"), body.clone()),
    };
    log.lock().unwrap().push(format!("{status} {path}"));
    let length = body.len();
    let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n{more}\r\n");
    stream.write_all(answer.as_bytes()).ok()?;
    if !head.starts_with("HEAD ") {
        stream.write_all(&body).ok()?;
    }
    stream.flush().ok()
}

#[test]
fn tasks_pull_over_tls_with_the_agents_logins() {
    if !is_root() {
        return eprintln!("skipped: hosts need root");
    }
    let mut elsewhere = Elsewhere::new();
    let listen = format!("127.0.0.1:0,{}:0", elsewhere.here);
    let Some(machine) = Machine::server(&["--listen", &listen]) else { return };
    machine.call("CreateCluster", json!({ "clusterName": "default" }));
    let temp = tempfile::tempdir().unwrap();
    let ca = temp.path().join("registry.pem");
    // ada:secret
    let registry = Registry::start(&elsewhere.here, temp.path(), &ca, "YWRhOnNlY3JldA==");
    let key: Value =
        serde_json::from_slice(&std::fs::read(machine.dir().join("root-key.json")).unwrap())
            .unwrap();
    let (dir, url) = (elsewhere.dir(), machine.url(1));
    let words = ["--endpoint", &url, "--data-dir", dir.to_str().unwrap()];
    let config = |kind: &str, logins: Value| {
        format!(
            "ECS_CLUSTER=default\nAWS_ACCESS_KEY_ID={}\nAWS_SECRET_ACCESS_KEY={}\n\
             AWS_CA_BUNDLE={}\nECS_IMAGE_PULL_BEHAVIOR=always\nECS_ENGINE_AUTH_TYPE={kind}\n\
             ECS_ENGINE_AUTH_DATA={logins}\n",
            key["accessKeyId"].as_str().unwrap(),
            key["secretAccessKey"].as_str().unwrap(),
            ca.display(),
        )
    };
    let image = format!("{}/team/box:1", registry.host);
    machine.define("box", json!({ "image": image, "command": ["sh", "-c", "exit 5"] }), json!({}));
    let reason = |machine: &Machine| {
        let arn = machine.run("box", 1).remove(0);
        let task = wait_for("the task ends", || {
            Some(machine.task(&arn)).filter(|task| task["lastStatus"] == "STOPPED")
        });
        let container = &task["containers"][0];
        (container["exitCode"].clone(), container["reason"].as_str().unwrap_or_default().to_owned())
    };
    let host = registry.host.as_str();
    // AWS: `docker` names user and password, `dockercfg` holds what `docker login` writes.
    for (kind, logins, code) in [
        ("docker", json!({ host: { "username": "ada", "password": "secret" } }), json!(5)),
        ("dockercfg", json!({ host: { "auth": "YWRhOnNlY3JldA==" } }), json!(5)),
        ("docker", json!({ host: { "username": "ada", "password": "wrong" } }), Value::Null),
    ] {
        elsewhere.stop();
        if !machine.instances(true).is_empty() {
            wait_for("it is missed", || machine.instances(false).pop());
        }
        elsewhere.agent(&config(kind, logins), &words, &[]);
        wait_for("the host is connected", || machine.instances(true).pop());
        let (exit, text) = reason(&machine);
        assert_eq!(exit, code, "{kind}: {text} {:?}", registry.log.lock().unwrap());
        if code.is_null() {
            assert!(text.starts_with("CannotPullContainerError: "), "{text}");
            assert!(!text.contains("wrong"), "{text}");
        }
    }
    assert!(registry.log.lock().unwrap().iter().any(|line| line.starts_with("200 /v2/team/box/")));
}
