//! The server put together: data directory, journal, engine, gateway; and taken apart again.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use plane_engine::{Engine, Options, Refusal};
use plane_gateway::{Forward, Gateway, Parts, Serving};
use plane_links::{LastFigures, Links};
use serde_json::{Value, json};
use service_ecs::reports::Configured;
use service_iam::operator;
use service_iam::reports::EnsureRoot;
use tokio::net::TcpListener;

use crate::data::Stores;
use crate::data_dir::DataDir;
use crate::endpoint::Endpoint;
use crate::events::Events;
use crate::hosts::{Agents, HostArguments, Hosts, Plane, Running};
use crate::links::Rows;
use crate::operator::HouseOperator;
use crate::root_key::RootKey;
use crate::settings::{Settings, StateArgument};
use crate::supervisor::{Signals, notify, raise_file_limit};
use crate::tls::{self, Certificate};
use crate::uses::Uses;
use crate::{hooks, process, slices, state};

/// Everything that one run needs, from the command line.
struct Run<'a> {
    settings: &'a Settings,
    /// What is started, in words.
    what: &'a str,
    dir: DataDir,
    keeper: Arc<RootKeeper>,
    started: Instant,
    ready: &'a Ready<'a>,
}

/// Called once when the server takes requests: where, and its hosts' names and addresses by their
/// instances' ids.
pub type Ready<'a> = dyn Fn(&Endpoint, BTreeMap<String, (String, String)>) + 'a;

