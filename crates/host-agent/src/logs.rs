//! Containers' output on its way to where their log configuration says.
//!
//! Files of the runtime hold the output; shipping follows them and keeps its place beside them. So a
//! shipment is not a part of a container's life but of its files': one that was cut off by the
//! agent's end, or outlived by a plane that was away, goes on from its place while the files are
//! there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_agent::docker::LogConfig;
use host_logs::{
    About, Buffering, Feed, Later, Line, LogError, Opening, Position, Shipping, Source,
};
use host_runtime::{
    Dropped, LogLimits, LogLine, LogPosition, LogReader, LogsFrom, Runtime, Stream, WhenFull,
};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::driver::container::docker_name;
use crate::engine::Failure;
use crate::plane::api::{Api, Backoff};
use crate::plane::cloud::TaskCloud;
use crate::tasks::{Given, Live};

/// AWS: where nothing is said, what a driver does not keep up with is dropped beyond 10 MiB.
const DEFAULT: Buffering = Buffering::Drop { bytes: 10 << 20 };
const FILES: u32 = 5;
/// How often it is looked whether lines were dropped.
const LOOK: Duration = Duration::from_secs(10);
/// How long opening a driver is tried for a container that is to start.
const OPENING: Duration = Duration::from_secs(20);
/// Docker: a container's end waits this long for its last lines.
pub const LAST_LINES: Duration = Duration::from_secs(10);
/// And in the background, while its files are there, they are delivered for so long.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// The driver that a container's output goes through; `json-file` where none is named.
fn driver_of(config: &LogConfig) -> &str {
    match config.r#type.as_str() {
        "" => "json-file",
        named => named,
    }
}

/// What a container's own files may hold.
pub fn limits(config: &LogConfig) -> Result<LogLimits, LogError> {
    let forget = |file_size, files| LogLimits { file_size, files, when_full: WhenFull::Forget };
    Ok(match driver_of(config) {
        "json-file" => {
            let kept = host_logs::retention(&config.config)?;
            forget(kept.file_bytes, kept.files)
        }
        // Nothing is asked to be kept; what the files cannot do without is little.
        "none" => forget(0, 1),
        _ => match host_logs::buffering(&config.config, DEFAULT)? {
            // One file of them is on its way out while it is being read.
            Buffering::Drop { bytes } => LogLimits {
                when_full: WhenFull::Drop,
                ..forget(bytes.div_ceil(u64::from(FILES - 1)), FILES)
            },
            Buffering::Wait => LogLimits { when_full: WhenFull::Wait, ..forget(20 << 20, FILES) },
        },
    })
}

/// A driver that stands ready to take a container's output; none where the files are all there is
/// to it.
pub type Ready = Option<Box<dyn host_logs::Driver>>;

pub struct Logs {
    runtime: Arc<dyn Runtime>,
    api: Arc<Api>,
    cluster: String,
    under_way: Mutex<BTreeMap<String, Shipment>>,
    /// What was dropped of containers' output and told so far, by container, while its files are there.
    lost: Mutex<BTreeMap<String, Loss>>,
}

/// Lines of one container that its driver did not keep up with.
#[derive(Clone, Debug)]
pub struct Loss {
    pub task_arn: String,
    pub container: String,
    pub dropped: Dropped,
}

struct Shipment {
    /// True once everything is delivered.
    done: watch::Receiver<bool>,
    work: AbortHandle,
}

impl Drop for Shipment {
    fn drop(&mut self) {
        self.work.abort();
    }
}

impl Logs {
    pub fn new(runtime: Arc<dyn Runtime>, api: Arc<Api>, cluster: String) -> Arc<Logs> {
        let (under_way, lost) = Default::default();
        Arc::new(Logs { runtime, api, cluster, under_way, lost })
    }

    fn under_way(&self) -> MutexGuard<'_, BTreeMap<String, Shipment>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lost(&self) -> MutexGuard<'_, BTreeMap<String, Loss>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All containers of which lines were dropped.
    pub fn losses(&self) -> Vec<Loss> {
        self.lost().values().cloned().collect()
    }

    fn opening(&self, live: &Arc<Live>, part: usize) -> Opening {
        let (given, config) = (&live.given, &live.given.configs[part].1.log_config);
        let about = about(given, part, &self.cluster, self.api.region());
        let cloud = Arc::new(TaskCloud::new(self.api.clone(), live.clone()));
        Opening { about: Arc::new(about), options: config.config.clone(), cloud }
    }

    /// Open a container's driver. Where that fails the container does not start: its output would
    /// go nowhere. A plane that is away for a moment is waited for.
    pub async fn open(&self, live: &Arc<Live>, part: usize) -> Result<Ready, Failure> {
        let driver = driver_of(&live.given.configs[part].1.log_config);
        let opening = self.opening(live, part);
        // Docker: what cannot be is refused when the container is made, what does not work when it
        // is started.
        host_logs::check(driver, &opening).map_err(|error| {
            Failure::new(Failure::CREATE, format!("Error response from daemon: {error}"))
        })?;
        let trying = self.try_to_open(driver, &opening, |error| !passes(error));
        let opened = match tokio::time::timeout(OPENING, trying).await {
            Ok(opened) => opened,
            Err(_) => host_logs::open(driver, &opening).await,
        };
        opened.map_err(|error| {
            let text =
                format!("Error response from daemon: failed to initialize logging driver: {error}");
            Failure::new(Failure::START, text)
        })
    }

