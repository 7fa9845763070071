//! The one list of services.

use std::sync::Arc;

use core_step::{Registry, Slice};

/// In the order of who may ask whom: a slice only knows those before it.
static SLICES: &[&Slice] = &[
    &service_iam::SLICE,
    &service_sts::SLICE,
    &service_logs::SLICE,
    &service_ec2::SLICE,
    &service_ssm::SLICE,
    &service_ecs::SLICE,
];

pub fn registry() -> Arc<Registry> {
    Registry::new(SLICES, Box::new(service_iam::IamIdentity))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use core_step::{Call, Caller, Demands, Origin, View};
    use core_types::Time;

    use super::*;

    /// Operations that AWS lets anyone with a signature call, or takes unsigned; AssumeRole, which
    /// weighs the role's trust policy and the caller's policies together by itself; and those of
    /// machines that have a secret in the place of keys.
    const WITHOUT_PERMISSION: &[&str] = &[
        "AssumeRole",
        "AssumeRoleWithSAML",
        "AssumeRoleWithWebIdentity",
        "GetCallerIdentity",
        "GetSessionToken",
        "RegisterManagedInstance",
        "RequestManagedInstanceRoleToken",
    ];

    /// Every action of every service names the permission it needs, also for input that it will
    /// refuse: an authorization that fails or is forgotten would be a hole.
    #[test]
    fn every_action_demands_its_permission() {
        let call = Call {
            caller: Arc::new(Caller::anonymous()),
            region: "us-east-1".parse().expect("a region"),
            request_id: "r".into(),
            origin: Arc::new(Origin {
                source_ip: None,
                user_agent: String::new(),
                endpoint: "http://localhost".into(),
                secure: false,
            }),
        };
        let state = registry().empty_state();
        let view = View::new(&state, Time(0));
        let mut without = Vec::new();
        for slice in SLICES {
            let prefix = format!("{}:", slice.service.signing_name);
            for action in slice.actions {
                match (action.authorize)(&call, &view, &*(action.op.new_input)()) {
                    Demands::Nothing { because } => {
                        assert!(!because.is_empty(), "{:?}", action.op);
                        without.push(action.op.name);
                    }
                    Demands::Need(demands) => {
                        let own = demands.iter().any(|demand| demand.action.starts_with(&prefix));
                        assert!(own, "{:?} demands only {demands:?}", action.op);
                    }
                }
            }
        }
        without.sort_unstable();
        assert_eq!(without, WITHOUT_PERMISSION);
    }
}
