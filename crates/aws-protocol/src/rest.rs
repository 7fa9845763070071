//! REST protocols: members travel in path, query string, headers, status and body.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::request::Parts;

use crate::error::ApiError;
use crate::headers;
use crate::json::{self, Dialect};
use crate::schema::{Kind, Location, Member, Schema, TimestampFormat, XmlNamespace};
use crate::service::{OperationDef, Protocol};
use crate::shape::{AnyShape, Field, Scalar, Value};
use crate::uri::{Template, query_pairs};
use crate::xml_write::XmlWriter;
use crate::{json_http, scalar, xml_read};

fn malformed(member: &Member) -> ApiError {
    let (name, kind) = (member.name, member.target.kind);
    ApiError::malformed_request(format!("{name} is not a valid {kind:?}"))
}

/// Reads a request's bindings and body.
pub(crate) fn read_request(
    operation: &OperationDef,
    protocol: Protocol,
    parts: &Parts,
    body: &Bytes,
    input: &mut dyn AnyShape,
) -> Result<(), ApiError> {
    read_labels(operation, parts, input)?;
    read_query(parts, input)?;
    headers::read(&parts.headers, input)?;
    read_body(protocol, body, input)
}

fn read_labels(
    operation: &OperationDef,
    parts: &Parts,
    input: &mut dyn AnyShape,
) -> Result<(), ApiError> {
    let template = Template::parse(operation.uri);
    let labels = template.labels(parts.uri.path()).unwrap_or_default();
    for (label, text) in labels {
        let schema = input.schema();
        let is = |m: &Member| m.location == Location::Uri && m.wire == label;
        let Some(index) = schema.find(0, is) else { continue };
        let member = &schema.members()[index];
        let text = percent_encoding::percent_decode_str(text).decode_utf8();
        let text = text.map_err(|_| malformed(member))?;
        scalar::put_text(input.field_mut(index), member, &text).map_err(|_| malformed(member))?;
    }
    Ok(())
}

fn read_query(parts: &Parts, input: &mut dyn AnyShape) -> Result<(), ApiError> {
    let Some(query) = parts.uri.query() else { return Ok(()) };
    let schema: &'static Schema = input.schema();
    for (key, text) in query_pairs(query) {
        let place = |m: &Member| m.location == Location::Query;
        let named = |m: &Member| place(m) && m.wire == key && m.target.kind != Kind::Map;
        if let Some(index) = schema.find(0, named) {
            put_query(input.field_mut(index), &schema.members()[index], &text)?;
        }
        // A map takes all parameters, those that have members of their own included.
        let map = |m: &Member| place(m) && m.target.kind == Kind::Map;
        let Some(index) = schema.find(0, map) else { continue };
        let member = &schema.members()[index];
        let field = input.field_mut(index).map().ok_or_else(|| malformed(member))?;
        put_query(field.entry(key.into_owned()), member.target.value(), &text)?;
    }
    Ok(())
}

fn put_query(field: &mut dyn Field, member: &'static Member, text: &str) -> Result<(), ApiError> {
    if member.target.kind == Kind::List {
        let list = field.list().ok_or_else(|| malformed(member))?;
        return put_query(list.push(), member.target.element(), text);
    }
    scalar::put_text(field, member, text).map_err(|_| malformed(member))
}

fn read_body(protocol: Protocol, body: &Bytes, input: &mut dyn AnyShape) -> Result<(), ApiError> {
    let schema = input.schema();
    let Some(index) = schema.payload else {
        let has_members = schema.members().iter().any(|m| m.location == Location::Body);
        return if has_members { read_document(protocol, body, input) } else { Ok(()) };
    };
    let member = &schema.members()[index];
    let field = input.field_mut(index);
    if body.is_empty() && !member.streaming {
        return Ok(());
    }
    let put = match member.target.kind {
        Kind::Structure => {
            let shape = field.structure().ok_or_else(|| malformed(member))?;
            return read_document(protocol, body, shape);
        }
        Kind::Blob => field.put(Scalar::Blob(body.clone())),
        Kind::Document => {
            field.put(Scalar::Document(serde_json::from_slice(body).map_err(json_http::malformed)?))
        }
        _ => {
            let text = std::str::from_utf8(body).map_err(|_| malformed(member))?;
            scalar::put_text(field, member, text)
        }
    };
    put.map_err(|_| malformed(member))
}

fn read_document(
    protocol: Protocol,
    body: &[u8],
    shape: &mut dyn AnyShape,
) -> Result<(), ApiError> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(());
    }
    if protocol == Protocol::RestJson {
        return json::read(body, shape, Dialect::Wire).map_err(json_http::malformed);
    }
    xml_read::parse(body)
        .and_then(|root| xml_read::structure(&root, shape))
        .map_err(|error| ApiError::malformed_request(error.to_string()).with_source(error))
}

