//! How layers combine: the documented rules of policy evaluation, one test a rule.

use core_policy::{
    Context, Decision, Effect, Layer, Policy, PolicyKind, PolicySet, Principal, Request, evaluate,
    simulate,
};

const ACCOUNT: &str = "123456789012";
const OTHER: &str = "210987654321";
const QUEUE: &str = "arn:aws:sqs:us-east-1:123456789012:q";

const ROOT: Principal = Principal::Root { account: ACCOUNT, arn: "arn:aws:iam::123456789012:root" };
const USER: Principal = Principal::User {
    account: ACCOUNT,
    arn: "arn:aws:iam::123456789012:user/ann",
    id: "AIDAEXAMPLEEXAMPLE",
    name: "ann",
};
const ROLE: Principal = Principal::AssumedRole {
    account: ACCOUNT,
    role_arn: "arn:aws:iam::123456789012:role/r",
    session_arn: "arn:aws:sts::123456789012:assumed-role/r/s",
    id: "AROAEXAMPLEEXAMPLE",
    session: "s",
};
const FEDERATED: Principal = Principal::FederatedUser {
    account: ACCOUNT,
    arn: "arn:aws:sts::123456789012:federated-user/f",
    id: "f",
    user_arn: "arn:aws:iam::123456789012:user/ann",
};

fn grants(effect: &str, action: &str) -> Policy {
    let text = format!(
        r#"{{"Version":"2012-10-17","Statement":
        {{"Effect":"{effect}","Action":"{action}","Resource":"*"}}}}"#
    );
    Policy::parse(&text, PolicyKind::Managed).expect("a valid document")
}

fn allow() -> Policy {
    grants("Allow", "sqs:*")
}

fn nothing() -> Policy {
    grants("Allow", "s3:*")
}

fn deny() -> Policy {
    grants("Deny", "sqs:*")
}

/// A queue's policy with one statement for `principal` (a JSON member).
fn on_queue(effect: &str, principal: &str) -> Policy {
    let text = format!(
        r#"{{"Version":"2012-10-17","Statement":
        {{"Effect":"{effect}",{principal},"Action":"sqs:SendMessage","Resource":"*"}}}}"#
    );
    Policy::parse(&text, PolicyKind::Resource).expect("a valid document")
}

