//! Where images come from: what a name means there changes whenever somebody pushes.

use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub struct Registry {
    /// How often each name was pushed again.
    pushed: BTreeMap<String, u64>,
}

impl Registry {
    /// From now on the name means another image.
    pub fn push(&mut self, image: &str) {
        *self.pushed.entry(image.to_owned()).or_default() += 1;
    }

    /// The image that a name means now; one that says its digest means that.
    pub fn digest(&self, image: &str) -> String {
        if let Some((_, digest)) = image.split_once('@') {
            return digest.to_owned();
        }
        let pushed = self.pushed.get(image).copied().unwrap_or_default();
        let name = image.bytes().fold(0_u64, |sum, b| sum.wrapping_mul(131) + u64::from(b));
        format!("sha256:{name:032x}{pushed:032x}")
    }
}
