//! The machine's clock jumps, ahead and back, under a running server.

use std::path::Path;

use serde_json::Value;

use crate::world::{Home, Server, run, text, wait_for};

const LIBRARY: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";

#[test]
fn a_server_lives_through_jumps_of_the_clock() {
    if !Path::new(LIBRARY).exists() {
        assert!(std::env::var_os("WHARF_REQUIRE_FAKETIME").is_none(), "no {LIBRARY}");
        eprintln!("skipped: {LIBRARY} is missing (Debian: apt-get install faketime)");
        return;
    }
    let home = Home::new();
    let clock = home.temp.path().join("clock");
    let set = |offset: &str| {
        let fresh = clock.with_extension("fresh");
        std::fs::write(&fresh, format!("{offset}\n")).unwrap();
        std::fs::rename(fresh, &clock).unwrap();
    };
    set("+0");
    let server = Server::start(&home.dir(), &[], |command| {
        command.env("LD_PRELOAD", LIBRARY);
        command.env("FAKETIME_TIMESTAMP_FILE", &clock);
        command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    });
    let mut client = server.client();
    assert_eq!(client.create("now").status, 200);

    set("+2h");
    // Signed with the true time, which is two hours old to the server.
    wait_for("the server's clock has jumped", || {
        client.call("ListClusters", "{}").status == 403
            || client.call("ListClusters", "{}").status == 400
    });
    client.skew = 7200;
    assert_eq!(client.create("ahead").status, 200);

    set("-3h");
    client.skew = -10_800;
    wait_for("the server's clock is back", || client.call("ListClusters", "{}").status == 200);
    assert_eq!(client.create("back").status, 200);
    assert_eq!(client.clusters(), ["ahead", "back", "now"]);

    // In the journal time never runs backwards.
    let words = ["replay", home.dir().to_str().unwrap(), "--json", "--table", "ecs-clusters"]
        .map(str::to_owned);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let history = text(&run(&words).stdout);
    let told: Vec<Value> = history.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let times: Vec<&str> = told.iter().map(|change| change["time"].as_str().unwrap()).collect();
    assert_eq!(times.len(), 3);
    assert!(times.is_sorted(), "{times:?}");
    server.stop();
}
