//! The context keys of one request: what conditions and policy variables look up.
//!
//! Every value is text, as on the wire; each operator reads it as the type it compares. A key holds
//! one value or a set, and AWS keeps the two apart: a set may not stand in for a policy variable.

use std::borrow::Cow;

#[derive(Debug, Clone, Default)]
pub struct Context<'a> {
    entries: Vec<(Cow<'a, str>, Values<'a>)>,
}

#[derive(Debug, Clone)]
enum Values<'a> {
    One(Cow<'a, str>),
    Many(Vec<Cow<'a, str>>),
}

impl<'a> Context<'a> {
    pub fn new() -> Context<'a> {
        Context::default()
    }

    /// Sets a single-valued key, in place of what it held.
    pub fn set(&mut self, key: impl Into<Cow<'a, str>>, value: impl Into<Cow<'a, str>>) {
        self.put(key.into(), Values::One(value.into()));
    }

    /// Sets a multi-valued key. An empty set counts as an absent key, as on AWS.
    pub fn set_many<V: Into<Cow<'a, str>>>(
        &mut self,
        key: impl Into<Cow<'a, str>>,
        values: impl IntoIterator<Item = V>,
    ) {
        self.put(key.into(), Values::Many(values.into_iter().map(Into::into).collect()));
    }

    /// The same as `set`, for building in one expression.
    pub fn with(mut self, key: impl Into<Cow<'a, str>>, value: impl Into<Cow<'a, str>>) -> Self {
        self.set(key, value);
        self
    }

    /// The same as `set_many`, for building in one expression.
    pub fn with_many<V: Into<Cow<'a, str>>>(
        mut self,
        key: impl Into<Cow<'a, str>>,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        self.set_many(key, values);
        self
    }

    /// All values of a key; `None` where the key is absent or its set is empty.
    pub fn get(&self, key: &str) -> Option<&[Cow<'a, str>]> {
        match self.find(key)? {
            Values::One(value) => Some(std::slice::from_ref(value)),
            Values::Many(values) if values.is_empty() => None,
            Values::Many(values) => Some(values),
        }
    }

    /// The value of a single-valued key.
    pub fn single(&self, key: &str) -> Option<&str> {
        match self.find(key)? {
            Values::One(value) => Some(value),
            Values::Many(_) => None,
        }
    }

    // AWS: condition keys are not case-sensitive, tag keys inside them included.
    fn find(&self, key: &str) -> Option<&Values<'a>> {
        self.entries.iter().find(|(have, _)| have.eq_ignore_ascii_case(key)).map(|(_, v)| v)
    }

    fn put(&mut self, key: Cow<'a, str>, values: Values<'a>) {
        match self.entries.iter_mut().find(|(have, _)| have.eq_ignore_ascii_case(&key)) {
            Some(entry) => entry.1 = values,
            None => self.entries.push((key, values)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_ignore_case_and_a_second_set_replaces() {
        let context = Context::new().with("aws:SourceIp", "10.0.0.1").with("AWS:sourceip", "::1");
        assert_eq!(context.single("aws:sourceIP"), Some("::1"));
        assert_eq!(context.entries.len(), 1);
    }

    #[test]
    fn a_set_is_no_single_value_and_an_empty_set_is_absent() {
        let context =
            Context::new().with_many("aws:TagKeys", ["a"]).with_many("x:y", Vec::<&str>::new());
        assert_eq!(context.single("aws:TagKeys"), None);
        assert_eq!(context.get("aws:TagKeys").map(<[_]>::len), Some(1));
        assert!(context.get("x:y").is_none());
    }
}
