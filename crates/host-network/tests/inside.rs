//! Networks of tasks in a namespace made for the test: what can be reached, what can't, and what a kill leaves.

#![allow(clippy::unwrap_used)]

mod world;

use std::io::Write;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::time::Duration;

use host_network::{Attachment, Home, Inside, InsideOptions, PortRequest, Protocol, namespaces};
use world::{World, ask, serve};

fn open(world: &World) -> Inside {
    Inside::open(InsideOptions { run: world.run(), ..InsideOptions::new(world.tag()) }).unwrap()
}

fn address(task: &Attachment) -> Ipv4Addr {
    task.address().unwrap()
}

#[test]
fn a_bridge_task_is_reached_by_its_ports_and_its_address() {
    World::enter("bridge", |world| {
        let inside = open(world);
        let one = inside.add_bridge_task("one").unwrap();
        let two = inside.add_bridge_task("two").unwrap();
        serve(&one.namespace, 80, "one");
        serve(&two.namespace, 80, "two");
        let tcp = Protocol::Tcp;
        inside.map_ports("one", &[PortRequest::fixed(80, 8080, tcp)]).unwrap();
        let dynamic =
            inside.map_ports("two", &[PortRequest::dynamic(80, tcp)]).unwrap()[0].host.first;
        assert!((32768..=60999).contains(&dynamic));
        let gateway = inside.gateway();
        assert_eq!(ask((address(&one), 80)).unwrap(), format!("one {gateway}"));
        assert_eq!(ask((Ipv4Addr::LOCALHOST, 8080)).unwrap(), format!("one {gateway}"));
        assert_eq!(ask((gateway, 8080)).unwrap(), format!("one {gateway}"));
        assert_eq!(ask((Ipv4Addr::LOCALHOST, dynamic)).unwrap(), format!("two {gateway}"));
        // From task to task by address, by host port, and to itself by its own host port.
        namespaces::inside(&two.namespace, || {
            assert_eq!(ask((address(&one), 80)).unwrap(), format!("one {}", address(&two)));
            assert_eq!(ask((gateway, 8080)).unwrap(), format!("one {gateway}"));
            assert_eq!(ask((gateway, dynamic)).unwrap(), format!("two {gateway}"));
            Ok(())
        })
        .unwrap();
        let conflict = inside.map_ports("two", &[PortRequest::fixed(81, 8080, tcp)]).unwrap_err();
        assert_eq!(conflict.to_string(), "host port 8080/tcp is in use by one");
        inside.remove("one").unwrap();
        assert!(ask((Ipv4Addr::LOCALHOST, 8080)).is_err());
        inside.map_ports("two", &[PortRequest::fixed(80, 8080, tcp)]).unwrap();
        assert_eq!(ask((Ipv4Addr::LOCALHOST, 8080)).unwrap(), format!("two {gateway}"));
        inside.remove("two").unwrap();
    });
}

/// A process in a network namespace of its own, as an Engine's containers are.
fn held() -> std::process::Child {
    use std::os::unix::process::CommandExt;
    let mut command = std::process::Command::new("unshare");
    command.args(["--net", "sh", "-c", "echo ready; exec sleep 1000"]);
    let mut child = command.stdout(std::process::Stdio::piped()).process_group(0).spawn().unwrap();
    let mut said = [0; 6];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut said).unwrap();
    child
}

#[test]
fn a_process_gives_its_namespace_to_a_task_and_another_takes_its_place() {
    World::enter("held", |world| {
        let inside = open(world);
        let mut first = held();
        let add = |pid| inside.add_bridge_task_to("task", Home::Of(pid)).unwrap();
        let task = add(first.id());
        assert!(namespaces::is_of(&task.namespace, first.id()));
        serve(&task.namespace, 80, "one");
        let mapped = inside.map_ports("task", &[PortRequest::dynamic(80, Protocol::Tcp)]).unwrap();
        let answer = ask((Ipv4Addr::LOCALHOST, mapped[0].host.first)).unwrap();
        assert!(answer.starts_with("one "), "{answer}");
        // Asked again it is the same; of another process it is another.
        assert_eq!(add(first.id()).ports, mapped);
        let mut second = held();
        let task = add(second.id());
        assert!(task.ports.is_empty() && namespaces::is_of(&task.namespace, second.id()));
        inside.remove("task").unwrap();
        for child in [&mut first, &mut second] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let gone = inside.add_bridge_task_to("task", Home::Of(first.id())).unwrap_err();
        assert!(gone.to_string().contains("/ns/net"), "{gone}");
        assert!(inside.find("task").is_none());
    });
}

