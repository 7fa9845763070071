//! What it costs to find a caller and to authorize its call: `cargo run --release --example speed
//! -p service-iam`. Prints figures; asserts nothing about time.

use std::sync::Arc;
use std::time::Instant;

use core_step::*;
use core_types::{AccountId, Time};
use model_iam as api;
use service_iam::{IamIdentity, SLICE};

const ROUNDS: u32 = 200_000;

fn main() {
    static SLICES: &[&Slice] = &[&SLICE];
    let registry = Registry::new(SLICES, Box::new(IamIdentity));
    let mut core = Core::new(registry.clone(), registry.empty_state(), OnPanic::Abort);
    let account: AccountId = "123456789012".parse().expect("twelve digits");
    let now = Time(1_700_000_000_000);
    let root = service_iam::reports::EnsureRoot {
        account,
        access_key_id: "AKIAROOT".into(),
        secret: "secret".into(),
    };
    core.step(now, [1; 32], vec![Event::Report(Box::new(root))]);
    let mut act = |name: &str, input: Box<dyn aws_protocol::AnyShape>| {
        let action = registry.action("iam", name).expect("it is offered");
        let found =
            registry.identity().credentials(&View::new(core.state(), now), "AKIAROOT", None);
        let caller = found.unwrap_or_else(|_| panic!("root has a key")).caller;
        let call = Arc::new(call(caller));
        let step = core.step(now, [2; 32], vec![Event::Call { call, action, input }]);
        let mut replies = step.replies;
        match replies.remove(0) {
            Handled::Call(Ok(answer)) => answer,
            _ => panic!("{name} is refused"),
        }
    };
    let user_name = || Some("ada".to_owned());
    act(
        "CreateUser",
        Box::new(api::CreateUserRequest { user_name: user_name(), ..Default::default() }),
    );
    for policy in ["AmazonECS_FullAccess", "AmazonEC2ContainerRegistryReadOnly", "ReadOnlyAccess"] {
        let policy_arn = Some(format!("arn:aws:iam::aws:policy/{policy}"));
        let input = api::AttachUserPolicyRequest { user_name: user_name(), policy_arn };
        act("AttachUserPolicy", Box::new(input));
    }
    let made =
        act("CreateAccessKey", Box::new(api::CreateAccessKeyRequest { user_name: user_name() }));
    let made: Box<api::CreateAccessKeyResponse> = made.downcast().expect("the answer's type");
    let key = made.access_key.and_then(|key| key.access_key_id).expect("a key has an id");

    let view = View::new(core.state(), now);
    let identity = registry.identity();
    let look_up = || identity.credentials(&view, &key, None).unwrap_or_else(|_| panic!("a key"));
    report("find the caller of a key", || {
        std::hint::black_box(look_up());
    });
    let call = call(look_up().caller);
    for (what, action, resource) in [
        ("allowed", "ecs:DescribeTaskDefinition", "*"),
        ("allowed", "ecs:RunTask", "arn:aws:ecs:us-east-1:123456789012:task-definition/web:3"),
        ("denied", "iam:CreateUser", "arn:aws:iam::123456789012:user/x"),
    ] {
        let demands = [Demand::on(action, resource)];
        let granted = identity.authorize(&call, &view, &demands).is_ok();
        assert_eq!(granted, what == "allowed", "{action}");
        report(&format!("authorize {action}, {what}, 3 managed policies"), || {
            let _ = std::hint::black_box(identity.authorize(&call, &view, &demands));
        });
    }
}

fn report(what: &str, mut run: impl FnMut()) {
    let start = Instant::now();
    (0..ROUNDS).for_each(|_| run());
    println!("{:>8.0} ns  {what}", start.elapsed().as_nanos() as f64 / f64::from(ROUNDS));
}

fn call(caller: Arc<Caller>) -> Call {
    let origin = Origin {
        source_ip: Some([127, 0, 0, 1].into()),
        user_agent: "aws-cli/2".into(),
        endpoint: "http://127.0.0.1:4566".into(),
        secure: false,
    };
    Call {
        caller,
        region: "us-east-1".parse().expect("a region"),
        request_id: "r".into(),
        origin: Arc::new(origin),
    }
}
