//! A certificate authority of this installation's own, for TLS without anyone's leave.
//!
//! The CA is made once and kept; clients are told to trust it. The server's certificate is never
//! written down: it is minted at each start and again long before it ends.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};

use crate::data_dir::DataDir;

const CERT: &str = "ca.pem";
const KEY: &str = "ca-key.pem";

const DAY: Duration = Duration::from_secs(86_400);

/// Some clients refuse certificates of servers that live for more than 397 days.
const LIFE: Duration = Duration::from_secs(90 * 86_400);

/// How often a new one is minted while the server runs.
pub const RENEWAL: Duration = Duration::from_secs(86_400);

pub struct LocalCa {
    /// What clients are to trust.
    pub cert: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

/// A minted certificate and its key, as PEM.
pub struct Minted {
    pub cert: String,
    pub key: String,
}

impl LocalCa {
    /// The CA in this directory, made now if there is none.
    pub fn open(dir: &DataDir) -> Result<LocalCa> {
        let kept = dir.read(KEY)?.map(String::from_utf8).transpose();
        let key = match kept.with_context(|| format!("{KEY} is damaged"))? {
            Some(text) => {
                let path = dir.path().join(KEY);
                KeyPair::from_pem(&text)
                    .with_context(|| format!("{} is damaged", path.display()))?
            }
            None => {
                let key = KeyPair::generate().context("cannot make a key for the local CA")?;
                dir.write_private(KEY, key.serialize_pem().as_bytes())?;
                // A certificate without its key is of no use.
                dir.remove(CERT);
                key
            }
        };
        if dir.read(CERT)?.is_none() {
            let cert = params().self_signed(&key).context("cannot sign the local CA")?;
            dir.write(CERT, cert.pem().as_bytes(), 0o644)?;
        }
        let cert = std::path::absolute(dir.path().join(CERT)).context("the data directory")?;
        Ok(LocalCa { cert, issuer: Issuer::new(params(), key) })
    }

    /// A certificate for a server of these names and addresses.
    pub fn mint(&self, names: &[String], addresses: &[IpAddr]) -> Result<Minted> {
        let key = KeyPair::generate().context("cannot make a key for TLS")?;
        let mut leaf = CertificateParams::new(names).context("a name for the certificate")?;
        let addresses = addresses.iter().map(|ip| SanType::IpAddress(*ip));
        leaf.subject_alt_names.extend(addresses);
        leaf.distinguished_name = named("wharf");
        leaf.use_authority_key_identifier_extension = true;
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // A client's clock may be behind ours.
        leaf.not_before = date_time_ymd(1970, 1, 1) + now.saturating_sub(DAY);
        leaf.not_after = date_time_ymd(1970, 1, 1) + now + LIFE;
        let cert = leaf.signed_by(&key, &self.issuer).context("cannot sign a certificate")?;
        Ok(Minted { cert: cert.pem(), key: key.serialize_pem() })
    }
}

/// Always the same, so that the issuer can be put together again from its key alone.
fn params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named("Wharf local CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = date_time_ymd(2020, 1, 1);
    // RFC 5280's way to say that there is no end: whoever trusts it decides when to stop.
    params.not_after = date_time_ymd(9999, 12, 31) + (DAY - Duration::from_secs(1));
    params
}

fn named(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}
