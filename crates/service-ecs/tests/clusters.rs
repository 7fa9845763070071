//! Clusters, what they are set up with, and what keeps them from being deleted.

#![allow(clippy::unwrap_used)]

mod world;

use std::time::Duration;

use serde_json::{Value, json};
use world::{World, ends};

const CLUSTER: &str = "arn:aws:ecs:us-east-1:123456789012:cluster";

fn default_cluster() -> Value {
    json!({
        "clusterArn": format!("{CLUSTER}/default"),
        "clusterName": "default",
        "status": "ACTIVE",
        "registeredContainerInstancesCount": 0,
        "runningTasksCount": 0,
        "pendingTasksCount": 0,
        "activeServicesCount": 0,
        "statistics": [],
        "tags": [],
        "settings": [{"name": "containerInsights", "value": "disabled"}],
        "capacityProviders": [],
        "defaultCapacityProviderStrategy": [],
    })
}

#[test]
fn the_default_cluster_is_made_described_and_deleted() {
    let mut world = World::new();
    let made = world.call("CreateCluster", json!({}));
    assert_eq!(made["cluster"], default_cluster());
    assert_eq!(world.demanded(), [format!("ecs:CreateCluster {CLUSTER}/default")]);
    assert_eq!(world.call("CreateCluster", json!({"clusterName": "default"})), made);
    let mut plain = default_cluster();
    plain["settings"] = json!([]);
    let described = world.call("DescribeClusters", json!({}));
    assert_eq!(described, json!({"clusters": [plain], "failures": []}));
    let names = world.call("ListClusters", json!({}))["clusterArns"].clone();
    assert_eq!(ends(&names), ["default"]);

    let gone = world.call("DeleteCluster", json!({"cluster": "default"}));
    assert_eq!(gone["cluster"]["status"], "INACTIVE");
    let again = world.call("DeleteCluster", json!({"cluster": "default"}));
    assert_eq!(again, gone);
    assert_eq!(world.call("ListClusters", json!({}))["clusterArns"], json!([]));
    let described = world.call("DescribeClusters", json!({}));
    assert_eq!(described["clusters"][0]["status"], "INACTIVE");
    let update = json!({"cluster": "default", "settings": []});
    let refusal = world.refusal("UpdateCluster", update);
    assert_eq!(refusal.0, "ClusterNotFoundException");
    let made = world.call("CreateCluster", json!({}));
    assert_eq!(made["cluster"], default_cluster());
    world.call("DeleteCluster", json!({"cluster": format!("{CLUSTER}/default")}));
    world.pass(Duration::from_secs(3600));
    let described = world.call("DescribeClusters", json!({}));
    let missing = json!({"arn": format!("{CLUSTER}/default"), "reason": "MISSING"});
    assert_eq!(described, json!({"clusters": [], "failures": [missing]}));
    let refusal = world.refusal("DeleteCluster", json!({"cluster": "default"}));
    assert_eq!(refusal, ("ClusterNotFoundException".into(), "Cluster not found.".into()));
    world.survives_a_restart();
}

/// A cluster with most of what there is.
fn full() -> Value {
    let namespace = "arn:aws:servicediscovery:us-east-1:123456789012:namespace/ns-1";
    json!({
        "clusterName": "full",
        "tags": [{"key": "team", "value": "red"}],
        "settings": [{"name": "containerInsights", "value": "enhanced"}],
        "configuration": {
            "executeCommandConfiguration": {
                "logging": "OVERRIDE", "kmsKeyId": "k",
                "logConfiguration": {"cloudWatchLogGroupName": "g"},
            },
            "managedStorageConfiguration": {"kmsKeyId": "k"},
        },
        "capacityProviders": ["FARGATE", "FARGATE_SPOT"],
        "defaultCapacityProviderStrategy": [
            {"capacityProvider": "FARGATE", "base": 1, "weight": 1},
            {"capacityProvider": "FARGATE_SPOT", "weight": 4},
        ],
        "serviceConnectDefaults": {"namespace": namespace},
    })
}

