//! A server under measurement: started as a child, its CPU time and memory read from `/proc`.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

pub struct Process {
    pub name: &'static str,
    pub address: SocketAddr,
    child: Child,
}

impl Process {
    /// Start a program that prints a line with `http://ADDR` or `listening on ADDR`.
    pub fn announced(name: &'static str, command: &mut Command) -> Result<Process> {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("start {name}"))?;
        let stdout = child.stdout.take().context("the child's output")?;
        let mut lines = BufReader::new(stdout).lines();
        let address = loop {
            let Some(line) = lines.next() else {
                let _ = child.kill();
                bail!("{name} ended without saying where it listens");
            };
            if let Some(address) = address_in(&line?) {
                break address;
            }
        };
        // Nobody reads on; a full pipe must not stop the server.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Process { name, address, child })
    }

    /// Start a program that listens on a port of ours, and wait until it answers.
    pub fn at(name: &'static str, address: SocketAddr, command: &mut Command) -> Result<Process> {
        let child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("start {name}"))?;
        let process = Process { name, address, child };
        let give_up = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(address).is_err() {
            if Instant::now() > give_up {
                bail!("{name} does not listen on {address}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(process)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// CPU time used so far, of all threads.
    pub fn cpu(&self) -> Result<Duration> {
        cpu(self.pid())
    }

    /// Resident memory in KiB.
    pub fn resident(&self) -> Result<u64> {
        resident(self.pid())
    }
}

/// CPU time that a process has used so far, of all threads.
pub fn cpu(pid: u32) -> Result<Duration> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after = text.rsplit_once(") ").context("stat has a command name")?.1;
    let fields: Vec<u64> =
        after.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect();
    // utime and stime, in ticks of 10 ms.
    Ok(Duration::from_millis((fields[11] + fields[12]) * 10))
}

/// What this thread has had of a core. Other work on the machine does not count.
pub fn cpu_of_thread() -> Result<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = text.split_whitespace().next().context("schedstat begins with nanoseconds")?;
    Ok(Duration::from_nanos(nanos.parse()?))
}

/// Resident memory of a process in KiB.
pub fn resident(pid: u32) -> Result<u64> {
    field(&std::fs::read_to_string(format!("/proc/{pid}/status"))?, "VmRSS:")
}

/// Its share of what it has resident, in KiB: pages of many are counted in parts.
pub fn proportional(pid: u32) -> Result<u64> {
    field(&std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?, "Pss:")
}

fn field(text: &str, name: &str) -> Result<u64> {
    let line = text.lines().find(|line| line.starts_with(name));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(number.with_context(|| name.to_owned())?.parse()?)
}

/// By its number: `kill` is everywhere, and needs no unsafe call.
pub fn signal(pid: u32, name: &str) -> Result<()> {
    kill(&[&format!("-{name}"), &pid.to_string()])
}

pub fn signal_group(leader: u32, name: &str) -> Result<()> {
    kill(&[&format!("-{name}"), "--", &format!("-{leader}")])
}

fn kill(words: &[&str]) -> Result<()> {
    let status = Command::new("kill").args(words).status().context("start kill")?;
    if status.success() { Ok(()) } else { bail!("kill {} ended with {status}", words.join(" ")) }
}

/// The machine's load over the last minute, to stand beside figures.
pub fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("?").to_owned()
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn address_in(line: &str) -> Option<SocketAddr> {
    let after = line.split_once("http://").or_else(|| line.split_once("listening on "))?.1;
    let end = after.find(|c: char| !(c.is_ascii_digit() || ".:".contains(c)));
    after[..end.unwrap_or(after.len())].parse().ok()
}
