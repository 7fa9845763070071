//! Calls about services: what is refused and how, what is listed, which permissions are asked for.

#![allow(clippy::unwrap_used)]

mod world;

use serde_json::{Value, json};
use world::ends;
use world::fleet::{Fate, Fleet, with};

fn refused(fleet: &mut Fleet, operation: &str, more: Value) -> (String, String) {
    let base = match operation {
        "CreateService" => json!({"cluster": "c", "serviceName": "new", "taskDefinition": "web",
            "desiredCount": 1}),
        _ => json!({"cluster": "c", "service": "s"}),
    };
    fleet.world.refusal(operation, with(base, more))
}

#[test]
fn creation_is_refused_in_awss_words() {
    let mut fleet = Fleet::new(1);
    fleet.create("s", json!({}));
    let deploy = |more: Value| json!({"deploymentConfiguration": more});
    for (more, text) in [
        (json!({"serviceName": "s"}), "Creation of service was not idempotent."),
        (json!({"serviceName": "a b"}), "Invalid service name"),
        (json!({"taskDefinition": "nothing"}), "TaskDefinition not found."),
        (json!({"cluster": "nowhere"}), "Cluster not found."),
        (json!({"desiredCount": -1}), "desiredCount must be between 0 and 10000."),
        (
            json!({"schedulingStrategy": "DAEMON"}),
            "The daemon scheduling strategy does not support a desired count for services. \
             Remove the desired count value and try again",
        ),
        (
            json!({"launchType": "EC2", "capacityProviderStrategy": [{"capacityProvider": "x"}]}),
            "Specifying both a launch type and capacity provider strategy is not supported. \
             Remove one and try again.",
        ),
        (json!({"launchType": "FARGATE"}), "Task definition does not support launch_type FARGATE."),
        (
            json!({"platformVersion": "1.4.0"}),
            "The platform version must be null when specifying an EC2 launch type.",
        ),
        (
            json!({"networkConfiguration": {"awsvpcConfiguration":
                {"subnets": ["subnet-1"], "assignPublicIp": "ENABLED"}}}),
            "Assign public IP is not supported for this launch type.",
        ),
        (
            deploy(json!({"minimumHealthyPercent": 100, "maximumPercent": 100})),
            "Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block \
             deployments.",
        ),
        (
            deploy(json!({"minimumHealthyPercent": 101})),
            "minimumHealthyPercent must be between 0 and 100.",
        ),
        (
            json!({"loadBalancers": [{"targetGroupArn": "arn:tg", "containerName": "web",
                "containerPort": 80}]}),
            "The target group arn:tg was not found: load balancers are not available here.",
        ),
        (
            json!({"serviceRegistries": [{"registryArn": "arn:r"}]}),
            "The service registry arn:r was not found: service discovery is not available here.",
        ),
        (
            json!({"launchType": "EXTERNAL", "serviceRegistries": [{"registryArn": "arn:r"}]}),
            "Service registries are not supported for external launch type.",
        ),
        (
            json!({"serviceConnectConfiguration": {"enabled": true}}),
            "serviceConnectConfiguration is not available here.",
        ),
        (
            json!({"placementConstraints": [{"type": "memberOf", "expression": "nonsense"}]}),
            "Invalid constraint expression.",
        ),
        (
            json!({"deploymentController": {"type": "EXTERNAL"}}),
            "taskDefinition cannot be specified for a service with the EXTERNAL deployment \
             controller.",
        ),
        (
            json!({"propagateTags": "CLUSTER"}),
            "propagateTags should be one of [TASK_DEFINITION,SERVICE,NONE]",
        ),
    ] {
        assert_eq!(refused(&mut fleet, "CreateService", more).1, text);
    }
    let daemon = json!({"cluster": "c", "serviceName": "d", "taskDefinition": "web",
        "schedulingStrategy": "DAEMON"});
    for (more, text) in [
        (deploy(json!({"maximumPercent": 200})), "does not support values above 100"),
        (
            json!({"placementStrategy": [{"type": "random"}]}),
            "does not support placement strategies",
        ),
        (json!({"launchType": "FARGATE"}), "FARGATE"),
    ] {
        let refusal = fleet.world.refusal("CreateService", with(daemon.clone(), more)).1;
        assert!(refusal.contains(text), "{refusal}");
    }
    let external = json!({"cluster": "c", "serviceName": "e", "role": "elb",
        "deploymentController": {"type": "EXTERNAL"}});
    assert_eq!(
        fleet.world.refusal("CreateService", external).1,
        "You cannot specify an IAM role for services that require a service linked role."
    );
    let nothing = fleet.world.refusal(
        "CreateService",
        json!({"cluster": "c", "serviceName": "n", "taskDefinition": "web"}),
    );
    assert_eq!(nothing.0, "InvalidParameterException");
}

