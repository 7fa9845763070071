//! The list of tables.

use core_state::SchemaBuilder;

use crate::rows::cluster::Cluster;
use crate::rows::task::Task;

pub fn declare(schema: &mut SchemaBuilder) {
    schema.table::<Cluster>();
    schema.table::<Task>();
}
