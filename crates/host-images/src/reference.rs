//! What an image is called, read exactly as Docker reads it: `nginx` is
//! `docker.io/library/nginx:latest`, and the first part is a registry only if it looks like a host.

use std::fmt;
use std::str::FromStr;

use crate::digest::Digest;

pub const DEFAULT_REGISTRY: &str = "docker.io";
const DEFAULT_TAG: &str = "latest";
const LONGEST_NAME: usize = 255;
const LONGEST_TAG: usize = 128;
const LONGEST_TEXT: usize = 1024;

/// A whole reference: a registry, a repository in it, and a tag or a digest or both.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadReference {
    #[error("invalid reference format")]
    Format,
    #[error("invalid reference format: repository name ({0}) must be lowercase")]
    UpperCase(String),
    #[error("repository name must not be more than 255 characters")]
    NameTooLong,
    #[error("invalid repository name ({0}), cannot specify 64-byte hexadecimal strings")]
    LooksLikeId(String),
    #[error("unsupported digest algorithm in {0:?}: only sha256 is supported")]
    Algorithm(String),
}

impl Reference {
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Docker Hub's official images stand under `library/`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// Registry and repository, without tag or digest.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// What a registry is asked for: the digest where there is one, since it is the stronger claim.
    pub fn wanted(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, tag) => tag.clone().unwrap_or_else(|| DEFAULT_TAG.into()),
        }
    }

    /// The same repository by digest alone.
    pub fn pinned(&self, digest: Digest) -> Reference {
        Reference { tag: None, digest: Some(digest), ..self.clone() }
    }

    /// The short form that Docker shows: without the default registry and its `library/`.
    pub fn familiar(&self) -> String {
        let name = if self.registry == DEFAULT_REGISTRY {
            let short = self.repository.strip_prefix("library/");
            short.filter(|s| !s.contains('/')).unwrap_or(&self.repository).to_owned()
        } else {
            self.name()
        };
        self.with_ending(name)
    }

    fn with_ending(&self, mut name: String) -> String {
        if let Some(tag) = &self.tag {
            name.push(':');
            name.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            name.push('@');
            name.push_str(&digest.to_string());
        }
        name
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.with_ending(self.name()))
    }
}

impl FromStr for Reference {
    type Err = BadReference;

    fn from_str(text: &str) -> Result<Reference, BadReference> {
        if text.is_empty() || text.len() > LONGEST_TEXT || !text.is_ascii() {
            return Err(BadReference::Format);
        }
        if Digest::from_hex(text).is_some() {
            return Err(BadReference::LooksLikeId(text.into()));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(read_digest(digest)?)),
            None => (text, None),
        };
        let (name, tag) = split_tag(rest);
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(BadReference::Format);
        }
        let (registry, repository) = split_registry(name);
        check_registry(registry)?;
        check_repository(repository)?;
        if name.len() > LONGEST_NAME {
            return Err(BadReference::NameTooLong);
        }
        // AWS: and Docker too, "docker.io/nginx" is "docker.io/library/nginx".
        let repository = if registry == DEFAULT_REGISTRY && !repository.contains('/') {
            format!("library/{repository}")
        } else {
            repository.to_owned()
        };
        let tag = match (tag, digest) {
            (None, None) => Some(DEFAULT_TAG.to_owned()),
            (tag, _) => tag.map(str::to_owned),
        };
        Ok(Reference { registry: registry.to_owned(), repository, tag, digest })
    }
}

fn read_digest(text: &str) -> Result<Digest, BadReference> {
    if let Ok(digest) = text.parse() {
        return Ok(digest);
    }
    let known = text.split_once(':').is_some_and(|(algorithm, digits)| {
        matches!((algorithm, digits.len()), ("sha512", 128) | ("sha384", 96))
            && digits.bytes().all(|b| b.is_ascii_hexdigit())
    });
    Err(if known { BadReference::Algorithm(text.into()) } else { BadReference::Format })
}

/// The tag stands after the last colon, unless that colon belongs to a registry's port.
fn split_tag(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (text, None),
    }
}

/// A first part with a dot, a colon or a capital letter, and `localhost`, is a registry.
fn split_registry(name: &str) -> (&str, &str) {
    match name.split_once('/') {
        Some(("index.docker.io", rest)) => (DEFAULT_REGISTRY, rest),
        Some((first, rest))
            if first == "localhost"
                || first.contains(['.', ':'])
                || first.bytes().any(|b| b.is_ascii_uppercase()) =>
        {
            (first, rest)
        }
        _ => (DEFAULT_REGISTRY, name),
    }
}

fn check_registry(text: &str) -> Result<(), BadReference> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest.split_once(']').ok_or(BadReference::Format)?;
            address.parse::<std::net::Ipv6Addr>().map_err(|_| BadReference::Format)?;
            let port = match after.strip_prefix(':') {
                Some(port) => Some(port),
                None if after.is_empty() => None,
                None => return Err(BadReference::Format),
            };
            ("", port)
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let good_port = port.is_none_or(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()));
    let good_label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let good_host = (host.is_empty() && text.starts_with('[')) || host.split('.').all(good_label);
    if good_port && good_host { Ok(()) } else { Err(BadReference::Format) }
}

