//! Which etcd, under which prefix, as whom: `etcd://[user:password@]host:port[,host:port…][/prefix]`.

use std::path::PathBuf;
use std::time::Duration;

use crate::JournalError;

/// `EtcdOptions::parse(url)` fills in everything but the advertised address.
#[derive(Clone)]
pub struct EtcdOptions {
    /// `http://host:port` or `https://host:port`, one for each member that may be asked.
    pub endpoints: Vec<String>,
    /// Every key begins with this; it ends with a slash.
    pub prefix: String,
    /// Where other servers and agents reach this one while it leads.
    pub advertise: String,
    /// How long after its last sign of life a leader is deposed. etcd counts whole seconds.
    pub lease_ttl: Duration,
    pub user: Option<(String, String)>,
    pub tls: Option<TlsFiles>,
    /// A snapshot is due once the log since the last one is this long (or twice the snapshot).
    pub snapshot_after: u64,
}

/// PEM files, for `etcds://`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    pub ca: PathBuf,
    /// Certificate and key, where etcd wants to see one.
    pub identity: Option<(PathBuf, PathBuf)>,
}

impl EtcdOptions {
    /// Reads `etcd://…`, or `etcds://…?ca=FILE[&cert=FILE&key=FILE]` for TLS.
    pub fn parse(url: &str) -> Result<EtcdOptions, JournalError> {
        let bad = |reason: &str| {
            // A password must not end up in a log line.
            let shown = match (url.find("://"), url.rfind('@')) {
                (Some(scheme), Some(at)) if at > scheme => {
                    format!("{}…{}", &url[..scheme + 3], &url[at..])
                }
                _ => url.to_owned(),
            };
            JournalError::Address { url: shown, reason: reason.into() }
        };
        let (scheme, rest) = url.split_once("://").ok_or_else(|| bad("it has no scheme"))?;
        let secure = match scheme {
            "etcd" => false,
            "etcds" => true,
            _ => return Err(bad("the scheme must be etcd or etcds")),
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (user, rest) = match rest.rsplit_once('@') {
            None => (None, rest),
            Some((who, rest)) => {
                let (name, password) =
                    who.split_once(':').ok_or_else(|| bad("a user needs a password"))?;
                (Some((name.to_owned(), password.to_owned())), rest)
            }
        };
        let (hosts, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if hosts.split(',').any(|host| !is_host(host)) {
            return Err(bad("expected host:port, or several with commas between"));
        }
        let tls = read_tls(query).map_err(|reason| bad(&reason))?;
        if secure && tls.is_none() {
            return Err(bad("etcds needs ?ca=FILE"));
        }
        if !secure && tls.is_some() {
            return Err(bad("ca, cert and key belong to etcds://"));
        }
        let scheme = if secure { "https" } else { "http" };
        let prefix = match prefix.trim_matches('/') {
            "" => "/wharf/".to_owned(),
            given => format!("/{given}/"),
        };
        Ok(EtcdOptions {
            endpoints: hosts.split(',').map(|host| format!("{scheme}://{host}")).collect(),
            prefix,
            advertise: String::new(),
            lease_ttl: Duration::from_secs(10),
            user,
            tls,
            snapshot_after: 16 << 20,
        })
    }
}

fn is_host(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._[]:".contains(c);
    !host.is_empty() && host.chars().all(plain) && port.parse::<u16>().is_ok()
}

fn read_tls(query: &str) -> Result<Option<TlsFiles>, String> {
    let (mut ca, mut cert, mut key) = (None, None, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let slot = match name {
            "ca" => &mut ca,
            "cert" => &mut cert,
            "key" => &mut key,
            other => return Err(format!("unknown option {other:?}")),
        };
        *slot = Some(PathBuf::from(value));
    }
    let identity = match (cert, key) {
        (Some(cert), Some(key)) => Some((cert, key)),
        (None, None) => None,
        _ => return Err("cert and key go together".into()),
    };
    match (ca, identity) {
        (Some(ca), identity) => Ok(Some(TlsFiles { ca, identity })),
        (None, None) => Ok(None),
        (None, Some(_)) => Err("cert and key need ca".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let one = EtcdOptions::parse("etcd://127.0.0.1:2379").unwrap();
        assert_eq!(one.endpoints, ["http://127.0.0.1:2379"]);
        assert_eq!(one.prefix, "/wharf/");
        let url = "etcds://me:s@cret@a:1,b:2/teams/blue/?ca=/ca.pem&cert=/c.pem&key=/k.pem";
        let full = EtcdOptions::parse(url).unwrap();
        assert_eq!(full.endpoints, ["https://a:1", "https://b:2"]);
        assert_eq!(full.prefix, "/teams/blue/");
        assert_eq!(full.user, Some(("me".into(), "s@cret".into())));
        assert_eq!(full.tls.unwrap().identity.unwrap().1, PathBuf::from("/k.pem"));
    }

    #[test]
    fn wrong_addresses_are_refused_without_showing_a_password() {
        for wrong in [
            "127.0.0.1:2379",
            "http://127.0.0.1:2379",
            "etcd://",
            "etcd://host",
            "etcd://host:99999",
            "etcd://a:1,,b:2",
            "etcds://a:1",
            "etcd://a:1?ca=/x",
            "etcds://a:1?ca=/x&cert=/y",
            "etcds://a:1?what=1",
            "etcd://me@a:1",
        ] {
            assert!(EtcdOptions::parse(wrong).is_err(), "{wrong}");
        }
        let told = EtcdOptions::parse("etcd://me:secret@host").err().unwrap().to_string();
        assert!(!told.contains("secret"), "{told}");
    }
}
