//! CloudWatch Logs: lines become events of a stream, in batches as large as the service takes.

mod batch;
mod multiline;

use std::sync::Arc;

use regex::bytes::Regex;
use serde_json::{Value, json};

use crate::options::Options;
use crate::{About, Cloud, CloudCall, CloudError, Driver, Later, Line, LogError, Opening, tag};

const DRIVER: &str = "awslogs";

/// What the options ask for.
struct Wanted {
    group: String,
    region: String,
    stream: String,
    endpoint: Option<String>,
    create_group: bool,
    create_stream: bool,
    /// What the first line of an event looks like, where events have more than one.
    begins: Option<Regex>,
}

fn read(opening: &Opening) -> Result<Wanted, LogError> {
    let About { region, container_id, container_name, task_id, .. } = &*opening.about;
    let mut options = Options::new(DRIVER, &opening.options);
    let Some(group) = options.take("awslogs-group").filter(|group| !group.is_empty()) else {
        return Err(
            options.bad("awslogs-group", "must specify a value for log opt 'awslogs-group'")
        );
    };
    let region = options.take("awslogs-region").unwrap_or(region).to_owned();
    let prefix = options.take("awslogs-stream-prefix");
    let stream = match (options.take("awslogs-stream"), prefix) {
        (Some(stream), _) => stream.to_owned(),
        // AWS: prefix-name/container-name/ecs-task-id.
        (None, Some(prefix)) => format!("{prefix}/{container_name}/{task_id}"),
        (None, None) => match options.take("tag") {
            Some(template) => tag::fill(DRIVER, Some(template), &opening.about)?,
            None => container_id.clone(),
        },
    };
    options.take("tag");
    let create_group = options.parse("awslogs-create-group")?.unwrap_or(false);
    let create_stream = options.parse("awslogs-create-stream")?.unwrap_or(true);
    let endpoint = options.take("awslogs-endpoint").map(str::to_owned);
    // Credentials are the execution role's; the option names an endpoint of the daemon's own.
    options.take("awslogs-credentials-endpoint");
    let seconds: Option<u64> = options.parse("awslogs-force-flush-interval-seconds")?;
    let events: Option<u64> = options.parse("awslogs-max-buffered-events")?;
    for (name, value) in
        [("awslogs-force-flush-interval-seconds", seconds), ("awslogs-max-buffered-events", events)]
    {
        if value == Some(0) {
            return Err(options.bad(name, "it must be a positive number"));
        }
    }
    let pattern = options.take("awslogs-multiline-pattern");
    let date = options.take("awslogs-datetime-format");
    let begins = match (pattern, date) {
        (Some(_), Some(_)) => {
            let why = "you cannot configure log opt 'awslogs-datetime-format' and \
                       'awslogs-multiline-pattern' at the same time";
            return Err(options.bad("awslogs-multiline-pattern", why));
        }
        (Some(pattern), None) => Some(
            multiline::pattern(pattern)
                .map_err(|why| options.bad("awslogs-multiline-pattern", why))?,
        ),
        (None, Some(format)) => Some(
            multiline::of_date(format)
                .map_err(|why| options.bad("awslogs-datetime-format", why))?,
        ),
        (None, None) => None,
    };
    if let Some(format) = options.take("awslogs-format") {
        return Err(options.bad("awslogs-format", format!("unsupported log format '{format}'")));
    }
    options.finish()?;
    let group = group.to_owned();
    Ok(Wanted { group, region, stream, endpoint, create_group, create_stream, begins })
}

pub(crate) fn check(opening: &Opening) -> Result<(), LogError> {
    read(opening).map(drop)
}

/// Make sure that the stream is there.
pub(crate) async fn open(opening: &Opening) -> Result<Box<dyn Driver>, LogError> {
    let wanted = read(opening)?;
    let driver = AwsLogs { cloud: opening.cloud.clone(), wanted };
    if driver.wanted.create_stream {
        driver.create_stream().await?;
    }
    Ok(Box::new(driver))
}

struct AwsLogs {
    cloud: Arc<dyn Cloud>,
    wanted: Wanted,
}

impl AwsLogs {
    async fn call(&self, operation: &str, body: Vec<u8>) -> Result<Vec<u8>, CloudError> {
        let call = CloudCall {
            service: "logs",
            region: &self.wanted.region,
            endpoint: self.wanted.endpoint.as_deref(),
            target: &format!("Logs_20140328.{operation}"),
            body,
        };
        self.cloud.call(call).await
    }

    /// What exists already is as good as made.
    async fn create(&self, operation: &str, input: Value) -> Result<(), CloudError> {
        match self.call(operation, input.to_string().into_bytes()).await {
            Err(error) if !error.is("ResourceAlreadyExistsException") => Err(error),
            _ => Ok(()),
        }
    }

    async fn create_stream(&self) -> Result<(), LogError> {
        let Wanted { group, stream, create_group, .. } = &self.wanted;
        let input = || json!({ "logGroupName": group, "logStreamName": stream });
        match self.create("CreateLogStream", input()).await {
            Err(error) if *create_group && error.is("ResourceNotFoundException") => {
                let group = json!({ "logGroupName": group });
                self.create("CreateLogGroup", group).await.map_err(LogError::LogGroup)?;
                self.create("CreateLogStream", input()).await.map_err(LogError::LogStream)
            }
            other => other.map_err(LogError::LogStream),
        }
    }

    async fn put(&mut self, lines: &[Line], flush: bool) -> Result<usize, LogError> {
        let events = multiline::events(lines, self.wanted.begins.as_ref(), flush);
        let (batch, done) = batch::first(&self.wanted.group, &self.wanted.stream, events);
        let Some(body) = batch else { return Ok(done) };
        match self.call("PutLogEvents", body).await {
            Ok(_) => Ok(done),
            // The group or stream was taken away under a running container: as at the start.
            Err(error) if error.is("ResourceNotFoundException") => {
                self.create_stream().await?;
                Err(self.delivery(&error))
            }
            // The same batch would be refused again; what is in it must not hold up what follows.
            Err(error) if error.is("InvalidParameterException") => {
                tracing::warn!(stream = self.wanted.stream, "events are refused: {error}");
                Ok(done)
            }
            Err(error) => Err(self.delivery(&error)),
        }
    }

    fn delivery(&self, error: &CloudError) -> LogError {
        let to = format!("{}/{}", self.wanted.group, self.wanted.stream);
        LogError::Delivery { to, why: error.to_string() }
    }
}

impl Driver for AwsLogs {
    fn deliver<'a>(
        &'a mut self,
        lines: &'a [Line],
        flush: bool,
    ) -> Later<'a, Result<usize, LogError>> {
        Box::pin(self.put(lines, flush))
    }
}
