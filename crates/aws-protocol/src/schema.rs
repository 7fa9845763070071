//! What a shape looks like on the wire: one static table per shape, taken from AWS's own model.
//!
//! Every codec, the validator and the HTTP bindings walk these tables, so a protocol is written
//! once and an operation never. The tables are built by `const` builder methods, which keeps a
//! generated member on one readable line.

use std::sync::OnceLock;

use regex::Regex;

use crate::pattern;

/// The type of a shape, as far as the wire cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    String,
    Boolean,
    Integer,
    Long,
    Float,
    Double,
    Blob,
    Timestamp,
    Document,
    List,
    Map,
    Structure,
}

/// How a timestamp is spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampFormat {
    Iso8601,
    HttpDate,
    EpochSeconds,
}

/// Where in an HTTP message a member travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Location {
    Body,
    Header,
    /// All headers with the member's wire name as prefix (`x-amz-meta-`).
    Headers,
    Uri,
    Query,
    Status,
}

/// An XML namespace declaration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XmlNamespace {
    pub uri: &'static str,
    pub prefix: Option<&'static str>,
}

/// A length or value constraint.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bounds {
    pub min: Option<i64>,
    pub max: Option<i64>,
}

/// A regular expression of the model, compiled at its first use.
#[derive(Debug)]
pub struct Pattern {
    /// The text as the model spells it; error messages quote it unchanged.
    pub text: &'static str,
    compiled: OnceLock<Option<Regex>>,
}

impl Pattern {
    pub const fn new(text: &'static str) -> Self {
        Pattern { text, compiled: OnceLock::new() }
    }

    /// The compiled form; `None` for a pattern that cannot be expressed (see `pattern::translate`).
    pub fn regex(&self) -> Option<&Regex> {
        self.compiled.get_or_init(|| pattern::translate(self.text)).as_ref()
    }
}

/// The members of a structure, the element of a list, or key and value of a map.
#[derive(Clone, Copy, Debug)]
pub enum Members {
    Fixed(&'static [Member]),
    /// Filled after construction: a schema built at run time may be recursive.
    Later(&'static OnceLock<Vec<Member>>),
}

/// One shape.
#[derive(Clone, Copy, Debug)]
pub struct Schema {
    pub name: &'static str,
    pub kind: Kind,
    pub members: Members,
    pub bounds: Bounds,
    pub pattern: Option<&'static Pattern>,
    /// The known values of an enum; empty for any other string.
    pub values: &'static [&'static str],
    pub timestamp: Option<TimestampFormat>,
    pub namespace: Option<XmlNamespace>,
    /// The element name of the shape where it is an XML root.
    pub xml_name: Option<&'static str>,
    pub flattened: bool,
    /// A list or map whose elements may be null.
    pub sparse: bool,
    pub union: bool,
    pub sensitive: bool,
    /// Index of the member that is the whole HTTP body.
    pub payload: Option<usize>,
    pub exception: bool,
    pub event_stream: bool,
}

/// One member of a shape: the target and everything that belongs to the place where it stands.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// AWS's name of the member.
    pub name: &'static str,
    /// The name on the wire (`locationName` where there is one).
    pub wire: &'static str,
    /// Whether the model gives an explicit wire name; ec2Query capitalises only those.
    pub renamed: bool,
    pub query_name: Option<&'static str>,
    pub target: &'static Schema,
    pub required: bool,
    pub location: Location,
    pub timestamp: Option<TimestampFormat>,
    pub namespace: Option<XmlNamespace>,
    pub flattened: bool,
    pub attribute: bool,
    pub idempotency_token: bool,
    pub streaming: bool,
    pub json_value: bool,
}

const fn base(name: &'static str, kind: Kind) -> Schema {
    Schema {
        name,
        kind,
        members: Members::Fixed(&[]),
        bounds: Bounds { min: None, max: None },
        pattern: None,
        values: &[],
        timestamp: None,
        namespace: None,
        xml_name: None,
        flattened: false,
        sparse: false,
        union: false,
        sensitive: false,
        payload: None,
        exception: false,
        event_stream: false,
    }
}

/// A simple shape.
pub const fn simple(name: &'static str, kind: Kind) -> Schema {
    base(name, kind)
}

/// A structure.
pub const fn structure(name: &'static str, members: &'static [Member]) -> Schema {
    Schema { members: Members::Fixed(members), ..base(name, Kind::Structure) }
}

/// A list; the slice holds its one element.
pub const fn list(name: &'static str, element: &'static [Member; 1]) -> Schema {
    Schema { members: Members::Fixed(element), ..base(name, Kind::List) }
}

/// A map; the slice holds key and value.
pub const fn map(name: &'static str, key_value: &'static [Member; 2]) -> Schema {
    Schema { members: Members::Fixed(key_value), ..base(name, Kind::Map) }
}

/// A member under its own name.
pub const fn m(name: &'static str, target: &'static Schema) -> Member {
    Member {
        name,
        wire: name,
        renamed: false,
        query_name: None,
        target,
        required: false,
        location: Location::Body,
        timestamp: None,
        namespace: None,
        flattened: false,
        attribute: false,
        idempotency_token: false,
        streaming: false,
        json_value: false,
    }
}