pub fn run(
    settings: &Settings,
    what: &str,
    hosts: Option<&HostArguments>,
    ready: &Ready<'_>,
) -> Result<ExitCode> {
    let started = Instant::now();
    settings.check()?;
    let given = settings.root_key.given()?;
    settings.logs.start();
    raise_file_limit();
    let dir = settings.data_dir.resolve()?;
    dir.create()?;
    let _lock = dir.lock()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("wharf-io")
        .build()
        .context("cannot start threads")?;
    // An address that is taken is told before the journal is touched.
    let mut listeners = runtime.block_on(listen(&settings.listen))?;
    let hosts = hosts.map(|hosts| Hosts::open(hosts, &dir, settings.region)).transpose()?;
    let gateways: Vec<IpAddr> =
        hosts.iter().flat_map(|hosts| hosts.listen(0)).map(|address| address.ip()).collect();
    let certificate = tls::choose(settings, &dir, &gateways)?;
    let endpoint = endpoint(settings, &listeners, certificate.as_ref())?;
    let keeper = Arc::new(RootKeeper {
        dir: dir.clone(),
        advertise: endpoint.first().to_owned(),
        account: settings.account_id,
        given,
        timing: settings.timing.told(),
        json: settings.json,
    });
    let run = Run { settings, what, dir, keeper, started, ready };
    let journal = state::open(settings, &run.dir, endpoint.first())?;
    let engine = Engine::start(slices::registry(), journal, Options::default())?;
    let stores = Stores::open(&run.dir)?;
    let port = listeners[0].local_addr().context("a listener without an address")?.port();
    if let Some(hosts) = &hosts {
        // Hosts are in namespaces of their own: this machine's loopback is out of their reach.
        listeners.extend(runtime.block_on(listen(&hosts.listen(port)))?);
    }
    let hosts = hosts.map(|hosts| (hosts, port));
    let served =
        runtime.block_on(run.serve(&engine, &stores, &endpoint, listeners, certificate, hosts));
    Endpoint::remove(&run.dir);
    stores.stop();
    engine.stop();
    run.tell("stopped", "stopped");
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

/// Where clients on this machine reach a listener.
fn url(listener: &TcpListener, scheme: &str) -> Result<String> {
    let mut address = listener.local_addr().context("a listener without an address")?;
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    Ok(format!("{scheme}://{address}"))
}

fn endpoint(
    settings: &Settings,
    listeners: &[TcpListener],
    certificate: Option<&Certificate>,
) -> Result<Endpoint> {
    let pid = std::process::id();
    let scheme = if certificate.is_some() { "https" } else { "http" };
    let mut endpoints: Vec<String> = settings.advertise.clone().into_iter().collect();
    for listener in listeners {
        endpoints.push(url(listener, scheme)?);
    }
    Ok(Endpoint {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid,
        started: process::started(pid).context("/proc does not tell of this process")?,
        endpoints,
        region: settings.region,
        account: settings.account_id,
        ca: certificate.and_then(|certificate| certificate.ca.clone()),
    })
}

impl Run<'_> {
    fn gateway(
        &self,
        engine: &Engine,
        stores: &Stores,
        (links, agents): (Arc<Links>, Arc<Agents>),
        endpoint: &Endpoint,
    ) -> Arc<Gateway> {
        // Alone there is nobody to pass a write on to.
        let forward = match self.settings.state {
            StateArgument::Embedded => None,
            StateArgument::Etcd(_) => {
                Some(Forward::new(operator::server_secret, endpoint.ca.clone()))
            }
        };
        let events = Events::start(engine);
        let operator =
            Arc::new(HouseOperator { account: self.settings.account_id, events, agents });
        let uses = Uses::start(engine);
        let parts = Parts {
            operator: Some(operator),
            forward,
            data: stores.handlers(engine),
            sockets: Some(links),
            uses: Some(Box::new(move |call, service| uses.note(call, service))),
            figures: Some(stores.figures()),
            ..Parts::default()
        };
        Gateway::new(engine.clone(), parts)
    }

    async fn serve(
        &self,
        engine: &Engine,
        stores: &Stores,
        endpoint: &Endpoint,
        listeners: Vec<TcpListener>,
        certificate: Option<Certificate>,
        hosts: Option<(Hosts, u16)>,
    ) -> Result<()> {
        let mut signals = Signals::new()?;
        let rows = Arc::new(Rows { engine: engine.clone() });
        let grace = service_ecs::ops::host_grace(&engine.view().state);
        let pace = self.settings.timing.pace(grace);
        let links = Links::new(rows, Arc::new(LastFigures::default()), pace);
        tokio::spawn(links.clone().run(engine.clone()));
        let agents = Arc::new(Agents::default());
        let gateway = self.gateway(engine, stores, (links.clone(), agents.clone()), endpoint);
        stores.start(engine);
        hooks::start(engine, &self.settings.hooks);
        let tls = certificate.as_ref().map(|certificate| certificate.tls.clone());
        let mut running = Vec::new();
        for listener in listeners {
            running.push(Serving::start(gateway.clone(), listener, tls.clone())?);
        }
        if let Some(certificate) = certificate {
            tokio::spawn(certificate.keep_fresh());
        }
        tokio::select! {
            kept = self.keeper.first(engine) => kept?,
            // Stopped before it was ready: nothing was promised to anyone.
            () = signals.any() => return Ok(()),
        }
        let (keeper, kept_for) = (self.keeper.clone(), engine.clone());
        tokio::spawn(async move { keeper.keep_on(&kept_for).await });
        endpoint.write(&self.dir)?;
        let hosts = match hosts {
            Some((hosts, port)) => {
                Some(self.start_hosts(engine, endpoint, (hosts, agents), port).await?)
            }
            None => None,
        };
        self.tell_ready(endpoint, hosts.as_ref());
        notify("READY=1");
        let told = hosts.as_ref().map(Running::told).unwrap_or_default();
        let by_id = told.into_iter().map(|(name, id, address)| (id, (name, address)));
        (self.ready)(endpoint, by_id.collect());
        signals.any().await;
        notify("STOPPING=1");
        self.tell("stopping", "stopping: running requests may finish; once more to quit at once");
        tokio::spawn(async move {
            signals.any().await;
            std::process::exit(130);
        });
        if let Some(hosts) = hosts {
            self.stop_hosts(hosts).await?;
        }
        // Agents dial anew, wherever there is a server then; their tasks go on.
        links.end_all();
        let stops = running.into_iter().map(|listener| tokio::spawn(listener.stop()));
        for stop in stops.collect::<Vec<_>>() {
            stop.await.context("a listener ended badly")?;
        }
        Ok(())
    }

    async fn start_hosts(
        &self,
        engine: &Engine,
        endpoint: &Endpoint,
        (hosts, agents): (Hosts, Arc<Agents>),
        port: u16,
    ) -> Result<Running> {
        let plane = Plane {
            engine,
            account: self.settings.account_id,
            region: self.settings.region,
            scheme: if endpoint.first().starts_with("https") { "https" } else { "http" },
            port,
            ca: endpoint.ca.as_deref(),
        };
        hosts.start(&plane, agents).await
    }

    async fn stop_hosts(&self, hosts: Running) -> Result<()> {
        if !hosts.removes() {
            let flag = self.dir.flag();
            self.tell(
                "hosts-left",
                &format!(
                    "tasks go on running, and the next `wharf up{flag}` takes them back; \
                     `wharf clean{flag}` removes them"
                ),
            );
        }
        hosts.stop().await
    }

    fn tell_ready(&self, endpoint: &Endpoint, hosts: Option<&Running>) {
        let took = self.started.elapsed().as_millis() as u64;
        if self.settings.json {
            let mut event = json!({ "event": "ready", "startMillis": took });
            if let (Some(event), Ok(Value::Object(more))) =
                (event.as_object_mut(), serde_json::to_value(endpoint))
            {
                event.extend(more);
            }
            if let Some(hosts) = hosts {
                let each = hosts.told().into_iter().map(
                    |(name, id, address)| json!({ "name": name, "id": id, "address": address }),
                );
                event["hosts"] = each.collect();
            }
            return say(&event.to_string());
        }
        for (name, id, address) in hosts.map(Running::told).unwrap_or_default() {
            say(&format!("host {name} ({id}) at {address}"));
        }
        let Endpoint { version, region, account, .. } = endpoint;
        let (path, what) = (self.dir.path().display(), self.what);
        let urls = endpoint.endpoints.join(" ");
        say(&format!(
            "wharf {version}: {what}, account {account}, region {region}, data in {path}\n\
             ready: {urls}\n\
             point your tools here: eval \"$(wharf env{})\"",
            self.dir.flag()
        ));
        tracing::info!(endpoint = endpoint.first(), start_millis = took, "ready");
    }

    fn tell(&self, event: &str, words: &str) {
        match self.settings.json {
            true => say(&json!({ "event": event }).to_string()),
            false => say(words),
        }
    }
}

