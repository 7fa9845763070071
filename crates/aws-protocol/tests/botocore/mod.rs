//! Shapes whose schema is built from a botocore model at run time: the very codecs that serve
//! generated types are tested over every model, with no code generated.
#![allow(dead_code)]

pub mod canonical;
pub mod environment;
pub mod shape;

use std::collections::HashMap;
use std::sync::OnceLock;

use aws_protocol::schema::{
    Bounds, Kind, Location, Member, Members, Schema, TimestampFormat, XmlNamespace, m, simple,
};
use aws_protocol::{AnyShape, OperationDef, Protocol, ServiceDef, Validation};
use serde_json::{Map, Value};

/// The services that we name.
pub const SERVICES: &[&str] = &[
    "ecs",
    "ecr",
    "elbv2",
    "elb",
    "ec2",
    "iam",
    "sts",
    "s3",
    "logs",
    "cloudwatch",
    "events",
    "autoscaling",
    "application-autoscaling",
    "servicediscovery",
    "ssm",
    "secretsmanager",
];

fn leak(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}

fn text(value: &Value, key: &str) -> Option<&'static str> {
    value.get(key).and_then(Value::as_str).map(leak)
}

fn flag(value: &Value, key: &str) -> bool {
    value.get(key).and_then(Value::as_bool).unwrap_or(false)
}

/// Schemas by shape name, made on demand.
pub struct Schemas<'m> {
    shapes: &'m Map<String, Value>,
    made: HashMap<String, &'static Schema>,
}

impl<'m> Schemas<'m> {
    pub fn new(shapes: &'m Map<String, Value>) -> Self {
        Schemas { shapes, made: HashMap::new() }
    }

    pub fn get(&mut self, name: &str) -> &'static Schema {
        if let Some(schema) = self.made.get(name) {
            return schema;
        }
        let shape = &self.shapes[name];
        let cell: &'static OnceLock<Vec<Member>> = Box::leak(Box::default());
        let schema: &'static Schema = Box::leak(Box::new(self.header(name, shape, cell)));
        self.made.insert(name.to_owned(), schema);
        let members = self.members(schema.kind, shape);
        cell.set(members).expect("each shape is filled once");
        schema
    }

    fn header(&self, name: &str, shape: &Value, cell: &'static OnceLock<Vec<Member>>) -> Schema {
        let payload = shape.get("payload").and_then(Value::as_str).and_then(|payload| {
            shape["members"].as_object().and_then(|m| m.keys().position(|key| key == payload))
        });
        Schema {
            members: Members::Later(cell),
            bounds: Bounds::default(),
            timestamp: timestamp(shape),
            namespace: namespace(shape),
            xml_name: text(shape, "locationName"),
            flattened: flag(shape, "flattened"),
            sparse: flag(shape, "sparse"),
            union: flag(shape, "union"),
            payload,
            exception: flag(shape, "exception"),
            event_stream: flag(shape, "eventstream"),
            ..simple(leak(name), kind(shape))
        }
    }

    fn members(&mut self, kind: Kind, shape: &Value) -> Vec<Member> {
        match kind {
            Kind::Structure => {
                let members = shape["members"].as_object();
                let members = members.into_iter().flatten();
                members.map(|(name, reference)| self.member(name, reference)).collect()
            }
            Kind::List => vec![self.member("member", &shape["member"])],
            Kind::Map => {
                vec![self.member("key", &shape["key"]), self.member("value", &shape["value"])]
            }
            _ => Vec::new(),
        }
    }

    fn member(&mut self, name: &str, reference: &Value) -> Member {
        let target = self.get(reference["shape"].as_str().expect("a reference names a shape"));
        let mut member = m(leak(name), target);
        if let Some(wire) = text(reference, "locationName") {
            member = member.wire(wire);
        }
        member.query_name = text(reference, "queryName");
        member.location = match reference.get("location").and_then(Value::as_str) {
            None => Location::Body,
            Some("header") => Location::Header,
            Some("headers") => Location::Headers,
            Some("uri") => Location::Uri,
            Some("querystring") => Location::Query,
            Some("statusCode") => Location::Status,
            Some(other) => panic!("unknown location {other}"),
        };
        member.timestamp = timestamp(reference);
        member.namespace = namespace(reference);
        member.flattened = flag(reference, "flattened");
        member.attribute = flag(reference, "xmlAttribute");
        member.idempotency_token = flag(reference, "idempotencyToken");
        member.streaming = flag(reference, "streaming");
        member.json_value = flag(reference, "jsonvalue");
        member
    }
}

