//! `wharf env`: shell lines that point every AWS tool at the running server.

use std::process::ExitCode;

use anyhow::Context;

use crate::data_dir::DataDirArgument;
use crate::endpoint::Endpoint;
use crate::operator::Opened;
use crate::process::shell_quoted;
use crate::root_key::RootKey;

#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    data_dir: DataDirArgument,
    /// The keys of an account made by `wharf account create`, by its number or name
    #[arg(long, env = "WHARF_ACCOUNT", value_name = "ACCOUNT")]
    account: Option<String>,
    /// Print JSON. WHARF_JSON does not ask for it: a shell that evaluates this wants shell lines
    #[arg(long, env = "WHARF_ENV_JSON")]
    json: bool,
}

/// These would win over the keys that we export, or go with other keys.
const IN_THE_WAY: [&str; 8] = [
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
];

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let dir = arguments.data_dir.resolve()?;
    let endpoint = Endpoint::find(&dir)?;
    let key = match arguments.account.as_deref() {
        Some(other) if *other != endpoint.account.to_string() => Opened::find(&dir, other)?.key,
        _ => RootKey::load(&dir)?
            .with_context(|| format!("there is no root-key.json in {}", dir.path().display()))?,
    };
    let region = endpoint.region.to_string();
    let mut exports = vec![
        ("AWS_ENDPOINT_URL", endpoint.first().to_owned()),
        ("AWS_REGION", region.clone()),
        ("AWS_DEFAULT_REGION", region),
        ("AWS_ACCESS_KEY_ID", key.access_key_id),
        ("AWS_SECRET_ACCESS_KEY", key.secret_access_key),
        // Live tails and the like would be asked of `stream-` and our address, a name of nobody's.
        ("AWS_DISABLE_HOST_PREFIX_INJECTION", "true".to_owned()),
    ];
    let mut unsets: Vec<String> = IN_THE_WAY.map(str::to_owned).to_vec();
    // A service's own endpoint wins over the general one; whichever are set are in our environment.
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    unsets.extend(names.filter(|name| is_service_endpoint(name)));
    match &endpoint.ca {
        Some(ca) => exports.push(("AWS_CA_BUNDLE", ca.display().to_string())),
        // A bundle that was set for something else makes some tools fail even over plain HTTP.
        None => unsets.push("AWS_CA_BUNDLE".to_owned()),
    }
    if arguments.json {
        let set = exports.into_iter().map(|(name, value)| (name.to_owned(), value.into()));
        let unset = unsets.into_iter().map(|name| (name, serde_json::Value::Null));
        let all: serde_json::Map<_, _> = set.chain(unset).collect();
        println!("{}", serde_json::Value::Object(all));
        return Ok(ExitCode::SUCCESS);
    }
    println!("unset {}", unsets.join(" "));
    for (name, value) in exports {
        println!("export {name}={}", shell_quoted(&value));
    }
    Ok(ExitCode::SUCCESS)
}

fn is_service_endpoint(name: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    name.strip_prefix("AWS_ENDPOINT_URL_").is_some_and(|rest| rest.bytes().all(word))
}
