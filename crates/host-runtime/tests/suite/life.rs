//! What a container is made of, and its life from create to delete.

use std::sync::Arc;

use host_runtime::{
    Device, ExecSpec, GroupSpec, LogsFrom, Mount, Namespace, Phase, ProcessSpec, Seccomp, Status,
    Stream, Ulimit,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::world::{Kind, World};

async fn a_container_runs_and_tells_its_end(world: Arc<World>) {
    let spec = world.script("one", "echo out; echo err >&2; exit 7");
    let created = world.runtime.create(&spec).await.unwrap();
    assert_eq!(world.runtime.state("one").await.unwrap().status, Status::Created);
    let started = world.runtime.start("one").await.unwrap();
    assert!(created.pid == started.pid || world.kind == Kind::Docker);
    let exit = world.runtime.wait("one").await.unwrap();
    assert_eq!((exit.code, exit.signal, exit.oom_killed), (Some(7), None, false));
    assert!(exit.started_at.unwrap() <= exit.finished_at);
    let lines = world.lines("one").await;
    let said: Vec<_> = lines.iter().map(|l| (l.stream, l.text.as_str())).collect();
    assert!(said.contains(&(Stream::Stdout, "out")) && said.contains(&(Stream::Stderr, "err")));
    // Asked again, by whomever: the same.
    assert_eq!(world.runtime.wait("one").await.unwrap(), exit);
    assert_eq!(world.runtime.state("one").await.unwrap().status, Status::Stopped);
    world.runtime.delete("one").await.unwrap();
    world.runtime.delete("one").await.unwrap();
    assert!(world.runtime.wait("one").await.is_err());
}

async fn what_cannot_start_says_why(world: Arc<World>) {
    let mut spec = world.script("none", "");
    spec.process.args = vec!["no-such-program".into()];
    let error = world.refused(&spec).await;
    let text = error.to_string();
    assert!(text.contains("\"no-such-program\": executable file not found in $PATH"), "{text}");
    assert_eq!(error.phase(), Phase::Start);
    spec.process.args = vec!["/etc/passwd".into()];
    let text = world.refused(&spec).await.to_string();
    assert!(text.contains("permission denied"), "{text}");
    let mut spec = world.script("nobody", "true");
    spec.process.user = Some("nobody-here".into());
    let text = world.refused(&spec).await.to_string();
    assert!(text.contains("unable to find user nobody-here"), "{text}");
    let mut spec = world.script("bind", "true");
    spec.mounts = vec![Mount::Bind {
        source: "/no/such/folder".into(),
        target: "/x".into(),
        readonly: false,
        recursive: true,
    }];
    let error = world.refused(&spec).await;
    assert!(error.to_string().contains("bind source path does not exist: /no/such/folder"));
    assert_eq!(error.phase(), Phase::Create);
    assert!(world.runtime.list().await.unwrap().is_empty());
}

async fn identity_environment_and_folder(world: Arc<World>) {
    let mut spec = world.script("who", "id; pwd; env; hostname");
    spec.process.user = Some("web".into());
    spec.process.env = vec!["A=1".into(), "EMPTY=".into()];
    spec.process.cwd = Some("/srv/new/folder".into());
    spec.hostname = Some("box-host".into());
    let (exit, text) = world.run(&spec).await;
    assert_eq!(exit.code, Some(0), "{text}");
    assert!(text.contains("uid=33(web) gid=34(web) groups="), "{text}");
    assert!(text.contains("50(logs)"), "{text}");
    for wanted in ["/srv/new/folder\n", "A=1\n", "EMPTY=\n", "HOME=/var\n", "box-host\n"] {
        assert!(text.contains(wanted), "{wanted} in {text}");
    }
}

async fn confinement_is_dockers(world: Arc<World>) {
    let script = "grep -E 'Seccomp:|CapEff|NoNewPrivs' /proc/self/status; \
                  unshare -m true || echo no-unshare; mount -t tmpfs none /tmp || echo no-mount; \
                  echo x > /proc/sys/kernel/hostname || echo no-sys; cat /proc/kcore | head -c1; \
                  touch /sys/x || echo ro-sys; mknod /dev/loop9 b 7 9 && head -c1 /dev/loop9 || \
                  echo no-device";
    let (_, text) = world.run(&world.script("conf", script)).await;
    for wanted in [
        "Seccomp:\t2",
        "CapEff:\t00000000a80425fb",
        "NoNewPrivs:\t0",
        "no-unshare",
        "no-mount",
        "no-sys",
        "ro-sys",
        "no-device",
    ] {
        assert!(text.contains(wanted), "{wanted} in {text}");
    }
    let mut spec = world.script("caps", "grep -E 'Seccomp:|CapEff|NoNewPrivs' /proc/self/status");
    spec.security.cap_drop = vec!["ALL".into()];
    spec.security.cap_add = vec!["NET_ADMIN".into()];
    spec.security.no_new_privileges = true;
    spec.security.seccomp = Seccomp::Unconfined;
    let (_, text) = world.run(&spec).await;
    assert!(text.contains("CapEff:\t0000000000001000"), "{text}");
    assert!(text.contains("NoNewPrivs:\t1") && text.contains("Seccomp:\t0"), "{text}");
    let mut spec = world.script("user", "grep -E 'CapEff|Seccomp:' /proc/self/status");
    spec.process.user = Some("1000:1000".into());
    let (_, text) = world.run(&spec).await;
    assert!(text.contains("CapEff:\t0000000000000000") && text.contains("Seccomp:\t2"), "{text}");
    // Docker gives a privileged container all that the kernel knows, also what this machine lacks.
    if world.kind != Kind::Docker {
        privileged(&world).await;
    }
}

async fn privileged(world: &World) {
    let mut spec = world.script(
        "priv",
        "grep Seccomp: /proc/self/status; touch /tmp/a; \
                                         mount -t tmpfs none /tmp && ls /dev",
    );
    spec.privileged = true;
    let (exit, text) = world.run(&spec).await;
    assert!(exit.code == Some(0) && text.contains("Seccomp:\t0"), "{text}");
}

async fn modules_that_the_kernel_lacks_are_named(world: Arc<World>) {
    let has = |path: &str| std::path::Path::new(path).exists();
    if !has("/sys/module/apparmor/parameters/enabled") {
        let mut spec = world.script("aa", "true");
        spec.security.apparmor = Some("docker-default".into());
        let text = world.refused(&spec).await.to_string();
        assert!(text.contains("docker-default") && text.contains("no AppArmor"), "{text}");
    }
    if !has("/sys/fs/selinux/enforce") {
        let mut spec = world.script("se", "true");
        spec.security.selinux = vec!["type:svirt_t".into()];
        let text = world.refused(&spec).await.to_string();
        assert!(text.contains("no SELinux"), "{text}");
    }
}

async fn files_mounts_and_devices(world: Arc<World>) {
    let shared = world.dir.path().join("shared");
    std::fs::create_dir(&shared).unwrap();
    std::fs::write(shared.join("file"), "from outside\n").unwrap();
    let mut spec = world.script(
        "files",
        "cat /data/file /etc/hosts; echo in > /data/new; echo x > /ro/y || echo ro-bind; \
         echo x > /etc/x || echo ro-root; echo t > /scratch/t && cat /scratch/t; \
         df -k /dev/shm /scratch; stat -c %t:%T:%a /dev/mine; cat /dev/mine",
    );
    let hosts = world.dir.path().join("hosts");
    std::fs::write(&hosts, "10.0.0.1 elsewhere\n").unwrap();
    let bind = |source: &std::path::Path, target: &str, readonly| Mount::Bind {
        source: source.to_owned(),
        target: target.into(),
        readonly,
        recursive: true,
    };
    spec.mounts = vec![
        bind(&shared, "/data", false),
        bind(&shared, "/ro", true),
        bind(&hosts, "/etc/hosts", true),
        Mount::Tmpfs { target: "/scratch".into(), size_mib: Some(3), options: vec![] },
    ];
    spec.readonly_rootfs = true;
    spec.shm_size_mib = Some(5);
    spec.devices = vec![Device {
        host_path: "/dev/null".into(),
        container_path: Some("/dev/mine".into()),
        read: true,
        ..Default::default()
    }];
    let (_, text) = world.run(&spec).await;
    for wanted in ["from outside", "10.0.0.1 elsewhere", "ro-bind", "ro-root", "\nt\n", "1:3:"] {
        assert!(text.contains(wanted), "{wanted} in {text}");
    }
    assert!(text.contains("5120") && text.contains("3072"), "{text}");
    assert_eq!(std::fs::read_to_string(shared.join("new")).unwrap(), "in\n");
    // The image itself is as before.
    assert!(!world.root.join("data").exists());
}

async fn limits_are_in_force_and_told(world: Arc<World>) {
    let mut spec = world.script("limits", "ulimit -n; echo up; sleep 1000");
    spec.ulimits = vec![Ulimit { name: "nofile".into(), soft: 123, hard: 456 }];
    spec.resources.memory = Some(64 << 20);
    spec.resources.pids = Some(50);
    spec.resources.cpu_shares = Some(512);
    spec.resources.cpu_quota = Some(50_000);
    spec.resources.cpu_period = Some(100_000);
    world.begin(&spec).await;
    world.hears("limits", "up").await;
    let stats = world.runtime.stats("limits").await.unwrap();
    assert_eq!(stats.memory_limit, Some(64 << 20));
    assert_eq!(stats.pids_limit, Some(50));
    assert!(stats.memory_usage > 0 && stats.cpu_total > 0 && stats.pids.unwrap() >= 1);
    // It sees its own group, of either version, and nobody else's.
    let own = "cd /sys/fs/cgroup; cat memory.max memory/memory.limit_in_bytes 2>/dev/null";
    let (_, text) = world.exec("limits", own).await;
    assert_eq!(text, format!("{}\n", 64 << 20));
    world.runtime.kill("limits").await.unwrap();
    let exit = world.runtime.wait("limits").await.unwrap();
    assert!(world.killed(&exit, 9), "{exit:?}");
    assert!(world.said("limits").await.starts_with("123\n"));
    assert!(world.runtime.stats("limits").await.is_err());
}

async fn a_task_has_limits_above_its_containers(world: Arc<World>) {
    let path = format!("/{}/task", world.tag);
    let mut group = GroupSpec { path: path.clone(), ..Default::default() };
    group.resources.memory = Some(32 << 20);
    world.runtime.create_group(&group).await.unwrap();
    let mut spec = world.script("hog", "tail /dev/zero");
    spec.cgroup = Some(format!("{path}/hog"));
    let (exit, _) = world.run(&spec).await;
    assert!(exit.oom_killed, "{exit:?}");
    assert_eq!(exit.code, Some(137));
    world.runtime.remove_group(&path).await.unwrap();
    world.runtime.remove_group(&path).await.unwrap();
}

async fn exec_with_pipes_and_with_a_terminal(world: Arc<World>) {
    let mut spec = world.script("host", "echo up; sleep 1000");
    spec.process.env = vec!["FROM=container".into()];
    world.begin(&spec).await;
    world.hears("host", "up").await;
    let (code, text) =
        world.exec("host", "echo $FROM; grep Seccomp: /proc/self/status; exit 5").await;
    assert_eq!((code, text.as_str()), (5, "container\nSeccomp:\t2\n"));
    // Input reaches it, and its end as well.
    let cat = ProcessSpec {
        args: vec!["cat".into()],
        stdin: true,
        user: Some("web".into()),
        ..Default::default()
    };
    let piped = ExecSpec { process: cat, size: None };
    let mut exec = world.runtime.exec("host", &piped).await.unwrap();
    let mut stdin = exec.stdin.take().unwrap();
    stdin.write_all(b"through and back").await.unwrap();
    stdin.shutdown().await.unwrap();
    drop(stdin);
    let mut text = String::new();
    exec.stdout.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "through and back");
    assert_eq!(exec.control.wait().await.unwrap(), 0);
    let mut terminal = ExecSpec { size: Some((33, 77)), ..Default::default() };
    terminal.process =
        ProcessSpec { args: vec!["sh".into()], tty: true, stdin: true, ..Default::default() };
    let mut exec = world.runtime.exec("host", &terminal).await.unwrap();
    let mut stdin = exec.stdin.take().unwrap();
    stdin.write_all(b"stty size; echo $((20+3))x; exit 4\n").await.unwrap();
    let mut text = String::new();
    exec.stdout.read_to_string(&mut text).await.unwrap();
    assert!(text.contains("33 77") && text.contains("23x"), "{text}");
    assert_eq!(exec.control.wait().await.unwrap(), 4);
    let mut none = ExecSpec::default();
    none.process.args = vec!["no-such".into()];
    match world.runtime.exec("host", &none).await {
        Err(error) => {
            let text = error.to_string();
            assert!(text.contains("executable file not found in $PATH"), "{text}");
        }
        // Docker says so in the output.
        Ok(mut exec) => assert!(exec.control.wait().await.unwrap() >= 126),
    }
    world.runtime.delete("host").await.unwrap();
    assert!(world.runtime.exec("host", &none).await.is_err());
}

