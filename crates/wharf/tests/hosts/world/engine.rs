//! A machine whose containers a Docker Engine runs, in the place of the hosts of `wharf up`: with
//! `WHARF_TEST_RUNTIME=docker` every test that asks for hosts gets one such machine, of their size.

use std::path::PathBuf;

use host_runtime::{Docker, LogsFrom, Runtime, State};

use super::{Elsewhere, Machine, import_busybox, is_root, path, wait_for, wharf};
use crate::daemon::Daemon;
use crate::joining::user;

/// The Engine, and the agent beside it.
pub struct Host {
    // The Engine ends before the machine does.
    daemon: Daemon,
    pub elsewhere: Elsewhere,
    pub dir: PathBuf,
    threads: tokio::runtime::Runtime,
}

pub fn is_asked_for() -> bool {
    std::env::var("WHARF_TEST_RUNTIME").is_ok_and(|value| value == "docker")
}

impl Machine {
    /// A server, and one host with an Engine. `None`, and said so, where none can be had.
    /// `settings` are more lines of the agent's.
    pub fn docker(size: u64, flags: &[&str], settings: &str) -> Option<Machine> {
        if !is_root() {
            eprintln!("skipped: hosts need root");
            return None;
        }
        let mut elsewhere = Elsewhere::new();
        let daemon = Daemon::start(|program| elsewhere.command(program))?;
        // The agent finds its server again, also where that was started anew.
        let free = std::net::TcpListener::bind((elsewhere.here.as_str(), 0)).unwrap();
        let listen = format!("127.0.0.1:0,{}", free.local_addr().unwrap());
        drop(free);
        let mut words = vec!["up", "--hosts", "0", "--no-hosts-file", "--listen", &listen];
        words.extend(flags);
        let machine = Machine::new(&words, 0)?;
        import_busybox(&machine.dir());
        let mut machine = machine.started();
        let dir = elsewhere.folder();
        let (key, secret) = user(&machine, "host");
        let config = format!(
            "ECS_BACKEND_HOST={}\nECS_DATADIR={}\nECS_ENABLE_TASK_ENI=true\nECS_INSTANCE_ID=i-0123456789abcdef0\n\
             DOCKER_HOST=unix://{}\n\
             ECS_HOST_CPU={size}\nECS_HOST_MEMORY={size}\nAWS_ACCESS_KEY_ID={key}\n\
             AWS_SECRET_ACCESS_KEY={secret}\n{settings}",
            machine.url(1),
            dir.display(),
            daemon.socket().display(),
        );
        let images = machine.dir().join("images");
        elsewhere.agent(&config, &["--runtime", "docker", "--images", path(&images)], &[]);
        let threads = tokio::runtime::Runtime::new().unwrap();
        machine.engine = Some(Host { daemon, elsewhere, dir, threads });
        wait_for("the host is connected", || machine.instances(true).pop());
        Some(machine)
    }
}

impl Host {
    fn docker(&self) -> Docker {
        let owner = host_network::Tag::of(&self.dir);
        self.threads.block_on(Docker::at(&self.daemon.socket(), owner.as_str())).unwrap()
    }

    /// What the Engine has of the host, pauses apart.
    pub fn containers(&self) -> Vec<State> {
        let mut all = self.threads.block_on(self.docker().list()).unwrap();
        all.retain(|state| state.spec.as_ref().is_some_and(|spec| !spec.pause));
        all
    }

    /// What a container wrote so far.
    pub fn output(&self, arn: &str, container: &str) -> String {
        let task = arn.rsplit('/').next().unwrap();
        let dir = self.dir.join("logs").join(task).join(container);
        if !dir.join("engine.json").exists() {
            return String::new();
        }
        self.threads.block_on(async {
            let mut reader = host_runtime::output(dir, LogsFrom::default()).await.unwrap();
            let mut all = String::new();
            loop {
                let lines = reader.next().await.unwrap_or_default();
                if lines.is_empty() {
                    return all;
                }
                for line in lines {
                    all.push_str(&line.text);
                    all.push_str(if line.partial { "" } else { "\n" });
                }
            }
        })
    }

    /// `wharf` with these words on that machine, and all that it said.
    pub fn wharf(&self, words: &[&str]) -> (bool, String) {
        let mut command = self.elsewhere.command(wharf(&[]).get_program());
        command.args(words);
        command.env("DOCKER_HOST", format!("unix://{}", self.daemon.socket().display()));
        let done = command.output().unwrap();
        let said = [done.stdout, done.stderr].concat();
        (done.status.success(), String::from_utf8_lossy(&said).into_owned())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.elsewhere.stop();
        let (cleaned, said) = self.wharf(&["clean", "--data-dir", path(&self.dir)]);
        assert!(cleaned || std::thread::panicking(), "{said}");
    }
}