#[test]
fn everything_that_a_cluster_is_given_comes_back() {
    let mut world = World::new();
    let given = full();
    let cluster = world.call("CreateCluster", given.clone())["cluster"].clone();
    for same in ["tags", "settings", "capacityProviders", "serviceConnectDefaults"] {
        assert_eq!(cluster[same], given[same], "{same}");
    }
    let exec = &cluster["configuration"]["executeCommandConfiguration"];
    assert_eq!(
        exec["logConfiguration"],
        json!({"cloudWatchLogGroupName": "g", "cloudWatchEncryptionEnabled": false,
            "s3EncryptionEnabled": false})
    );
    assert_eq!(
        cluster["defaultCapacityProviderStrategy"],
        json!([{"capacityProvider": "FARGATE", "base": 1, "weight": 1},
            {"capacityProvider": "FARGATE_SPOT", "base": 0, "weight": 4}])
    );
    assert_eq!(
        world.demanded(),
        [format!("ecs:CreateCluster {CLUSTER}/full"), format!("ecs:TagResource {CLUSTER}/full")]
    );
    let provider = "arn:aws:ecs:us-east-1:123456789012:capacity-provider/";
    let providers = vec![format!("{provider}FARGATE"), format!("{provider}FARGATE_SPOT")];
    assert!(world.conditions().contains(&("ecs:capacity-provider".into(), providers)));

    let again = world.call("CreateCluster", given.clone())["cluster"].clone();
    assert_eq!(again, cluster);
    let other = json!({"clusterName": "full", "tags": [{"key": "team", "value": "blue"}]});
    let (code, text) = world.refusal("CreateCluster", other);
    assert_eq!(code, "InvalidParameterException");
    assert!(text.starts_with("Arguments on this idempotent request are inconsistent"));
    world.survives_a_restart();
}

#[test]
fn what_is_included_is_shown_and_what_is_updated_stays() {
    let mut world = World::new();
    let cluster = world.call("CreateCluster", full())["cluster"].clone();
    let all = ["ATTACHMENTS", "CONFIGURATIONS", "SETTINGS", "STATISTICS", "TAGS"];
    let asked = json!({"clusters": ["full", "other"], "include": all});
    let described = world.call("DescribeClusters", asked);
    let shown = &described["clusters"][0];
    assert_eq!(shown["configuration"], cluster["configuration"]);
    assert_eq!(shown["attachments"], json!([]));
    assert_eq!(shown["statistics"].as_array().unwrap().len(), 12);
    let first = json!({"name": "runningEC2TasksCount", "value": "0"});
    assert_eq!(shown["statistics"][0], first);
    assert_eq!(described["failures"][0]["arn"], format!("{CLUSTER}/other"));
    let bare = world.call("DescribeClusters", json!({"clusters": [format!("{CLUSTER}/full")]}));
    assert_eq!(bare["clusters"][0].get("configuration"), None);
    assert_eq!(bare["clusters"][0].get("attachments"), None);
    let (code, _) = world.refusal("DescribeClusters", json!({"include": ["ALL"]}));
    assert_eq!(code, "InvalidParameterException");

    let update = json!({"cluster": "full", "serviceConnectDefaults": {"namespace": ""},
        "settings": [{"name": "containerInsights", "value": "enabled"}]});
    let updated = world.call("UpdateCluster", update)["cluster"].clone();
    assert_eq!(updated.get("serviceConnectDefaults"), None);
    assert_eq!(updated["settings"][0]["value"], "enabled");
    assert_eq!(updated["configuration"], cluster["configuration"]);
    let off = json!([{"name": "containerInsights", "value": "disabled"}]);
    let input = json!({"cluster": "full", "settings": off});
    let updated = world.call("UpdateClusterSettings", input);
    assert_eq!(updated["cluster"]["settings"], off);
    world.survives_a_restart();
}

#[test]
fn what_a_cluster_cannot_be_given() {
    let mut world = World::new();
    let mut refused = |input: Value, code: &str, text: &str| {
        let (given, message) = world.refusal("CreateCluster", input);
        assert_eq!(given, code, "{message}");
        assert!(message.starts_with(text), "{message}");
    };
    let invalid = "InvalidParameterException";
    refused(json!({"clusterName": "a b"}), invalid, "Invalid cluster name");
    let setting = |name: &str, value: &str| json!({"settings": [{"name": name, "value": value}]});
    refused(setting("x", "enabled"), invalid, "Invalid setting 'name'");
    refused(setting("containerInsights", "on"), invalid, "Invalid setting 'value'");
    refused(
        json!({"capacityProviders": ["nobody"]}),
        invalid,
        "The specified capacity provider was not found.",
    );
    refused(
        json!({"defaultCapacityProviderStrategy": [{"capacityProvider": "FARGATE"}]}),
        invalid,
        "The specified capacity provider strategy cannot contain a capacity provider that is not",
    );
    let exec = |exec: Value| json!({"configuration": {"executeCommandConfiguration": exec}});
    refused(
        exec(json!({"logging": "DEFAULT", "logConfiguration": {"s3BucketName": "b"}})),
        invalid,
        "You must set logging to 'OVERRIDE' when you supply a log configuration.",
    );
    refused(
        exec(json!({"logging": "OVERRIDE"})),
        invalid,
        "A CloudWatch log group name or S3 bucket name must be specified",
    );
    refused(
        json!({"serviceConnectDefaults": {"namespace": "short"}}),
        "NamespaceNotFoundException",
        "Namespace not found.",
    );
    refused(json!({"tags": [{"key": "aws:x", "value": ""}]}), invalid, "");
}

