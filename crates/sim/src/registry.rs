//! Where images come from: what a name means there changes whenever somebody pushes.

use std::collections::BTreeMap;

use core_types::Dice;

#[derive(Debug, Default)]
pub struct Registry {
    /// Somebody pushes all the time: one look in four is at another image than the last.
    pub busy: bool,
    /// How often each name was pushed again.
    pushed: BTreeMap<String, u64>,
}

impl Registry {
    /// The image that a name means now, to one who looks; one that says its digest means that.
    pub fn digest(&mut self, image: &str, dice: &mut Dice) -> String {
        if let Some((_, digest)) = image.split_once('@') {
            return digest.to_owned();
        }
        let pushed = self.pushed.entry(image.to_owned()).or_default();
        *pushed += u64::from(self.busy && dice.below(4) == 0);
        let name = image.bytes().fold(0_u64, |sum, b| sum.wrapping_mul(131) + u64::from(b));
        format!("sha256:{name:032x}{pushed:032x}")
    }
}
