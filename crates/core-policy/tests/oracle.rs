//! The same generated policies and requests put to iam-rs, an independent evaluator.
//!
//! Only what both mean to be the same is generated. Where they differ on purpose:
//! - Resources: AWS globs the whole ARN, iam-rs part by part and with no wildcard in the service.
//!   The generated ones keep wildcards inside the last part.
//! - ArnEquals takes wildcards on AWS, iam-rs compares text; ArnLike is cut at colons on AWS only.
//!   ARN operators are left out.
//! - Variables: iam-rs fills them into resources only, lets a filled-in `*` act as a wildcard, and
//!   reads an absent value as empty; here they work in conditions too, are literal, and absent
//!   matches nothing.
//! - A number, date or address that cannot be read is an error to iam-rs; on AWS the statement does
//!   not apply. Values are generated well-formed, and numbers as text: iam-rs takes no lists of
//!   bare numbers.
//! - A plain operator over a set of values: iam-rs refuses the type, AWS takes any of them. Sets
//!   are generated for set operators only. iam-rs has no IfExists behind these.
//! - Set operators count a lone empty string as no value, as AWS documents; values are not empty.
//! - Principals, layers and NotPrincipal: iam-rs evaluates one flat list of policies.

use core_policy::{Context, Decision, Policy, PolicyKind, PolicySet, Principal, Request, evaluate};
use iam_rs as other;
use proptest::prelude::*;

const ARN: &str = "arn:aws:iam::123456789012:user/ann";

#[derive(Debug, Clone)]
enum Value {
    Text(String),
    Number(i32),
    Bool(bool),
    Texts(Vec<String>),
}

fn word() -> impl Strategy<Value = String> {
    "[abAB]{1,3}"
}

fn pattern() -> impl Strategy<Value = String> {
    "[abAB*?]{1,4}"
}

fn action() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("*".to_owned()),
        "(ecs|s3):(\\*|Get\\*|\\*Task|GetTask|getTask|RunT?sk|List\\?)",
    ]
}

fn resource() -> impl Strategy<Value = String> {
    prop_oneof![Just("*".to_owned()), "arn:aws:s3:::[ab/*?]{1,5}"]
}

fn values(one: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    proptest::collection::vec(one, 1..3).prop_map(|values| format!("{values:?}"))
}

