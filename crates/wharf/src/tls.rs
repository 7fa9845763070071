//! Which certificate a server shows, and whom clients must trust for it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use http::Uri;
use plane_gateway::Tls;

use crate::data_dir::DataDir;
use crate::local_ca::{LocalCa, RENEWAL};
use crate::settings::{Settings, TlsChoice};

pub struct Certificate {
    pub tls: Arc<Tls>,
    /// The CA that clients do not know by themselves.
    pub ca: Option<PathBuf>,
    minted: Option<Minting>,
}

struct Minting {
    ca: LocalCa,
    names: Vec<String>,
    addresses: Vec<IpAddr>,
}

/// `more`: addresses at which this server listens beside those of its settings.
pub fn choose(settings: &Settings, dir: &DataDir, more: &[IpAddr]) -> Result<Option<Certificate>> {
    match settings.tls.choice()? {
        TlsChoice::Off => Ok(None),
        TlsChoice::Files { cert, key, ca } => {
            let tls = Tls::from_files(&cert, &key)?;
            let ca = ca.map(std::path::absolute).transpose()?;
            Ok(Some(Certificate { tls, ca, minted: None }))
        }
        TlsChoice::Local => {
            let ca = LocalCa::open(dir)?;
            let (names, addresses) = subjects(settings, more);
            let minted = ca.mint(&names, &addresses)?;
            let tls = Tls::from_pem(&minted.cert, &minted.key)?;
            let path = Some(ca.cert.clone());
            let minted = Some(Minting { ca, names, addresses });
            Ok(Some(Certificate { tls, ca: path, minted }))
        }
    }
}

impl Certificate {
    /// Mint anew from time to time; for a certificate from files there is nothing to do.
    pub async fn keep_fresh(self) {
        let Some(Minting { ca, names, addresses }) = self.minted else { return };
        loop {
            tokio::time::sleep(RENEWAL).await;
            let renewed = ca
                .mint(&names, &addresses)
                .and_then(|minted| Ok(self.tls.replace(&minted.cert, &minted.key)?));
            if let Err(error) = renewed {
                tracing::error!("the certificate was not renewed: {error:#}");
            }
        }
    }
}

/// Every name and address by which this server may be called.
fn subjects(settings: &Settings, more: &[IpAddr]) -> (Vec<String>, Vec<IpAddr>) {
    // AWS: S3 clients call buckets as `bucket.host`.
    let mut names = vec!["localhost".to_owned(), "*.localhost".to_owned()];
    let mut addresses = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    if let Ok(host) = std::fs::read_to_string("/proc/sys/kernel/hostname") {
        names.push(host.trim().to_owned());
    }
    let advertised = settings.advertise.as_ref().and_then(|url| url.parse::<Uri>().ok());
    if let Some(host) = advertised.as_ref().and_then(Uri::host) {
        match host.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(address) => addresses.push(address),
            Err(_) => names.extend([host.to_owned(), format!("*.{host}")]),
        }
    }
    let listened = settings.listen.iter().map(|address| address.ip());
    addresses.extend(listened.filter(|ip| !ip.is_unspecified()));
    addresses.extend(more);
    let dns = |name: &String| name.is_ascii() && !name.is_empty();
    names.retain(dns);
    names.sort();
    names.dedup();
    addresses.sort();
    addresses.dedup();
    (names, addresses)
}
