//! A full disk: writes are refused in AWS's words, reads go on, and space is all it takes.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::world::{Home, wait_for};

/// A small file system of memory, unmounted at the end.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None`, and one line that says so, where this user may not mount.
    fn mount(at: &Path, size: &str) -> Option<SmallDisk> {
        std::fs::create_dir(at).unwrap();
        let options = format!("size={size},mode=0700");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(at).output();
        match mounted {
            Ok(done) if done.status.success() => Some(SmallDisk(at.to_owned())),
            _ => {
                eprintln!("skipped: this user may not mount a tmpfs");
                None
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_stops_writes_and_nothing_else() {
    let home = Home::new();
    let Some(disk) = SmallDisk::mount(&home.dir(), "24m") else { return };
    let server = home.server(&[]);
    let client = server.client();
    assert_eq!(client.create("before").status, 200);
    let ballast = disk.0.join("ballast");
    let mut file = std::fs::File::create(&ballast).unwrap();
    let megabyte = vec![1; 1 << 20];
    while std::io::Write::write_all(&mut file, &megabyte).is_ok() {}

    // Zeros were laid out ahead of the journal's writer, so some writes still fit.
    let mut n = 0;
    let refused = loop {
        // Letters without order: what compresses well would take long to fill anything.
        let mut dice = core_types::Dice::from_number(n);
        let value = dice.base62(60_000);
        let body = serde_json::json!({
            "family": "web",
            "containerDefinitions": [{
                "name": "web", "image": "nginx", "memory": 16,
                "environment": [{"name": "A", "value": value}],
            }],
        });
        let answer = client.call("RegisterTaskDefinition", &body.to_string());
        if answer.status != 200 {
            break answer;
        }
        n += 1;
        assert!(n < 1000, "the disk never was full");
    };
    // AWS: what a client may try again is a 5xx.
    assert_eq!((refused.status, &*refused.code()), (503, "ServiceUnavailableException"));
    assert!(refused.text.contains("no space left"), "{refused:?}");
    assert_eq!(client.clusters(), ["before"]);
    let listed = client.call("ListTaskDefinitions", r#"{"familyPrefix":"web"}"#);
    assert_eq!(listed.json()["taskDefinitionArns"].as_array().unwrap().len(), n.min(100) as usize);
    let metrics = server.get("/metrics").text;
    assert!(metrics.contains("wharf_undone_total "), "{metrics}");

    drop(file);
    std::fs::remove_file(&ballast).unwrap();
    wait_for("writes are taken again", || client.create("after").status == 200);
    server.kill();
    let server = home.server(&[]);
    assert_eq!(server.client().clusters(), ["after", "before"]);
}
