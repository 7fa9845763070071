//! A control plane that does what a test says, right or wrong: the agent's calls are written down and
//! answered, its sockets handed out. Frames are made by hand, so that they can be broken by hand.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::{BETWEEN_LOOKS, PATIENCE, wait_for};

pub const CLUSTER: &str = "arn:aws:ecs:us-east-1:123456789012:cluster/default";
pub const INSTANCE: &str = "arn:aws:ecs:us-east-1:123456789012:container-instance/default/\
                            0123456789abcdef0123456789abcdef";

pub struct Plane {
    pub url: String,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    url: String,
    calls: Mutex<Vec<(String, Value)>>,
    sockets: Mutex<Vec<Socket>>,
    open: Mutex<Vec<TcpStream>>,
    /// Calls of this operation are heard, and not answered.
    deaf: Mutex<Option<String>>,
    over: AtomicBool,
}

/// The agent's ACS socket, from this side.
pub struct Socket {
    stream: TcpStream,
    pub query: String,
    heard: Arc<Mutex<Vec<Value>>>,
    ended: Arc<AtomicBool>,
}

impl Plane {
    /// On this address and port; port 0 is any.
    pub fn start(address: &str) -> Plane {
        let listener = TcpListener::bind(address).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared { url: url.clone(), ..Shared::default() });
        let for_thread = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if for_thread.over.load(Ordering::SeqCst) {
                    return;
                }
                for_thread.open.lock().unwrap().push(stream.try_clone().unwrap());
                let shared = for_thread.clone();
                std::thread::spawn(move || drop(shared.serve(stream)));
            }
        });
        Plane { url, shared }
    }

    pub fn address(&self) -> &str {
        self.url.strip_prefix("http://").unwrap()
    }

    /// Hear calls of an operation and break off in place of an answer.
    pub fn ignore(&self, operation: Option<&str>) {
        *self.shared.deaf.lock().unwrap() = operation.map(str::to_owned);
    }

    /// All calls of an operation so far.
    pub fn calls(&self, operation: &str) -> Vec<Value> {
        let calls = self.shared.calls.lock().unwrap();
        calls.iter().filter(|(of, _)| of == operation).map(|(_, input)| input.clone()).collect()
    }

    /// The statuses that were told of a task, in their order. Left out is that its images are known, which is
    /// told only where the start takes longer than the telling.
    pub fn told(&self, arn: &str) -> Vec<String> {
        let calls = self.calls("SubmitTaskStateChange").into_iter();
        let status = |call: Value| call["status"].as_str().unwrap_or_default().to_owned();
        let told = calls.filter(|call| call["task"] == arn).map(status);
        told.filter(|status| status != "MANIFEST_PULLED").collect()
    }

    pub fn wait_told(&self, arn: &str, status: &str) {
        wait_for(status, || self.told(arn).contains(&status.to_owned()).then_some(()));
    }

    /// The next socket for work that the agent opens.
    pub fn socket(&self) -> Socket {
        wait_for("the agent dials", || {
            let mut sockets = self.shared.sockets.lock().unwrap();
            (!sockets.is_empty()).then(|| sockets.remove(0))
        })
    }

    pub fn dialled(&self) -> bool {
        !self.shared.sockets.lock().unwrap().is_empty()
    }
}

impl Drop for Plane {
    /// Gone at once, with all that was open; the address is free again.
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address());
        for stream in self.shared.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        let deadline = Instant::now() + PATIENCE;
        let taken = || {
            let bound = TcpListener::bind(self.address());
            bound.is_err_and(|error| error.kind() == std::io::ErrorKind::AddrInUse)
        };
        while taken() && Instant::now() < deadline {
            std::thread::sleep(BETWEEN_LOOKS);
        }
    }
}

impl Shared {
    fn serve(self: Arc<Self>, mut stream: TcpStream) -> std::io::Result<()> {
        loop {
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") {
                if stream.read(&mut byte)? == 0 {
                    return Ok(());
                }
                head.push(byte[0]);
            }
            let head = String::from_utf8_lossy(&head).into_owned();
            let header = |name: &str| {
                let lines = head.lines().filter_map(|line| line.split_once(':'));
                let mut found = lines.filter(|(key, _)| key.eq_ignore_ascii_case(name));
                found.next().map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
            };
            let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
            if head.starts_with("GET ") {
                return self.upgrade(stream, &target, &header("sec-websocket-key"));
            }
            let mut body = vec![0; header("content-length").parse().unwrap_or(0)];
            stream.read_exact(&mut body)?;
            let operation = header("x-amz-target").rsplit('.').next().unwrap().to_owned();
            let input: Value = serde_json::from_slice(&body).unwrap_or_default();
            let answer = self.answer(&operation, &input).to_string();
            self.calls.lock().unwrap().push((operation.clone(), input));
            if self.deaf.lock().unwrap().as_ref() == Some(&operation) {
                return stream.shutdown(Shutdown::Both);
            }
            let length = answer.len();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
            stream.write_all(head.as_bytes())?;
            stream.write_all(answer.as_bytes())?;
        }
    }

    fn answer(&self, operation: &str, input: &Value) -> Value {
        let url = &self.url;
        match operation {
            "RegisterContainerInstance" => json!({ "containerInstance": {
                "containerInstanceArn": INSTANCE, "attributes": input["attributes"] } }),
            "DiscoverPollEndpoint" => json!({ "endpoint": format!("{url}/acs"),
                "telemetryEndpoint": format!("{url}/tcs") }),
            _ => json!({ "acknowledgment": "ACCEPT" }),
        }
    }

    fn upgrade(&self, mut stream: TcpStream, target: &str, key: &str) -> std::io::Result<()> {
        let accept = derive_accept_key(key.as_bytes());
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        stream.write_all(head.as_bytes())?;
        let (heard, ended) = (Arc::<Mutex<Vec<Value>>>::default(), Arc::<AtomicBool>::default());
        if target.starts_with("/acs") {
            self.sockets.lock().unwrap().push(Socket {
                stream: stream.try_clone()?,
                query: target.split_once('?').map(|(_, query)| query.to_owned()).unwrap(),
                heard: heard.clone(),
                ended: ended.clone(),
            });
        }
        while let Ok(Some((opcode, text))) = frame(&mut stream) {
            match opcode {
                1 => heard.lock().unwrap().push(serde_json::from_slice(&text).unwrap_or_default()),
                8 => break,
                _ => {}
            }
        }
        ended.store(true, Ordering::SeqCst);
        Ok(())
    }
}

