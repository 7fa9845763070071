//! What a container's first process is: arguments, environment, user, as Docker joins the definition
//! with the image.

use std::collections::BTreeMap;

use aws_agent::docker::Config;
use aws_agent::task::Container;
use host_images::spec::RunConfig;
use serde_json::Value;

/// AWS: a definition's entry point drops the image's command, a command alone replaces it.
pub fn args(container: &Container, config: &Config, image: &RunConfig) -> Vec<String> {
    let command = overridden(container).unwrap_or_else(|| match container.command.is_empty() {
        true => config.cmd.clone(),
        false => container.command.clone(),
    });
    let entry = match container.entry_point.is_empty() {
        true => &config.entrypoint,
        false => &container.entry_point,
    };
    let command = match command.is_empty() && entry.is_empty() {
        true => &image.cmd,
        false => &command,
    };
    let entry = if entry.is_empty() { &image.entrypoint } else { entry };
    entry.iter().chain(command).cloned().collect()
}

/// AWS: of the overrides the agent reads the command alone; the rest is merged into the container.
fn overridden(container: &Container) -> Option<Vec<String>> {
    let overrides: Value = serde_json::from_str(&container.overrides).ok()?;
    let command = overrides.get("command")?.as_array()?;
    let words: Vec<String> = command.iter().filter_map(|w| w.as_str().map(str::to_owned)).collect();
    (!words.is_empty()).then_some(words)
}

/// Later pairs hold over earlier ones.
pub fn environment(
    image: &RunConfig,
    config: &Config,
    container: &Container,
    given: &[(String, String)],
    defaults: &[(String, String)],
) -> Vec<String> {
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    all.extend(defaults.iter().cloned());
    for pair in image.env.iter().chain(&config.env) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        all.insert(name.to_owned(), value.to_owned());
    }
    all.extend(container.environment.clone());
    all.extend(given.iter().cloned());
    all.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
}

/// `SIGQUIT`, `QUIT` or `3`.
pub fn signal(text: &str) -> Option<i32> {
    let text = text.trim();
    if let Ok(number) = text.parse() {
        return (1..=64).contains(&number).then_some(number);
    }
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
        "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
        "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
    ];
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(above) = name.strip_prefix("RTMIN+") {
        return above.parse().ok().map(|n: i32| 34 + n).filter(|n| (34..=64).contains(n));
    }
    let at = NAMES.iter().position(|known| *known == name)?;
    i32::try_from(at + 1).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn entry_points_and_commands_join_as_in_docker() {
        let image = RunConfig { entrypoint: words("ei"), cmd: words("ci"), ..RunConfig::default() };
        let with = |entry: &str, command: &str, overrides: &str| {
            let container = Container {
                entry_point: words(entry),
                command: words(command),
                overrides: overrides.to_owned(),
                ..Container::default()
            };
            args(&container, &Config::default(), &image).join(" ")
        };
        assert_eq!(with("", "", ""), "ei ci");
        assert_eq!(with("", "c", "{}"), "ei c");
        assert_eq!(with("e", "", ""), "e");
        assert_eq!(with("e", "c", "{\"command\":[\"o\"]}"), "e o");
        assert_eq!(with("", "", "{\"command\":[\"o\"]}"), "ei o");
    }

    #[test]
    fn the_definition_holds_over_the_image_and_both_over_defaults() {
        let image = RunConfig { env: vec!["A=i".into(), "B=i".into()], ..RunConfig::default() };
        let environment_of = [("B".to_owned(), "c".to_owned())].into();
        let container = Container { environment: environment_of, ..Container::default() };
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let all = environment(
            &image,
            &Config::default(),
            &container,
            &[pair("E", "g")],
            &[pair("A", "d"), pair("D", "d")],
        );
        assert_eq!(all, ["A=i", "B=c", "D=d", "E=g"]);
    }

    #[test]
    fn signals_by_name_and_number() {
        assert_eq!(signal("SIGTERM"), Some(15));
        assert_eq!(signal("quit"), Some(3));
        assert_eq!(signal("9"), Some(9));
        assert_eq!(signal("SIGRTMIN+3"), Some(37));
        for wrong in ["", "SIG", "65", "0", "SIGRTMIN+40", "NOPE"] {
            assert_eq!(signal(wrong), None, "{wrong}");
        }
    }
}
