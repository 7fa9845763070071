//! syslog over UDP, TCP or a local socket, in the forms that Docker offers.

use jiff::Timestamp;

use crate::options::Options;
use crate::wire::{Address, Wire};
use crate::{Driver, Later, Line, LogError, Opening, Source, tag};

const DRIVER: &str = "syslog";
const PORT: u16 = 514;
const LOCAL: &str = "unixgram:///dev/log";

/// Names of facilities, in the order of their numbers.
const FACILITIES: &[&str] = &[
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
    "ftp", "", "", "", "", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
    "local7",
];
const DAEMON: u8 = 3;
const ERROR: u8 = 3;
const INFORMATION: u8 = 6;

#[derive(Clone, Copy, PartialEq)]
enum Form {
    /// Docker's own default: no host name, local sockets.
    Local,
    Rfc3164,
    Rfc5424 {
        micro: bool,
    },
}

struct Wanted {
    address: Address,
    facility: u8,
    form: Form,
    tag: String,
}

fn read(opening: &Opening) -> Result<Wanted, LogError> {
    let mut options = Options::new(DRIVER, &opening.options);
    let address = Address::parse(options.take("syslog-address").unwrap_or(LOCAL), PORT)
        .map_err(|why| options.bad("syslog-address", why))?;
    let facility = match options.take("syslog-facility") {
        None => DAEMON,
        Some(name) => {
            let known = FACILITIES.iter().position(|known| *known == name && !name.is_empty());
            let number = known.map(|at| at as u8).or_else(|| name.parse().ok().filter(|n| *n < 24));
            number.ok_or_else(|| options.bad("syslog-facility", "invalid syslog facility"))?
        }
    };
    let form = match options.take("syslog-format") {
        None => Form::Local,
        Some("rfc3164") => Form::Rfc3164,
        Some("rfc5424") => Form::Rfc5424 { micro: false },
        Some("rfc5424micro") => Form::Rfc5424 { micro: true },
        Some(_) => return Err(options.bad("syslog-format", "Invalid syslog format")),
    };
    let tag = tag::fill(DRIVER, options.take("tag"), &opening.about)?;
    // Docker takes these and leaves them out of what it sends.
    for name in ["labels", "labels-regex", "env", "env-regex"] {
        options.take(name);
    }
    options.finish()?;
    Ok(Wanted { address, facility, form, tag })
}

pub(crate) fn check(opening: &Opening) -> Result<(), LogError> {
    read(opening).map(drop)
}

pub(crate) fn open(opening: &Opening) -> Result<Box<dyn Driver>, LogError> {
    let wanted = read(opening)?;
    let wire = Wire::new(wanted.address.clone());
    Ok(Box::new(Syslog { wanted, wire, host: opening.about.host_name.clone() }))
}

struct Syslog {
    wanted: Wanted,
    wire: Wire,
    host: String,
}

impl Syslog {
    fn message(&self, line: &Line) -> Vec<u8> {
        let Wanted { facility, form, tag, address } = &self.wanted;
        let severity = if line.source == Source::Stderr { ERROR } else { INFORMATION };
        let priority = facility * 8 + severity;
        let at = Timestamp::from_nanosecond(i128::from(line.at)).unwrap_or_default();
        let pid = std::process::id();
        let host = &self.host;
        let short = || at.strftime("%b %e %H:%M:%S");
        let head = match form {
            Form::Local => format!("<{priority}>{} {tag}[{pid}]: ", short()),
            Form::Rfc3164 => format!("<{priority}>{} {host} {tag}[{pid}]: ", short()),
            Form::Rfc5424 { micro } => {
                let form = if *micro { "%Y-%m-%dT%H:%M:%S.%6fZ" } else { "%Y-%m-%dT%H:%M:%SZ" };
                format!("<{priority}>1 {} {host} {tag} {pid} {tag} - ", at.strftime(form))
            }
        };
        let mut message = head.into_bytes();
        message.extend_from_slice(&line.text);
        if matches!(address, Address::Tcp(_) | Address::Unix(_)) {
            message.push(b'\n');
        }
        message
    }
}

impl Driver for Syslog {
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
