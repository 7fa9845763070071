//! AWS Signature Version 4, pure: no clock, no I/O, no randomness.
//!
//! A signature is checked in two steps, because between them somebody has to look up the secret:
//! `parse` reads it and does every check that needs none (AWS's order and words), `verify` rebuilds
//! the signed text from the bytes on the wire and compares in constant time. Both sides of the
//! exchange are here, `Signer` and `verify`, over the same canonical request.
//!
//! ```text
//! peek_credential ─► service, region ─► Rules ─► parse(now) ─► [secret of access_key()] ─► verify
//!                                                                                            │
//!                                   Payload: Checked | MustHash | Unsigned | Chunked ◄───────┘
//! ```
//!
//! A refusal is a `SigV4Error`; `answer(dialect)` words it as the request's protocol demands. The
//! same request may come again within 15 minutes, as on AWS: clients retry with what they signed.

mod answer;
mod answer_s3;
mod canonical;
mod checksum;
mod chunked;
mod error;
mod keys;
mod parse;
mod request;
mod sign;
mod time;
mod verify;

pub use answer::{Answer, Dialect};
pub use checksum::{Algorithm, Checksum};
pub use chunked::{ChunkedBody, Finished};
pub use error::{ChunkError, ScopeFaults, SigV4Error};
pub use keys::SigningKeys;
pub use parse::{Credential, MAX_PRESIGN_SECONDS, Parsed, SKEW_SECONDS, parse, peek_credential};
pub use request::{PresignWindow, Request, Rules, Style};
pub use sign::{ChunkSigner, SignBody, SignError, Signed, Signer};
pub use time::Stamp;
pub use verify::{Body, Payload, Verified, verify};
