//! The list of tables.

use core_state::SchemaBuilder;

use crate::rows::host::Host;
use crate::rows::interface::Interface;
use crate::rows::network::Network;

pub fn declare(schema: &mut SchemaBuilder) {
    schema.table::<Host>();
    schema.table::<Interface>();
    schema.table::<Network>();
}
