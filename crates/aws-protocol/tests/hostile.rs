//! Bytes that nobody would send: every reader answers with an error, never with a panic, a hang or
//! memory that only a claimed length would justify.
#![allow(clippy::unwrap_used)]

mod botocore;

use aws_protocol::router::Router;
use aws_protocol::schema::{Kind, Location, Members, Schema, list, m, map, simple, structure};
use aws_protocol::{OperationDef, Protocol};
use botocore::canonical;
use botocore::shape::DynamicShape;
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::json;

const PROTOCOLS: [Protocol; 7] = [
    Protocol::AwsJson10,
    Protocol::AwsJson11,
    Protocol::AwsQuery,
    Protocol::Ec2Query,
    Protocol::RestJson,
    Protocol::RestXml,
    Protocol::RpcV2Cbor,
];

/// A structure with a member of every kind, itself included.
fn schema() -> &'static Schema {
    static KINDS: [(&str, Kind); 9] = [
        ("string", Kind::String),
        ("boolean", Kind::Boolean),
        ("integer", Kind::Integer),
        ("long", Kind::Long),
        ("float", Kind::Float),
        ("double", Kind::Double),
        ("blob", Kind::Blob),
        ("timestamp", Kind::Timestamp),
        ("document", Kind::Document),
    ];
    static SCHEMA: std::sync::OnceLock<&'static Schema> = std::sync::OnceLock::new();
    SCHEMA.get_or_init(|| {
        let cell: &'static std::sync::OnceLock<_> = Box::leak(Box::default());
        let base = structure("Everything", &[]);
        let all: &'static Schema =
            Box::leak(Box::new(Schema { members: Members::Later(cell), ..base }));
        let leak = |schema: Schema| -> &'static Schema { Box::leak(Box::new(schema)) };
        let mut members: Vec<_> =
            KINDS.iter().map(|(name, kind)| m(name, leak(simple(name, *kind)))).collect();
        let element = Box::leak(Box::new([m("member", all)]));
        members.push(m("list", leak(list("List", element))));
        members.push(m("flat", leak(list("Flat", element).flattened())));
        let key = leak(simple("Key", Kind::String));
        members.push(m(
            "map",
            leak(map("Map", Box::leak(Box::new([m("key", key), m("value", all)])))),
        ));
        members.push(m("self", all));
        members.push(m("x-header", leak(simple("H", Kind::Timestamp))).at(Location::Header));
        members.push(m("q", leak(simple("Q", Kind::Long))).at(Location::Query));
        members.push(
            m("x-p-", leak(map("P", Box::leak(Box::new([m("key", key), m("value", key)])))))
                .at(Location::Headers),
        );
        cell.set(members).expect("filled once");
        all
    })
}

fn operation() -> &'static OperationDef {
    static OPERATION: std::sync::OnceLock<&'static OperationDef> = std::sync::OnceLock::new();
    OPERATION.get_or_init(|| {
        let service = botocore::service("test", &json!({ "protocol": "query" }));
        let mut schemas = botocore::Schemas::new(Box::leak(Box::default()));
        let base = botocore::operation(
            service,
            &mut schemas,
            &json!({
                "name": "Op", "http": { "method": "POST", "requestUri": "/{a}/{b+}?c=d" },
            }),
        );
        Box::leak(Box::new(OperationDef { input: schema(), output: schema(), ..copy(base) }))
    })
}

fn copy(base: &OperationDef) -> OperationDef {
    OperationDef {
        name: base.name,
        service: base.service,
        method: base.method,
        uri: base.uri,
        status: 200,
        input: base.input,
        output: base.output,
        result_wrapper: None,
        errors: &[],
        pagination: None,
        unsigned: false,
        compressible: false,
        new_input: base.new_input,
        new_output: base.new_output,
    }
}

