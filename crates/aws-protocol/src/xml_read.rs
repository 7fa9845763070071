//! XML request bodies: a small tree, then the tree into shapes.
//!
//! quick-xml reads the text; entities of one's own and document types are refused, so a body cannot
//! grow when it is read.

use quick_xml::events::{BytesStart, Event};

use crate::limits::{Budget, MAX_DEPTH};
use crate::scalar;
use crate::schema::{Kind, Location, Member, Schema};
use crate::shape::{AnyShape, Field};

/// Why a body could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum XmlError {
    Syntax(String),
    TooDeep,
    TooLarge,
    Empty,
    Mismatch(&'static str, Kind),
}

impl std::fmt::Display for XmlError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            XmlError::Syntax(text) => write!(f, "The XML is not well-formed: {text}"),
            XmlError::TooDeep => f.write_str("The XML is nested too deeply"),
            XmlError::TooLarge => f.write_str("The XML holds too many elements"),
            XmlError::Empty => f.write_str("The XML has no root element"),
            XmlError::Mismatch(name, kind) => write!(f, "{name} is not a valid {kind:?}"),
        }
    }
}

impl std::error::Error for XmlError {}

/// An element; names are without namespace prefix, attributes with it.
#[derive(Default, Debug)]
pub(crate) struct Element {
    pub name: String,
    attributes: Vec<(String, String)>,
    children: Vec<Element>,
    text: String,
}

impl Element {
    pub fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    fn named<'e>(&'e self, name: &'e str) -> impl Iterator<Item = &'e Element> {
        self.children.iter().filter(move |child| child.name == name)
    }
}

fn syntax(error: impl std::fmt::Display) -> XmlError {
    XmlError::Syntax(error.to_string())
}

fn start(tag: &BytesStart<'_>) -> Result<Element, XmlError> {
    let name = tag.local_name().into_inner().to_owned();
    let mut element = Element { name, ..Element::default() };
    for attribute in tag.attributes() {
        let attribute = attribute.map_err(syntax)?;
        let key = attribute.key.into_inner().to_owned();
        let value = quick_xml::escape::unescape(&attribute.value).map_err(syntax)?;
        element.attributes.push((key, value.into_owned()));
    }
    Ok(element)
}

/// Parses a document into its root element.
pub(crate) fn parse(bytes: &[u8]) -> Result<Element, XmlError> {
    let text = std::str::from_utf8(bytes).map_err(syntax)?;
    let mut reader = quick_xml::Reader::from_str(text);
    let mut open: Vec<Element> = Vec::new();
    let budget = Budget::of_request();
    loop {
        let closed = match reader.read_event().map_err(syntax)? {
            Event::Start(tag) => {
                if !budget.spend(1) {
                    return Err(XmlError::TooLarge);
                }
                if open.len() >= MAX_DEPTH {
                    return Err(XmlError::TooDeep);
                }
                open.push(start(&tag)?);
                continue;
            }
            Event::Empty(_) if !budget.spend(1) => return Err(XmlError::TooLarge),
            Event::Empty(tag) => start(&tag)?,
            Event::End(_) => open.pop().ok_or_else(|| syntax("an end without a start"))?,
            Event::Text(text) => {
                append(&mut open, &text.xml10_content())?;
                continue;
            }
            Event::CData(data) => {
                append(&mut open, &data.xml10_content())?;
                continue;
            }
            Event::GeneralRef(reference) => {
                let text = format!("&{};", &*reference);
                append(&mut open, &quick_xml::escape::unescape(&text).map_err(syntax)?)?;
                continue;
            }
            Event::DocType(_) => return Err(syntax("a document type is not allowed")),
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => continue,
            Event::Eof => {
                return Err(if open.is_empty() {
                    XmlError::Empty
                } else {
                    syntax("the document ends too early")
                });
            }
        };
        match open.last_mut() {
            Some(parent) => parent.children.push(closed),
            None => return Ok(closed),
        }
    }
}

fn append(open: &mut [Element], text: &str) -> Result<(), XmlError> {
    match open.last_mut() {
        Some(element) => element.text.push_str(text),
        None if text.trim().is_empty() => {}
        None => return Err(syntax("text outside the root element")),
    }
    Ok(())
}

/// Reads an element into a structure.
pub(crate) fn structure(element: &Element, shape: &mut dyn AnyShape) -> Result<(), XmlError> {
    fill(element, shape, &Budget::of_request())
}

fn fill(element: &Element, shape: &mut dyn AnyShape, budget: &Budget) -> Result<(), XmlError> {
    let schema: &'static Schema = shape.schema();
    if !budget.spend(schema.members().len()) {
        return Err(XmlError::TooLarge);
    }
    for (index, member) in schema.members().iter().enumerate() {
        if member.location != Location::Body {
            continue;
        }
        if member.attribute {
            let found = element.attributes.iter().find(|(key, _)| key == member.wire);
            if let Some((_, text)) = found {
                put(shape.field_mut(index), member, text)?;
            }
            continue;
        }
        let name = if member.is_flattened() { member.flattened_name() } else { member.wire };
        let mut found = element.named(name).peekable();
        if found.peek().is_none() {
            continue;
        }
        let field = shape.field_mut(index);
        match (member.target.kind, member.is_flattened()) {
            (Kind::List, true) => {
                let list = field.list().ok_or(XmlError::Mismatch(member.name, Kind::List))?;
                for item in found {
                    value(item, member.target.element(), list.push(), budget)?;
                }
            }
            (Kind::Map, true) => {
                for item in found {
                    entry(item, member, field, budget)?;
                }
            }
            _ => {
                for item in found {
                    value(item, member, field, budget)?;
                }
            }
        }
    }
    Ok(())
}

fn value(
    element: &Element,
    member: &'static Member,
    field: &mut dyn Field,
    budget: &Budget,
) -> Result<(), XmlError> {
    let kind = member.target.kind;
    let mismatch = XmlError::Mismatch(member.name, kind);
    match kind {
        Kind::Structure => fill(element, field.structure().ok_or(mismatch)?, budget),
        Kind::List => {
            let list = field.list().ok_or(mismatch)?;
            let item = member.target.element();
            for child in element.named(item.wire) {
                value(child, item, list.push(), budget)?;
            }
            Ok(())
        }
        Kind::Map => {
            field.map().ok_or(mismatch)?;
            for child in element.named("entry") {
                entry(child, member, field, budget)?;
            }
            Ok(())
        }
        _ => put(field, member, &element.text),
    }
}

fn entry(
    element: &Element,
    member: &'static Member,
    field: &mut dyn Field,
    budget: &Budget,
) -> Result<(), XmlError> {
    let mismatch = XmlError::Mismatch(member.name, Kind::Map);
    let (key, item) = (member.target.key(), member.target.value());
    let name = element.named(key.wire).next().ok_or(mismatch.clone())?;
    let slot = field.map().ok_or(mismatch)?.entry(name.text.clone());
    for child in element.named(item.wire) {
        value(child, item, slot, budget)?;
    }
    Ok(())
}

fn put(field: &mut dyn Field, member: &'static Member, text: &str) -> Result<(), XmlError> {
    scalar::put_text(field, member, text)
        .map_err(|_| XmlError::Mismatch(member.name, member.target.kind))
}
