//! Prints what a decision costs: `cargo run --release -p core-policy --example decision_speed`.

use core_policy::{Context, Policy, PolicyKind, PolicySet, Principal, Request, evaluate, managed};
use std::hint::black_box;
use std::time::Instant;

const ROUNDS: u32 = 500_000;

fn main() {
    let builtin = |name: &str| {
        let policy = managed::all().find(|policy| policy.name == name).expect("a built-in policy");
        Policy::parse(&policy.document(), PolicyKind::Managed).expect("built-in policies parse")
    };
    let own = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":["ecs:RunTask","ecs:StopTask"],
         "Resource":"arn:aws:ecs:*:123456789012:task-definition/web-*",
         "Condition":{"ArnEquals":{"ecs:cluster":"arn:aws:ecs:us-east-1:123456789012:cluster/prod"},
                      "StringEquals":{"aws:RequestedRegion":["us-east-1","eu-west-1"]}}},
        {"Effect":"Deny","Action":"*","Resource":"*",
         "Condition":{"NotIpAddress":{"aws:SourceIp":["10.0.0.0/8","192.168.0.0/16"]}}}]}"#;
    let variable = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"ecs:RunTask",
        "Resource":"arn:aws:ecs:*:*:task-definition/${aws:username}-*"}}"#;
    let own = Policy::parse(own, PolicyKind::Inline).expect("a valid document");
    let variable = Policy::parse(variable, PolicyKind::Inline).expect("a valid document");
    let (execution, reader) =
        (builtin("AmazonECSTaskExecutionRolePolicy"), builtin("ReadOnlyAccess"));
    let admin = builtin("AdministratorAccess");
    let principal = Principal::User {
        account: "123456789012",
        arn: "arn:aws:iam::123456789012:user/web",
        id: "AIDAEXAMPLEEXAMPLE",
        name: "web",
    };
    let mut context = Context::new();
    principal.describe(&mut context);
    context.set("aws:SourceIp", "10.1.2.3");
    context.set("aws:RequestedRegion", "us-east-1");
    context.set("aws:SecureTransport", "true");
    context.set("ecs:cluster", "arn:aws:ecs:us-east-1:123456789012:cluster/prod");
    let request = Request {
        principal,
        action: "ecs:RunTask",
        resource: "arn:aws:ecs:us-east-1:123456789012:task-definition/web-1:7",
        resource_account: "123456789012",
        context: &context,
    };
    let cases: [(&str, &[&Policy]); 4] = [
        ("administrator", &[&admin]),
        ("three policies, conditions, a deny", &[&execution, &reader, &own]),
        ("one policy with a variable", &[&variable]),
        ("nothing allows, a long policy", &[&reader]),
    ];
    for (name, identity) in cases {
        let set = PolicySet { identity, ..PolicySet::default() };
        let start = Instant::now();
        for _ in 0..ROUNDS {
            black_box(evaluate(black_box(&set), black_box(&request)));
        }
        let nanos = start.elapsed().as_nanos() / u128::from(ROUNDS);
        println!("{name}: {nanos} ns a decision ({:?})", evaluate(&set, &request));
    }
    let start = Instant::now();
    for _ in 0..ROUNDS / 100 {
        black_box(Policy::parse(black_box(own.text()), PolicyKind::Inline)).expect("still valid");
    }
    println!(
        "parsing a document of {} bytes: {} ns",
        own.text().len(),
        start.elapsed().as_nanos() / u128::from(ROUNDS / 100)
    );
}
