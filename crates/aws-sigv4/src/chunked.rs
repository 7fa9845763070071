//! The decoder of `aws-chunked` bodies: bytes in, payload out, nothing buffered but one line.
//!
//! Each chunk's signature covers the one before it, starting at the request's own, so chunks can
//! be neither changed nor moved. Payload is handed out before its chunk's signature has come by:
//! what was decoded counts only once `finish` has returned, and must stay invisible until then.

use crate::canonical::{EMPTY_SHA256, sha256_hex};
use crate::checksum::{Algorithm, Checksum};
use crate::error::ChunkError;
use crate::keys::{SigningKey, hmac};
use crate::parse::{Parsed, header};
use crate::verify::signature_matches;
use bytes::{Buf, Bytes};
use sha2::{Digest, Sha256};

// AWS: S3 refuses smaller chunks but for the last, which also bounds their number.
const MIN_CHUNK: u64 = 8192;
const MAX_LINE: usize = 1024;
const MAX_TRAILERS: usize = 16;

/// The chain of chunk signatures, the same for the one who signs and the one who verifies.
pub(crate) struct Chain {
    pub(crate) key: SigningKey,
    pub(crate) time: String,
    pub(crate) scope: String,
    pub(crate) previous: String,
}

impl Chain {
    /// The text that the next link signs. `kind` is `PAYLOAD` or `TRAILER`.
    pub(crate) fn text(&self, kind: &str, hash: &str) -> String {
        let Self { time, scope, previous, .. } = self;
        let empty = if kind == "PAYLOAD" { format!("{EMPTY_SHA256}\n") } else { String::new() };
        format!("AWS4-HMAC-SHA256-{kind}\n{time}\n{scope}\n{previous}\n{empty}{hash}")
    }

    pub(crate) fn sign(&self, text: &str) -> [u8; 32] {
        hmac(self.key.as_slice(), &[text.as_bytes()])
    }
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chain").field("scope", &self.scope).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Header,
    Data {
        left: u64,
    },
    /// The line break after a chunk's data: how many of its two bytes have come.
    DataEnd {
        seen: usize,
    },
    Trailers,
    Failed,
}

/// A body that is being decoded.
#[derive(Debug)]
pub struct ChunkedBody {
    chain: Option<Chain>,
    access_key: String,
    /// The signature of the chunk at hand.
    provided: String,
    trailer: bool,
    announced: Vec<String>,
    checksums: Vec<Checksum>,
    state: State,
    line: Vec<u8>,
    hash: Sha256,
    chunk: u64,
    size: u64,
    decoded: u64,
    expected: u64,
    trailers: Vec<(String, String)>,
    trailer_signature: Option<String>,
}

/// What came after the payload.
#[derive(Debug)]
pub struct Finished {
    pub decoded_length: u64,
    /// The trailing headers, names in lower case; checksums among them are right.
    pub trailers: Vec<(String, String)>,
}

