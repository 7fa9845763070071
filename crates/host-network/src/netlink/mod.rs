//! A netlink socket that belongs to the namespace in which it was opened, and batches of messages over it.
//!
//! The kernel works a whole batch off inside `send`, so that when `send` returns every answer already waits in the
//! socket: no event loop is needed, and a batch of eight messages costs two system calls.

pub mod conntrack;
pub mod links;
pub mod nft;

use std::io;
use std::os::fd::OwnedFd;

use netlink_bindings::traits::{NetlinkRequest, Protocol};
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};

use crate::error::{Error, Result};

const HEADER: usize = 16;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_DUMP: u16 = 0x300;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NFNL_MSG_BATCH_BEGIN: u16 = 16;
const NFNL_MSG_BATCH_END: u16 = 17;
/// A batch that builds a table for a thousand tasks is some hundred KiB; the default buffer holds 208 KiB.
const BUFFER: usize = 8 << 20;

/// Messages that go to the kernel in one piece.
#[derive(Default)]
pub struct Batch {
    bytes: Vec<u8>,
    /// What each message does, for the error that names it.
    names: Vec<String>,
}

impl Batch {
    pub fn push<R: NetlinkRequest>(&mut self, what: impl Into<String>, request: &R) {
        let Protocol::Raw { request_type, .. } = request.protocol() else {
            unreachable!("generic netlink is not spoken here");
        };
        self.message(what, request_type, request.flags() | NLM_F_ACK, request.payload());
    }

    fn message(&mut self, what: impl Into<String>, kind: u16, flags: u16, payload: &[u8]) {
        let length = (HEADER + payload.len()) as u32;
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&(flags | NLM_F_REQUEST).to_ne_bytes());
        self.bytes.extend_from_slice(&(self.names.len() as u32).to_ne_bytes());
        self.bytes.extend_from_slice(&0u32.to_ne_bytes());
        self.bytes.extend_from_slice(payload);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self.names.push(what.into());
    }

    /// Opens a transaction of nftables: everything until `commit` happens at once or not at all.
    pub fn begin(&mut self) {
        self.message("begin the nftables transaction", NFNL_MSG_BATCH_BEGIN, 0, &nf_header(0));
    }

    pub fn commit(&mut self) {
        self.message("commit the nftables transaction", NFNL_MSG_BATCH_END, 0, &nf_header(0));
    }

    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

/// `nfgenmsg` of a batch's brackets: they name the subsystem (nftables, 10) in place of a resource.
fn nf_header(family: u8) -> [u8; 4] {
    let subsystem = 10u16.to_be_bytes();
    [family, 0, subsystem[0], subsystem[1]]
}

/// One socket. It speaks for the network namespace it was opened in, whichever thread uses it.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
}

impl Socket {
    pub fn route() -> Result<Socket> {
        // Routes and links are protocol 0, which is also what no protocol means.
        Self::open(None, "routes and links")
    }

    pub fn netfilter() -> Result<Socket> {
        Self::open(Some(netlink::NETFILTER), "netfilter")
    }

