//! `clean` in a namespace made for the test: it takes everything of its data directory, processes included, also when
//! the directory is gone, and nothing of anybody else's.

#![allow(clippy::unwrap_used)]

mod world;

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use host_network::addresses::Zone;
use host_network::{
    CleanOptions, Inside, InsideOptions, Machine, MachineOptions, What, cgroups, clean, leftovers,
    namespaces,
};
use world::World;

fn clean_options(world: &World) -> CleanOptions {
    CleanOptions {
        hosts_file: world.hosts_file(),
        run: world.run(),
        ..CleanOptions::new(world.data_dir())
    }
}

fn machine(world: &World) -> Machine {
    Machine::open(MachineOptions {
        run: world.run(),
        hosts_file: Some(world.hosts_file()),
        ..MachineOptions::new(world.data_dir())
    })
    .unwrap()
}

fn sleeper() -> Command {
    let mut command = Command::new("sleep");
    command.arg("1000").stdin(Stdio::null()).stdout(Stdio::null()).process_group(0);
    command
}

#[test]
fn everything_goes_also_when_the_data_directory_is_gone() {
    World::enter("clean", |world| {
        let before = std::fs::read_to_string(world.hosts_file()).unwrap();
        let mut machine = machine(world);
        let host = machine.add_host("i-1", Zone::A, "one").unwrap();
        let mut agent = machine.spawn_in_host(&host, &mut sleeper()).unwrap();
        let mut container = sleeper().spawn().unwrap();
        cgroups::adopt(&cgroups::of_host(machine.tag(), "i-1/task"), container.id()).unwrap();
        let mut stranger = sleeper().spawn().unwrap();
        // A host of this machine itself, as a stand-alone agent makes it.
        let inside =
            Inside::open(InsideOptions { run: world.run(), ..InsideOptions::new(world.tag()) })
                .unwrap();
        inside.add_bridge_task("task").unwrap();
        std::fs::remove_dir_all(world.data_dir()).unwrap();

        let options = clean_options(world);
        let found = leftovers(&options).unwrap();
        assert_eq!(leftovers(&options).unwrap(), found);
        let kinds: Vec<_> = found.iter().map(|leftover| leftover.kind).collect();
        let expected = [
            What::Process,
            What::Table,
            What::Link,
            What::Namespace,
            What::Cgroup,
            What::HostsFile,
            What::Folder,
        ];
        for kind in expected {
            assert!(kinds.contains(&kind), "{kind:?} is not in {found:?}");
        }
        let cleaned = clean(&options).unwrap();
        assert!(cleaned.failed.is_empty(), "{:?}", cleaned.failed);
        assert!(leftovers(&options).unwrap().is_empty());
        assert_eq!(std::fs::read_to_string(world.hosts_file()).unwrap(), before);
        assert!(!agent.wait().unwrap().success() && !container.wait().unwrap().success());
        assert!(stranger.try_wait().unwrap().is_none(), "a stranger was ended");
        stranger.kill().unwrap();
        stranger.wait().unwrap();
        assert!(clean(&options).unwrap().removed.is_empty());
    });
}

#[test]
fn nothing_of_another_data_directory_is_touched() {
    World::enter("clean-other", |world| {
        let mut machine = machine(world);
        let host = machine.add_host("i-1", Zone::A, "one").unwrap();
        let other = CleanOptions { data_dir: world.path().join("other"), ..clean_options(world) };
        assert_eq!(leftovers(&other).unwrap(), []);
        assert!(clean(&other).unwrap().removed.is_empty());
        assert!(namespaces::is_pinned(&host.network));
        let text = std::fs::read_to_string(world.hosts_file()).unwrap();
        assert!(text.contains("one"));
        assert!(clean(&clean_options(world)).unwrap().failed.is_empty());
    });
}