async fn terminals_input_and_init(world: Arc<World>) {
    let mut spec = world.script("term", "test -t 1 && echo is-a-terminal");
    spec.process.tty = true;
    let (exit, text) = world.run(&spec).await;
    assert_eq!((exit.code, text.trim()), (Some(0), "is-a-terminal"));
    // Input that stays open: reading waits until it is killed; without, it is at its end.
    let (exit, _) = world.run(&world.script("closed", "cat; exit 3")).await;
    assert_eq!(exit.code, Some(3));
    let mut spec = world.script("open", "echo up; cat; exit 3");
    spec.process.stdin = true;
    world.begin(&spec).await;
    world.hears("open", "up").await;
    assert_eq!(world.runtime.state("open").await.unwrap().status, Status::Running);
    world.runtime.kill("open").await.unwrap();
    if world.kind == Kind::Embedded {
        let mut spec = world.script("init", "cat /proc/1/comm; echo $$; kill -9 $$");
        spec.init = true;
        let (exit, text) = world.run(&spec).await;
        assert_eq!(exit.code, Some(137));
        assert!(text.starts_with("docker-init\n") && !text.contains("\n1\n"), "{text}");
    }
}

async fn namespaces_are_own_shared_or_the_hosts(world: Arc<World>) {
    let mut first = world.script("first", "echo x > /dev/shm/note; echo up; sleep 1000");
    first.hostname = Some("first".into());
    world.begin(&first).await;
    world.hears("first", "up").await;
    let mut second = world.script(
        "second",
        "cat /dev/shm/note; ls -l /proc/self/ns | grep -o 'net:.*'; ps | grep 'sleep 1000'; ip a",
    );
    second.namespaces.network = Namespace::Container("first".into());
    second.namespaces.pid = Namespace::Container("first".into());
    second.namespaces.ipc = Namespace::Container("first".into());
    let (exit, text) = world.run(&second).await;
    let pid = world.runtime.state("first").await.unwrap().pid;
    let net = std::fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
    assert!(text.contains(&*net.to_string_lossy()), "{text}");
    assert!(text.starts_with("x\n") && text.contains("sleep 1000"), "{exit:?} {text}");
    let mut host = world.script("host", "ls -l /proc/self/ns");
    host.namespaces.network = Namespace::Host;
    host.namespaces.pid = Namespace::Host;
    let (_, text) = world.run(&host).await;
    for name in ["net", "pid"] {
        let ours = std::fs::read_link(format!("/proc/self/ns/{name}")).unwrap();
        assert!(text.contains(&*ours.to_string_lossy()), "{name} in {text}");
    }
    if world.kind == Kind::Docker {
        // It joins containers, not paths, and has no list of sysctls that are safe.
        return;
    }
    let mut path = world.script("path", "ls -l /proc/self/ns");
    path.namespaces.network = Namespace::Path(format!("/proc/{pid}/ns/net").into());
    path.sysctls = [("net.core.somaxconn".to_owned(), "321".to_owned())].into();
    let (_, text) = world.run(&path).await;
    assert!(text.contains(&*net.to_string_lossy()), "{text}");
    let mut bad = world.script("sysctl", "true");
    bad.sysctls = [("kernel.panic".to_owned(), "1".to_owned())].into();
    let text = world.refused(&bad).await.to_string();
    assert!(text.contains("kernel.panic"), "{text}");
}