#[test]
fn placement_is_taken_as_aws_takes_it() {
    let mut fleet = Fleet::new(1);
    let zone = json!({"type": "memberOf", "expression": "attribute:ecs.availability-zone exists"});
    let container = json!({"name": "web", "image": "busybox", "memory": 64});
    let definition = json!({"family": "picky", "containerDefinitions": [container],
        "placementConstraints": [zone, zone]});
    fleet.world.call("RegisterTaskDefinition", definition);
    let random = json!([{"type": "random", "field": "memory"}]);
    let service = fleet.create("s", json!({"placementStrategy": random}));
    assert_eq!(service["placementStrategy"], random);
    let service = fleet.update("s", json!({"placementStrategy": [{}]}));
    assert_eq!(service["placementStrategy"], json!([]));
    // The definition's own count.
    let some = |count: usize| {
        json!({"taskDefinition": "picky", "placementConstraints":
        vec![zone.clone(); count]})
    };
    let refusal = refused(&mut fleet, "UpdateService", some(9));
    assert_eq!(refusal.1, "Too many placement constraints. The maximum is 10.");
    let service = fleet.update("s", some(8));
    assert_eq!(service["placementConstraints"].as_array().unwrap().len(), 8);
}

#[test]
fn a_token_makes_creation_idempotent() {
    let mut fleet = Fleet::new(1);
    let first = fleet.create("s", json!({"clientToken": "t"}));
    let again = fleet.create("s", json!({"clientToken": "t"}));
    assert_eq!(first["createdAt"], again["createdAt"]);
    assert_eq!(first["deployments"][0]["id"], again["deployments"][0]["id"]);
    let other = json!({"serviceName": "s", "desiredCount": 2, "clientToken": "u"});
    let refusal = refused(&mut fleet, "CreateService", other);
    assert_eq!(refusal.1, "Creation of service was not idempotent.");
}

#[test]
fn what_is_not_there_or_not_like_that() {
    let mut fleet = Fleet::new(1);
    for operation in ["UpdateService", "DeleteService", "ListServiceDeployments"] {
        let refusal = refused(&mut fleet, operation, json!({}));
        assert_eq!(refusal, ("ServiceNotFoundException".into(), "Service not found.".into()));
    }
    let input = json!({"cluster": "c", "serviceName": "s"});
    assert_eq!(fleet.world.refusal("ListTasks", input.clone()).0, "ServiceNotFoundException");
    fleet.create("s", json!({"desiredCount": 0}));
    assert_eq!(fleet.world.call("ListTasks", input)["taskArns"], json!([]));
    let other = "arn:aws:ecs:us-east-1:123456789012:service/d/s";
    let refusal = refused(&mut fleet, "UpdateService", json!({"service": other}));
    assert!(refusal.1.ends_with("Identifier is for cluster d. Your cluster is c"), "{refusal:?}");
    let refusal = fleet.world.refusal("DescribeServices", json!({"cluster": "c", "services": []}));
    assert_eq!(refusal.1, "Services cannot be empty.");
    let names: Vec<_> = (0..11).map(|n| n.to_string()).collect();
    let many = json!({"cluster": "c", "services": names});
    let refusal = fleet.world.refusal("DescribeServices", many);
    assert_eq!(refusal.1, "Services cannot have more than 10 elements.");
    let input = json!({"serviceDeploymentArn":
        "arn:aws:ecs:us-east-1:123456789012:service-deployment/c/s/none"});
    let refusal = fleet.world.refusal("StopServiceDeployment", input);
    assert_eq!(refusal.0, "ServiceDeploymentNotFoundException");
    let refusal = fleet.world.refusal("ListServicesByNamespace", json!({"namespace": "n"}));
    assert_eq!(refusal.0, "NamespaceNotFoundException");
}

