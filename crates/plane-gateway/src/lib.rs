//! The gateway: HTTP in, AWS answers out.
//!
//! A request passes named phases, each of which can answer and end it: bound the body, route, pass
//! on to the leader, authenticate, decode, then read on a published revision, go through core, or hand
//! a job to whoever keeps users' bytes. Nothing before `authenticate` touches rows, and nothing
//! unauthenticated reaches an action.

mod admin;
mod authenticate;
mod body;
mod data;
mod figures;
mod forward;
mod guard;
mod operator;
mod outbound;
mod patience;
mod phases;
mod reply;
mod request_id;
mod serve;
mod socket;
mod tls;

pub use data::{Event, Events, Handlers};
pub use forward::Forward;
pub use operator::{Answer, Operator, OperatorAnswer, OperatorCall, PREFIX, SIGNING_NAME};
pub use outbound::{Outbound, OutboundError};
pub use patience::Patience;
pub use phases::{Gateway, Limits, MoreFigures, Parts, Peer, Uses};
pub use reply::{BrokenOff, ReplyBody};
pub use serve::Serving;
pub use socket::{Conversation, Gate, Opening, SocketRefused, Sockets, Stream};
pub use tls::{Tls, TlsError};
