//! Two servers on one etcd: writes anywhere, reads anywhere, one root key. What happens when one is
//! lost is shown among the faults.

use crate::world::{Client, Etcd, Home, Server, etcd, run, text, wait_for};

fn server(home: &Home, etcd: &Etcd) -> Server {
    home.server(&["--state", &etcd.url(), "--leader-timeout", "2"])
}

#[test]
fn a_follower_passes_writes_on_and_reads_what_was_written() {
    let Some(etcd) = etcd() else { return };
    let (one, two) = (Home::new(), Home::new());
    let (leader, follower) = (server(&one, &etcd), server(&two, &etcd));
    let said = follower.get("/readyz").text;
    assert_eq!(said, format!("ready: follower of {}\n", leader.url));
    // Both know the same root key, though each has its own data directory.
    let key = |home: &Home| std::fs::read(home.dir().join("root-key.json")).unwrap();
    assert_eq!(key(&one), key(&two));

    let (here, there) = (leader.client(), follower.client());
    for n in 0..20 {
        let (a, b) = (format!("here-{n}"), format!("there-{n}"));
        assert_eq!(here.create(&a).status, 200);
        assert!(there.clusters().contains(&a), "a follower's next read sees it");
        assert_eq!(there.create(&b).status, 200);
        assert!(here.clusters().contains(&b));
        assert!(there.clusters().contains(&b));
    }
    // Errors come back as the leader words them.
    let refused = there.call("DeleteCluster", r#"{"cluster":"absent"}"#);
    assert_eq!((refused.status, &*refused.code()), (400, "ClusterNotFoundException"));
    assert_eq!(refused.header("x-amzn-requestid").unwrap().len(), 36);
    let stranger = Client::new(&follower.url, "AKIAIOSFODNN7EXAMPLE", "nobody's secret at all");
    assert_eq!(stranger.create("c").code(), "UnrecognizedClientException");

    // The operator may ask either server.
    let dir = two.dir();
    let made = run(&["account", "create", "dev", "--data-dir", dir.to_str().unwrap()]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let checked = run(&["check", "--data-dir", dir.to_str().unwrap()]);
    assert!(checked.status.success(), "{}", text(&checked.stdout));
    let url = etcd.url();
    let offline =
        run(&["check", "--offline", "--state", &url, "--data-dir", dir.to_str().unwrap()]);
    assert!(text(&offline.stdout).contains("all invariants hold"), "{}", text(&offline.stderr));
    let history = run(&["replay", &etcd.url(), "--table", "ecs-clusters"]);
    assert_eq!(text(&history.stdout).lines().count(), 40);
}

/// Servers of one state that speak TLS trust each other by the CA that they share.
#[test]
fn a_follower_passes_writes_on_over_tls() {
    let Some(etcd) = etcd() else { return };
    let (one, two) = (Home::new(), Home::new());
    let tls = |home: &Home| {
        home.server(&["--state", &etcd.url(), "--leader-timeout", "2", "--tls", "local"])
    };
    let leader = tls(&one);
    std::fs::create_dir_all(two.dir()).unwrap();
    for file in ["ca.pem", "ca-key.pem"] {
        std::fs::copy(one.dir().join(file), two.dir().join(file)).unwrap();
    }
    let follower = tls(&two);
    assert!(leader.url.starts_with("https://") && follower.url.starts_with("https://"));
    let make = |home: &Home, name: &str| {
        run(&["account", "create", name, "--data-dir", home.dir().to_str().unwrap()])
    };
    let made = make(&two, "through-the-follower");
    assert!(made.status.success(), "{}", text(&made.stderr));
    // The leader has it: the name is taken there.
    let again = make(&one, "through-the-follower");
    assert!(text(&again.stderr).contains("another account has that name"), "{again:?}");
    // A follower that trusts another CA does not give its callers' requests to just anyone.
    let stranger = Home::new();
    let alone = tls(&stranger);
    let refused = make(&stranger, "over-the-wrong-wire");
    assert!(!refused.status.success());
    assert!(text(&refused.stderr).contains("cannot be reached"), "{refused:?}");
    drop(alone);
}

#[test]
fn without_a_leader_writes_are_refused_in_words() {
    let Some(etcd) = etcd() else { return };
    let home = Home::new();
    let server = server(&home, &etcd);
    assert_eq!(server.client().create("c").status, 200);
    drop(etcd);
    let refused = || server.client().try_call("CreateCluster", "{}").unwrap();
    wait_for("writes are refused", || refused().status == 503);
    let told = refused();
    assert_eq!(told.code(), "ServiceUnavailableException", "{told:?}");
    server.stop();
}

#[test]
fn followers_learn_a_root_key_that_the_leader_is_given() {
    let Some(etcd) = etcd() else { return };
    let (one, two) = (Home::new(), Home::new());
    let (leader, follower) = (server(&one, &etcd), server(&two, &etcd));
    follower.stop();
    leader.stop();
    let flags = ["--state", &etcd.url(), "--leader-timeout", "2"];
    let follower = server(&two, &etcd);
    assert!(follower.leads());
    let given = Server::start(&one.dir(), &flags, |command| {
        command.env("WHARF_ROOT_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE");
        command.env("WHARF_ROOT_SECRET_ACCESS_KEY", "given/to+the=leader");
    });
    // As a follower it goes by the leader's key; as the leader it brings its own.
    assert_eq!(given.client().clusters(), [""; 0]);
    follower.signal("STOP");
    wait_for("the other leads", || given.leads());
    follower.signal("CONT");
    let key = || std::fs::read_to_string(two.dir().join("root-key.json")).unwrap();
    wait_for("the key arrives", || key().contains("AKIAIOSFODNN7EXAMPLE"));
    assert_eq!(follower.client().create("c").status, 200);
}
