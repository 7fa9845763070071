//! Prints what verifying one request with a 2 KiB body costs, with the signing key cached and
//! derived anew: `cargo run --release -p aws-sigv4 --example signature_speed`.

use aws_sigv4::{Body, Request, Rules, SignBody, Signer, SigningKeys, parse, verify};
use http::{HeaderMap, HeaderValue};
use std::hint::black_box;
use std::time::Instant;

const ROUNDS: u32 = 200_000;

fn main() {
    let rules = Rules::for_services(&["ecs"]);
    let body = vec![b'x'; 2048];
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("host", "localhost:4566"),
        ("content-type", "application/x-amz-json-1.1"),
        ("x-amz-target", "AmazonEC2ContainerServiceV20141113.DescribeTaskDefinition"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let signer = Signer {
        access_key: "AKIAIOSFODNN7EXAMPLE",
        secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        token: None,
        region: "us-east-1",
        service: "ecs",
        style: rules.style,
        now: 1_767_268_800,
    };
    signer
        .sign("POST", "/", "", &mut headers, SignBody::Bytes(&body))
        .expect("the headers above are well formed");
    let request =
        Request { method: "POST", path: "/", query: "", headers: &headers, authority: None };
    let keys = SigningKeys::default();
    let run = |name: &str, body: &[u8], derive: bool| {
        let start = Instant::now();
        for _ in 0..ROUNDS {
            if derive {
                keys.clear();
            }
            let parsed = parse(black_box(&request), &rules, signer.now)
                .expect("the signature is sound")
                .expect("the request is signed");
            let verified = verify(&parsed, signer.secret, Body::Bytes(body), &keys);
            assert!(black_box(verified).is_ok(), "the signature is the signer's");
        }
        println!("{name}: {:.2} us", start.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS));
    };
    run("2 KiB body, key cached ", &body, false);
    run("2 KiB body, key derived", &body, true);
    let hash = Instant::now();
    for _ in 0..ROUNDS {
        black_box(<sha2::Sha256 as sha2::Digest>::digest(black_box(&body)));
    }
    println!(
        "of which the body's hash: {:.2} us",
        hash.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS)
    );
}