#[test]
fn capacity_providers_live_with_clusters() {
    let mut world = World::new();
    world.call("CreateCluster", json!({"clusterName": "c"}));
    let group = "arn:aws:autoscaling:us-east-1:123456789012:autoScalingGroup:u:\
                 autoScalingGroupName/g";
    let given = json!({"name": "cp", "autoScalingGroupProvider": {"autoScalingGroupArn": group}});
    let made = world.call("CreateCapacityProvider", given.clone());
    assert_eq!(
        made["capacityProvider"],
        json!({
            "capacityProviderArn": "arn:aws:ecs:us-east-1:123456789012:capacity-provider/cp",
            "name": "cp",
            "status": "ACTIVE",
            "type": "EC2_AUTOSCALING",
            "tags": [],
            "autoScalingGroupProvider": {
                "autoScalingGroupArn": group,
                "managedScaling": {
                    "status": "DISABLED", "targetCapacity": 100, "minimumScalingStepSize": 1,
                    "maximumScalingStepSize": 10000, "instanceWarmupPeriod": 300,
                },
                "managedTerminationProtection": "DISABLED",
                "managedDraining": "ENABLED",
            },
        })
    );
    let (code, text) = world.refusal("CreateCapacityProvider", given);
    assert_eq!(code, "ClientException");
    assert!(text.starts_with("The specified capacity provider already exists."));

    let put = |providers: &[&str], strategy: Value| {
        json!({"cluster": "c", "capacityProviders": providers,
            "defaultCapacityProviderStrategy": strategy})
    };
    let one = json!([{"capacityProvider": "cp", "weight": 1}]);
    let answer = world.call("PutClusterCapacityProviders", put(&["cp", "FARGATE"], one.clone()));
    assert_eq!(answer["cluster"]["capacityProviders"], json!(["cp", "FARGATE"]));
    let mixed = json!([{"capacityProvider": "cp"}, {"capacityProvider": "FARGATE"}]);
    let put_mixed = put(&["cp", "FARGATE"], mixed);
    let (_, text) = world.refusal("PutClusterCapacityProviders", put_mixed);
    assert!(text.starts_with("A capacity provider strategy cannot contain a mix"), "{text}");
    let delete = json!({"capacityProvider": "cp"});
    let (code, text) = world.refusal("DeleteCapacityProvider", delete.clone());
    assert_eq!(code, "ClientException");
    assert_eq!(text, "The specified capacity provider is in use and cannot be removed.");
    world.call("PutClusterCapacityProviders", put(&[], json!([])));
    world.call("DeleteCapacityProvider", delete);
    let (_, text) = world.refusal("PutClusterCapacityProviders", put(&["cp"], one));
    assert!(text.starts_with("The specified capacity provider is not in an ACTIVE state."));
    world.survives_a_restart();
}

#[test]
fn capacity_providers_are_updated_described_and_deleted() {
    let mut world = World::new();
    let group = json!({"autoScalingGroupArn": "g"});
    world.call("CreateCapacityProvider", json!({"name": "cp", "autoScalingGroupProvider": group}));
    let delete = json!({"capacityProvider": "cp"});
    let update = json!({"name": "cp", "autoScalingGroupProvider": {
        "managedScaling": {"status": "ENABLED", "targetCapacity": 50},
        "managedTerminationProtection": "ENABLED"}});
    let updated = world.call("UpdateCapacityProvider", update)["capacityProvider"].clone();
    assert_eq!(updated["updateStatus"], "UPDATE_COMPLETE");
    let provider = &updated["autoScalingGroupProvider"];
    assert_eq!(provider["managedScaling"]["targetCapacity"], 50);
    assert_eq!(provider["managedScaling"]["maximumScalingStepSize"], 10000);

    let names = |answer: &Value| -> Vec<String> {
        let list = answer["capacityProviders"].as_array().unwrap();
        list.iter().map(|p| p["name"].as_str().unwrap().to_owned()).collect()
    };
    let all = world.call("DescribeCapacityProviders", json!({}));
    assert_eq!(names(&all), ["FARGATE", "FARGATE_SPOT", "cp"]);
    let mut seen = Vec::new();
    let mut input = json!({"maxResults": 1});
    loop {
        let answer = world.call("DescribeCapacityProviders", input.clone());
        seen.extend(names(&answer));
        match answer.get("nextToken") {
            Some(token) => input["nextToken"] = token.clone(),
            None => break,
        }
    }
    assert_eq!(seen, ["FARGATE", "FARGATE_SPOT", "cp"]);
    let asked = json!({"capacityProviders": ["cp", "FARGATE", "nobody"]});
    let some = world.call("DescribeCapacityProviders", asked);
    assert_eq!(names(&some), ["cp", "FARGATE"]);
    assert_eq!(some["failures"][0]["reason"], "MISSING");

    let gone = world.call("DeleteCapacityProvider", delete.clone())["capacityProvider"].clone();
    assert_eq!(
        (&gone["status"], &gone["updateStatus"]),
        (&json!("INACTIVE"), &json!("DELETE_COMPLETE"))
    );
    let (code, text) = world.refusal("DeleteCapacityProvider", delete);
    assert_eq!(code, "ClientException");
    assert!(text.starts_with("The specified capacity provider does not exist."));
    world.pass(Duration::from_secs(3600));
    assert_eq!(names(&world.call("DescribeCapacityProviders", json!({}))).len(), 2);
    world.survives_a_restart();
}

