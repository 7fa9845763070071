//! Whole requests and replies of generated operations, as clients write and read them.
#![allow(clippy::unwrap_used)]

use aws_protocol::{ApiError, Operation, Protocol, Timestamp, stored};
use bytes::Bytes;
use model_ecs as ecs;
use model_iam as iam;

fn post(body: &str) -> (http::request::Parts, Bytes) {
    let request = http::Request::builder().method("POST").uri("/").body(()).unwrap();
    (request.into_parts().0, Bytes::copy_from_slice(body.as_bytes()))
}

fn decode<O: Operation>(protocol: Protocol, body: &str) -> Result<O::Input, ApiError> {
    let (parts, body) = post(body);
    let input = O::DEF.decode(protocol, &parts, &body)?;
    Ok(*input.downcast::<O::Input>().unwrap())
}

fn text(reply: &http::Response<Bytes>) -> &str {
    std::str::from_utf8(reply.body()).unwrap()
}

#[test]
fn json_request_with_unknown_members_and_nulls() {
    let input = decode::<ecs::ops::RunTask>(
        Protocol::AwsJson11,
        r#"{"taskDefinition":"web:1","count":2,"launchType":"NEW_KIND","surprise":{"a":[1]},
           "group":null,"tags":[{"key":"a","value":"b"},null],
           "overrides":{"containerOverrides":[{"name":"c","environment":[]}]}}"#,
    )
    .unwrap();
    assert_eq!(input.count, Some(2));
    assert_eq!(input.launch_type.as_ref().unwrap(), "NEW_KIND");
    assert_eq!(input.group, None);
    assert_eq!(input.tags.as_ref().unwrap().len(), 1);
    let overrides = input.overrides.as_ref().unwrap();
    let first = &overrides.container_overrides.as_ref().unwrap()[0];
    assert_eq!(first.environment.as_deref(), Some(&[][..]));
    assert_eq!(stored::from_json::<ecs::RunTaskRequest>(&stored::to_json(&input)).unwrap(), input);
}

#[test]
fn json_that_does_not_fit() {
    for body in ["{", "[]", r#"{"count":"x"}"#, r#"{"count":3000000000}"#, r#"{"tags":{}}"#] {
        let error = decode::<ecs::ops::RunTask>(Protocol::AwsJson11, body).unwrap_err();
        assert_eq!(error.code_in(Protocol::AwsJson11), "SerializationException", "{body}");
    }
}

#[test]
fn json_reply() {
    let mut task = ecs::Task { task_arn: Some("arn".into()), ..Default::default() };
    task.created_at = Some(Timestamp::from_millis(1_700_000_000_250));
    task.launch_type = Some(ecs::LaunchType::EC2);
    let output = ecs::RunTaskResponse { tasks: Some(vec![task]), ..Default::default() };
    let reply = ecs::ops::RunTask::DEF.encode(Protocol::AwsJson11, &output, "id-1");
    let expected = r#"{"tasks":[{"createdAt":1700000000.25,"launchType":"EC2","taskArn":"arn"}]}"#;
    assert_eq!(text(&reply), expected);
    assert_eq!(reply.headers()["content-type"], "application/x-amz-json-1.1");
    assert_eq!(reply.headers()["x-amzn-requestid"], "id-1");
}

#[test]
fn query_request_and_reply() {
    let input = decode::<iam::ops::CreateRole>(
        Protocol::AwsQuery,
        "Action=CreateRole&Version=2010-05-08&RoleName=r&AssumeRolePolicyDocument=%7B+%7D\
         &Tags.member.2.Key=b&Tags.member.2.Value=&Tags.member.1.Key=a&Tags.member.1.Value=1",
    )
    .unwrap();
    assert_eq!(input.assume_role_policy_document.as_deref(), Some("{ }"));
    let keys: Vec<_> = input.tags.unwrap().into_iter().map(|tag| tag.key.unwrap()).collect();
    assert_eq!(keys, ["a", "b"]);

    let role = iam::Role { role_name: Some("a<b".into()), ..Default::default() };
    let output = iam::CreateRoleResponse { role: Some(role) };
    let reply = iam::ops::CreateRole::DEF.encode(Protocol::AwsQuery, &output, "id-1");
    let expected = "<CreateRoleResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\">\
        <CreateRoleResult><Role><RoleName>a&lt;b</RoleName></Role></CreateRoleResult>\
        <ResponseMetadata><RequestId>id-1</RequestId></ResponseMetadata></CreateRoleResponse>";
    assert_eq!(text(&reply), expected);
}

