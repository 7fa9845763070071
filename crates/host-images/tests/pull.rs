//! Pulls from a registry that behaves, and from one that does not.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod archives;
mod fake;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use archives::{Archive, config_of, sha256};
use fake::{Asked, Fake, Reply};
use host_images::{
    Credentials, Error, Image, Progress, PullOptions, Reference, Registry, Settings, Store,
    error_name,
};

#[derive(Clone)]
struct Served {
    manifest: Vec<u8>,
    config: Vec<u8>,
    layer: Vec<u8>,
}

impl Served {
    fn new() -> Served {
        let layer = Archive::new().file("hello", &vec![b'h'; 200_000]).done();
        let config = config_of(&[&sha256(&layer)]).into_bytes();
        let manifest = format!(
            r#"{{"schemaVersion":2,"config":{{"digest":"{}","size":{}}},
            "layers":[{{"digest":"{}","size":{}}}]}}"#,
            sha256(&config),
            config.len(),
            sha256(&layer),
            layer.len()
        );
        Served { manifest: manifest.into_bytes(), config, layer }
    }

    fn layer_path(&self) -> String {
        format!("/v2/app/blobs/{}", sha256(&self.layer))
    }

    fn reply(&self, asked: &Asked) -> Reply {
        let manifest = format!("/v2/app/manifests/{}", sha256(&self.manifest));
        let config = format!("/v2/app/blobs/{}", sha256(&self.config));
        match &asked.target {
            t if t == "/v2/" => Reply::ok(""),
            t if t == "/v2/app/manifests/1" || *t == manifest => Reply::ok(self.manifest.clone()),
            t if *t == config => Reply::ok(self.config.clone()),
            t if *t == self.layer_path() => Reply::ok(self.layer.clone()),
            _ => Reply::status(404),
        }
    }
}

struct Pulled {
    dir: tempfile::TempDir,
    said: Arc<Mutex<Vec<Progress>>>,
    result: Result<Image, Error>,
}

impl Pulled {
    fn root(&self) -> &Error {
        self.result.as_ref().unwrap_err().root()
    }

    fn error(&self) -> String {
        self.result.as_ref().unwrap_err().to_string()
    }

    /// Nothing of a failed pull is left but what can be continued.
    fn is_clean(&self) -> bool {
        let count = |part: &str| std::fs::read_dir(self.dir.path().join(part)).unwrap().count();
        Store::open(self.dir.path()).unwrap().sweep_content().unwrap();
        count("work") == 0 && count("blobs") == 0 && count("layers") == 0
    }
}

async fn pull(fake: &Fake, credentials: Option<Credentials>) -> Pulled {
    pull_into(tempfile::tempdir().unwrap(), &format!("{}/app:1", fake.host), credentials).await
}

async fn pull_into(dir: tempfile::TempDir, name: &str, credentials: Option<Credentials>) -> Pulled {
    let store = Store::open(dir.path()).unwrap();
    let settings = Settings { patience: Duration::from_millis(300), ..Settings::default() };
    let registry = Arc::new(Registry::new(settings).unwrap());
    let options = PullOptions {
        credentials,
        attempts: 3,
        backoff: Duration::from_millis(1),
        ..PullOptions::default()
    };
    let said: Arc<Mutex<Vec<Progress>>> = Arc::default();
    let listener = said.clone();
    let reference: Reference = name.parse().unwrap();
    let told = Arc::new(move |progress| listener.lock().unwrap().push(progress));
    let result = store.pull(&registry, &reference, &options, told).await;
    Pulled { dir, said, result }
}

