//! Docker's `tag` option: a template over what is known of the container.

use crate::{About, LogError};

const DEFAULT: &str = "{{.ID}}";

/// Fill in a template; the default is the short id, as Docker's.
pub(crate) fn fill(
    driver: &'static str,
    template: Option<&str>,
    about: &About,
) -> Result<String, LogError> {
    let mut rest = template.unwrap_or(DEFAULT);
    let bad = |why: String| LogError::BadOption { driver, option: "tag", why };
    let mut out = String::new();
    while let Some((before, after)) = rest.split_once("{{") {
        out.push_str(before);
        let (name, after) =
            after.split_once("}}").ok_or_else(|| bad("a {{ is not closed".to_owned()))?;
        let short = |id: &str| id.trim_start_matches("sha256:").chars().take(12).collect();
        out.push_str(&match name.trim() {
            ".ID" => short(&about.container_id),
            ".FullID" => about.container_id.clone(),
            ".Name" => about.runtime_name.clone(),
            ".ImageID" => short(&about.image_id),
            ".ImageFullID" => about.image_id.clone(),
            ".ImageName" => about.image.clone(),
            ".DaemonName" => "wharf".to_owned(),
            other => return Err(bad(format!("there is nothing called {other}"))),
        });
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_filled_in() {
        let about = About {
            container_id: "0123456789abcdef".into(),
            runtime_name: "web".into(),
            image: "busybox".into(),
            ..About::default()
        };
        assert_eq!(fill("syslog", None, &about).unwrap(), "0123456789ab");
        let template = Some("x-{{.Name}}/{{ .ImageName }}");
        assert_eq!(fill("syslog", template, &about).unwrap(), "x-web/busybox");
        assert!(fill("syslog", Some("{{.Secret}}"), &about).is_err());
        assert!(fill("syslog", Some("{{.Name"), &about).is_err());
    }
}
