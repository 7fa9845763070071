//! CBOR (RFC 8949) straight into and out of shapes, as Smithy RPC v2 uses it.
//!
//! Reading takes all number widths, indefinite lengths and tags; nothing is allocated by a length
//! that a client merely claims.

use bytes::Bytes;

use crate::limits::{Budget, MAX_DEPTH};
use crate::schema::{Kind, Location, Member, Schema};
use crate::shape::{AnyShape, Field, Scalar, Value};
use crate::timestamp::Timestamp;

/// Why bytes could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CborError {
    Truncated,
    Malformed,
    TooDeep,
    TooLarge,
    Mismatch(Kind),
    TrailingBytes,
}

impl std::fmt::Display for CborError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            CborError::Truncated => f.write_str("The CBOR body ends too early"),
            CborError::Malformed => f.write_str("The body is not CBOR"),
            CborError::TooDeep => f.write_str("The CBOR body is nested too deeply"),
            CborError::TooLarge => f.write_str("The CBOR body holds too many items"),
            CborError::Mismatch(kind) => write!(f, "A CBOR item is not a valid {kind:?}"),
            CborError::TrailingBytes => f.write_str("There are bytes after the CBOR body"),
        }
    }
}

impl std::error::Error for CborError {}

type Result<T> = std::result::Result<T, CborError>;

const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;
const SIMPLE: u8 = 7;
const BREAK: u8 = 0xFF;
const INDEFINITE: u8 = 31;

/// The first byte of an item and its argument.
#[derive(Clone, Copy)]
struct Head {
    major: u8,
    info: u8,
    argument: u64,
}

struct Reader<'a> {
    bytes: &'a [u8],
    budget: Budget,
}

