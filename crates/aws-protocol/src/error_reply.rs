//! The envelopes in which errors travel, one per protocol.

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use serde_json::Value as Json;

use crate::cbor::Writer;
use crate::error::{ApiError, Fault};
use crate::json::{Dialect, StructureView};
use crate::schema::{Member, XmlNamespace};
use crate::service::{Protocol, ServiceDef};
use crate::shape::{AnyShape, Value};
use crate::xml_write::XmlWriter;
use crate::{cbor_http, json_http};

impl ApiError {
    /// The HTTP reply that tells a caller of this protocol about the error.
    pub fn reply(
        &self,
        protocol: Protocol,
        service: Option<&ServiceDef>,
        request_id: &str,
    ) -> http::Response<Bytes> {
        match protocol {
            Protocol::AwsJson10 | Protocol::AwsJson11 => self.json_reply(protocol, request_id),
            Protocol::RestJson => self.rest_json_reply(request_id),
            Protocol::AwsQuery => self.query_reply(service, request_id),
            Protocol::Ec2Query => self.ec2_reply(request_id),
            Protocol::RestXml => self.rest_xml_reply(service, request_id),
            Protocol::RpcV2Cbor => self.cbor_reply(request_id),
        }
        .map_query_error(self, protocol, service)
    }

    fn fault_name(&self) -> &'static str {
        match self.fault {
            Fault::Client => "Sender",
            Fault::Server => "Receiver",
        }
    }

    /// The members of the error's structure, with the message among them.
    fn json_members(&self) -> serde_json::Map<String, Json> {
        let detail =
            self.detail.as_deref().map(|shape| StructureView { shape, dialect: Dialect::Wire });
        let mut members = match detail.map(serde_json::to_value) {
            Some(Ok(Json::Object(members))) => members,
            _ => serde_json::Map::new(),
        };
        let has_message = members.keys().any(|key| key.eq_ignore_ascii_case("message"));
        // AWS: an empty message is left out; newer SDKs refuse a null.
        if !has_message && !self.message.is_empty() {
            members.insert(self.message_name().to_owned(), Json::String(self.message.clone()));
        }
        members
    }

    fn json_reply(&self, protocol: Protocol, request_id: &str) -> http::Response<Bytes> {
        let mut members = serde_json::Map::new();
        members.insert("__type".to_owned(), Json::String(self.code_in(protocol).to_owned()));
        members.extend(self.json_members());
        let body = Json::Object(members).to_string();
        let content_type = json_http::content_type(protocol);
        crate::reply::build(self.status_in(protocol), content_type, request_id, body)
    }

    fn rest_json_reply(&self, request_id: &str) -> http::Response<Bytes> {
        let body = Json::Object(self.json_members()).to_string();
        let status = self.status_in(Protocol::RestJson);
        let mut reply = crate::reply::build(status, "application/json", request_id, body);
        if let Ok(code) = HeaderValue::from_str(self.code_in(Protocol::RestJson)) {
            reply.headers_mut().insert(HeaderName::from_static("x-amzn-errortype"), code);
        }
        self.bound_headers(&mut reply);
        reply
    }

    fn xml_error(&self, protocol: Protocol, xml: &mut XmlWriter, with_type: bool) {
        if with_type {
            xml.text_element("Type", self.fault_name());
        }
        xml.text_element("Code", self.code_in(protocol));
        xml.text_element("Message", &self.message);
        if let Some(detail) = self.detail.as_deref() {
            let mut inner = XmlWriter::default();
            inner.members_except_message(detail);
            xml.out.push_str(&inner.out);
        }
    }

    fn query_reply(&self, service: Option<&ServiceDef>, request_id: &str) -> http::Response<Bytes> {
        let mut xml = XmlWriter::default();
        let uri = service.and_then(|service| service.xml_namespace);
        let namespace = uri.map(|uri| XmlNamespace { uri, prefix: None });
        xml.open("ErrorResponse", namespace.as_ref());
        xml.open("Error", None);
        self.xml_error(Protocol::AwsQuery, &mut xml, true);
        xml.close("Error");
        xml.text_element("RequestId", request_id);
        xml.close("ErrorResponse");
        let status = self.status_in(Protocol::AwsQuery);
        crate::reply::build(status, "text/xml", request_id, xml.out)
    }

    fn ec2_reply(&self, request_id: &str) -> http::Response<Bytes> {
        let mut xml = XmlWriter::with_declaration();
        xml.open("Response", None);
        xml.open("Errors", None);
        xml.open("Error", None);
        self.xml_error(Protocol::Ec2Query, &mut xml, false);
        xml.close("Error");
        xml.close("Errors");
        xml.text_element("RequestID", request_id);
        xml.close("Response");
        let status = self.status_in(Protocol::Ec2Query);
        crate::reply::build(status, "text/xml;charset=UTF-8", request_id, xml.out)
    }

    fn rest_xml_reply(
        &self,
        service: Option<&ServiceDef>,
        request_id: &str,
    ) -> http::Response<Bytes> {
        let mut xml = XmlWriter::with_declaration();
        let wrapped = service.is_none_or(|service| service.wraps_xml_errors);
        if wrapped {
            let uri = service.and_then(|service| service.xml_namespace);
            let namespace = uri.map(|uri| XmlNamespace { uri, prefix: None });
            xml.open("ErrorResponse", namespace.as_ref());
        }
        xml.open("Error", None);
        self.xml_error(Protocol::RestXml, &mut xml, wrapped);
        if !wrapped {
            xml.text_element("RequestId", request_id);
        }
        xml.close("Error");
        if wrapped {
            xml.text_element("RequestId", request_id);
            xml.close("ErrorResponse");
        }
        let status = self.status_in(Protocol::RestXml);
        let mut reply = crate::reply::build(status, "application/xml", request_id, xml.out);
        crate::reply::add_s3_request_id(reply.headers_mut(), request_id);
        self.bound_headers(&mut reply);
        reply
    }

    fn cbor_reply(&self, request_id: &str) -> http::Response<Bytes> {
        let protocol = Protocol::RpcV2Cbor;
        let mut writer = Writer::default();
        writer.open_map();
        writer.text("__type");
        writer.text(self.code_in(protocol));
        let detail = self.detail.as_deref();
        let has_message = detail.is_some_and(holds_message);
        if !has_message && !self.message.is_empty() {
            writer.text(self.message_name());
            writer.text(&self.message);
        }
        if let Some(detail) = detail {
            writer.members(detail);
        }
        writer.close();
        cbor_http::reply(self.status_in(protocol), request_id, writer.out)
    }

    /// Members of the error that travel in headers.
    fn bound_headers(&self, reply: &mut http::Response<Bytes>) {
        if let Some(detail) = self.detail.as_deref() {
            crate::headers::write(detail, reply.headers_mut());
        }
    }

    /// The member for the message: some models spell it with a capital letter.
    fn message_name(&self) -> &'static str {
        let member = self.detail.as_deref().and_then(|shape| {
            shape.schema().members().iter().find(|m| m.wire.eq_ignore_ascii_case("message"))
        });
        member.map_or("message", |member| member.wire)
    }
}

fn holds_message(shape: &dyn AnyShape) -> bool {
    let is_message = |member: &Member| member.wire.eq_ignore_ascii_case("message");
    let index = shape.schema().find(0, is_message);
    index.is_some_and(|index| !matches!(shape.field(index).get(), Value::Absent))
}

trait MapQueryError {
    fn map_query_error(
        self,
        error: &ApiError,
        protocol: Protocol,
        service: Option<&ServiceDef>,
    ) -> Self;
}

impl MapQueryError for http::Response<Bytes> {
    /// Services that moved from query to json or cbor tell the old code in a header.
    fn map_query_error(
        mut self,
        error: &ApiError,
        protocol: Protocol,
        service: Option<&ServiceDef>,
    ) -> Self {
        let compatible = service.is_some_and(|service| service.query_compatible);
        if compatible && protocol.names_errors_by_shape() {
            let text = format!("{};{}", error.code, error.fault_name());
            if let Ok(value) = HeaderValue::from_str(&text) {
                self.headers_mut().insert(HeaderName::from_static("x-amzn-query-error"), value);
            }
        }
        self
    }
}