fn check_repository(text: &str) -> Result<(), BadReference> {
    if text.split('/').all(is_component) {
        return Ok(());
    }
    let lower = text.to_ascii_lowercase();
    if lower != text && lower.split('/').all(is_component) {
        return Err(BadReference::UpperCase(text.into()));
    }
    Err(BadReference::Format)
}

/// Lower-case letters and digits, joined by one dot, one or two underscores, or any number of dashes.
fn is_component(text: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    let (Some(&first), Some(&last)) = (bytes.first(), bytes.last()) else { return false };
    if !alphanumeric(first) || !alphanumeric(last) {
        return false;
    }
    let mut separators = text.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    separators.all(|s| matches!(s, "" | "." | "_" | "__") || s.bytes().all(|b| b == b'-'))
}

fn is_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    text.len() <= LONGEST_TAG
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(text: &str) -> String {
        text.parse::<Reference>().unwrap().to_string()
    }

    #[test]
    fn names_are_completed_as_docker_does() {
        let hex = "a".repeat(64);
        for (given, expected) in [
            ("nginx", "docker.io/library/nginx:latest"),
            ("nginx:1.27", "docker.io/library/nginx:1.27"),
            ("me/app", "docker.io/me/app:latest"),
            ("docker.io/nginx", "docker.io/library/nginx:latest"),
            ("index.docker.io/nginx", "docker.io/library/nginx:latest"),
            ("localhost/x", "localhost/x:latest"),
            ("localhost:5000/x", "localhost:5000/x:latest"),
            ("localhost:5000/x:y", "localhost:5000/x:y"),
            ("127.0.0.1:5000/a/b_c/d__e-f", "127.0.0.1:5000/a/b_c/d__e-f:latest"),
            ("[::1]:5000/x", "[::1]:5000/x:latest"),
            ("Host/x", "Host/x:latest"),
            ("foo:5000", "docker.io/library/foo:5000"),
            (
                "123.dkr.ecr.us-east-1.amazonaws.com/app:v1",
                "123.dkr.ecr.us-east-1.amazonaws.com/app:v1",
            ),
        ] {
            assert_eq!(whole(given), expected, "{given}");
        }
        let digest = format!("x@sha256:{hex}");
        assert_eq!(whole(&digest), format!("docker.io/library/{digest}"));
        let both = format!("x:t@sha256:{hex}");
        assert_eq!(whole(&both), format!("docker.io/library/{both}"));
        assert_eq!(both.parse::<Reference>().unwrap().wanted(), format!("sha256:{hex}"));
        assert_eq!(
            "docker.io/library/nginx".parse::<Reference>().unwrap().familiar(),
            "nginx:latest"
        );
        assert_eq!("me/app:1".parse::<Reference>().unwrap().familiar(), "me/app:1");
        assert_eq!("q.io/app:1".parse::<Reference>().unwrap().familiar(), "q.io/app:1");
    }

    #[test]
    fn what_docker_refuses_is_refused_with_its_text() {
        let refusal = |text: &str| text.parse::<Reference>().unwrap_err().to_string();
        for bad in [
            "",
            ":tag",
            "a//b",
            "/a",
            "a/",
            "-a",
            "a-",
            "a..b",
            "a___b",
            "a._b",
            "a:",
            "a:-x",
            "a@",
            "a@sha256:12",
            "a b",
            "ä",
            "https://x/y",
            "x:y:z",
            "localhost:/x",
            "x.y:z/a",
        ] {
            assert_eq!(refusal(bad), "invalid reference format", "{bad}");
        }
        assert_eq!(
            refusal("me/App"),
            "invalid reference format: repository name (me/App) must be lowercase"
        );
        assert_eq!(refusal(&"a".repeat(256)), BadReference::NameTooLong.to_string());
        assert!(refusal(&"b".repeat(64)).contains("64-byte hexadecimal"));
        assert!(refusal(&format!("x@sha512:{}", "0".repeat(128))).contains("only sha256"));
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_survives_a_round_trip(
            text in "[a-zA-Z0-9._:/@-]{0,60}|.{0,40}",
        ) {
            if let Ok(reference) = text.parse::<Reference>() {
                let shown = reference.to_string();
                prop_assert_eq!(&shown.parse::<Reference>().unwrap(), &reference);
                prop_assert_eq!(&reference.familiar().parse::<Reference>().unwrap(), &reference);
                prop_assert!(!shown.contains(".."));
            }
        }

        #[test]
        fn good_parts_make_a_good_whole(
            registry in "([a-z]{1,8}\\.[a-z]{2,3}|localhost)(:[0-9]{1,5})?",
            path in "[a-z0-9]{1,8}((\\.|_|__|-{1,3})[a-z0-9]{1,8}){0,2}(/[a-z0-9]{1,8}){0,2}",
            tag in "[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}",
        ) {
            let reference: Reference = format!("{registry}/{path}:{tag}").parse().unwrap();
            if registry != DEFAULT_REGISTRY {
                prop_assert_eq!(reference.repository(), path);
            }
            prop_assert_eq!(reference.registry(), registry);
            prop_assert_eq!(reference.tag(), Some(tag.as_str()));
        }
    }
}
