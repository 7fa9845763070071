//! Requests find their operation, or get the error of the protocol they speak.
#![allow(clippy::unwrap_used)]

use aws_protocol::Protocol;
use aws_protocol::router::Router;
use http::request::Builder;

fn router() -> Router {
    Router::new([&model_ecs::SERVICE, &model_iam::SERVICE, &model_sts::SERVICE])
}

fn route(builder: Builder, body: &str, scope: Option<&str>) -> Result<String, (u16, String)> {
    let parts = builder.body(()).unwrap().into_parts().0;
    match router().route(&parts, body.as_bytes(), scope) {
        Ok(route) => {
            Ok(format!("{} {} {:?}", route.service.id, route.operation.name, route.protocol))
        }
        Err(refusal) => {
            let code = refusal.error.code_in(refusal.protocol).to_owned();
            Err((refusal.error.status_in(refusal.protocol), code))
        }
    }
}

fn post() -> Builder {
    http::Request::builder().method("POST").uri("/")
}

fn target(target: &str) -> Builder {
    post().header("x-amz-target", target).header("content-type", "application/x-amz-json-1.1")
}

#[test]
fn json() {
    let ok = route(target("AmazonEC2ContainerServiceV20141113.ListClusters"), "{}", None);
    assert_eq!(ok.unwrap(), "ecs ListClusters AwsJson11");
    let unknown = Err((400, "UnknownOperationException".to_owned()));
    assert_eq!(route(target("AmazonEC2ContainerServiceV20141113.Nope"), "{}", None), unknown);
    assert_eq!(route(target("Nope.ListClusters"), "{}", None), unknown);
    assert_eq!(route(target("Nope"), "{}", None), unknown);
}

#[test]
fn query() {
    let body = "Version=2010-05-08&Action=GetUser";
    assert_eq!(route(post(), body, Some("iam")).unwrap(), "iam GetUser AwsQuery");
    assert_eq!(route(post(), body, None).unwrap(), "iam GetUser AwsQuery");
    let get = http::Request::builder().uri("/?Action=GetCallerIdentity&Version=2011-06-15");
    assert_eq!(route(get, "", Some("sts")).unwrap(), "sts GetCallerIdentity AwsQuery");
    let invalid = Err((400, "InvalidAction".to_owned()));
    assert_eq!(route(post(), "Action=Nope&Version=2010-05-08", Some("iam")), invalid);
    assert_eq!(route(post(), "Action=GetUser&Version=1999-01-01", Some("iam")), invalid);
    assert_eq!(route(post(), "", Some("iam")), Err((400, "MissingAction".to_owned())));
}

#[test]
fn cbor_is_not_spoken_by_ecs() {
    let request = http::Request::builder()
        .method("POST")
        .uri("/service/AmazonEC2ContainerServiceV20141113/operation/ListClusters")
        .header("smithy-protocol", "rpc-v2-cbor");
    let parts = request.body(()).unwrap().into_parts().0;
    let refusal = router().route(&parts, b"", None).unwrap_err();
    assert_eq!(refusal.protocol, Protocol::RpcV2Cbor);
    assert_eq!(refusal.error.code_in(refusal.protocol), "UnknownOperationException");
}
