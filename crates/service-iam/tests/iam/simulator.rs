//! The policy simulator answers as the real decision would.

use serde_json::{Value, json};

use crate::world::{ALLOW_ALL, document};

fn results(answer: &Value) -> Vec<(String, String, String)> {
    let list = answer["EvaluationResults"].as_array().unwrap();
    let text = |one: &Value, name: &str| one[name].as_str().unwrap().to_owned();
    list.iter()
        .map(|one| {
            (text(one, "EvalActionName"), text(one, "EvalResourceName"), text(one, "EvalDecision"))
        })
        .collect()
}

#[test]
fn a_principals_policies_are_simulated_with_their_names() {
    let mut w = crate::world();
    w.user(
        "ada",
        json!([{"Effect": "Allow", "Action": "ecs:*", "Resource": "*",
        "Condition": {"StringEquals": {"ecs:cluster": "web"}}}]),
    );
    let deny = document(json!([{"Effect": "Deny", "Action": "ecs:Delete*", "Resource": "*"}]));
    w.call("CreateGroup", json!({"GroupName": "g"}));
    let put = json!({"GroupName": "g", "PolicyName": "no", "PolicyDocument": deny});
    w.call("PutGroupPolicy", put);
    w.call("AddUserToGroup", json!({"GroupName": "g", "UserName": "ada"}));
    let ada = "arn:aws:iam::123456789012:user/ada";
    let ask = json!({"PolicySourceArn": ada,
        "ActionNames": ["ecs:RunTask", "ecs:DeleteCluster", "s3:GetObject"],
        "ContextEntries": [{"ContextKeyName": "ecs:cluster", "ContextKeyType": "string",
            "ContextKeyValues": ["web"]}]});
    let answer = w.call("SimulatePrincipalPolicy", ask.clone());
    let row =
        |action: &str, decision: &str| (action.to_owned(), "*".to_owned(), decision.to_owned());
    let wanted = [
        row("ecs:RunTask", "allowed"),
        row("ecs:DeleteCluster", "explicitDeny"),
        row("s3:GetObject", "implicitDeny"),
    ];
    assert_eq!(results(&answer), wanted);
    let statement = &answer["EvaluationResults"][1]["MatchedStatements"][0];
    assert_eq!(statement["SourcePolicyId"], "group_g_no");
    let mut without = ask;
    without["ContextEntries"] = json!([]);
    let answer = w.call("SimulatePrincipalPolicy", without);
    let first = &answer["EvaluationResults"][0];
    assert_eq!(first["EvalDecision"], "implicitDeny");
    assert_eq!(first["MissingContextValues"], json!(["ecs:cluster"]));
    let keys = w.call("GetContextKeysForPrincipalPolicy", json!({"PolicySourceArn": ada}));
    assert_eq!(keys["ContextKeyNames"], json!(["ecs:cluster"]));
    let excluded = json!({"PolicySourceArn": ada, "ActionNames": ["ecs:DeleteCluster"],
        "PolicyExclusionList": [{"InlinePolicyIdentifier": {"AttachmentName": "g",
            "AttachmentType": "group", "PolicyName": "no"}}]});
    let answer = w.call("SimulatePrincipalPolicy", excluded);
    assert_eq!(results(&answer), [row("ecs:DeleteCluster", "implicitDeny")]);
}

#[test]
fn policies_in_the_request_are_simulated_alone() {
    let mut w = crate::world();
    let bound = document(json!([{"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}]));
    let ask = json!({"PolicyInputList": [ALLOW_ALL],
        "PermissionsBoundaryPolicyInputList": [bound],
        "ActionNames": ["s3:GetObject", "s3:PutObject"],
        "ResourceArns": ["arn:aws:s3:::a", "arn:aws:s3:::b"]});
    let answer = w.call("SimulateCustomPolicy", ask);
    let decisions: Vec<_> = results(&answer).into_iter().map(|(.., decision)| decision).collect();
    assert_eq!(decisions, ["allowed", "allowed", "implicitDeny", "implicitDeny"]);
    let bounded = &answer["EvaluationResults"][2]["PermissionsBoundaryDecisionDetail"];
    assert_eq!(bounded["AllowedByPermissionsBoundary"], false);
    let statement = &answer["EvaluationResults"][0]["MatchedStatements"][0];
    assert_eq!(statement["SourcePolicyId"], "PolicyInputList.1");
}
