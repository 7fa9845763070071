//! Where on a server an agent's sockets are. They share the port with everything else, so the first two
//! stand under a name that no bucket of S3 can have.

/// `endpoint` of DiscoverPollEndpoint is the address by which the caller came, with this behind it.
/// AWS: the agent appends `/ws`.
pub const ACS: &str = "/_wharf/acs";

/// `telemetryEndpoint` of DiscoverPollEndpoint, likewise.
pub const TCS: &str = "/_wharf/tcs";

/// What the agent appends to both.
pub const SOCKET: &str = "/ws";

/// The host's side of an ExecuteCommand session: this, `/` and the session's id.
pub const EXEC: &str = "/_wharf/exec";

/// The client's side, in `streamUrl`: the address by which the caller came with `ws` for `http`, this,
/// `/`, the session's id and `?role=publish_subscribe`, as AWS's own.
pub const DATA_CHANNEL: &str = "/v1/data-channel";

/// `streamUrl` of a session, for a caller who came by `endpoint` (`http://127.0.0.1:4566`).
pub fn stream_url(endpoint: &str, session_id: &str) -> String {
    let socket = match endpoint.strip_prefix("https") {
        Some(rest) => format!("wss{rest}"),
        None => format!("ws{}", endpoint.strip_prefix("http").unwrap_or(endpoint)),
    };
    format!("{socket}{DATA_CHANNEL}/{session_id}?role=publish_subscribe")
}