#[tokio::test]
async fn an_image_comes_whole_and_only_once() {
    let served = Served::new();
    let own = served.clone();
    let fake = Fake::start(move |asked| own.reply(asked)).await;
    let first = pull(&fake, None).await;
    let image = first.result.as_ref().unwrap();
    assert_eq!(std::fs::read(image.layers[0].join("hello")).unwrap().len(), 200_000);
    assert_eq!(image.repository_digest().unwrap().to_string(), sha256(&served.manifest));
    let name = format!("{}/app:1", fake.host);
    let again = pull_into(first.dir, &name, None).await;
    assert_eq!(again.result.as_ref().unwrap().id, first.result.unwrap().id);
    assert!(matches!(again.said.lock().unwrap()[1], Progress::Exists { .. }));
    assert_eq!(fake.asked(&served.layer_path()).len(), 1);

    let store = Store::open(again.dir.path()).unwrap();
    let by_digest = format!("{}/app@{}", fake.host, sha256(&served.manifest));
    assert!(store.find(&by_digest).unwrap().is_some());
}

#[tokio::test]
async fn a_body_that_is_cut_is_continued_where_it_ended() {
    let served = Served::new();
    let own = served.clone();
    let fake = Fake::start(move |asked| {
        let mut reply = own.reply(asked);
        if asked.target != own.layer_path() {
            return reply;
        }
        let from: usize = match asked.headers.get("range") {
            Some(range) => {
                range.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap()
            }
            None => 0,
        };
        let whole = reply.body.len();
        if from > 0 {
            reply = Reply { status: 206, body: own.layer[from..].to_vec(), ..Reply::default() }
                .header("content-range", &format!("bytes {from}-{}/{whole}", whole - 1));
        }
        reply.cut = (asked.before < 4).then_some(40_000);
        reply
    })
    .await;
    let pulled = pull(&fake, None).await;
    assert!(pulled.result.is_ok(), "{}", pulled.error());
    let asked = fake.asked(&served.layer_path());
    assert_eq!(asked.len(), 5);
    assert!(asked[1..].iter().all(|headers| headers.contains_key("range")));
}

#[tokio::test]
async fn a_registry_that_hangs_is_given_up_and_nothing_is_left() {
    let served = Served::new();
    let fake = Fake::start(move |asked| {
        let mut reply = served.reply(asked);
        if asked.target == served.layer_path() {
            reply.hang = Some(0);
        }
        reply
    })
    .await;
    let pulled = pull(&fake, None).await;
    assert!(pulled.error().starts_with("ref pull has been retried 3 time(s): failed to copy: "));
    assert!(pulled.error().contains("sent nothing"), "{}", pulled.error());
    assert!(pulled.is_clean());
}

#[tokio::test]
async fn lies_about_content_are_found_out() {
    let served = Served::new();
    let own = served.clone();
    let fake = Fake::start(move |asked| {
        let mut reply = own.reply(asked);
        if asked.target == own.layer_path() {
            reply.body[1000] ^= 1;
        }
        reply
    })
    .await;
    let pulled = pull(&fake, None).await;
    assert!(matches!(pulled.root(), Error::Digest { .. }), "{}", pulled.error());
    assert!(pulled.is_clean());
    assert_eq!(std::fs::read_dir(pulled.dir.path().join("partial")).unwrap().count(), 0);

    let own = served.clone();
    let fake = Fake::start(move |asked| {
        let mut reply = own.reply(asked);
        if asked.target == own.layer_path() {
            reply.body.extend([0; 5000]);
        }
        reply
    })
    .await;
    let pulled = pull(&fake, None).await;
    assert!(matches!(pulled.root(), Error::Size { .. }), "{}", pulled.error());

    let own = served.clone();
    let fake = Fake::start(move |asked| {
        own.reply(asked).header("docker-content-digest", &sha256(b"something else"))
    })
    .await;
    let pulled = pull(&fake, None).await;
    assert_eq!(error_name(pulled.result.as_ref().unwrap_err()), "CannotPullImageManifestError");
}

