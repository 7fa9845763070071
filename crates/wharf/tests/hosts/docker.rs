//! A machine whose containers run in a Docker Engine: its own one, in its namespaces.

use host_runtime::{ContainerSpec, Docker, ProcessSpec, Rootfs, Runtime, State};
use serde_json::{Value, json};

use crate::daemon::Daemon;
use crate::inside::{LOGGING, awslogs, events, role};
use crate::joining::{connected, user};
use crate::life::get;
use crate::rollouts::images::a_tag_may_move;
use crate::world::{Elsewhere, Machine, PATIENCE, is_root, wait_for, wait_long_for, wharf};
use crate::{exec, fields, inside};

const CLUSTER: &str = "engine";

/// A server, a machine elsewhere, and an Engine there.
struct World {
    machine: Machine,
    daemon: Daemon,
    elsewhere: Elsewhere,
    dir: std::path::PathBuf,
    config: String,
    threads: tokio::runtime::Runtime,
}

impl World {
    fn start() -> Option<World> {
        if !is_root() {
            eprintln!("skipped: hosts need root");
            return None;
        }
        let mut elsewhere = Elsewhere::new();
        let daemon = Daemon::start(|program| elsewhere.command(program))?;
        let listen = format!("127.0.0.1:0,{}:0", elsewhere.here);
        let machine = Machine::server(&["--listen", &listen])?;
        machine.call("CreateCluster", json!({ "clusterName": CLUSTER }));
        let (key, secret) = user(&machine, "host");
        let dir = elsewhere.dir();
        let config = format!(
            "ECS_CLUSTER={CLUSTER}\nECS_BACKEND_HOST={}\nECS_DATADIR={}\nDOCKER_HOST=unix://{}\n\
             AWS_ACCESS_KEY_ID={key}\nAWS_SECRET_ACCESS_KEY={secret}\n",
            machine.url(1),
            dir.display(),
            daemon.socket().display(),
        );
        let threads = tokio::runtime::Runtime::new().unwrap();
        Some(World { machine, daemon, elsewhere, dir, config, threads })
    }

    /// The agent, until it is connected: what the server tells of it.
    fn agent(&mut self) -> Value {
        self.elsewhere.agent(&self.config, &["--runtime", "docker"], &[]);
        connected(&self.machine, CLUSTER)
    }

    fn run(&self, family: &str) -> String {
        let input = json!({ "cluster": CLUSTER, "taskDefinition": family });
        let answer = self.machine.call("RunTask", input);
        let arn = answer["tasks"][0]["taskArn"].as_str();
        arn.unwrap_or_else(|| panic!("{answer:#}")).to_owned()
    }

    fn task(&self, arn: &str) -> Value {
        let input = json!({ "cluster": CLUSTER, "tasks": [arn] });
        self.machine.call("DescribeTasks", input)["tasks"][0].clone()
    }

    fn wait(&self, arn: &str, status: &str) -> Value {
        wait_for(status, || {
            let task = self.task(arn);
            let over = task["lastStatus"] == "STOPPED" && status != "STOPPED";
            assert!(!over, "{task:#}\n{}", self.elsewhere.said());
            (task["lastStatus"] == status).then_some(task)
        })
    }

    fn stop(&self, arn: &str) {
        self.machine.call("StopTask", json!({ "cluster": CLUSTER, "task": arn }));
    }

    fn engine(&self, owner: &str) -> Docker {
        self.threads.block_on(Docker::at(&self.daemon.socket(), owner)).unwrap()
    }

    fn owner(&self) -> String {
        host_network::Tag::of(&self.dir).as_str().to_owned()
    }

    /// What the Engine has of this host.
    fn containers(&self) -> Vec<State> {
        self.threads.block_on(self.engine(&self.owner()).list()).unwrap()
    }

    /// `wharf` with these words on that machine, and all that it said.
    fn wharf(&self, words: &[&str]) -> (bool, String) {
        let program = wharf(&[]).get_program().to_owned();
        let mut command = self.elsewhere.command(program);
        command
            .args(words)
            .env("DOCKER_HOST", format!("unix://{}", self.daemon.socket().display()));
        let done = command.output().unwrap();
        let said = [done.stdout, done.stderr].concat();
        (done.status.success(), String::from_utf8_lossy(&said).into_owned())
    }
}

