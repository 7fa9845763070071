//! Hosts in a namespace made for the test, which plays the machine: two hosts, their ports, their names, and what a
//! second start finds.

#![allow(clippy::unwrap_used)]

mod world;

use std::net::{Ipv4Addr, TcpListener, ToSocketAddrs};
use std::process::{Command, Stdio};

use host_network::addresses::Zone;
use host_network::{
    Eni, HostPlace, Inside, InsideOptions, Machine, MachineOptions, PortRequest, Protocol,
    namespaces,
};
use world::{World, ask, serve};

fn open(world: &World) -> Machine {
    Machine::open(options(world)).unwrap()
}

fn options(world: &World) -> MachineOptions {
    MachineOptions {
        run: world.run(),
        hosts_file: Some(world.hosts_file()),
        ..MachineOptions::new(world.data_dir())
    }
}

/// Runs something as a host's agent would: in all its namespaces.
fn at<T: Send>(host: &HostPlace, work: impl FnOnce() -> T + Send) -> T {
    use namespaces::Kind;
    namespaces::apart("agent", || {
        namespaces::enter(&[
            (Kind::Network, &host.network),
            (Kind::Names, &host.names),
            (Kind::Mount, &host.mounts),
        ])?;
        Ok(work())
    })
    .unwrap()
}

fn inside(world: &World, host: &HostPlace) -> Inside {
    let options = InsideOptions { run: world.run(), ..InsideOptions::new(world.tag()) };
    at(host, || Inside::open(options).unwrap())
}

#[test]
fn the_same_static_port_works_on_two_hosts_by_address_and_name() {
    World::enter("two-hosts", |world| {
        let mut machine = open(world);
        let one = machine.add_host("i-1", Zone::A, "one.test").unwrap();
        let two = machine.add_host("i-2", Zone::B, "two.test").unwrap();
        assert_eq!(machine.vpc().subnet_of(one.address), Some(machine.vpc().subnet(Zone::A)));
        for (host, name) in [(&one, "one"), (&two, "two")] {
            let agent = inside(world, host);
            at(host, || {
                let task = agent.add_bridge_task("task").unwrap();
                serve(&task.namespace, 80, name);
                let request = [PortRequest::fixed(80, 8080, Protocol::Tcp)];
                agent.map_ports("task", &request).unwrap();
                agent.add_bridge_task("other").unwrap();
                let conflict = agent.map_ports("other", &request).unwrap_err().to_string();
                assert_eq!(conflict, "host port 8080/tcp is in use by task");
            });
            let gateway = machine.gateways()[0];
            assert_eq!(ask((host.address, 8080)).unwrap(), format!("{name} {gateway}"));
            let text = std::fs::read_to_string(world.hosts_file()).unwrap();
            let line = text.lines().find(|line| line.contains(&host.name)).unwrap();
            assert!(line.starts_with(&host.address.to_string()), "{line}");
        }
        // By name, through the C library, which reads the file that this test laid over /etc/hosts.
        let text = std::fs::read_to_string(world.hosts_file()).unwrap();
        std::fs::write("/etc/hosts", text).unwrap();
        for (host, name) in [(&one, "one"), (&two, "two")] {
            let address = (host.name.as_str(), 8080).to_socket_addrs().unwrap().next().unwrap();
            assert!(ask(address).unwrap().starts_with(name));
        }
        // From one host to the other, and the control plane's door.
        at(&one, || assert!(ask((two.address, 8080)).unwrap().starts_with("two ")));
        let gateway = machine.gateways()[1];
        let door = TcpListener::bind((gateway, 0)).unwrap();
        let port = door.local_addr().unwrap().port();
        at(&two, || assert!(std::net::TcpStream::connect((gateway, port)).is_ok()));
    });
}

#[test]
fn an_eni_task_has_an_address_of_the_vpc() {
    World::enter("eni", |world| {
        let mut machine = open(world);
        let one = machine.add_host("i-1", Zone::A, "one").unwrap();
        let two = machine.add_host("i-2", Zone::B, "two").unwrap();
        let subnet = machine.vpc().subnet(Zone::A);
        let address = Ipv4Addr::from(u32::from(subnet.cidr.network()) + 300);
        let eni = Eni {
            mac: "02:aa:bb:cc:dd:ee".parse().unwrap(),
            address,
            prefix: subnet.cidr.prefix_len(),
            gateway: subnet.gateway(),
        };
        let (first, second) = (inside(world, &one), inside(world, &two));
        at(&one, || {
            let task = first.add_eni_task("web", &eni).unwrap();
            serve(&task.namespace, 80, "web");
            assert!(first.add_eni_task("again", &eni).is_err());
        });
        assert_eq!(ask((address, 80)).unwrap(), format!("web {}", machine.gateways()[0]));
        at(&one, || assert_eq!(ask((address, 80)).unwrap(), format!("web {}", one.address)));
        at(&two, || {
            assert_eq!(ask((address, 80)).unwrap(), format!("web {}", two.address));
            let task = second.add_bridge_task("client").unwrap();
            namespaces::inside(&task.namespace, || {
                assert_eq!(ask((address, 80)).unwrap(), format!("web {}", two.address));
                Ok(())
            })
            .unwrap();
        });
        // The agent knows it, and the host itself, by their addresses.
        let agent = at(&one, || TcpListener::bind((Ipv4Addr::LOCALHOST, 51679)).unwrap());
        std::thread::spawn(move || {
            while let Ok((mut stream, from)) = agent.accept() {
                let _ = std::io::Write::write_all(&mut stream, from.ip().to_string().as_bytes());
            }
        });
        let metadata = (host_network::METADATA, 80);
        at(&one, || {
            assert_eq!(ask(metadata).unwrap(), one.address.to_string());
            let task = first.find("web").unwrap();
            let answer =
                namespaces::inside(&task.namespace, || Ok(ask(metadata).unwrap())).unwrap();
            assert_eq!(answer, address.to_string());
            assert_eq!(first.task_at(address).as_deref(), Some("web"));
        });
        // What the task sends comes from its own address.
        serve(&two.network, 81, "host");
        at(&one, || {
            let task = first.find("web").unwrap();
            namespaces::inside(&task.namespace, || {
                assert_eq!(ask((two.address, 81)).unwrap(), format!("host {address}"));
                Ok(())
            })
            .unwrap();
        });
    });
}

