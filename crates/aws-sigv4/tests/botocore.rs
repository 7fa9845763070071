//! Two oracles from outside: AWS's SigV4 test vectors, which botocore's source distribution
//! carries, and botocore's own signers over generated requests. Both are fetched through pip into
//! the target directory.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use aws_sigv4::{
    Body, Payload, Request, Rules, SigV4Error, SignBody, Signer, SigningKeys, Stamp, Style, parse,
    verify,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

const VERSION: &str = "botocore==1.44.5";

fn run(command: &mut Command) {
    let output = command.output();
    let failure = match &output {
        Ok(output) if output.status.success() => return,
        Ok(output) => String::from_utf8_lossy(&output.stderr).lines().last().map(str::to_owned),
        Err(error) => Some(error.to_string()),
    };
    panic!("{VERSION} is needed for this test and cannot be fetched by pip: {failure:?}");
}

/// One test at a time makes folders; the others then find them.
static MAKING: Mutex<()> = Mutex::new(());

/// Makes a folder under the target directory once; a half-made one is never seen.
fn folder(name: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let _guard = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if !folder.exists() {
        let part = folder.with_extension(format!("part{}", std::process::id()));
        let _ = fs::remove_dir_all(&part);
        fs::create_dir_all(&part).unwrap();
        make(&part);
        // Another process may have been faster; its folder is as good.
        if fs::rename(&part, &folder).is_err() {
            assert!(folder.exists(), "{} cannot be made", folder.display());
            fs::remove_dir_all(&part).unwrap();
        }
    }
    folder
}

fn vectors() -> PathBuf {
    let folder = folder("botocore-source", |part| {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "download", "-q", "--no-binary", ":all:", "--no-deps", "-d"]);
        run(pip.arg(part).arg(VERSION));
        let archive = part.join("botocore-1.44.5.tar.gz");
        run(Command::new("tar").arg("xzf").arg(archive).arg("-C").arg(part));
    });
    folder.join("botocore-1.44.5/tests/unit/auth/aws4_testsuite")
}

fn library() -> PathBuf {
    let folder = folder("botocore-venv", |part| {
        run(Command::new("python3").args(["-m", "venv"]).arg(part));
        let mut pip = Command::new(part.join("bin/python"));
        run(pip.args(["-m", "pip", "install", "-q", VERSION]));
    });
    folder.join("bin/python")
}

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

struct Raw {
    method: String,
    path: String,
    query: String,
    headers: HeaderMap,
    body: String,
}

/// Reads the vectors' HTTP messages, which have folded header lines and raw UTF-8 in the path.
fn read_message(text: &str) -> Raw {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines: Vec<String> = Vec::new();
    for line in head.lines() {
        match lines.last_mut() {
            Some(last) if line.starts_with(' ') => *last += line,
            _ => lines.push(line.to_owned()),
        }
    }
    let (method, rest) = lines[0].split_once(' ').unwrap();
    let target = rest.strip_suffix(" HTTP/1.1").unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut headers = HeaderMap::new();
    for line in &lines[1..] {
        let (name, value) = line.split_once(':').unwrap();
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value);
    }
    let (method, path, query) = (method.to_owned(), path.to_owned(), query.to_owned());
    Raw { method, path, query, headers, body: body.to_owned() }
}

fn find_cases(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find_cases(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "sreq") {
            found.push(path);
        }
    }
}

#[test]
fn the_published_vectors_pass() {
    let mut cases = Vec::new();
    find_cases(&vectors(), &mut cases);
    assert!(cases.len() >= 30, "only {} vectors", cases.len());
    for case in cases {
        let name = case.file_stem().unwrap().to_string_lossy().into_owned();
        let read = |extension: &str| -> String {
            let path = case.with_extension(extension);
            fs::read_to_string(path).unwrap().replace('\r', "")
        };
        let mut signed = read_message(&read("sreq"));
        // One .sreq file has an older signature than its .authz file, which botocore goes by.
        let authorization = read("authz");
        signed.headers.insert("authorization", authorization.parse().unwrap());
        let request = Request {
            method: &signed.method,
            path: &signed.path,
            query: &signed.query,
            headers: &signed.headers,
            authority: None,
        };
        let now = Stamp::parse_basic("20150830T123600Z").unwrap().seconds;
        let rules = Rules::for_services(&["service"]).in_region("us-east-1");
        let parsed = parse(&request, &rules, now).unwrap().unwrap();
        let body = Body::Bytes(signed.body.as_bytes());
        let wrong = verify(&parsed, "wrong", body, &SigningKeys::default()).unwrap_err();
        let SigV4Error::SignatureMismatch { string_to_sign, canonical_request, .. } = wrong else {
            panic!("{name}: {wrong}")
        };
        assert_eq!(canonical_request, read("creq"), "{name}");
        assert_eq!(string_to_sign, read("sts"), "{name}");
        let verified = verify(&parsed, SECRET, body, &SigningKeys::default());
        assert!(verified.is_ok(), "{name}: {verified:?}");
        check_signer(&name, &read("req"), &read("creq"), &authorization, now);
    }
}

