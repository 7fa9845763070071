//! The server put together: data directory, journal, engine, gateway; and taken apart again.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use core_types::{AccountId, Region};
use plane_engine::{Engine, Options};
use plane_gateway::{Gateway, Limits, Serving};
use plane_journal::{EmbeddedJournal, EmbeddedOptions, Journal};
use service_iam::reports::EnsureRoot;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::data_dir::{DataDir, DataDirArgument};
use crate::endpoint::Endpoint;
use crate::logs::LogArguments;
use crate::root_key::{RootKey, RootKeyArguments};
use crate::{process, slices};

#[derive(Clone, Debug, clap::Args)]
pub struct Settings {
    #[command(flatten)]
    data_dir: DataDirArgument,
    /// Where to listen; may be given several times, port 0 is any free one
    #[arg(long, env = "WHARF_LISTEN", value_name = "ADDR:PORT", value_delimiter = ',')]
    #[arg(default_value = "127.0.0.1:4566")]
    listen: Vec<SocketAddr>,
    /// The first account
    #[arg(long, env = "WHARF_ACCOUNT_ID", default_value = "123456789012", value_name = "ID")]
    account_id: AccountId,
    /// The region that `wharf env` exports; requests name their own
    #[arg(long, env = "WHARF_REGION", default_value = "us-east-1")]
    region: Region,
    #[command(flatten)]
    root_key: RootKeyArguments,
    #[command(flatten)]
    logs: LogArguments,
    /// Tell what happens as one JSON object a line on standard output
    #[arg(long, env = "WHARF_JSON")]
    json: bool,
}

/// Everything that one run needs, from the command line.
struct Run<'a> {
    settings: &'a Settings,
    /// What is started, in words.
    what: &'a str,
    dir: DataDir,
    given_key: Option<RootKey>,
    started: Instant,
}

pub fn run(settings: &Settings, what: &str) -> Result<ExitCode> {
    let started = Instant::now();
    let given_key = settings.root_key.given()?;
    settings.logs.start();
    let dir = settings.data_dir.resolve()?;
    dir.create()?;
    let _lock = dir.lock()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("wharf-io")
        .build()
        .context("cannot start threads")?;
    // An address that is taken is told before the journal is touched.
    let listeners = runtime.block_on(listen(&settings.listen))?;
    let engine = start_engine(&dir, &listeners)?;
    let run = Run { settings, what, dir, given_key, started };
    let served = runtime.block_on(run.serve(&engine, listeners));
    Endpoint::remove(&run.dir);
    engine.stop();
    run.tell_stopped();
    served.map(|()| ExitCode::SUCCESS)
}

async fn listen(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>> {
    let mut listeners = Vec::new();
    for address in addresses {
        let listener = TcpListener::bind(address).await;
        listeners.push(listener.with_context(|| format!("cannot listen on {address}"))?);
    }
    Ok(listeners)
}

fn start_engine(dir: &DataDir, listeners: &[TcpListener]) -> Result<Engine> {
    let mut options = EmbeddedOptions::new(dir.journal());
    options.advertise = urls(listeners)?.swap_remove(0);
    let journal: Box<dyn Journal> = Box::new(EmbeddedJournal::open(options)?);
    Ok(Engine::start(slices::registry(), journal, Options::default())?)
}

/// Where clients on this machine reach the listeners.
fn urls(listeners: &[TcpListener]) -> Result<Vec<String>> {
    let url = |listener: &TcpListener| {
        let mut address = listener.local_addr().context("a listener without an address")?;
        match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        Ok(format!("http://{address}"))
    };
    listeners.iter().map(url).collect()
}

impl Run<'_> {
    async fn serve(&self, engine: &Engine, listeners: Vec<TcpListener>) -> Result<()> {
        let mut signals = Signals::new()?;
        let endpoint = self.endpoint(&listeners)?;
        let gateway = Gateway::new(engine.clone(), Limits::default());
        let mut running = Vec::new();
        for listener in listeners {
            running.push(Serving::start(gateway.clone(), listener)?);
        }
        let ready = async {
            self.ensure_root(engine).await?;
            endpoint.write(&self.dir)
        };
        tokio::select! {
            ready = ready => ready?,
            // Stopped before it was ready: nothing was promised to anyone.
            () = signals.any() => return Ok(()),
        }
        self.tell_ready(&endpoint);
        signals.any().await;
        self.tell_stopping();
        tokio::spawn(async move {
            signals.any().await;
            std::process::exit(130);
        });
        for listener in running {
            listener.stop().await;
        }
        Ok(())
    }

    fn endpoint(&self, listeners: &[TcpListener]) -> Result<Endpoint> {
        let pid = std::process::id();
        Ok(Endpoint {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid,
            started: process::started(pid).context("/proc does not tell of this process")?,
            endpoints: urls(listeners)?,
            region: self.settings.region,
            account: self.settings.account_id,
            ca: None,
        })
    }

    /// The first account with its root key: given, kept from before, or made now.
    async fn ensure_root(&self, engine: &Engine) -> Result<()> {
        engine.led().await?;
        let kept = RootKey::load(&self.dir)?;
        let key = match (&self.given_key, kept.clone()) {
            (Some(given), _) => given.clone(),
            (None, Some(kept)) => kept,
            (None, None) => RootKey::generate()?,
        };
        if kept.as_ref() != Some(&key) {
            key.save(&self.dir)?;
        }
        let account = self.settings.account_id;
        let RootKey { access_key_id, secret_access_key: secret } = key;
        engine.report(Box::new(EnsureRoot { account, access_key_id, secret })).await?;
        Ok(())
    }

    fn tell_ready(&self, endpoint: &Endpoint) {
        let took = self.started.elapsed().as_millis() as u64;
        if self.settings.json {
            let mut event = serde_json::json!({ "event": "ready", "startMillis": took });
            if let (Some(event), Ok(serde_json::Value::Object(more))) =
                (event.as_object_mut(), serde_json::to_value(endpoint))
            {
                event.extend(more);
            }
            return say(&format!("{event}\n"));
        }
        let Endpoint { version, region, account, .. } = endpoint;
        let (path, what) = (self.dir.path().display(), self.what);
        let urls = endpoint.endpoints.join(" ");
        say(&format!(
            "wharf {version}: {what}, account {account}, region {region}, data in {path}\n\
             ready: {urls}\n\
             point your tools here: eval \"$(wharf env{})\"\n",
            self.dir.flag()
        ));
        tracing::info!(endpoint = endpoint.first(), start_millis = took, "ready");
    }

    fn tell_stopping(&self) {
        match self.settings.json {
            true => say("{\"event\":\"stopping\"}\n"),
            false => say("stopping: running requests may finish; once more to quit at once\n"),
        }
    }

    fn tell_stopped(&self) {
        match self.settings.json {
            true => say("{\"event\":\"stopped\"}\n"),
            false => say("stopped\n"),
        }
    }
}

/// To standard output, whoever may still be there to read it.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// What asks the server to stop.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> Result<Signals> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
