//! Splunk's HTTP event collector.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Map, Value, json};

use crate::options::Options;
use crate::{Driver, Later, Line, LogError, Opening, Source, fields, tag};

const DRIVER: &str = "splunk";
const PATIENCE: Duration = Duration::from_secs(15);
/// Events of one request, as Docker batches them.
const BATCH: usize = 1000;

#[derive(Clone, Copy, PartialEq)]
enum Form {
    Inline,
    Json,
    Raw,
}

struct Wanted {
    url: Uri,
    token: String,
    form: Form,
    tag: String,
    verify: bool,
    /// What stands beside each event: host, source, sourcetype, index.
    beside: Map<String, Value>,
    more: BTreeMap<String, String>,
}

fn read(opening: &Opening) -> Result<Wanted, LogError> {
    let mut options = Options::new(DRIVER, &opening.options);
    let Some(base) = options.take("splunk-url") else {
        return Err(options.bad("splunk-url", "splunk-url is expected"));
    };
    let Some(token) = options.take("splunk-token").filter(|token| !token.is_empty()) else {
        return Err(options.bad("splunk-token", "splunk-token is expected"));
    };
    let path = options.take("splunk-url-path").unwrap_or("/services/collector/event/1.0");
    if !path.starts_with('/') {
        return Err(options.bad("splunk-url-path", "expected a path that begins with /"));
    }
    let parsed: Result<Uri, _> = format!("{}{path}", base.trim_end_matches('/')).parse();
    let url = match parsed {
        Ok(url) if url.scheme_str() == Some("http") && url.host().is_some() => url,
        Ok(url) if url.scheme_str() == Some("https") => {
            return Err(options.bad("splunk-url", "TLS to a log server is not offered"));
        }
        _ => return Err(options.bad("splunk-url", "expected format scheme://host:port")),
    };
    let form = match options.take("splunk-format") {
        None | Some("inline") => Form::Inline,
        Some("json") => Form::Json,
        Some("raw") => Form::Raw,
        Some(_) => return Err(options.bad("splunk-format", "it must be inline, json or raw")),
    };
    let verify = options.parse("splunk-verify-connection")?.unwrap_or(true);
    let mut beside = Map::new();
    beside.insert("host".into(), opening.about.host_name.clone().into());
    for (option, name) in [
        ("splunk-source", "source"),
        ("splunk-sourcetype", "sourcetype"),
        ("splunk-index", "index"),
    ] {
        if let Some(value) = options.take(option) {
            beside.insert(name.into(), value.into());
        }
    }
    options.parse::<bool>("splunk-gzip")?;
    options.parse::<i32>("splunk-gzip-level")?;
    options.parse::<bool>("splunk-index-acknowledgment")?;
    for name in ["splunk-capath", "splunk-caname", "splunk-insecureskipverify"] {
        options.take(name);
    }
    let tag = tag::fill(DRIVER, options.take("tag"), &opening.about)?;
    let more = fields::chosen(&mut options, &opening.about)?;
    options.finish()?;
    Ok(Wanted { url, token: token.to_owned(), form, tag, verify, beside, more })
}

pub(crate) fn check(opening: &Opening) -> Result<(), LogError> {
    read(opening).map(drop)
}

pub(crate) async fn open(opening: &Opening) -> Result<Box<dyn Driver>, LogError> {
    let wanted = read(opening)?;
    let client = Client::builder(TokioExecutor::new()).build_http();
    let splunk = Splunk { wanted, client };
    if splunk.wanted.verify {
        splunk.send(Method::OPTIONS, Vec::new()).await?;
    }
    Ok(Box::new(splunk))
}

struct Splunk {
    wanted: Wanted,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Splunk {
    fn event(&self, line: &Line) -> Value {
        let Wanted { form, tag, beside, more, .. } = &self.wanted;
        let text = String::from_utf8_lossy(&line.text);
        let event = if *form == Form::Raw {
            let more: String =
                more.iter().map(|(name, value)| format!("{name}={value} ")).collect();
            json!(format!("{tag} {more}{text}"))
        } else {
            let parsed = (*form == Form::Json).then(|| serde_json::from_str::<Value>(&text).ok());
            let line_value = parsed.flatten().unwrap_or_else(|| json!(text));
            let source = if line.source == Source::Stderr { "stderr" } else { "stdout" };
            let mut event = json!({ "line": line_value, "source": source, "tag": tag });
            if !more.is_empty() {
                event["attrs"] = json!(more);
            }
            event
        };
        let mut whole = beside.clone();
        whole.insert("event".into(), event);
        whole.insert("time".into(), format!("{:.6}", line.at as f64 / 1e9).into());
        Value::Object(whole)
    }

    async fn send(&self, method: Method, body: Vec<u8>) -> Result<(), LogError> {
        let Wanted { url, token, .. } = &self.wanted;
        let failed = |why: String| LogError::Delivery { to: url.to_string(), why };
        let request = Request::builder()
            .method(method)
            .uri(url.clone())
            .header(header::AUTHORIZATION, format!("Splunk {token}"))
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| failed(error.to_string()))?;
        let exchange = async {
            let reply = self.client.request(request).await.map_err(|e| failed(e.to_string()))?;
            let status = reply.status();
            let body = Limited::new(reply.into_body(), 64 << 10).collect().await;
            let text = body.map(|body| body.to_bytes()).unwrap_or_default();
            match status {
                StatusCode::OK => Ok(()),
                status => Err(failed(format!("{status} - {}", String::from_utf8_lossy(&text)))),
            }
        };
        let done = tokio::time::timeout(PATIENCE, exchange).await;
        done.unwrap_or_else(|_| Err(failed("no answer in time".to_owned())))
    }
}

impl Driver for Splunk {
    fn deliver<'a>(
        &'a mut self,
        lines: &'a [Line],
        _flush: bool,
    ) -> Later<'a, Result<usize, LogError>> {
        Box::pin(async move {
            let portion = &lines[..lines.len().min(BATCH)];
            // Splunk has no use for lines of nothing.
            let told = portion.iter().filter(|line| !line.text.trim_ascii().is_empty());
            let body: String = told.map(|line| self.event(line).to_string()).collect();
            if !body.is_empty() {
                self.send(Method::POST, body.into_bytes()).await?;
            }
            Ok(portion.len())
        })
    }
}
