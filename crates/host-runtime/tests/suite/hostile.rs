//! Containers that do not behave, and shims that are killed: a clear end, and nothing left.

use std::sync::Arc;

use host_runtime::{LogLimits, Namespace, Status, WhenFull};

use crate::BETWEEN_LOOKS;
use crate::world::{Kind, World};

async fn a_fork_bomb_stays_in_its_limit(world: Arc<World>) {
    let mut spec = world.script("bomb", "echo up; sh -c 'b() { b | b & }; b' & exec sleep 1000");
    spec.resources.pids = Some(40);
    spec.resources.memory = Some(128 << 20);
    world.begin(&spec).await;
    world.hears("bomb", "up").await;
    while world.runtime.stats("bomb").await.unwrap().pids.unwrap_or(0) < 30 {
        tokio::task::yield_now().await;
    }
    assert!(world.runtime.stats("bomb").await.unwrap().pids.unwrap() <= 40);
    world.runtime.kill("bomb").await.unwrap();
    let exit = world.runtime.wait("bomb").await.unwrap();
    assert!(world.killed(&exit, 9), "{exit:?}");
}

async fn too_much_memory_is_told_as_such(world: Arc<World>) {
    let mut spec = world.script("hog", "exec tail /dev/zero");
    spec.resources.memory = Some(32 << 20);
    let (exit, _) = world.run(&spec).await;
    assert_eq!((exit.code, exit.oom_killed), (Some(137), true));
    let mut spec = world.script("calm", "exit 137");
    spec.resources.memory = Some(32 << 20);
    let (exit, _) = world.run(&spec).await;
    assert_eq!((exit.code, exit.oom_killed), (Some(137), false));
}

async fn who_ignores_sigterm_is_killed(world: Arc<World>) {
    let script = "trap 'echo ignored' TERM; echo up; while true; do sleep 0.05; done";
    world.begin(&world.script("deaf", script)).await;
    world.hears("deaf", "up").await;
    world.runtime.signal("deaf", 15).await.unwrap();
    world.hears("deaf", "ignored").await;
    assert_eq!(world.runtime.state("deaf").await.unwrap().status, Status::Running);
    world.runtime.kill("deaf").await.unwrap();
    assert_eq!(world.runtime.wait("deaf").await.unwrap().code, Some(137));
    // After its end a signal is no error.
    world.runtime.signal("deaf", 15).await.unwrap();
    let obeys = "trap 'exit 0' TERM; echo up; while true; do sleep 0.05; done";
    world.begin(&world.script("obeys", obeys)).await;
    world.hears("obeys", "up").await;
    world.runtime.signal("obeys", 15).await.unwrap();
    assert_eq!(world.runtime.wait("obeys").await.unwrap().code, Some(0));
}

async fn daemons_end_with_their_container(world: Arc<World>) {
    // With the host's processes around it, nothing ends by itself.
    let mut spec = world.script("daemon", "setsid sleep 7654 & (setsid sleep 7654 &); exit 0");
    spec.namespaces.pid = Namespace::Host;
    let (exit, _) = world.run(&spec).await;
    assert_eq!(exit.code, Some(0));
    let mine = |words: &[u8]| words == b"sleep\x007654\x00";
    let left = std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        let group = std::fs::read_to_string(entry.path().join("cgroup")).unwrap_or_default();
        mine(&std::fs::read(entry.path().join("cmdline")).unwrap_or_default())
            && group.contains(&world.tag)
    });
    assert!(!left);
}

async fn an_init_reaps_zombies(world: Arc<World>) {
    let script =
        "for i in 1 2 3; do (sh -c 'true &' ); done; sleep 0.3; ps -o stat,comm; echo done";
    let mut spec = world.script("zombies", script);
    spec.init = true;
    let (_, text) = world.run(&spec).await;
    assert!(text.contains("done") && !text.contains("\nZ"), "{text}");
}

async fn a_flood_of_output_is_bounded_on_disk(world: Arc<World>) {
    let mut spec = world.script("flood", "yes 0123456789012345678901234567890 | head -c 20000000");
    spec.stdio.limits = LogLimits { file_size: 1 << 20, files: 2, when_full: WhenFull::Forget };
    world.begin(&spec).await;
    world.runtime.wait("flood").await.unwrap();
    let lines = world.lines("flood").await;
    assert!(lines.last().unwrap().text.starts_with("0123456789"));
    if world.kind == Kind::Docker {
        // Its files lie in a folder of the daemon's.
        return;
    }
    let dir = world.dir.path().join("containers/flood/log");
    let size: u64 = std::fs::read_dir(dir)
        .unwrap()
        .flatten()
        .map(|entry| entry.metadata().unwrap().len())
        .sum();
    assert!(size < 3 << 20, "{size}");
}

