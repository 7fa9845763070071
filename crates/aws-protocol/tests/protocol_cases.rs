//! AWS's own protocol tests, as botocore's source distribution carries them.
//!
//! Input cases: what a client sends is read into the parameters it sent. Output cases: what a
//! client must understand is read into the expected result; what we write for that result is read
//! back alike, by us and by botocore's own parsers. No case is skipped: where a case speaks of what
//! only a client knows, or botocore is known to misread, `tests/protocol_cases.txt` says what is
//! found instead and why, and that list must be exact.
#![allow(clippy::unwrap_used)]

mod botocore;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use aws_protocol::{ApiError, Blob, Protocol, client};
use botocore::canonical::{self, Blobs};
use botocore::shape::DynamicShape;
use botocore::{Schemas, environment};
use bytes::Bytes;
use serde_json::{Value, json};

/// What is found in place of what a case expects, by case.
fn differences() -> BTreeMap<String, String> {
    let lines = include_str!("protocol_cases.txt").lines();
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let mut parts = line.splitn(3, " | ");
            let mut next = || parts.next().expect("`case | found | reason`").to_owned();
            let (case, found, reason) = (next(), next(), next());
            assert!(!reason.is_empty(), "{case} has no reason");
            (case, found)
        })
        .collect()
}

struct Case<'a> {
    suite: &'a Value,
    case: &'a Value,
    protocol: Protocol,
}

/// Visits all cases of a direction by name; returns how many there were.
fn each_case(direction: &str, mut visit: impl FnMut(&str, &Case<'_>)) -> usize {
    let folder = environment::protocol_tests().join(direction);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    let mut count = 0;
    for file in files {
        let stem = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let suites: Vec<Value> = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        for suite in &suites {
            let metadata = &suite["metadata"];
            let protocol = botocore::protocol(metadata["protocol"].as_str().unwrap(), metadata);
            for (index, case) in suite["cases"].as_array().unwrap().iter().enumerate() {
                count += 1;
                let id = case["id"].as_str().unwrap_or("no-id");
                let name = format!("{direction}/{stem}/{id}/{index}");
                visit(&name, &Case { suite, case, protocol });
            }
        }
    }
    count
}

/// Runs a check over all cases of a direction.
fn run_all(direction: &str, minimum: usize, check: impl Fn(&Case<'_>) -> Result<(), String>) {
    let mut failures = BTreeMap::new();
    let count = each_case(direction, |name, case| {
        if let Err(text) = check(case) {
            failures.insert(name.to_owned(), text);
        }
    });
    assert!(count >= minimum, "only {count} cases were found");
    judge(direction, &failures);
}

/// Compares failures with the list of differences, which must be exact.
fn judge(direction: &str, failures: &BTreeMap<String, String>) {
    let differences = differences();
    let listed = |name: &String, text: &String| {
        let found = differences.get(name);
        found
            .is_some_and(|found| found == "*" || text.contains(&format!("found {found}, expected")))
    };
    let unexpected: Vec<_> = failures.iter().filter(|(name, text)| !listed(name, text)).collect();
    for (name, text) in &unexpected {
        eprintln!("FAILED {name} | {text}");
    }
    let prefix = format!("{direction}/");
    let stale: Vec<_> = differences
        .keys()
        .filter(|name| name.starts_with(&prefix) && !failures.contains_key(*name))
        .collect();
    assert!(unexpected.is_empty(), "{} cases failed", unexpected.len());
    assert!(stale.is_empty(), "these differences are no more: {stale:?}");
}

/// The described value as the codecs hold it: through a shape, so that numbers and nulls agree.
fn described(schema: &'static aws_protocol::schema::Schema, description: &Value) -> DynamicShape {
    let mut shape = DynamicShape::new(schema);
    canonical::fill(&mut shape, description, Blobs::Text);
    shape
}

fn same(found: &Value, expected: &Value) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("found {found}, expected {expected}")) }
}

fn error_text(error: ApiError) -> String {
    format!("refused: {error}")
}

fn body_of(protocol: Protocol, description: &Value) -> Bytes {
    let text = description["body"].as_str().unwrap_or("").to_owned();
    if protocol == Protocol::RpcV2Cbor {
        return Blob::from_base64(&text).expect("CBOR bodies are base64").0;
    }
    text.into()
}

#[test]
fn requests_of_clients_are_read() {
    run_all("input", 367, |Case { suite, case, protocol }| {
        let mut schemas = Schemas::new(suite["shapes"].as_object().unwrap());
        let service = botocore::service("test", &suite["metadata"]);
        let operation = botocore::operation(service, &mut schemas, &case["given"]);
        let serialized = &case["serialized"];
        let mut builder = http::Request::builder()
            .method(serialized["method"].as_str().unwrap_or(operation.method))
            .uri(serialized["uri"].as_str().unwrap_or("/"));
        for (name, value) in serialized["headers"].as_object().into_iter().flatten() {
            builder = builder.header(name, value.as_str().unwrap());
        }
        let parts = builder.body(()).map_err(|error| error.to_string())?.into_parts().0;
        let mut body = body_of(*protocol, serialized);
        let encoding = serialized["headers"]["Content-Encoding"].as_str();
        if encoding.is_some_and(|encoding| encoding.ends_with("gzip")) {
            // The test files describe the body before it is compressed.
            body = gzip(&body);
        }
        let mut found = DynamicShape::new(operation.input);
        operation.decode_into(*protocol, &parts, &body, &mut found).map_err(error_text)?;
        let expected = described(operation.input, &case["params"]);
        same(&canonical::of(&found), &canonical::of(&expected))
    });
}

