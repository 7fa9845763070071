//! What must hold in every state of the slice.

use std::collections::BTreeSet;

use core_state::State;
use core_step::Invariant;

use crate::rows::host::Host;
use crate::rows::interface::Interface;
use crate::rows::network::Network;

pub const INVARIANTS: &[Invariant] =
    &[Invariant { name: "ec2/interfaces-have-addresses-of-their-own", check: addresses }];

fn addresses(state: &State, tell: &mut dyn FnMut(String)) {
    let network = state.get::<Network>(&());
    let mut seen: BTreeSet<_> = state.all::<Host>().map(|host| host.address).collect();
    for interface in state.all::<Interface>() {
        let (key, address) = (&interface.key, interface.address);
        if !seen.insert(address) {
            tell(format!("{key} has {address}, which is another's"));
        }
        if !network.is_some_and(|network| network.subnet(interface.zone).contains(&address)) {
            tell(format!("{key} has {address}, which is outside of its subnet"));
        }
    }
}
