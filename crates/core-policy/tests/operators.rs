//! Every condition operator against values that fit, that do not fit, and that are not there.

use core_policy::{Context, Policy, PolicyKind, PolicySet, Principal, Request, evaluate};

const USER: Principal = Principal::User {
    account: "123456789012",
    arn: "arn:aws:iam::123456789012:user/ann",
    id: "AIDAEXAMPLEEXAMPLE",
    name: "ann",
};

fn holds_in(version: &str, condition: &str, context: &Context) -> bool {
    let text = format!(
        r#"{{"Version":"{version}","Statement":{{"Effect":"Allow","Action":"*","Resource":"*",
        "Condition":{condition}}}}}"#
    );
    let policy = Policy::parse(&text, PolicyKind::Inline).unwrap_or_else(|e| panic!("{e}: {text}"));
    let request = Request {
        principal: USER,
        action: "ecs:RunTask",
        resource: "*",
        resource_account: "",
        context,
    };
    let set = PolicySet { identity: &[&policy], ..PolicySet::default() };
    evaluate(&set, &request).is_allowed()
}

/// `operator` over one key `k` with the policy values `wanted` (JSON) against the request's value.
fn holds(operator: &str, wanted: &str, value: Option<&str>) -> bool {
    let context = match value {
        Some(value) => Context::new().with("k", value),
        None => Context::new(),
    };
    holds_in("2012-10-17", &format!(r#"{{"{operator}":{{"k":{wanted}}}}}"#), &context)
}

fn holds_for_set(operator: &str, wanted: &str, values: &[&str]) -> bool {
    let context = Context::new().with_many("k", values.iter().copied());
    holds_in("2012-10-17", &format!(r#"{{"{operator}":{{"k":{wanted}}}}}"#), &context)
}

/// Operator, policy values, a request value that satisfies it, one that does not.
const TABLE: &[(&str, &str, &str, &str)] = &[
    ("StringEquals", r#""abc""#, "abc", "ABC"),
    ("StringEquals", r#"["x","abc"]"#, "abc", "abcd"),
    ("StringEquals", r#""a*""#, "a*", "abc"),
    ("StringEquals", r#""${*}""#, "*", "x"),
    ("StringNotEquals", r#""abc""#, "ABC", "abc"),
    ("StringNotEquals", r#"["x","abc"]"#, "y", "x"),
    ("StringEqualsIgnoreCase", r#""aBc""#, "AbC", "ab"),
    ("StringNotEqualsIgnoreCase", r#""aBc""#, "ab", "AbC"),
    ("StringLike", r#""a*c?""#, "abbcd", "abbc"),
    ("StringLike", r#""home/${*}/*""#, "home/*/x", "home/a/x"),
    ("StringNotLike", r#"["a*","b*"]"#, "c", "bx"),
    (
        "ArnEquals",
        r#""arn:aws:sns:*:123:t*""#,
        "arn:aws:sns:eu-west-1:123:top",
        "arn:aws:sqs:e:123:t",
    ),
    ("ArnLike", r#""arn:aws:sns:*:123:t?p""#, "arn:aws:sns:e:123:top", "arn:aws:sns:e:x:123:top"),
    ("ArnNotEquals", r#""arn:aws:sns:*:123:*""#, "arn:aws:sns:e:124:t", "arn:aws:sns:e:123:t"),
    ("ArnNotLike", r#""arn:aws:sns:*:123:*""#, "not an arn", "arn:aws:sns:e:123:t"),
    ("NumericEquals", "10", "10.0", "11"),
    ("NumericEquals", r#"["1","2"]"#, "2", "3"),
    ("NumericNotEquals", r#""10""#, "11", "10"),
    ("NumericLessThan", r#""10""#, "9.5", "10"),
    ("NumericLessThanEquals", r#""10""#, "10", "10.01"),
    ("NumericGreaterThan", r#""10""#, "11", "10"),
    ("NumericGreaterThanEquals", r#""10""#, "10", "-10"),
    (
        "DateEquals",
        r#""2026-01-02T00:00:00Z""#,
        "2026-01-02T01:00:00+01:00",
        "2026-01-03T00:00:00Z",
    ),
    ("DateNotEquals", r#""2026-01-02T00:00:00Z""#, "2026-01-02T00:00:01Z", "1767312000"),
    (
        "DateLessThan",
        r#""2026-01-02T00:00:00Z""#,
        "2026-01-01T23:59:59.999Z",
        "2026-01-02T00:00:00Z",
    ),
    ("DateLessThanEquals", r#""2026-01-02""#, "2026-01-02T00:00:00Z", "2026-01-02T00:00:01Z"),
    ("DateGreaterThan", r#""1767312000""#, "2026-01-02T00:00:01Z", "2026-01-02T00:00:00Z"),
    ("DateGreaterThanEquals", r#""2026-01-02""#, "2026-01-02T00:00:00Z", "2025-12-31"),
    ("Bool", "true", "true", "false"),
    ("Bool", r#""False""#, "false", "yes"),
    ("BinaryEquals", r#""QmluYXJ5""#, "QmluYXJ5", "qmluYXJ5"),
    ("IpAddress", r#"["203.0.113.0/24","2001:DB8::/32"]"#, "2001:db8::7", "203.0.114.1"),
    ("NotIpAddress", r#"["203.0.113.0/24","10.0.0.0/8"]"#, "192.0.2.1", "10.1.2.3"),
];

const NEGATED: &[&str] = &[
    "StringNotEquals",
    "StringNotEqualsIgnoreCase",
    "StringNotLike",
    "ArnNotEquals",
    "ArnNotLike",
    "NumericNotEquals",
    "DateNotEquals",
    "NotIpAddress",
];

#[test]
fn each_operator_and_each_qualifier_on_one_value() {
    for (operator, wanted, good, bad) in TABLE {
        for (prefix, suffix) in
            [("", ""), ("", "IfExists"), ("ForAllValues:", ""), ("ForAnyValue:", "IfExists")]
        {
            let name = format!("{prefix}{operator}{suffix}");
            assert!(holds(&name, wanted, Some(good)), "{name} {wanted} must accept {good}");
            assert!(!holds(&name, wanted, Some(bad)), "{name} {wanted} must refuse {bad}");
        }
    }
}

#[test]
fn an_absent_key_fails_all_but_negated_if_exists_and_for_all_values() {
    for (operator, wanted, ..) in TABLE {
        let negated = NEGATED.contains(operator);
        assert_eq!(holds(operator, wanted, None), negated, "{operator}");
        assert!(holds(&format!("{operator}IfExists"), wanted, None), "{operator}IfExists");
        assert!(
            holds(&format!("ForAllValues:{operator}"), wanted, None),
            "ForAllValues:{operator}"
        );
        assert!(!holds(&format!("ForAnyValue:{operator}"), wanted, None), "ForAnyValue:{operator}");
    }
}

#[test]
fn null_asks_for_presence() {
    assert!(holds("Null", "true", None));
    assert!(holds("Null", r#""false""#, Some("x")));
    assert!(!holds("Null", r#""true""#, Some("x")));
    assert!(!holds("Null", "false", None));
    assert!(holds_for_set("Null", "true", &[]), "an empty set is no value");
}

#[test]
fn set_operators_over_several_values() {
    let table = [
        ("ForAllValues:StringEquals", r#"["a","b"]"#, &["a", "b"][..], true),
        ("ForAllValues:StringEquals", r#"["a","b"]"#, &["a", "c"], false),
        ("ForAllValues:StringEquals", r#"["a","b"]"#, &[], true),
        ("ForAnyValue:StringEquals", r#"["a","b"]"#, &["c", "a"], true),
        ("ForAnyValue:StringEquals", r#"["a","b"]"#, &["c"], false),
        ("ForAnyValue:StringEquals", r#"["a","b"]"#, &[], false),
        ("ForAllValues:StringNotEquals", r#"["a","b"]"#, &["c", "d"], true),
        ("ForAllValues:StringNotEquals", r#"["a","b"]"#, &["c", "a"], false),
        ("ForAnyValue:StringNotEquals", r#"["a","b"]"#, &["a", "c"], true),
        ("ForAnyValue:StringNotEquals", r#"["a","b"]"#, &["a", "b"], false),
        ("ForAllValues:StringLike", r#""Amazon*""#, &["AmazonA", "AmazonB"], true),
        ("ForAllValues:StringLike", r#""Amazon*""#, &["AmazonA", "x"], false),
        ("ForAllValues:StringEquals", r#""a""#, &[""], true),
        ("ForAnyValue:NumericLessThan", r#""5""#, &["9", "4"], true),
        ("ForAllValues:IpAddress", r#""10.0.0.0/8""#, &["10.1.1.1", "11.1.1.1"], false),
    ];
    for (operator, wanted, values, expected) in table {
        assert_eq!(holds_for_set(operator, wanted, values), expected, "{operator} {values:?}");
    }
}

#[test]
fn values_that_are_not_of_the_type_compare_with_nothing() {
    assert!(!holds("NumericEquals", r#""ten""#, Some("ten")));
    assert!(!holds("NumericLessThan", r#""10""#, Some("many")));
    assert!(holds("NumericNotEquals", r#""10""#, Some("many")));
    assert!(!holds("IpAddress", r#""everywhere""#, Some("10.0.0.1")));
    assert!(!holds("DateGreaterThan", r#""2026-01-02""#, Some("soon")));
    assert!(!holds("Bool", r#""maybe""#, Some("maybe")));
    assert!(!holds("StringEquals", "[]", Some("x")));
    assert!(holds("StringNotEquals", "[]", Some("x")));
}

#[test]
fn operators_and_keys_are_joined_by_and_and_keys_ignore_case() {
    let both = r#"{"StringEquals":{"a":"1","b":"2"},"Bool":{"c":"true"}}"#;
    let full = Context::new().with("A", "1").with("B", "2").with("C", "true");
    assert!(holds_in("2012-10-17", both, &full));
    for key in ["a", "b", "c"] {
        assert!(!holds_in("2012-10-17", both, &full.clone().with(key, "other")), "{key}");
    }
}

#[test]
fn variables_in_conditions() {
    let own_tag = r#"{"StringEquals":{"aws:ResourceTag/team":"${aws:PrincipalTag/team}"}}"#;
    let tagged = |resource: &'static str, principal: Option<&'static str>| {
        let context = Context::new().with("aws:ResourceTag/team", resource);
        match principal {
            Some(team) => context.with("aws:PrincipalTag/Team", team),
            None => context,
        }
    };
    assert!(holds_in("2012-10-17", own_tag, &tagged("red", Some("red"))));
    assert!(!holds_in("2012-10-17", own_tag, &tagged("red", Some("blue"))));
    assert!(!holds_in("2012-10-17", own_tag, &tagged("red", None)));
    assert!(!holds_in("2012-10-17", own_tag, &tagged("", None)), "no value is not the empty value");
    let not_own = own_tag.replace("StringEquals", "StringNotEquals");
    assert!(holds_in("2012-10-17", &not_own, &tagged("red", None)));
    // Version 2008-10-17 reads no variables.
    assert!(!holds_in("2008-10-17", own_tag, &tagged("red", Some("red"))));
    assert!(holds_in("2008-10-17", own_tag, &tagged("${aws:PrincipalTag/team}", None)));
    let default = r#"{"StringLike":{"aws:ResourceTag/team":"${aws:PrincipalTag/team, 'all'}-*"}}"#;
    assert!(holds_in("2012-10-17", default, &tagged("all-1", None)));
    // Numbers, dates, addresses and booleans take no variables.
    let number = r#"{"NumericEquals":{"k":"${n}"}}"#;
    assert!(!holds_in("2012-10-17", number, &Context::new().with("k", "1").with("n", "1")));
}