    /// Until it works, or fails in a way that is final.
    async fn try_to_open(
        &self,
        driver: &str,
        opening: &Opening,
        is_final: impl Fn(&LogError) -> bool,
    ) -> Result<Ready, LogError> {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(20), 2.0);
        loop {
            match host_logs::open(driver, opening).await {
                Err(error) if !is_final(&error) => {
                    tracing::debug!("{}: {error}", opening.about.container_id);
                    tokio::time::sleep(backoff.wait()).await;
                }
                other => return other,
            }
        }
    }

    /// Deliver what a container that was just made will write.
    pub fn ship(self: &Arc<Self>, given: &Given, part: usize, dir: &Path, ready: Ready) {
        let Some(driver) = ready else { return };
        let id = given.container_id(part);
        let (tell, done) = watch::channel(false);
        let (logs, whose, dir) = (self.clone(), whose(given, part), dir.to_owned());
        let work = tokio::spawn(async move {
            logs.follow(&whose, &dir, driver).await;
            let _ = tell.send(true);
        });
        // An earlier run's shipment ends here: the new one begins at its place.
        self.under_way().insert(id, Shipment { done, work: work.abort_handle() });
    }

    /// Take up what an earlier agent was delivering, also of containers that have ended since.
    pub fn resume(self: &Arc<Self>, live: &Arc<Live>, part: usize, dir: &Path, ended: bool) {
        let driver = driver_of(&live.given.configs[part].1.log_config).to_owned();
        if matches!(driver.as_str(), "json-file" | "none") {
            return;
        }
        let id = live.given.container_id(part);
        let (tell, done) = watch::channel(false);
        let (logs, live, dir) = (self.clone(), live.clone(), dir.to_owned());
        let whose = whose(&live.given, part);
        let work = tokio::spawn(async move {
            if ended && logs.is_delivered(&whose.id, &dir).await {
                logs.tell_losses(&whose, &dir);
                let _ = tell.send(true);
                return;
            }
            let opening = logs.opening(&live, part);
            // The container runs: there is no giving up on it.
            if let Ok(Some(driver)) = logs.try_to_open(&driver, &opening, |_| false).await {
                logs.follow(&whose, &dir, driver).await;
            }
            let _ = tell.send(true);
        });
        self.under_way().insert(id, Shipment { done, work: work.abort_handle() });
    }

    /// Whether nothing is left to tell of a container that has ended.
    async fn is_delivered(&self, id: &str, dir: &Path) -> bool {
        let from = LogsFrom { position: host_runtime::acknowledged(dir), follow: false };
        match self.runtime.logs(id, from).await {
            Ok(mut reader) => reader.next().await.is_ok_and(|lines| lines.is_empty()),
            Err(_) => false,
        }
    }

    async fn follow(&self, whose: &Whose, dir: &Path, driver: Box<dyn host_logs::Driver>) {
        let id = &whose.id;
        let from = LogsFrom { position: host_runtime::acknowledged(dir), follow: true };
        match self.runtime.logs(id, from).await {
            Ok(reader) => {
                let output = Output { reader, dir: dir.to_owned() };
                let shipping = Shipping::start(Box::new(output), driver);
                tokio::select! {
                    _ = shipping.finish(LONGEST) => {}
                    () = self.watch_losses(whose, dir) => {}
                }
                self.tell_losses(whose, dir);
            }
            Err(error) => tracing::warn!("{id}: its output cannot be read: {error}"),
        }
    }

    /// A container has ended: wait a little for its last lines, so that who sees it stopped sees
    /// what it said. What is not delivered by then goes on.
    pub async fn finish(&self, id: &str) {
        let done = self.under_way().get(id).map(|shipment| shipment.done.clone());
        let Some(mut done) = done else { return };
        if tokio::time::timeout(LAST_LINES, done.wait_for(|done| *done)).await.is_err() {
            tracing::warn!("{id}: its last lines are not delivered yet");
            return;
        }
        let mut under_way = self.under_way();
        if under_way.get(id).is_some_and(|shipment| *shipment.done.borrow()) {
            under_way.remove(id);
        }
    }

    /// The files go.
    pub fn forget(&self, id: &str) {
        self.under_way().remove(id);
        self.lost().remove(id);
    }

    async fn watch_losses(&self, whose: &Whose, dir: &Path) {
        loop {
            self.tell_losses(whose, dir);
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Lines that were dropped are told, so that whoever looks for them learns of it; at most once in
    /// ten seconds for a container, however often it loses some.
    fn tell_losses(&self, whose: &Whose, dir: &Path) {
        let now = host_runtime::dropped(dir);
        let told = self.lost().get(&whose.id).map_or(0, |loss| loss.dropped.lines);
        if now.lines <= told {
            return;
        }
        let Whose { id, task_arn, container } = whose;
        tracing::warn!(
            task = task_arn,
            container,
            "{} lines ({} bytes) of its output were dropped so far, as its log driver did not keep \
             up and its buffer (max-buffer-size) was full",
            now.lines,
            now.bytes
        );
        let (task_arn, container) = (task_arn.clone(), container.clone());
        self.lost().insert(id.clone(), Loss { task_arn, container, dropped: now });
    }
}

/// Whose output it is.
struct Whose {
    id: String,
    task_arn: String,
    container: String,
}

fn whose(given: &Given, part: usize) -> Whose {
    let container = given.task.containers[part].name.clone();
    Whose { id: given.container_id(part), task_arn: given.task.arn.clone(), container }
}

/// Whether the same may work later.
fn passes(error: &LogError) -> bool {
    match error {
        LogError::LogStream(error) | LogError::LogGroup(error) => error.passes(),
        LogError::Delivery { .. } | LogError::Feed(_) => true,
        _ => false,
    }
}

fn about(given: &Given, part: usize, cluster: &str, region: &str) -> About {
    let (task, container) = (&given.task, &given.task.containers[part]);
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    About {
        container_id: given.container_id(part),
        runtime_name: docker_name(given, part),
        container_name: container.name.clone(),
        image: container.image.clone(),
        image_id: String::new(),
        task_id: given.id.clone(),
        task_arn: task.arn.clone(),
        cluster: cluster.to_owned(),
        family: task.family.clone(),
        region: region.to_owned(),
        host_name: machine.trim().to_owned(),
        labels: given.configs[part].0.labels.clone(),
        environment: container.environment.clone(),
    }
}

/// The runtime's reader, as drivers read.
struct Output {
    reader: Box<dyn LogReader>,
    dir: PathBuf,
}

impl Feed for Output {
    fn next(&mut self) -> Later<'_, Result<Vec<(Line, Position)>, LogError>> {
        Box::pin(async {
            let lines = self.reader.next().await.map_err(|error| feed(&error))?;
            Ok(lines.into_iter().map(line).collect())
        })
    }

    fn acknowledge(&mut self, position: Position) -> Later<'_, Result<(), LogError>> {
        let Position { major, minor } = position;
        Box::pin(async move {
            let position = LogPosition { major, minor };
            self.reader.acknowledge(position).await.map_err(|error| feed(&error))?;
            // Docker keeps no place for us.
            if host_runtime::acknowledged(&self.dir) < position {
                let kept = host_runtime::acknowledge(&self.dir, position);
                kept.map_err(|error| feed(&error))?;
            }
            Ok(())
        })
    }
}

