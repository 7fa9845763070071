//! What an agent's clean-up takes, and what it leaves.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod archives;
#[allow(dead_code)]
mod fake;

use std::sync::Arc;
use std::time::Duration;

use archives::{Archive, config_of, docker_archive, sha256};
use fake::{Asked, Fake, Reply};
use host_images::{Policy, PullOptions, Reference, Registry, Settings, Store};
use jiff::Timestamp;

/// Images by name, each of one layer with its name in it.
fn serve(asked: &Asked) -> Reply {
    for name in ["a", "b", "c"] {
        let layer = Archive::new().file(name, name.as_bytes()).done();
        let config = config_of(&[&sha256(&layer)]);
        let manifest = format!(
            r#"{{"schemaVersion":2,"config":{{"digest":"{}","size":{}}},
            "layers":[{{"digest":"{}","size":{}}}]}}"#,
            sha256(config.as_bytes()),
            config.len(),
            sha256(&layer),
            layer.len()
        );
        let at = |kind: &str, what: &str| asked.target == format!("/v2/{name}/{kind}/{what}");
        if at("manifests", "1") || at("manifests", &sha256(manifest.as_bytes())) {
            return Reply::ok(manifest);
        } else if at("blobs", &sha256(config.as_bytes())) {
            return Reply::ok(config);
        } else if at("blobs", &sha256(&layer)) {
            return Reply::ok(layer);
        }
    }
    if asked.target == "/v2/" { Reply::ok("") } else { Reply::status(404) }
}

#[tokio::test]
async fn unused_images_of_an_age_go_the_oldest_first_and_so_many_at_once() {
    let fake = Fake::start(serve).await;
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let registry = Arc::new(Registry::new(Settings::default()).unwrap());
    let name = |image: &str| format!("{}/{image}:1", fake.host);
    for image in ["a", "b", "c"] {
        let reference: Reference = name(image).parse().unwrap();
        let options = PullOptions::default();
        store.pull(&registry, &reference, &options, Arc::new(|_| ())).await.unwrap();
    }
    let layer = Archive::new().file("own", b"own").done();
    store.load(&docker_archive(&["own:1"], &[&layer])[..], &|_: &str| ()).unwrap();
    let used = store.find(&name("b")).unwrap().unwrap();
    store.lease("container", &used.id.to_string()).unwrap();

    let policy = Policy { most: 1, disk_percent: 101, ..Policy::default() };
    let left = || {
        let there = |image: &&str| store.find(&name(image)).unwrap().is_some();
        ["a", "b", "c"].into_iter().filter(there).collect::<Vec<_>>()
    };
    let sweep = |hours: u64| {
        let now = Timestamp::now() + Duration::from_secs(hours * 3600);
        store.sweep(&policy, now).unwrap()
    };
    assert_eq!(sweep(0).images.len(), 0, "they are too young");
    assert_eq!(left(), ["a", "b", "c"]);
    let swept = sweep(2);
    assert_eq!((swept.images.len(), swept.layers), (1, 1));
    assert_eq!(left(), ["b", "c"]);
    assert_eq!(sweep(2).images.len(), 1);
    assert_eq!(left(), ["b"], "a container uses it");
    assert_eq!(sweep(2).images.len(), 0);
    assert!(store.find("own:1").unwrap().is_some(), "no registry has it");
    store.release("container").unwrap();
    assert_eq!(sweep(2).images.len(), 1);
    assert_eq!(left(), [""; 0]);

    // A full disk waives what was used lately, not the age.
    let reference: Reference = name("a").parse().unwrap();
    let options = PullOptions::default();
    store.pull(&registry, &reference, &options, Arc::new(|_| ())).await.unwrap();
    let lately = Policy { unused_for: Duration::from_secs(7 * 24 * 3600), ..Policy::default() };
    let later = Timestamp::now() + Duration::from_secs(2 * 3600);
    let spare = Policy { disk_percent: 101, ..lately.clone() };
    assert_eq!(store.sweep(&spare, later).unwrap().images.len(), 0);
    let full = Policy { disk_percent: 0, ..lately };
    assert_eq!(store.sweep(&full, later).unwrap().images.len(), 1);
}
