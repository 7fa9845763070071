//! Connections that the kernel remembers. A client that keeps speaking UDP to a host port keeps its entry, and with it
//! the address of a task that ended: the entry has to go with the task.

use std::net::Ipv4Addr;

use netlink_bindings::utils::{IterableChunks, find_attr, push_header};

use super::{Batch, Socket};
use crate::error::Result;

/// Subsystem 1, connection tracking: list, delete.
const GET: u16 = 0x0101;
const DELETE: u16 = 0x0102;
const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_TUPLE_IP: u16 = 1;
const CTA_IP_V4_SRC: u16 = 1;
const HEADER: [u8; 4] = [2, 0, 0, 0];

/// Forgets every connection that leads to `address`.
pub fn forget(socket: &mut Socket, address: Ipv4Addr) -> Result<()> {
    let mut entries = Vec::new();
    socket.dump_raw("list connections", GET, &HEADER, |payload| {
        entries.extend(leading_to(payload, address))
    })?;
    let mut batch = Batch::default();
    for entry in &entries {
        let mut payload = HEADER.to_vec();
        // The tuple goes back as it came, marked as nested.
        push_header(&mut payload, CTA_TUPLE_ORIG | 0x8000, entry.len() as u16);
        payload.extend_from_slice(entry);
        batch.message("forget a connection", DELETE, super::NLM_F_ACK, &payload);
    }
    // One that ended by itself meanwhile is forgotten too.
    socket.send_all(&batch)?;
    Ok(())
}

/// The original tuple of an entry that is answered from `address`.
fn leading_to(payload: &[u8], address: Ipv4Addr) -> Option<Vec<u8>> {
    let attributes = payload.get(HEADER.len()..)?;
    let find = |kind| {
        IterableChunks::new(attributes).find(|(header, _)| header.r#type == kind).map(|(_, b)| b)
    };
    let answering = find_attr(find_attr(find(CTA_TUPLE_REPLY)?, CTA_TUPLE_IP)?, CTA_IP_V4_SRC)?;
    (answering == address.octets()).then(|| find(CTA_TUPLE_ORIG).map(<[u8]>::to_vec))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_entry_is_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..128)) {
            let _ = leading_to(&bytes, Ipv4Addr::LOCALHOST);
        }
    }
}