async fn a_reader_that_is_waited_for_loses_nothing(world: Arc<World>) {
    if world.kind == Kind::Docker {
        // Its daemon forgets what is old, whoever reads.
        return;
    }
    let mut spec = world.script("exact", "seq 1 200000");
    spec.stdio.limits = LogLimits { file_size: 1 << 20, files: 2, when_full: WhenFull::Wait };
    world.begin(&spec).await;
    let from = host_runtime::LogsFrom { follow: true, ..Default::default() };
    let mut reader = world.runtime.logs("exact", from).await.unwrap();
    let mut next = 1u32;
    loop {
        let lines = reader.next().await.unwrap();
        let Some(last) = lines.last() else { break };
        for line in &lines {
            assert_eq!(line.text, next.to_string());
            next += 1;
        }
        reader.acknowledge(last.next).await.unwrap();
    }
    assert_eq!(next, 200_001);
    assert_eq!(world.runtime.wait("exact").await.unwrap().code, Some(0));
}

async fn long_lines_and_any_bytes(world: Arc<World>) {
    let script = "head -c 40000 /dev/zero | tr '\\0' 'x'; echo; printf '\\377\\001\"\\\\end'";
    world.begin(&world.script("bytes", script)).await;
    world.runtime.wait("bytes").await.unwrap();
    let lines = world.lines("bytes").await;
    let shape: Vec<_> = lines.iter().map(|l| (l.text.len(), l.partial)).collect();
    assert_eq!(shape[..3], [(16384, true), (16384, true), (7232, false)]);
    assert_eq!(lines[3].text, "\u{fffd}\u{1}\"\\end");
}

async fn a_killed_shim_takes_its_container_with_it(world: Arc<World>) {
    if world.kind == Kind::Docker {
        // The shims are the daemon's own.
        return;
    }
    let spec = world.script("orphan", "echo up; sleep 1000");
    world.begin(&spec).await;
    world.hears("orphan", "up").await;
    let pid = world.runtime.state("orphan").await.unwrap().pid;
    let file = world.dir.path().join("containers/orphan/shim.json");
    let record: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let shim = record["shim"]["pid"].as_i64().unwrap() as i32;
    let shim = rustix::process::Pid::from_raw(shim).unwrap();
    let waiting = tokio::spawn({
        let world = world.clone();
        async move { world.runtime.wait("orphan").await }
    });
    rustix::process::kill_process(shim, rustix::process::Signal::KILL).unwrap();
    let exit = waiting.await.unwrap().unwrap();
    assert_eq!(exit.code, None);
    assert!(exit.reason.unwrap().contains("shim was killed"));
    assert_eq!(world.runtime.state("orphan").await.unwrap().status, Status::Stopped);
    let gone = || !std::path::Path::new(&format!("/proc/{pid}")).exists();
    while !gone() {
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
    assert!(world.said("orphan").await.contains("up"));
}

async fn absurd_limits_are_refused_in_words(world: Arc<World>) {
    let mut spec = world.script("absurd", "true");
    spec.resources.memory = Some(4096);
    let text = world.refused(&spec).await.to_string();
    assert_eq!(text, "Minimum memory limit allowed is 6MB");
    let mut spec = world.script("absurd", "true");
    spec.resources.cpuset = Some("4000-5000".into());
    let text = world.refused(&spec).await.to_string();
    assert!(text.contains("4000-5000"), "{text}");
    let mut spec = world.script("absurd", "true");
    spec.ulimits =
        vec![host_runtime::Ulimit { name: "nofile".into(), soft: i64::MAX, hard: i64::MAX }];
    let text = world.refused(&spec).await.to_string();
    assert!(text.contains("the hard limit of nofile, 9223372036854775807, is above"), "{text}");
    if world.kind == Kind::Docker {
        return;
    }
    let mut spec = world.script("../absurd", "true");
    spec.id = "../absurd".into();
    assert!(world.refused(&spec).await.to_string().contains("Invalid container name"));
    if world.kind == Kind::Runc {
        // runc tells this to the container's output, and its start succeeds.
        return;
    }
    let mut spec = world.script("absurd", "true");
    spec.process.args.extend((0..40).map(|_| "x".repeat(100_000)));
    let text = world.refused(&spec).await.to_string();
    assert!(text.to_lowercase().contains("argument list too long"), "{text}");
}

async fn many_at_once(world: Arc<World>) {
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..30 {
        let world = world.clone();
        tasks.spawn(async move {
            let spec = world.script(&format!("c{number}"), &format!("echo {number}"));
            let (exit, text) = world.run(&spec).await;
            assert_eq!((exit.code, text), (Some(0), format!("{number}\n")));
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}

suite! { a_fork_bomb_stays_in_its_limit too_much_memory_is_told_as_such who_ignores_sigterm_is_killed daemons_end_with_their_container a_flood_of_output_is_bounded_on_disk a_reader_that_is_waited_for_loses_nothing long_lines_and_any_bytes a_killed_shim_takes_its_container_with_it absurd_limits_are_refused_in_words }

embedded_alone! { an_init_reaps_zombies many_at_once }
