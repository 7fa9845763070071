//! The keys of a task's role, by an id that only its own containers were told.

use std::net::IpAddr;

use http::StatusCode;
use serde_json::json;

use crate::reply::{Reply, json};
use crate::{Host, Known};

/// `version` is of the path that was asked: it stands in the error's text.
pub(crate) fn answer(host: &dyn Host, from: IpAddr, version: u8, id: &str) -> Reply {
    let says = |status, code: &str, what: &str| {
        let message = format!("CredentialsV{version}Request: {what}");
        json(status, &json!({ "code": code, "message": message }))
    };
    if id.is_empty() {
        let what = "No Credential ID in the request";
        return says(StatusCode::BAD_REQUEST, "NoIdInRequest", what);
    }
    let unknown = || says(StatusCode::BAD_REQUEST, "InvalidIdInRequest", "Credentials not found");
    match host.credentials(id) {
        Known::Nothing => unknown(),
        Known::Pending => says(
            StatusCode::SERVICE_UNAVAILABLE,
            "CredentialsUninitialized",
            "Credentials uninitialized for ID",
        ),
        Known::Credentials { task_arn, credentials } => match host.task_at(from) {
            // Another task's container learned the id somehow: to it, there is no such id.
            Some(asking) if asking.task_arn != task_arn => unknown(),
            _ => json(StatusCode::OK, &credentials),
        },
    }
}
