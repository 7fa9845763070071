//! XML replies: one writer for query, ec2 and rest-xml, whose bodies differ only in what stands
//! around the members.

use crate::scalar;
use crate::schema::{Kind, Location, Member, Schema, TimestampFormat, XmlNamespace};
use crate::shape::{AnyShape, Value};

/// Text that grows by elements.
#[derive(Default)]
pub(crate) struct XmlWriter {
    pub out: String,
}

impl XmlWriter {
    pub fn with_declaration() -> Self {
        let mut writer = XmlWriter { out: String::with_capacity(512) };
        writer.out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        writer
    }

    pub fn open(&mut self, name: &str, namespace: Option<&XmlNamespace>) {
        self.open_start(name, namespace);
        self.out.push('>');
    }

    fn open_start(&mut self, name: &str, namespace: Option<&XmlNamespace>) {
        self.out.push('<');
        self.out.push_str(name);
        if let Some(namespace) = namespace {
            self.out.push_str(" xmlns");
            if let Some(prefix) = namespace.prefix {
                self.out.push(':');
                self.out.push_str(prefix);
            }
            self.out.push_str("=\"");
            escape_into(&mut self.out, namespace.uri);
            self.out.push('"');
        }
    }

    pub fn close(&mut self, name: &str) {
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push('>');
    }

    pub fn text(&mut self, text: &str) {
        escape_into(&mut self.out, text);
    }

    pub fn text_element(&mut self, name: &str, text: &str) {
        self.open(name, None);
        escape_into(&mut self.out, text);
        self.close(name);
    }

    /// All members of a structure that belong in a body, attributes excepted.
    pub fn members(&mut self, shape: &dyn AnyShape) {
        for (index, member) in shape.schema().members().iter().enumerate() {
            if member.location != Location::Body || member.attribute {
                continue;
            }
            let value = shape.field(index).get();
            if !matches!(value, Value::Absent) {
                self.member(member, &value);
            }
        }
    }

    /// The members of an error's structure without the message, which its envelope holds.
    pub fn members_except_message(&mut self, shape: &dyn AnyShape) {
        for (index, member) in shape.schema().members().iter().enumerate() {
            let value = shape.field(index).get();
            let skipped = member.location != Location::Body
                || member.wire.eq_ignore_ascii_case("message")
                || matches!(value, Value::Absent);
            if !skipped {
                self.member(member, &value);
            }
        }
    }

    fn member(&mut self, member: &Member, value: &Value<'_>) {
        match value {
            Value::List(list) => {
                let element = member.target.element();
                let flattened = member.is_flattened();
                let name = if flattened { member.flattened_name() } else { element.wire };
                if !flattened {
                    self.open(member.wire, namespace_of(member));
                }
                for index in 0..list.len() {
                    self.named(name, element, &list.at(index), flattened.then_some(member));
                }
                if !flattened {
                    self.close(member.wire);
                }
            }
            Value::Map(map) => {
                let flattened = member.is_flattened();
                let entry = if flattened { member.wire } else { "entry" };
                if !flattened {
                    self.open(member.wire, namespace_of(member));
                }
                for (key, value) in map.entries() {
                    let namespace = if flattened { namespace_of(member) } else { None };
                    self.open(entry, namespace);
                    self.named(
                        member.target.key().wire,
                        member.target.key(),
                        &Value::String(key),
                        None,
                    );
                    self.named(member.target.value().wire, member.target.value(), &value, None);
                    self.close(entry);
                }
                if !flattened {
                    self.close(member.wire);
                }
            }
            value => self.named(member.wire, member, value, None),
        }
    }

    /// One element under a given name. `outer` is the member whose namespace it takes when it
    /// stands for an element of a flattened list.
    fn named(
        &mut self,
        name: &'static str,
        member: &Member,
        value: &Value<'_>,
        outer: Option<&Member>,
    ) {
        let namespace = namespace_of(member).or(outer.and_then(namespace_of));
        match value {
            Value::List(_) | Value::Map(_) => {
                // A list in a list: the inner one is wrapped under the element's name.
                let renamed = Member { wire: name, ..*member };
                self.member(&renamed, value);
            }
            Value::Structure(shape) => {
                self.open_start(name, namespace);
                self.attributes(*shape);
                self.out.push('>');
                self.members(*shape);
                self.close(name);
            }
            // AWS: a null in a sparse list is an empty element.
            Value::Absent => {
                self.open(name, namespace);
                self.close(name);
            }
            value => {
                self.open(name, namespace);
                escape_into(&mut self.out, &scalar::text(member, value, TimestampFormat::Iso8601));
                self.close(name);
            }
        }
    }

    fn attributes(&mut self, shape: &dyn AnyShape) {
        for (index, member) in shape.schema().members().iter().enumerate() {
            if !member.attribute {
                continue;
            }
            let value = shape.field(index).get();
            if matches!(value, Value::Absent) {
                continue;
            }
            self.out.push(' ');
            self.out.push_str(member.wire);
            self.out.push_str("=\"");
            escape_attribute_into(
                &mut self.out,
                &scalar::text(member, &value, TimestampFormat::Iso8601),
            );
            self.out.push('"');
        }
    }

    /// A whole structure as the root element.
    pub fn root(&mut self, name: &str, namespace: Option<&XmlNamespace>, shape: &dyn AnyShape) {
        self.open_start(name, namespace);
        self.attributes(shape);
        self.out.push('>');
        self.members(shape);
        self.close(name);
    }
}

fn namespace_of(member: &Member) -> Option<&XmlNamespace> {
    member.namespace.as_ref().or(shape_namespace(member.target))
}

fn shape_namespace(schema: &Schema) -> Option<&XmlNamespace> {
    if schema.kind == Kind::Structure { schema.namespace.as_ref() } else { None }
}

/// Escapes text for a double-quoted attribute: there a reader turns bare white space into blanks.
fn escape_attribute_into(out: &mut String, text: &str) {
    for piece in text.split_inclusive(['\t', '\n']) {
        let content = piece.trim_end_matches(['\t', '\n']);
        escape_into(out, content);
        match &piece[content.len()..] {
            "\t" => out.push_str("&#x9;"),
            "\n" => out.push_str("&#xA;"),
            _ => {}
        }
    }
}

/// Escapes text for element content.
pub(crate) fn escape_into(out: &mut String, text: &str) {
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| matches!(c, '&' | '<' | '>' | '"') || c < ' ') {
        out.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            b'&' => out.push_str("&amp;"),
            b'<' => out.push_str("&lt;"),
            b'>' => out.push_str("&gt;"),
            b'"' => out.push_str("&quot;"),
            byte @ (b'\n' | b'\t') => out.push(char::from(byte)),
            // A bare carriage return would be read back as a newline.
            b'\r' => out.push_str("&#xD;"),
            // XML 1.0 cannot hold any other control character; one would spoil the whole reply.
            _ => out.push('\u{FFFD}'),
        }
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_survives_in_an_attribute() {
        let mut out = String::new();
        escape_attribute_into(&mut out, "\t a\"b\r\n\nc");
        assert_eq!(out, "&#x9; a&quot;b&#xD;&#xA;&#xA;c");
    }
}