/// How many items are left in an array or map.
enum Left {
    Count(u64),
    UntilBreak,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: u64) -> Result<&'a [u8]> {
        let count = usize::try_from(count).map_err(|_| CborError::Truncated)?;
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or(CborError::Truncated)?;
        self.bytes = rest;
        Ok(taken)
    }

    fn spend(&self, count: usize) -> Result<()> {
        if self.budget.spend(count) { Ok(()) } else { Err(CborError::TooLarge) }
    }

    fn head(&mut self) -> Result<Head> {
        let first = self.take(1)?[0];
        let (major, info) = (first >> 5, first & 0x1F);
        let width = match info {
            0..=23 => return Ok(Head { major, info, argument: u64::from(info) }),
            24 => 1,
            25 => 2,
            26 => 4,
            27 => 8,
            INDEFINITE => return Ok(Head { major, info, argument: 0 }),
            _ => return Err(CborError::Malformed),
        };
        let argument = self.take(width)?.iter().fold(0u64, |sum, b| sum << 8 | u64::from(*b));
        Ok(Head { major, info, argument })
    }

    fn left(head: Head) -> Left {
        if head.info == INDEFINITE { Left::UntilBreak } else { Left::Count(head.argument) }
    }

    /// Whether another item follows in the collection.
    fn more(&mut self, left: &mut Left) -> Result<bool> {
        match left {
            Left::Count(0) => Ok(false),
            Left::Count(count) => {
                *count -= 1;
                Ok(true)
            }
            Left::UntilBreak => {
                if self.bytes.first() == Some(&BREAK) {
                    self.bytes = &self.bytes[1..];
                    return Ok(false);
                }
                Ok(true)
            }
        }
    }

    /// A byte or text string, whose parts are joined where its length is indefinite.
    fn string(&mut self, head: Head) -> Result<std::borrow::Cow<'a, [u8]>> {
        if head.info != INDEFINITE {
            return Ok(self.take(head.argument)?.into());
        }
        let mut joined = Vec::new();
        while self.more(&mut Left::UntilBreak)? {
            let part = self.head()?;
            if part.major != head.major || part.info == INDEFINITE {
                return Err(CborError::Malformed);
            }
            joined.extend_from_slice(self.take(part.argument)?);
        }
        Ok(joined.into())
    }

    fn text(&mut self, head: Head) -> Result<String> {
        if head.major != TEXT {
            return Err(CborError::Mismatch(Kind::String));
        }
        let bytes = self.string(head)?.into_owned();
        String::from_utf8(bytes).map_err(|_| CborError::Malformed)
    }

    fn skip(&mut self, head: Head, depth: usize) -> Result<()> {
        if depth > MAX_DEPTH {
            return Err(CborError::TooDeep);
        }
        match head.major {
            UNSIGNED | NEGATIVE if head.info == INDEFINITE => Err(CborError::Malformed),
            UNSIGNED | NEGATIVE => Ok(()),
            SIMPLE if head.info == INDEFINITE => Err(CborError::Malformed),
            SIMPLE => Ok(()),
            BYTES | TEXT => self.string(head).map(drop),
            TAG => {
                let inner = self.head()?;
                self.skip(inner, depth + 1)
            }
            collection => {
                let mut left = Self::left(head);
                let items = if collection == MAP { 2 } else { 1 };
                while self.more(&mut left)? {
                    for _ in 0..items {
                        let inner = self.head()?;
                        self.skip(inner, depth + 1)?;
                    }
                }
                Ok(())
            }
        }
    }

    fn structure(&mut self, head: Head, shape: &mut dyn AnyShape, depth: usize) -> Result<()> {
        if head.major != MAP {
            return Err(CborError::Mismatch(Kind::Structure));
        }
        let schema: &'static Schema = shape.schema();
        self.spend(schema.members().len())?;
        let mut left = Self::left(head);
        let mut hint = 0;
        while self.more(&mut left)? {
            let key = self.head()?;
            if key.major != TEXT {
                return Err(CborError::Malformed);
            }
            let name = self.string(key)?;
            let value = self.head()?;
            match schema.find(hint, |member| member.name.as_bytes() == &*name) {
                Some(index) => {
                    hint = index + 1;
                    let member = &schema.members()[index];
                    self.value(value, member, shape.field_mut(index), depth + 1)?;
                }
                None => self.skip(value, depth + 1)?,
            }
        }
        Ok(())
    }

    fn value(
        &mut self,
        head: Head,
        member: &'static Member,
        field: &mut dyn Field,
        depth: usize,
    ) -> Result<()> {
        if depth > MAX_DEPTH {
            return Err(CborError::TooDeep);
        }
        if is_null(head) {
            return Ok(());
        }
        let kind = member.target.kind;
        match kind {
            Kind::Structure => {
                let shape = field.structure().ok_or(CborError::Mismatch(kind))?;
                self.structure(head, shape, depth)
            }
            Kind::List => self.list(head, member.target, field, depth),
            Kind::Map => self.map(head, member.target, field, depth),
            _ => {
                let scalar = self.scalar(head, kind)?;
                field.put(scalar).map_err(|_| CborError::Mismatch(kind))
            }
        }
    }

    fn list(
        &mut self,
        head: Head,
        schema: &'static Schema,
        field: &mut dyn Field,
        depth: usize,
    ) -> Result<()> {
        let list = field.list().filter(|_| head.major == ARRAY);
        let list = list.ok_or(CborError::Mismatch(Kind::List))?;
        let mut left = Self::left(head);
        while self.more(&mut left)? {
            let item = self.head()?;
            self.spend(1)?;
            // A null is kept only by a sparse list.
            if !is_null(item) || schema.sparse {
                self.value(item, schema.element(), list.push(), depth + 1)?;
            }
        }
        Ok(())
    }

    fn map(
        &mut self,
        head: Head,
        schema: &'static Schema,
        field: &mut dyn Field,
        depth: usize,
    ) -> Result<()> {
        let map = field.map().filter(|_| head.major == MAP);
        let map = map.ok_or(CborError::Mismatch(Kind::Map))?;
        let mut left = Self::left(head);
        while self.more(&mut left)? {
            let key = self.head()?;
            let key = self.text(key)?;
            self.spend(1)?;
            let item = self.head()?;
            if !is_null(item) || schema.sparse {
                self.value(item, schema.value(), map.entry(key), depth + 1)?;
            }
        }
        Ok(())
    }

    fn scalar(&mut self, mut head: Head, kind: Kind) -> Result<Scalar> {
        // A tag says what the schema says already: 1 is a timestamp.
        let mut tags = 0;
        while head.major == TAG {
            head = self.head()?;
            tags += 1;
            if tags > MAX_DEPTH {
                return Err(CborError::TooDeep);
            }
        }
        let mismatch = CborError::Mismatch(kind);
        Ok(match (kind, head.major) {
            (Kind::String, TEXT) => Scalar::String(self.text(head)?),
            (Kind::Blob, BYTES) => Scalar::Blob(Bytes::from(self.string(head)?.into_owned())),
            (Kind::Boolean, SIMPLE) if head.info == 20 => Scalar::Boolean(false),
            (Kind::Boolean, SIMPLE) if head.info == 21 => Scalar::Boolean(true),
            (Kind::Integer | Kind::Long, UNSIGNED | NEGATIVE) => Scalar::Integer(integer(head)?),
            (Kind::Integer | Kind::Long, SIMPLE) => {
                let number = float(head).filter(|n| n.fract() == 0.0 && n.abs() < 9e15);
                Scalar::Integer(number.ok_or(mismatch)? as i64)
            }
            (Kind::Float | Kind::Double, UNSIGNED | NEGATIVE) => {
                Scalar::Double(integer(head)? as f64)
            }
            (Kind::Float | Kind::Double, SIMPLE) => Scalar::Double(float(head).ok_or(mismatch)?),
            (Kind::Timestamp, UNSIGNED | NEGATIVE | SIMPLE) => {
                let seconds = match head.major {
                    SIMPLE => float(head).ok_or(mismatch)?,
                    _ => integer(head)? as f64,
                };
                Scalar::Timestamp(Timestamp::from_epoch_seconds(seconds).ok_or(mismatch)?)
            }
            _ => return Err(mismatch),
        })
    }
}

