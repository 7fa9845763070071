//! When keys and roles were last used. Each signed request is noted here; the state learns of a key
//! at its first use, and once a minute while it is used on, so that a busy key costs one small
//! write a minute. What a killed server had not told yet is lost, and so are reads that a follower
//! answered: AWS's own figures are hours behind and promise less.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use core_step::{Call, Principal};
use core_types::{Region, Time};
use plane_engine::{Engine, Role};
use service_iam::reports::{CredentialsUsed, LastUse, Used};
use tokio::sync::Notify;

/// How long the uses of one key wait after they were told of.
const AGAIN: Duration = Duration::from_secs(60);
/// Uses that come together are told together.
const GATHER: Duration = Duration::from_secs(1);

type Noted = (Time, Region, &'static str);

#[derive(Default)]
pub struct Uses {
    /// One for each key and role that is used: none that is not there was let in.
    noted: Mutex<HashMap<Used, Noted>>,
    wake: Notify,
}

impl Uses {
    /// Note uses for as long as the server runs; what a gateway is to call for each request.
    pub fn start(engine: &Engine) -> Arc<Uses> {
        let uses = Arc::new(Uses::default());
        tokio::spawn(uses.clone().tell(engine.clone()));
        uses
    }

    pub fn note(&self, call: &Call, service: &'static str) {
        let Some(used) = used(call) else { return };
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let noted = (Time(clock.as_millis() as i64), call.region, service);
        let mut all = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if all.insert(used, noted).is_none() {
            self.wake.notify_one();
        }
    }

    async fn tell(self: Arc<Self>, engine: Engine) {
        let mut told: HashMap<Used, Instant> = HashMap::new();
        loop {
            if self.noted.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
                self.wake.notified().await;
            }
            tokio::time::sleep(GATHER).await;
            told.retain(|_, at| at.elapsed() < AGAIN);
            let uses = self.take(|used| !told.contains_key(used));
            if uses.is_empty() || engine.role() != Role::Leader {
                continue;
            }
            told.extend(uses.iter().map(|(used, _)| (used.clone(), Instant::now())));
            if let Err(refused) = engine.report(Box::new(CredentialsUsed { uses })).await {
                tracing::debug!("uses of keys were not told: {refused}");
            }
        }
    }

    fn take(&self, due: impl Fn(&Used) -> bool) -> Vec<(Used, LastUse)> {
        let mut all = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        let due = all.extract_if(|used, _| due(used));
        due.map(|(used, (at, region, service))| {
            (used, LastUse { at, region, service: service.into() })
        })
        .collect()
    }
}

/// AWS: a session counts as a use of its role; other sessions as nobody's.
fn used(call: &Call) -> Option<Used> {
    let caller = &*call.caller;
    match &caller.principal {
        Principal::AssumedRole { role, .. } => Some(Used::Role(caller.account, role.clone())),
        Principal::Root | Principal::User { .. } if caller.issued_at.is_none() => {
            Some(Used::Key(caller.access_key_id.clone()))
        }
        _ => None,
    }
}
