//! `wharf up --demo`, as a first user runs it: three tasks that answer, and nothing left at the end.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use rustix::process::Signal;

use crate::life::get;
use crate::world::{is_root, kill, wharf};

/// Ends with what it left, also where the test fails.
struct Demo {
    child: Child,
    dir: PathBuf,
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        clean(&self.dir, &[]);
    }
}

fn clean(dir: &Path, flags: &[&str]) -> String {
    let words = ["clean", "--data-dir", dir.to_str().unwrap()];
    let done = wharf(&words).args(flags).output().unwrap();
    String::from_utf8_lossy(&done.stdout).into_owned()
}

/// What a closed terminal sends; what a script sends where this runs under `nohup`, which whatever is
/// started from here keeps to.
fn closing() -> Signal {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    let ignored = u64::from_str_radix(ignored.trim(), 16).unwrap();
    if ignored & 1 == 0 { Signal::HUP } else { Signal::TERM }
}

#[test]
fn the_demo_answers_and_leaves_nothing() {
    if !is_root() {
        eprintln!("skipped: hosts need root");
        return;
    }
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("data");
    let mut command = wharf(&["up", "--demo", "--no-hosts-file", "--listen", "127.0.0.1:0"]);
    command.args(["--data-dir", dir.to_str().unwrap()]).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let said = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut demo = Demo { child, dir };
    let (mut urls, mut all) = (Vec::new(), String::new());
    for line in said {
        all.push_str(&format!("{line}\n"));
        urls.extend(line.trim().strip_prefix("http://").map(|rest| {
            let (address, page) = rest.split_once('/').unwrap();
            (address.to_owned(), page.trim().to_owned())
        }));
        if line.contains("Ctrl-C removes all") {
            break;
        }
    }
    assert_eq!(urls.len(), 3, "{all}");
    for (address, page) in &urls {
        let (address, port) = address.split_once(':').unwrap();
        let got = get(address, port.parse().unwrap()).unwrap();
        assert!(page.starts_with("demo:1, task "), "{page}");
        assert!(got.trim_end().ends_with(page.as_str()), "{got} is not {page}");
    }
    assert!(all.contains("update-service --service demo --desired-count 5"), "{all}");
    kill(i32::try_from(demo.child.id()).unwrap(), closing());
    assert!(demo.child.wait().unwrap().success());
    assert!(!demo.dir.exists());
    assert_eq!(clean(&demo.dir, &["--dry-run"]), "nothing to remove\n");
}

#[test]
fn the_demo_touches_no_data_of_others() {
    let temp = tempfile::tempdir().unwrap();
    let words = ["up", "--demo", "--data-dir", temp.path().to_str().unwrap()];
    let refused = wharf(&words).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(told.contains("give it a folder that is not there yet"), "{told}");
}
