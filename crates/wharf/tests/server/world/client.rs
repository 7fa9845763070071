//! A client made of a socket and a signature, so that tests see every byte of an answer.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_sigv4::{SignBody, Signer, Style};
use http::{HeaderMap, HeaderValue};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;

use super::PATIENCE;

#[derive(Clone)]
pub struct Client {
    url: String,
    key: String,
    secret: String,
    /// Of a session, where the key is one's.
    pub token: Option<String>,
    /// Seconds by which the signature's time differs from the machine's.
    pub skew: i64,
    /// Whom to trust, where the server speaks TLS.
    pub ca: Option<PathBuf>,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    pub fn code(&self) -> String {
        let json = self.json();
        let kind = json["__type"].as_str().unwrap_or_default();
        kind.rsplit('#').next().unwrap_or_default().to_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// Sends bytes, and reads until the other side has said all.
pub fn send_raw(url: &str, bytes: &[u8]) -> std::io::Result<Answer> {
    let host = url.strip_prefix("http://").expect("these tests speak plain HTTP");
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(bytes)?;
    read_answer(&mut stream)
}

/// The same over TLS, to a server that shows a certificate of this CA.
pub fn send_over_tls(url: &str, ca: &Path, bytes: &[u8]) -> std::io::Result<Answer> {
    let host = url.strip_prefix("https://").expect("this one speaks TLS");
    let mut roots = RootCertStore::empty();
    let all = CertificateDer::pem_file_iter(ca).map_err(std::io::Error::other)?;
    for cert in all {
        let added = roots.add(cert.map_err(std::io::Error::other)?);
        added.map_err(std::io::Error::other)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(std::io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name).to_owned();
    let name = ServerName::try_from(name).map_err(std::io::Error::other)?;
    let tls = ClientConnection::new(Arc::new(config), name).map_err(std::io::Error::other)?;
    let stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut stream = StreamOwned::new(tls, stream);
    stream.write_all(bytes)?;
    read_answer(&mut stream)
}

pub fn read_answer(stream: &mut impl Read) -> std::io::Result<Answer> {
    let mut all = Vec::new();
    stream.read_to_end(&mut all)?;
    let all = String::from_utf8_lossy(&all).into_owned();
    let cut = || std::io::Error::other("the answer was cut off");
    let (head, text) = all.split_once("\r\n\r\n").ok_or_else(cut)?;
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).ok_or_else(cut)?;
    let answer = Answer { status, head: head.to_owned(), text: text.to_owned() };
    let length = answer.header("content-length").and_then(|text| text.parse::<usize>().ok());
    if length.is_some_and(|length| length > answer.text.len()) {
        return Err(cut());
    }
    Ok(answer)
}

fn whole(headers: &HeaderMap, body: &str, version: &str, more: &str) -> Vec<u8> {
    let mut text = format!("POST / {version}\r\n{more}");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
    }
    text.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
    text.into_bytes()
}

impl Client {
    pub fn new(url: &str, key: &str, secret: &str) -> Client {
        let (key, secret) = (key.into(), secret.into());
        Client { url: url.into(), key, secret, token: None, skew: 0, ca: None }
    }

    pub fn at(&self, url: &str) -> Client {
        Client { url: url.into(), ..self.clone() }
    }

    /// The headers of a signed ECS request.
    pub fn headers(&self, operation: &str, body: &str) -> HeaderMap {
        let target = format!("AmazonEC2ContainerServiceV20141113.{operation}");
        self.signed("ecs", "application/x-amz-json-1.1", Some(&target), body)
    }

    fn signed(
        &self,
        service: &str,
        kind: &'static str,
        target: Option<&str>,
        body: &str,
    ) -> HeaderMap {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
        let host = self.url.split_once("://").unwrap().1;
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_str(host).unwrap());
        headers.insert("content-type", HeaderValue::from_static(kind));
        if let Some(target) = target {
            headers.insert("x-amz-target", HeaderValue::from_str(target).unwrap());
        }
        let signer = Signer {
            access_key: &self.key,
            secret: &self.secret,
            token: self.token.as_deref(),
            region: "us-east-1",
            service,
            style: Style::General,
            now: now + self.skew,
        };
        signer.sign("POST", "/", "", &mut headers, SignBody::Bytes(body.as_bytes())).unwrap();
        headers
    }

    /// The head and body of a signed ECS request.
    pub fn request(&self, operation: &str, body: &str, version: &str, more: &str) -> Vec<u8> {
        whole(&self.headers(operation, body), body, version, more)
    }

    pub fn try_call(&self, operation: &str, body: &str) -> std::io::Result<Answer> {
        let bytes = self.request(operation, body, "HTTP/1.1", "Connection: close\r\n");
        send_raw(&self.url, &bytes)
    }

    pub fn call(&self, operation: &str, body: &str) -> Answer {
        self.json("ecs", &format!("AmazonEC2ContainerServiceV20141113.{operation}"), body)
    }

    /// A signed request of a service that speaks JSON.
    pub fn json(&self, service: &str, target: &str, body: &str) -> Answer {
        let headers = self.signed(service, "application/x-amz-json-1.1", Some(target), body);
        self.send(&whole(&headers, body, "HTTP/1.1", "Connection: close\r\n"))
    }

    fn send(&self, bytes: &[u8]) -> Answer {
        match &self.ca {
            None => send_raw(&self.url, bytes).unwrap(),
            Some(ca) => send_over_tls(&self.url, ca, bytes).unwrap(),
        }
    }

    /// A signed IAM request.
    pub fn iam(&self, form: &str) -> Answer {
        self.form("iam", &format!("Version=2010-05-08&{form}"))
    }

    /// A signed request of a service that takes forms.
    pub fn form(&self, service: &str, form: &str) -> Answer {
        let kind = "application/x-www-form-urlencoded; charset=utf-8";
        let headers = self.signed(service, kind, None, form);
        self.send(&whole(&headers, form, "HTTP/1.1", "Connection: close\r\n"))
    }

    pub fn create(&self, name: &str) -> Answer {
        self.call("CreateCluster", &format!("{{\"clusterName\":\"{name}\"}}"))
    }

    /// The names of all clusters.
    pub fn clusters(&self) -> Vec<String> {
        let (mut names, mut token) = (Vec::new(), Value::Null);
        loop {
            let mut body = serde_json::json!({ "maxResults": 100 });
            if !token.is_null() {
                body["nextToken"] = token;
            }
            let answer = self.call("ListClusters", &body.to_string());
            assert_eq!(answer.status, 200, "{answer:?}");
            let page = answer.json();
            let arns = page["clusterArns"].as_array().unwrap();
            let name = |arn: &Value| arn.as_str().unwrap().rsplit('/').next().unwrap().to_owned();
            names.extend(arns.iter().map(name));
            token = page["nextToken"].clone();
            if token.is_null() {
                return names;
            }
        }
    }
}
