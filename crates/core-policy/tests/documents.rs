//! Which documents are refused, and with which of AWS's texts.

use core_policy::{Policy, PolicyKind, Position};

fn refusal(text: &str, kind: PolicyKind) -> Option<String> {
    Policy::parse(text, kind).err().map(|error| error.message)
}

/// A managed policy with this one statement.
fn of_statement(statement: &str) -> Option<String> {
    let text = format!(r#"{{"Version":"2012-10-17","Statement":{statement}}}"#);
    refusal(&text, PolicyKind::Managed)
}

/// A managed policy whose statement allows `action` on `resource`, both JSON.
fn of(action: &str, resource: &str) -> Option<String> {
    of_statement(&format!(r#"{{"Effect":"Allow","Action":{action},"Resource":{resource}}}"#))
}

fn with_condition(condition: &str) -> Option<String> {
    of_statement(&format!(
        r#"{{"Effect":"Allow","Action":"s3:GetObject","Resource":"*","Condition":{condition}}}"#
    ))
}

const SYNTAX: &str = "Syntax errors in policy.";
const LEGACY: &str = "The policy failed legacy parsing";
const VERSION: &str = "Policy document must be version 2012-10-17 or greater.";
const NO_ACTIONS: &str = "Policy statement must contain actions.";
const NO_RESOURCES: &str = "Policy statement must contain resources.";
const VENDOR: &str = "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.";
const COLONS: &str = "Actions/Condition can contain only one colon.";

#[test]
fn syntax() {
    let statements = [
        "\"text\"",
        "[]",
        "[\"text\"]",
        r#"{"Action":"s3:Get","Resource":"*"}"#,
        r#"{"Effect":"Maybe","Action":"s3:Get","Resource":"*"}"#,
        r#"{"Effect":"Allow","Action":"s3:Get","Resource":"*","Extra":"x"}"#,
        r#"{"Effect":"Allow","Action":"s3:Get","NotAction":[],"Resource":"*"}"#,
        r#"{"Effect":"Allow","Action":"s3:Get","Resource":"*","NotResource":[]}"#,
        r#"{"Effect":"Allow","Action":"s3:Get","Resource":{"a":"b"}}"#,
        r#"{"Effect":"Allow","Action":[[]],"Resource":"*"}"#,
        r#"{"Effect":"Allow","Action":{},"Resource":"*"}"#,
        r#"{"Effect":"Allow","Action":7,"Resource":"*"}"#,
        r#"{"Sid":{},"Effect":"Allow","Action":"s3:Get","Resource":"*"}"#,
        r#"{"Effect":"Allow","Effect":"Deny","Action":"s3:Get","Resource":"*"}"#,
        r#"{"Effect":"Allow","Action":"s3:Get","Resource":"*","Principal":"ann"}"#,
        r#"{"Effect":"Allow","Action":"s3:Get","Resource":"*","Principal":{"Who":"ann"}}"#,
    ];
    for statement in statements {
        assert_eq!(of_statement(statement).as_deref(), Some(SYNTAX), "{statement}");
    }
    let conditions = [
        "[]",
        "\"a\"",
        r#"{"StringEquals":"b"}"#,
        r#"{"StringEquals":[]}"#,
        r#"{"StringEquals":{"a":{}}}"#,
        r#"{"StringEquals":{"a":[[]]}}"#,
        r#"{"StringEquals":{"a":null}}"#,
        r#"{"StringEquals":{"a":"1","a":"2"}}"#,
        r#"{"StringEquals":{"a":"1"},"StringEquals":{"b":"2"}}"#,
        r#"{"x":{"a":"1"}}"#,
        r#"{"stringequals":{"a":"1"}}"#,
        r#"{"ForAnyValue::StringEquals":{"a":"1"}}"#,
        r#"{"NullIfExists":{"a":"true"}}"#,
        r#"{"NumericLike":{"a":"1"}}"#,
    ];
    for condition in conditions {
        assert_eq!(with_condition(condition).as_deref(), Some(SYNTAX), "{condition}");
    }
    let documents = [
        "",
        "no json",
        "[]",
        "null",
        r#"{"Version":"2012-10-17"}"#,
        r#"{"Version":"2013-10-17","Statement":{"Effect":"Allow","Action":"a:b","Resource":"*"}}"#,
        r#"{"Version":"2012-10-17","Id":{},
            "Statement":{"Effect":"Allow","Action":"a:b","Resource":"*"}}"#,
        r#"{"Version":"2012-10-17","X":1,
            "Statement":{"Effect":"Allow","Action":"a:b","Resource":"*"}}"#,
    ];
    for document in documents {
        assert_eq!(refusal(document, PolicyKind::Managed).as_deref(), Some(SYNTAX), "{document}");
    }
}

#[test]
fn accepted_conditions() {
    for condition in [
        "{}",
        r#"{"a":{}}"#,
        r#"{"DateGreaterThan":{"a":[]}}"#,
        r#"{"DateGreaterThan":{"a":"01T"}}"#,
        r#"{"DateLessThanEquals":{"a":"2016-12-13t2:00:00.593194+23"}}"#,
        r#"{"DateLessThan":{"a":"-292275054"}}"#,
        r#"{"ForAnyValue:StringEqualsIfExists":{"a":"x"}}"#,
        r#"{"Bool":{"aws:SecureTransport":true}}"#,
        r#"{"NumericLessThan":{"s3:max-keys":[10,2.5]}}"#,
    ] {
        assert_eq!(with_condition(condition), None, "{condition}");
    }
}

#[test]
fn versions() {
    let old =
        r#"{"Version":"2008-10-17","Statement":{"Effect":"Allow","Action":"a:b","Resource":"*"}}"#;
    let none = r#"{"Statement":{"Effect":"Allow","Action":"a:b","Resource":"*"}}"#;
    for text in [old, none] {
        assert_eq!(refusal(text, PolicyKind::Managed).as_deref(), Some(VERSION));
        assert_eq!(refusal(text, PolicyKind::Inline), None);
    }
}

#[test]
fn the_older_parser() {
    let effect = r#"{"Effect":"denY","Action":"s3:Get","Resource":"*"}"#;
    assert_eq!(of_statement(effect).as_deref(), Some(LEGACY));
    for resource in ["arn:aws:s3::bucket", "arn:aws::::bucket", "arn:aws::x"] {
        assert_eq!(
            of(r#""s3:Get""#, &format!("\"{resource}\"")).as_deref(),
            Some(LEGACY),
            "{resource}"
        );
    }
    for date in ["soon", "234-13", "2016-12-13t2:00:00.593194+1", "9223372036854775808"] {
        let condition = format!(r#"{{"DateLessThan":{{"a":"{date}"}}}}"#);
        assert_eq!(with_condition(&condition).as_deref(), Some(LEGACY), "{date}");
    }
    // Its complaints come before those about actions, partitions and ids.
    let both = r#"{"Effect":"Allow","Resource":"arn:error:s3:::b",
        "Condition":{"DateLessThan":{"a":"soon"}}}"#;
    assert_eq!(of_statement(both).as_deref(), Some(LEGACY));
}

#[test]
fn actions() {
    let table = [
        (r#""invalid""#, Some(VENDOR)),
        (r#""""#, Some(VENDOR)),
        (r#""a a:Get""#, Some("Vendor a a is not valid")),
        (r#""s3:List:Bucket""#, Some(COLONS)),
        (r#"["s3:Get","s:3:Get"]"#, Some(COLONS)),
        ("[]", Some(NO_ACTIONS)),
        (r#""*""#, None),
        (r#""*:*""#, None),
        (r#""s3-s.x: odd but taken ""#, None),
    ];
    for (action, expected) in table {
        assert_eq!(of(action, r#""*""#).as_deref(), expected, "{action}");
    }
    assert_eq!(of_statement(r#"{"Effect":"Allow"}"#).as_deref(), Some(NO_ACTIONS));
}

#[test]
fn resources() {
    let paths = "IAM resource path must either be \"*\" or start with user/, federated-user/, \
                 role/, group/, instance-profile/, mfa/, server-certificate/, policy/, sms-mfa/, \
                 saml-provider/, oidc-provider/, report/, access-report/.";
    let table = [
        ("bucket", Some("Resource bucket must be in ARN format or \"*\".")),
        ("", Some("Resource  must be in ARN format or \"*\".")),
        ("a:b", Some("Partition \"b\" is not valid for resource \"arn:b:*:*:*:*\".")),
        ("a:b:c", Some("Partition \"b\" is not valid for resource \"arn:b:c:*:*:*\".")),
        (
            "a:b:c:d:e:f:g:h",
            Some("Partition \"b\" is not valid for resource \"arn:b:c:d:e:f:g:h\"."),
        ),
        (
            "aws:s3:::bucket",
            Some("Partition \"s3\" is not valid for resource \"arn:s3:::bucket:*\"."),
        ),
        ("arn:aws", Some("Resource vendor must be fully qualified and cannot contain regexes.")),
        (
            "arn:aws:iam:us-east-1::x",
            Some("IAM resource arn:aws:iam:us-east-1::x cannot contain region information."),
        ),
        (
            "arn:aws:s3:us-east-1::b",
            Some("Resource arn:aws:s3:us-east-1::b can not contain region information."),
        ),
        ("arn:aws:s3:us-east-1:123456789012:accesspoint/x", None),
        ("arn:aws:iam:::bucket", Some(paths)),
        ("arn:aws:iam::*:user/${aws:username}", None),
        ("arn:aws:iam::123456789012:*", None),
        ("arn:aws:unknown", None),
        ("arn:aws:ecs:us-east-1:123456789012:cluster/*", None),
        ("arn:*:s3:::b", None),
        ("*", None),
    ];
    for (resource, expected) in table {
        assert_eq!(
            of(r#""s3:Get""#, &format!("\"{resource}\"")).as_deref(),
            expected,
            "{resource}"
        );
    }
    assert_eq!(of(r#""s3:Get""#, "[]").as_deref(), Some(NO_RESOURCES));
    assert_eq!(
        of_statement(r#"{"Effect":"Allow","Action":"s3:Get"}"#).as_deref(),
        Some(NO_RESOURCES)
    );
    // A bad resource is reported before a bad action, a missing one after.
    assert!(of(r#""s:3:x""#, r#""bad""#).is_some_and(|text| text.starts_with("Resource bad")));
    let no_resource = r#"{"Effect":"Allow","Action":"invalid"}"#;
    assert_eq!(of_statement(no_resource).as_deref(), Some(VENDOR));
}

#[test]
fn statement_ids() {
    let twice = r#"[{"Sid":"a","Effect":"Allow","Action":"s3:Get","Resource":"*"},
        {"Sid":"a","Effect":"Allow"}]"#;
    assert_eq!(
        of_statement(twice).as_deref(),
        Some("Statement IDs (SID) in a single policy must be unique.")
    );
    let spaced = r#"{"Sid":"a b","Effect":"Allow","Action":"s3:Get","Resource":"*"}"#;
    assert!(of_statement(spaced).is_some_and(|text| text.contains("must be alpha-numeric")));
    let empty = r#"[{"Sid":"","Effect":"Allow","Action":"s3:Get","Resource":"*"},
        {"Sid":"","Effect":"Allow","Action":"s3:Get","Resource":"*"}]"#;
    assert_eq!(of_statement(empty), None);
}

#[test]
fn principals_by_kind_of_document() {
    let named =
        r#"{"Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":"sts:AssumeRole"}"#;
    assert_eq!(
        of_statement(named).as_deref(),
        Some("Policy document should not specify a principal.")
    );
    let trust =
        |statement: &str| refusal(&format!(r#"{{"Statement":[{statement}]}}"#), PolicyKind::Trust);
    assert_eq!(trust(named), None);
    let with = |principal: &str, action: &str, more: &str| {
        trust(&format!(r#"{{"Effect":"Allow",{principal}"Action":"{action}"{more}}}"#))
    };
    let service = r#""Principal":{"Service":["ecs-tasks.amazonaws.com","ec2.amazonaws.com"]},"#;
    assert_eq!(with(service, "sts:AssumeRole", ""), None);
    assert_eq!(with(service, "sts:TagSession", ""), None);
    assert_eq!(
        with(service, "sts:AssumeRole", r#","Resource":"*""#).as_deref(),
        Some("Has prohibited field Resource")
    );
    assert_eq!(
        with(service, "s3:Get", "").as_deref(),
        Some("AssumeRole policy may only specify STS AssumeRole actions.")
    );
    let missing = Some("Missing required field Principal");
    assert_eq!(with("", "sts:AssumeRole", "").as_deref(), missing);
    assert_eq!(with(r#""Principal":{},"#, "sts:AssumeRole", "").as_deref(), missing);
    assert_eq!(
        with(r#""Principal":"*","#, "sts:AssumeRole", "").as_deref(),
        Some("AssumeRolepolicy contained an invalid principal: \"STAR\":\"*\".")
    );
    for good in [
        r#"{"AWS":"*"}"#,
        r#"{"AWS":["123456789012","arn:aws:iam::123456789012:role/a/b"]}"#,
        r#"{"AWS":"arn:aws:sts::123456789012:assumed-role/a/b"}"#,
        r#"{"AWS":"AROAEXAMPLEEXAMPLEXX"}"#,
        r#"{"Federated":"arn:aws:iam::123456789012:oidc-provider/x"}"#,
        r#"{"Federated":"accounts.google.com"}"#,
    ] {
        let principal = format!(r#""Principal":{good},"#);
        assert_eq!(with(&principal, "sts:AssumeRole", ""), None, "{good}");
    }
    for (bad, name, value) in [
        (r#"{"AWS":"ann"}"#, "AWS", "ann"),
        (
            r#"{"AWS":"arn:aws:iam::123456789012:role/*"}"#,
            "AWS",
            "arn:aws:iam::123456789012:role/*",
        ),
        (r#"{"AWS":"12345"}"#, "AWS", "12345"),
        (r#"{"Service":"ecs"}"#, "SERVICE", "ecs"),
    ] {
        let principal = format!(r#""Principal":{bad},"#);
        let expected = format!("Invalid principal in policy: \"{name}\":\"{value}\"");
        assert_eq!(with(&principal, "sts:AssumeRole", ""), Some(expected));
    }
    // A repository policy names principals and leaves its resource out.
    let text =
        format!(r#"{{"Statement":{}}}"#, named.replace("sts:AssumeRole", "ecr:BatchGetImage"));
    assert_eq!(refusal(&text, PolicyKind::Resource), None);
    let nobody = r#"{"Statement":{"Effect":"Allow","Action":"ecr:*"}}"#;
    assert_eq!(refusal(nobody, PolicyKind::Resource).as_deref(), missing);
}

#[test]
fn text_places_and_keys_are_kept() {
    let text = r#"{
  "Version": "2012-10-17",
  "Statement": {
    "Effect": "Allow",
    "Action": "ecs:*",
    "Resource": "arn:aws:ecs:*:*:task/${aws:username}",
    "Condition": {"StringEquals": {"aws:X": "${aws:Y}${aws:Z, 'z'}"}}
  }
}"#;
    let policy = Policy::parse(text, PolicyKind::Managed).unwrap();
    assert_eq!(policy.text(), text);
    assert_eq!(policy.statements()[0].start(), Position { line: 3, column: 16 });
    assert_eq!(policy.statements()[0].end(), Position { line: 8, column: 4 });
    assert_eq!(policy.context_keys(), ["aws:username", "aws:X", "aws:Y"]);
    assert_eq!(policy.quota_size(), text.split_whitespace().map(str::len).sum::<usize>());
}

#[test]
fn size_and_depth_are_bounded() {
    let resources = format!("[{}\"*\"]", "\"arn:aws:s3:::b\",".repeat(20_000));
    assert_eq!(of(r#""s3:Get""#, &resources).as_deref(), Some(SYNTAX));
    let deep = format!("{}{}", r#"{"Statement":"#.repeat(50_000 / 13), "}".repeat(3_000));
    assert_eq!(refusal(&deep, PolicyKind::Inline).as_deref(), Some(SYNTAX));
}
