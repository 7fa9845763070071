//! `exec` by the Engine API: one upgraded connection, whose output is split by stream here.

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
use crate::{Exec, ExecControl, ExecSpec};

/// Bytes that wait for their reader, by stream.
const BUFFER: usize = 64 << 10;

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
    let (mut out, stdout) = tokio::io::duplex(BUFFER);
    let (mut err, stderr) = tokio::io::duplex(BUFFER);
    let (say_ended, ended) = watch::channel(false);
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
    let control = Control { client: client.clone(), id: made, ended };
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
        let answer = self.client.inspect_exec(&self.id).await.map_err(told)?;
        let pid = answer.pid.and_then(|pid| u32::try_from(pid).ok()).unwrap_or(0);
        match crate::record::Process::of(pid) {
            Some(process) => process.signal(signal).map_err(Error::system("send a signal")),
            None => Ok(()),
        }
    }
}
