//! Hostile requests never crash, hang, get a 500, or show what is a neighbour's.
//!
//! `WHARF_FUZZ_REQUESTS` makes the run longer, `WHARF_FUZZ_SEED` another one. A failure names seed
//! and number of its request, and shows it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fuzz::request::Hostile;
use fuzz::world::{CARGO, World};

/// Requests at a time, so that steps take several.
const WORKERS: usize = 8;

/// Far above what any request needs, below what a person would wait.
const LONGEST: Duration = Duration::from_secs(20);

fn setting(name: &str, otherwise: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.map_or(otherwise, |text| text.parse().expect("a number"))
}

/// What a run has seen.
#[derive(Default)]
struct Seen {
    next: AtomicU64,
    statuses: Mutex<BTreeMap<u16, u64>>,
    failures: Mutex<Vec<String>>,
    granted: Mutex<BTreeMap<&'static str, u64>>,
    slowest: Mutex<Duration>,
}

async fn worker(world: Arc<World>, seen: Arc<Seen>, seed: u64, requests: u64) {
    loop {
        let n = seen.next.fetch_add(1, Ordering::Relaxed);
        let failed = seen.failures.lock().expect("no worker panics").len();
        if n >= requests || failed >= 20 {
            return;
        }
        let made = Hostile::make(&world, seed, n);
        let Some(request) = made.http() else { continue };
        let started = Instant::now();
        let answered = tokio::time::timeout(LONGEST, world.send(request)).await;
        let took = started.elapsed();
        let fail = |what: &str| {
            let text = format!("seed {seed}, request {n}: {what}\n{}\n", made.told());
            seen.failures.lock().expect("no worker panics").push(text);
        };
        let Ok(response) = answered else {
            fail("no answer in time");
            continue;
        };
        if took > LONGEST {
            fail(&format!("an answer after {took:?}"));
        }
        let status = response.status().as_u16();
        let body = String::from_utf8_lossy(response.body());
        if status >= 500 {
            fail(&format!("{status}: {body}"));
        }
        let shown = response
            .headers()
            .values()
            .any(|v| v.as_bytes().escape_ascii().to_string().contains(CARGO));
        if shown || body.contains(CARGO) || body.contains(&CARGO.to_lowercase()) {
            fail(&format!("the neighbour's cargo: {body}"));
        }
        *seen.statuses.lock().expect("no worker panics").entry(status).or_default() += 1;
        if status == 200 {
            let mut granted = seen.granted.lock().expect("no worker panics");
            *granted.entry(made.operation).or_default() += 1;
        }
        let mut slowest = seen.slowest.lock().expect("no worker panics");
        *slowest = took.max(*slowest);
    }
}

#[test]
fn hostile_requests_do_no_harm() {
    let requests = setting("WHARF_FUZZ_REQUESTS", 60_000);
    let seed = setting("WHARF_FUZZ_SEED", 1);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("threads can be started");
    let started = Instant::now();
    let seen = Arc::new(Seen::default());
    let faults = runtime.block_on(async {
        let world = Arc::new(World::open().await);
        let before = world.neighbours_own().await;
        let mut running = tokio::task::JoinSet::new();
        for _ in 0..WORKERS {
            running.spawn(worker(world.clone(), seen.clone(), seed, requests));
        }
        while let Some(ended) = running.join_next().await {
            ended.expect("a worker met a panic in the gateway");
        }
        assert_eq!(before, world.neighbours_own().await, "the neighbour's own was changed");
        let faults = world.engine.figures().read().faults;
        let engine = world.engine.clone();
        tokio::task::spawn_blocking(move || engine.stop()).await.expect("the engine stops");
        faults
    });
    let granted = seen.granted.lock().expect("no worker panics");
    println!(
        "{requests} requests of seed {seed} in {:.1} s: {:?}; slowest {:?}; {} operations granted",
        started.elapsed().as_secs_f64(),
        seen.statuses.lock().expect("no worker panics"),
        seen.slowest.lock().expect("no worker panics"),
        granted.len(),
    );
    let failures = seen.failures.lock().expect("no worker panics");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert_eq!(faults, 0, "panics inside core");
    // A fuzzer whose every request is refused at the door tests the door only.
    assert!(granted.len() > 20, "only {granted:?} were granted");
}
