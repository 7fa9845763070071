//! What a driver adds to each line: chosen labels and environment variables of the container.

use std::collections::BTreeMap;

use regex::Regex;

use crate::options::Options;
use crate::{About, LogError};

/// The labels and variables that the options `labels`, `env` and their patterns choose.
pub(crate) fn chosen(
    options: &mut Options<'_>,
    about: &About,
) -> Result<BTreeMap<String, String>, LogError> {
    let mut out = BTreeMap::new();
    for (list, matching, from) in
        [("labels", "labels-regex", &about.labels), ("env", "env-regex", &about.environment)]
    {
        for name in options.take(list).unwrap_or_default().split(',') {
            if let Some(value) = from.get(name) {
                out.insert(name.to_owned(), value.clone());
            }
        }
        if let Some(pattern) = options.take(matching) {
            let built = regex::RegexBuilder::new(pattern).size_limit(1 << 20).build();
            let pattern: Regex = built.map_err(|error| options.bad(matching, error.to_string()))?;
            let matches = from.iter().filter(|(name, _)| pattern.is_match(name));
            out.extend(matches.map(|(name, value)| (name.clone(), value.clone())));
        }
    }
    Ok(out)
}