/// Writes a successful reply.
pub(crate) fn write_response(
    operation: &OperationDef,
    protocol: Protocol,
    output: &dyn AnyShape,
    request_id: &str,
) -> http::Response<Bytes> {
    let schema = output.schema();
    let (content_type, body) = match schema.payload {
        Some(index) => {
            write_payload(operation, protocol, &schema.members()[index], output.field(index))
        }
        None => write_body(operation, protocol, output),
    };
    let mut reply = crate::reply::build(status(operation, output), content_type, request_id, body);
    if protocol == Protocol::RestXml {
        crate::reply::add_s3_request_id(reply.headers_mut(), request_id);
    }
    if reply.body().is_empty() {
        reply.headers_mut().remove(CONTENT_TYPE);
    }
    // After the defaults, so that a bound Content-Type wins.
    headers::write(output, reply.headers_mut());
    reply
}

fn status(operation: &OperationDef, output: &dyn AnyShape) -> u16 {
    let schema = output.schema();
    let bound = schema.find(0, |member| member.location == Location::Status);
    match bound.map(|index| output.field(index).get()) {
        Some(Value::Integer(code)) => u16::try_from(code).unwrap_or(operation.status),
        _ => operation.status,
    }
}

fn write_payload(
    operation: &OperationDef,
    protocol: Protocol,
    member: &Member,
    field: &dyn Field,
) -> (&'static str, Bytes) {
    match field.get() {
        Value::Absent => (document_type(protocol), Bytes::new()),
        Value::Blob(bytes) => ("application/octet-stream", Bytes::copy_from_slice(bytes)),
        Value::String(text) => ("text/plain", Bytes::copy_from_slice(text.as_bytes())),
        Value::Document(document) => ("application/json", document.to_string().into()),
        Value::Structure(shape) if protocol == Protocol::RestJson => {
            (document_type(protocol), json::write(shape, Dialect::Wire).into())
        }
        Value::Structure(shape) => {
            let name = if member.renamed {
                member.wire
            } else {
                shape.schema().xml_name.unwrap_or(shape.schema().name)
            };
            let namespace = member.namespace.or(shape.schema().namespace);
            (document_type(protocol), xml_document(operation, name, namespace, shape))
        }
        value => {
            let text = scalar::text(member, &value, TimestampFormat::EpochSeconds);
            ("text/plain", text.into_owned().into())
        }
    }
}

fn document_type(protocol: Protocol) -> &'static str {
    if protocol == Protocol::RestJson { "application/json" } else { "application/xml" }
}

fn write_body(
    operation: &OperationDef,
    protocol: Protocol,
    output: &dyn AnyShape,
) -> (&'static str, Bytes) {
    let content_type = document_type(protocol);
    let schema = output.schema();
    if operation.method == "HEAD" || operation.status == 204 {
        return (content_type, Bytes::new());
    }
    if protocol == Protocol::RestJson {
        return (content_type, json::write(output, Dialect::Wire).into());
    }
    if !schema.members().iter().any(|member| member.location == Location::Body) {
        return (content_type, Bytes::new());
    }
    // AWS: GetBucketLocation's one member is the root element itself.
    if operation.service.id == "s3" && operation.name == "GetBucketLocation" {
        return (content_type, bucket_location(operation, output));
    }
    let name = schema.xml_name.unwrap_or(schema.name);
    (content_type, xml_document(operation, name, schema.namespace, output))
}

fn xml_document(
    operation: &OperationDef,
    name: &str,
    namespace: Option<XmlNamespace>,
    shape: &dyn AnyShape,
) -> Bytes {
    let mut xml = XmlWriter::with_declaration();
    let service = operation.service.xml_namespace.map(|uri| XmlNamespace { uri, prefix: None });
    xml.root(name, namespace.or(service).as_ref(), shape);
    xml.out.into()
}

fn bucket_location(operation: &OperationDef, output: &dyn AnyShape) -> Bytes {
    let mut xml = XmlWriter::with_declaration();
    let namespace = operation.service.xml_namespace.map(|uri| XmlNamespace { uri, prefix: None });
    xml.open("LocationConstraint", namespace.as_ref());
    for (index, member) in output.schema().members().iter().enumerate() {
        let value = output.field(index).get();
        xml.text(&scalar::text(member, &value, TimestampFormat::Iso8601));
    }
    xml.close("LocationConstraint");
    xml.out.into()
}

/// A header's name and value, if both can be sent.
pub(crate) fn header(name: &str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
    Some((name, HeaderValue::from_bytes(value.as_bytes()).ok()?))
}