fn is_null(head: Head) -> bool {
    head.major == SIMPLE && (head.info == 22 || head.info == 23)
}

fn integer(head: Head) -> Result<i64> {
    if head.info == INDEFINITE {
        return Err(CborError::Malformed);
    }
    let magnitude = i64::try_from(head.argument).map_err(|_| CborError::Mismatch(Kind::Long))?;
    Ok(if head.major == NEGATIVE { -1 - magnitude } else { magnitude })
}

fn float(head: Head) -> Option<f64> {
    Some(match head.info {
        25 => half(head.argument as u16),
        26 => f64::from(f32::from_bits(head.argument as u32)),
        27 => f64::from_bits(head.argument),
        _ => return None,
    })
}

/// IEEE 754 half precision.
fn half(bits: u16) -> f64 {
    let exponent = i32::from(bits >> 10 & 0x1F);
    let mantissa = f64::from(bits & 0x3FF);
    let magnitude = match exponent {
        0 => mantissa * 2f64.powi(-24),
        31 if mantissa == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (mantissa + 1024.0) * 2f64.powi(exponent - 25),
    };
    if bits & 0x8000 == 0 { magnitude } else { -magnitude }
}

/// Reads one map into a structure.
pub(crate) fn read(bytes: &[u8], shape: &mut dyn AnyShape) -> Result<()> {
    let mut reader = Reader { bytes, budget: Budget::of_request() };
    let head = reader.head()?;
    reader.structure(head, shape, 0)?;
    if reader.bytes.is_empty() { Ok(()) } else { Err(CborError::TrailingBytes) }
}

/// Growing CBOR.
#[derive(Default)]
pub(crate) struct Writer {
    pub out: Vec<u8>,
}

impl Writer {
    fn head(&mut self, major: u8, argument: u64) {
        let major = major << 5;
        match argument {
            0..=23 => self.out.push(major | argument as u8),
            24..=0xFF => self.out.extend([major | 24, argument as u8]),
            0x100..=0xFFFF => {
                self.out.push(major | 25);
                self.out.extend((argument as u16).to_be_bytes());
            }
            0x1_0000..=0xFFFF_FFFF => {
                self.out.push(major | 26);
                self.out.extend((argument as u32).to_be_bytes());
            }
            _ => {
                self.out.push(major | 27);
                self.out.extend(argument.to_be_bytes());
            }
        }
    }

    pub fn text(&mut self, text: &str) {
        self.head(TEXT, text.len() as u64);
        self.out.extend_from_slice(text.as_bytes());
    }

    pub fn open_map(&mut self) {
        self.out.push(MAP << 5 | INDEFINITE);
    }

    pub fn close(&mut self) {
        self.out.push(BREAK);
    }

    fn integer(&mut self, number: i64) {
        match u64::try_from(number) {
            Ok(number) => self.head(UNSIGNED, number),
            Err(_) => self.head(NEGATIVE, !number as u64),
        }
    }

    fn double(&mut self, number: f64) {
        self.out.push(SIMPLE << 5 | 27);
        self.out.extend(number.to_bits().to_be_bytes());
    }

    pub fn members(&mut self, shape: &dyn AnyShape) {
        for (index, member) in shape.schema().members().iter().enumerate() {
            let value = shape.field(index).get();
            if !matches!(value, Value::Absent) && member.location == Location::Body {
                self.text(member.name);
                self.value(member, &value);
            }
        }
    }

    fn value(&mut self, member: &Member, value: &Value<'_>) {
        match value {
            Value::Absent => self.out.push(SIMPLE << 5 | 22),
            Value::String(text) => self.text(text),
            Value::Boolean(flag) => self.out.push(SIMPLE << 5 | if *flag { 21 } else { 20 }),
            Value::Integer(number) => self.integer(*number),
            Value::Double(number) if member.target.kind == Kind::Float => {
                self.out.push(SIMPLE << 5 | 26);
                self.out.extend((*number as f32).to_bits().to_be_bytes());
            }
            Value::Double(number) => self.double(*number),
            Value::Blob(bytes) => {
                self.head(BYTES, bytes.len() as u64);
                self.out.extend_from_slice(bytes);
            }
            Value::Timestamp(time) => {
                self.head(TAG, 1);
                match time.as_millis() % 1000 {
                    0 => self.integer(time.as_millis() / 1000),
                    _ => self.double(time.epoch_seconds()),
                }
            }
            // The protocol has no documents; their JSON text keeps what they say.
            Value::Document(document) => self.text(&document.to_string()),
            Value::List(list) => {
                self.head(ARRAY, list.len() as u64);
                for index in 0..list.len() {
                    self.value(member.target.element(), &list.at(index));
                }
            }
            Value::Map(map) => {
                self.head(MAP, map.len() as u64);
                for (key, value) in map.entries() {
                    self.text(key);
                    self.value(member.target.value(), &value);
                }
            }
            Value::Structure(shape) => {
                self.open_map();
                self.members(*shape);
                self.close();
            }
        }
    }
}
