//! `wharf replay`: a journal's history, change by change, without touching it.

use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use core_types::Time;
use plane_journal::{Batch, RowChange, Sink, SinkError};
use serde_json::{Value, json};

use crate::data_dir::DataDirArgument;
use crate::settings::StateArgument;
use crate::state;

#[derive(clap::Args)]
pub struct Arguments {
    /// A journal's directory, or etcd://… [default: the one in the data directory]
    journal: Option<String>,
    #[command(flatten)]
    data_dir: DataDirArgument,
    /// The first revision to print
    #[arg(long, env = "WHARF_REPLAY_FROM", value_name = "REV")]
    from: Option<u64>,
    /// The last revision to print
    #[arg(long, env = "WHARF_REPLAY_UNTIL", value_name = "REV")]
    until: Option<u64>,
    /// Only changes of this table
    #[arg(long, env = "WHARF_REPLAY_TABLE", value_name = "NAME")]
    table: Option<String>,
    /// Print secrets too, which are otherwise replaced by `***`
    #[arg(long, env = "WHARF_REPLAY_SECRETS")]
    secrets: bool,
    /// Print one JSON object a line
    #[arg(long, env = "WHARF_JSON")]
    json: bool,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (from, dir) = match arguments.journal.as_deref() {
        Some(url) if url.starts_with("etcd") && url.contains("://") => {
            let from: StateArgument = url.parse().map_err(super::Misuse)?;
            (from, PathBuf::new())
        }
        Some(path) => {
            let path = PathBuf::from(path);
            // The data directory is taken for the journal in it.
            let inner = path.join("journal");
            (StateArgument::Embedded, if inner.is_dir() { inner } else { path })
        }
        None => (StateArgument::Embedded, arguments.data_dir.resolve()?.journal()),
    };
    let out = BufWriter::new(std::io::stdout().lock());
    let mut printer = Printer { arguments, out, snapshot: 0 };
    state::read(&from, &dir, &mut printer)?;
    printer.out.flush()?;
    Ok(ExitCode::SUCCESS)
}

struct Printer<'a, W: Write> {
    arguments: &'a Arguments,
    out: W,
    snapshot: u64,
}

impl<W: Write> Printer<'_, W> {
    fn print(
        &mut self,
        rev: u64,
        at: Option<Time>,
        op: &str,
        row: &RowChange,
    ) -> Result<(), SinkError> {
        let Arguments { from, until, table, secrets, json, .. } = self.arguments;
        let outside = from.is_some_and(|from| rev < from) || until.is_some_and(|to| rev > to);
        if outside || table.as_ref().is_some_and(|name| **name != *row.table) {
            return Ok(());
        }
        let key = readable(&row.key);
        let mut value = row.value.as_deref().map(readable);
        if let (Some(value), false) = (&mut value, secrets) {
            // A table of seals holds nothing else.
            match row.table.contains("seal") {
                true => *value = Value::String("***".to_owned()),
                false => hide_secrets(value),
            }
        }
        let done = if *json {
            let line = json!({
                "revision": rev, "time": at.map(|at| at.to_string()), "table": &*row.table,
                "key": key, "op": op, "version": row.version, "value": value,
            });
            writeln!(self.out, "{line}")
        } else {
            let at = at.map_or_else(|| "-".to_owned(), |at| at.to_string());
            let value = value.map(|value| format!(" {value}")).unwrap_or_default();
            writeln!(self.out, "{rev} {at} {op} {} {key}{value}", row.table)
        };
        done.map_err(|error| SinkError(format!("cannot print: {error}")))
    }
}

impl<W: Write> Sink for Printer<'_, W> {
    fn snapshot_begin(&mut self, rev: u64) {
        self.snapshot = rev;
    }

    fn snapshot_row(&mut self, row: RowChange) -> Result<(), SinkError> {
        self.print(self.snapshot, None, "snapshot", &row)
    }

    fn snapshot_done(&mut self, _: u64) {}

    fn batch(&mut self, batch: Batch) -> Result<(), SinkError> {
        let at = Some(Time::from_millis(batch.at_ms));
        batch.changes.iter().try_for_each(|row| {
            let op = if row.value.is_some() { "put" } else { "delete" };
            self.print(batch.rev, at, op, row)
        })
    }
}

/// Rows and keys are JSON; whatever is not is shown as text.
fn readable(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(bytes).into_owned()))
}

/// A history is shown to others more readily than the journal's files are.
fn hide_secrets(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let name = name.to_ascii_lowercase();
                let words = ["secret", "password", "seed"];
                if words.iter().any(|word| name.contains(word)) && holds_bytes(value) {
                    *value = Value::String("***".to_owned());
                } else {
                    hide_secrets(value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(hide_secrets),
        _ => {}
    }
}

fn holds_bytes(value: &Value) -> bool {
    value.is_string() || value.as_array().is_some_and(|items| items.iter().all(Value::is_number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_at_any_depth() {
        let mut row = json!({"id": "AKIA", "secret": "x", "in": [{"passwordHash": "y", "n": 1}]});
        hide_secrets(&mut row);
        let hidden =
            json!({"id": "AKIA", "secret": "***", "in": [{"passwordHash": "***", "n": 1}]});
        assert_eq!(row, hidden);
    }
}