const WEB: &str = "trap 'exit 3' TERM; echo hi > /tmp/hello; echo begun on $(hostname); \
                   httpd -p 80 -h /tmp; while true; do sleep 1; done";

#[test]
fn a_task_in_an_engine_is_reached_outlives_its_agent_and_stops() {
    let Some(mut world) = World::start() else { return };
    world.agent();
    let machine = &world.machine;
    let role = role(machine, "exec", Some(LOGGING));
    machine.define(
        "web",
        json!({
            "command": ["sh", "-c", WEB],
            "hostname": "web-host",
            "portMappings": [{ "containerPort": 80 }],
            "healthCheck": { "command": ["CMD-SHELL", "test -e /tmp/hello"], "interval": 5 },
            "logConfiguration": awslogs("engine", json!({ "awslogs-create-group": "true" })),
        }),
        json!({ "executionRoleArn": role }),
    );
    let arn = world.run("web");
    let task = world.wait(&arn, "RUNNING");
    let binding = &task["containers"][0]["networkBindings"][0];
    let port = binding["hostPort"].as_u64().unwrap();
    assert!((32768..=60999).contains(&port), "{task:#}");
    let address = world.elsewhere.there.clone();
    let page = wait_for("the task answers", || get(&address, port));
    assert!(page.ends_with("hi\n"), "{page}");
    // The group and the stream were made before it began.
    let stream = format!("p/app/{}", arn.rsplit('/').next().unwrap());
    let begun = ["begun on web-host"];
    wait_for("its output", || (events(&world.machine, "engine", &stream) == begun).then_some(()));
    wait_for("it is healthy", || (world.task(&arn)["healthStatus"] == "HEALTHY").then_some(()));

    let ids = |states: &[State]| -> Vec<(String, u32)> {
        states.iter().map(|state| (state.id.clone(), state.pid)).collect()
    };
    let before = ids(&world.containers());
    assert_eq!(before.len(), 2, "a container and its network's: {before:?}");
    world.elsewhere.kill();
    wait_for("it is missed", || world.machine.instances_of(CLUSTER, false).pop());
    world.agent();
    assert_eq!(ids(&world.containers()), before, "no container was started again");
    assert_eq!(world.task(&arn)["lastStatus"], "RUNNING");
    assert!(get(&address, port).is_some());

    world.stop(&arn);
    let task = world.wait(&arn, "STOPPED");
    assert_eq!(task["containers"][0]["exitCode"], 3, "{task:#}");
    assert_eq!(events(&world.machine, "engine", &stream), begun, "each line once");
    assert!(get(&address, port).is_none(), "the port is closed with the task");
}

