//! Every operation of every service that we name, in every protocol it offers, against botocore.
//!
//! `oracle.py` makes random parameters and results and serializes the parameters with botocore; we
//! read the request, compare, and write the result; botocore parses what we wrote, and compares.
//! `WHARF_ORACLE_SECONDS` makes the run longer, `WHARF_ORACLE_SEED` makes it another one.
#![allow(clippy::unwrap_used)]

mod botocore;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use aws_protocol::router::Router;
use aws_protocol::{ApiError, Blob, OperationDef, Protocol, ServiceDef};
use botocore::canonical::{self, Blobs};
use botocore::shape::DynamicShape;
use botocore::{Schemas, environment};
use bytes::Bytes;
use serde_json::{Map, Value, json};

/// A botocore model with what was made of it.
struct Model {
    operations: Map<String, Value>,
    metadata: Value,
    service: &'static ServiceDef,
    schemas: Schemas<'static>,
    made: HashMap<String, &'static OperationDef>,
}

impl Model {
    /// Reads a model through botocore's own loader, which merges what it adds to models.
    fn load(name: &str) -> Model {
        let script = "import sys, json, botocore.loaders as l; \
             json.dump(l.Loader().load_service_model(sys.argv[1], 'service-2'), sys.stdout)";
        let output = Command::new(environment::python()).args(["-c", script, name]).output();
        let output = output.expect("python runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut model: Value = serde_json::from_slice(&output.stdout).expect("a model is JSON");
        let take = |value: &mut Value| match value.take() {
            Value::Object(map) => map,
            _ => Map::new(),
        };
        let shapes: &'static Map<String, Value> = Box::leak(Box::new(take(&mut model["shapes"])));
        let operations = take(&mut model["operations"]);
        let metadata = model["metadata"].take();
        let service = botocore::service(name, &metadata);
        Model { operations, metadata, service, schemas: Schemas::new(shapes), made: HashMap::new() }
    }

    fn operation(&mut self, name: &str) -> &'static OperationDef {
        if let Some(operation) = self.made.get(name) {
            return operation;
        }
        let operation =
            botocore::operation(self.service, &mut self.schemas, &self.operations[name]);
        self.made.insert(name.to_owned(), operation);
        operation
    }
}

/// The services whose types are generated.
const GENERATED: &[&ServiceDef] = &[&model_ecs::SERVICE, &model_iam::SERVICE, &model_sts::SERVICE];

/// The operation as generated code has it, found as the gateway finds it.
fn generated(
    case: &Value,
    protocol: Protocol,
    parts: &http::request::Parts,
    body: &[u8],
) -> Result<Option<&'static OperationDef>, String> {
    let Some(service) = GENERATED.iter().find(|service| service.id == case["service"]) else {
        return Ok(None);
    };
    let router = Router::new(GENERATED.iter().copied());
    let route = router.route(parts, body, Some(service.signing_name));
    let route = route.map_err(|refusal| format!("not routed: {}", refusal.error))?;
    let found = (route.service.id, route.operation.name, route.protocol);
    if (json!(found.0), json!(found.1)) != (case["service"].clone(), case["operation"].clone())
        || found.2 != protocol
    {
        return Err(format!("{} {} was routed to {found:?}", parts.method, parts.uri));
    }
    Ok(Some(route.operation))
}

fn request_of(case: &Value) -> (http::request::Parts, Bytes) {
    let request = &case["request"];
    let mut builder = http::Request::builder()
        .method(request["method"].as_str().unwrap())
        .uri(request["uri"].as_str().unwrap());
    for (name, value) in request["headers"].as_object().unwrap() {
        builder = builder.header(name, value.as_str().unwrap());
    }
    let body = Blob::from_base64(request["body"].as_str().unwrap()).unwrap().0;
    (builder.body(()).unwrap().into_parts().0, body)
}

