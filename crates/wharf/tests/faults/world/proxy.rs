//! A wire that can be cut: a TCP proxy that passes bytes on, or keeps every connection open and
//! lets nothing through, as a network does that drops all packets. What was on its way when the
//! wire was cut arrives when it is healed.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Open,
    Cut,
    Closed,
}

struct Wire {
    mode: Mutex<Mode>,
    changed: Condvar,
    ends: Mutex<Vec<TcpStream>>,
}

pub struct Proxy {
    wire: Arc<Wire>,
    port: u16,
}

impl Wire {
    /// Waits while the wire is cut; false once it is gone for good.
    fn is_open(&self) -> bool {
        let mode = self.mode.lock().unwrap();
        *self.changed.wait_while(mode, |mode| *mode == Mode::Cut).unwrap() == Mode::Open
    }

    fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
        self.changed.notify_all();
    }

    fn keep(&self, stream: &TcpStream) -> TcpStream {
        self.ends.lock().unwrap().push(stream.try_clone().unwrap());
        stream.try_clone().unwrap()
    }
}

fn pump(wire: &Wire, mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = [0; 1 << 14];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if !wire.is_open() || to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}

impl Proxy {
    pub fn to(port: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let own = listener.local_addr().unwrap().port();
        let (mode, changed) = (Mutex::new(Mode::Open), Condvar::new());
        let wire = Arc::new(Wire { mode, changed, ends: Mutex::default() });
        let shared = wire.clone();
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                if *shared.mode.lock().unwrap() == Mode::Closed {
                    break;
                }
                let wire = shared.clone();
                std::thread::spawn(move || connect(&wire, &near, port));
            }
        });
        Proxy { wire, port: own }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn cut(&self) {
        self.wire.set(Mode::Cut);
    }

    pub fn heal(&self) {
        self.wire.set(Mode::Open);
    }
}

fn connect(wire: &Arc<Wire>, near: &TcpStream, port: u16) {
    let (near_in, near_out) = (wire.keep(near), wire.keep(near));
    if !wire.is_open() {
        return;
    }
    let Ok(far) = TcpStream::connect(("127.0.0.1", port)) else {
        let _ = near.shutdown(Shutdown::Both);
        return;
    };
    let (far_in, far_out) = (wire.keep(&far), wire.keep(&far));
    let back = wire.clone();
    std::thread::spawn(move || pump(&back, far_in, near_out));
    pump(wire, near_in, far_out);
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.wire.set(Mode::Closed);
        for end in self.wire.ends.lock().unwrap().drain(..) {
            let _ = end.shutdown(Shutdown::Both);
        }
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}
