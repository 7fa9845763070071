//! Scalars out of text: forms, XML, headers, labels and query strings all spell them alike.

use crate::blob::Blob;
use crate::schema::{Kind, Member};
use crate::shape::{Field, Mismatch, Scalar};
use crate::timestamp::Timestamp;

/// Parses text by the member's kind and puts it into the field.
pub(crate) fn put_text(field: &mut dyn Field, member: &Member, text: &str) -> Result<(), Mismatch> {
    let value = match member.target.kind {
        Kind::String => Scalar::String(text.to_owned()),
        Kind::Boolean => Scalar::Boolean(match text.trim() {
            "true" | "True" | "TRUE" => true,
            "false" | "False" | "FALSE" => false,
            _ => return Err(Mismatch),
        }),
        Kind::Integer | Kind::Long => Scalar::Integer(text.trim().parse().map_err(|_| Mismatch)?),
        Kind::Float | Kind::Double => Scalar::Double(match text.trim() {
            "NaN" => f64::NAN,
            "Infinity" => f64::INFINITY,
            "-Infinity" => f64::NEG_INFINITY,
            number => {
                let parsed: f64 = number.parse().map_err(|_| Mismatch)?;
                // Rust also reads `inf` and `nan`, which AWS does not.
                if !parsed.is_finite() {
                    return Err(Mismatch);
                }
                parsed
            }
        }),
        Kind::Blob => Scalar::Blob(Blob::from_base64(text.trim()).ok_or(Mismatch)?.0),
        Kind::Timestamp => Scalar::Timestamp(Timestamp::parse_any(text).ok_or(Mismatch)?),
        Kind::Document => Scalar::Document(serde_json::from_str(text).map_err(|_| Mismatch)?),
        Kind::List | Kind::Map | Kind::Structure => return Err(Mismatch),
    };
    field.put(value)
}
