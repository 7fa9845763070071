//! Graylog's format over UDP (compressed, in chunks) or TCP (each message ended by a zero).

use std::collections::BTreeMap;
use std::io::Write;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use serde_json::{Map, Value, json};

use crate::options::Options;
use crate::wire::{Address, Wire};
use crate::{About, Driver, Later, Line, LogError, Opening, Source, fields, tag};

const DRIVER: &str = "gelf";
const PORT: u16 = 12201;
/// A datagram's bytes with its chunk's head, and how many chunks a message may have.
const CHUNK: usize = 1420 - 12;
const MOST_CHUNKS: usize = 128;

#[derive(Clone, Copy, PartialEq)]
enum Squeeze {
    None,
    Gzip,
    Zlib,
}

struct Wanted {
    address: Address,
    squeeze: Squeeze,
    level: Compression,
    tag: String,
    more: BTreeMap<String, String>,
}

fn read(opening: &Opening) -> Result<Wanted, LogError> {
    let mut options = Options::new(DRIVER, &opening.options);
    let Some(address) = options.take("gelf-address") else {
        return Err(options.bad("gelf-address", "it is a required parameter"));
    };
    let address = Address::parse(address, PORT).map_err(|why| options.bad("gelf-address", why))?;
    if !matches!(address, Address::Tcp(_) | Address::Udp(_)) {
        return Err(options.bad("gelf-address", "it must be udp:// or tcp://"));
    }
    let squeeze = match (options.take("gelf-compression-type"), &address) {
        (Some(_), Address::Tcp(_)) => {
            return Err(options.bad("gelf-compression-type", "compression is only of UDP"));
        }
        (None, Address::Tcp(_)) | (Some("none"), _) => Squeeze::None,
        (None | Some("gzip"), _) => Squeeze::Gzip,
        (Some("zlib"), _) => Squeeze::Zlib,
        (Some(_), _) => {
            return Err(options.bad("gelf-compression-type", "it must be gzip, zlib or none"));
        }
    };
    let level: i32 = options.parse("gelf-compression-level")?.unwrap_or(1);
    if !(-1..=9).contains(&level) {
        return Err(options.bad("gelf-compression-level", "it must be between -1 and 9"));
    }
    let level = u32::try_from(level).map_or(Compression::default(), Compression::new);
    options.parse::<u32>("gelf-tcp-max-reconnect")?;
    options.parse::<u32>("gelf-tcp-reconnect-delay")?;
    let tag = tag::fill(DRIVER, options.take("tag"), &opening.about)?;
    let more = fields::chosen(&mut options, &opening.about)?;
    options.finish()?;
    Ok(Wanted { address, squeeze, level, tag, more })
}

pub(crate) fn check(opening: &Opening) -> Result<(), LogError> {
    read(opening).map(drop)
}

pub(crate) fn open(opening: &Opening) -> Result<Box<dyn Driver>, LogError> {
    let wanted = read(opening)?;
    let About { container_id, runtime_name, image, image_id, host_name, .. } = &*opening.about;
    let mut fixed = json!({
        "version": "1.1", "host": host_name,
        "_container_id": container_id, "_container_name": runtime_name,
        "_image_id": image_id, "_image_name": image, "_tag": wanted.tag,
    });
    let fixed = std::mem::take(fixed.as_object_mut().expect("an object was written just now"));
    let wire = Wire::new(wanted.address.clone());
    Ok(Box::new(Gelf { wanted, wire, fixed, sent: 0 }))
}

struct Gelf {
    wanted: Wanted,
    wire: Wire,
    fixed: Map<String, Value>,
    sent: u64,
}

impl Gelf {
    fn packets(&mut self, line: &Line, out: &mut Vec<Vec<u8>>) {
        let mut message = self.fixed.clone();
        let text = String::from_utf8_lossy(&line.text);
        let level = if line.source == Source::Stderr { 3 } else { 6 };
        message.insert("short_message".into(), text.into());
        message.insert("timestamp".into(), json!(line.millis() as f64 / 1000.0));
        message.insert("level".into(), level.into());
        for (name, value) in &self.wanted.more {
            message.insert(format!("_{name}"), value.clone().into());
        }
        let mut bytes = Value::Object(message).to_string().into_bytes();
        if matches!(self.wanted.address, Address::Tcp(_)) {
            bytes.push(0);
            return out.push(bytes);
        }
        let bytes = squeeze(bytes, self.wanted.squeeze, self.wanted.level);
        let chunks = bytes.len().div_ceil(CHUNK);
        if chunks <= 1 {
            return out.push(bytes);
        }
        // More than the format can number would be refused by who reads it.
        if chunks > MOST_CHUNKS {
            return;
        }
        self.sent += 1;
        let id = (u64::from(std::process::id()) << 32 | self.sent).to_be_bytes();
        for (n, chunk) in bytes.chunks(CHUNK).enumerate() {
            let mut packet = vec![0x1e, 0x0f];
            packet.extend_from_slice(&id);
            packet.extend_from_slice(&[n as u8, chunks as u8]);
            packet.extend_from_slice(chunk);
            out.push(packet);
        }
    }
}

fn squeeze(bytes: Vec<u8>, how: Squeeze, level: Compression) -> Vec<u8> {
    let squeezed = match how {
        Squeeze::None => return bytes,
        Squeeze::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), level);
            encoder.write_all(&bytes).and_then(|()| encoder.finish())
        }
        Squeeze::Zlib => {
            let mut encoder = ZlibEncoder::new(Vec::new(), level);
            encoder.write_all(&bytes).and_then(|()| encoder.finish())
        }
    };
    // Readers tell compressed from plain by the first bytes.
    squeezed.unwrap_or(bytes)
}

impl Driver for Gelf {
    fn deliver<'a>(
        &'a mut self,
        lines: &'a [Line],
        _flush: bool,
    ) -> Later<'a, Result<usize, LogError>> {
        Box::pin(async move {
            let portion = &lines[..lines.len().min(500)];
            let mut packets = Vec::with_capacity(portion.len());
            portion.iter().for_each(|line| self.packets(line, &mut packets));
            self.wire.send(&packets).await?;
            Ok(portion.len())
        })
    }
}
