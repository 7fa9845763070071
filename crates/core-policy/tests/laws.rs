//! Laws that hold for every policy and every request, and input that must never do harm.

use core_policy::{
    Context, Decision, Effect, Policy, PolicyKind, PolicySet, Principal, Request, Simulation,
    evaluate, evaluate_each, simulate,
};
use proptest::prelude::*;

const CALLERS: &[Principal] = &[
    Principal::Root { account: "111111111111", arn: "arn:aws:iam::111111111111:root" },
    Principal::User {
        account: "111111111111",
        arn: "arn:aws:iam::111111111111:user/a",
        id: "AIDAAAAAAAAAAAAAAAAA",
        name: "a",
    },
    Principal::AssumedRole {
        account: "111111111111",
        role_arn: "arn:aws:iam::111111111111:role/a",
        session_arn: "arn:aws:sts::111111111111:assumed-role/a/s",
        id: "AROAAAAAAAAAAAAAAAAA",
        session: "s",
    },
    Principal::Service("ecs.amazonaws.com"),
    Principal::Anonymous,
];

fn statement(effect: &'static str, principal: bool) -> impl Strategy<Value = String> {
    let who = prop_oneof![
        Just(r#"{"AWS":"*"}"#),
        Just(r#"{"AWS":"111111111111"}"#),
        Just(r#"{"AWS":"arn:aws:iam::111111111111:user/a"}"#),
        Just(r#"{"AWS":["arn:aws:iam::111111111111:role/a","111111111111"]}"#),
        Just(r#"{"AWS":"arn:aws:sts::111111111111:assumed-role/a/s"}"#),
        Just(r#"{"Service":"ecs.amazonaws.com"}"#),
    ];
    let condition = prop_oneof![
        3 => Just(""),
        1 => Just(r#","Condition":{"StringEquals":{"k":"v"}}"#),
        1 => Just(r#","Condition":{"StringNotLike":{"k":"${aws:username}*"}}"#),
        1 => Just(r#","Condition":{"ForAllValues:StringLike":{"set":["v*","w"]}}"#),
    ];
    (
        "(Not)?Action",
        "(\\*|ecs:\\*|ecs:Run\\*|s3:Get)",
        "(Not)?Resource",
        "(\\*|arn:aws:x:::[ab]\\*?)",
        "(Not)?Principal",
        who,
        condition,
    )
        .prop_map(move |(action, what, resource, on, named, who, condition)| {
            let who = if principal { format!(r#""{named}":{who},"#) } else { String::new() };
            format!(
                r#"{{"Effect":"{effect}",{who}"{action}":"{what}","{resource}":"{on}"{condition}}}"#
            )
        })
}

fn policy(kind: PolicyKind) -> impl Strategy<Value = Policy> {
    let principal = kind == PolicyKind::Resource;
    let one = prop_oneof![
        2 => statement("Allow", principal),
        1 => statement("Deny", principal),
    ];
    proptest::collection::vec(one, 1..4).prop_map(move |statements| {
        let list = statements.join(",");
        let text = format!(r#"{{"Version":"2012-10-17","Statement":[{list}]}}"#);
        Policy::parse(&text, kind).unwrap_or_else(|error| panic!("{error}: {text}"))
    })
}

#[derive(Debug)]
struct World {
    identity: Vec<Policy>,
    boundary: Option<Policy>,
    session: Option<Policy>,
    organization: Option<Policy>,
    resource: Option<Policy>,
    caller: Principal<'static>,
    owner: &'static str,
    action: String,
    target: String,
    context: Context<'static>,
}

fn world() -> impl Strategy<Value = World> {
    let managed = || policy(PolicyKind::Managed);
    let layers = (
        proptest::collection::vec(managed(), 0..3),
        proptest::option::of(managed()),
        proptest::option::of(managed()),
        proptest::option::of(managed()),
        proptest::option::of(policy(PolicyKind::Resource)),
    );
    let request = (
        proptest::sample::select(CALLERS),
        proptest::sample::select(vec!["", "111111111111", "222222222222"]),
        "(ecs:RunTask|ecs:StopTask|s3:Get)",
        "arn:aws:x:::[ab]{1,2}",
        proptest::option::of(proptest::sample::select(vec!["v", "w", "ax"])),
        proptest::collection::vec(proptest::sample::select(vec!["v", "w", "x"]), 0..3),
    );
    (layers, request).prop_map(|(layers, request)| {
        let (identity, boundary, session, organization, resource) = layers;
        let (caller, owner, action, target, value, set) = request;
        let mut context = Context::new().with_many("set", set);
        caller.describe(&mut context);
        if let Some(value) = value {
            context.set("K", value);
        }
        World {
            identity,
            boundary,
            session,
            organization,
            resource,
            caller,
            owner,
            action,
            target,
            context,
        }
    })
}

impl World {
    fn ask<T>(&self, then: impl FnOnce(&PolicySet<&Policy>, &Request) -> T) -> T {
        let identity: Vec<&Policy> = self.identity.iter().collect();
        let session: Option<Vec<&Policy>> = self.session.as_ref().map(|policy| vec![policy]);
        let level: Vec<&Policy> = self.organization.iter().collect();
        let levels: &[&[&Policy]] = if level.is_empty() { &[] } else { &[&level] };
        let (boundary, resource) = (self.boundary.as_ref(), self.resource.as_ref());
        let set = PolicySet {
            identity: &identity,
            boundary: boundary.as_ref(),
            session: session.as_deref(),
            service_control: levels,
            resource: resource.as_ref(),
            resource_must_allow: false,
        };
        let request = Request {
            principal: self.caller,
            action: &self.action,
            resource: &self.target,
            resource_account: self.owner,
            context: &self.context,
        };
        then(&set, &request)
    }

    fn decide(&self) -> Decision {
        self.ask(decide)
    }
}

fn decide(set: &PolicySet<&Policy>, request: &Request) -> Decision {
    evaluate(set, request)
}

fn explain(set: &PolicySet<&Policy>, request: &Request) -> Simulation {
    simulate(set, request)
}

fn sure(effect: &str) -> Policy {
    let text = format!(
        r#"{{"Version":"2012-10-17",
        "Statement":{{"Effect":"{effect}","Action":"*","Resource":"*"}}}}"#
    );
    Policy::parse(&text, PolicyKind::Managed).expect("a valid document")
}

fn is_deny(decision: Decision) -> bool {
    matches!(decision, Decision::ExplicitDeny(_))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn an_explicit_deny_always_wins(mut world in world()) {
        world.organization = Some(sure("Deny"));
        prop_assert!(is_deny(world.decide()));
        world.organization = None;
        world.identity.push(sure("Deny"));
        // Policies of identities do not bind the root user; all else is bound.
        let root = matches!(world.caller, Principal::Root { .. });
        prop_assert!(root || is_deny(world.decide()));
    }

    #[test]
    fn another_allow_never_turns_allow_into_deny(mut world in world()) {
        let before = world.decide();
        world.identity.push(sure("Allow"));
        let after = world.decide();
        prop_assert!(!before.is_allowed() || after.is_allowed());
        prop_assert_eq!(is_deny(before), is_deny(after));
    }

    #[test]
    fn limits_never_widen(mut world in world(), limit in policy(PolicyKind::Managed)) {
        let with_all = world.decide().is_allowed();
        let (boundary, session, organization) =
            (world.boundary.take(), world.session.take(), world.organization.take());
        let bare = world.decide().is_allowed();
        prop_assert!(!with_all || bare);
        for slot in 0..3 {
            let limit = Some(limit.clone());
            (world.boundary, world.session, world.organization) = match slot {
                0 => (limit, session.clone(), organization.clone()),
                1 => (boundary.clone(), limit, organization.clone()),
                _ => (boundary.clone(), session.clone(), limit),
            };
            prop_assert!(!world.decide().is_allowed() || bare);
        }
    }

    #[test]
    fn order_does_not_decide(mut world in world()) {
        let before = world.decide();
        world.identity.reverse();
        let after = world.decide();
        prop_assert_eq!(before.is_allowed(), after.is_allowed());
        prop_assert_eq!(is_deny(before), is_deny(after));
    }

    #[test]
    fn the_fast_and_the_explaining_way_agree(world in world()) {
        let mut found = Vec::new();
        let mut keep = |one| found.push(one);
        let explained = world.ask(|set, request| evaluate_each(set, request, &mut keep));
        prop_assert_eq!(explained, world.decide());
        let simulated = world.ask(explain);
        prop_assert_eq!(simulated.decision, explained);
        if let Decision::ExplicitDeny(deny) = explained {
            prop_assert!(found.contains(&deny));
            prop_assert!(simulated.matched.iter().all(|m| m.found.effect == Effect::Deny));
            prop_assert!(!simulated.matched.is_empty());
        }
        let text = world.ask(|_, request| explained.denied_text(request));
        prop_assert_eq!(text.is_none(), explained.is_allowed());
    }

    #[test]
    fn any_text_is_parsed_or_refused(text in any::<String>(), bytes in any::<Vec<u8>>()) {
        use PolicyKind::{Inline, Managed, Resource, Trust};
        for kind in [Inline, Managed, Resource, Trust] {
            let _ = Policy::parse(&text, kind);
            let _ = Policy::parse(&String::from_utf8_lossy(&bytes), kind);
        }
    }

    #[test]
    fn any_document_like_json_is_parsed_or_refused_and_evaluates(
        texts in proptest::collection::vec("[\\PC]{0,6}|[${}*?:,'a]{0,8}|arn:[a-z*:$]{0,12}", 5),
        operator in "(ForA(ll|ny)Values?:)?(String|Numeric|Date|Arn)(Like|NotEquals)(IfExists)?",
    ) {
        let json = |text: &String| serde_json::to_string(text).unwrap();
        let text = format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":{},"Resource":{},
            "Principal":{{"AWS":{}}},"Condition":{{"{operator}":{{{}:{}}}}}}}}}"#,
            json(&format!("a:{}", texts[0].replace(':', ""))),
            json(&format!("arn:aws:x:::{}", texts[1])),
            json(&"*".to_owned()),
            json(&texts[3]),
            json(&texts[4]),
        );
        if let Ok(policy) = Policy::parse(&text, PolicyKind::Resource) {
            let context = Context::new().with(texts[3].clone(), texts[2].clone());
            let request = Request {
                principal: CALLERS[1],
                action: &texts[0],
                resource: &texts[1],
                resource_account: "",
                context: &context,
            };
            let set = PolicySet { resource: Some(&&policy), ..PolicySet::default() };
            let _ = simulate(&set, &request);
            prop_assert!(policy.context_keys().len() <= 64);
        }
    }
}