/// To standard output, whoever may still be there to read it.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Sees to it that the first account has its root key, and that the key is kept where `wharf env`
/// looks. Where several servers share a state, the one that leads decides and the others learn.
struct RootKeeper {
    dir: DataDir,
    advertise: String,
    account: core_types::AccountId,
    given: Option<RootKey>,
    /// The grace of lost hosts, and how long stopped tasks are shown, where the operator told.
    timing: Option<(Duration, Duration)>,
    json: bool,
}

impl RootKeeper {
    /// Wait until there is a root key that works on this server.
    async fn first(&self, engine: &Engine) -> Result<()> {
        let (mut leading, mut revisions) = (engine.leading(), engine.revisions());
        let mut told = None;
        loop {
            if *leading.borrow_and_update() {
                match self.ensure(engine).await {
                    Ok(()) => return Ok(()),
                    Err(error) => match error.downcast_ref::<Refusal>() {
                        Some(Refusal::NotDurable(_) | Refusal::NotLeader(_)) => {
                            let reason = error.to_string();
                            if told.as_ref() != Some(&reason) {
                                self.tell_waiting(&reason);
                                told = Some(reason);
                            }
                            tokio::time::sleep(Duration::from_millis(250)).await;
                            continue;
                        }
                        _ => return Err(error),
                    },
                }
            }
            // A journal that cannot be opened for writing, on a full disk, leads nobody.
            let refused = engine.journal_status().and_then(|journal| journal.refused);
            if let Some(reason) = refused
                && told.as_ref() != Some(&reason)
            {
                self.tell_waiting(&reason);
                told = Some(reason);
            }
            revisions.mark_unchanged();
            // Where we are named ourselves, leading is a moment away.
            let other = engine.leader().is_some_and(|leader| leader.address != self.advertise);
            if other && let Some(key) = self.known(engine) {
                return key.keep(&self.dir);
            }
            tokio::select! {
                changed = leading.changed() => changed.context("the engine has stopped")?,
                changed = revisions.changed() => changed.context("the engine has stopped")?,
                // News of who leads come without a revision.
                () = tokio::time::sleep(Duration::from_millis(100)) => {}
            }
        }
    }

    /// Why the server is not ready yet; once a reason.
    fn tell_waiting(&self, reason: &str) {
        tracing::warn!("not ready: {reason}");
        match self.json {
            true => say(&json!({ "event": "waiting", "reason": reason }).to_string()),
            false => say(&format!("not ready: {reason}")),
        }
    }

    /// For as long as the server runs: at each takeover, and when the leader was given another key.
    async fn keep_on(&self, engine: &Engine) {
        let (mut leading, mut revisions) = (engine.leading(), engine.revisions());
        let mut last = self.known(engine);
        loop {
            let follows = !*leading.borrow();
            let changed = tokio::select! {
                changed = leading.changed() => changed,
                changed = revisions.changed(), if follows => changed,
            };
            if changed.is_err() {
                return;
            }
            let kept = match self.known(engine) {
                _ if *leading.borrow_and_update() => self.first(engine).await,
                Some(key) if last.as_ref() != Some(&key) => key.keep(&self.dir),
                _ => Ok(()),
            };
            if let Err(error) = kept {
                tracing::error!("the root key: {error:#}");
            }
            last = self.known(engine);
        }
    }

    /// The root key as the state has it.
    fn known(&self, engine: &Engine) -> Option<RootKey> {
        let view = engine.view();
        let (id, secret) = operator::given_root_key(&view.state, self.account)?;
        let (access_key_id, secret_access_key) = (id.to_string(), secret.to_string());
        Some(RootKey { access_key_id, secret_access_key })
    }

    /// The given key, or the state's, or the one kept from before, or a new one.
    async fn ensure(&self, engine: &Engine) -> Result<()> {
        let known = self.known(engine);
        let key = match (&self.given, known.clone(), RootKey::load(&self.dir)?) {
            (Some(given), ..) => given.clone(),
            (None, Some(known), _) => known,
            (None, None, Some(kept)) => kept,
            (None, None, None) => RootKey::generate()?,
        };
        // On the disk first: a key that the state knows and nobody else would be lost.
        key.keep(&self.dir)?;
        if known.as_ref() != Some(&key) {
            let RootKey { access_key_id, secret_access_key: secret } = key;
            let account = self.account;
            engine.report(Box::new(EnsureRoot { account, access_key_id, secret })).await?;
        }
        if let Some((host_lost_after, stopped_tasks_kept)) = self.timing {
            engine.report(Box::new(Configured { host_lost_after, stopped_tasks_kept })).await?;
        }
        Ok(())
    }
}
