//! The client's side of a reply: our own tools and the tests read what a service answers.

use bytes::Bytes;

use crate::error::ApiError;
use crate::json::{self, Dialect};
use crate::schema::{Kind, Location, Member, Schema};
use crate::service::{OperationDef, Protocol, ServiceDef};
use crate::shape::{AnyShape, Scalar};
use crate::{cbor, headers, json_http, scalar, xml_read};

impl OperationDef {
    /// Reads a successful reply into a shape of the operation's output schema.
    pub fn decode_response(
        &self,
        protocol: Protocol,
        reply: &http::Response<Bytes>,
        output: &mut dyn AnyShape,
    ) -> Result<(), ApiError> {
        if matches!(protocol, Protocol::RestJson | Protocol::RestXml) {
            headers::read(reply.headers(), output)?;
            read_status(reply.status(), output)?;
            return read_rest_body(protocol, reply.body(), output);
        }
        if reply.body().iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        let wrapper = self.result_wrapper.filter(|_| protocol == Protocol::AwsQuery);
        read_document(protocol, reply.body(), wrapper, output)
    }
}

/// Reads a body that is one structure; `wrapper` is the element inside an XML root that holds it.
pub fn read_document(
    protocol: Protocol,
    body: &[u8],
    wrapper: Option<&str>,
    shape: &mut dyn AnyShape,
) -> Result<(), ApiError> {
    match protocol {
        Protocol::AwsJson10 | Protocol::AwsJson11 | Protocol::RestJson => {
            json::read(body, shape, Dialect::Wire).map_err(json_http::malformed)
        }
        Protocol::RpcV2Cbor => cbor::read(body, shape)
            .map_err(|error| ApiError::malformed_request(error.to_string()).with_source(error)),
        Protocol::AwsQuery | Protocol::Ec2Query | Protocol::RestXml => {
            let mut read = || {
                let root = xml_read::parse(body)?;
                match wrapper {
                    Some(wrapper) => match root.child(wrapper) {
                        Some(result) => xml_read::structure(result, shape),
                        None => Ok(()),
                    },
                    None => xml_read::structure(&root, shape),
                }
            };
            read().map_err(malformed_xml)
        }
    }
}

/// Reads the members of an error that travel in headers.
pub fn read_headers(headers: &http::HeaderMap, error: &mut dyn AnyShape) -> Result<(), ApiError> {
    headers::read(headers, error)
}

/// Reads the members of a modelled error out of its envelope.
pub fn read_error_document(
    protocol: Protocol,
    service: &ServiceDef,
    body: &[u8],
    error: &mut dyn AnyShape,
) -> Result<(), ApiError> {
    match protocol {
        Protocol::AwsQuery => read_document(protocol, body, Some("Error"), error),
        Protocol::Ec2Query => {
            let root = xml_read::parse(body).map_err(malformed_xml)?;
            let found = root.child("Errors").and_then(|errors| errors.child("Error"));
            found.map_or(Ok(()), |e| xml_read::structure(e, error)).map_err(malformed_xml)
        }
        Protocol::RestXml if service.wraps_xml_errors => {
            read_document(protocol, body, Some("Error"), error)
        }
        _ => read_document(protocol, body, None, error),
    }
}

fn malformed_xml(error: xml_read::XmlError) -> ApiError {
    ApiError::malformed_request(error.to_string()).with_source(error)
}

fn read_status(status: http::StatusCode, output: &mut dyn AnyShape) -> Result<(), ApiError> {
    let schema = output.schema();
    let Some(index) = schema.find(0, |member| member.location == Location::Status) else {
        return Ok(());
    };
    let put = output.field_mut(index).put(Scalar::Integer(i64::from(status.as_u16())));
    put.map_err(|_| mismatch(&schema.members()[index]))
}

fn mismatch(member: &Member) -> ApiError {
    ApiError::malformed_request(format!("{} is not a valid {:?}", member.name, member.target.kind))
}

fn read_rest_body(
    protocol: Protocol,
    body: &Bytes,
    output: &mut dyn AnyShape,
) -> Result<(), ApiError> {
    let schema: &'static Schema = output.schema();
    let blank = body.iter().all(u8::is_ascii_whitespace);
    let Some(index) = schema.payload else {
        let has_members = schema.members().iter().any(|m| m.location == Location::Body);
        return if blank || !has_members {
            Ok(())
        } else {
            read_document(protocol, body, None, output)
        };
    };
    let member = &schema.members()[index];
    let field = output.field_mut(index);
    if blank && (body.is_empty() || member.target.kind == Kind::Structure) {
        return Ok(());
    }
    let put = match member.target.kind {
        Kind::Structure => {
            let shape = field.structure().ok_or_else(|| mismatch(member))?;
            return read_document(protocol, body, None, shape);
        }
        Kind::Blob => field.put(Scalar::Blob(body.clone())),
        Kind::Document => {
            field.put(Scalar::Document(serde_json::from_slice(body).map_err(json_http::malformed)?))
        }
        _ => {
            let text = std::str::from_utf8(body).map_err(|_| mismatch(member))?;
            scalar::put_text(field, member, text)
        }
    };
    put.map_err(|_| mismatch(member))
}
