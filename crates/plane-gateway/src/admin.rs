//! Unsigned endpoints for operators: `/healthz`, `/readyz`, `/metrics`. They tell figures, no rows.

use std::fmt::Write as _;

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use plane_engine::{Engine, Role};

use crate::figures::Figures;
use crate::phases::MoreFigures;

/// The answer to an operator's request, if it is one.
pub fn answer(
    engine: &Engine,
    figures: &Figures,
    more: Option<&MoreFigures>,
    parts: &http::request::Parts,
) -> Option<Response<Bytes>> {
    // A signed GET may be S3's for an object of that name.
    let signed = parts.headers.contains_key("authorization") || parts.uri.query().is_some();
    if signed || !matches!(parts.method, Method::GET | Method::HEAD) {
        return None;
    }
    let (status, text) = match parts.uri.path() {
        "/healthz" => (StatusCode::OK, "ok\n".to_owned()),
        "/readyz" => ready(engine),
        "/metrics" => {
            let mut text = metrics(engine, figures);
            more.into_iter().for_each(|more| more(&mut text));
            (StatusCode::OK, text)
        }
        _ => return None,
    };
    let id = crate::request_id::next();
    let mut response = Response::new(Bytes::from(text));
    *response.status_mut() = status;
    let kind = http::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    if let Ok(id) = http::HeaderValue::from_str(&id) {
        response.headers_mut().insert("x-amzn-requestid", id);
    }
    Some(response)
}

fn ready(engine: &Engine) -> (StatusCode, String) {
    // Reads go on without a disk to write to: that is no reason to leave a balancer.
    let refused = engine.journal_status().and_then(|journal| journal.refused);
    match (engine.role(), engine.leader()) {
        (Role::Leader, _) => match refused {
            None => (StatusCode::OK, "ready: leader\n".into()),
            Some(reason) => (StatusCode::OK, format!("ready: leader, but no writes: {reason}\n")),
        },
        (Role::Follower, Some(leader)) => {
            (StatusCode::OK, format!("ready: follower of {}\n", leader.address))
        }
        (Role::Follower, None) => {
            let why = refused.map(|reason| format!(": {reason}")).unwrap_or_default();
            (StatusCode::SERVICE_UNAVAILABLE, format!("no leader yet{why}\n"))
        }
    }
}

fn metrics(engine: &Engine, figures: &Figures) -> String {
    let mut out = String::with_capacity(4096);
    figures.write(&mut out);
    let now = engine.figures().read();
    for (name, n) in [
        ("wharf_steps_total", now.steps),
        ("wharf_events_total", now.events),
        ("wharf_changes_total", now.changes),
        ("wharf_faults_total", now.faults),
        ("wharf_commits_total", now.commits),
        ("wharf_batches_total", now.batches),
        ("wharf_undone_total", now.undone),
        ("wharf_snapshots_total", now.snapshots),
        ("wharf_resyncs_total", now.resyncs),
    ] {
        let _ = writeln!(out, "# TYPE {name} counter\n{name} {n}");
    }
    for (name, micros) in [
        ("wharf_step_seconds_total", now.step_micros),
        ("wharf_commit_seconds_total", now.commit_micros),
    ] {
        let _ = writeln!(out, "# TYPE {name} counter\n{name} {}", micros as f64 / 1e6);
    }
    let view = engine.view();
    let leading = u8::from(engine.role() == Role::Leader);
    let _ = writeln!(out, "# TYPE wharf_revision gauge\nwharf_revision {}", view.state.rev());
    let _ = writeln!(out, "# TYPE wharf_leader gauge\nwharf_leader {leading}");
    let _ = writeln!(out, "# TYPE wharf_rows gauge");
    for (table, n) in view.state.counts() {
        let _ = writeln!(out, "wharf_rows{{table=\"{table}\"}} {n}");
    }
    if let Some(journal) = engine.journal_status() {
        for (name, n) in [
            ("wharf_journal_log_bytes", journal.log_bytes),
            ("wharf_journal_segments", journal.segments),
            ("wharf_journal_snapshot_bytes", journal.snapshot_bytes),
            ("wharf_journal_term", journal.term),
            ("wharf_journal_refusing", u64::from(journal.refused.is_some())),
        ] {
            let _ = writeln!(out, "# TYPE {name} gauge\n{name} {n}");
        }
    }
    out
}
