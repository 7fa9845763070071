//! HTTP as clients really speak it.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::world::{Home, PATIENCE, read_answer, send_raw};

#[test]
fn http_1_0_is_answered_and_ended() {
    let home = Home::new();
    let server = home.server(&[]);
    let bytes = server.client().request("ListClusters", "{}", "HTTP/1.0", "");
    let answer = send_raw(&server.url, &bytes).unwrap();
    assert_eq!((answer.status, &*answer.text), (200, r#"{"clusterArns":[]}"#));
}

#[test]
fn a_client_that_asks_whether_to_go_on_is_told() {
    let home = Home::new();
    let server = home.server(&[]);
    let more = "Expect: 100-continue\r\nConnection: close\r\n";
    let bytes = server.client().request("ListClusters", "{}", "HTTP/1.1", more);
    let (head, body) = bytes.split_at(bytes.len() - 2);
    let mut stream = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(head).unwrap();
    let mut told = [0; 25];
    stream.read_exact(&mut told).unwrap();
    assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(body).unwrap();
    assert_eq!(read_answer(&mut stream).unwrap().status, 200);
}

#[test]
fn too_large_a_body_is_refused_before_it_is_sent() {
    let home = Home::new();
    let server = home.server(&[]);
    let host = server.url.strip_prefix("http://").unwrap();
    let head = format!(
        "POST / HTTP/1.1\r\nHost: {host}\r\nExpect: 100-continue\r\n\
         X-Amz-Target: AmazonEC2ContainerServiceV20141113.ListClusters\r\n\
         Content-Length: 99999999\r\n\r\n"
    );
    let answer = send_raw(&server.url, head.as_bytes()).unwrap();
    assert_eq!(answer.status, 413);
    assert!(answer.header("x-amzn-requestid").is_some());
}

#[test]
fn chunked_bodies_are_put_together() {
    let home = Home::new();
    let server = home.server(&[]);
    let body = r#"{"clusterName":"in-pieces"}"#;
    let bytes = server.client().request("CreateCluster", body, "HTTP/1.1", "Connection: close\r\n");
    let text = String::from_utf8(bytes).unwrap();
    let (head, _) = text.split_once("\r\n\r\n").unwrap();
    let length = format!("content-length: {}", body.len());
    let mut chunked = head.replace(&length, "transfer-encoding: chunked");
    chunked.push_str("\r\n\r\n");
    for piece in body.as_bytes().chunks(4) {
        let piece = std::str::from_utf8(piece).unwrap();
        chunked.push_str(&format!("{:x}\r\n{piece}\r\n", piece.len()));
    }
    chunked.push_str("0\r\n\r\n");
    let answer = send_raw(&server.url, chunked.as_bytes()).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(server.client().clusters(), ["in-pieces"]);
}

#[test]
fn what_is_no_http_harms_nobody() {
    let home = Home::new();
    let server = home.server(&[]);
    let host = server.url.strip_prefix("http://").unwrap();
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01"[..],
        b"\0\0\0\0",
        b"GET\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(host).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(bytes).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said);
        assert!(!said.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&said));
    }
    let head = format!("GET / HTTP/1.1\r\nHost: {host}\r\nX: {}\r\n\r\n", "x".repeat(200 << 10));
    let told = send_raw(&server.url, head.as_bytes());
    assert!(told.is_err() || told.is_ok_and(|answer| answer.status == 431));
    assert_eq!(server.client().clusters(), [""; 0]);
}

#[test]
fn operators_endpoints_answer_unsigned() {
    let home = Home::new();
    let server = home.server(&[]);
    assert_eq!(server.client().create("c").status, 200);
    assert_eq!(server.get("/healthz").text, "ok\n");
    assert_eq!(server.get("/readyz").text, "ready: leader\n");
    let metrics = server.get("/metrics").text;
    let line = r#"wharf_requests_total{service="ecs",operation="CreateCluster",status="200"} 1"#;
    assert!(metrics.lines().any(|told| told == line), "{metrics}");
    assert!(metrics.contains("wharf_rows{table=\"ecs-clusters\"} 1"), "{metrics}");
}