fn to_aws(arn: &str) -> Policy {
    on_queue("Allow", &format!(r#""Principal":{{"AWS":"{arn}"}}"#))
}

fn ask_as(principal: Principal, owner: &str, set: &PolicySet<&Policy>) -> Decision {
    let mut context = Context::new();
    principal.describe(&mut context);
    let request = Request {
        principal,
        action: "SQS:sendmessage",
        resource: QUEUE,
        resource_account: owner,
        context: &context,
    };
    evaluate(set, &request)
}

fn ask(principal: Principal, set: &PolicySet<&Policy>) -> Decision {
    ask_as(principal, ACCOUNT, set)
}

fn denied_by(decision: Decision) -> Option<Layer> {
    match decision {
        Decision::ExplicitDeny(found) => Some(found.layer),
        _ => None,
    }
}

fn set_of<'a, 'p>(
    identity: &'a [&'p Policy],
    resource: Option<&'a &'p Policy>,
) -> PolicySet<'a, &'p Policy> {
    PolicySet { identity, resource, ..PolicySet::default() }
}

fn limited_to<'a, 'p>(
    boundary: &'a &'p Policy,
    resource: &'a &'p Policy,
) -> PolicySet<'a, &'p Policy> {
    PolicySet { boundary: Some(boundary), ..set_of(&[], Some(resource)) }
}

const NO_IDENTITY: Decision = Decision::ImplicitDeny(Layer::Identity);
const NO_BOUNDARY: Decision = Decision::ImplicitDeny(Layer::Boundary);
const NO_SESSION: Decision = Decision::ImplicitDeny(Layer::Session);

#[test]
fn nothing_is_allowed_by_default_and_root_may_do_everything() {
    let none = PolicySet::default();
    assert_eq!(ask(USER, &none), NO_IDENTITY);
    assert_eq!(ask(ROLE, &none), NO_IDENTITY);
    assert_eq!(ask(ROOT, &none), Decision::Allow);
    let (allow, nothing) = (&allow(), &nothing());
    assert_eq!(ask(USER, &set_of(&[allow], None)), Decision::Allow);
    assert_eq!(ask(USER, &set_of(&[nothing], None)), NO_IDENTITY);
    assert_eq!(ask(USER, &set_of(&[nothing, allow], None)), Decision::Allow);
}

#[test]
fn a_deny_in_any_layer_wins() {
    let (allow, deny) = (&allow(), &deny());
    let open = to_aws("*");
    let closed = on_queue("Deny", r#""Principal":"*""#);
    let allowed = [allow];
    let base = || PolicySet { identity: &allowed[..], ..PolicySet::default() };
    let levels: &[&[&Policy]] = &[&[allow], &[allow, deny]];
    let table = [
        (Layer::Identity, PolicySet { identity: &[allow, deny], resource: Some(&&open), ..base() }),
        (Layer::Boundary, PolicySet { boundary: Some(&deny), ..base() }),
        (Layer::Session, PolicySet { session: Some(&[allow, deny]), ..base() }),
        (Layer::ServiceControl, PolicySet { service_control: levels, ..base() }),
        (Layer::Resource, PolicySet { resource: Some(&&closed), ..base() }),
    ];
    for (layer, set) in &table {
        assert_eq!(denied_by(ask(USER, set)), Some(*layer));
    }
    // The root user is bound by the organization and by resources, not by policies of identities.
    assert_eq!(denied_by(ask(ROOT, &table[3].1)), Some(Layer::ServiceControl));
    assert_eq!(denied_by(ask(ROOT, &table[4].1)), Some(Layer::Resource));
}

#[test]
fn boundary_session_and_organization_limit_but_do_not_grant() {
    let (allow, nothing) = (&allow(), &nothing());
    let allowed = [allow];
    let base = || PolicySet { identity: &allowed[..], ..PolicySet::default() };
    assert_eq!(ask(USER, &PolicySet { boundary: Some(&allow), ..base() }), Decision::Allow);
    assert_eq!(ask(USER, &PolicySet { boundary: Some(&nothing), ..base() }), NO_BOUNDARY);
    assert_eq!(ask(ROLE, &PolicySet { session: Some(&[allow]), ..base() }), Decision::Allow);
    assert_eq!(ask(ROLE, &PolicySet { session: Some(&[nothing]), ..base() }), NO_SESSION);
    assert_eq!(ask(ROLE, &PolicySet { session: Some(&[]), ..base() }), NO_SESSION);
    assert_eq!(
        ask(ROLE, &PolicySet { session: Some(&[nothing, allow]), ..base() }),
        Decision::Allow
    );
    let only_limits =
        PolicySet { boundary: Some(&allow), session: Some(&[allow]), ..PolicySet::default() };
    assert_eq!(ask(ROLE, &only_limits), NO_IDENTITY);
    let every_level: &[&[&Policy]] = &[&[allow], &[nothing, allow]];
    let one_level_short: &[&[&Policy]] = &[&[allow], &[nothing]];
    let set = PolicySet { service_control: every_level, ..base() };
    assert_eq!(ask(USER, &set), Decision::Allow);
    let set = PolicySet { service_control: one_level_short, ..base() };
    assert_eq!(ask(USER, &set), Decision::ImplicitDeny(Layer::ServiceControl));
    assert_eq!(ask(ROOT, &set), Decision::ImplicitDeny(Layer::ServiceControl));
}

#[test]
fn inside_the_account_a_resource_may_grant_by_itself() {
    let nothing = &nothing();
    let user = &to_aws("arn:aws:iam::123456789012:user/ann");
    let id = &to_aws("AIDAEXAMPLEEXAMPLE");
    let role = &to_aws("arn:aws:iam::123456789012:role/r");
    let session = &to_aws("arn:aws:sts::123456789012:assumed-role/r/s");
    let account = &to_aws(ACCOUNT);
    let root = &to_aws("arn:aws:iam::123456789012:root");
    let star = &to_aws("*");
    let stranger = &to_aws("arn:aws:iam::123456789012:user/bob");
    // A user named itself is granted, boundary or not; a session named itself likewise.
    for (caller, policy) in [(USER, user), (USER, id), (ROLE, session), (USER, star), (ROLE, star)]
    {
        assert_eq!(ask(caller, &limited_to(&nothing, &policy)), Decision::Allow);
    }
    // A session reached through its role is granted, but boundary and session policies limit it.
    let plain = PolicySet { resource: Some(&role), ..PolicySet::default() };
    assert_eq!(ask(ROLE, &plain), Decision::Allow);
    assert_eq!(ask(ROLE, &limited_to(&nothing, &role)), NO_BOUNDARY);
    let in_session = PolicySet { session: Some(&[nothing]), resource: Some(&role), ..plain };
    assert_eq!(ask(ROLE, &in_session), NO_SESSION);
    // A federated session reached through its user, and named itself.
    let federated = &to_aws("arn:aws:sts::123456789012:federated-user/f");
    let by_user = PolicySet { session: Some(&[]), ..set_of(&[], Some(&user)) };
    assert_eq!(ask(FEDERATED, &by_user), NO_SESSION);
    let itself = PolicySet { session: Some(&[]), ..set_of(&[], Some(&federated)) };
    assert_eq!(ask(FEDERATED, &itself), Decision::Allow);
    // An account named is only trusted to pass the right on.
    let allow = &allow();
    for policy in [account, root] {
        let alone = PolicySet { resource: Some(&policy), ..PolicySet::default() };
        assert_eq!(ask(USER, &alone), NO_IDENTITY);
        assert_eq!(ask(USER, &PolicySet { identity: &[allow], ..alone }), Decision::Allow);
    }
    assert_eq!(ask(USER, &limited_to(&nothing, &stranger)), NO_IDENTITY);
}

#[test]
fn across_accounts_both_sides_must_allow() {
    let (allow, nothing) = (&allow(), &nothing());
    let user = &to_aws("arn:aws:iam::123456789012:user/ann");
    let account = &to_aws(ACCOUNT);
    let no_resource = Decision::ImplicitDeny(Layer::Resource);
    assert_eq!(ask_as(USER, OTHER, &set_of(&[allow], None)), no_resource);
    assert_eq!(ask_as(USER, OTHER, &set_of(&[], Some(&user))), NO_IDENTITY);
    assert_eq!(ask_as(USER, OTHER, &set_of(&[allow], Some(&user))), Decision::Allow);
    assert_eq!(ask_as(USER, OTHER, &set_of(&[allow], Some(&account))), Decision::Allow);
    assert_eq!(ask_as(ROOT, OTHER, &set_of(&[], None)), no_resource);
    assert_eq!(ask_as(ROOT, OTHER, &set_of(&[], Some(&account))), Decision::Allow);
    let allowed = [allow];
    let bounded = PolicySet { boundary: Some(&nothing), ..set_of(&allowed, Some(&user)) };
    assert_eq!(ask_as(USER, OTHER, &bounded), NO_BOUNDARY);
}

#[test]
fn trust_policies_must_allow_even_inside_the_account() {
    let assume = &grants("Allow", "sts:AssumeRole");
    let ask = |caller: Principal, action: &str, identity: &[&Policy], trust: &str| {
        let text = format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow",
            "Principal":{trust},"Action":"{action}"}}}}"#
        );
        let trust = &Policy::parse(&text, PolicyKind::Trust).unwrap();
        let set = PolicySet { identity, resource: Some(&trust), ..PolicySet::default() };
        let request = Request {
            principal: caller,
            action,
            resource: "arn:aws:iam::123456789012:role/r",
            resource_account: ACCOUNT,
            context: &Context::new(),
        };
        evaluate(&set, &request)
    };
    let no_trust = Decision::ImplicitDeny(Layer::Trust);
    let by_user = r#"{"AWS":"arn:aws:iam::123456789012:user/ann"}"#;
    let by_account = r#"{"AWS":"123456789012"}"#;
    let by_service = r#"{"Service":"ecs-tasks.amazonaws.com"}"#;
    let role = "sts:AssumeRole";
    assert_eq!(ask(USER, role, &[assume], by_service), no_trust);
    assert_eq!(ask(USER, role, &[], by_user), Decision::Allow);
    assert_eq!(ask(USER, role, &[], by_account), NO_IDENTITY);
    assert_eq!(ask(USER, role, &[assume], by_account), Decision::Allow);
    let service = Principal::Service("ecs-tasks.amazonaws.com");
    assert_eq!(ask(service, role, &[], by_service), Decision::Allow);
    assert_eq!(ask(Principal::Service("ec2.amazonaws.com"), role, &[], by_service), no_trust);
    // Everyone with an AWS identity, which must still be allowed on its own side in other accounts.
    assert_eq!(ask(USER, role, &[], r#"{"AWS":"*"}"#), Decision::Allow);
    let provider = "arn:aws:iam::123456789012:oidc-provider/login.example.com";
    let federated = Principal::Federated { provider };
    let web = "sts:AssumeRoleWithWebIdentity";
    let by_provider = format!(r#"{{"Federated":"{provider}"}}"#);
    assert_eq!(ask(federated, web, &[], &by_provider), Decision::Allow);
    assert_eq!(ask(federated, web, &[], by_account), no_trust);
    // A role may not assume itself unless its trust policy names it.
    assert_eq!(ask(ROLE, role, &[assume], by_user), no_trust);
}

#[test]
fn anonymous_callers_need_a_resource_open_to_everyone() {
    let (star, account) = (&to_aws("*"), &to_aws(ACCOUNT));
    assert_eq!(ask(Principal::Anonymous, &set_of(&[], Some(&star))), Decision::Allow);
    let refused = Decision::ImplicitDeny(Layer::Resource);
    assert_eq!(ask(Principal::Anonymous, &set_of(&[], Some(&account))), refused);
    assert_eq!(ask(Principal::Anonymous, &set_of(&[], None)), refused);
}

#[test]
fn not_principal_excepts_whom_it_names_at_every_level() {
    let (allow, nothing) = (&allow(), &nothing());
    let except = |list: &str| on_queue("Deny", &format!(r#""NotPrincipal":{{"AWS":[{list}]}}"#));
    let (account, user) = ("\"123456789012\"", "\"arn:aws:iam::123456789012:user/ann\"");
    let role = "\"arn:aws:iam::123456789012:role/r\"";
    let ask = |caller, list: &str| {
        let policy = &except(list);
        let set = PolicySet { identity: &[allow], resource: Some(&policy), ..PolicySet::default() };
        ask(caller, &set)
    };
    assert_eq!(ask(USER, &format!("{account},{user}")), Decision::Allow);
    assert_eq!(denied_by(ask(USER, user)), Some(Layer::Resource));
    assert_eq!(denied_by(ask(USER, account)), Some(Layer::Resource));
    assert_eq!(ask(ROLE, &format!("{account},{role}")), Decision::Allow);
    assert_eq!(denied_by(ask(ROLE, &format!("{account},{user}"))), Some(Layer::Resource));
    assert_eq!(ask(ROOT, account), Decision::Allow);
    // A permissions boundary undoes the exception.
    let policy = &except(&format!("{account},{user}"));
    let set = PolicySet {
        identity: &[allow],
        boundary: Some(&nothing),
        resource: Some(&policy),
        ..PolicySet::default()
    };
    assert_eq!(denied_by(self::ask(USER, &set)), Some(Layer::Resource));
}

#[test]
fn a_deny_on_role_or_account_reaches_the_session() {
    let allow = &allow();
    for named in ["123456789012", "arn:aws:iam::123456789012:role/r", "AROAEXAMPLEEXAMPLE"] {
        let closed = &on_queue("Deny", &format!(r#""Principal":{{"AWS":"{named}"}}"#));
        let set = PolicySet { identity: &[allow], resource: Some(&closed), ..PolicySet::default() };
        assert_eq!(denied_by(ask(ROLE, &set)), Some(Layer::Resource), "{named}");
    }
}

#[test]
fn not_action_and_not_resource() {
    let text = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","NotAction":"iam:*","Resource":"*"},
        {"Effect":"Deny","Action":"sqs:*","NotResource":"arn:aws:sqs:*:*:q"}]}"#;
    let policy = &Policy::parse(text, PolicyKind::Inline).unwrap();
    let set = PolicySet { identity: &[policy], ..PolicySet::default() };
    let ask = |action, resource| {
        let context = &Context::new();
        evaluate(
            &set,
            &Request { principal: USER, action, resource, resource_account: "", context },
        )
    };
    assert_eq!(ask("sqs:SendMessage", QUEUE), Decision::Allow);
    assert_eq!(denied_by(ask("sqs:SendMessage", "arn:aws:sqs:e:1:r")), Some(Layer::Identity));
    assert_eq!(ask("iam:GetUser", "*"), NO_IDENTITY);
    // An exception that names a missing value excepts nothing, so it must not allow.
    let holed = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*",
        "NotResource":"arn:aws:s3:::${aws:PrincipalTag/team}"}}"#;
    let holed = &Policy::parse(holed, PolicyKind::Inline).unwrap();
    let set = PolicySet { identity: &[holed], ..PolicySet::default() };
    assert_eq!(self::ask(USER, &set), NO_IDENTITY);
}

#[test]
fn denials_are_worded_as_aws_words_them() {
    let (nothing, deny) = (&nothing(), &deny());
    let text = |set: &PolicySet<&Policy>, owner: &str| {
        let context = &Context::new();
        let request = Request {
            principal: USER,
            action: "sqs:SendMessage",
            resource: QUEUE,
            resource_account: owner,
            context,
        };
        evaluate(set, &request).denied_text(&request).unwrap()
    };
    let head = "User: arn:aws:iam::123456789012:user/ann is not authorized to perform: \
                sqs:SendMessage on resource: arn:aws:sqs:us-east-1:123456789012:q";
    let allow = &allow();
    let allowed = [allow];
    let base = || PolicySet { identity: &allowed[..], ..PolicySet::default() };
    let levels: &[&[&Policy]] = &[&[nothing]];
    let because =
        |what: &str| format!("{head} because no {what} allows the sqs:SendMessage action");
    assert_eq!(text(&PolicySet::default(), ACCOUNT), because("identity-based policy"));
    assert_eq!(
        text(&PolicySet { boundary: Some(&nothing), ..base() }, ACCOUNT),
        because("permissions boundary")
    );
    assert_eq!(
        text(&PolicySet { session: Some(&[nothing]), ..base() }, ACCOUNT),
        because("session policy")
    );
    assert_eq!(
        text(&PolicySet { service_control: levels, ..base() }, ACCOUNT),
        because("service control policy")
    );
    assert_eq!(text(&base(), OTHER), because("resource-based policy"));
    assert_eq!(
        text(&PolicySet { identity: &[deny], ..PolicySet::default() }, ACCOUNT),
        format!("{head} with an explicit deny in an identity-based policy")
    );
    assert_eq!(
        text(&PolicySet { boundary: Some(&deny), ..base() }, ACCOUNT),
        format!("{head} with an explicit deny in a permissions boundary")
    );
}

#[test]
fn simulation_shows_statements_and_missing_keys() {
    let text = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":"sqs:*","Resource":"*"},
        {"Effect":"Deny","Action":"sqs:Send*","Resource":"*",
         "Condition":{"Bool":{"aws:SecureTransport":"false"}}},
        {"Effect":"Allow","Action":"s3:*","Resource":"*",
         "Condition":{"Bool":{"other:Key":"1"}}}]}"#;
    let policy = &Policy::parse(text, PolicyKind::Inline).unwrap();
    let boundary = &allow();
    let set = PolicySet { identity: &[policy], boundary: Some(&boundary), ..PolicySet::default() };
    let run = |context: &Context| {
        let request = Request {
            principal: USER,
            action: "sqs:SendMessage",
            resource: "*",
            resource_account: "",
            context,
        };
        simulate(&set, &request)
    };
    let open = run(&Context::new());
    assert_eq!(open.decision.outcome().as_str(), "allowed");
    assert_eq!(open.missing_context_values, ["aws:SecureTransport"]);
    assert_eq!(open.allowed_by_permissions_boundary, Some(true));
    assert_eq!(open.allowed_by_organizations, None);
    let found: Vec<_> = open.matched.iter().map(|m| (m.found.statement, m.start.line)).collect();
    assert_eq!(found, [(0, 2)]);
    let closed = run(&Context::new().with("aws:SecureTransport", "false"));
    assert_eq!(closed.decision.outcome().as_str(), "explicitDeny");
    assert!(closed.missing_context_values.is_empty());
    let found: Vec<_> =
        closed.matched.iter().map(|m| (m.found.statement, m.found.effect)).collect();
    assert_eq!(found, [(1, Effect::Deny)]);
}
