//! Where a driver sends to: an address of Docker's form, connected when first needed and again when
//! it broke.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket, UnixDatagram, UnixStream};

use crate::LogError;

const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    Tcp(String),
    Udp(String),
    Unix(PathBuf),
    UnixDatagram(PathBuf),
}

impl Address {
    /// `scheme://where`; a host without a port gets the given one.
    pub fn parse(text: &str, port: u16) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("tcp", text));
        let with_port = || {
            let host = rest.trim_end_matches('/');
            if host.is_empty() || host.contains('/') {
                return Err(format!("{text} names no host"));
            }
            let bare = host.rsplit_once(':').is_none_or(|(_, port)| port.contains(']'));
            Ok(if bare { format!("{host}:{port}") } else { host.to_owned() })
        };
        match scheme {
            "tcp" => with_port().map(Address::Tcp),
            "udp" => with_port().map(Address::Udp),
            "unix" if rest.starts_with('/') => Ok(Address::Unix(rest.into())),
            "unixgram" if rest.starts_with('/') => Ok(Address::UnixDatagram(rest.into())),
            "tcp+tls" => Err("TLS to a log server is not offered".to_owned()),
            _ => Err(format!("{text} is no address")),
        }
    }

    fn text(&self) -> String {
        match self {
            Address::Tcp(to) => format!("tcp://{to}"),
            Address::Udp(to) => format!("udp://{to}"),
            Address::Unix(path) => format!("unix://{}", path.display()),
            Address::UnixDatagram(path) => format!("unixgram://{}", path.display()),
        }
    }
}

enum Connection {
    Tcp(TcpStream),
    Udp(UdpSocket),
    Unix(UnixStream),
    UnixDatagram(UnixDatagram),
}

/// A connection that is made again when it breaks.
pub(crate) struct Wire {
    address: Address,
    connection: Option<Connection>,
}

impl Wire {
    pub fn new(address: Address) -> Self {
        Wire { address, connection: None }
    }

    pub async fn connect(&mut self) -> Result<(), LogError> {
        if self.connection.is_none() {
            let made = tokio::time::timeout(PATIENCE, connect(&self.address)).await;
            let made = made.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
            self.connection = Some(made.map_err(|error| self.failed(&error))?);
        }
        Ok(())
    }

    /// Send messages: one after the other on a stream, each by itself as datagrams.
    pub async fn send(&mut self, messages: &[Vec<u8>]) -> Result<(), LogError> {
        self.connect().await?;
        let Some(connection) = &mut self.connection else { return Ok(()) };
        let sent = tokio::time::timeout(PATIENCE, send(connection, messages)).await;
        let sent = sent.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
        sent.map_err(|error| {
            self.connection = None;
            self.failed(&error)
        })
    }

    fn failed(&self, error: &std::io::Error) -> LogError {
        LogError::Delivery { to: self.address.text(), why: error.to_string() }
    }
}

/// A socket's path has 107 bytes at most; a longer one is walked through its folder's descriptor.
fn short(path: &Path) -> std::io::Result<(Option<File>, PathBuf)> {
    const MOST: usize = 107;
    match (path.parent(), path.file_name()) {
        (Some(folder), Some(name)) if path.as_os_str().len() > MOST => {
            let folder = File::open(folder)?;
            let through = format!("/proc/self/fd/{}", folder.as_raw_fd());
            Ok((Some(folder), Path::new(&through).join(name)))
        }
        _ => Ok((None, path.to_owned())),
    }
}

async fn connect(address: &Address) -> std::io::Result<Connection> {
    Ok(match address {
        Address::Tcp(to) => Connection::Tcp(TcpStream::connect(to).await?),
        Address::Udp(to) => {
            let socket = UdpSocket::bind("0.0.0.0:0").await?;
            socket.connect(to).await?;
            Connection::Udp(socket)
        }
        Address::Unix(path) => {
            let (_folder, path) = short(path)?;
            Connection::Unix(UnixStream::connect(path).await?)
        }
        Address::UnixDatagram(path) => {
            let (_folder, path) = short(path)?;
            let socket = UnixDatagram::unbound()?;
            socket.connect(path)?;
            Connection::UnixDatagram(socket)
        }
    })
}

async fn send(connection: &mut Connection, messages: &[Vec<u8>]) -> std::io::Result<()> {
    match connection {
        Connection::Tcp(stream) => stream.write_all(&messages.concat()).await,
        Connection::Unix(stream) => stream.write_all(&messages.concat()).await,
        Connection::Udp(socket) => {
            for message in messages {
                socket.send(message).await?;
            }
            Ok(())
        }
        Connection::UnixDatagram(socket) => {
            for message in messages {
                socket.send(message).await?;
            }
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_may_lie_deep() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("d".repeat(120));
        std::fs::create_dir(&deep).unwrap();
        let path = deep.join("s");
        let (_folder, near) = short(&path).unwrap();
        let listener = tokio::net::UnixListener::bind(near).unwrap();
        let mut wire = Wire::new(Address::Unix(path));
        wire.send(&[b"x".to_vec()]).await.unwrap();
        listener.accept().await.unwrap();
    }

    #[test]
    fn addresses() {
        let parse = |text| Address::parse(text, 514);
        assert_eq!(parse("udp://10.0.0.1"), Ok(Address::Udp("10.0.0.1:514".into())));
        assert_eq!(parse("tcp://h:1"), Ok(Address::Tcp("h:1".into())));
        assert_eq!(parse("h:1"), Ok(Address::Tcp("h:1".into())));
        assert_eq!(parse("tcp://[::1]"), Ok(Address::Tcp("[::1]:514".into())));
        assert_eq!(parse("unix:///run/x"), Ok(Address::Unix("/run/x".into())));
        for bad in ["tcp://", "unix://x", "ftp://x", "tcp+tls://x", "tcp://a/b"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
