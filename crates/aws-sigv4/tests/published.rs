//! The worked examples of AWS's S3 documentation: signatures of headers, query and chunks that
//! were computed by neither side of this crate.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use aws_sigv4::{
    Body, ChunkError, Finished, Parsed, Payload, Request, Rules, SigV4Error, SignBody, Signer,
    SigningKeys, Stamp, Style, parse, verify,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

const KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const TIME: &str = "20130524T000000Z";
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| {
            (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
        })
        .collect()
}

fn now() -> i64 {
    Stamp::parse_basic(TIME).unwrap().seconds
}

fn authorization(signed: &str, signature: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential={KEY}/20130524/us-east-1/s3/aws4_request,\
         SignedHeaders={signed},Signature={signature}"
    )
}

fn parsed<'a>(request: &Request<'a>) -> Parsed<'a> {
    parse(request, &Rules::for_services(&["s3"]).in_region("us-east-1"), now()).unwrap().unwrap()
}

#[test]
fn get_object_with_a_range() {
    let authorization = authorization(
        "host;range;x-amz-content-sha256;x-amz-date",
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    );
    let headers = headers(&[
        ("host", "examplebucket.s3.amazonaws.com"),
        ("range", "bytes=0-9"),
        ("x-amz-content-sha256", EMPTY),
        ("x-amz-date", TIME),
        ("authorization", &authorization),
    ]);
    let request =
        Request { method: "GET", path: "/test.txt", query: "", headers: &headers, authority: None };
    let keys = SigningKeys::default();
    for _ in 0..2 {
        let verified = verify(&parsed(&request), SECRET, Body::Bytes(b""), &keys).unwrap();
        assert!(matches!(verified.payload, Payload::Checked));
        assert_eq!(keys.len(), 1);
    }
    let late = verify(&parsed(&request), SECRET, Body::Later, &keys).unwrap();
    assert!(matches!(
        late.payload.check_sha256([0; 32]),
        Err(SigV4Error::ContentSha256Mismatch { .. })
    ));
    assert!(verify(&parsed(&request), "other", Body::Bytes(b""), &keys).is_err());
}

#[test]
fn a_presigned_url() {
    let headers = headers(&[("host", "examplebucket.s3.amazonaws.com")]);
    let signer = Signer {
        access_key: KEY,
        secret: SECRET,
        token: None,
        region: "us-east-1",
        service: "s3",
        style: Style::S3,
        now: now(),
    };
    let query = signer.presign("GET", "/test.txt", "", &headers, 86400).unwrap();
    assert!(
        query.ends_with("aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"),
        "{query}"
    );
    let request = Request {
        method: "GET",
        path: "/test.txt",
        query: &query,
        headers: &headers,
        authority: None,
    };
    let keys = SigningKeys::default();
    let verified = verify(&parsed(&request), SECRET, Body::Later, &keys).unwrap();
    assert!(matches!(verified.payload, Payload::Unsigned));
    let rules = Rules::for_services(&["s3"]);
    assert!(parse(&request, &rules, now() + 86400).unwrap().is_some());
    assert!(matches!(
        parse(&request, &rules, now() + 86401),
        Err(SigV4Error::Expired { expires: Some(86400), .. })
    ));
    assert!(matches!(parse(&request, &rules, now() - 901), Err(SigV4Error::NotYetCurrent { .. })));
}

/// The head of the documentation's chunked upload, and its body.
fn chunked(trailer: bool) -> (HeaderMap, Vec<u8>) {
    let mut pairs = vec![
        ("host", "s3.amazonaws.com"),
        ("x-amz-date", TIME),
        ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ("content-encoding", "aws-chunked"),
        ("x-amz-decoded-content-length", "66560"),
    ];
    let (signatures, tail, authorization): ([&str; 3], &[u8], String) = if trailer {
        pairs.push(("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"));
        pairs.push(("x-amz-trailer", "x-amz-checksum-crc32c"));
        (
            [
                "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
                "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
                "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
            ],
            b"x-amz-checksum-crc32c:sOO8/Q==\n\r\nx-amz-trailer-signature:\
              d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n",
            authorization(
                "content-encoding;host;x-amz-content-sha256;x-amz-date;\
                 x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer",
                "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
            ),
        )
    } else {
        pairs.push(("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"));
        pairs.push(("content-length", "66824"));
        (
            [
                "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
                "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
                "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
            ],
            b"\r\n",
            authorization(
                "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;\
                 x-amz-decoded-content-length;x-amz-storage-class",
                "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
            ),
        )
    };
    pairs.push(("authorization", &authorization));
    let mut body = Vec::new();
    for (size, signature) in [65536, 1024, 0].into_iter().zip(signatures) {
        body.extend_from_slice(format!("{size:x};chunk-signature={signature}\r\n").as_bytes());
        body.extend(std::iter::repeat_n(b'a', size));
        if size > 0 {
            body.extend_from_slice(b"\r\n");
        }
    }
    body.extend_from_slice(tail);
    (headers(&pairs), body)
}

