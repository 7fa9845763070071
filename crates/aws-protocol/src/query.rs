//! awsQuery and ec2Query: a form in, XML out.

use std::borrow::Cow;

use bytes::Bytes;

use crate::error::ApiError;
use crate::form::{self, Node};
use crate::limits::Budget;
use crate::scalar;
use crate::schema::{Kind, Member, Schema, XmlNamespace};
use crate::service::OperationDef;
use crate::shape::{AnyShape, Field};
use crate::xml_write::XmlWriter;

/// The two ways of naming parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Aws,
    Ec2,
}

/// Reads parameters out of the form body and the query string.
pub(crate) fn read(
    parts: &http::request::Parts,
    body: &[u8],
    dialect: Dialect,
    input: &mut dyn AnyShape,
) -> Result<(), ApiError> {
    let mut root = Node::default();
    if let Some(query) = parts.uri.query() {
        root.add_form(query)?;
    }
    root.add_form(form::text(body)?.trim_end())?;
    Form { dialect, budget: Budget::of_request() }.structure(&root, input)
}

/// A reader of one request's parameters.
struct Form {
    dialect: Dialect,
    budget: Budget,
}

/// AWS: ec2Query capitalises names unless a query name overrides them.
fn parameter(dialect: Dialect, member: &Member) -> Cow<'static, str> {
    if dialect == Dialect::Aws {
        return if member.is_flattened() { member.flattened_name() } else { member.wire }.into();
    }
    if let Some(name) = member.query_name {
        return name.into();
    }
    let mut chars = member.wire.chars();
    match chars.next() {
        Some(first) if first.is_lowercase() => {
            first.to_uppercase().chain(chars).collect::<String>().into()
        }
        _ => member.wire.into(),
    }
}

impl Form {
    fn spend(&self, count: usize) -> Result<(), ApiError> {
        if self.budget.spend(count) {
            return Ok(());
        }
        Err(ApiError::malformed_request("The request has too many parameters"))
    }

    fn structure(&self, node: &Node<'_>, shape: &mut dyn AnyShape) -> Result<(), ApiError> {
        let schema: &'static Schema = shape.schema();
        self.spend(schema.members().len())?;
        for (index, member) in schema.members().iter().enumerate() {
            let name = parameter(self.dialect, member);
            let found = node.child(&name).or_else(|| node.child(member.wire));
            if let Some(found) = found {
                self.value(found, member, shape.field_mut(index))?;
            }
        }
        Ok(())
    }

    fn value(
        &self,
        node: &Node<'_>,
        member: &'static Member,
        field: &mut dyn Field,
    ) -> Result<(), ApiError> {
        let kind = member.target.kind;
        match kind {
            Kind::Structure => {
                let shape = field.structure().expect("a structure's field holds a structure");
                self.structure(node, shape)
            }
            Kind::List => self.list(node, member, field),
            Kind::Map => self.map(node, member, field),
            _ => {
                let Some(text) = &node.value else {
                    let name = member.wire;
                    return Err(ApiError::malformed_request(format!("{name} is not a {kind:?}")));
                };
                scalar::put_text(field, member, text).map_err(|_| {
                    ApiError::malformed_request(format!("{text} is not a valid {kind:?}"))
                })
            }
        }
    }

    fn list(
        &self,
        node: &Node<'_>,
        member: &'static Member,
        field: &mut dyn Field,
    ) -> Result<(), ApiError> {
        let list = field.list().expect("a list's field holds a list");
        let element = member.target.element();
        let wrapped = node.child(element.wire).or_else(|| node.child("member"));
        let wraps = self.dialect == Dialect::Aws && !member.is_flattened();
        // Lenient: AWS takes `Names.1` for `Names.member.1`.
        let items = match wrapped {
            Some(wrapped) if wraps => wrapped.numbered(),
            _ => node.numbered(),
        };
        for item in items {
            self.spend(1)?;
            self.value(item, element, list.push())?;
        }
        Ok(())
    }

    fn map(
        &self,
        node: &Node<'_>,
        member: &'static Member,
        field: &mut dyn Field,
    ) -> Result<(), ApiError> {
        let map = field.map().expect("a map's field holds a map");
        let (key, value) = (member.target.key(), member.target.value());
        let entries = match node.child("entry") {
            Some(wrapped) if !member.is_flattened() => wrapped.numbered(),
            _ => node.numbered(),
        };
        for entry in entries {
            self.spend(1)?;
            let Some(name) = entry.child(key.wire).and_then(|node| node.value.clone()) else {
                let name = member.wire;
                let text = format!("{name} has an entry without key");
                return Err(ApiError::malformed_request(text));
            };
            let slot = map.entry(name);
            if let Some(node) = entry.child(value.wire) {
                self.value(node, value, slot)?;
            }
        }
        Ok(())
    }
}

const CONTENT_TYPE: &str = "text/xml";

/// `<XResponse><XResult>…</XResult><ResponseMetadata>…`
pub(crate) fn write(
    operation: &OperationDef,
    output: &dyn AnyShape,
    request_id: &str,
) -> http::Response<Bytes> {
    let mut xml = XmlWriter::default();
    let root = format!("{}Response", operation.name);
    let uri = operation.service.xml_namespace;
    let namespace = uri.map(|uri| XmlNamespace { uri, prefix: None });
    xml.open(&root, namespace.as_ref());
    match operation.result_wrapper {
        Some(wrapper) => xml.root(wrapper, None, output),
        None => xml.members(output),
    }
    xml.open("ResponseMetadata", None);
    xml.text_element("RequestId", request_id);
    xml.close("ResponseMetadata");
    xml.close(&root);
    crate::reply::build(200, CONTENT_TYPE, request_id, xml.out)
}

/// `<XResponse><requestId>…</requestId>…`
pub(crate) fn write_ec2(
    operation: &OperationDef,
    output: &dyn AnyShape,
    request_id: &str,
) -> http::Response<Bytes> {
    let mut xml = XmlWriter::with_declaration();
    let root = format!("{}Response", operation.name);
    let uri = operation.service.xml_namespace;
    let namespace = uri.map(|uri| XmlNamespace { uri, prefix: None });
    xml.open(&root, namespace.as_ref());
    xml.text_element("requestId", request_id);
    xml.members(output);
    xml.close(&root);
    crate::reply::build(200, "text/xml;charset=UTF-8", request_id, xml.out)
}
