//! Measures what a task's network costs: made, mapped, removed, one after another and from four threads, in namespaces
//! made for it. Run as root: `cargo run --release -p host-network --example task_networks [COUNT]`.

use std::time::{Duration, Instant};

use host_network::{Inside, InsideOptions, PortRequest, Protocol, Tag, namespaces};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let count: usize = std::env::args().nth(1).map_or(Ok(200), |text| text.parse())?;
    let folder = std::env::temp_dir().join(format!("wharf-figures-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    namespaces::apart("figures", || {
        namespaces::unshare(true, true)?;
        rustix::mount::mount_change(
            "/",
            rustix::mount::MountPropagationFlags::PRIVATE
                | rustix::mount::MountPropagationFlags::REC,
        )
        .map_err(|source| host_network::Error::Kernel {
            what: "make mounts private".into(),
            source: source.into(),
        })?;
        let options =
            InsideOptions { run: folder.join("run"), ..InsideOptions::new(Tag::of(&folder)) };
        let inside = Inside::open(options.clone())?;
        measure(&inside, "one after another", 1, count)?;
        measure(&inside, "four threads", 4, count)?;
        for number in 0..count {
            add(&inside, &format!("kept-{number}"))?;
        }
        let start = Instant::now();
        drop(inside);
        let again = Inside::open(options)?;
        println!("taking {} over again: {:.1} ms", again.list().len(), millis(start.elapsed()));
        Ok(())
    })?;
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

fn add(inside: &Inside, id: &str) -> host_network::Result<(Duration, Duration)> {
    let start = Instant::now();
    inside.add_bridge_task(id)?;
    let made = start.elapsed();
    inside.map_ports(id, &[PortRequest::dynamic(80, Protocol::Tcp)])?;
    Ok((made, start.elapsed() - made))
}

fn measure(inside: &Inside, name: &str, threads: usize, count: usize) -> host_network::Result<()> {
    let start = Instant::now();
    let times = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|thread| {
                scope.spawn(move || {
                    let each = (0..count / threads)
                        .map(|number| add(inside, &format!("task-{thread}-{number}")));
                    each.collect::<host_network::Result<Vec<_>>>()
                })
            })
            .collect();
        let done = running.into_iter().map(|thread| thread.join().expect("no thread panics"));
        done.collect::<host_network::Result<Vec<_>>>()
    })?;
    let elapsed = start.elapsed();
    let all: Vec<_> = times.into_iter().flatten().collect();
    let median = |pick: fn(&(Duration, Duration)) -> Duration| {
        let mut sorted: Vec<_> = all.iter().map(pick).collect();
        sorted.sort();
        millis(sorted[sorted.len() / 2])
    };
    println!(
        "{name}: {} tasks in {:.1} ms; median {:.2} ms for the network, {:.2} ms for a port",
        all.len(),
        millis(elapsed),
        median(|(made, _)| *made),
        median(|(_, mapped)| *mapped),
    );
    let start = Instant::now();
    for task in inside.list() {
        inside.remove(&task.id)?;
    }
    println!("{name}: removed in {:.2} ms each", millis(start.elapsed()) / all.len() as f64);
    Ok(())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