/// One member of a Condition block: operator, key (by its type), JSON values.
fn condition() -> impl Strategy<Value = (String, String)> {
    let suffix = || prop_oneof![Just(""), Just("IfExists")];
    let equals = "String(Not)?Equals(IgnoreCase)?";
    let numeric = "Numeric(Equals|NotEquals|LessThan|LessThanEquals|GreaterThan|GreaterThanEquals)";
    prop_oneof![
        (equals, suffix(), values(word()))
            .prop_map(|(op, end, v)| (format!("{op}{end}"), format!(r#"{{"x:text":{v}}}"#))),
        ("String(Not)?Like", suffix(), values(pattern()))
            .prop_map(|(op, end, v)| (format!("{op}{end}"), format!(r#"{{"x:text":{v}}}"#))),
        (numeric, suffix(), values("-?[0-3]"))
            .prop_map(|(op, end, v)| (format!("{op}{end}"), format!(r#"{{"x:number":{v}}}"#))),
        (suffix(), any::<bool>())
            .prop_map(|(end, v)| (format!("Bool{end}"), format!(r#"{{"x:bool":"{v}"}}"#))),
        ("(Not)?IpAddress", suffix(), values("10\\.[01]\\.0\\.0/(8|16|31)"))
            .prop_map(|(op, end, v)| (format!("{op}{end}"), format!(r#"{{"x:ip":{v}}}"#))),
        (any::<bool>(), "x:(text|number|set)")
            .prop_map(|(v, key)| ("Null".to_owned(), format!(r#"{{"{key}":"{v}"}}"#))),
        ("For(AllValues|AnyValue):StringLike", values(pattern()))
            .prop_map(|(op, v)| (op, format!(r#"{{"x:set":{v}}}"#))),
        ("For(AllValues|AnyValue):String(Not)?Equals", values(word()))
            .prop_map(|(op, v)| (op, format!(r#"{{"x:set":{v}}}"#))),
    ]
}

fn statement() -> impl Strategy<Value = String> {
    (
        "(Allow|Deny)",
        "(Not)?Action",
        values(action()),
        "(Not)?Resource",
        values(resource()),
        proptest::collection::btree_map(Just(()), condition(), 0..2),
    )
        .prop_map(|(effect, action, actions, resource, resources, conditions)| {
            let block: Vec<String> =
                conditions.values().map(|(op, keys)| format!(r#""{op}":{keys}"#)).collect();
            let condition = match block.is_empty() {
                true => String::new(),
                false => format!(r#","Condition":{{{}}}"#, block.join(",")),
            };
            format!(
                r#"{{"Effect":"{effect}","{action}":{actions},
                "{resource}":{resources}{condition}}}"#
            )
        })
}

fn document() -> impl Strategy<Value = String> {
    proptest::collection::vec(statement(), 1..4).prop_map(|statements| {
        format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, statements.join(","))
    })
}

fn context() -> impl Strategy<Value = Vec<(&'static str, Value)>> {
    (
        proptest::option::of(word().prop_map(Value::Text)),
        proptest::option::of((-3..3_i32).prop_map(Value::Number)),
        proptest::option::of(any::<bool>().prop_map(Value::Bool)),
        proptest::option::of("10\\.[01]\\.0\\.[012]".prop_map(Value::Text)),
        proptest::option::of(proptest::collection::vec(word(), 1..4).prop_map(Value::Texts)),
    )
        .prop_map(|(text, number, truth, ip, set)| {
            let named = [
                ("x:text", text),
                ("x:number", number),
                ("X:Bool", truth),
                ("x:ip", ip),
                ("x:set", set),
            ];
            named.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
        })
}

fn ours(documents: &[String], action: &str, resource: &str, keys: &[(&str, Value)]) -> Decision {
    let parse = |text: &String| {
        Policy::parse(text, PolicyKind::Managed).unwrap_or_else(|e| panic!("{e}: {text}"))
    };
    let policies: Vec<Policy> = documents.iter().map(parse).collect();
    let policies: Vec<&Policy> = policies.iter().collect();
    let mut context = Context::new();
    for (key, value) in keys {
        match value {
            Value::Text(text) => context.set(*key, text.as_str()),
            Value::Number(number) => context.set(*key, number.to_string()),
            Value::Bool(truth) => context.set(*key, truth.to_string()),
            Value::Texts(texts) => context.set_many(*key, texts.iter().map(String::as_str)),
        }
    }
    let principal =
        Principal::User { account: "123456789012", arn: ARN, id: "AIDAEXAMPLE", name: "ann" };
    let request = Request { principal, action, resource, resource_account: "", context: &context };
    evaluate(&PolicySet { identity: &policies, ..PolicySet::default() }, &request)
}

fn theirs(
    documents: &[String],
    action: &str,
    resource: &str,
    keys: &[(&str, Value)],
) -> other::Decision {
    let parse = |text: &String| serde_json::from_str::<other::IAMPolicy>(text).expect("a document");
    let policies: Vec<other::IAMPolicy> = documents.iter().map(parse).collect();
    let mut context = other::Context::new();
    for (key, value) in keys {
        let value = match value.clone() {
            Value::Text(text) => other::ContextValue::String(text),
            Value::Number(number) => other::ContextValue::Number(f64::from(number)),
            Value::Bool(truth) => other::ContextValue::Boolean(truth),
            Value::Texts(texts) => other::ContextValue::StringList(texts),
        };
        context.insert((*key).to_owned(), value);
    }
    let request = other::IAMRequest::new_with_context(
        other::Principal::Aws(other::PrincipalId::String(ARN.to_owned())),
        action,
        other::Arn::parse(resource).expect("an ARN"),
        context,
    );
    other::evaluate_policies(&policies, &request).expect("well-formed values")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn both_evaluators_agree(
        documents in proptest::collection::vec(document(), 1..3),
        action in "(ecs|s3):(GetTask|RunTask|ListX|gettask)",
        resource in "arn:aws:s3:::[ab/]{1,4}",
        keys in context(),
    ) {
        let mine = match ours(&documents, &action, &resource, &keys) {
            Decision::Allow => other::Decision::Allow,
            Decision::ExplicitDeny(_) => other::Decision::Deny,
            Decision::ImplicitDeny(_) => other::Decision::NotApplicable,
        };
        let their = theirs(&documents, &action, &resource, &keys);
        prop_assert_eq!(mine, their, "{:?} {} {} {:?}", documents, action, resource, keys);
    }
}