#[test]
fn a_second_start_takes_the_same_hosts_back() {
    World::enter("again", |world| {
        let mut machine = open(world);
        let before = machine.add_host("i-1", Zone::A, "one").unwrap();
        let mut sleeper = machine
            .spawn_in_host(
                &before,
                Command::new("sh")
                    .args(["-c", "hostname; readlink /proc/self/ns/net; exec cat"])
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped()),
            )
            .unwrap();
        let namespace = std::fs::read_link(format!("/proc/{}/ns/net", sleeper.id())).unwrap();
        drop(machine);
        let mut machine = open(world);
        assert_eq!(machine.hosts(), std::slice::from_ref(&before));
        let after = machine.add_host("i-1", Zone::A, "one").unwrap();
        assert_eq!(after, before);
        at(&after, || {
            assert_eq!(std::fs::read_link("/proc/thread-self/ns/net").unwrap(), namespace);
        });
        drop(sleeper.stdin.take());
        let output = sleeper.wait_with_output().unwrap();
        assert!(String::from_utf8(output.stdout).unwrap().starts_with("one\n"));
        let other =
            MachineOptions { vpc: Some("10.255.0.0/16".parse().unwrap()), ..options(world) };
        assert!(Machine::open(other).unwrap_err().to_string().contains("hosts live in"));
    });
}

#[test]
fn a_clash_with_a_route_is_named() {
    World::enter("clash", |world| {
        let first = open(world);
        let cidr = first.vpc().cidr;
        let elsewhere = MachineOptions {
            vpc: Some(cidr),
            run: world.path().join("run2"),
            ..MachineOptions::new(world.path().join("data2"))
        };
        let error = Machine::open(elsewhere.clone()).unwrap_err().to_string();
        let bridge = first.tag().vpc_bridge();
        assert!(
            error.contains(&format!("clashes with the route to {cidr} by {bridge}")),
            "{error}"
        );
        // Nobody asked for a range: another one is found.
        let second = Machine::open(MachineOptions { vpc: None, ..elsewhere }).unwrap();
        assert_ne!(second.vpc().cidr, cidr);
    });
}

#[test]
fn tasks_get_out_and_nobody_gets_in_unasked() {
    World::enter("outside", |world| {
        let outside =
            world::Outside::connect(Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2));
        let uplink = "/proc/sys/net/ipv4/conf/out0/forwarding";
        // As the machine around has it: Docker, say, has turned it on.
        let before = std::fs::read_to_string(uplink).unwrap();
        let mut machine = open(world);
        let host = machine.add_host("i-1", Zone::A, "one").unwrap();
        let agent = inside(world, &host);
        at(&host, || {
            let task = agent.add_bridge_task("task").unwrap();
            serve(&task.namespace, 80, "task");
            agent.map_ports("task", &[PortRequest::fixed(80, 8080, Protocol::Tcp)]).unwrap();
        });
        serve(&outside.namespace, 80, "internet");
        let task = agent.find("task").unwrap();
        // Behind two translations: the host's and the machine's.
        let answer = at(&host, || {
            namespaces::inside(&task.namespace, || Ok(ask((outside.there, 80)).unwrap())).unwrap()
        });
        assert_eq!(answer, format!("internet {}", outside.here));
        let door = TcpListener::bind((machine.gateways()[0], 4000)).unwrap();
        namespaces::inside(&outside.namespace, || {
            world::add_route(machine.vpc().cidr, outside.here);
            let connect = |to: (Ipv4Addr, u16)| {
                std::net::TcpStream::connect_timeout(
                    &to.into(),
                    std::time::Duration::from_millis(300),
                )
            };
            assert!(connect((host.address, 8080)).is_err(), "a host was reached from outside");
            assert!(connect((machine.gateways()[0], 4000)).is_err(), "the control plane was");
            Ok(())
        })
        .unwrap();
        drop(door);
        assert_eq!(std::fs::read_to_string(uplink).unwrap().trim(), "1");
        let options = host_network::CleanOptions {
            run: world.run(),
            hosts_file: world.hosts_file(),
            ..host_network::CleanOptions::new(world.data_dir())
        };
        assert!(host_network::clean(&options).unwrap().failed.is_empty());
        assert_eq!(std::fs::read_to_string(uplink).unwrap(), before);
    });
}

#[test]
fn the_doctor_finds_that_everything_works_here_and_leaves_nothing() {
    World::enter("doctor", |_| {
        use host_network::doctor::Level;
        let findings = host_network::doctor::examine();
        assert!(findings.iter().all(|finding| finding.level != Level::Bad), "{findings:?}");
        assert!(findings.iter().any(|f| f.level == Level::Warning && f.subject == "way out"));
        assert_eq!(
            std::fs::read_to_string("/proc/thread-self/net/dev").unwrap().lines().count(),
            3
        );
    });
}
