//! The list of tables.

use core_state::SchemaBuilder;

use crate::rows::cluster::Cluster;

pub fn declare(schema: &mut SchemaBuilder) {
    schema.table::<Cluster>();
}
