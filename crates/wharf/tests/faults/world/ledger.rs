//! What writers were told, and whether a server still knows it.
//!
//! Two kinds of write, so that names (which must not be lost) and numbers (which must not be given
//! twice) are both at stake. Each carries several parts, so that half of one would be seen.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::client::{Client, Failure};

/// A task definition's revision, with the mark of the write that made it.
type Revisions = BTreeMap<u64, String>;

#[derive(Default)]
struct Book {
    clusters: BTreeSet<String>,
    families: BTreeMap<String, Revisions>,
    /// Writes that were sent; those that are in no other list may or may not have happened.
    sent: BTreeSet<String>,
    /// The latest time that any answer told.
    newest: f64,
}

#[derive(Default)]
pub struct Ledger {
    book: Mutex<Book>,
    count: AtomicU64,
    addresses: Mutex<Vec<SocketAddr>>,
}

fn cluster(name: &str) -> Value {
    json!({ "clusterName": name, "tags": tags(name) })
}

fn tags(mark: &str) -> Value {
    json!([{ "key": "first", "value": mark }, { "key": "second", "value": mark }])
}

fn definition(family: &str, mark: &str, padding: &str) -> Value {
    let container = |name: &str| {
        json!({ "name": name, "image": mark, "memory": 16, "environment":
            [{ "name": "MARK", "value": mark }, { "name": "PADDING", "value": padding }] })
    };
    json!({ "family": family, "containerDefinitions": [container("one"), container("two")],
        "tags": tags(mark) })
}

impl Ledger {
    fn mark(&self, what: &str) -> String {
        let mark = format!("{what}-{}", self.count.fetch_add(1, Ordering::Relaxed));
        self.book.lock().unwrap().sent.insert(mark.clone());
        mark
    }

    pub fn acknowledged(&self) -> usize {
        let book = self.book.lock().unwrap();
        book.clusters.len() + book.families.values().map(BTreeMap::len).sum::<usize>()
    }

    /// Where writers go that may go anywhere.
    pub fn set_addresses(&self, addresses: Vec<SocketAddr>) {
        *self.addresses.lock().unwrap() = addresses;
    }

    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.addresses.lock().unwrap().clone()
    }

    pub fn newest(&self) -> f64 {
        self.book.lock().unwrap().newest
    }

    /// Creates one cluster of a name never used before.
    pub fn create_cluster(&self, client: &mut Client) -> Result<String, Failure> {
        let name = self.mark("cluster");
        let answer = client.ecs("CreateCluster", &cluster(&name))?;
        assert_eq!(answer["cluster"]["clusterName"], name.as_str());
        self.book.lock().unwrap().clusters.insert(name.clone());
        Ok(name)
    }

    /// Registers the next revision of a family; it must be one that nobody was given before.
    pub fn register(&self, client: &mut Client, family: &str) -> Result<u64, Failure> {
        self.register_padded(client, family, "")
    }

    pub fn register_padded(
        &self,
        client: &mut Client,
        family: &str,
        padding: &str,
    ) -> Result<u64, Failure> {
        let mark = self.mark("mark");
        let (before, newest) = (self.highest(family), self.newest());
        let answer = client.ecs("RegisterTaskDefinition", &definition(family, &mark, padding))?;
        let revision = answer["taskDefinition"]["revision"].as_u64().unwrap();
        let made = answer["taskDefinition"]["registeredAt"].as_f64().unwrap();
        assert!(revision > before, "{family}:{revision} came after {family}:{before}");
        assert!(made >= newest, "{family}:{revision} is of {made}, an earlier one of {newest}");
        let mut book = self.book.lock().unwrap();
        book.newest = book.newest.max(made);
        let known = book.families.entry(family.to_owned()).or_default();
        let twice = known.insert(revision, mark);
        assert_eq!(twice, None, "{family}:{revision} was given twice");
        Ok(revision)
    }

    fn highest(&self, family: &str) -> u64 {
        let book = self.book.lock().unwrap();
        let known = book.families.get(family).and_then(|known| known.last_key_value());
        known.map_or(0, |(revision, _)| *revision)
    }

    /// Writes by turns until told to stop or until nobody answers; the number of answers, good
    /// or bad, that came.
    pub fn write(&self, client: &mut Client, family: &str, stop: &AtomicBool) -> usize {
        let mut answers = 0;
        while !stop.load(Ordering::Relaxed) {
            let done = match answers % 2 {
                0 => self.create_cluster(client).map(drop),
                _ => self.register(client, family).map(drop),
            };
            match done {
                Ok(()) => {}
                Err(Failure::Lost(_)) => break,
                // It may not be able to; but it must not be our mistake.
                Err(refused) => assert!(refused.is_retryable(), "{refused:?}"),
            }
            answers += 1;
        }
        answers
    }

    /// Writes until told to stop, from one server to the next whenever one does not take it.
    pub fn write_anywhere(&self, writer: usize, addresses: &[SocketAddr], stop: &AtomicBool) {
        let family =
            if writer.is_multiple_of(2) { "shared".into() } else { format!("own-{writer}") };
        let mut at = writer;
        while !stop.load(Ordering::Relaxed) {
            let mut client = Client::new(addresses[at % addresses.len()]);
            client.timeout = Duration::from_secs(20);
            loop {
                let done = self.create_cluster(&mut client).map(drop);
                let done = done.and_then(|()| self.register(&mut client, &family).map(drop));
                match done {
                    Ok(()) if stop.load(Ordering::Relaxed) => return,
                    Ok(()) => {}
                    Err(Failure::Lost(error)) => {
                        // Nobody may be left without an answer for longer than clients wait.
                        let kind = error.kind();
                        let slow = matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut);
                        assert!(!slow, "no answer in {:?}", client.timeout);
                        break;
                    }
                    Err(refused) => {
                        assert!(refused.is_retryable(), "{refused:?}");
                        break;
                    }
                }
            }
            at += 1;
            // A server that is down refuses at once: not in a tight loop.
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// Everything that was acknowledged is there, whole; anything else that is there was sent by
    /// us and is whole as well.
    pub fn check(&self, client: &mut Client) {
        let book = self.book.lock().unwrap();
        let found = self.check_clusters(client, &book);
        let lost: Vec<_> = book.clusters.difference(&found).collect();
        assert!(lost.is_empty(), "acknowledged clusters are gone: {lost:?}");
        for (family, known) in &book.families {
            check_family(client, family, known, &book.sent);
        }
    }

    fn check_clusters(&self, client: &mut Client, book: &Book) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for page in pages(client, "ListClusters", json!({}), "clusterArns") {
            let input = json!({ "clusters": page, "include": ["TAGS"] });
            let answer = client.ecs("DescribeClusters", &input).unwrap();
            for cluster in answer["clusters"].as_array().unwrap() {
                let name = cluster["clusterName"].as_str().unwrap();
                assert!(book.sent.contains(name), "nobody made {name}");
                assert_eq!(cluster["tags"], tags(name), "half of {name}");
                assert!(found.insert(name.to_owned()), "{name} is there twice");
            }
        }
        found
    }
}

