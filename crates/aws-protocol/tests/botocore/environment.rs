//! botocore itself: a virtual environment for its code and models, its source distribution for the
//! protocol tests. Both are pinned and made once, below the build's own folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const VERSION: &str = "1.44.5";
const SOURCE_SHA256: &str = "a988f39e3a4484def0b8010f41128f71157da0515a4804fccce4739aa8f216da";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("botocore-{VERSION}"))
}

fn run(command: &mut Command) {
    let status = command.status().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}: {status}");
}

/// Makes something once, even if several test binaries want it at the same time.
fn once(name: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let target = folder().join(name);
    let done = folder().join(format!("{name}.complete"));
    fs::create_dir_all(folder()).expect("the build folder can be written");
    let lock = fs::File::create(folder().join(format!("{name}.lock"))).expect("a lock file");
    lock.lock().expect("the lock can be taken");
    if !done.exists() {
        let _ = fs::remove_dir_all(&target);
        make(&target);
        fs::write(done, "").expect("the build folder can be written");
    }
    target
}

/// The Python of an environment with botocore.
pub fn python() -> PathBuf {
    let venv = once("venv", |venv| {
        run(Command::new("python3").args(["-m", "venv"]).arg(venv));
        let package = format!("botocore=={VERSION}");
        run(Command::new(venv.join("bin/pip")).args([
            "install",
            "--quiet",
            "--disable-pip-version-check",
            &package,
        ]));
    });
    venv.join("bin/python")
}

/// The folder with botocore's protocol tests.
pub fn protocol_tests() -> PathBuf {
    let python = python();
    let sources = once("source", |target| {
        fs::create_dir_all(target).expect("the build folder can be written");
        let requirement = target.join("requirements.txt");
        let line = format!("botocore=={VERSION} --hash=sha256:{SOURCE_SHA256}\n");
        fs::write(&requirement, line).expect("the build folder can be written");
        run(Command::new(python.with_file_name("pip"))
            .args(["download", "--quiet", "--disable-pip-version-check", "--no-deps"])
            .args(["--no-binary", ":all:", "--require-hashes", "--dest"])
            .arg(target)
            .arg("-r")
            .arg(&requirement));
        run(Command::new("tar")
            .arg("xzf")
            .arg(target.join(format!("botocore-{VERSION}.tar.gz")))
            .arg("-C")
            .arg(target));
    });
    sources.join(format!("botocore-{VERSION}/tests/unit/protocols"))
}
