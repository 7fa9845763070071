//! What a model says about a service and its operations: static tables that the gateway, the
//! router and the codecs share. One function decodes a request and one encodes a reply, for every
//! operation and every protocol.

use bytes::Bytes;

use crate::error::ApiError;
use crate::schema::Schema;
use crate::shape::{AnyShape, Shape};
use crate::{Fault, limits, validate};
use crate::{cbor_http, json_http, query, rest};

/// A wire protocol. It belongs to the request, not to the service: CloudWatch speaks three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    AwsJson10,
    AwsJson11,
    AwsQuery,
    Ec2Query,
    RestJson,
    RestXml,
    RpcV2Cbor,
}

impl Protocol {
    /// Whether errors are named by their shape (`ValidationException`) and not by the older query
    /// codes (`ValidationError`).
    pub fn names_errors_by_shape(self) -> bool {
        use Protocol::*;
        matches!(self, AwsJson10 | AwsJson11 | RestJson | RpcV2Cbor)
    }
}

/// An error that a model declares.
#[derive(Debug)]
pub struct ErrorDef {
    /// The name of the shape; json and cbor put it in `__type`.
    pub name: &'static str,
    /// The code of the query protocols; the shape's name where the model has no other.
    pub code: &'static str,
    pub status: u16,
    pub fault: Fault,
    pub schema: &'static Schema,
}

/// How an operation is paged: names of members, dotted where nested.
#[derive(Clone, Copy, Debug)]
pub struct Pagination {
    pub input_token: &'static [&'static str],
    pub output_token: &'static [&'static str],
    pub limit_key: Option<&'static str>,
    pub result_key: &'static [&'static str],
    pub more_results: Option<&'static str>,
}

/// One operation of a service.
pub struct OperationDef {
    pub name: &'static str,
    pub service: &'static ServiceDef,
    pub method: &'static str,
    /// The URI template, `/` for protocols that do not use it.
    pub uri: &'static str,
    /// The status of a successful reply.
    pub status: u16,
    pub input: &'static Schema,
    pub output: &'static Schema,
    /// The element around the output's members in the query protocol.
    pub result_wrapper: Option<&'static str>,
    pub errors: &'static [&'static ErrorDef],
    pub pagination: Option<Pagination>,
    /// Callers need no signature (`AssumeRoleWithWebIdentity`).
    pub unsigned: bool,
    /// Clients may compress the request body.
    pub compressible: bool,
    pub new_input: fn() -> Box<dyn AnyShape>,
    pub new_output: fn() -> Box<dyn AnyShape>,
}

/// Which constraints of the model are checked before an action sees its input, and the error they
/// raise: some services check by themselves and word it their own way.
#[derive(Clone, Copy, Debug)]
pub struct Validation {
    /// The error code in place of the protocol's `ValidationException`/`ValidationError`.
    pub code: Option<&'static str>,
    pub required: bool,
    pub bounds: bool,
    pub pattern: bool,
    pub values: bool,
}

impl Validation {
    pub const ALL: Validation =
        Validation { code: None, required: true, bounds: true, pattern: true, values: true };
    pub const NONE: Validation =
        Validation { code: None, required: false, bounds: false, pattern: false, values: false };
}

/// One service of AWS.
pub struct ServiceDef {
    /// The name of the model's folder, and of ours: `ecs`.
    pub id: &'static str,
    pub sdk_id: &'static str,
    pub signing_name: &'static str,
    pub endpoint_prefix: &'static str,
    pub target_prefix: Option<&'static str>,
    pub api_version: &'static str,
    pub xml_namespace: Option<&'static str>,
    pub protocols: &'static [Protocol],
    /// json and cbor replies carry `x-amzn-query-error` for clients of the former query API.
    pub query_compatible: bool,
    /// S3 sends `<Error>` alone, other rest-xml services put it into `<ErrorResponse>`.
    pub wraps_xml_errors: bool,
    pub validation: Validation,
    /// Sorted by name.
    pub operations: &'static [&'static OperationDef],
    /// The sorted names of the model's other operations: known, not offered.
    pub absent: &'static [&'static str],
}

impl ServiceDef {
    /// Finds an offered operation.
    pub fn operation(&self, name: &str) -> Option<&'static OperationDef> {
        let found = self.operations.binary_search_by(|op| op.name.cmp(name));
        found.ok().map(|index| self.operations[index])
    }

    /// Whether the model has the operation and this server does not.
    pub fn is_absent(&self, name: &str) -> bool {
        self.absent.binary_search(&name).is_ok()
    }
}

