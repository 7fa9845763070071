//! Starts and ends: what is kept, what is left behind, what is said.

use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;

use serde_json::Value;

use crate::world::{Client, Home, PATIENCE, Server, run, text, wharf};

fn mode(path: &std::path::Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[test]
fn what_is_in_the_data_directory_is_the_owners_alone() {
    let home = Home::new();
    let server = home.server(&[]);
    let dir = home.dir();
    assert_eq!(mode(&dir), 0o700);
    assert_eq!(mode(&dir.join("root-key.json")), 0o600);
    assert_eq!(mode(&dir.join("endpoint.json")), 0o600);
    assert_eq!(mode(&dir.join("journal")), 0o700);
    server.stop();
    assert!(!dir.join("endpoint.json").exists());
    assert!(dir.join("root-key.json").exists());
}

#[test]
fn a_directory_that_others_could_read_is_closed() {
    let home = Home::new();
    std::fs::create_dir(home.dir()).unwrap();
    std::fs::set_permissions(home.dir(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let _server = home.server(&[]);
    assert_eq!(mode(&home.dir()), 0o700);
}

#[test]
fn a_killed_server_comes_back_with_its_key_and_its_state() {
    let home = Home::new();
    let server = home.server(&[]);
    let client = server.client();
    assert_eq!(client.create("kept").status, 200);
    server.kill();
    // Its endpoint.json is still there, and taken for what it is.
    let dir = home.dir();
    let words = ["env", "--data-dir", dir.to_str().unwrap()];
    let told = run(&words);
    assert_eq!(told.status.code(), Some(1));
    assert!(text(&told.stderr).contains("no wharf server runs on"));
    let server = home.server(&[]);
    assert_eq!(client.at(&server.url).clusters(), ["kept"]);
}

#[test]
fn a_second_server_on_the_directory_is_refused() {
    let home = Home::new();
    let server = home.server(&[]);
    let dir = home.dir();
    let told = run(&["server", "--data-dir", dir.to_str().unwrap(), "--listen", "127.0.0.1:0"]);
    assert_eq!(told.status.code(), Some(1));
    let said = text(&told.stderr);
    let said = said.lines().last().unwrap();
    assert!(said.contains(&format!("pid {}", server.pid())), "{said}");
    assert!(said.contains(dir.to_str().unwrap()) && said.contains(&server.url), "{said}");
    assert_eq!(server.client().clusters(), [""; 0]);
}

#[test]
fn an_address_that_is_taken_is_named() {
    let (home, other) = (Home::new(), Home::new());
    let server = home.server(&[]);
    let address = server.url.strip_prefix("http://").unwrap();
    let told = run(&["server", "--data-dir", other.dir().to_str().unwrap(), "--listen", address]);
    assert_eq!(told.status.code(), Some(1));
    assert!(text(&told.stderr).contains(&format!("cannot listen on {address}")));
}

#[test]
fn a_given_root_key_takes_the_place_of_the_former_one() {
    let home = Home::new();
    let given = |key: &str| {
        let (key, secret) = (key.to_owned(), format!("{key}/+secret"));
        move |command: &mut std::process::Command| {
            command.env("WHARF_ROOT_ACCESS_KEY_ID", &key);
            command.env("WHARF_ROOT_SECRET_ACCESS_KEY", &secret);
        }
    };
    let server = Server::start(&home.dir(), &[], given("AKIAIOSFODNN7EXAMPLE"));
    let first = Client::new(&server.url, "AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE/+secret");
    assert_eq!(first.create("c").status, 200);
    server.stop();
    let server = Server::start(&home.dir(), &[], given("AKIAIOSFODNN7ANOTHER"));
    assert_eq!(server.client().clusters(), ["c"]);
    let refused = first.at(&server.url).call("ListClusters", "{}");
    assert_eq!((refused.status, &*refused.code()), (400, "UnrecognizedClientException"));
}

#[test]
fn running_requests_finish_before_a_stop() {
    let home = Home::new();
    let mut server = home.server(&[]);
    let body = r#"{"clusterName":"late"}"#;
    let bytes = server.client().request("CreateCluster", body, "HTTP/1.1", "");
    let (before, after) = bytes.split_at(bytes.len() - 5);
    let mut stream = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(before).unwrap();
    // The connection is the server's once it has answered something that came after it.
    assert_eq!(server.get("/healthz").text, "ok\n");
    server.signal("TERM");
    server.hear("stopping");
    stream.write_all(after).unwrap();
    let answer = crate::world::read_answer(&mut stream).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(server.wait().code(), Some(0));
    assert_eq!(home.server(&[]).client().clusters(), ["late"]);
}

#[test]
fn a_second_signal_does_not_wait() {
    let home = Home::new();
    let mut server = home.server(&[]);
    let bytes = server.client().request("CreateCluster", "{}", "HTTP/1.1", "");
    let mut stream = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
    stream.write_all(&bytes[..bytes.len() - 1]).unwrap();
    assert_eq!(server.get("/healthz").text, "ok\n");
    server.signal("INT");
    server.hear("stopping");
    server.signal("INT");
    assert_eq!(server.wait().code(), Some(130));
}

#[test]
fn scripts_are_told_in_json() {
    let home = Home::new();
    let mut server = home.server(&["--json"]);
    server.signal("TERM");
    let event: Value = serde_json::from_str(&server.hear("stopping")).unwrap();
    assert_eq!(event["event"], "stopping");
    let event: Value = serde_json::from_str(&server.hear("stopped")).unwrap();
    assert_eq!(event["event"], "stopped");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_supervisor_is_told() {
    let home = Home::new();
    let path = home.temp.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let server = Server::start(&home.dir(), &[], |command| {
        command.env("NOTIFY_SOCKET", path);
    });
    let mut bytes = [0; 64];
    let told = |bytes: &mut [u8]| {
        let n = socket.recv(bytes).unwrap();
        text(&bytes[..n])
    };
    assert_eq!(told(&mut bytes), "READY=1");
    server.stop();
    assert_eq!(told(&mut bytes), "STOPPING=1");
}

#[test]
fn up_starts_the_control_plane_and_says_so() {
    let home = Home::new();
    let dir = home.dir();
    let data = dir.to_str().unwrap();
    let mut child = wharf(&["up", "--hosts", "0", "--rm", "--data-dir", data])
        .args(["--listen", "127.0.0.1:0"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    let first = lines.next().unwrap().unwrap();
    assert!(first.contains("control plane and hosts"), "{first}");
    assert!(lines.next().unwrap().unwrap().starts_with("ready: http://"));
    let pid = child.id().to_string();
    std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn several_addresses_are_listened_on() {
    let home = Home::new();
    let server = home.server(&["--listen", "127.0.0.1:0,127.0.0.2:0"]);
    let endpoint = std::fs::read(home.dir().join("endpoint.json")).unwrap();
    let endpoint: Value = serde_json::from_slice(&endpoint).unwrap();
    let urls = endpoint["endpoints"].as_array().unwrap();
    assert_eq!(urls.len(), 2);
    for url in urls {
        assert_eq!(server.client().at(url.as_str().unwrap()).clusters(), [""; 0]);
    }
}