#[test]
fn udp_and_ranges_reach_their_ports() {
    World::enter("udp", |world| {
        let inside = open(world);
        let task = inside.add_bridge_task("task").unwrap();
        let range = PortRequest {
            container: host_network::PortRange { first: 9000, last: 9002 },
            host: None,
            protocol: Protocol::Tcp,
        };
        let requests = [PortRequest::fixed(53, 5353, Protocol::Udp), range];
        let mapped = inside.map_ports("task", &requests).unwrap();
        assert_eq!(mapped[1].host.count(), 3);
        serve(&task.namespace, 9002, "last");
        assert!(ask((Ipv4Addr::LOCALHOST, mapped[1].host.last)).unwrap().starts_with("last"));
        let server =
            namespaces::inside(&task.namespace, || Ok(UdpSocket::bind("0.0.0.0:53").unwrap()))
                .unwrap();
        let client = UdpSocket::bind("0.0.0.0:0").unwrap();
        client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        client.send_to(b"question", (Ipv4Addr::LOCALHOST, 5353)).unwrap();
        let mut buffer = [0; 64];
        let (length, from) = server.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"question");
        server.send_to(b"answer", from).unwrap();
        let (length, from) = client.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..length], from), (&b"answer"[..], (Ipv4Addr::LOCALHOST, 5353).into()));
        // The next task on that port hears the same client.
        inside.remove("task").unwrap();
        let next = inside.add_bridge_task("next").unwrap();
        let server =
            namespaces::inside(&next.namespace, || Ok(UdpSocket::bind("0.0.0.0:53").unwrap()))
                .unwrap();
        server.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        inside.map_ports("next", &requests[..1]).unwrap();
        client.send_to(b"again", (Ipv4Addr::LOCALHOST, 5353)).unwrap();
        let (length, _) = server.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"again");
    });
}

#[test]
fn the_metadata_endpoint_knows_who_asks_and_the_loopback_is_the_hosts_own() {
    World::enter("metadata", |world| {
        let inside = open(world);
        let task = inside.add_bridge_task("task").unwrap();
        let agent = TcpListener::bind((Ipv4Addr::LOCALHOST, 51679)).unwrap();
        let secret = TcpListener::bind((Ipv4Addr::LOCALHOST, 7000)).unwrap();
        let gateway = inside.gateway();
        let answering = std::thread::spawn(move || {
            let (mut stream, from) = agent.accept().unwrap();
            write!(stream, "hello {}", from.ip()).unwrap();
            agent
        });
        namespaces::inside(&task.namespace, || {
            let answer = ask((host_network::METADATA, 80)).unwrap();
            assert_eq!(answer, format!("hello {}", address(&task)));
            for (to, port) in [(gateway, 51679), (gateway, 7000)] {
                assert!(ask((to, port)).is_err(), "{to}:{port}");
            }
            Ok(())
        })
        .unwrap();
        assert_eq!(inside.task_at(address(&task)).as_deref(), Some("task"));
        drop((answering.join().unwrap(), secret));
    });
}

