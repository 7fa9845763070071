//! Fluentd's forward protocol, and with it FireLens, whose router listens for it on a local socket.

use std::collections::BTreeMap;

use rmp::encode::{write_array_len, write_ext_meta, write_map_len, write_str, write_uint};

use crate::options::Options;
use crate::wire::{Address, Wire};
use crate::{Driver, Later, Line, LogError, Opening, Source, fields, tag};

const DRIVER: &str = "fluentd";
const PORT: u16 = 24224;
const HERE: &str = "tcp://127.0.0.1:24224";

struct Wanted {
    address: Address,
    tag: String,
    /// Docker: a fluentd that is away keeps the container from starting, unless it may be later.
    may_be_later: bool,
    exact_time: bool,
    more: BTreeMap<String, String>,
}

fn read(opening: &Opening) -> Result<Wanted, LogError> {
    let mut options = Options::new(DRIVER, &opening.options);
    let address = Address::parse(options.take("fluentd-address").unwrap_or(HERE), PORT)
        .map_err(|why| options.bad("fluentd-address", why))?;
    let later = options.parse("fluentd-async")?;
    let older = options.parse("fluentd-async-connect")?;
    let exact_time = options.parse("fluentd-sub-second-precision")?.unwrap_or(false);
    // How often and how long it is tried again is the follower's; the values must still be such.
    options.parse::<u32>("fluentd-max-retries")?;
    for name in ["fluentd-retry-wait", "fluentd-buffer-limit", "fluentd-request-ack"] {
        options.take(name);
    }
    options.take("fluentd-async-reconnect-interval");
    let tag = tag::fill(DRIVER, options.take("tag"), &opening.about)?;
    let more = fields::chosen(&mut options, &opening.about)?;
    options.finish()?;
    let may_be_later = later.or(older).unwrap_or(false);
    Ok(Wanted { address, tag, may_be_later, exact_time, more })
}

pub(crate) fn check(opening: &Opening) -> Result<(), LogError> {
    read(opening).map(drop)
}

pub(crate) async fn open(opening: &Opening) -> Result<Box<dyn Driver>, LogError> {
    let wanted = read(opening)?;
    let mut wire = Wire::new(wanted.address.clone());
    if !wanted.may_be_later {
        wire.connect().await?;
    }
    let about = &opening.about;
    let id = about.container_id.clone();
    let name = format!("/{}", about.runtime_name);
    Ok(Box::new(Fluentd { wanted, wire, id, name }))
}

struct Fluentd {
    wanted: Wanted,
    wire: Wire,
    id: String,
    name: String,
}

impl Fluentd {
    /// `[tag, time, record]`, the protocol's message for one event.
    fn message(&self, line: &Line) -> Vec<u8> {
        let mut out = Vec::with_capacity(line.text.len() + 200);
        let source = match line.source {
            Source::Stdout => "stdout",
            Source::Stderr => "stderr",
        };
        let text = String::from_utf8_lossy(&line.text);
        let mut record = vec![
            ("container_id", &self.id[..]),
            ("container_name", &self.name[..]),
            ("source", source),
            ("log", &text),
        ];
        if line.partial {
            record.push(("partial_message", "true"));
        }
        record.extend(self.wanted.more.iter().map(|(name, value)| (&name[..], &value[..])));
        let written = (|| {
            write_array_len(&mut out, 3)?;
            write_str(&mut out, &self.wanted.tag)?;
            let seconds = line.at.div_euclid(1_000_000_000);
            if self.wanted.exact_time {
                write_ext_meta(&mut out, 8, 0)?;
                out.extend_from_slice(&(seconds as u32).to_be_bytes());
                let nanos = line.at.rem_euclid(1_000_000_000) as u32;
                out.extend_from_slice(&nanos.to_be_bytes());
            } else {
                write_uint(&mut out, u64::try_from(seconds).unwrap_or(0))?;
            }
            write_map_len(&mut out, record.len() as u32)?;
            record.iter().try_for_each(|(name, value)| {
                write_str(&mut out, name)?;
                write_str(&mut out, value)
            })
        })();
        debug_assert!(written.is_ok(), "memory takes whatever is written to it");
        out
    }
}

impl Driver for Fluentd {
    fn deliver<'a>(
        &'a mut self,
        lines: &'a [Line],
        _flush: bool,
    ) -> Later<'a, Result<usize, LogError>> {
        Box::pin(async move {
            let portion = &lines[..lines.len().min(1000)];
            let messages: Vec<Vec<u8>> = portion.iter().map(|line| self.message(line)).collect();
            self.wire.send(&messages).await?;
            Ok(portion.len())
        })
    }
}
