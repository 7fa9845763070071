//! The list of tables.

use core_state::SchemaBuilder;

use crate::rows::group::LogGroup;
use crate::rows::stream::LogStream;

pub fn declare(schema: &mut SchemaBuilder) {
    schema.table::<LogGroup>();
    schema.table::<LogStream>();
}
