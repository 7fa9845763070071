//! How AWS speaks: schemas, typed shapes, six wire protocols, errors, validation, routing.
//!
//! Everything hangs on one idea: a generated structure is a plain Rust struct plus one static
//! table (`Schema`), and exposes its fields through object-safe traits (`AnyShape`, `Field`). A
//! codec is then one ordinary recursive function over `&dyn AnyShape`, compiled once: never per
//! operation, never per format. `xtask codegen` writes the structures of `models/*` from the
//! models that AWS publishes for its own SDKs.
//!
//! * A slice uses `model_x::SomeRequest` (all members are `Option`), `model_x::ops::SomeOperation`
//!   (an [`Operation`]) and `model_x::errors::some_exception(message)`.
//! * A gateway uses [`router::Router`] to find protocol, service and operation of a request, then
//!   [`OperationDef::decode`] and [`OperationDef::encode`], or [`ApiError::reply`].
//! * A row embeds shapes as they are: they implement serde's traits through [`stored`].

mod blob;
mod cbor;
mod cbor_http;
pub mod client;
mod debug;
pub mod error;
mod error_reply;
pub mod event_stream;
mod form;
mod headers;
mod json;
mod json_http;
pub mod limits;
mod macros;
pub mod pattern;
mod query;
mod reply;
mod rest;
pub mod router;
mod scalar;
pub mod schema;
mod service;
mod shape;
pub mod stored;
mod timestamp;
pub mod token;
mod uri;
pub mod validate;
mod xml_read;
mod xml_write;

pub use blob::Blob;
pub use error::{ApiError, Common, Fault};
pub use json::detail as event_detail;
pub use serde;
pub use serde_json::Value as Document;
pub use service::{
    ErrorDef, Operation, OperationDef, Pagination, Protocol, ServiceDef, Validation, boxed,
};
pub use shape::{AnyShape, Field, ListField, MapField, Mismatch, Scalar, Shape, Value};
pub use timestamp::Timestamp;

#[doc(hidden)]
pub use debug::debug;

#[doc(hidden)]
#[cold]
pub fn no_such_member(shape: &str, index: usize) -> ! {
    panic!("{shape} has no member {index}")
}

#[doc(hidden)]
pub fn text_of(value: Scalar) -> Result<String, Mismatch> {
    match value {
        Scalar::String(text) => Ok(text),
        _ => Err(Mismatch),
    }
}