impl ChunkedBody {
    pub(crate) fn new(
        parsed: &Parsed<'_>,
        key: Option<SigningKey>,
        trailer: bool,
    ) -> Result<Self, ChunkError> {
        let request = &parsed.request;
        let expected = header(request, "x-amz-decoded-content-length")
            .filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|text| text.parse().ok())
            .ok_or(ChunkError::MissingDecodedLength)?;
        let mut announced = Vec::new();
        if trailer {
            let values = request.headers.get_all("x-amz-trailer").iter();
            let values = values.filter_map(|value| value.to_str().ok());
            let names = values.flat_map(|value| value.split(',')).map(str::trim);
            announced.extend(names.filter(|n| !n.is_empty()).map(str::to_ascii_lowercase));
        }
        let mut checksums = Vec::new();
        for name in &announced {
            let unsupported = || ChunkError::UnsupportedTrailer { name: name.clone() };
            checksums.push(Checksum::new(Algorithm::of_header(name).ok_or_else(unsupported)?));
        }
        if checksums.len() > MAX_TRAILERS {
            return Err(ChunkError::Trailer("too many trailing headers are announced"));
        }
        Ok(Self {
            chain: key.map(|key| Chain {
                key,
                time: parsed.time.text().to_owned(),
                scope: parsed.credential.scope().to_owned(),
                previous: parsed.signature.clone().into_owned(),
            }),
            access_key: parsed.credential.access_key().to_owned(),
            provided: String::new(),
            trailer,
            announced,
            checksums,
            state: State::Header,
            line: Vec::new(),
            hash: Sha256::new(),
            chunk: 0,
            size: MIN_CHUNK,
            decoded: 0,
            expected,
            trailers: Vec::new(),
            trailer_signature: None,
        })
    }

    /// Takes bytes from the front of `input` and gives the next piece of payload. `None`: all of
    /// `input` is taken, give more. After an error the body is lost.
    pub fn decode(&mut self, input: &mut Bytes) -> Result<Option<Bytes>, ChunkError> {
        let result = self.step(input);
        if result.is_err() {
            self.state = State::Failed;
        }
        result
    }

    fn step(&mut self, input: &mut Bytes) -> Result<Option<Bytes>, ChunkError> {
        while !input.is_empty() {
            match self.state {
                State::Header => {
                    if let Some(line) = self.take_line(input)? {
                        self.start_chunk(&line)?;
                    }
                }
                State::Data { left } => {
                    let take = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
                    let piece = input.split_to(take);
                    self.take_data(&piece, left)?;
                    return Ok(Some(piece));
                }
                State::DataEnd { seen } => {
                    if input.get_u8() != b"\r\n"[seen] {
                        return Err(ChunkError::Malformed("no line break after a chunk"));
                    }
                    let next = State::DataEnd { seen: 1 };
                    self.state = if seen == 0 { next } else { State::Header };
                }
                State::Trailers => {
                    if let Some(line) = self.take_line(input)? {
                        self.take_trailer(&line)?;
                    }
                }
                State::Failed => return Err(ChunkError::Malformed("the body was refused")),
            }
        }
        Ok(None)
    }

    /// The body is over: checks that it is whole, and its trailing headers and checksums.
    pub fn finish(mut self) -> Result<Finished, ChunkError> {
        match self.state {
            State::Trailers if self.line.is_empty() => {}
            // The last line may come without its break.
            State::Trailers => {
                let line = std::mem::take(&mut self.line);
                self.take_trailer(line.strip_suffix(b"\r").unwrap_or(&line))?;
            }
            _ => return Err(ChunkError::Malformed("the body ends early")),
        }
        if self.decoded != self.expected {
            return Err(ChunkError::Length { expected: self.expected });
        }
        if self.trailer {
            self.check_trailer_signature()?;
        }
        for checksum in std::mem::take(&mut self.checksums) {
            let algorithm = checksum.algorithm;
            let stated = self.trailers.iter().find(|(name, _)| name == algorithm.header());
            let (_, stated) =
                stated.ok_or(ChunkError::Trailer("an announced header is missing"))?;
            if !algorithm.is_well_formed(stated) {
                return Err(ChunkError::BadChecksum { header: algorithm.header() });
            }
            if checksum.finish() != *stated {
                return Err(ChunkError::Checksum { algorithm: algorithm.name() });
            }
        }
        Ok(Finished { decoded_length: self.decoded, trailers: self.trailers })
    }

    /// Takes up to a line's end; the line without its break, once it is whole.
    fn take_line(&mut self, input: &mut Bytes) -> Result<Option<Vec<u8>>, ChunkError> {
        let end = input.iter().position(|&byte| byte == b'\n');
        let take = end.unwrap_or(input.len());
        if self.line.len() + take > MAX_LINE {
            return Err(ChunkError::Malformed("a line is too long"));
        }
        self.line.extend_from_slice(&input[..take]);
        input.advance(take + usize::from(end.is_some()));
        if end.is_none() {
            return Ok(None);
        }
        let mut line = std::mem::take(&mut self.line);
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(Some(line))
    }

    fn start_chunk(&mut self, line: &[u8]) -> Result<(), ChunkError> {
        let line = std::str::from_utf8(line).map_err(|_| ChunkError::Malformed("no text"))?;
        let (size, extension) = line.split_once(';').unwrap_or((line, ""));
        let hexadecimal =
            (1..=15).contains(&size.len()) && size.bytes().all(|byte| byte.is_ascii_hexdigit());
        let size = if hexadecimal { u64::from_str_radix(size, 16).ok() } else { None };
        let size = size.ok_or(ChunkError::Malformed("a chunk's size is no number"))?;
        match (&self.chain, extension.strip_prefix("chunk-signature=")) {
            (Some(_), Some(signature)) => self.provided = signature.to_owned(),
            (None, None) if extension.is_empty() => {}
            _ => return Err(ChunkError::Malformed("a chunk's extension is not as announced")),
        }
        if size > 0 && self.size < MIN_CHUNK {
            return Err(ChunkError::SmallChunk { chunk: self.chunk, size: self.size });
        }
        if size > self.expected - self.decoded {
            return Err(ChunkError::Length { expected: self.expected });
        }
        self.chunk += 1;
        self.size = size;
        if size > 0 {
            self.state = State::Data { left: size };
            return Ok(());
        }
        self.state = State::Trailers;
        self.end_chunk()
    }

    fn take_data(&mut self, piece: &[u8], left: u64) -> Result<(), ChunkError> {
        if self.chain.is_some() {
            self.hash.update(piece);
        }
        for checksum in &mut self.checksums {
            checksum.update(piece);
        }
        let length = piece.len() as u64;
        self.decoded += length;
        if length < left {
            self.state = State::Data { left: left - length };
            return Ok(());
        }
        self.state = State::DataEnd { seen: 0 };
        self.end_chunk()
    }

    fn end_chunk(&mut self) -> Result<(), ChunkError> {
        let Some(chain) = &mut self.chain else { return Ok(()) };
        let hash = hex::encode(std::mem::take(&mut self.hash).finalize());
        let text = chain.text("PAYLOAD", &hash);
        if !signature_matches(&self.provided, &chain.sign(&text)) {
            return Err(ChunkError::Signature {
                chunk: self.chunk,
                access_key: self.access_key.clone(),
                string_to_sign: text,
                provided: std::mem::take(&mut self.provided),
            });
        }
        chain.previous = std::mem::take(&mut self.provided);
        Ok(())
    }

    fn take_trailer(&mut self, line: &[u8]) -> Result<(), ChunkError> {
        // AWS: the published form has a blank line before the trailer's signature as well.
        if line.is_empty() {
            return Ok(());
        }
        let text = std::str::from_utf8(line).map_err(|_| ChunkError::Trailer("no text"))?;
        let (name, value) =
            text.split_once(':').ok_or(ChunkError::Trailer("a line is not name:value"))?;
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim().to_owned());
        if self.trailer_signature.is_some() {
            return Err(ChunkError::Trailer("a header follows the signature"));
        }
        if name == "x-amz-trailer-signature" && self.trailer && self.chain.is_some() {
            self.trailer_signature = Some(value);
            return Ok(());
        }
        if !self.announced.contains(&name) || self.trailers.iter().any(|(had, _)| *had == name) {
            return Err(ChunkError::Trailer("a header was not announced"));
        }
        self.trailers.push((name, value));
        Ok(())
    }

    fn check_trailer_signature(&self) -> Result<(), ChunkError> {
        let Some(chain) = &self.chain else { return Ok(()) };
        let provided = self
            .trailer_signature
            .as_ref()
            .ok_or(ChunkError::Trailer("the trailer is not signed"))?;
        let text = chain.text("TRAILER", &trailer_hash(&self.trailers));
        if signature_matches(provided, &chain.sign(&text)) {
            return Ok(());
        }
        Err(ChunkError::Signature {
            chunk: self.chunk,
            access_key: self.access_key.clone(),
            string_to_sign: text,
            provided: provided.clone(),
        })
    }
}

/// The hash of the trailing headers as they are signed.
pub(crate) fn trailer_hash(trailers: &[(String, String)]) -> String {
    let lines: String = trailers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    sha256_hex(lines.as_bytes())
}
