//! Requests to a registry: which scheme, whose password, how long to wait, where redirects may lead.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, LOCATION, RETRY_AFTER, USER_AGENT, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;

use super::challenge::{self, Challenge};
use super::{Credentials, RegistryError};
use crate::reference::{DEFAULT_REGISTRY, Reference};

type Result<T, E = RegistryError> = std::result::Result<T, E>;

const MOST_REDIRECTS: usize = 5;
const LARGEST_ERROR: u64 = 64 << 10;
const LARGEST_TOKEN: u64 = 1 << 20;
/// A registry that sends less than this for as long as our patience lasts has stalled.
const LEAST_PROGRESS: usize = 1 << 10;
const MOST_TOKENS: usize = 1000;

#[derive(Clone, Debug)]
pub struct Settings {
    /// Registries (`host` or `host:port`) that may be spoken to without TLS. Loopback always may.
    pub insecure: BTreeSet<String>,
    /// Certificates to trust besides the system's.
    pub authorities: Vec<PathBuf>,
    /// How long a registry may be silent. There is no limit to the whole: images are large.
    pub patience: Duration,
    pub connect: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            insecure: BTreeSet::new(),
            authorities: Vec::new(),
            patience: Duration::from_secs(60),
            connect: Duration::from_secs(15),
        }
    }
}

/// A client of all registries, which keeps connections and tokens.
pub struct Registry {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    settings: Settings,
    tokens: Mutex<BTreeMap<String, HeaderValue>>,
    /// What was found out about registries that may be without TLS.
    plain: Mutex<BTreeMap<String, bool>>,
}

/// An answer whose body is still to come.
pub(crate) struct Flowing {
    pub url: String,
    pub status: StatusCode,
    pub headers: HeaderMap,
    body: Incoming,
    patience: Duration,
}

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
}