#[test]
fn a_kill_leaves_networks_that_the_next_agent_takes_over() {
    World::enter("adoption", |world| {
        let tcp = Protocol::Tcp;
        let first = open(world);
        let task = first.add_bridge_task("task").unwrap();
        serve(&task.namespace, 80, "task");
        let mapped = first.map_ports("task", &[PortRequest::fixed(80, 8080, tcp)]).unwrap();
        first.add_isolated_task("alone").unwrap();
        first.add_bridge_task("stranger").unwrap();
        // What a kill in the middle of making one leaves: a file that names what is not there.
        let file = world.tag().run_dir(&world.run()).join("tasks/half.json");
        let mut half = Attachment { id: "half".into(), ..task.clone() };
        half.namespace = file.with_extension("net");
        half.wire.as_mut().unwrap().number = 77;
        half.wire.as_mut().unwrap().index = 0;
        half.wire.as_mut().unwrap().address = Ipv4Addr::new(172, 17, 200, 1);
        half.ports.clear();
        std::fs::write(&file, serde_json::to_string(&half).unwrap()).unwrap();
        // Nothing is told to end: this is all that a kill -9 does to it.
        drop(first);

        let second = open(world);
        assert!(!file.exists());
        let names: Vec<_> = second.list().into_iter().map(|task| task.id).collect();
        assert_eq!(names, ["alone", "stranger", "task"]);
        assert_eq!(second.find("task").unwrap().ports, mapped);
        assert_eq!(second.add_bridge_task("task").unwrap(), second.find("task").unwrap());
        assert!(ask((Ipv4Addr::LOCALHOST, 8080)).unwrap().starts_with("task"));
        assert!(second.map_ports("stranger", &[PortRequest::fixed(80, 8080, tcp)]).is_err());
        let fresh = second.add_bridge_task("fresh").unwrap();
        assert!(
            second.list().iter().filter(|other| other.address() == fresh.address()).count() == 1
        );

        let removed = second.reconcile(|id| id == "task" || id == "fresh").unwrap();
        assert_eq!(&removed[..2], ["alone", "stranger"]);
        assert!(ask((Ipv4Addr::LOCALHOST, 8080)).unwrap().starts_with("task"));
        assert!(second.list().iter().all(|task| task.id == "task" || task.id == "fresh"));
    });
}

#[test]
fn nobody_speaks_in_anothers_name() {
    World::enter("spoofing", |world| {
        let inside = open(world);
        let honest = inside.add_bridge_task("honest").unwrap();
        let liar = inside.add_bridge_task("liar").unwrap();
        let receiver = UdpSocket::bind("0.0.0.0:7777").unwrap();
        receiver.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let gateway = inside.gateway();
        let send = |from: &Attachment, source: Ipv4Addr, text: &'static [u8]| {
            namespaces::inside(&from.namespace, || {
                // The liar gives itself the other's address, as root in a container with NET_ADMIN could.
                world::add_address("lo", source);
                let socket = UdpSocket::bind((source, 0)).unwrap();
                socket.send_to(text, (gateway, 7777)).unwrap();
                Ok(())
            })
            .unwrap();
        };
        send(&liar, address(&honest), b"lie");
        send(&liar, Ipv4Addr::new(10, 1, 2, 3), b"lie");
        send(&liar, address(&liar), b"truth");
        let mut buffer = [0; 16];
        let (length, from) = receiver.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..length], from.ip()), (&b"truth"[..], address(&liar).into()));
    });
}

#[test]
fn a_hundred_tasks_have_networks_at_once() {
    World::enter("hundred", |world| {
        let inside = open(world);
        std::thread::scope(|scope| {
            for part in 0..4 {
                let inside = &inside;
                scope.spawn(move || {
                    for number in 0..25 {
                        let id = format!("task-{part}-{number}");
                        inside.add_bridge_task(&id).unwrap();
                        inside.map_ports(&id, &[PortRequest::dynamic(80, Protocol::Tcp)]).unwrap();
                    }
                });
            }
        });
        let tasks = inside.list();
        assert_eq!(tasks.len(), 100);
        let addresses: std::collections::BTreeSet<_> = tasks.iter().map(address).collect();
        let ports: std::collections::BTreeSet<_> =
            tasks.iter().map(|task| task.ports[0].host.first).collect();
        assert_eq!((addresses.len(), ports.len()), (100, 100));
        for task in &tasks {
            serve(&task.namespace, 80, "task");
            assert!(
                ask((Ipv4Addr::LOCALHOST, task.ports[0].host.first)).unwrap().starts_with("task")
            );
        }
        for task in &tasks {
            inside.remove(&task.id).unwrap();
            inside.remove(&task.id).unwrap();
        }
        assert!(inside.list().is_empty());
        for task in &tasks {
            assert!(!task.namespace.exists());
        }
    });
}