#[test]
fn what_an_engine_cannot_do_is_refused_and_what_is_ours_in_it_is_removed() {
    let Some(mut world) = World::start() else { return };
    let (fit, said) = world.wharf(&["doctor", "--runtime", "docker"]);
    assert!(fit && said.contains("storage"), "{said}");
    world.agent();
    let machine = &world.machine;
    // Docker forgets lines that nobody has read; who asks for the opposite must not be told yes.
    let logs = awslogs("g", json!({ "awslogs-create-group": "true", "mode": "blocking" }));
    let role = role(machine, "exec", Some(LOGGING));
    let roles = json!({ "executionRoleArn": role });
    machine.define("waits", json!({ "command": ["true"], "logConfiguration": logs }), roles);
    let task = world.wait(&world.run("waits"), "STOPPED");
    let reason = task["containers"][0]["reason"].as_str().unwrap();
    assert!(reason.starts_with("CannotCreateContainerError: "), "{task:#}");
    assert!(reason.contains("mode=blocking"), "{task:#}");

    machine.define("code", json!({ "command": ["sh", "-c", "exit 7"] }), json!({}));
    let task = world.wait(&world.run("code"), "STOPPED");
    assert_eq!(task["containers"][0]["exitCode"], 7, "{task:#}");
    let shares = json!({ "networkMode": "none", "pidMode": "task" });
    machine.define("alone", json!({ "command": ["sleep", "1000"] }), shares);
    let arn = world.run("alone");
    world.wait(&arn, "RUNNING");
    world.elsewhere.kill();

    // Somebody else's container, of an image of ours.
    let other = world.engine("other");
    let kept = world.threads.block_on(world.engine(&world.owner()).kept()).unwrap();
    let image = kept.images.iter().find(|name| !name.contains("pause")).unwrap().clone();
    let theirs = ContainerSpec {
        id: "theirs".to_owned(),
        rootfs: Rootfs { image, ..Rootfs::default() },
        process: ProcessSpec { args: vec!["true".to_owned()], ..ProcessSpec::default() },
        ..ContainerSpec::default()
    };
    world.threads.block_on(other.create(&theirs)).unwrap();
    let dir = world.dir.to_str().unwrap().to_owned();
    let (_, listed) = world.wharf(&["clean", "--dry-run", "--verbose", "--data-dir", &dir]);
    assert!(listed.contains("would remove container"), "{listed}");
    let (cleaned, said) = world.wharf(&["clean", "--data-dir", &dir]);
    assert!(cleaned && said.contains("containers"), "{said}");
    assert_eq!(world.containers(), []);
    assert_eq!(world.threads.block_on(other.list()).unwrap().len(), 1);
    world.threads.block_on(other.delete("theirs")).unwrap();
    world.wharf(&["clean", "--data-dir", &dir]);
    let kept = world.threads.block_on(world.engine(&world.owner()).kept()).unwrap();
    assert_eq!(kept, host_runtime::Kept::default());
}

/// As much as the tests' tasks may ask for at once.
const ROOM: u64 = 1_000_000;

#[test]
fn fields_do_in_an_engine_what_they_say() {
    let Some(machine) = Machine::docker(ROOM, &[], "") else { return };
    fields::inside(&machine);
}

#[test]
fn tasks_of_an_engine_are_tasks() {
    let Some(machine) = Machine::docker(ROOM, &[], "") else { return };
    // AWS: who ran for a minute at least is started again, the same container.
    let script = "echo begun; [ -e /kept ] && echo kept && exec sleep 1000; \
                  touch /kept; sleep 61; exit 3";
    let policy = json!({ "enabled": true, "restartAttemptPeriod": 60 });
    let app = json!({ "command": ["sh", "-c", script], "restartPolicy": policy });
    machine.define("again", app, json!({}));
    let again = machine.run("again", 1).remove(0);
    fields::some(&machine);
    inside::tasks_have_addresses(&machine);
    inside::output_is_shown(&machine);
    inside::output_is_followed(&machine);
    exec::commands_have_streams(&machine);
    exec::shells_have_terminals(&machine);
    a_tag_may_move(&machine);
    wait_long_for(2 * PATIENCE, "it has begun again", || {
        (machine.output(&again, "app") == "begun\nbegun\nkept\n").then_some(())
    });
    assert_eq!(machine.task(&again)["lastStatus"], "RUNNING");
}

/// What the host does where a task has no cgroup of its own: as with an Engine whose cgroups are
/// systemd's.
#[test]
fn an_engine_without_tasks_limits_runs_tasks_that_ask_for_none() {
    let off = "ECS_ENABLE_TASK_CPU_MEM_LIMIT=false\n";
    let Some(machine) = Machine::docker(ROOM, &[], off) else { return };
    fields::limits::a_task_that_asks_for_limits_finds_no_host(&machine);
    let arn = machine.run("limited-alone", 1).remove(0);
    machine.wait(&arn, "RUNNING");
    let (pid, _) = machine.first_processes()[&arn];
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let of_docker = groups.lines().filter(|line| line.contains(":/docker/")).count();
    assert!(of_docker > 0 && !groups.contains("/wharf"), "{groups}");
    fields::limits::containers_have_theirs(&machine);
}
