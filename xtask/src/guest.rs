//! Tests inside a small virtual machine whose kernel has cgroup v2 and nothing else: what most
//! users' machines are, and a build machine with cgroup v1 cannot show.
//!
//! The guest is Debian's cloud kernel with a file system of ours in memory: busybox, the test
//! programs (static, at the paths they were built at) and the kernel's modules. Its init runs the
//! programs one by one and tells their end on the serial line.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

#[derive(clap::Args)]
pub struct Arguments {
    /// Crates whose tests run in the guest
    #[arg(long = "package", short, default_values = ["host-runtime"])]
    packages: Vec<String>,
    /// MiB of memory of the guest
    #[arg(long, default_value_t = 3072)]
    memory: u32,
    /// Passed on to each test program
    #[arg(last = true)]
    filters: Vec<String>,
}

const TARGET: &str = "x86_64-unknown-linux-gnu";
const KERNEL: &str = "linux-image-cloud-amd64";
const BUSYBOX: &str = "/bin/busybox";
const EMULATOR: &str = "qemu-system-x86_64";
/// The line that ends a run; its number is how many programs failed.
const END: &str = "WHARF-GUEST-END";
/// Directories of modules that containers and their networks need.
const MODULES: &[&str] = &["kernel/net", "kernel/fs/overlayfs", "kernel/lib", "kernel/drivers/net"];

pub fn run(root: &Path, arguments: &Arguments) -> Result<()> {
    if let Some(why) = impossible() {
        println!("skipped: {why}");
        return Ok(());
    }
    let work = root.join("target/guest");
    fs::create_dir_all(&work)?;
    let kernel = kernel(&work)?;
    let programs = programs(root, &work, &arguments.packages)?;
    let image = image(&work, &kernel, &programs, &arguments.filters)?;
    boot(&kernel, &image, arguments.memory)
}

/// Why there can be no guest here, in one line.
fn impossible() -> Option<&'static str> {
    let there = |program: &str| {
        let mut tried = Command::new(program);
        tried.arg("--help").stdout(Stdio::null()).stderr(Stdio::null());
        tried.status().is_ok()
    };
    if !there(EMULATOR) || !there("apt-get") || !Path::new(BUSYBOX).exists() {
        return Some("it needs apt-get and Debian's qemu-system-x86 and busybox-static");
    }
    None
}

struct Kernel {
    image: PathBuf,
    modules: PathBuf,
    version: String,
}

/// Debian's kernel, unpacked and not installed.
fn kernel(work: &Path) -> Result<Kernel> {
    let unpacked = work.join("kernel");
    if !unpacked.join("boot").exists() {
        let depends = output(Command::new("apt-cache").args(["depends", KERNEL]))?;
        let package = depends.lines().find_map(|line| line.trim().strip_prefix("Depends: "));
        let package = package.with_context(|| format!("apt knows no {KERNEL}"))?;
        let status = Command::new("apt-get")
            .args(["-qq", "-o", "APT::Sandbox::User=root", "download", package])
            .current_dir(work)
            .status()?;
        ensure!(status.success(), "apt-get download {package} failed");
        let archive =
            first(work, |name| name.starts_with("linux-image") && name.ends_with(".deb"))?;
        let draft = work.join("kernel.new");
        let _ = fs::remove_dir_all(&draft);
        let status = Command::new("dpkg").arg("-x").arg(archive).arg(&draft).status()?;
        ensure!(status.success(), "dpkg cannot unpack the kernel");
        fs::rename(draft, &unpacked)?;
    }
    let image = first(&unpacked.join("boot"), |name| name.starts_with("vmlinuz"))?;
    let modules = first(&unpacked.join("lib/modules"), |_| true)?;
    let version = modules.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Kernel { image, modules, version })
}

fn first(directory: &Path, wanted: impl Fn(&str) -> bool) -> Result<PathBuf> {
    for entry in fs::read_dir(directory).with_context(|| directory.display().to_string())? {
        let entry = entry?;
        if wanted(&entry.file_name().to_string_lossy()) {
            return Ok(entry.path());
        }
    }
    bail!("nothing of that name in {}", directory.display())
}

fn output(command: &mut Command) -> Result<String> {
    let done = command.stderr(Stdio::inherit()).output()?;
    ensure!(done.status.success(), "{command:?} failed");
    Ok(String::from_utf8(done.stdout)?)
}

/// What is built for the guest.
struct Programs {
    tests: Vec<PathBuf>,
    /// Programs that tests start.
    others: Vec<PathBuf>,
}

fn programs(root: &Path, work: &Path, packages: &[String]) -> Result<Programs> {
    let mut command = Command::new("cargo");
    command
        .args(["test", "--no-run", "--locked", "--message-format=json-render-diagnostics"])
        .args(["--target", TARGET])
        .args(packages.iter().flat_map(|package| ["-p", package]))
        .arg("--target-dir")
        .arg(work.join("build"))
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .current_dir(root);
    let messages = output(&mut command)?;
    let mut programs = Programs { tests: Vec::new(), others: Vec::new() };
    for line in messages.lines() {
        let message: serde_json::Value = serde_json::from_str(line)?;
        let Some(path) = message["executable"].as_str().map(PathBuf::from) else { continue };
        match message["profile"]["test"].as_bool() {
            Some(true) => programs.tests.push(path),
            _ => programs.others.push(path),
        }
    }
    ensure!(!programs.tests.is_empty(), "there are no tests to run");
    Ok(programs)
}