#[test]
fn validation_texts() {
    let error = decode::<iam::ops::GetRole>(Protocol::AwsQuery, "Action=GetRole&RoleName=a%20b")
        .unwrap_err();
    assert_eq!(error.code_in(Protocol::AwsQuery), "ValidationError");
    assert_eq!(
        error.message,
        "1 validation error detected: Value 'a b' at 'roleName' failed to satisfy constraint: \
         Member must satisfy regular expression pattern: [\\w+=,.@-]+"
    );
    let error = decode::<iam::ops::CreateRole>(Protocol::AwsQuery, "RoleName=").unwrap_err();
    assert_eq!(
        error.message,
        "3 validation errors detected: Value null at 'assumeRolePolicyDocument' failed to satisfy \
         constraint: Member must not be null; Value '' at 'roleName' failed to satisfy \
         constraint: Member must have length greater than or equal to 1; Value '' at 'roleName' \
         failed to satisfy constraint: Member must satisfy regular expression pattern: \
         [\\w+=,.@-]+"
    );
}

#[test]
fn errors_in_their_envelopes() {
    let error = iam::errors::no_such_entity_exception("The role with name x cannot be found.");
    let reply = error.reply(Protocol::AwsQuery, Some(&iam::SERVICE), "id-1");
    assert_eq!(reply.status(), 404);
    assert_eq!(
        text(&reply),
        "<ErrorResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><Error>\
         <Type>Sender</Type><Code>NoSuchEntity</Code><Message>The role with name x cannot be \
         found.</Message></Error><RequestId>id-1</RequestId></ErrorResponse>"
    );
    let error = ecs::errors::cluster_not_found_exception("Cluster not found.");
    let reply = error.reply(Protocol::AwsJson11, Some(&ecs::SERVICE), "id-1");
    assert_eq!(reply.status(), 400);
    let expected = r#"{"__type":"ClusterNotFoundException","message":"Cluster not found."}"#;
    assert_eq!(text(&reply), expected);
    let error = ApiError::invalid_client_token_id("The security token is invalid.");
    assert_eq!(error.reply(Protocol::AwsQuery, None, "i").status(), 403);
    assert_eq!(error.reply(Protocol::AwsJson11, None, "i").status(), 400);
    assert_eq!(error.code_in(Protocol::AwsJson11), "UnrecognizedClientException");
}

