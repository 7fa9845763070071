//! A disk that fills up under load, and one that is full when a server starts.

use std::fs::File;
use std::io::Write;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::TempDir;

use crate::world::client::Failure;
use crate::world::ledger::{Ledger, found};
use crate::world::server::Setup;
use crate::world::{Chance, PATIENCE, end_of, last_segment, rounds, wait_for};

/// A small file system of memory, gone at the end.
pub struct SmallDisk {
    folder: TempDir,
    mounted: bool,
}

impl SmallDisk {
    pub fn mount(size: &str) -> Option<SmallDisk> {
        let folder = TempDir::new().unwrap();
        let options = format!("size={size},mode=0700");
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(folder.path())
            .output();
        let mounted = mount.is_ok_and(|out| out.status.success());
        if !mounted {
            println!("skipped: this user may not mount a file system");
        }
        let disk = SmallDisk { folder, mounted };
        mounted.then_some(disk)
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn ballast(&self) -> PathBuf {
        self.folder.path().join("ballast")
    }

    /// Takes whatever is free, to the last block.
    pub fn fill(&self) {
        let mut ballast = File::options().append(true).create(true).open(self.ballast()).unwrap();
        for size in [1 << 20, 4096, 1] {
            while ballast.write_all(&vec![1; size]).is_ok() {}
        }
    }

    pub fn free(&self) {
        std::fs::remove_file(self.ballast()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if self.mounted {
            let _ = Command::new("umount").arg("--lazy").arg(self.folder.path()).status();
        }
    }
}

#[test]
fn a_disk_that_fills_up_under_load_costs_nothing_acknowledged() {
    let Some(disk) = SmallDisk::mount(&format!("{}m", rounds(32, 128))) else { return };
    // Snapshots run out of room as well.
    let setup = Setup::on(&disk.data()).with("--snapshot-after", "262144");
    let mut server = setup.start();
    let (mut chance, ledger) = (Chance::new(), Ledger::default());
    for _ in 0..rounds(3, 8) {
        let (stop, reasons) = (AtomicBool::new(false), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            for _ in 0..6 {
                let (ledger, stop, reasons) = (&ledger, &stop, &reasons);
                // Long and without order, for the room that is laid out ahead to be used up soon.
                let padding: String =
                    (0..1200).map(|_| format!("{:016x}", chance.below(u64::MAX))).collect();
                let mut client = server.client();
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        match ledger.register_padded(&mut client, "shared", &padding) {
                            Ok(_) => {}
                            Err(Failure::Lost(error)) => panic!("{error}"),
                            Err(refused) => reasons.lock().unwrap().push(refused),
                        }
                    }
                });
            }
            let goal = ledger.acknowledged() + 10;
            wait_for("writes are acknowledged", PATIENCE, || {
                (ledger.acknowledged() >= goal).then_some(())
            });
            disk.fill();
            let mut reader = server.client();
            wait_for("writes are refused", PATIENCE, || {
                let refused = reasons.lock().unwrap().len();
                (refused >= 50).then_some(())
            });
            let name = ledger.create_cluster(&mut reader);
            assert!(name.is_err(), "{name:?}");
            assert!(!found(&mut reader, "nobody").unwrap(), "reads go on");
            assert_eq!(reader.get("/healthz").unwrap().0, 200);
            // Reads are served: no reason to take the server out of a balancer.
            let (status, told) = reader.get("/readyz").unwrap();
            assert!(status == 200 && told.contains("no space left"), "{status}: {told}");
            assert_eq!(reader.figure("wharf_journal_refusing"), Some(1));
            disk.free();
            wait_for("writes work again without a restart", PATIENCE, || {
                ledger.create_cluster(&mut reader).ok()
            });
            assert_eq!(reader.get("/readyz").unwrap().1, "ready: leader\n");
            assert_eq!(reader.figure("wharf_journal_refusing"), Some(0));
            stop.store(true, Ordering::Relaxed);
        });
        for refused in reasons.into_inner().unwrap() {
            assert!(refused.is_retryable(), "{refused:?}");
            assert!(refused.message().contains("no space left"), "{refused:?}");
        }
        ledger.check(&mut server.client());
        server.kill();
        server = setup.start();
        ledger.check(&mut server.client());
    }
    let checked = setup.run(&["check"]);
    assert!(checked.status.success(), "{checked:?}");
}

#[test]
fn a_server_that_starts_on_a_full_disk_serves_reads_until_there_is_room() {
    let Some(disk) = SmallDisk::mount("24m") else { return };
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut setup = Setup::on(&disk.data());
    setup.listen = port.to_string();
    let ledger = Ledger::default();
    let mut server = setup.start();
    let name = ledger.create_cluster(&mut server.client()).unwrap();
    server.kill();
    // Without the room that was laid out for further records, which a start gives back and uses.
    let segment = last_segment(&disk.data());
    File::options().write(true).open(&segment).unwrap().set_len(end_of(&segment)).unwrap();
    disk.fill();
    let mut server = setup.launch();
    server.listens_on(port);
    let mut client = server.client();
    wait_for("reads are served", PATIENCE, || found(&mut client, &name).ok()?.then_some(()));
    // Reads are served before the disk was tried for the first time.
    wait_for("writes are refused with the reason", PATIENCE, || {
        let refused = ledger.create_cluster(&mut client).unwrap_err();
        assert!(refused.is_retryable(), "{refused:?}");
        refused.message().contains("no space left").then_some(())
    });
    assert_eq!(client.get("/healthz").unwrap().0, 200);
    wait_for("it says why it is not ready", PATIENCE, || {
        let told = server.told();
        (told.contains("not ready") && told.contains("no space left")).then_some(())
    });
    disk.free();
    wait_for("it is ready", PATIENCE, || server.is_ready().then_some(()));
    ledger.create_cluster(&mut client).unwrap();
    ledger.check(&mut client);
}
