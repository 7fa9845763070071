//! One call after the other to a webhook that answers in odd ways.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use bytes::Bytes;
use plane_hooks::{CallError, Caller, Patience, Targets};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

fn caller(allowed: &[&str]) -> Caller {
    let allowed = allowed.iter().map(|net| net.parse().unwrap()).collect();
    let answer = Duration::from_millis(300);
    Caller::new(Targets { allowed }, Patience { answer, ..Patience::default() })
}

/// A webhook that answers one call with these bytes; what it was sent comes back.
async fn webhook(answer: Vec<u8>) -> (String, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/check?a=b", listener.local_addr().unwrap());
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut heard = Vec::new();
        while !heard.ends_with(b"{\"a\":1}") {
            let mut some = [0; 1024];
            let n = stream.read(&mut some).await.unwrap();
            assert!(n > 0, "it hung up early");
            heard.extend_from_slice(&some[..n]);
        }
        // Whoever has heard enough hangs up.
        let _ = stream.write_all(&answer).await;
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        String::from_utf8(heard).unwrap()
    });
    (url, served)
}

async fn call(answer: &[u8]) -> Result<Bytes, CallError> {
    let (url, _served) = webhook(answer.to_vec()).await;
    caller(&["127.0.0.0/8"]).call(&url, "{\"a\":1}".into()).await
}

#[tokio::test]
async fn a_call_is_a_post_of_json() {
    let (url, served) = webhook(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}".to_vec()).await;
    let answer = caller(&["127.0.0.0/8"]).call(&url, "{\"a\":1}".into()).await.unwrap();
    assert_eq!(&*answer, b"{}");
    let heard = served.await.unwrap().to_lowercase();
    assert!(heard.starts_with("post /check?a=b http/1.1\r\n"), "{heard}");
    assert!(heard.contains("content-type: application/json\r\n"), "{heard}");
    assert!(heard.contains("\r\nhost: 127.0.0.1:"), "{heard}");
}

#[tokio::test]
async fn what_is_no_success_says_whether_another_try_helps() {
    for (answer, passes) in [
        ("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n", true),
        ("HTTP/1.1 429 Slow\r\ncontent-length: 0\r\n\r\n", true),
        ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", false),
        // Where it points is not looked at.
        (
            "HTTP/1.1 307 Go\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n",
            false,
        ),
        ("nonsense\r\n\r\n", true),
        // It never ends.
        ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{", true),
    ] {
        let error = call(answer.as_bytes()).await.unwrap_err();
        assert_eq!(error.passes(), passes, "{answer}: {error}");
    }
    let mut large = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n".to_vec();
    large.resize(1_000_100, b' ');
    assert!(matches!(call(&large).await, Err(CallError::Broken { .. })));
}

#[tokio::test]
async fn what_may_not_be_called_is_not_dialled() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "[::1]"] {
        let url = format!("http://{host}:{port}/");
        let error = caller(&[]).call(&url, Bytes::new()).await.unwrap_err();
        assert!(matches!(error, CallError::NotAllowed { .. }), "{host}: {error}");
        assert!(!error.passes());
    }
    for url in ["ftp://a/", "a", "", "http:///x", "https://"] {
        let error = caller(&[]).call(url, Bytes::new()).await.unwrap_err();
        assert!(matches!(error, CallError::Url(_)), "{url}: {error}");
    }
    drop(listener);
    let url = format!("http://127.0.0.1:{port}/");
    let error = caller(&["127.0.0.0/8"]).call(&url, Bytes::new()).await.unwrap_err();
    assert!(matches!(error, CallError::Unreachable { .. }) && error.passes(), "{error}");
}