/// The guest's file system as one archive.
fn image(work: &Path, kernel: &Kernel, programs: &Programs, filters: &[String]) -> Result<PathBuf> {
    let tree = work.join("tree");
    let _ = fs::remove_dir_all(&tree);
    for directory in ["bin", "proc", "sys", "dev", "tmp", "run", "new", "etc", "root", "var"] {
        fs::create_dir_all(tree.join(directory))?;
    }
    fs::copy(BUSYBOX, tree.join("bin/busybox"))?;
    fs::write(tree.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n")?;
    fs::write(tree.join("etc/group"), "root:x:0:\n")?;
    fs::write(tree.join("etc/hosts"), "127.0.0.1 localhost\n")?;
    for program in programs.tests.iter().chain(&programs.others) {
        copy_to(program, &tree)?;
    }
    let modules = tree.join("lib/modules").join(&kernel.version);
    for part in MODULES {
        let to = modules.join(part);
        fs::create_dir_all(to.parent().unwrap_or(&to))?;
        let from = kernel.modules.join(part);
        let status = Command::new("cp").arg("-a").arg(from).arg(&to).status()?;
        ensure!(status.success(), "the kernel's modules cannot be copied");
    }
    for list in ["modules.builtin", "modules.order"] {
        let _ = fs::copy(kernel.modules.join(list), modules.join(list));
    }
    let depmod = ["depmod", "-b"];
    let status = Command::new(BUSYBOX).args(depmod).arg(&tree).arg(&kernel.version).status()?;
    ensure!(status.success(), "depmod failed");
    write_program(&tree.join("init"), &first_init())?;
    write_program(&tree.join("second"), &second_init(programs, filters))?;
    let archive = work.join("initramfs.gz");
    let pack = format!(
        "cd '{}' && {BUSYBOX} find . | {BUSYBOX} cpio -o -H newc 2>/dev/null | {BUSYBOX} gzip -1 > '{}'",
        tree.display(),
        archive.display()
    );
    let status = Command::new("sh").args(["-c", &pack]).status()?;
    ensure!(status.success(), "the guest's file system cannot be packed");
    Ok(archive)
}

fn copy_to(program: &Path, tree: &Path) -> Result<()> {
    let to = tree.join(program.strip_prefix("/").unwrap_or(program));
    fs::create_dir_all(to.parent().context("a program lies somewhere")?)?;
    fs::copy(program, to)?;
    Ok(())
}

fn write_program(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// The kernel's first root cannot be pivoted away, which containers do: everything moves to another.
fn first_init() -> String {
    "#!/bin/busybox sh\n\
     /bin/busybox --install -s /bin\n\
     export PATH=/bin\n\
     mount -t tmpfs -o size=80% tmpfs /new\n\
     for part in /*; do case $part in\n\
         /new|/init) ;;\n\
         *) cp -a $part /new/ ;;\n\
     esac; done\n\
     exec switch_root /new /second\n"
        .to_owned()
}

fn second_init(programs: &Programs, filters: &[String]) -> String {
    let filters: String = filters.iter().map(|filter| format!(" '{filter}'")).collect();
    let runs: String = programs
        .tests
        .iter()
        .map(|test| {
            let test = test.display();
            format!(
                "echo '── {test}'; '{test}' --test-threads=2{filters} || failed=$((failed + 1))\n"
            )
        })
        .collect();
    format!(
        "#!/bin/busybox sh\n\
         export PATH=/bin HOME=/root WHARF_GUEST=1 RUST_BACKTRACE=1\n\
         mount -t proc proc /proc\n\
         mount -t sysfs sysfs /sys\n\
         mount -t devtmpfs dev /dev\n\
         mkdir -p /dev/pts /dev/shm\n\
         mount -t devpts -o mode=620,ptmxmode=666 devpts /dev/pts\n\
         mount -t tmpfs shm /dev/shm\n\
         mount -t tmpfs run /run\n\
         mount -t tmpfs tmp /tmp\n\
         mount -t cgroup2 cgroup2 /sys/fs/cgroup\n\
         mkdir /sys/fs/cgroup/init\n\
         echo 1 > /sys/fs/cgroup/init/cgroup.procs\n\
         for controller in cpu cpuset memory pids io; do\n\
             echo +$controller > /sys/fs/cgroup/cgroup.subtree_control\n\
         done\n\
         for module in overlay veth bridge nf_tables nft_chain_nat nft_masq nft_redir nft_ct \\\n\
             nft_fib_inet nft_reject_inet br_netfilter dummy; do modprobe $module 2>/dev/null; done\n\
         ip link set lo up\n\
         hostname guest\n\
         failed=0\n\
         {runs}\
         echo '{END}' $failed\n\
         poweroff -f\n"
    )
}

fn boot(kernel: &Kernel, image: &Path, memory: u32) -> Result<()> {
    println!("── a guest with {} and cgroup v2", kernel.version);
    let mut guest = Command::new(EMULATOR)
        // Emulated: a machine that is a guest itself may offer KVM and then hang in it.
        .args(["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2"])
        .args(["-nographic", "-no-reboot"])
        .args(["-nodefaults", "-serial", "stdio", "-m", &format!("{memory}M")])
        .arg("-kernel")
        .arg(&kernel.image)
        .arg("-initrd")
        .arg(image)
        .args(["-append", "console=ttyS0 quiet panic=-1 cgroup_no_v1=all"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("start the guest")?;
    let lines = guest.stdout.take().context("the guest's serial line is piped")?;
    let mut failed = None;
    for line in std::io::BufRead::lines(std::io::BufReader::new(lines)) {
        let line = line?;
        let line = line.trim_end();
        match line.strip_prefix(END) {
            Some(number) => failed = number.trim().parse::<u32>().ok(),
            None => println!("{line}"),
        }
    }
    guest.wait()?;
    match failed {
        Some(0) => Ok(()),
        Some(number) => bail!("{number} test programs failed in the guest"),
        None => bail!("the guest ended without a word"),
    }
}
