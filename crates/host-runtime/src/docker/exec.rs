//! `exec` by the Engine API: one upgraded connection, whose output is split by stream here.

use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker as Client;
use bollard::container::LogOutput;
use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::ExecConfig;
use bollard::query_parameters::ResizeExecOptionsBuilder;
use futures_util::StreamExt;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::sync::watch;

use super::told;
use crate::error::{Error, Result};
use crate::record::Process;
use crate::{Exec, ExecControl, ExecSpec};

/// Bytes that wait for their reader, by stream.
const BUFFER: usize = 64 << 10;
/// How long between two questions whether the program runs.
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);
/// As much is told of why it does not.
const REASON: usize = 4 << 10;

pub async fn start(client: &Client, id: &str, spec: &ExecSpec) -> Result<Exec> {
    let process = &spec.process;
    let config = ExecConfig {
        attach_stdin: Some(process.stdin),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        tty: Some(process.tty),
        env: Some(process.env.clone()),
        cmd: Some(process.args.clone()),
        user: process.user.clone(),
        working_dir: process.cwd.clone(),
        ..Default::default()
    };
    let made = client.create_exec(id, config).await.map_err(told)?.id;
    let options = StartExecOptions { detach: false, tty: process.tty, output_capacity: None };
    let begun = client.start_exec(&made, Some(options)).await.map_err(told)?;
    let StartExecResults::Attached { mut output, input } = begun else {
        return Err(Error::Docker("the exec was detached".into()));
    };
    let (say_ended, ended) = watch::channel(false);
    let control = Control { client: client.clone(), id: made, ended };
    if !control.has_begun().await? {
        let _ = say_ended.send(true);
        let mut why = String::new();
        while let (Some(Ok(piece)), true) = (output.next().await, why.len() < REASON) {
            why.push_str(&String::from_utf8_lossy(&piece.into_bytes()));
        }
        return Err(Error::Start(why.trim().to_owned()));
    }
    let (mut out, stdout) = tokio::io::duplex(BUFFER);
    let (mut err, stderr) = tokio::io::duplex(BUFFER);
    tokio::spawn(async move {
        while let Some(Ok(piece)) = output.next().await {
            let to: &mut DuplexStream = match piece {
                LogOutput::StdErr { .. } => &mut err,
                _ => &mut out,
            };
            // A reader that has gone does not stop the other stream.
            let _ = to.write_all(&piece.into_bytes()).await;
        }
        let _ = say_ended.send(true);
    });
    if let (Some((rows, columns)), true) = (spec.size, process.tty) {
        control.resize(rows, columns).await?;
    }
    let stdin = process.stdin.then(|| Box::new(input) as Box<dyn AsyncWrite + Send + Unpin>);
    let stderr = (!process.tty).then(|| Box::new(stderr) as Box<dyn AsyncRead + Send + Unpin>);
    Ok(Exec { stdin, stdout: Box::new(stdout), stderr, control: Box::new(control) })
}

struct Control {
    client: Client,
    id: String,
    ended: watch::Receiver<bool>,
}

impl Control {
    /// The daemon answers before it starts the program. One that it cannot start has ended without ever
    /// having had a process; what is wrong with it comes in the place of its output.
    async fn has_begun(&self) -> Result<bool> {
        loop {
            let answer = self.client.inspect_exec(&self.id).await.map_err(told)?;
            if answer.pid.is_some_and(|pid| pid > 0) {
                return Ok(true);
            }
            if answer.running == Some(false) && answer.exit_code.is_some() {
                return Ok(false);
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    }

    /// The process as this machine sees it, while it runs.
    async fn process(client: &Client, id: &str) -> Result<Option<Process>> {
        let answer = client.inspect_exec(id).await.map_err(told)?;
        let pid = answer.pid.filter(|_| answer.running == Some(true));
        Ok(pid.and_then(|pid| u32::try_from(pid).ok()).and_then(Process::of))
    }
}

impl Drop for Control {
    /// Nobody looks at it any more, as when a health check took too long.
    fn drop(&mut self) {
        let (client, id) = (self.client.clone(), std::mem::take(&mut self.id));
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if *self.ended.borrow() {
            return;
        }
        runtime.spawn(async move {
            if let Ok(Some(process)) = Control::process(&client, &id).await {
                let _ = process.signal(crate::SIGKILL);
            }
        });
    }
}

#[async_trait]
impl ExecControl for Control {
    async fn wait(&mut self) -> Result<i32> {
        // The daemon has no call that waits; the connection's end is the process's.
        let _ = self.ended.wait_for(|ended| *ended).await;
        let answer = self.client.inspect_exec(&self.id).await.map_err(told)?;
        let code = answer.exit_code.ok_or_else(|| Error::Docker("the exec goes on".into()))?;
        i32::try_from(code).map_err(|_| Error::Docker(format!("exit code {code}")))
    }

    async fn resize(&self, rows: u16, columns: u16) -> Result<()> {
        let options = ResizeExecOptionsBuilder::default().h(rows.into()).w(columns.into()).build();
        self.client.resize_exec(&self.id, options).await.map_err(told)
    }

    async fn signal(&self, signal: i32) -> Result<()> {
        match Control::process(&self.client, &self.id).await? {
            Some(process) => process.signal(signal).map_err(Error::system("send a signal")),
            None => Ok(()),
        }
    }
}