#[test]
fn services_are_listed_in_pages_and_by_kind() {
    let mut fleet = Fleet::new(0);
    for n in 0..12 {
        fleet.create(&format!("s{n:02}"), json!({}));
    }
    let daemon = json!({"cluster": "c", "serviceName": "d", "taskDefinition": "web",
        "schedulingStrategy": "DAEMON"});
    fleet.world.call("CreateService", daemon);
    let first = fleet.world.call("ListServices", json!({"cluster": "c"}));
    assert_eq!(first["serviceArns"].as_array().unwrap().len(), 10);
    let input = json!({"cluster": "c", "nextToken": first["nextToken"]});
    let second = fleet.world.call("ListServices", input);
    assert_eq!(ends(&second["serviceArns"]), ["s09", "s10", "s11"]);
    assert_eq!(second["nextToken"], Value::Null);
    let mut list = |more: Value| {
        let answer = fleet.world.call("ListServices", with(json!({"cluster": "c"}), more));
        ends(&answer["serviceArns"])
    };
    assert_eq!(list(json!({"schedulingStrategy": "DAEMON"})), ["d"]);
    assert_eq!(list(json!({"launchType": "FARGATE"})), Vec::<String>::new());
    assert_eq!(list(json!({"launchType": "EC2", "maxResults": 100})).len(), 13);
    assert_eq!(list(json!({"resourceManagementType": "ECS"})), Vec::<String>::new());
    let cluster = fleet.world.call("DescribeClusters", json!({"clusters": ["c"]}));
    assert_eq!(cluster["clusters"][0]["activeServicesCount"], 13);
}

#[test]
fn permissions_are_asked_on_the_service_with_their_conditions() {
    let mut fleet = Fleet::new(0);
    let role = "arn:aws:iam::123456789012:role/elb";
    fleet.create(
        "s",
        json!({"enableExecuteCommand": true, "role": role, "tags": [{"key": "a", "value": "b"}]}),
    );
    let arn = "arn:aws:ecs:us-east-1:123456789012:service/c/s";
    assert_eq!(
        fleet.world.demanded(),
        [
            format!("ecs:CreateService {arn}"),
            format!("ecs:TagResource {arn}"),
            format!("iam:PassRole {role}"),
        ]
    );
    let has = |fleet: &Fleet, key: &str, value: &str| {
        let conditions = fleet.world.conditions();
        assert!(conditions.contains(&(key.into(), vec![value.into()])), "{key} in {conditions:?}");
    };
    let cluster = "arn:aws:ecs:us-east-1:123456789012:cluster/c";
    let definition = "arn:aws:ecs:us-east-1:123456789012:task-definition/web:1";
    has(&fleet, "ecs:cluster", cluster);
    has(&fleet, "ecs:task-definition", definition);
    has(&fleet, "ecs:enable-execute-command", "true");
    has(&fleet, "aws:RequestTag/a", "b");
    has(&fleet, "iam:PassedToService", "ecs.amazonaws.com");
    fleet.update("s", json!({"taskDefinition": "web", "enableExecuteCommand": false}));
    assert_eq!(fleet.world.demanded(), [format!("ecs:UpdateService {arn}")]);
    has(&fleet, "ecs:task-definition", definition);
    has(&fleet, "ecs:enable-execute-command", "false");
    has(&fleet, "aws:ResourceTag/a", "b");
    fleet.service("s");
    assert_eq!(fleet.world.demanded(), [format!("ecs:DescribeServices {arn}")]);
    fleet.world.call("ListServices", json!({"cluster": "c"}));
    assert_eq!(fleet.world.demanded(), ["ecs:ListServices *"]);
    has(&fleet, "ecs:cluster", cluster);
    let input = json!({"cluster": "c", "service": "s"});
    let list = fleet.world.call("ListServiceDeployments", input.clone());
    assert_eq!(fleet.world.demanded(), [format!("ecs:ListServiceDeployments {arn}")]);
    let deployment = list["serviceDeployments"][0]["serviceDeploymentArn"].clone();
    let arns = json!({"serviceDeploymentArns": [deployment]});
    fleet.world.call("DescribeServiceDeployments", arns);
    has(&fleet, "ecs:service", arn);
    fleet.world.call("DeleteService", with(input, json!({"force": true})));
    assert_eq!(fleet.world.demanded(), [format!("ecs:DeleteService {arn}")]);
}

#[test]
fn services_have_tags_and_pass_them_on() {
    let mut fleet = Fleet::new(1);
    let more = json!({"tags": [{"key": "a", "value": "b"}], "propagateTags": "SERVICE",
        "enableECSManagedTags": true, "desiredCount": 1});
    let arn = fleet.create("s", more)["serviceArn"].clone();
    let input = json!({"resourceArn": arn, "tags": [{"key": "c", "value": "d"}]});
    fleet.world.call("TagResource", input);
    let tags = fleet.world.call("ListTagsForResource", json!({"resourceArn": arn}))["tags"].clone();
    assert_eq!(tags, json!([{"key": "a", "value": "b"}, {"key": "c", "value": "d"}]));
    assert_eq!(fleet.service("s")["tags"], tags);
    let task = fleet.tasks("s")[0].clone();
    let tag = |key: &str, value: &str| json!({"key": key, "value": value});
    let own =
        json!([tag("a", "b"), tag("aws:ecs:clusterName", "c"), tag("aws:ecs:serviceName", "s")]);
    assert_eq!(serde_json::to_value(task.tags()).unwrap(), own);
}

