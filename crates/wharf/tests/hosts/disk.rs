//! A disk that a task has filled: it can still be stopped, its end is told, and the next task says why
//! it cannot begin.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::joining::{connected, user};
use crate::world::{Elsewhere, Machine, import_busybox, is_root, wait_for, wharf};

/// A small file system of memory, gone at the end with all that is in it.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> SmallDisk {
        let disk = SmallDisk(tempfile::tempdir().unwrap());
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=64m,mode=0700", "tmpfs"]).arg(disk.0.path());
        let done = mount.output().unwrap();
        assert!(done.status.success(), "{done:?}");
        disk
    }

    fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }

    fn is_full(&self) -> bool {
        rustix::fs::statvfs(self.0.path()).unwrap().f_bfree == 0
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

fn clean(dir: &Path) {
    let cleaned = wharf(&["clean", "--data-dir", dir.to_str().unwrap()]).output().unwrap();
    assert!(cleaned.status.success(), "{cleaned:?}");
}

#[test]
fn a_task_that_has_filled_the_disk_is_stopped() {
    if !is_root() {
        return eprintln!("skipped: hosts need root");
    }
    // What is mounted before the other machine is there is mounted on it, too.
    let disk = SmallDisk::mount();
    std::fs::create_dir(disk.data()).unwrap();
    import_busybox(&disk.data());
    let mut elsewhere = Elsewhere::new();
    let listen = format!("127.0.0.1:0,{}:0", elsewhere.here);
    let Some(machine) = Machine::server(&["--listen", &listen]) else { return };
    machine.call("CreateCluster", json!({ "clusterName": "default" }));
    let (key, secret) = user(&machine, "host");
    let keys = [("AWS_ACCESS_KEY_ID", &*key), ("AWS_SECRET_ACCESS_KEY", &*secret)];
    let (endpoint, dir) = (machine.url(1), disk.data());
    let words = ["--endpoint", &endpoint, "--data-dir", dir.to_str().unwrap()];
    elsewhere.agent("ECS_CLUSTER=default\n", &words, &keys);
    connected(&machine, "default");

    let command = "trap 'exit 7' TERM; while true; do cat /dev/zero >> /fill; sleep 0.1; done";
    let greedy = json!({ "command": ["sh", "-c", command], "stopTimeout": 20 });
    machine.define("greedy", greedy, json!({ "networkMode": "host" }));
    let arn = machine.run("greedy", 1).remove(0);
    machine.wait(&arn, "RUNNING");
    wait_for("the disk is full", || disk.is_full().then_some(()));
    machine.call("StopTask", json!({ "task": arn }));
    let task = machine.wait(&arn, "STOPPED");
    assert_eq!(task["containers"][0]["exitCode"], 7, "{task:#}");
    assert_eq!(task["stopCode"], "UserInitiated", "{task:#}");

    // What it wrote stays for as long as its container does, and an agent may be started meanwhile.
    assert!(disk.is_full());
    elsewhere.kill();
    elsewhere.agent("ECS_CLUSTER=default\n", &words, &keys);
    machine.define("small", json!({ "command": ["true"] }), json!({ "networkMode": "host" }));
    let next = machine.run("small", 1).remove(0);
    let task = machine.wait(&next, "STOPPED");
    let reason: &Value = &task["containers"][0]["reason"];
    assert!(reason.to_string().contains("no space left on device"), "{task:#}");
    elsewhere.stop();
    clean(&dir);
}