impl Registry {
    pub fn new(settings: Settings) -> Result<Registry> {
        let failed = |why: String| RegistryError::Tls(why);
        let mut roots = RootCertStore::empty();
        for cert in rustls_native_certs::load_native_certs().certs {
            // One odd certificate in the system's store is not our concern.
            let _ = roots.add(cert);
        }
        for path in &settings.authorities {
            let named = |e: String| failed(format!("{}: {e}", path.display()));
            let all = CertificateDer::pem_file_iter(path).map_err(|e| named(e.to_string()))?;
            for cert in all {
                let cert = cert.map_err(|e| named(e.to_string()))?;
                roots.add(cert).map_err(|e| named(e.to_string()))?;
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| failed(e.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(settings.connect));
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(20))
            .build(connector);
        let (tokens, plain) = (Mutex::default(), Mutex::default());
        Ok(Registry { client, settings, tokens, plain })
    }

    /// GET below a repository, with whatever authorization it takes.
    pub(crate) async fn get(
        &self,
        reference: &Reference,
        path: &str,
        headers: HeaderMap,
        credentials: Option<&Credentials>,
    ) -> Result<Flowing> {
        let url = self.url(reference, path).await?;
        let known = known_as(reference, credentials);
        let token = lock(&self.tokens).get(&known).cloned();
        let answer = self.follow(&url, headers.clone(), token).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return answer.good(&Method::GET).await;
        }
        let challenges: Vec<Challenge> = answer
            .headers
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| challenge::parse(value.to_str().ok()?))
            .collect();
        let message = answer.message().await;
        let token = self.authorize(&challenges, reference, credentials, &url).await?;
        let Some(token) = token else { return Err(RegistryError::Denied(or_default(message))) };
        let answer = self.follow(&url, headers, Some(token.clone())).await?;
        if matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            lock(&self.tokens).remove(&known);
            let message = answer.message().await;
            return Err(RegistryError::Denied(or_default(message)));
        }
        self.remember(known, token);
        answer.good(&Method::GET).await
    }

    fn remember(&self, known: String, token: HeaderValue) {
        let mut tokens = lock(&self.tokens);
        if tokens.len() >= MOST_TOKENS {
            tokens.clear();
        }
        tokens.insert(known, token);
    }

    async fn url(&self, reference: &Reference, path: &str) -> Result<String> {
        let host = match reference.registry() {
            DEFAULT_REGISTRY => "registry-1.docker.io",
            other => other,
        };
        let scheme = if self.is_plain(host).await { "http" } else { "https" };
        Ok(format!("{scheme}://{host}/v2/{}/{path}", reference.repository()))
    }

    fn may_be_plain(&self, host: &str) -> bool {
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        let loopback = bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        bare == "localhost"
            || loopback
            || self.settings.insecure.contains(host)
            || self.settings.insecure.contains(name)
    }

    /// As Docker does: TLS first also where it is not demanded. Only what speaks no TLS counts as
    /// plain; a registry that is merely away is asked again the next time.
    async fn is_plain(&self, host: &str) -> bool {
        if !self.may_be_plain(host) {
            return false;
        }
        if let Some(known) = lock(&self.plain).get(host) {
            return *known;
        }
        let url = format!("https://{host}/v2/");
        let asked = self.send(Method::GET, &url, HeaderMap::new(), Bytes::new());
        let plain = match asked.await {
            Ok(_) => false,
            Err(RegistryError::Request { .. } | RegistryError::Stalled { .. }) => {
                let url = format!("http://{host}/v2/");
                match self.send(Method::GET, &url, HeaderMap::new(), Bytes::new()).await {
                    Ok(_) => true,
                    Err(_) => return true,
                }
            }
            Err(_) => return true,
        };
        let mut known = lock(&self.plain);
        if known.len() < MOST_TOKENS {
            known.insert(host.to_owned(), plain);
        }
        plain
    }

    /// `None`: there is nothing that we could show.
    async fn authorize(
        &self,
        challenges: &[Challenge],
        reference: &Reference,
        credentials: Option<&Credentials>,
        url: &str,
    ) -> Result<Option<HeaderValue>> {
        for challenge in challenges {
            match challenge {
                Challenge::Basic => {
                    if let Some(basic) = credentials.and_then(Credentials::basic) {
                        return Ok(Some(basic));
                    }
                }
                Challenge::Bearer { realm, service, scope } => {
                    let own = format!("repository:{}:pull", reference.repository());
                    let scope = scope.as_deref().unwrap_or(&own);
                    if url.starts_with("https:") && !realm.starts_with("https:") {
                        let why = format!("the token server {realm:?} has no TLS");
                        return Err(RegistryError::Authorize(why));
                    }
                    let token =
                        self.fetch_token(realm, service.as_deref(), scope, credentials).await?;
                    return Ok(Some(token));
                }
            }
        }
        Ok(None)
    }

    async fn fetch_token(
        &self,
        realm: &str,
        service: Option<&str>,
        scope: &str,
        credentials: Option<&Credentials>,
    ) -> Result<HeaderValue> {
        let mut fields = vec![("scope", scope)];
        fields.extend(service.map(|service| ("service", service)));
        let mut headers = HeaderMap::new();
        let (method, url, body) = match credentials {
            Some(Credentials::Identity(token)) => {
                fields.extend([
                    ("grant_type", "refresh_token"),
                    ("client_id", "wharf"),
                    ("refresh_token", token),
                ]);
                let form = HeaderValue::from_static("application/x-www-form-urlencoded");
                headers.insert(http::header::CONTENT_TYPE, form);
                (Method::POST, realm.to_owned(), Bytes::from(form_of(&fields)))
            }
            other => {
                headers.extend(other.and_then(Credentials::basic).map(|b| (AUTHORIZATION, b)));
                let joint = if realm.contains('?') { '&' } else { '?' };
                (Method::GET, format!("{realm}{joint}{}", form_of(&fields)), Bytes::new())
            }
        };
        let whom = if credentials.is_some() { "oauth" } else { "anonymous" };
        let failed =
            |why: String| RegistryError::Authorize(format!("failed to fetch {whom} token: {why}"));
        let answer = self.send(method.clone(), &url, headers, body).await?;
        if matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            let status = answer.status;
            return Err(failed(format!(
                "unexpected status from {method} request to {url}: {status}"
            )));
        }
        let bytes = answer.good(&method).await?.whole(LARGEST_TOKEN).await?;
        let token: Token = serde_json::from_slice(&bytes).map_err(|e| failed(e.to_string()))?;
        let text = if token.token.is_empty() { token.access_token } else { token.token };
        if text.is_empty() {
            return Err(failed("the answer holds no token".into()));
        }
        let mut value = HeaderValue::from_str(&format!("Bearer {text}"))
            .map_err(|_| failed("the token is no header text".into()))?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// Follows redirects; the authorization goes to the host that asked for it and to no other.
    async fn follow(
        &self,
        url: &str,
        headers: HeaderMap,
        authorization: Option<HeaderValue>,
    ) -> Result<Flowing> {
        let mut at = url.to_owned();
        for _ in 0..=MOST_REDIRECTS {
            let mut headers = headers.clone();
            if origin(&at) == origin(url) {
                headers.extend(authorization.clone().map(|value| (AUTHORIZATION, value)));
            }
            let answer = self.send(Method::GET, &at, headers, Bytes::new()).await?;
            if !answer.status.is_redirection() || answer.status == StatusCode::NOT_MODIFIED {
                return Ok(answer);
            }
            let to = answer.headers.get(LOCATION).and_then(|to| to.to_str().ok()).unwrap_or("");
            at = self.redirected(&at, to)?;
        }
        Err(RegistryError::Redirect { url: url.into(), to: at, why: "too many redirects" })
    }

    fn redirected(&self, from: &str, to: &str) -> Result<String> {
        let refuse = |why| Err(RegistryError::Redirect { url: from.into(), to: to.into(), why });
        let target = if to.starts_with('/') && !to.starts_with("//") {
            format!("{}{to}", origin(from))
        } else {
            to.to_owned()
        };
        let Ok(uri) = target.parse::<Uri>() else { return refuse("no address") };
        match (uri.scheme_str(), uri.authority()) {
            (Some("https"), Some(_)) => Ok(target),
            (Some("http"), Some(host)) if self.may_be_plain(host.as_str()) => Ok(target),
            // A registry without TLS has nothing to lose by sending us on without it.
            (Some("http"), Some(_)) if from.starts_with("http:") => Ok(target),
            (Some("http"), Some(_)) => refuse("it has no TLS"),
            _ => refuse("no address"),
        }
    }

    async fn send(
        &self,
        method: Method,
        url: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Flowing> {
        let failed = |why: String| RegistryError::Request {
            method: method.clone(),
            url: url.to_owned(),
            why,
        };
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method.clone();
        *request.uri_mut() =
            url.parse().map_err(|e: http::uri::InvalidUri| failed(e.to_string()))?;
        *request.headers_mut() = headers;
        let agent = HeaderValue::from_static(concat!("wharf/", env!("CARGO_PKG_VERSION")));
        request.headers_mut().insert(USER_AGENT, agent);
        let patience = self.settings.patience;
        let answer = tokio::time::timeout(patience, self.client.request(request)).await;
        let answer: Response<Incoming> = match answer {
            Err(_) => return Err(RegistryError::Stalled { url: url.into(), after: patience }),
            Ok(answer) => answer.map_err(|e| failed(chain(&e)))?,
        };
        let (parts, body) = answer.into_parts();
        let (status, headers) = (parts.status, parts.headers);
        Ok(Flowing { url: url.to_owned(), status, headers, body, patience })
    }
}