#[test]
fn compressed_bodies() {
    use std::io::Write;
    let gzip = |plain: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(plain).unwrap();
        Bytes::from(encoder.finish().unwrap())
    };
    let read = |body: &Bytes| {
        let request = http::Request::builder().header("content-encoding", "gzip").body(()).unwrap();
        let parts = request.into_parts().0;
        let input = ecs::ops::ListClusters::DEF.decode(Protocol::AwsJson11, &parts, body)?;
        Ok::<_, ApiError>(*input.downcast::<ecs::ListClustersRequest>().unwrap())
    };
    let input = read(&gzip(br#"{"maxResults":7}"#)).unwrap();
    assert_eq!(input.max_results, Some(7));
    let damaged = read(&Bytes::from_static(b"not gzip")).unwrap_err();
    assert_eq!(damaged.code_in(Protocol::AwsJson11), "SerializationException");
    let bomb = gzip(&vec![b' '; aws_protocol::limits::MAX_INFLATED_BODY + 1]);
    let error = read(&bomb).unwrap_err();
    assert_eq!(error.status_in(Protocol::AwsJson11), 413);
}

#[test]
fn validation_of_lists_maps_numbers_and_enums() {
    let message = |result: Result<_, ApiError>| match result {
        Err(error) => error.message,
        Ok(()) => panic!("the input is not valid"),
    };
    // Structures in a list are named one by one.
    let tags = format!("UserName=u&Tags.member.1.Key={}&Tags.member.1.Value=v", "k".repeat(129));
    let found = message(decode::<iam::ops::TagUser>(Protocol::AwsQuery, &tags).map(drop));
    let key = "k".repeat(129);
    assert_eq!(
        found,
        format!(
            "1 validation error detected: Value '{key}' at 'tags.1.member.key' failed to satisfy \
             constraint: Member must have length less than or equal to 128"
        )
    );
    // Scalars in a list are reported with the whole list.
    let actions = "PolicyInputList.member.1=%7B%7D&ActionNames.member.1=ab";
    let found =
        message(decode::<iam::ops::SimulateCustomPolicy>(Protocol::AwsQuery, actions).map(drop));
    assert_eq!(
        found,
        "1 validation error detected: Value '[ab]' at 'actionNames' failed to satisfy constraint: \
         Member must satisfy constraint: [Member must have length less than or equal to 128, \
         Member must have length greater than or equal to 3]"
    );
    let found = message(decode::<iam::ops::ListUsers>(Protocol::AwsQuery, "MaxItems=0").map(drop));
    assert_eq!(
        found,
        "1 validation error detected: Value '0' at 'maxItems' failed to satisfy constraint: \
         Member must have value greater than or equal to 1"
    );
    let body = "UserName=u&AccessKeyId=AKIAAAAAAAAAAAAAAAAA&Status=Off";
    let found = message(decode::<iam::ops::UpdateAccessKey>(Protocol::AwsQuery, body).map(drop));
    assert!(
        found.starts_with(
            "1 validation error detected: Value 'Off' at 'status' failed to satisfy constraint: \
             Member must satisfy enum value set: ["
        ),
        "{found}"
    );
    // A password is neither repeated in a text nor shown to operators.
    let body = "UserName=u&Password=";
    let found = message(decode::<iam::ops::CreateLoginProfile>(Protocol::AwsQuery, body).map(drop));
    assert!(found.contains("Value at 'password' failed"), "{found}");
    let input = iam::CreateLoginProfileRequest {
        user_name: Some("u".into()),
        password: Some("hunter2".into()),
        ..Default::default()
    };
    let shown = format!("{input:?}");
    assert_eq!(shown, r#"CreateLoginProfileRequest { Password: ***, UserName: "u" }"#);
}

#[test]
fn rows_embed_shapes() {
    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Row {
        container: Option<ecs::ContainerDefinition>,
        tags: Vec<ecs::Tag>,
        kind: ecs::LaunchType,
        #[serde(with = "stored")]
        task: ecs::Task,
    }
    let row = Row {
        container: Some(ecs::ContainerDefinition {
            cpu: Some(0),
            docker_labels: Some([("a".to_owned(), "b".to_owned())].into()),
            environment: Some(vec![]),
            ..Default::default()
        }),
        tags: vec![ecs::Tag { key: Some("k".into()), value: None }],
        kind: ecs::LaunchType::FARGATE,
        task: ecs::Task {
            created_at: Some(Timestamp::from_millis(-1)),
            version: Some(i64::MAX),
            ..Default::default()
        },
    };
    let text = serde_json::to_string(&row).unwrap();
    assert_eq!(serde_json::from_str::<Row>(&text).unwrap(), row);
    // A newer binary's member is skipped by an older one.
    let newer = text.replace("\"version\"", "\"later\":[{}],\"version\"");
    assert_eq!(serde_json::from_str::<Row>(&newer).unwrap(), row);
}