/// Reads the request of a case and answers it, or says what is wrong.
fn answer(model: &mut Model, case: &Value) -> Result<http::Response<Bytes>, String> {
    let protocol = botocore::protocol(case["protocol"].as_str().unwrap(), &model.metadata);
    let operation = model.operation(case["operation"].as_str().unwrap());
    let (parts, body) = request_of(case);
    let mut expected = DynamicShape::new(operation.input);
    canonical::fill(&mut expected, &case["params"], Blobs::Base64);
    let expected = canonical::of(&expected);
    let mut found = DynamicShape::new(operation.input);
    operation.decode_into(protocol, &parts, &body, &mut found).map_err(|e| format!("{e}"))?;
    compare(&canonical::of(&found), &expected, &parts, &body)?;
    let mut output = DynamicShape::new(operation.output);
    canonical::fill(&mut output, &case["result"], Blobs::Base64);
    if let Some(generated) = generated(case, protocol, &parts, &body)? {
        let found = generated.decode_unchecked(protocol, &parts, &body);
        let found = found.map_err(|error| format!("{error}"))?;
        compare(&canonical::of(&*found), &expected, &parts, &body)?;
        let mut typed = (generated.new_output)();
        canonical::fill(&mut *typed, &case["result"], Blobs::Base64);
        if let Some(reply) = error_reply(case, protocol, model.service) {
            return Ok(reply);
        }
        return Ok(generated.encode(protocol, &*typed, "request-1"));
    }
    let error = error_reply(case, protocol, model.service);
    Ok(error.unwrap_or_else(|| operation.encode(protocol, &output, "request-1")))
}

fn compare(
    found: &Value,
    expected: &Value,
    parts: &http::request::Parts,
    body: &[u8],
) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    let body = String::from_utf8_lossy(body);
    Err(format!("read {found}, expected {expected}, from {} {body}", parts.uri))
}

fn error_reply(
    case: &Value,
    protocol: Protocol,
    service: &'static ServiceDef,
) -> Option<http::Response<Bytes>> {
    let error = case.get("error")?;
    let text = |key: &str| error[key].as_str().unwrap().to_owned();
    let mut reply =
        ApiError::new(text("code"), error["status"].as_u64().unwrap() as u16, text("message"));
    reply.name = Some(text("name").into());
    Some(reply.reply(protocol, Some(service), "request-1"))
}

fn line_of(reply: &http::Response<Bytes>) -> Value {
    let headers = reply.headers().iter();
    let headers = headers.map(|(name, value)| {
        (name.as_str().to_owned(), json!(String::from_utf8_lossy(value.as_bytes())))
    });
    json!({
        "status": reply.status().as_u16(),
        "headers": headers.collect::<Map<_, _>>(),
        "body": Blob::from(reply.body().clone()).to_base64(),
    })
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn botocore_agrees_on_random_shapes_of_every_service() {
    let seed = setting("WHARF_ORACLE_SEED", 1);
    let seconds = setting("WHARF_ORACLE_SECONDS", 20);
    println!("WHARF_ORACLE_SEED={seed}");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracle.py");
    let mut child = Command::new(environment::python())
        .arg(script)
        .args(["--seed", &seed.to_string(), "--seconds", &seconds.to_string()])
        .args(botocore::SERVICES)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python runs");
    let mut to_oracle = child.stdin.take().unwrap();
    let from_oracle = BufReader::new(child.stdout.take().unwrap());
    let mut models: HashMap<String, Model> = HashMap::new();
    let mut summary = Value::Null;
    for line in from_oracle.lines() {
        let case: Value = serde_json::from_str(&line.unwrap()).unwrap();
        if case.get("failures").is_some() {
            summary = case;
            break;
        }
        let name = case["service"].as_str().unwrap();
        let model = models.entry(name.to_owned()).or_insert_with(|| Model::load(name));
        let line = match answer(model, &case) {
            Ok(reply) => line_of(&reply),
            Err(failure) => json!({ "failure": failure }),
        };
        writeln!(to_oracle, "{line}").unwrap();
    }
    assert!(child.wait().unwrap().success());
    let failures = summary["failures"].as_array().unwrap();
    for failure in failures {
        eprintln!("{}", failure.as_str().unwrap());
    }
    println!("{} cases", summary["count"]);
    assert!(failures.is_empty(), "seed {seed}: {} failures", failures.len());
    assert!(summary["count"].as_u64().unwrap() >= 100, "too few cases: {summary}");
    assert_eq!(models.len(), botocore::SERVICES.len());
}
