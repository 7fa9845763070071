//! The nftables table of the machine's side: who may reach the bridge from outside (nobody), and how hosts get out.

use crate::addresses::Vpc;
use crate::netlink::Batch;
use crate::netlink::nft::{Hook, KNOWN_CONNECTION, Read, Table, Term};
use crate::tag::Tag;

pub fn build(tag: &Tag, vpc: &Vpc) -> Batch {
    let mut batch = Batch::default();
    let name = tag.machine_table();
    let bridge = tag.vpc_bridge();
    batch.begin();
    let mut table = Table { batch: &mut batch, name: &name };
    table.replace();
    let not_from_hosts = || Term::not_name(Read::InName, &bridge);

    // The control plane listens on the gateways' addresses, for hosts and for this machine alone.
    table.chain("to-this-machine", Hook::INPUT);
    for subnet in &vpc.subnets {
        let gateway = Term::Is(Read::Destination, subnet.gateway().octets().to_vec());
        let not_from_here = Term::not_name(Read::InName, "lo");
        table.rule("to-this-machine", &[not_from_hosts(), not_from_here, gateway, Term::Drop]);
    }

    // Forwarding is on for hosts to get out, not for the neighbourhood to get in.
    table.chain("through", Hook::FORWARD);
    let unasked = Term::NoBit(Read::State, KNOWN_CONNECTION);
    table.rule(
        "through",
        &[Term::name(Read::OutName, &bridge), not_from_hosts(), unasked, Term::Drop],
    );

    table.chain("leaving", Hook::SNAT);
    let outward = Term::not_name(Read::OutName, &bridge);
    let (from, beyond) =
        (Term::In(Read::Source, vpc.cidr), Term::NotIn(Read::Destination, vpc.cidr));
    table.rule("leaving", &[from, beyond, outward, Term::Masquerade]);
    batch.commit();
    batch
}