fn check_family(client: &mut Client, family: &str, known: &Revisions, sent: &BTreeSet<String>) {
    let input = json!({ "familyPrefix": family });
    let arns: Vec<String> =
        pages(client, "ListTaskDefinitions", input, "taskDefinitionArns").concat();
    let mut seen = BTreeMap::new();
    for arn in &arns {
        let revision: u64 = arn.rsplit(':').next().unwrap().parse().unwrap();
        let input = json!({ "taskDefinition": arn, "include": ["TAGS"] });
        let answer = client.ecs("DescribeTaskDefinition", &input).unwrap();
        let containers = &answer["taskDefinition"]["containerDefinitions"];
        let mark = containers[0]["image"].as_str().unwrap().to_owned();
        assert_eq!(containers[1]["environment"][0]["value"], mark.as_str(), "half of {arn}");
        assert_eq!(answer["tags"], tags(&mark), "half of {arn}");
        assert!(sent.contains(&mark), "nobody made {arn}");
        let other = seen.insert(mark, revision);
        assert_eq!(other, None, "one write made {arn} and revision {other:?}");
    }
    let revisions: BTreeSet<u64> = seen.values().copied().collect();
    let highest = revisions.last().copied().unwrap_or(0);
    assert_eq!(revisions.len() as u64, highest, "{family} has gaps: {revisions:?}");
    for (revision, mark) in known {
        assert_eq!(seen.get(mark), Some(revision), "{family}:{revision} is gone or another's");
    }
}

/// All pages of a list.
pub fn pages(client: &mut Client, operation: &str, input: Value, list: &str) -> Vec<Vec<String>> {
    let mut input = input;
    let mut pages = Vec::new();
    loop {
        let answer = client.ecs(operation, &input).unwrap();
        let page: Vec<String> = serde_json::from_value(answer[list].clone()).unwrap();
        if !page.is_empty() {
            pages.push(page);
        }
        match answer["nextToken"].as_str() {
            Some(token) => input["nextToken"] = token.into(),
            None => return pages,
        }
    }
}

/// Whether a server knows a cluster, as an ordinary read tells.
pub fn found(client: &mut Client, cluster: &str) -> Result<bool, Failure> {
    let answer = client.ecs("DescribeClusters", &json!({ "clusters": [cluster] }))?;
    Ok(answer["clusters"].as_array().is_some_and(|found| found.len() == 1))
}