fn kind(shape: &Value) -> Kind {
    if flag(shape, "document") {
        return Kind::Document;
    }
    match shape["type"].as_str().expect("a shape has a type") {
        "string" | "character" => Kind::String,
        "boolean" => Kind::Boolean,
        "integer" | "byte" | "short" => Kind::Integer,
        "long" => Kind::Long,
        "float" => Kind::Float,
        "double" => Kind::Double,
        "blob" => Kind::Blob,
        "timestamp" => Kind::Timestamp,
        "list" => Kind::List,
        "map" => Kind::Map,
        "structure" => Kind::Structure,
        other => panic!("unknown type {other}"),
    }
}

fn timestamp(value: &Value) -> Option<TimestampFormat> {
    match value.get("timestampFormat").and_then(Value::as_str)? {
        "iso8601" => Some(TimestampFormat::Iso8601),
        "rfc822" => Some(TimestampFormat::HttpDate),
        "unixTimestamp" => Some(TimestampFormat::EpochSeconds),
        other => panic!("unknown timestamp format {other}"),
    }
}

fn namespace(value: &Value) -> Option<XmlNamespace> {
    let namespace = value.get("xmlNamespace")?;
    match namespace.as_str() {
        Some(uri) => Some(XmlNamespace { uri: leak(uri), prefix: None }),
        None => Some(XmlNamespace {
            uri: text(namespace, "uri").unwrap_or(""),
            prefix: text(namespace, "prefix"),
        }),
    }
}

/// The protocols of a model's metadata.
pub fn protocols(metadata: &Value) -> Vec<Protocol> {
    let named: Vec<&str> = match metadata["protocols"].as_array() {
        Some(list) => list.iter().filter_map(Value::as_str).collect(),
        None => metadata["protocol"].as_str().into_iter().collect(),
    };
    named.into_iter().map(|name| protocol(name, metadata)).collect()
}

/// A protocol by botocore's name.
pub fn protocol(name: &str, metadata: &Value) -> Protocol {
    match name {
        "json" if metadata["jsonVersion"] == "1.0" => Protocol::AwsJson10,
        "json" => Protocol::AwsJson11,
        "query" => Protocol::AwsQuery,
        "ec2" => Protocol::Ec2Query,
        "rest-json" => Protocol::RestJson,
        "rest-xml" => Protocol::RestXml,
        "smithy-rpc-v2-cbor" => Protocol::RpcV2Cbor,
        other => panic!("unknown protocol {other}"),
    }
}

fn no_shape() -> Box<dyn AnyShape> {
    Box::new(shape::DynamicShape::new(&aws_protocol::schema::UNIT))
}

/// A service without operations; they are made one by one.
pub fn service(id: &str, metadata: &Value) -> &'static ServiceDef {
    Box::leak(Box::new(ServiceDef {
        id: leak(id),
        sdk_id: text(metadata, "serviceId").unwrap_or("Test"),
        signing_name: "test",
        endpoint_prefix: "test",
        target_prefix: text(metadata, "targetPrefix"),
        api_version: text(metadata, "apiVersion").unwrap_or(""),
        xml_namespace: namespace(metadata).map(|namespace| namespace.uri),
        protocols: Box::leak(protocols(metadata).into_boxed_slice()),
        query_compatible: metadata.get("awsQueryCompatible").is_some(),
        wraps_xml_errors: id != "s3",
        validation: Validation::NONE,
        operations: &[],
        absent: &[],
    }))
}

/// One operation of the model.
pub fn operation(
    service: &'static ServiceDef,
    schemas: &mut Schemas<'_>,
    operation: &Value,
) -> &'static OperationDef {
    let mut end = |part: &str| match operation.get(part).and_then(|part| text(part, "shape")) {
        Some(name) => schemas.get(name),
        None => &aws_protocol::schema::UNIT,
    };
    let (input, output) = (end("input"), end("output"));
    let http = &operation["http"];
    Box::leak(Box::new(OperationDef {
        name: text(operation, "name").expect("an operation has a name"),
        service,
        method: text(http, "method").unwrap_or("POST"),
        uri: text(http, "requestUri").unwrap_or("/"),
        status: http["responseCode"].as_u64().unwrap_or(200) as u16,
        input,
        output,
        result_wrapper: operation.get("output").and_then(|output| text(output, "resultWrapper")),
        errors: &[],
        pagination: None,
        unsigned: false,
        compressible: operation.get("requestcompression").is_some(),
        new_input: no_shape,
        new_output: no_shape,
    }))
}