fn feed(error: &host_runtime::Error) -> LogError {
    LogError::Feed(host_runtime::reason(error))
}

fn line(line: LogLine) -> (Line, Position) {
    let LogLine { stream, time, text, partial, next } = line;
    let source = match stream {
        Stream::Stdout => Source::Stdout,
        Stream::Stderr => Source::Stderr,
    };
    let at = i64::try_from(time).unwrap_or(i64::MAX);
    let line = Line { source, at, text: text.into_bytes(), partial };
    (line, Position { major: next.major, minor: next.minor })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(driver: &str, options: &[(&str, &str)]) -> LogConfig {
        let config = options.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        LogConfig { r#type: driver.to_owned(), config }
    }

    #[test]
    fn files_hold_what_options_say() {
        let of = |driver: &str, options: &[(&str, &str)]| limits(&config(driver, options));
        let kept = of("", &[("max-size", "1m"), ("max-file", "3")]).unwrap();
        assert_eq!((kept.file_size, kept.files, kept.when_full), (1 << 20, 3, WhenFull::Forget));
        let kept = of("awslogs", &[("mode", "blocking")]).unwrap();
        assert_eq!(kept.when_full, WhenFull::Wait);
        let kept = of("awslogs", &[("mode", "non-blocking"), ("max-buffer-size", "5m")]).unwrap();
        let expected = ((5 << 20) / 4, 5, WhenFull::Drop);
        assert_eq!((kept.file_size, kept.files, kept.when_full), expected);
        assert_eq!(of("awslogs", &[]).unwrap().file_size, (10 << 20) / 4);
        assert!(of("awslogs", &[("mode", "sometimes")]).is_err());
        assert!(of("json-file", &[("max-size", "much")]).is_err());
    }

    #[test]
    fn what_is_no_and_what_is_not_now() {
        let away = host_logs::CloudError::Unreachable("nobody".into());
        let missing = host_logs::CloudError::Service {
            status: 400,
            code: "ResourceNotFoundException".into(),
            message: "The specified log group does not exist.".into(),
        };
        assert!(passes(&LogError::LogStream(away)));
        assert!(!passes(&LogError::LogStream(missing)));
        assert!(!passes(&LogError::UnknownDriver("x".into())));
    }
}