/// A client's frame: opcode and payload.
fn frame(stream: &mut TcpStream) -> std::io::Result<Option<(u8, Vec<u8>)>> {
    let mut head = [0; 2];
    stream.read_exact(&mut head)?;
    let length = match head[1] & 0x7f {
        126 => {
            let mut bytes = [0; 2];
            stream.read_exact(&mut bytes)?;
            u64::from(u16::from_be_bytes(bytes))
        }
        127 => {
            let mut bytes = [0; 8];
            stream.read_exact(&mut bytes)?;
            u64::from_be_bytes(bytes)
        }
        short => short.into(),
    };
    assert!(length < 1 << 24, "a frame of {length} bytes");
    let mut mask = [0; 4];
    stream.read_exact(&mut mask)?;
    let mut payload = vec![0; length as usize];
    stream.read_exact(&mut payload)?;
    payload.iter_mut().enumerate().for_each(|(nth, byte)| *byte ^= mask[nth % 4]);
    Ok(Some((head[0] & 0x0f, payload)))
}

/// A server's frame of text.
pub fn text_frame(text: &str) -> Vec<u8> {
    let mut bytes = vec![0x81];
    match text.len() {
        short @ 0..126 => bytes.push(short as u8),
        long @ 126..65536 => {
            bytes.push(126);
            bytes.extend((long as u16).to_be_bytes());
        }
        longer => {
            bytes.push(127);
            bytes.extend((longer as u64).to_be_bytes());
        }
    }
    bytes.extend(text.as_bytes());
    bytes
}

impl Socket {
    pub fn raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub fn text(&mut self, text: &str) {
        self.raw(&text_frame(text));
    }

    pub fn send(&mut self, kind: &str, message: Value) {
        self.text(&json!({ "type": kind, "message": message }).to_string());
    }

    /// Tasks, as one payload.
    pub fn payload(&mut self, id: &str, sequence: i64, tasks: &[Value]) {
        self.send("PayloadMessage", payload(id, sequence, tasks));
    }

    /// Alive? A heartbeat is answered after everything that came before it was looked at.
    pub fn heartbeat(&mut self, id: &str) {
        self.send("HeartbeatMessage", json!({ "messageId": id, "healthy": true }));
        self.wait("HeartbeatAckRequest", id);
    }

    /// What the agent has said under this type.
    pub fn heard(&self, kind: &str) -> Vec<Value> {
        let heard = self.heard.lock().unwrap();
        let of = heard.iter().filter(|frame| frame["type"] == kind);
        of.map(|frame| frame["message"].clone()).collect()
    }

    pub fn wait(&self, kind: &str, id: &str) -> Value {
        wait_for(&format!("{kind} for {id}"), || {
            self.heard(kind).into_iter().find(|message| message["messageId"] == id)
        })
    }

    pub fn is_acked(&self, id: &str) -> bool {
        self.heard("AckRequest").iter().any(|ack| ack["messageId"] == id)
    }

    pub fn wait_ended(&self) {
        wait_for("the agent hangs up", || self.ended.load(Ordering::SeqCst).then_some(()));
    }

    /// The line is cut.
    pub fn cut(&self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

pub fn payload(id: &str, sequence: i64, tasks: &[Value]) -> Value {
    json!({ "messageId": id, "clusterArn": CLUSTER, "containerInstanceArn": INSTANCE,
        "generatedAt": 1_700_000_000_000i64, "seqNum": sequence, "tasks": tasks })
}

pub fn arn(id: u32) -> String {
    format!("arn:aws:ecs:us-east-1:123456789012:task/default/{id:032x}")
}

/// A task that writes its beginning and then waits.
pub fn task(id: u32, desired: &str) -> Value {
    let command = "trap 'exit 0' TERM; echo begun; while true; do sleep 1; done";
    json!({
        "arn": arn(id), "taskClusterArn": CLUSTER, "family": "t", "version": "1",
        "desiredStatus": desired, "overrides": "{}", "networkMode": "host", "launchType": "EC2",
        "taskDefinitionAccountId": "123456789012",
        "containers": [{
            "name": "app", "image": "busybox:latest", "essential": true, "cpu": 10, "memory": 32,
            "command": ["sh", "-c", command], "overrides": "{}",
            "dockerConfig": { "version": "1.19", "config": "{}", "hostConfig": "{}" },
        }],
    })
}
