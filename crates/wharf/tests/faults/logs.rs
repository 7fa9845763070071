//! Log lines under kill -9 and on a full disk: what was acknowledged is there, once.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::disk::SmallDisk;
use crate::world::client::{Client, Failure};
use crate::world::server::{Server, Setup};
use crate::world::{Chance, PATIENCE, rounds, wait_for};

const GROUP: &str = "faults";

fn now() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64
}

/// Whether it was made: the server may be killed meanwhile.
fn make_stream(client: &mut Client, stream: &str) -> bool {
    for (operation, input) in [
        ("CreateLogGroup", json!({ "logGroupName": GROUP })),
        ("CreateLogStream", json!({ "logGroupName": GROUP, "logStreamName": stream })),
    ] {
        match client.logs(operation, &input) {
            Ok(_) => {}
            Err(Failure::Refused { code, .. }) if code == "ResourceAlreadyExistsException" => {}
            Err(Failure::Lost(_)) => return false,
            Err(error) => panic!("{operation}: {error:?}"),
        }
    }
    true
}

/// How many lines of each stream were acknowledged; each writer numbers its own.
#[derive(Default)]
struct Lines(Mutex<BTreeMap<String, u64>>);

impl Lines {
    /// Batches of numbered lines until told to stop, or nobody answers.
    fn write(
        &self,
        client: &mut Client,
        stream: &str,
        padding: &str,
        stop: &AtomicBool,
        refused: &dyn Fn(Failure),
    ) -> usize {
        let mut batches = 0;
        while !stop.load(Ordering::Relaxed) {
            let first = self.0.lock().unwrap().get(stream).copied().unwrap_or(0);
            let event = |n| json!({ "timestamp": now(), "message": format!("{n} {padding}") });
            let events: Vec<Value> = (first..first + 20).map(event).collect();
            let mut sorted = events.clone();
            sorted.sort_by_key(|event| event["timestamp"].as_u64());
            let input = json!({
                "logGroupName": GROUP, "logStreamName": stream, "logEvents": sorted
            });
            match client.logs("PutLogEvents", &input) {
                Ok(_) => {
                    self.0.lock().unwrap().insert(stream.to_owned(), first + 20);
                    batches += 1;
                }
                Err(Failure::Lost(_)) => break,
                Err(error) => refused(error),
            }
        }
        batches
    }

    fn acknowledged(&self) -> u64 {
        self.0.lock().unwrap().values().sum()
    }

    /// Every acknowledged line is there. A batch whose answer was lost was sent again, so some may
    /// be there twice, and some of the last one without having been acknowledged.
    fn check(&self, server: &Server) {
        let mut client = server.client();
        for (stream, count) in self.0.lock().unwrap().iter() {
            let (mut seen, mut token) = (Vec::new(), None::<String>);
            loop {
                let mut input = json!({
                    "logGroupName": GROUP, "logStreamName": stream, "startFromHead": true
                });
                if let Some(token) = &token {
                    input["nextToken"] = json!(token);
                }
                let page = client.logs("GetLogEvents", &input).unwrap();
                for event in page["events"].as_array().unwrap() {
                    let message = event["message"].as_str().unwrap();
                    seen.push(message.split(' ').next().unwrap().parse::<u64>().unwrap());
                }
                let next = page["nextForwardToken"].as_str().unwrap().to_owned();
                if token.as_ref() == Some(&next) {
                    break;
                }
                token = Some(next);
            }
            seen.sort_unstable();
            seen.dedup();
            let wanted: Vec<u64> = (0..*count).collect();
            assert!(seen.starts_with(&wanted), "{stream}: {} of {count} lines", seen.len());
        }
    }
}

#[test]
fn no_acknowledged_line_is_lost_by_kill_9() {
    let folder = TempDir::new().unwrap();
    let setup = Setup::on(folder.path());
    let (mut chance, lines) = (Chance::new(), Lines::default());
    let answered = AtomicUsize::new(0);
    // Some rounds write enough to be moved into segments meanwhile.
    let padding = "x".repeat(2000);
    for round in 0..rounds(8, 80) {
        let mut server = setup.start();
        let stop = AtomicBool::new(false);
        let goal = lines.acknowledged() + if round % 2 == 0 { 40 } else { 4000 };
        let moment = Duration::from_micros(chance.below(100_000));
        std::thread::scope(|scope| {
            for writer in 0..6 {
                let (lines, stop, answered, padding) = (&lines, &stop, &answered, &padding);
                let mut client = server.client();
                scope.spawn(move || {
                    let stream = format!("writer-{writer}");
                    if !make_stream(&mut client, &stream) {
                        return;
                    }
                    let told = |error| panic!("{error:?}");
                    let batches = lines.write(&mut client, &stream, padding, stop, &told);
                    answered.fetch_add(batches, Ordering::Relaxed);
                });
            }
            wait_for("lines are acknowledged", PATIENCE, || {
                (lines.acknowledged() >= goal).then_some(())
            });
            std::thread::park_timeout(moment);
            server.kill();
            stop.store(true, Ordering::Relaxed);
        });
    }
    lines.check(&setup.start());
    let (lines, answered) = (lines.acknowledged(), answered.into_inner());
    println!("{lines} lines in {answered} batches acknowledged");
}

#[test]
fn a_full_disk_takes_no_line_and_loses_none() {
    let Some(disk) = SmallDisk::mount("48m") else { return };
    let setup = Setup::on(&disk.data());
    let mut server = setup.start();
    let lines = Lines::default();
    for _ in 0..2 {
        let (stop, reasons) = (AtomicBool::new(false), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            let mut client = server.client();
            assert!(make_stream(&mut client, "s"));
            let (lines, stop, reasons) = (&lines, &stop, &reasons);
            scope.spawn(move || {
                let told = |error| reasons.lock().unwrap().push(error);
                lines.write(&mut client, "s", &"y".repeat(500), stop, &told);
            });
            let goal = lines.acknowledged() + 100;
            wait_for("lines are acknowledged", PATIENCE, || {
                (lines.acknowledged() >= goal).then_some(())
            });
            disk.fill();
            wait_for("lines are refused", PATIENCE, || {
                (reasons.lock().unwrap().len() >= 5).then_some(())
            });
            // Reads go on.
            lines.check(&server);
            disk.free();
            let goal = lines.acknowledged() + 100;
            wait_for("lines are taken again", PATIENCE, || {
                (lines.acknowledged() >= goal).then_some(())
            });
            stop.store(true, Ordering::Relaxed);
        });
        for refused in reasons.into_inner().unwrap() {
            assert!(refused.is_retryable(), "{refused:?}");
            assert!(refused.message().contains("full"), "{refused:?}");
        }
        lines.check(&server);
        server.kill();
        server = setup.start();
        lines.check(&server);
    }
}