async fn a_restart_is_the_same_container(world: Arc<World>) {
    let script = "echo run >> /tmp/runs; cat /tmp/runs; [ $(cat /tmp/runs | wc -l) = 3 ]";
    let spec = world.script("again", script);
    // One that is not there is made.
    world.runtime.recreate(&spec).await.unwrap();
    for run in 1..=3 {
        if run > 1 {
            world.runtime.recreate(&spec).await.unwrap();
        }
        world.runtime.start("again").await.unwrap();
        let exit = world.runtime.wait("again").await.unwrap();
        assert_eq!(exit.code, Some(i32::from(run != 3)), "{}", world.said("again").await);
    }
}

pub async fn a_pause_holds_namespaces(world: Arc<World>) {
    let empty = world.dir.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let mut pause = world.script("pause", "");
    pause.rootfs.layers = vec![empty];
    pause.pause = true;
    pause.security.cap_drop = vec!["ALL".into()];
    world.begin(&pause).await;
    let shared = |id: &str, script: &str| {
        let mut spec = world.script(id, script);
        spec.namespaces.pid = Namespace::Container("pause".into());
        spec.namespaces.ipc = Namespace::Container("pause".into());
        spec
    };
    // The end of one that shares them ends no other.
    let (exit, _) = world.run(&shared("first", "echo x > /dev/shm/note; (sleep 0 &)")).await;
    assert_eq!(exit.code, Some(0));
    let (_, text) = world.run(&shared("second", "cat /dev/shm/note; cat /proc/1/comm")).await;
    assert_eq!(text, "x\npause\n");
    if world.kind == Kind::Docker {
        // What is orphaned there is reaped, and only SIGKILL ends it.
        let script = "(sleep 0 & exec true); while ps -o stat | grep -q Z; do sleep 0.01; done; \
                      ps -o stat,comm";
        let (_, text) = world.run(&shared("third", script)).await;
        assert!(text.contains("pause") && !text.contains("Z"), "{text}");
        return world.runtime.kill("pause").await.unwrap();
    }
    world.runtime.signal("pause", 15).await.unwrap();
    assert_eq!(world.runtime.wait("pause").await.unwrap().code, Some(0));
}