#[tokio::test]
async fn what_is_not_there_is_told_in_awss_words() {
    let fake = Fake::start(|asked| match asked.target.as_str() {
        "/v2/" => Reply::ok(""),
        _ => Reply::status(404),
    })
    .await;
    let pulled = pull(&fake, None).await;
    let name = format!("{}/app:1", fake.host);
    assert_eq!(
        pulled.error(),
        format!(
            "pull image manifest has been retried 1 time(s): failed to resolve ref {name}: {name}: \
             not found"
        )
    );
    assert_eq!(error_name(pulled.result.as_ref().unwrap_err()), "CannotPullContainerError");
}

#[tokio::test]
async fn a_rate_limit_is_waited_for_and_then_told() {
    let fake = Fake::start(|asked| match asked.target.as_str() {
        "/v2/" => Reply::ok(""),
        _ => Reply {
            status: 429,
            body: br#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}"#.to_vec(),
            ..Reply::default()
        }
        .header("retry-after", "0"),
    })
    .await;
    let pulled = pull(&fake, None).await;
    assert!(pulled.error().starts_with("pull image manifest has been retried 3 time(s)"));
    assert!(
        pulled
            .error()
            .ends_with("429 Too Many Requests - Server message: toomanyrequests: slow down"),
        "{}",
        pulled.error()
    );
}

