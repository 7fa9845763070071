//! Task protection: a container asks that its own task is not stopped by a scale-in, with its
//! task's role.

use std::net::IpAddr;

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use crate::reply::{Reply, json, not_found};
use crate::{Host, Known, Question, Refused, RoleCredentials, metadata};

pub(crate) async fn answer(
    host: &dyn Host,
    from: IpAddr,
    method: &Method,
    id: &str,
    body: &[u8],
) -> Reply {
    let wanted = match *method {
        Method::GET => None,
        Method::PUT => match parse(body) {
            Ok(wanted) => Some(wanted),
            Err(()) => {
                let text = "UpdateTaskProtection: failed to decode request";
                return error(StatusCode::BAD_REQUEST, "", "InvalidParameterException", text, None);
            }
        },
        _ => return not_found(),
    };
    let Some(found) = metadata::find(host, from, id) else {
        let text = "Failed to find a task for the request";
        return error(StatusCode::NOT_FOUND, "", "ResourceNotFoundException", text, None);
    };
    let arn = &found.task.task_arn;
    if matches!(wanted, Some((None, _))) {
        let text = "Invalid request: does not contain 'ProtectionEnabled' field";
        return error(StatusCode::BAD_REQUEST, arn, "InvalidParameterException", text, None);
    }
    let Some(credentials) = role(host, found.task.credentials_id.as_deref()) else {
        let text = "Invalid Request: no task IAM role credentials available for task";
        return error(StatusCode::FORBIDDEN, arn, "AccessDeniedException", text, None);
    };
    let task_arn = arn.clone();
    let question = match wanted {
        Some((Some(enabled), minutes)) => {
            Question::Protect { task_arn, credentials, enabled, minutes }
        }
        _ => Question::Protection { task_arn, credentials },
    };
    match host.ask(question).await {
        Ok(answer) => told(arn, &answer),
        Err(Refused { status, code, message, request_id }) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            error(status, arn, &code, &message, request_id)
        }
    }
}

/// What the plane said of one task: its protection, or why there is none.
fn told(arn: &str, answer: &Value) -> Reply {
    let list = |name: &str| answer[name].as_array().map_or(&[][..], Vec::as_slice);
    match (list("failures"), list("protectedTasks")) {
        ([failure], _) => json(StatusCode::OK, &json!({ "failure": failure })),
        ([], [protected]) => json(StatusCode::OK, &json!({ "protection": protected })),
        _ => {
            let text = "Unexpected error occurred";
            error(StatusCode::INTERNAL_SERVER_ERROR, arn, "ServerException", text, None)
        }
    }
}

fn role(host: &dyn Host, id: Option<&str>) -> Option<RoleCredentials> {
    match host.credentials(id?) {
        Known::Credentials { credentials, .. } => Some(credentials),
        Known::Nothing | Known::Pending => None,
    }
}

/// AWS: members that are not known are refused; the switch may be missing, which has its own error.
fn parse(body: &[u8]) -> Result<(Option<bool>, Option<i64>), ()> {
    let members: Map<String, Value> = serde_json::from_slice(body).map_err(|_| ())?;
    let (mut enabled, mut minutes) = (None, None);
    for (name, value) in &members {
        match (&name.to_ascii_lowercase()[..], value) {
            ("protectionenabled", Value::Bool(value)) => enabled = Some(*value),
            ("expiresinminutes", Value::Number(value)) => {
                minutes = Some(value.as_i64().ok_or(())?);
            }
            ("protectionenabled" | "expiresinminutes", Value::Null) => {}
            _ => return Err(()),
        }
    }
    Ok((enabled, minutes))
}

fn error(
    status: StatusCode,
    arn: &str,
    code: &str,
    message: &str,
    request_id: Option<String>,
) -> Reply {
    let mut error = json!({ "Code": code, "Message": message });
    if !arn.is_empty() {
        error["Arn"] = arn.into();
    }
    let mut body = json!({ "error": error });
    if let Some(id) = request_id {
        body["requestID"] = id.into();
    }
    json(status, &body)
}
