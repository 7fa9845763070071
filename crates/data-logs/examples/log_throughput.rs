//! How fast lines become durable: `cargo run --release -p data-logs --example log_throughput`.
//!
//! One writer sends batches as an agent does (1 MiB, one after the other), then 1, 16 and 200
//! writers send one line at a time. Afterwards all is read once from the beginning.

#![allow(clippy::unwrap_used, reason = "a measurement that fails says so by panicking")]

use std::sync::Arc;
use std::time::Instant;

use core_types::Id128;
use data_logs::{Direction, Line, Options, Query, Store, Streams};

const GROUP: Id128 = Id128([1; 16]);

/// About what a web server logs.
fn line(n: u64) -> Line {
    let hash = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let (ip, path, size) = (hash % 250, hash >> 40, hash >> 48);
    let message = format!(
        "10.0.{ip}.{} - - [21/Nov/2026:14:05:{:02} +0000] \"GET /api/v1/items/{path:x} HTTP/1.1\" 200 \
         {size} \"-\" \"curl/8.5\" request={hash:016x} upstream=10.1.0.{} took={}ms",
        n % 200,
        n % 60,
        n % 9,
        hash % 300
    );
    Line { timestamp: 1_795_000_000_000 + n as i64 / 50, message }
}

fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / 100.0
}

#[tokio::main]
async fn main() {
    let dir = tempfile::tempdir_in(std::env::args().nth(1).unwrap_or_else(|| ".".into())).unwrap();
    let store = Arc::new(Store::open(dir.path(), Options::default()).unwrap());
    let batch: Vec<Line> = (0..5200).map(line).collect();
    let bytes: usize = batch.iter().map(|line| line.message.len() + 26).sum();
    let (rounds, started, cpu_before) = (1000, Instant::now(), cpu());
    for n in 0..rounds {
        store.append(GROUP, Id128([2; 16]), n, &batch).await.unwrap();
    }
    let took = started.elapsed().as_secs_f64();
    let megabytes = (bytes * rounds as usize) as f64 / 1e6;
    println!(
        "one writer, batches of {bytes} bytes: {:.0} MB/s, {:.2} ms CPU a MB",
        megabytes / took,
        (cpu() - cpu_before) * 1e3 / megabytes
    );
    for writers in [1u64, 16, 200] {
        let each = 4000 / writers.min(40);
        let started = Instant::now();
        let mut tasks = Vec::new();
        for writer in 0..writers {
            let store = store.clone();
            tasks.push(tokio::spawn(async move {
                for n in 0..each {
                    let lines = [line(n)];
                    let stream = Id128([writer as u8 + 3; 16]);
                    store.append(GROUP, stream, n as i64, &lines).await.unwrap();
                }
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        let took = started.elapsed();
        let all = writers * each;
        println!(
            "{writers} writers, one line a call: {:.0} calls/s, {:.0} µs a call",
            all as f64 / took.as_secs_f64(),
            took.as_micros() as f64 * writers as f64 / all as f64
        );
    }
    let on_disk = disk(dir.path());
    let started = Instant::now();
    let mut query = Query {
        group: GROUP,
        streams: Streams::All,
        from: 0,
        to: i64::MAX,
        after: None,
        direction: Direction::Forward,
        lines: 10_000,
        bytes: 1 << 20,
        scan: 64 << 20,
    };
    let mut scanned = 0;
    while let Some(more) = store.read(&query, &|text| text.contains("nowhere")).unwrap().more {
        query.after = Some(more);
        scanned += 1;
    }
    println!(
        "a search over {megabytes:.0} MB: {:.2} s in {scanned} pages; {:.0} MB on the disk",
        started.elapsed().as_secs_f64(),
        on_disk as f64 / 1e6
    );
}

fn disk(dir: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| match entry.metadata().unwrap() {
            meta if meta.is_dir() => disk(&entry.path()),
            meta => meta.len(),
        })
        .sum()
}
