//! URI templates of REST operations: `/{Bucket}/{Key+}?list-type=2`.

use std::borrow::Cow;

/// One part of a template's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Segment {
    Literal(&'static str),
    Label(&'static str),
    /// `{Key+}`: one or more segments, slashes included.
    Greedy(&'static str),
}

/// A parsed template.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    segments: Vec<Segment>,
    /// Query parameters that must be there, with their value where it matters.
    query: Vec<(&'static str, Option<&'static str>)>,
}

impl Template {
    pub fn parse(uri: &'static str) -> Template {
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        let segments = path.split('/').filter(|part| !part.is_empty()).map(|part| {
            match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
                Some(label) => match label.strip_suffix('+') {
                    Some(label) => Segment::Greedy(label),
                    None => Segment::Label(label),
                },
                None => Segment::Literal(part),
            }
        });
        let query = query.split('&').filter(|pair| !pair.is_empty());
        let query = query.map(|pair| match pair.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (pair, None),
        });
        // AWS: `x-id` only tells operations apart in logs; not every client sends it.
        let query = query.filter(|(key, _)| *key != "x-id");
        Template { segments: segments.collect(), query: query.collect() }
    }

    /// The labels' values, percent-encoded as they came, if the path fits.
    pub fn labels<'p>(&self, path: &'p str) -> Option<Vec<(&'static str, &'p str)>> {
        let mut labels = Vec::new();
        let mut rest = path.strip_prefix('/').unwrap_or(path);
        for (index, segment) in self.segments.iter().enumerate() {
            if rest.is_empty() {
                return None;
            }
            if let Segment::Greedy(label) = segment {
                // Literal segments may follow a greedy label.
                let tail = self.segments.len() - index - 1;
                let end = rest.len() - tail_length(rest, tail)?;
                labels.push((*label, &rest[..end]));
                rest = rest[end..].strip_prefix('/').unwrap_or("");
                continue;
            }
            let (part, after) = rest.split_once('/').unwrap_or((rest, ""));
            match segment {
                Segment::Literal(literal) if *literal != part => return None,
                Segment::Literal(_) => {}
                Segment::Label(label) | Segment::Greedy(label) => labels.push((*label, part)),
            }
            rest = after;
        }
        rest.is_empty().then_some(labels)
    }

    /// How specific the template is for this query string; `None` where it does not fit.
    pub fn query_score(&self, pairs: &[(Cow<'_, str>, Cow<'_, str>)]) -> Option<usize> {
        for (key, value) in &self.query {
            let fits = |(k, v): &(Cow<'_, str>, Cow<'_, str>)| {
                k == key && value.is_none_or(|value| v == value)
            };
            if !pairs.iter().any(fits) {
                return None;
            }
        }
        Some(self.query.len())
    }

    pub fn literals(&self) -> usize {
        self.segments.iter().filter(|segment| matches!(segment, Segment::Literal(_))).count()
    }
}

/// The length of the last `count` segments with the slashes before them.
fn tail_length(path: &str, count: usize) -> Option<usize> {
    let mut length = 0;
    for _ in 0..count {
        length = path.len() - path[..path.len() - length].rfind('/')?;
    }
    Some(length)
}

/// The decoded pairs of a query string; a pair that is not UTF-8 is left out.
pub(crate) fn query_pairs(query: &str) -> Vec<(Cow<'_, str>, Cow<'_, str>)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .take(crate::limits::MAX_FORM_PAIRS)
        .filter_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((crate::form::decode(key).ok()?, crate::form::decode(value).ok()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels() {
        let object = Template::parse("/{Bucket}/{Key+}?x-id=GetObject");
        assert_eq!(object.labels("/b/a/b//c/").unwrap(), [("Bucket", "b"), ("Key", "a/b//c/")]);
        assert!(object.labels("/b").is_none());
        assert!(object.labels("/b/").is_none());
        assert_eq!(object.query_score(&[]), Some(0));
        let tail = Template::parse("/v2/{name+}/tags/{tag}");
        assert_eq!(tail.labels("/v2/a/b/tags/t").unwrap(), [("name", "a/b"), ("tag", "t")]);
        assert!(Template::parse("/").labels("/").unwrap().is_empty());
        assert!(Template::parse("/").labels("/x").is_none());
    }
}