impl Flowing {
    /// Turns a status that is no success into an error.
    async fn good(self, method: &Method) -> Result<Flowing> {
        if self.status.is_success() {
            return Ok(self);
        }
        let (url, status) = (self.url.clone(), self.status);
        let seconds = self.headers.get(RETRY_AFTER).and_then(|v| v.to_str().ok()?.parse().ok());
        let message = self.message().await;
        let message =
            if message.is_empty() { message } else { format!(" - Server message: {message}") };
        let wait = seconds.map(Duration::from_secs);
        Err(RegistryError::Status { method: method.clone(), url, status, message, wait })
    }

    /// What the registry says about its refusal, `code: message`.
    async fn message(self) -> String {
        #[derive(Deserialize)]
        struct Refusal {
            errors: Vec<One>,
        }
        #[derive(Deserialize)]
        struct One {
            #[serde(default)]
            code: String,
            #[serde(default)]
            message: String,
        }
        let Ok(bytes) = self.whole(LARGEST_ERROR).await else { return String::new() };
        let Ok(refusal) = serde_json::from_slice::<Refusal>(&bytes) else { return String::new() };
        let Some(first) = refusal.errors.into_iter().next() else { return String::new() };
        let text = format!("{}: {}", first.code.to_ascii_lowercase(), first.message);
        text.chars().filter(|c| !c.is_control()).take(500).collect()
    }

