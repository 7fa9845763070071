//! A seeded generator of hostile requests, and a gateway with two accounts to send them to.
//!
//! Requests are made from the models themselves: the shape of each operation's input is walked, and
//! what stands at a leaf is mostly plausible (a name that exists, an ARN of a neighbour) and
//! sometimes not. Then the whole is spelled in a protocol, bent, and signed, well or badly.
//! The one thing that a request never holds is the neighbour's cargo, so an answer that has it
//! leaked it.

pub mod bend;
pub mod chance;
pub mod leaf;
pub mod request;
pub mod spell;
pub mod world;

// The program's own list: what it serves is what is fuzzed.
#[path = "../../wharf/src/slices.rs"]
mod slices;