#[tokio::test]
async fn a_token_is_fetched_with_the_password_and_shown_to_nobody_else() {
    let served = Served::new();
    let elsewhere_served = served.clone();
    let elsewhere = Fake::start(move |_| Reply::ok(elsewhere_served.layer.clone())).await;
    let away = format!("http://{}/somewhere", elsewhere.host);
    let own = served.clone();
    let fake = Fake::start(move |asked| {
        if asked.target.starts_with("/token") {
            let basic = asked.headers.get("authorization").map(String::as_str);
            return match basic {
                Some("Basic bWU6cHc=") => Reply::ok(r#"{"token":"good"}"#),
                _ => Reply::status(401),
            };
        }
        if asked.headers.get("authorization").map(String::as_str) != Some("Bearer good") {
            let host = &asked.headers["host"];
            let realm = format!(r#"Bearer realm="http://{host}/token",service="s",scope="x""#);
            return Reply::status(401).header("www-authenticate", &realm);
        }
        match asked.target == own.layer_path() {
            true => Reply::status(307).header("location", &away),
            false => own.reply(asked),
        }
    })
    .await;
    let pulled = pull(&fake, Some(Credentials::password("me", "pw"))).await;
    assert!(pulled.result.is_ok(), "{}", pulled.error());
    assert_eq!(fake.asked("/token?scope=x&service=s").len(), 1);
    let there = elsewhere.asked("/somewhere");
    assert!(there.len() == 1 && !there[0].contains_key("authorization"));

    let refused = pull(&fake, Some(Credentials::password("me", "wrong"))).await;
    assert_eq!(error_name(refused.result.as_ref().unwrap_err()), "CannotPullContainerAuthError");
    assert!(!refused.error().contains("wrong"));
}

#[tokio::test]
async fn redirects_neither_loop_nor_leave_for_strange_places() {
    for (to, why) in [("/v2/app/manifests/1", "too many"), ("file:///etc/passwd", "no address")] {
        let fake = Fake::start(move |asked| match asked.target.as_str() {
            "/v2/" => Reply::ok(""),
            _ => Reply::status(302).header("location", to),
        })
        .await;
        let pulled = pull(&fake, None).await;
        assert!(pulled.error().contains(why), "{}", pulled.error());
    }
}

#[tokio::test]
async fn two_pulls_at_once_fetch_a_layer_once() {
    let served = Served::new();
    let own = served.clone();
    let fake = Fake::start(move |asked| own.reply(asked)).await;
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let registry = Arc::new(Registry::new(Settings::default()).unwrap());
    let reference: Reference = format!("{}/app:1", fake.host).parse().unwrap();
    let options = PullOptions::default();
    let one = store.pull(&registry, &reference, &options, Arc::new(|_| {}));
    let two = store.pull(&registry, &reference, &options, Arc::new(|_| {}));
    let (one, two) = tokio::join!(one, two);
    assert_eq!(one.unwrap().id, two.unwrap().id);
    assert_eq!(fake.asked(&served.layer_path()).len(), 1);
}

#[tokio::test]
async fn a_cancelled_pull_leaves_no_work_and_its_download_goes_on_later() {
    let served = Served::new();
    let own = served.clone();
    let (seen, mut reached) = tokio::sync::mpsc::unbounded_channel();
    let fake = Fake::start(move |asked| {
        let mut reply = own.reply(asked);
        if asked.target == own.layer_path() && asked.before == 0 {
            reply.hang = Some(150_000);
        }
        reply
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let registry = Arc::new(Registry::new(Settings::default()).unwrap());
    let reference: Reference = format!("{}/app:1", fake.host).parse().unwrap();
    let options = PullOptions::default();
    let told = Arc::new(move |progress| {
        if matches!(progress, Progress::Downloading { done, .. } if done >= 140_000) {
            let _ = seen.send(());
        }
    });
    tokio::select! {
        _ = store.pull(&registry, &reference, &options, told) => panic!("it hangs"),
        _ = reached.recv() => {}
    }
    let again = store.pull(&registry, &reference, &options, Arc::new(|_| {})).await;
    assert!(again.is_ok(), "{again:?}");
    let asked = fake.asked(&served.layer_path());
    assert!(asked.len() == 2 && asked[1].contains_key("range"), "{asked:?}");
}

/// A small disk of our own; it goes with the test, also if that fails.
struct Disk(std::path::PathBuf);

impl Disk {
    fn mount(at: &std::path::Path, options: &str) {
        let mut mount = std::process::Command::new("mount");
        let done = mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(at).status().unwrap();
        assert!(done.success(), "mounting takes root");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_full_disk_is_told_and_is_no_end() {
    let served = Served::new();
    let own = served.clone();
    let fake = Fake::start(move |asked| own.reply(asked)).await;
    // Room for neither, or for the download but not for what is in it.
    for size in ["size=100k", "size=260k"] {
        let dir = tempfile::tempdir().unwrap();
        Disk::mount(dir.path(), size);
        let _disk = Disk(dir.path().to_owned());
        let name = format!("{}/app:1", fake.host);
        let refused = pull_into(dir, &name, None).await;
        let error = refused.result.as_ref().unwrap_err();
        assert!(error.is_disk_full() && refused.error().contains("no space left"), "{error}");
        assert!(refused.is_clean());
        assert_eq!(std::fs::read_dir(refused.dir.path().join("partial")).unwrap().count(), 0);
        Disk::mount(refused.dir.path(), "remount,size=8m");
        let again = pull_into(refused.dir, &name, None).await;
        assert!(again.result.is_ok(), "{}", again.error());
    }
}

#[tokio::test]
async fn what_a_killed_process_left_is_continued_or_removed() {
    let served = Served::new();
    let own = served.clone();
    let fake = Fake::start(move |asked| own.reply(asked)).await;
    let dir = tempfile::tempdir().unwrap();
    Store::open(dir.path()).unwrap();
    let digits = sha256(&served.layer).replace("sha256:", "");
    std::fs::write(dir.path().join("partial").join(&digits), &served.layer[..100_000]).unwrap();
    std::fs::create_dir_all(dir.path().join("work/dead/layer-x/fs/etc")).unwrap();
    std::fs::write(dir.path().join("work/dead.new"), "half a table").unwrap();
    let pulled = pull_into(dir, &format!("{}/app:1", fake.host), None).await;
    assert!(pulled.result.is_ok(), "{}", pulled.error());
    // This registry ignores ranges, so the download began anew; it was asked for the rest.
    assert_eq!(fake.asked(&served.layer_path())[0]["range"], "bytes=100000-");
    assert_eq!(std::fs::read_dir(pulled.dir.path().join("work")).unwrap().count(), 0);
    assert_eq!(std::fs::read_dir(pulled.dir.path().join("partial")).unwrap().count(), 0);
}