fn read(protocol: Protocol, uri: &str, header: &str, body: &[u8]) -> bool {
    let request = http::Request::builder().method("POST").uri(uri);
    let request = request.header("x-header", header).header("x-p-a", header).body(());
    let Ok(request) = request else { return false };
    let parts = request.into_parts().0;
    let body = Bytes::copy_from_slice(body);
    let mut input = DynamicShape::new(schema());
    let read = operation().decode_into(protocol, &parts, &body, &mut input).is_ok();
    let mut output = DynamicShape::new(schema());
    let reply = http::Response::new(body);
    let _ = operation().decode_response(protocol, &reply, &mut output);
    read
}

/// Deep nesting in each format's own way.
fn nested(protocol: Protocol, depth: usize) -> Vec<u8> {
    match protocol {
        Protocol::AwsQuery | Protocol::Ec2Query => {
            format!("{}string=x", "self.".repeat(depth)).into_bytes()
        }
        Protocol::RestXml => {
            let (open, close) = ("<self>".repeat(depth), "</self>".repeat(depth));
            format!("<Everything>{open}{close}</Everything>").into_bytes()
        }
        Protocol::RpcV2Cbor => [b"\xA1\x64self".repeat(depth), vec![0xA0]].concat(),
        _ => format!("{}{{}}{}", r#"{"self":"#.repeat(depth), "}".repeat(depth)).into_bytes(),
    }
}

#[test]
fn nesting_is_limited() {
    for protocol in PROTOCOLS {
        assert!(read(protocol, "/a/b?c=d", "0", &nested(protocol, 20)), "{protocol:?}");
        for depth in [200, 100_000] {
            assert!(!read(protocol, "/a/b?c=d", "0", &nested(protocol, depth)), "{protocol:?}");
        }
    }
}

#[test]
fn claimed_lengths_cost_nothing() {
    // An array and a text of 2^63 items, and arrays that open each other.
    for body in [
        &b"\xA1\x64list\x9B\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF"[..],
        b"\xA1\x66string\x7B\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF",
        &[&b"\xA1\x67unknown"[..], &[0x9F; 100_000]].concat(),
        &[&b"\xA1\x64long"[..], &[0xC1; 100_000]].concat(),
    ] {
        assert!(!read(Protocol::RpcV2Cbor, "/a/b", "0", body));
    }
}

#[test]
fn many_empty_elements_are_refused() {
    let many = 200_000;
    let numbered =
        |name: &str| (0..many).map(|i| format!("{name}.{i}.string=&")).collect::<String>();
    let json = format!("{{\"list\":[{}{{}}]}}", "{},".repeat(many));
    let xml = format!("<E><list>{}</list></E>", "<member/>".repeat(many));
    let cbor = [&b"\xA1\x64list\x9F"[..], &[0xA0].repeat(many), b"\xFF"].concat();
    let bodies = [
        (Protocol::AwsJson11, json.into_bytes()),
        (Protocol::RestXml, xml.into_bytes()),
        (Protocol::RpcV2Cbor, cbor),
        (Protocol::AwsQuery, numbered("list.member").into_bytes()),
    ];
    for (protocol, body) in bodies {
        assert!(!read(protocol, "/a/b", "0", &body), "{protocol:?}");
    }
}

#[test]
fn xml_entities_do_not_grow() {
    let bomb =
        br#"<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb">]><Everything><string>&b;</string></Everything>"#;
    assert!(!read(Protocol::RestXml, "/a/b", "0", bomb));
    assert!(!read(Protocol::RestXml, "/a/b", "0", b"<E><string>&b;</string></E>"));
    assert!(read(Protocol::RestXml, "/a/b", "0", b"<E><string>&lt;&#65;</string></E>"));
}

/// Pieces of all formats, so that random bodies get further than the first byte.
fn fragment() -> impl Strategy<Value = Vec<u8>> {
    let words: Vec<&'static [u8]> = vec![
        b"{",
        b"}",
        b"[",
        b"]",
        b"\"",
        b":",
        b",",
        b"null",
        b"1e999",
        b"-0",
        b"true",
        b"\"self\":",
        b"\"list\":[",
        b"\"map\":{",
        b"\"timestamp\":",
        b"\"blob\":\"",
        b"\"document\":",
        b"<self>",
        b"</self>",
        b"<list>",
        b"<member>",
        b"</member>",
        b"<entry>",
        b"<key>",
        b"<flat/>",
        b"<![CDATA[",
        b"]]>",
        b"<!--",
        b"<?",
        b"&amp;",
        b"&#x0;",
        b"&#99999999;",
        b"self.",
        b"list.member.",
        b"list.1.",
        b"map.entry.1.key=",
        b"99999999999999999999",
        b"=",
        b"&",
        b"%",
        b"%FF",
        b".",
        b"\xA1\x64self",
        b"\xBF",
        b"\xFF",
        b"\x9F",
        b"\x7F",
        b"\xC1",
        b"\xFB",
        b"\xF9\x7E",
        b"\xA1\x64list\x9F",
        b"\x1B",
    ];
    prop_oneof![
        4 => proptest::sample::select(words).prop_map(<[u8]>::to_vec),
        1 => proptest::collection::vec(any::<u8>(), 0..6),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        std::env::var("WHARF_FUZZ_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(2000)
    ))]

    #[test]
    fn no_bytes_break_a_reader(
        fragments in proptest::collection::vec(fragment(), 0..40),
        header in "[ -~]{0,30}",
        uri in "/[a-z%/0-9]{0,20}(\\?[a-z=&%0-9]{0,20})?",
    ) {
        let body = fragments.concat();
        for protocol in PROTOCOLS {
            read(protocol, &uri, &header, &body);
        }
    }

    #[test]
    fn no_request_breaks_the_router(
        target in "[ -~]{0,30}",
        body in proptest::collection::vec(fragment(), 0..20),
        uri in "/[a-zA-Z%/0-9]{0,40}(\\?(Action|Version|[a-z])=[a-zA-Z&%0-9]{0,20})?",
        header in proptest::sample::select(vec!["x-amz-target", "smithy-protocol", "content-type"]),
        scope in proptest::option::of("ecs|iam|sts|s3"),
    ) {
        let router = Router::new([&model_ecs::SERVICE, &model_iam::SERVICE, &model_sts::SERVICE]);
        let request = http::Request::builder().uri(uri).header(header, target).body(());
        prop_assume!(request.is_ok());
        let parts = request.unwrap().into_parts().0;
        let body = Bytes::from(body.concat());
        match router.route(&parts, &body, scope.as_deref()) {
            Ok(route) => drop(route.operation.decode(route.protocol, &parts, &body)),
            Err(refusal) => {
                let reply = refusal.error.reply(refusal.protocol, refusal.service, "id");
                prop_assert!(reply.status().is_client_error(), "{:?}", reply);
            }
        }
    }

    #[test]
    fn what_is_written_is_read(fragments in proptest::collection::vec(fragment(), 0..12)) {
        // Whatever JSON happens to be read survives every protocol that carries bodies.
        let body = fragments.concat();
        let mut shape = DynamicShape::new(schema());
        let parts = http::Request::builder().uri("/").body(()).unwrap().into_parts().0;
        let body = Bytes::from([b"{".as_slice(), &body, b"}"].concat());
        if operation().decode_into(Protocol::AwsJson11, &parts, &body, &mut shape).is_ok() {
            for protocol in [Protocol::AwsJson10, Protocol::RestJson, Protocol::RpcV2Cbor] {
                let reply = operation().encode(protocol, &shape, "id");
                let mut again = DynamicShape::new(schema());
                if protocol == Protocol::RpcV2Cbor && canonical::of(&shape).to_string().contains("document") {
                    continue;
                }
                operation().decode_response(protocol, &reply, &mut again).unwrap();
                prop_assert_eq!(canonical::of(&again), canonical::of(&shape));
            }
        }
    }
}
