//! Figures of a runtime on this machine: from nothing to the first byte, many at once, what a shim
//! weighs, and how fast output goes through. `figures ROOTFS [SHIM WORDS…]`, as root; ROOTFS holds
//! a busybox.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use host_runtime::{
    Config, ContainerSpec, LogsFrom, ProcessSpec, Rootfs, Runtime, ShimProgram, Shimmed, WhenFull,
};

type Done<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn spec(root: &str, id: &str, script: &str) -> ContainerSpec {
    ContainerSpec {
        id: id.to_owned(),
        rootfs: Rootfs { layers: vec![root.into()], image: "box".into() },
        process: ProcessSpec {
            args: vec!["/bin/sh".into(), "-c".into(), script.into()],
            ..Default::default()
        },
        ..Default::default()
    }
}

async fn first_byte(runtime: &dyn Runtime, spec: &ContainerSpec) -> Done<Duration> {
    let begun = Instant::now();
    runtime.create(spec).await?;
    runtime.start(&spec.id).await?;
    let from = LogsFrom { follow: true, ..Default::default() };
    let lines = runtime.logs(&spec.id, from).await?.next().await?;
    assert!(!lines.is_empty(), "it said nothing");
    Ok(begun.elapsed())
}

fn median(mut all: Vec<Duration>) -> Duration {
    all.sort();
    all[all.len() / 2]
}

/// Resident and proportional KiB of a process.
fn weight(pid: u64) -> Option<(u64, u64)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let of = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    Some((of("Rss:")?, of("Pss:")?))
}

async fn many(runtime: &Arc<dyn Runtime>, root: &str, state: &std::path::Path) -> Done<()> {
    const COUNT: usize = 100;
    let begun = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..COUNT {
        let (runtime, root) = (runtime.clone(), root.to_owned());
        tasks.spawn(async move {
            let spec = spec(&root, &format!("many{number}"), "echo up; exec sleep 1000");
            first_byte(&*runtime, &spec).await
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    println!("{COUNT} in parallel, all talking: {:?}", begun.elapsed());
    let (mut rss, mut pss) = (0, 0);
    for number in 0..COUNT {
        let file = state.join(format!("many{number}/shim.json"));
        let record: serde_json::Value = serde_json::from_slice(&std::fs::read(file)?)?;
        let (one, share) = record["shim"]["pid"].as_u64().and_then(weight).unwrap_or_default();
        (rss, pss) = (rss + one, pss + share);
    }
    println!("a shim: RSS {} KiB, PSS {} KiB", rss / COUNT as u64, pss / COUNT as u64);
    let begun = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..COUNT {
        let runtime = runtime.clone();
        tasks.spawn(async move { runtime.delete(&format!("many{number}")).await });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    println!("{COUNT} killed and deleted: {:?}", begun.elapsed());
    Ok(())
}

async fn throughput(runtime: &dyn Runtime, root: &str) -> Done<()> {
    const LINE: &str = "yes 0123456789012345678901234567890123456789012345678901234567890123456789";
    let mut spec = spec(root, "flood", &format!("{LINE} | head -c 300000000"));
    spec.stdio.limits.when_full = WhenFull::Wait;
    let begun = Instant::now();
    runtime.create(&spec).await?;
    runtime.start("flood").await?;
    let from = LogsFrom { follow: true, ..Default::default() };
    let mut reader = runtime.logs("flood", from).await?;
    let mut bytes = 0;
    loop {
        let lines = reader.next().await?;
        let Some(last) = lines.last() else { break };
        bytes += lines.iter().map(|line| line.text.len() + 1).sum::<usize>();
        reader.acknowledge(last.next).await?;
    }
    let rate = bytes as f64 / begun.elapsed().as_secs_f64() / 1e6;
    println!("output, written and read without loss: {bytes} bytes, {rate:.0} MB/s");
    runtime.delete("flood").await?;
    Ok(())
}

async fn all(root: &str, shim: ShimProgram) -> Done<()> {
    let dir = std::env::temp_dir().join(format!("wharf-figures-{}", std::process::id()));
    let group = format!("/wharf-figures-{}", std::process::id());
    let config = Config { state_dir: dir.clone(), cgroup_root: group.clone(), shim };
    let runtime: Arc<dyn Runtime> = Arc::new(Shimmed::embedded(config)?);
    let mut times = Vec::new();
    for number in 0..30 {
        let id = format!("one{number}");
        times.push(first_byte(&*runtime, &spec(root, &id, "echo up")).await?);
        runtime.wait(&id).await?;
        runtime.delete(&id).await?;
    }
    println!("create to first byte, one after the other: median {:?}", median(times));
    many(&runtime, root, &dir).await?;
    throughput(&*runtime, root).await?;
    runtime.remove_group(&group).await?;
    std::fs::remove_dir_all(dir)?;
    Ok(())
}

fn main() -> Done<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let Some(root) = words.first() else { return Err("figures ROOTFS [SHIM WORDS…]".into()) };
    let shim = match words.get(1) {
        Some(path) => {
            let words: Vec<&str> = words[2..].iter().map(String::as_str).collect();
            ShimProgram::at(PathBuf::from(path), &words)
        }
        None => return Err("name a program for the shims".into()),
    };
    tokio::runtime::Runtime::new()?.block_on(all(root, shim))
}
