//! The list of tables.

use core_state::SchemaBuilder;

use crate::rows::access_key::AccessKey;
use crate::rows::account::Account;

pub fn declare(schema: &mut SchemaBuilder) {
    schema.table::<Account>().table::<AccessKey>();
}