fn gzip(body: &[u8]) -> Bytes {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap().into()
}

fn response_of(protocol: Protocol, case: &Value) -> http::Response<Bytes> {
    let response = &case["response"];
    let status = response["status_code"].as_u64().unwrap() as u16;
    let mut builder = http::Response::builder().status(status);
    for (name, value) in response["headers"].as_object().into_iter().flatten() {
        builder = builder.header(name, value.as_str().unwrap());
    }
    builder.body(body_of(protocol, response)).unwrap()
}

/// botocore's cases leave the result wrapper of query replies to their runner.
fn output_operation(suite: &Value, case: &Value) -> &'static aws_protocol::OperationDef {
    let mut schemas = Schemas::new(suite["shapes"].as_object().unwrap());
    let service = botocore::service("test", &suite["metadata"]);
    let mut given = case["given"].clone();
    if suite["metadata"]["protocol"] == "query" && given["output"].is_object() {
        given["output"]["resultWrapper"] =
            json!(format!("{}Result", given["name"].as_str().unwrap()));
    }
    botocore::operation(service, &mut schemas, &given)
}

#[test]
fn replies_for_clients_are_understood_and_written() {
    run_all("output", 365, |Case { suite, case, protocol }| {
        if case.get("error").is_some() {
            return error_case(suite, case, *protocol);
        }
        let operation = output_operation(suite, case);
        let expected = described(operation.output, &case["result"]);
        let expected_json = canonical::of(&expected);
        let mut found = DynamicShape::new(operation.output);
        operation
            .decode_response(*protocol, &response_of(*protocol, case), &mut found)
            .map_err(error_text)?;
        same(&canonical::of(&found), &expected_json)?;
        let written = operation.encode(*protocol, &expected, "request-1");
        let mut again = DynamicShape::new(operation.output);
        operation.decode_response(*protocol, &written, &mut again).map_err(error_text)?;
        same(&canonical::of(&again), &expected_json)
            .map_err(|text| format!("written {written:?}: {text}"))
    });
}

/// Errors: the code we write is the code a client is told to see, and the members come with it.
fn error_case(suite: &Value, case: &Value, protocol: Protocol) -> Result<(), String> {
    let mut schemas = Schemas::new(suite["shapes"].as_object().unwrap());
    let service = botocore::service("test", &suite["metadata"]);
    let name = case["given"]["errors"][0]["shape"].as_str().ok_or("no error shape")?;
    let schema = schemas.get(name);
    let shape = &suite["shapes"][name]["error"];
    let code = case["errorCode"].as_str().unwrap_or(name);
    let status = case["response"]["status_code"].as_u64().unwrap() as u16;
    let modelled = shape["httpStatusCode"].as_u64().unwrap_or(u64::from(status)) as u16;
    let mut error = ApiError::new(code.to_owned(), modelled, "");
    error.message = case["errorMessage"].as_str().unwrap_or("").to_owned();
    let detail = described(schema, &case["error"]);
    let expected = canonical::of(&detail);
    error.detail = Some(std::sync::Arc::new(detail));
    let reply = error.reply(protocol, Some(service), "request-1");
    same(&json!(reply.status().as_u16()), &json!(status))?;
    let mut found = DynamicShape::new(schema);
    if matches!(protocol, Protocol::RestJson | Protocol::RestXml) {
        client::read_headers(reply.headers(), &mut found).map_err(error_text)?;
    }
    client::read_error_document(protocol, service, reply.body(), &mut found).map_err(error_text)?;
    same(&canonical::of(&found), &expected)?;
    let text = String::from_utf8_lossy(reply.body()).into_owned();
    let header = reply.headers().get("x-amzn-errortype").and_then(|value| value.to_str().ok());
    if text.contains(code) || header == Some(code) {
        return Ok(());
    }
    Err(format!("the code {code} is not in {text}"))
}

/// What we write for the results of the output cases, parsed by botocore.
#[test]
fn replies_are_understood_by_botocore() {
    let cases = std::cell::RefCell::new(Vec::new());
    let collect = |name: &str, Case { suite, case, protocol }: &Case<'_>| {
        if case.get("error").is_some() {
            return;
        }
        let operation = output_operation(suite, case);
        let result = described(operation.output, &case["result"]);
        let reply = operation.encode(*protocol, &result, "request-1");
        let headers = reply.headers().iter();
        let headers = headers.map(|(k, v)| (k.to_string(), json!(v.to_str().unwrap())));
        cases.borrow_mut().push(json!({
            "name": name,
            "metadata": suite["metadata"],
            "shapes": suite["shapes"],
            "given": case["given"],
            "result": case["result"],
            "reply": {
                "status": reply.status().as_u16(),
                "headers": headers.collect::<serde_json::Map<_, _>>(),
                "body": Blob::from(reply.body().clone()).to_base64(),
            },
        }));
    };
    each_case("output", |name, case| collect(&name.replace("output/", "botocore/"), case));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/protocol_cases.py");
    let mut child = Command::new(environment::python())
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python runs");
    let input = Value::Array(cases.into_inner()).to_string();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(found["count"].as_u64().unwrap() > 250, "only {} cases", found["count"]);
    let failures = found["differences"].as_object().unwrap().iter();
    let failures = failures.map(|(name, parsed)| {
        (name.clone(), format!("found {parsed}, expected the case's result"))
    });
    judge("botocore", &failures.collect());
}