/// Verifies the head and decodes the body in pieces of `piece` bytes.
fn decode(
    headers: &HeaderMap,
    body: &[u8],
    piece: usize,
) -> Result<(Vec<u8>, Finished), SigV4Error> {
    let request = Request {
        method: "PUT",
        path: "/examplebucket/chunkObject.txt",
        query: "",
        headers,
        authority: None,
    };
    let keys = SigningKeys::default();
    let Payload::Chunked(mut decoder) =
        verify(&parsed(&request), SECRET, Body::Later, &keys)?.payload
    else {
        panic!("the body is chunked")
    };
    let mut out = Vec::new();
    for part in body.chunks(piece) {
        let mut input = Bytes::copy_from_slice(part);
        while let Some(payload) = decoder.decode(&mut input)? {
            out.extend_from_slice(&payload);
        }
    }
    Ok((out, decoder.finish()?))
}

#[test]
fn chunked_uploads_with_and_without_trailer() {
    for trailer in [false, true] {
        let (headers, body) = chunked(trailer);
        for piece in [1, 7, 4096, body.len()] {
            let (payload, finished) = decode(&headers, &body, piece).unwrap();
            assert_eq!((payload.len(), finished.decoded_length), (66560, 66560));
            assert!(payload.iter().all(|&byte| byte == b'a'));
            assert_eq!(finished.trailers.len(), usize::from(trailer));
        }
    }
}

#[test]
fn any_changed_or_missing_byte_of_a_chunked_upload_is_refused() {
    for trailer in [false, true] {
        let (headers, body) = chunked(trailer);
        // Every byte of the framing, and some of the payload.
        let data = 90..65536 + 80;
        let places = (0..body.len()).filter(|at| !data.contains(at) || at % 8191 == 0);
        let places: Vec<usize> =
            places.filter(|at| at % 13 == 0 || *at < 90 || at + 250 > body.len()).collect();
        for at in places {
            let mut changed = body.clone();
            changed[at] ^= 0x01;
            // A blank line more or less at the end says nothing; what was signed did not change.
            let blank = body[at..].iter().all(|byte| b"\r\n".contains(byte));
            let inner = body[at] == b'\r' || body[at] == b'\n';
            if !blank && !inner {
                assert!(decode(&headers, &changed, 4096).is_err(), "byte {at} {trailer}");
            }
        }
        for end in [0, 1, 88, 1000, 65626, 66700, body.len() - 90, body.len() - 60] {
            let cut = decode(&headers, &body[..end.min(body.len() - 6)], 4096);
            assert!(cut.is_err(), "cut at {end} {trailer}");
        }
    }
}

#[test]
fn a_chunk_that_is_too_small_or_too_much_is_refused() {
    let signer = Signer {
        access_key: KEY,
        secret: SECRET,
        token: None,
        region: "us-east-1",
        service: "s3",
        style: Style::S3,
        now: now(),
    };
    let upload = |sizes: &[usize], length: &str| {
        let mut head =
            headers(&[("host", "s3.amazonaws.com"), ("x-amz-decoded-content-length", length)]);
        let path = "/examplebucket/chunkObject.txt";
        let kind = SignBody::Chunked { signed: true, trailer: false };
        let mut chunks = signer.sign("PUT", path, "", &mut head, kind).unwrap().chunks;
        let mut body = Vec::new();
        for &size in sizes {
            chunks.chunk(&vec![b'x'; size], &mut body);
        }
        chunks.finish(&[], &mut body);
        decode(&head, &body, 1000).map(|(payload, _)| payload.len())
    };
    assert_eq!(upload(&[8192, 10], "8202"), Ok(8202));
    assert_eq!(upload(&[], "0"), Ok(0));
    assert_eq!(
        upload(&[8191, 10], "8201"),
        Err(ChunkError::SmallChunk { chunk: 1, size: 8191 }.into())
    );
    assert_eq!(upload(&[8192, 10], "8201"), Err(ChunkError::Length { expected: 8201 }.into()));
    assert_eq!(upload(&[8192, 10], "8203"), Err(ChunkError::Length { expected: 8203 }.into()));
    assert_eq!(upload(&[10], "ten"), Err(ChunkError::MissingDecodedLength.into()));
}