async fn an_agent_that_comes_later_knows_everything(world: Arc<World>) {
    let spec = world.script("stay", "echo before; sleep 1000");
    world.begin(&spec).await;
    world.hears("stay", "before").await;
    let later = host_runtime::Shimmed::embedded(host_runtime::Config {
        state_dir: world.dir.path().join("containers"),
        cgroup_root: format!("/{}", world.tag),
        shim: host_runtime::ShimProgram::current(&[]).unwrap(),
    })
    .unwrap();
    use host_runtime::Runtime;
    let all = later.list().await.unwrap();
    assert_eq!((all.len(), all[0].status), (1, Status::Running));
    assert_eq!(all[0].spec.as_ref().unwrap().process, spec.process);
    // Who cannot know whether it was started asks again.
    assert_eq!(later.start("stay").await.unwrap().pid, all[0].pid);
    let mut reader = later.logs("stay", LogsFrom::default()).await.unwrap();
    assert_eq!(reader.next().await.unwrap()[0].text, "before");
    later.signal("stay", 15).await.unwrap();
    later.signal("stay", 9).await.unwrap();
    let (ours, theirs) = (world.runtime.wait("stay").await.unwrap(), later.wait("stay").await);
    assert_eq!(ours, theirs.unwrap());
    assert_eq!(ours.signal, Some(9));
}

suite! { a_container_runs_and_tells_its_end what_cannot_start_says_why identity_environment_and_folder confinement_is_dockers modules_that_the_kernel_lacks_are_named files_mounts_and_devices limits_are_in_force_and_told a_task_has_limits_above_its_containers exec_with_pipes_and_with_a_terminal terminals_input_and_init namespaces_are_own_shared_or_the_hosts a_restart_is_the_same_container }

embedded_alone! { a_pause_holds_namespaces an_agent_that_comes_later_knows_everything }