fn check_signer(name: &str, request: &str, canonical: &str, authorization: &str, now: i64) {
    let mut raw = read_message(request);
    // The token is what the canonical request has; one vector adds it only after signing.
    let token = canonical.lines().find_map(|line| line.strip_prefix("x-amz-security-token:"));
    raw.headers.remove("x-amz-security-token");
    let signer = Signer {
        access_key: "AKIDEXAMPLE",
        secret: SECRET,
        token,
        region: "us-east-1",
        service: "service",
        style: Style::General,
        now,
    };
    let body = SignBody::Bytes(raw.body.as_bytes());
    signer.sign(&raw.method, &raw.path, &raw.query, &mut raw.headers, body).unwrap();
    assert_eq!(raw.headers["authorization"], authorization, "{name}");
}

fn cases() -> impl Strategy<Value = Value> {
    let segment = "/([A-Za-z0-9._~-]|%20|%2F|%C3%A9|%21|%28|\\.\\.?/|/){0,8}";
    let pair = ("[A-Za-z0-9._~-]{1,5}", "([A-Za-z0-9._~-]|%20|%2B|%C3%A9|%2F){0,6}");
    let header = ("(x-amz-meta-|my-)[a-z]{1,5}", "[!-~]{1,8}( {1,3}[!-~]{1,8}){0,2}");
    (
        ("GET|PUT|POST|DELETE|HEAD", vec(segment, 1..4), vec(pair, 0..4)),
        (vec(header, 0..3), vec(any::<u8>(), 0..64), any::<bool>(), any::<bool>()),
        (prop_oneof![Just(None), Just(Some("tok/en+=="))], 1_000_000_000i64..2_000_000_000),
    )
        .prop_map(|((method, path, query), (headers, body, s3, presigned), (token, now))| {
            // botocore keeps one of several query parameters of a name; so each has its own.
            let query = query.iter().enumerate();
            let query: Vec<_> =
                query.map(|(n, (name, value))| format!("{name}{n}={value}")).collect();
            let bodiless = presigned || method == "GET" || method == "HEAD";
            json!({
                "method": method,
                "path": path.concat(),
                "query": query.join("&"),
                "headers": headers,
                "body": if bodiless { String::new() } else { hex::encode(body) },
                "service": if s3 { "s3" } else { "ecs" },
                "presigned": presigned,
                "token": token,
                "now": now,
                "host": "example.us-east-1.amazonaws.com",
                "region": "us-east-1",
                "access_key": "AKIDEXAMPLE",
                "secret": SECRET,
            })
        })
}