impl Schema {
    pub const fn bounds(mut self, min: Option<i64>, max: Option<i64>) -> Self {
        self.bounds = Bounds { min, max };
        self
    }
    pub const fn pattern(mut self, pattern: &'static Pattern) -> Self {
        self.pattern = Some(pattern);
        self
    }
    pub const fn values(mut self, values: &'static [&'static str]) -> Self {
        self.values = values;
        self
    }
    pub const fn timestamp(mut self, format: TimestampFormat) -> Self {
        self.timestamp = Some(format);
        self
    }
    pub const fn namespace(mut self, uri: &'static str, prefix: Option<&'static str>) -> Self {
        self.namespace = Some(XmlNamespace { uri, prefix });
        self
    }
    pub const fn xml_name(mut self, name: &'static str) -> Self {
        self.xml_name = Some(name);
        self
    }
    pub const fn flattened(mut self) -> Self {
        self.flattened = true;
        self
    }
    pub const fn sparse(mut self) -> Self {
        self.sparse = true;
        self
    }
    pub const fn union(mut self) -> Self {
        self.union = true;
        self
    }
    pub const fn sensitive(mut self) -> Self {
        self.sensitive = true;
        self
    }
    pub const fn payload(mut self, index: usize) -> Self {
        self.payload = Some(index);
        self
    }
    pub const fn exception(mut self) -> Self {
        self.exception = true;
        self
    }
    pub const fn event_stream(mut self) -> Self {
        self.event_stream = true;
        self
    }

    /// The members of a structure.
    #[inline]
    pub fn members(&self) -> &'static [Member] {
        match self.members {
            Members::Fixed(members) => members,
            Members::Later(cell) => cell.get().map(Vec::as_slice).unwrap_or(&[]),
        }
    }

    /// The element of a list.
    pub fn element(&self) -> &'static Member {
        &self.members()[0]
    }

    /// The key of a map.
    pub fn key(&self) -> &'static Member {
        &self.members()[0]
    }

    /// The value of a map.
    pub fn value(&self) -> &'static Member {
        &self.members()[1]
    }

    /// Finds a member by a name, looking first where the previous hit says the next one is:
    /// clients write members in the model's order more often than not.
    #[inline]
    pub fn find(&self, hint: usize, is: impl Fn(&Member) -> bool) -> Option<usize> {
        let members = self.members();
        let start = if hint < members.len() { hint } else { 0 };
        (start..members.len()).chain(0..start).find(|&i| is(&members[i]))
    }
}

impl Member {
    pub const fn wire(mut self, wire: &'static str) -> Self {
        self.wire = wire;
        self.renamed = true;
        self
    }
    pub const fn query_name(mut self, name: &'static str) -> Self {
        self.query_name = Some(name);
        self
    }
    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }
    pub const fn at(mut self, location: Location) -> Self {
        self.location = location;
        self
    }
    pub const fn timestamp(mut self, format: TimestampFormat) -> Self {
        self.timestamp = Some(format);
        self
    }
    pub const fn namespace(mut self, uri: &'static str, prefix: Option<&'static str>) -> Self {
        self.namespace = Some(XmlNamespace { uri, prefix });
        self
    }
    pub const fn flattened(mut self) -> Self {
        self.flattened = true;
        self
    }
    pub const fn attribute(mut self) -> Self {
        self.attribute = true;
        self
    }
    pub const fn idempotency_token(mut self) -> Self {
        self.idempotency_token = true;
        self
    }
    pub const fn streaming(mut self) -> Self {
        self.streaming = true;
        self
    }
    pub const fn json_value(mut self) -> Self {
        self.json_value = true;
        self
    }

    /// Whether the member's list or map stands without a wrapping element.
    pub fn is_flattened(&self) -> bool {
        self.flattened || self.target.flattened
    }

    /// The name under which the elements of a flattened list stand: the list's own, unless the
    /// list's shape is flattened itself and renames its element (SimpleDB's old style).
    pub fn flattened_name(&self) -> &'static str {
        let target = self.target;
        if target.kind == Kind::List && target.flattened && target.element().renamed {
            return target.element().wire;
        }
        self.wire
    }

    /// The timestamp format at this place: the member's, else the shape's, else the protocol's.
    pub fn timestamp_or(&self, default: TimestampFormat) -> TimestampFormat {
        self.timestamp.or(self.target.timestamp).unwrap_or(default)
    }
}

/// The unconstrained shapes that every model shares.
pub static STRING: Schema = simple("String", Kind::String);
pub static BOOLEAN: Schema = simple("Boolean", Kind::Boolean);
pub static INTEGER: Schema = simple("Integer", Kind::Integer);
pub static LONG: Schema = simple("Long", Kind::Long);
pub static FLOAT: Schema = simple("Float", Kind::Float);
pub static DOUBLE: Schema = simple("Double", Kind::Double);
pub static BLOB: Schema = simple("Blob", Kind::Blob);
pub static TIMESTAMP: Schema = simple("Timestamp", Kind::Timestamp);
pub static DOCUMENT: Schema = simple("Document", Kind::Document);
/// The input or output of an operation that has none.
pub static UNIT: Schema = structure("Unit", &[]);
