//! Those beside the plane that a deployment which shifts traffic waits for: webhooks that answer as
//! chance has it, people who let a pause end, and alarms that ring.

use std::any::Any;

use core_state::Tx;
use core_step::Report;
use serde_json::{Value, json};
use service_ecs::feeds::hooks::{HookCall, due};
use service_ecs::ops;
use service_ecs::reports::{Answer, HookCalled};
use service_ecs::rows::progress::HookStatus;
use service_ecs::rows::service::Service;
use service_ecs::rows::service_history::DeploymentRecord;

use crate::Outcome;
use crate::chaos::Story;

/// The one alarm that services watch.
const ALARM: &str = "errors";
const STAGES: [&str; 4] =
    ["PRE_SCALE_UP", "POST_SCALE_UP", "PRODUCTION_TRAFFIC_SHIFT", "TEST_TRAFFIC_SHIFT"];

/// What CloudWatch would say of the alarm.
pub(crate) struct Rings(pub bool);

impl Report for Rings {
    fn apply(self: Box<Self>, tx: &mut Tx<'_>) -> Box<dyn Any + Send> {
        let scope = tx.all::<Service>().next().map(|row| row.key.0.0);
        if let Some(scope) = scope {
            ops::observe_alarm(tx, scope, ALARM, self.0);
        }
        Box::new(())
    }
}

impl Story {
    /// How a service is to be deployed. Waits are short: a seed lives for minutes.
    pub(crate) fn strategy(&mut self) -> Value {
        let mut all = match self.below(7) {
            0 => json!({"strategy": "CANARY", "canaryConfiguration":
                {"canaryPercent": 10.0, "canaryBakeTimeInMinutes": self.below(2)}}),
            1 => json!({"strategy": "LINEAR", "linearConfiguration":
                {"stepPercent": 40.0, "stepBakeTimeInMinutes": self.below(2)}}),
            2 => json!({"strategy": "BLUE_GREEN"}),
            3 => json!({"strategy": "ROLLING"}),
            _ => {
                return json!({"strategy": "ROLLING", "lifecycleHooks": [], "bakeTimeInMinutes": 0});
            }
        };
        all["bakeTimeInMinutes"] = json!(self.below(3));
        let mut hooks = Vec::new();
        if self.chance(40) {
            let stages = [self.pick(&STAGES)];
            hooks.push(json!({"hookTargetArn": "http://h/", "lifecycleStages": stages}));
        }
        if self.chance(20) {
            let action = self.pick(&["CONTINUE", "ROLLBACK"]);
            hooks.push(json!({"targetType": "PAUSE", "lifecycleStages": ["POST_SCALE_UP"],
                "timeoutConfiguration": {"timeoutInMinutes": 1 + self.below(3), "action": action}}));
        }
        all["lifecycleHooks"] = json!(hooks);
        if self.chance(30) {
            all["alarms"] = json!({"alarmNames": [ALARM], "enable": true,
                "rollback": self.chance(70)});
        }
        all
    }

    /// Somebody beside the plane does something.
    pub(crate) fn meddle(&mut self) -> Outcome<()> {
        match self.below(8) {
            0..4 => self.answer_hooks(),
            4 | 5 => self.end_pauses(),
            6 => self.stop_deployment(),
            _ => {
                let rings = self.chance(50);
                self.world.plane.report(Rings(rings))?;
                self.world.sync()
            }
        }
    }

    /// Webhooks are called, and answer: some late, some twice, some not at all.
    fn answer_hooks(&mut self) -> Outcome<()> {
        let mut calls = Vec::new();
        due(self.world.plane.view(), &mut |call| calls.push(call));
        for HookCall { deployment, hook, number, .. } in calls {
            let said = match self.below(10) {
                0 => Answer::Unreached("nobody is there".to_owned()),
                1 => Answer::Told(b"{}".to_vec()),
                2 => Answer::Told(br#"{"hookStatus": "FAILED"}"#.to_vec()),
                3 | 4 => {
                    Answer::Told(br#"{"hookStatus": "IN_PROGRESS", "callBackDelay": 5}"#.to_vec())
                }
                _ => Answer::Told(br#"{"hookStatus": "SUCCEEDED"}"#.to_vec()),
            };
            for _ in 0..1 + self.below(2) {
                let (deployment, hook) = (deployment.clone(), hook.clone());
                let answer = said.clone();
                self.world.plane.report(HookCalled { deployment, hook, number, answer })?;
            }
        }
        self.world.sync()
    }

    fn end_pauses(&mut self) -> Outcome<()> {
        let mut held = Vec::new();
        for row in self.world.plane.view().all::<DeploymentRecord>() {
            let hooks = row.progress.iter().flat_map(|progress| &progress.hooks);
            let open = hooks.filter(|hook| hook.status == HookStatus::AwaitingAction);
            held.extend(open.map(|hook| (row.arn(), hook.id.clone())));
        }
        for (arn, hook) in held {
            let action = self.pick(&["CONTINUE", "CONTINUE", "ROLLBACK"]);
            let input = json!({"serviceDeploymentArn": arn, "hookId": hook, "action": action});
            self.ask("ContinueServiceDeployment", &input)?;
        }
        Ok(())
    }

    fn stop_deployment(&mut self) -> Outcome<()> {
        let all = self.world.plane.view().all::<DeploymentRecord>();
        let arn = all.filter(|row| !row.status.is_over()).map(DeploymentRecord::arn).next_back();
        let Some(arn) = arn else { return Ok(()) };
        let kind = self.pick(&["ROLLBACK", "ABORT"]);
        let input = json!({"serviceDeploymentArn": arn, "stopType": kind});
        self.ask("StopServiceDeployment", &input).map(drop)
    }
}
