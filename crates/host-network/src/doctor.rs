//! What this machine's kernel and rights allow, as a list of findings: each says what was tried and what to do.

use crate::error::Result;
use crate::namespaces;
use crate::netlink::links::{self, End};
use crate::netlink::{Batch, Socket, nft};
use crate::sysctl;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Good,
    /// Something will not work for some tasks, or not as fast.
    Warning,
    /// Hosts or tasks can't have networks here.
    Bad,
}

/// One thing that was looked at.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Finding {
    pub level: Level,
    pub subject: &'static str,
    pub text: String,
    /// What to do; empty where all is well.
    pub advice: String,
}

impl Finding {
    fn good(subject: &'static str, text: &str) -> Finding {
        Finding { level: Level::Good, subject, text: text.to_owned(), advice: String::new() }
    }
}

/// Tries everything that hosts and tasks need, in a namespace that is gone afterwards. The machine itself is only read.
pub fn examine() -> Vec<Finding> {
    type Attempt = fn() -> Result<()>;
    let mut findings = Vec::new();
    let attempts: [(&'static str, Attempt, &str); 3] = [
        (
            "network namespaces",
            empty_namespace,
            "run as root, or with CAP_SYS_ADMIN and CAP_NET_ADMIN",
        ),
        ("links", link_pair, "the kernel needs the modules veth and bridge"),
        ("nftables", rules, "the kernel needs nf_tables, nft_masq, nft_nat and nft_fib_ipv4"),
    ];
    for (subject, attempt, advice) in attempts {
        findings.push(match attempt() {
            Ok(()) => Finding::good(subject, "allowed"),
            Err(error) => Finding {
                level: Level::Bad,
                subject,
                text: error.to_string(),
                advice: advice.to_owned(),
            },
        });
    }
    findings.extend(way_out());
    findings.extend(firewall());
    findings
}

fn empty_namespace() -> Result<()> {
    namespaces::apart("doctor", || namespaces::unshare(true, true))
}

fn link_pair() -> Result<()> {
    use std::os::fd::AsFd;
    namespaces::apart("doctor", || {
        namespaces::unshare(true, false)?;
        let mut socket = Socket::route()?;
        let here = std::fs::File::open("/proc/thread-self/ns/net")
            .map_err(|e| crate::Error::file("open", "/proc/thread-self/ns/net", e))?;
        let mac = |last| links::Mac([2, 0, 0, 0, 0, last]);
        let mut batch = Batch::default();
        links::bridge(&mut batch, "bridge", mac(1));
        let (near, far) = (End { name: "near", mac: mac(2) }, End { name: "far", mac: mac(3) });
        links::veth(&mut batch, near, far, here.as_fd(), 1500, None);
        socket.send(&batch)
    })
}

fn rules() -> Result<()> {
    namespaces::apart("doctor", || {
        namespaces::unshare(true, false)?;
        nft::probe(&mut Socket::netfilter()?)
    })
}

fn way_out() -> Option<Finding> {
    let subject = "way out";
    let routes = Socket::route().and_then(|mut socket| links::routes(&mut socket)).ok()?;
    if !routes.iter().any(|route| route.to.prefix_len() == 0) {
        return Some(Finding {
            level: Level::Warning,
            subject,
            text: "no default route".to_owned(),
            advice: "tasks reach this machine and each other only".to_owned(),
        });
    }
    Some(Finding::good(
        subject,
        match sysctl::read("net/ipv4/ip_forward").as_deref() {
            Ok("1") => "a default route, and this machine forwards",
            _ => "a default route; forwarding is turned on for hosts' links alone",
        },
    ))
}

/// Another table that drops what it does not know drops what hosts and tasks send, whatever our table says.
pub fn firewall() -> Option<Finding> {
    let closed =
        Socket::netfilter().and_then(|mut socket| nft::closed_forward_chains(&mut socket)).ok()?;
    if closed.is_empty() {
        return None;
    }
    let text = format!("forwarded packets are dropped unless allowed by {}", closed.join(", "));
    let advice = "let pass what comes from and goes to the links wb* and wt* (docs/HOSTS.md names the rules), or \
                  tasks neither reach other machines nor are reached by them";
    Some(Finding { level: Level::Warning, subject: "firewall", text, advice: advice.to_owned() })
}