    /// The next bytes; `None` at the end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        loop {
            let frame = match tokio::time::timeout(self.patience, self.body.frame()).await {
                Err(_) => {
                    return Err(RegistryError::Stalled {
                        url: self.url.clone(),
                        after: self.patience,
                    });
                }
                Ok(None) => return Ok(None),
                Ok(Some(frame)) => frame
                    .map_err(|e| RegistryError::Broken { url: self.url.clone(), why: chain(&e) })?,
            };
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
    }

    /// Bytes enough that a trickle counts as a stall.
    pub async fn progress(&mut self) -> Result<Option<Bytes>> {
        let Some(first) = self.chunk().await? else { return Ok(None) };
        if first.len() >= LEAST_PROGRESS {
            return Ok(Some(first));
        }
        let (patience, url) = (self.patience, self.url.clone());
        let gather = async {
            let mut all = first.to_vec();
            while all.len() < LEAST_PROGRESS {
                match self.chunk().await? {
                    Some(more) => all.extend_from_slice(&more),
                    None => break,
                }
            }
            Ok(Some(Bytes::from(all)))
        };
        match tokio::time::timeout(patience, gather).await {
            Ok(gathered) => gathered,
            Err(_) => Err(RegistryError::Stalled { url, after: patience }),
        }
    }

    pub async fn whole(mut self, limit: u64) -> Result<Bytes> {
        let mut all = Vec::new();
        while let Some(chunk) = self.progress().await? {
            if (all.len() + chunk.len()) as u64 > limit {
                return Err(RegistryError::TooLarge { url: self.url, limit });
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all.into())
    }
}

fn lock<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whose token it is: who does not know the password does not get the token that it bought.
fn known_as(reference: &Reference, credentials: Option<&Credentials>) -> String {
    let who = match credentials {
        None => String::new(),
        Some(Credentials::Password { user, password }) => format!("password {user}:{password}"),
        Some(Credentials::Identity(token)) => format!("identity {token}"),
    };
    format!("{} {}", reference.name(), crate::digest::Digest::of(who.as_bytes()))
}

fn or_default(message: String) -> String {
    if message.is_empty() { "insufficient_scope: authorization failed".into() } else { message }
}

fn form_of(fields: &[(&str, &str)]) -> String {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let pairs: Vec<String> =
        fields.iter().map(|(key, value)| format!("{key}={}", encode(value))).collect();
    pairs.join("&")
}

/// Scheme and authority of an address.
fn origin(url: &str) -> &str {
    let start = url.find("://").map_or(0, |at| at + 3);
    let end = url[start..].find(['/', '?', '#']).map_or(url.len(), |at| start + at);
    &url[..end]
}

/// An error with its causes: hyper tells the interesting part last.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