#[test]
fn the_history_of_deployments_is_told() {
    let mut fleet = Fleet::new(2);
    fleet.create("s", json!({}));
    fleet.settle();
    fleet.define("web", 0);
    fleet.fates.insert(2, Fate::Hangs);
    fleet.update("s", json!({"taskDefinition": "web:2"}));
    while fleet.turn() {}
    let input = json!({"cluster": "c", "service": "s"});
    let list = fleet.world.call("ListServiceDeployments", input.clone());
    let list = list["serviceDeployments"].as_array().unwrap().clone();
    let statuses: Vec<_> = list.iter().map(|one| one["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["IN_PROGRESS", "SUCCESSFUL"]);
    let done = with(input.clone(), json!({"status": ["SUCCESSFUL"]}));
    let done = fleet.world.call("ListServiceDeployments", done);
    assert_eq!(done["serviceDeployments"], json!([list[1]]));
    let arn = list[0]["serviceDeploymentArn"].clone();
    let describe = json!({"serviceDeploymentArns": [arn]});
    let shown = fleet.world.call("DescribeServiceDeployments", describe.clone());
    let shown = &shown["serviceDeployments"][0];
    let target = &shown["targetServiceRevision"];
    assert_eq!(
        (&target["requestedTaskCount"], &target["pendingTaskCount"]),
        (&json!(2), &json!(2))
    );
    assert_eq!(shown["sourceServiceRevisions"][0]["runningTaskCount"], 2);
    let revisions = json!({"serviceRevisionArns": [target["arn"]]});
    let revision = fleet.world.call("DescribeServiceRevisions", revisions);
    let revision = &revision["serviceRevisions"][0];
    assert!(revision["taskDefinition"].as_str().unwrap().ends_with("/web:2"));
    let image = format!("busybox@sha256:{}", "b".repeat(64));
    let image = json!({"containerName": "web", "image": image,
        "imageDigest": image.split_once('@').unwrap().1});
    assert_eq!(revision["containerImages"], json!([image]));

    // It is stopped by hand: the last good one takes its place again.
    let stop = json!({"serviceDeploymentArn": arn});
    fleet.world.call("StopServiceDeployment", stop.clone());
    // AWS: what goes back already goes on with that.
    fleet.world.call("StopServiceDeployment", stop.clone());
    fleet.settle();
    assert_eq!(fleet.world.refusal("StopServiceDeployment", stop).0, "ConflictException");
    let shown = fleet.world.call("DescribeServiceDeployments", describe);
    let shown = &shown["serviceDeployments"][0];
    assert_eq!(shown["status"], "ROLLBACK_SUCCESSFUL");
    assert!(shown["rollback"]["serviceRevisionArn"].is_string());
    assert_eq!(fleet.counts("s"), (2, 0, 2));
    assert!(fleet.tasks("s").iter().all(|task| task.revision == 1));
    fleet.world.survives_a_restart();
}

#[test]
fn a_provider_that_a_service_names_stays_with_its_cluster() {
    let mut fleet = Fleet::new(1);
    let group = "arn:aws:autoscaling:us-east-1:123456789012:autoScalingGroup:\
                 8c4f4a5e-6d1b-4a3e-9a83-1c9c3a5e0d11:autoScalingGroupName/g";
    let provider = json!({"name": "p", "autoScalingGroupProvider": {"autoScalingGroupArn": group}});
    fleet.world.call("CreateCapacityProvider", provider);
    let put = |names: &[&str]| {
        json!({"cluster": "c", "capacityProviders": names,
            "defaultCapacityProviderStrategy": []})
    };
    fleet.world.call("PutClusterCapacityProviders", put(&["p", "FARGATE"]));
    let strategy = json!({"capacityProviderStrategy": [{"capacityProvider": "p", "weight": 1}]});
    fleet.create("s", strategy);
    let (code, text) = fleet.world.refusal("PutClusterCapacityProviders", put(&["FARGATE"]));
    assert_eq!(code, "ResourceInUseException");
    assert_eq!(text, "The specified capacity provider is in use and cannot be removed.");
    fleet.world.call("PutClusterCapacityProviders", put(&["p"]));
    fleet.world.call("DeleteService", json!({"cluster": "c", "service": "s", "force": true}));
    fleet.world.call("PutClusterCapacityProviders", put(&[]));
    fleet.world.call("DeleteCapacityProvider", json!({"capacityProvider": "p"}));
}

/// A cluster with two providers, of which the first is the default where asked for.
fn with_providers(default: bool) -> Fleet {
    let mut fleet = Fleet::new(1);
    for name in ["p", "q"] {
        let input =
            json!({"name": name, "autoScalingGroupProvider": {"autoScalingGroupArn": name}});
        fleet.world.call("CreateCapacityProvider", input);
    }
    let strategy = if default { on("p") } else { json!([]) };
    let input = json!({"cluster": "c", "capacityProviders": ["p", "q"],
        "defaultCapacityProviderStrategy": strategy});
    fleet.world.call("PutClusterCapacityProviders", input);
    fleet
}

fn on(provider: &str) -> Value {
    json!([{"capacityProvider": provider, "weight": 1, "base": 0}])
}

#[test]
fn another_strategy_needs_a_forced_deployment() {
    let mut fleet = with_providers(false);
    fleet.create("s", json!({"capacityProviderStrategy": on("p")}));
    let (_, text) =
        refused(&mut fleet, "UpdateService", json!({"capacityProviderStrategy": on("q")}));
    assert!(text.ends_with("you must force a new deployment."), "{text}");
    // The same one is no change.
    let service = fleet.update("s", json!({"capacityProviderStrategy": on("p")}));
    assert_eq!(service["deployments"].as_array().unwrap().len(), 1);
    let force =
        |items: Value| json!({"capacityProviderStrategy": items, "forceNewDeployment": true});
    let service = fleet.update("s", force(on("q")));
    assert_eq!(service["capacityProviderStrategy"], on("q"));
    fleet.world.survives_a_restart();
}

#[test]
fn an_empty_strategy_goes_back_to_what_was_before() {
    let force =
        |items: Value| json!({"capacityProviderStrategy": items, "forceNewDeployment": true});
    let mut fleet = with_providers(false);
    // One that was created with a launch type has it again.
    fleet.create("s", json!({"launchType": "EC2"}));
    let service = fleet.update("s", force(on("q")));
    assert_eq!(service["launchType"], Value::Null);
    let (_, text) = refused(&mut fleet, "UpdateService", json!({"capacityProviderStrategy": []}));
    assert!(text.ends_with("you must force a new deployment."), "{text}");
    let service = fleet.update("s", force(json!([])));
    assert_eq!(
        (&service["launchType"], &service["capacityProviderStrategy"]),
        (&json!("EC2"), &Value::Null)
    );
    // One that was not has none to go back to, unless the cluster has a strategy.
    fleet.create("t", json!({"capacityProviderStrategy": on("q")}));
    let input = with(json!({"cluster": "c", "service": "t"}), force(json!([])));
    let (_, text) = fleet.world.refusal("UpdateService", input);
    assert_eq!(
        text,
        "No launch type to fall back to for empty capacity provider strategy. Your service was \
         not created with a launch type."
    );
    let mut fleet = with_providers(true);
    fleet.create("s", json!({"capacityProviderStrategy": on("q")}));
    let service = fleet.update("s", force(json!([])));
    assert_eq!(service["capacityProviderStrategy"], on("p"));
    fleet.world.survives_a_restart();
}

#[test]
fn what_is_not_said_of_a_network_is_shown_as_aws_fills_it_in() {
    let mut fleet = Fleet::new(1);
    let report = service_ec2::reports::NetworkReady { cidr: "10.9.0.0/24".parse().unwrap() };
    fleet.world.report(report);
    let scope = "123456789012/us-east-1".parse().unwrap();
    let subnet = service_ec2::ops::subnets(fleet.world.core.state(), scope)[0].id.clone();
    let container = json!({"name": "web", "image": "busybox", "memory": 64});
    let vpc =
        json!({"family": "vpc", "networkMode": "awsvpc", "containerDefinitions": [container]});
    fleet.world.call("RegisterTaskDefinition", vpc);
    let given = json!({"awsvpcConfiguration": {"subnets": [subnet]}});
    let service = json!({"taskDefinition": "vpc", "networkConfiguration": given});
    let service = fleet.create("s", service);
    let shown = json!({"awsvpcConfiguration":
        {"subnets": [subnet], "securityGroups": [], "assignPublicIp": "DISABLED"}});
    assert_eq!(service["networkConfiguration"], shown);
    // The same again is no change.
    let service = fleet.update("s", json!({"networkConfiguration": given}));
    assert_eq!(service["deployments"].as_array().unwrap().len(), 1);
    assert_eq!(service["deployments"][0]["networkConfiguration"], shown);
}