#[test]
fn what_a_capacity_provider_cannot_be() {
    let mut world = World::new();
    let group = json!({"autoScalingGroupArn": "group"});
    for (input, text) in [
        (
            json!({"name": "aws-x", "autoScalingGroupProvider": group}),
            "The specified capacity provider name is invalid.",
        ),
        (json!({"name": "x"}), "Exactly one of"),
        (
            json!({"name": "x",
                "autoScalingGroupProvider": {"autoScalingGroupArn": "arn:aws:s3:::x"}}),
            "The specified Auto Scaling group ARN is invalid.",
        ),
        (
            json!({"name": "x", "autoScalingGroupProvider": {"autoScalingGroupArn": "g",
                "managedScaling": {"minimumScalingStepSize": 2, "maximumScalingStepSize": 1}}}),
            "The minimum or maximum scaling step size value is invalid.",
        ),
        (
            json!({"name": "x", "autoScalingGroupProvider": {"autoScalingGroupArn": "g",
                "managedTerminationProtection": "ENABLED"}}),
            "The managed termination protection setting for the capacity provider is invalid.",
        ),
    ] {
        let (code, message) = world.refusal("CreateCapacityProvider", input);
        assert_eq!(code, "InvalidParameterException", "{message}");
        assert!(message.starts_with(text), "{message}");
    }
    let delete = json!({"capacityProvider": "FARGATE"});
    assert_eq!(world.refusal("DeleteCapacityProvider", delete).0, "ClientException");
}

#[test]
fn managed_instances_belong_to_their_cluster() {
    let mut world = World::new();
    world.call("CreateCluster", json!({"clusterName": "c"}));
    world.call("CreateCluster", json!({"clusterName": "d"}));
    let managed = json!({
        "infrastructureRoleArn": "arn:aws:iam::123456789012:role/infra",
        "instanceLaunchTemplate": {
            "ec2InstanceProfileArn": "arn:aws:iam::123456789012:instance-profile/p",
            "networkConfiguration": {"subnets": ["subnet-1"], "securityGroups": ["sg-1"]},
        },
    });
    let made = world.call(
        "CreateCapacityProvider",
        json!({"name": "mi", "cluster": "c", "managedInstancesProvider": managed}),
    );
    let made = &made["capacityProvider"];
    assert_eq!((&made["cluster"], &made["type"]), (&json!("c"), &json!("MANAGED_INSTANCES")));
    assert!(world.demanded().contains(&"iam:PassRole arn:aws:iam::123456789012:role/infra".into()));
    let put = |cluster: &str| {
        json!({"cluster": cluster, "capacityProviders": ["mi"],
            "defaultCapacityProviderStrategy": []})
    };
    world.call("PutClusterCapacityProviders", put("c"));
    world.refusal("PutClusterCapacityProviders", put("d"));
    let of = |cluster: &str| json!({"cluster": cluster});
    let answer = world.call("DescribeCapacityProviders", of("c"));
    assert_eq!(answer["capacityProviders"].as_array().unwrap().len(), 1);
    let refusal = world.refusal("DeleteCluster", of("c"));
    assert_eq!(refusal.0, "ClusterContainsCapacityProviderException");
    world.survives_a_restart();
}

#[test]
fn what_is_elsewhere_is_not_found_here() {
    let mut world = World::new();
    world.call("CreateCluster", json!({"clusterName": "c"}));
    for arn in [
        "arn:aws:ecs:eu-west-1:123456789012:cluster/c",
        "arn:aws:ecs:us-east-1:210987654321:cluster/c",
    ] {
        let described = world.call("DescribeClusters", json!({"clusters": [arn]}));
        assert_eq!(described["failures"], json!([{"arn": arn, "reason": "MISSING"}]));
        let refusal = world.refusal("DeleteCluster", json!({"cluster": arn}));
        assert_eq!(refusal.0, "ClusterNotFoundException");
        let refusal = world.refusal("ListTagsForResource", json!({"resourceArn": arn}));
        assert_eq!(refusal.0, "ClusterNotFoundException");
    }
}