    fn open(protocol: Option<net::Protocol>, name: &str) -> Result<Socket> {
        let what = || format!("open a netlink socket for {name}");
        let fd = net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            protocol,
        )
        .map_err(|e| Error::kernel(what(), e))?;
        net::bind(&fd, &netlink::SocketAddrNetlink::new(0, 0))
            .map_err(|e| Error::kernel(what(), e))?;
        // Only the administrator of the machine may exceed the system's limit; without it big batches fail cleanly.
        let _ = net::sockopt::set_socket_send_buffer_size_force(&fd, BUFFER);
        let _ = net::sockopt::set_socket_recv_buffer_size_force(&fd, BUFFER);
        Ok(Socket { fd })
    }

    /// Sends a batch and answers with the first thing in it that failed.
    pub fn send(&mut self, batch: &Batch) -> Result<()> {
        match self.send_all(batch)?.into_iter().next() {
            None => Ok(()),
            Some((what, source)) => Err(Error::kernel(what, source)),
        }
    }

    /// Sends a batch and answers with everything in it that failed, in order.
    pub fn send_all(&mut self, batch: &Batch) -> Result<Vec<(String, io::Error)>> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        self.write(&batch.bytes)?;
        let mut failed = Vec::new();
        let mut buffer = vec![0u8; 1 << 16];
        loop {
            // Everything was answered before `send` came back; what is not there now will never come.
            let length = match net::recv(&self.fd, &mut buffer[..], RecvFlags::DONTWAIT) {
                Ok((length, _)) => length,
                Err(rustix::io::Errno::AGAIN) => break,
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(Error::kernel("read the kernel's answer", error)),
            };
            for message in messages(&buffer[..length]) {
                if let Some(error) = message.failure() {
                    let name = batch.names.get(message.sequence as usize).cloned();
                    failed.push((message.sequence, name.unwrap_or_default(), error));
                }
            }
        }
        failed.sort_by_key(|(sequence, ..)| *sequence);
        Ok(failed.into_iter().map(|(_, name, error)| (name, error)).collect())
    }

    /// Asks for a list and hands over each row.
    pub fn dump<R: NetlinkRequest>(
        &mut self,
        what: &str,
        request: &R,
        mut row: impl FnMut(R::ReplyType<'_>),
    ) -> Result<()> {
        let Protocol::Raw { request_type, .. } = request.protocol() else {
            unreachable!("generic netlink is not spoken here");
        };
        self.dump_raw(what, request_type, request.payload(), |payload| {
            row(R::decode_reply(payload))
        })
    }

    fn dump_raw(
        &mut self,
        what: &str,
        kind: u16,
        payload: &[u8],
        mut row: impl FnMut(&[u8]),
    ) -> Result<()> {
        let mut batch = Batch::default();
        batch.message(what, kind, NLM_F_DUMP, payload);
        self.write(&batch.bytes)?;
        let mut buffer = vec![0u8; 1 << 18];
        loop {
            let length = match net::recv(&self.fd, &mut buffer[..], RecvFlags::empty()) {
                Ok((length, _)) => length,
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(Error::kernel(what, error)),
            };
            for message in messages(&buffer[..length]) {
                if let Some(error) = message.failure() {
                    return Err(Error::kernel(what, error));
                }
                match message.kind {
                    NLMSG_DONE | NLMSG_ERROR => return Ok(()),
                    _ => row(message.payload),
                }
            }
        }
    }

    /// Asks for one thing; `None` when it is not there.
    pub fn get<R: NetlinkRequest, T>(
        &mut self,
        what: &str,
        request: &R,
        read: impl FnOnce(R::ReplyType<'_>) -> T,
    ) -> Result<Option<T>> {
        let mut batch = Batch::default();
        let Protocol::Raw { request_type, .. } = request.protocol() else {
            unreachable!("generic netlink is not spoken here");
        };
        batch.message(what, request_type, request.flags() & !NLM_F_DUMP, request.payload());
        self.write(&batch.bytes)?;
        let mut buffer = vec![0u8; 1 << 16];
        let length = loop {
            match net::recv(&self.fd, &mut buffer[..], RecvFlags::empty()) {
                Ok((length, _)) => break length,
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(Error::kernel(what, error)),
            }
        };
        let Some(message) = messages(&buffer[..length]).next() else { return Ok(None) };
        match message.failure() {
            Some(error) => match rustix::io::Errno::from_io_error(&error) {
                Some(rustix::io::Errno::NODEV | rustix::io::Errno::NOENT) => Ok(None),
                _ => Err(Error::kernel(what, error)),
            },
            None => Ok(Some(read(R::decode_reply(message.payload)))),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let kernel = netlink::SocketAddrNetlink::new(0, 0);
        loop {
            match net::sendto(&self.fd, bytes, SendFlags::empty(), &kernel) {
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(Error::kernel("send to the kernel", error)),
            }
        }
    }
}

struct Message<'a> {
    kind: u16,
    sequence: u32,
    payload: &'a [u8],
}

impl Message<'_> {
    /// The error in an answer; an acknowledgement is an error of number 0.
    fn failure(&self) -> Option<io::Error> {
        if self.kind != NLMSG_ERROR && self.kind != NLMSG_DONE {
            return None;
        }
        let code = i32::from_ne_bytes(self.payload.get(..4)?.try_into().ok()?);
        (code < 0).then(|| io::Error::from_raw_os_error(-code))
    }
}

fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
        let payload = bytes.get(HEADER..length)?;
        let message = Message {
            kind: u16::from_ne_bytes([bytes[4], bytes[5]]),
            sequence: u32::from_ne_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]),
            payload,
        };
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            for message in messages(&bytes) {
                let _ = message.failure();
            }
        }
    }

    #[test]
    fn a_batch_reads_back_as_its_messages() {
        let mut batch = Batch::default();
        batch.begin();
        batch.message("something", 7, 0, &[1, 2, 3]);
        batch.commit();
        let kinds: Vec<_> =
            messages(&batch.bytes).map(|m| (m.kind, m.sequence, m.payload.len())).collect();
        assert_eq!(kinds, [(16, 0, 4), (7, 1, 3), (17, 2, 4)]);
    }
}
