//! What the command line asks a running server, as signed requests under `/_wharf/`. Only the first
//! account's root user is the operator of the installation.

use std::sync::Arc;

use core_step::Principal;
use core_types::{AccountId, Dice, Scope};
use plane_engine::{Engine, Role};
use plane_gateway::{Answer, Operator, OperatorAnswer, OperatorCall};
use serde::{Deserialize, Serialize};
use service_iam::operator::{self, NotOpened, OpenAccount};
use service_iam::reports::EnsureRoot;

use crate::events::Events;
use crate::hosts::Agents;
use crate::root_key::RootKey;

/// `GET check`.
#[derive(Serialize, Deserialize)]
pub struct Checked {
    pub revision: u64,
    /// Every violated invariant, in words.
    pub violations: Vec<String>,
}

/// `POST explain`; its answer is `service_ecs::explain::Explained`.
#[derive(Serialize, Deserialize)]
pub struct ExplainRequest {
    pub region: String,
    pub cluster: String,
    /// A task, a service or a task definition, by name, id or ARN.
    pub what: String,
}

/// `POST hosts/restart`: a host of this server, by name or id.
#[derive(Serialize, Deserialize)]
pub struct RestartRequest {
    pub host: String,
}

/// One of `GET accounts`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountTold {
    pub account: AccountId,
    pub alias: Option<Arc<str>>,
    pub created_at: String,
}

/// `POST accounts`.
#[derive(Default, Serialize, Deserialize)]
pub struct OpenRequest {
    pub account: Option<AccountId>,
    pub alias: Option<Arc<str>>,
}

/// Its answer, and the file in which the command line keeps the key.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Opened {
    pub account: AccountId,
    #[serde(default)]
    pub alias: Option<Arc<str>>,
    #[serde(flatten)]
    pub key: RootKey,
}

/// An error's body.
#[derive(Serialize, Deserialize)]
pub struct Told {
    #[serde(rename = "__type")]
    pub code: String,
    pub message: String,
}

pub struct HouseOperator {
    /// The first account.
    pub account: AccountId,
    pub events: Arc<Events>,
    pub agents: Arc<Agents>,
}

impl Operator for HouseOperator {
    fn answer<'a>(&'a self, engine: &'a Engine, call: OperatorCall<'a>) -> Answer<'a> {
        Box::pin(async move {
            let (caller, method) = (call.caller, call.method.as_str());
            if caller.principal != Principal::Root || caller.account != self.account {
                let who = &caller.arn;
                return told(403, "AccessDenied", format!("{who} does not operate this server"));
            }
            match (method, call.path) {
                ("GET", "check") => check(engine).await,
                ("POST", "explain") => match serde_json::from_slice(call.body) {
                    Ok(request) => explain(engine, caller.account, request).await,
                    Err(error) => told(400, "ValidationError", error.to_string()),
                },
                ("POST", "events") => match serde_json::from_slice(call.body) {
                    Ok(request) => json(200, &self.events.read(engine, &request).await),
                    Err(error) => told(400, "ValidationError", error.to_string()),
                },
                ("POST", "hosts/restart") => match serde_json::from_slice(call.body) {
                    Ok(request) => restart(&self.agents, &request),
                    Err(error) => told(400, "ValidationError", error.to_string()),
                },
                ("GET", "accounts") => json(200, &list(engine)),
                ("POST", "accounts") if engine.role() == Role::Follower => OperatorAnswer::Forward,
                ("POST", "accounts") => match serde_json::from_slice(call.body) {
                    Ok(request) => open(engine, request).await,
                    Err(error) => told(400, "ValidationError", error.to_string()),
                },
                _ => told(404, "NotFound", "there is nothing here".to_owned()),
            }
        })
    }
}

fn json(status: u16, value: &impl Serialize) -> OperatorAnswer {
    match serde_json::to_vec(value) {
        Ok(body) => OperatorAnswer::Json(status, body),
        Err(_) => OperatorAnswer::Json(500, Vec::new()),
    }
}

fn told(status: u16, code: &str, message: String) -> OperatorAnswer {
    json(status, &Told { code: code.to_owned(), message })
}