impl std::fmt::Debug for ServiceDef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ServiceDef").field(&self.id).finish()
    }
}

impl std::fmt::Debug for OperationDef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OperationDef({}:{})", self.service.id, self.name)
    }
}

/// An operation as a type: what its input and output are.
pub trait Operation: Send + Sync + 'static {
    type Input: Shape;
    type Output: Shape;
    const DEF: &'static OperationDef;
}

/// Makes an empty shape behind its erased type; generated tables name it as a constructor.
pub fn boxed<T: Shape>() -> Box<dyn AnyShape> {
    Box::new(T::default())
}

/// The parts of an operation's table that most operations leave at their defaults.
impl OperationDef {
    pub const fn new<O: Operation>(
        name: &'static str,
        service: &'static ServiceDef,
        method: &'static str,
        uri: &'static str,
    ) -> Self {
        OperationDef {
            name,
            service,
            method,
            uri,
            status: 200,
            input: O::Input::SCHEMA,
            output: O::Output::SCHEMA,
            result_wrapper: None,
            errors: &[],
            pagination: None,
            unsigned: false,
            compressible: false,
            new_input: boxed::<O::Input>,
            new_output: boxed::<O::Output>,
        }
    }
    pub const fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }
    pub const fn wrapper(mut self, name: &'static str) -> Self {
        self.result_wrapper = Some(name);
        self
    }
    pub const fn errors(mut self, errors: &'static [&'static ErrorDef]) -> Self {
        self.errors = errors;
        self
    }
    pub const fn pages(mut self, pagination: Pagination) -> Self {
        self.pagination = Some(pagination);
        self
    }
    pub const fn unsigned(mut self) -> Self {
        self.unsigned = true;
        self
    }
    pub const fn compressible(mut self) -> Self {
        self.compressible = true;
        self
    }
}

impl OperationDef {
    /// Reads a request into the operation's input and checks it against the model's constraints.
    pub fn decode(
        &self,
        protocol: Protocol,
        parts: &http::request::Parts,
        body: &Bytes,
    ) -> Result<Box<dyn AnyShape>, ApiError> {
        let input = self.decode_unchecked(protocol, parts, body)?;
        validate::check(&*input, &self.service.validation)?;
        Ok(input)
    }

    /// Reads a request without checking constraints.
    pub fn decode_unchecked(
        &self,
        protocol: Protocol,
        parts: &http::request::Parts,
        body: &Bytes,
    ) -> Result<Box<dyn AnyShape>, ApiError> {
        let mut input = (self.new_input)();
        self.decode_into(protocol, parts, body, &mut *input)?;
        Ok(input)
    }

    /// Reads a request into a given shape of the operation's input schema.
    pub fn decode_into(
        &self,
        protocol: Protocol,
        parts: &http::request::Parts,
        body: &Bytes,
        input: &mut dyn AnyShape,
    ) -> Result<(), ApiError> {
        let body = limits::plain_body(self, &parts.headers, body)?;
        match protocol {
            Protocol::AwsJson10 | Protocol::AwsJson11 => json_http::read(&body, input),
            Protocol::AwsQuery => query::read(parts, &body, query::Dialect::Aws, input),
            Protocol::Ec2Query => query::read(parts, &body, query::Dialect::Ec2, input),
            Protocol::RestJson | Protocol::RestXml => {
                rest::read_request(self, protocol, parts, &body, input)
            }
            Protocol::RpcV2Cbor => cbor_http::read(&body, input),
        }
    }

    /// Writes a successful reply.
    pub fn encode(
        &self,
        protocol: Protocol,
        output: &dyn AnyShape,
        request_id: &str,
    ) -> http::Response<Bytes> {
        match protocol {
            Protocol::AwsJson10 | Protocol::AwsJson11 => {
                json_http::write(protocol, output, request_id)
            }
            Protocol::AwsQuery => query::write(self, output, request_id),
            Protocol::Ec2Query => query::write_ec2(self, output, request_id),
            Protocol::RestJson | Protocol::RestXml => {
                rest::write_response(self, protocol, output, request_id)
            }
            Protocol::RpcV2Cbor => cbor_http::write(output, request_id),
        }
    }
}