fn signed_by_botocore(cases: &[Value]) -> Vec<Value> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/botocore_signer.py");
    let mut python = Command::new(library())
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = python.stdin.take().unwrap();
    let text = serde_json::to_vec(cases).unwrap();
    let writer = std::thread::spawn(move || input.write_all(&text).unwrap());
    let output = python.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success(), "botocore's signer failed");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn what_botocore_signs_verifies_and_our_signer_agrees() {
    let mut runner = TestRunner::deterministic();
    let cases: Vec<Value> =
        (0..3000).map(|_| cases().new_tree(&mut runner).unwrap().current()).collect();
    let keys = SigningKeys::default();
    for (case, result) in cases.iter().zip(signed_by_botocore(&cases)) {
        let url = result["url"].as_str().unwrap().strip_prefix("http://").unwrap();
        let (host, _) = url.split_once('/').unwrap();
        let target = &url[host.len()..];
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut headers = HeaderMap::new();
        headers.insert("host", host.parse().unwrap());
        for pair in result["headers"].as_array().unwrap() {
            let name: HeaderName = pair[0].as_str().unwrap().parse().unwrap();
            headers.insert(name, pair[1].as_str().unwrap().parse().unwrap());
        }
        let method = case["method"].as_str().unwrap();
        let request = Request { method, path, query, headers: &headers, authority: None };
        let body = hex::decode(case["body"].as_str().unwrap()).unwrap();
        let s3 = case["service"] == "s3";
        let rules = Rules::for_services(if s3 { &["s3"] } else { &["ecs"] });
        let parsed = parse(&request, &rules, case["now"].as_i64().unwrap()).unwrap().unwrap();
        let verified = verify(&parsed, SECRET, Body::Bytes(&body), &keys);
        assert!(verified.is_ok(), "{case}\n{verified:?}");
        check_against_ours(case, &parsed.signature, &headers, path, &body);
    }
}

fn check_against_ours(case: &Value, theirs: &str, sent: &HeaderMap, path: &str, body: &[u8]) {
    let s3 = case["service"] == "s3";
    let signer = Signer {
        access_key: "AKIDEXAMPLE",
        secret: SECRET,
        token: case["token"].as_str(),
        region: "us-east-1",
        service: if s3 { "s3" } else { "ecs" },
        style: if s3 { Style::S3 } else { Style::General },
        now: case["now"].as_i64().unwrap(),
    };
    let (method, query) = (case["method"].as_str().unwrap(), case["query"].as_str().unwrap());
    let mut headers = sent.clone();
    headers.remove("authorization");
    let ours = if case["presigned"] == true {
        headers.remove("content-length");
        let query = signer.presign(method, path, query, &headers, 3600).unwrap();
        query.rsplit_once("X-Amz-Signature=").unwrap().1.to_owned()
    } else {
        // botocore's HTTP layer adds the length after signing.
        headers.remove("content-length");
        signer.sign(method, path, query, &mut headers, SignBody::Bytes(body)).unwrap().signature
    };
    assert_eq!(ours, theirs, "{case}");
}

#[test]
fn botocores_uploads_decode() {
    let mut cases = Vec::new();
    for (n, length) in [0usize, 1, 8192, 20000, 70000].into_iter().enumerate() {
        let body: Vec<u8> = (0..length).map(|at| (at % 253) as u8).collect();
        cases.push(json!({
            "method": "PUT", "path": "/bucket/key", "query": "", "headers": [],
            "body": hex::encode(body), "service": "s3", "presigned": false, "token": null,
            "now": 1_767_268_800, "host": "s3.example.com", "region": "us-east-1",
            "access_key": "AKIDEXAMPLE", "secret": SECRET, "chunk_size": 16384,
            "trailer": if n % 2 == 0 { "crc32" } else { "sha256" },
        }));
    }
    for (case, result) in cases.iter().zip(signed_by_botocore(&cases)) {
        let mut headers = HeaderMap::new();
        headers.insert("host", "s3.example.com".parse().unwrap());
        for pair in result["headers"].as_array().unwrap() {
            let name: HeaderName = pair[0].as_str().unwrap().parse().unwrap();
            headers.insert(name, pair[1].as_str().unwrap().parse().unwrap());
        }
        let (method, path, query) = ("PUT", "/bucket/key", "");
        let request = Request { method, path, query, headers: &headers, authority: None };
        let parsed = parse(&request, &Rules::for_services(&["s3"]), 1_767_268_800);
        let parsed = parsed.unwrap().unwrap();
        let verified = verify(&parsed, SECRET, Body::Later, &SigningKeys::default()).unwrap();
        let Payload::Chunked(mut decoder) = verified.payload else { panic!("it is chunked") };
        let encoded = hex::decode(result["encoded"].as_str().unwrap()).unwrap();
        let (mut input, mut out) = (Bytes::from(encoded), Vec::new());
        while let Some(piece) = decoder.decode(&mut input).unwrap() {
            out.extend_from_slice(&piece);
        }
        assert_eq!(decoder.finish().unwrap().trailers.len(), 1);
        assert_eq!(hex::encode(out), case["body"].as_str().unwrap());
    }
}