async fn check(engine: &Engine) -> OperatorAnswer {
    let (registry, view) = (engine.registry().clone(), engine.view());
    // All rows are looked at, which takes a while where there are many.
    let checked = tokio::task::spawn_blocking(move || Checked {
        revision: view.state.rev(),
        violations: registry.check(&view.state),
    });
    match checked.await {
        Ok(checked) => json(200, &checked),
        Err(error) => told(500, "InternalFailure", error.to_string()),
    }
}

async fn explain(engine: &Engine, account: AccountId, request: ExplainRequest) -> OperatorAnswer {
    let ExplainRequest { region, cluster, what } = request;
    let Ok(region) = region.parse() else {
        return told(400, "ValidationError", format!("{region} is no region"));
    };
    let view = engine.view();
    let named = what.clone();
    // All instances of the cluster are looked at.
    let explained = tokio::task::spawn_blocking(move || {
        service_ecs::explain::explain(&view.state, Scope::new(account, region), &cluster, &named)
    });
    match explained.await {
        Ok(Some(explained)) => json(200, &explained),
        Ok(None) => {
            let missing = format!("there is no task, service or task definition {what} here");
            told(404, "NotFound", missing)
        }
        Err(error) => told(500, "InternalFailure", error.to_string()),
    }
}

fn restart(agents: &Agents, request: &RestartRequest) -> OperatorAnswer {
    match agents.restart(&request.host) {
        true => json(200, request),
        false => {
            let missing = format!("this server keeps no host {}", request.host);
            told(404, "NotFound", missing)
        }
    }
}

fn list(engine: &Engine) -> Vec<AccountTold> {
    let view = engine.view();
    let accounts = operator::accounts(&view.state);
    let told = accounts.map(|account| AccountTold {
        account: account.id,
        alias: account.alias,
        created_at: account.created_at.to_string(),
    });
    told.collect()
}

async fn open(engine: &Engine, request: OpenRequest) -> OperatorAnswer {
    let OpenRequest { account, alias } = request;
    if alias.as_ref().is_some_and(|alias| !is_alias(alias)) {
        let rule = "an account's name is 3 to 63 of a-z, 0-9 and single dashes inside";
        return told(400, "ValidationError", rule.to_owned());
    }
    loop {
        let (drawn, key) = match (draw(), RootKey::generate()) {
            (Ok(drawn), Ok(key)) => (drawn, key),
            (Err(error), _) | (_, Err(error)) => {
                return told(500, "InternalFailure", error.to_string());
            }
        };
        let id = account.unwrap_or(drawn);
        let RootKey { access_key_id, secret_access_key: secret } = key.clone();
        let root = EnsureRoot { account: id, access_key_id, secret };
        let opened = engine.report(Box::new(OpenAccount { root, alias: alias.clone() })).await;
        let opened = match opened {
            Ok(opened) => opened.downcast::<Result<(), NotOpened>>(),
            Err(refusal) => return told(503, "ServiceUnavailable", refusal.to_string()),
        };
        return match opened.as_deref() {
            Ok(Ok(())) => json(200, &Opened { account: id, alias, key }),
            Ok(Err(NotOpened::AccountExists)) if account.is_none() => continue,
            Ok(Err(NotOpened::AccountExists)) => {
                told(409, "AccountAlreadyExists", format!("there is an account {id} already"))
            }
            Ok(Err(NotOpened::AliasTaken)) => {
                told(409, "EntityAlreadyExists", "another account has that name".to_owned())
            }
            Err(_) => told(500, "InternalFailure", "the report was not understood".to_owned()),
        };
    }
}

fn draw() -> anyhow::Result<AccountId> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    // No leading zero: too many tools read the number as a number.
    let number = 100_000_000_000 + Dice::seeded(seed).below(900_000_000_000);
    Ok(AccountId::new(number).expect("it has twelve digits"))
}

/// AWS: `^[a-z0-9]([a-z0-9]|-(?!-)){1,61}[a-z0-9]$`, and not twelve digits.
fn is_alias(text: &str) -> bool {
    let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    (3..=63).contains(&text.len())
        && text.bytes().all(|b| letter(b) || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
        && !text.contains("--")
        && text.parse::<AccountId>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_aliases_of_aws() {
        for good in ["dev", "a-b-c", "0ab", &"a".repeat(63)] {
            assert!(is_alias(good), "{good}");
        }
        for bad in ["", "ab", "-ab", "ab-", "a--b", "Dev", "a_b", &"a".repeat(64), "123456789012"] {
            assert!(!is_alias(bad), "{bad}");
        }
    }
}
