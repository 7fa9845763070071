//! The list of tables.

use core_state::SchemaBuilder;

use crate::rows::activation::Activation;
use crate::rows::managed_instance::ManagedInstance;

pub fn declare(schema: &mut SchemaBuilder) {
    schema.table::<Activation>();
    schema.table::<ManagedInstance>();
}
