//! `wharf logs`: what a task's containers wrote, from the files that their hosts keep on this machine,
//! or from the Docker Engine that keeps it in their place. Neither server nor agent is asked: output is
//! shown without any log configuration, and also when none of them runs.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use host_runtime::{LogLine, LogReader, LogsFrom, Stream, output};

use super::misuse;
use crate::data_dir::DataDirArgument;

#[derive(clap::Args)]
pub struct Arguments {
    /// The task: its ARN, its id, or how its id begins
    task: String,
    #[command(flatten)]
    data_dir: DataDirArgument,
    /// Go on with what the task writes, until it ends
    #[arg(short, long)]
    follow: bool,
    /// Show this container alone
    #[arg(short, long, value_name = "NAME")]
    container: Option<String>,
    /// Show when each line was written
    #[arg(short, long)]
    timestamps: bool,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let dir = arguments.data_dir.resolve()?;
    let folder = find(dir.path(), &arguments.task)?;
    let mut containers = names(&folder)?;
    if let Some(wanted) = &arguments.container {
        if !containers.contains(wanted) {
            bail!("the task has no container {wanted}: it has {}", containers.join(", "));
        }
        containers.retain(|name| name == wanted);
    }
    let from = LogsFrom { follow: arguments.follow, ..LogsFrom::default() };
    // Nobody wants to read which container it was where there is just one.
    let width = match containers.len() {
        1 => 0,
        _ => containers.iter().map(String::len).max().unwrap_or(0),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut sources = Vec::new();
        for name in containers {
            tell_of_dropped(&folder.join(&name), &name);
            let reader = output(folder.join(&name), from)
                .await
                .with_context(|| format!("cannot read the output of {name}"))?;
            sources.push(Source::new(name, reader));
        }
        let style = Style { width, timestamps: arguments.timestamps };
        match arguments.follow {
            true => as_they_come(sources, style).await,
            false => in_order(sources, style).await,
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

/// What is not there is said beside the output, not in it.
fn tell_of_dropped(folder: &Path, name: &str) {
    let dropped = host_runtime::dropped(folder);
    if dropped.lines > 0 {
        eprintln!(
            "wharf: {} lines ({} bytes) of {name} were dropped: its log driver did not keep up, and \
             its buffer (max-buffer-size) was full",
            dropped.lines, dropped.bytes
        );
    }
}

/// The folder of a task's output, on whichever host of a server it is, or on the host whose agent's
/// data directory this is.
fn find(dir: &Path, task: &str) -> Result<PathBuf> {
    let id = task.rsplit('/').next().unwrap_or_default();
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return misuse(format!("{task:?} is neither a task's ARN nor its id"));
    }
    let mut found = Vec::new();
    for host in folders(&dir.join("hosts")).chain([dir.to_owned()]) {
        let of_tasks = folders(&host.join("logs"));
        found.extend(of_tasks.filter(|folder| name_of(folder).starts_with(id)));
    }
    found.sort();
    if let Some(exact) = found.iter().find(|folder| name_of(folder) == id) {
        return Ok(exact.clone());
    }
    match &found[..] {
        [one] => Ok(one.clone()),
        [] => bail!("no host of {} has output of task {id}", dir.display()),
        _ => bail!("{} tasks begin with {id}", found.len()),
    }
}

fn folders(dir: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir())
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn names(folder: &Path) -> Result<Vec<String>> {
    let mut names: Vec<String> = folders(folder).map(|path| name_of(&path)).collect();
    names.sort();
    if names.is_empty() {
        bail!("no container of the task has begun");
    }
    Ok(names)
}

#[derive(Clone, Copy)]
struct Style {
    /// Of the containers' names; 0 shows none.
    width: usize,
    timestamps: bool,
}

/// One container's output.
struct Source {
    name: String,
    reader: Box<dyn LogReader>,
    next: VecDeque<LogLine>,
    /// Lines whose ends have not come yet, by stream.
    begun: [String; 2],
}

impl Source {
    fn new(name: String, reader: Box<dyn LogReader>) -> Source {
        Source { name, reader, next: VecDeque::new(), begun: Default::default() }
    }

    /// Take in the next lines; false at the end.
    async fn fill(&mut self) -> Result<bool> {
        if self.next.is_empty() {
            self.next.extend(self.reader.next().await?);
        }
        Ok(!self.next.is_empty())
    }

    fn show(&mut self, line: &LogLine, style: Style) -> io::Result<()> {
        let begun = &mut self.begun[line.stream as usize];
        begun.push_str(&line.text);
        if line.partial {
            return Ok(());
        }
        let text = std::mem::take(begun);
        let name = match style.width {
            0 => String::new(),
            width => format!("{:width$} | ", self.name),
        };
        let time = match (style.timestamps, jiff::Timestamp::from_nanosecond(line.time.into())) {
            (true, Ok(time)) => format!("{time:.9} "),
            _ => String::new(),
        };
        match line.stream {
            Stream::Stdout => writeln!(io::stdout().lock(), "{name}{time}{text}"),
            Stream::Stderr => writeln!(io::stderr().lock(), "{name}{time}{text}"),
        }
    }

    /// The end of what never came to its end.
    fn finish(&mut self, style: Style) -> io::Result<()> {
        for stream in [Stream::Stdout, Stream::Stderr] {
            if !self.begun[stream as usize].is_empty() {
                let (text, next) = (String::new(), host_runtime::LogPosition::default());
                let end = LogLine { stream, time: 0, text, partial: false, next };
                self.show(&end, Style { timestamps: false, ..style })?;
            }
        }
        Ok(())
    }
}

/// What there is, by the time it was written.
async fn in_order(mut sources: Vec<Source>, style: Style) -> Result<()> {
    loop {
        let mut first: Option<(usize, u64)> = None;
        for (at, source) in sources.iter_mut().enumerate() {
            if source.fill().await?
                && let Some(line) = source.next.front()
                && first.is_none_or(|(_, time)| line.time < time)
            {
                first = Some((at, line.time));
            }
        }
        let Some((at, _)) = first else { break };
        let source = &mut sources[at];
        if let Some(line) = source.next.pop_front() {
            source.show(&line, style)?;
        }
    }
    sources.iter_mut().try_for_each(|source| source.finish(style))?;
    Ok(())
}

/// Each container's lines as soon as they are there.
async fn as_they_come(sources: Vec<Source>, style: Style) -> Result<()> {
    let mut all = tokio::task::JoinSet::new();
    for mut source in sources {
        all.spawn(async move {
            while source.fill().await? {
                while let Some(line) = source.next.pop_front() {
                    source.show(&line, style)?;
                }
            }
            source.finish(style)?;
            anyhow::Ok(())
        });
    }
    while let Some(done) = all.join_next().await {
        done??;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_found_by_its_arn_its_id_or_its_beginning() {
        let temp = tempfile::tempdir().unwrap();
        for (host, task) in [("i-1", "aa11"), ("i-1", "ab22"), ("i-2", "ab22ff")] {
            let host = temp.path().join("hosts").join(host);
            std::fs::create_dir_all(host.join("logs").join(task).join("app")).unwrap();
        }
        std::fs::create_dir_all(temp.path().join("logs/dd33/app")).unwrap();
        let found = |task: &str| find(temp.path(), task).map(|path| name_of(&path)).ok();
        assert_eq!(found("arn:aws:ecs:us-east-1:1:task/c/aa11").as_deref(), Some("aa11"));
        assert_eq!(found("aa").as_deref(), Some("aa11"));
        assert_eq!(found("ab22").as_deref(), Some("ab22"));
        assert_eq!(found("dd").as_deref(), Some("dd33"), "of an agent's own directory");
        for none in ["a", "cc", "", "..", "../logs", "arn:aws:ecs:us-east-1:1:task/c/"] {
            assert_eq!(found(none), None, "{none}");
        }
        assert_eq!(names(&temp.path().join("hosts/i-1/logs/aa11")).unwrap(), ["app"]);
    }
}
