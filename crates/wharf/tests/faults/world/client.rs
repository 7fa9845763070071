//! A client made of a socket: signed requests over one kept connection, and replies told apart by
//! what they say of the write: done, refused, or unknown.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, SystemTime};

use aws_sigv4::{SignBody, Signer, Style};
use http::{HeaderMap, HeaderValue};
use serde_json::Value;

use super::{KEY, SECRET};

#[derive(Debug)]
pub enum Failure {
    /// The server answered with an error.
    Refused { status: u16, code: String, message: String },
    /// No answer, or only part of one: nobody knows what became of the request.
    Lost(io::Error),
}

impl Failure {
    /// Nothing was done, and the SDKs ask again by themselves.
    pub fn is_retryable(&self) -> bool {
        match self {
            Failure::Refused { status, code, .. } => {
                *status >= 500 || code.ends_with("ThrottlingException")
            }
            Failure::Lost(_) => false,
        }
    }

    pub fn message(&self) -> &str {
        match self {
            Failure::Refused { message, .. } => message,
            Failure::Lost(_) => "",
        }
    }
}

pub struct Client {
    address: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
    pub timeout: Duration,
    /// Seconds by which the server's clock is ahead of ours.
    pub ahead: i64,
}

impl Client {
    pub fn new(address: SocketAddr) -> Client {
        Client { address, stream: None, timeout: Duration::from_secs(30), ahead: 0 }
    }

    /// One operation of ECS.
    pub fn ecs(&mut self, operation: &str, input: &Value) -> Result<Value, Failure> {
        let request = self.request(operation, &input.to_string());
        self.ask(&request)
    }

    /// One operation of CloudWatch Logs.
    pub fn logs(&mut self, operation: &str, input: &Value) -> Result<Value, Failure> {
        let target = format!("Logs_20140328.{operation}");
        let request = self.request_to("logs", &target, &input.to_string());
        self.ask(&request)
    }

    fn ask(&mut self, request: &[u8]) -> Result<Value, Failure> {
        let (status, body) = self.exchange(request).map_err(Failure::Lost)?;
        // Some operations answer nothing at all.
        let body = if body.is_empty() { b"{}".to_vec() } else { body };
        let body: Value = serde_json::from_slice(&body)
            .map_err(|error| Failure::Lost(io::Error::new(io::ErrorKind::InvalidData, error)))?;
        if status == 200 {
            return Ok(body);
        }
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        Err(Failure::Refused { status, code: text("__type"), message: text("message") })
    }

    /// An unsigned GET: the status and the text.
    pub fn get(&mut self, path: &str) -> io::Result<(u16, String)> {
        let host = self.address;
        let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n");
        let (status, body) = self.exchange(request.as_bytes())?;
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }

    /// One of the server's figures, as `/metrics` tells it.
    pub fn figure(&mut self, name: &str) -> Option<u64> {
        let (_, text) = self.get("/metrics").ok()?;
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    }

    /// A signed request as it goes over the wire.
    pub fn request(&self, operation: &str, body: &str) -> Vec<u8> {
        let target = format!("AmazonEC2ContainerServiceV20141113.{operation}");
        self.request_to("ecs", &target, body)
    }

    fn request_to(&self, service: &str, target: &str, body: &str) -> Vec<u8> {
        let clock = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() as i64;
        let mut headers = HeaderMap::new();
        let value = |text: &str| HeaderValue::from_str(text).unwrap();
        headers.insert("host", value(&self.address.to_string()));
        headers.insert("content-type", value("application/x-amz-json-1.1"));
        headers.insert("x-amz-target", value(target));
        let signer = Signer {
            access_key: KEY,
            secret: SECRET,
            token: None,
            region: "us-east-1",
            service,
            style: Style::General,
            now: clock + self.ahead,
        };
        signer.sign("POST", "/", "", &mut headers, SignBody::Bytes(body.as_bytes())).unwrap();
        let mut text = String::from("POST / HTTP/1.1\r\n");
        for (name, value) in &headers {
            text.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
        }
        text.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
        text.into_bytes()
    }

    /// One request and its reply. A connection that was closed between two requests is not made up
    /// for: a test wants to know.
    fn exchange(&mut self, request: &[u8]) -> io::Result<(u16, Vec<u8>)> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.connect()?,
        };
        stream.get_mut().set_read_timeout(Some(self.timeout))?;
        stream.get_mut().write_all(request)?;
        let reply = read_reply(&mut stream)?;
        self.stream = Some(stream);
        Ok(reply)
    }

    fn connect(&self) -> io::Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect_timeout(&self.address, self.timeout)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(self.timeout))?;
        Ok(BufReader::new(stream))
    }
}

fn read_reply(stream: &mut impl BufRead) -> io::Result<(u16, Vec<u8>)> {
    let bad = || io::Error::from(io::ErrorKind::InvalidData);
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(bad)?;
    let mut length = 0;
    loop {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (name, value) = match line.trim_end() {
            "" => break,
            header => header.split_once(':').ok_or_else(bad)?,
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().map_err(|_| bad())?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok((status, body))
}
