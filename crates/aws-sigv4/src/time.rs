//! Request times: `YYYYMMDD'T'HHMMSS'Z'`, the form that is signed, and the HTTP `Date` forms that
//! AWS accepts in its place. A time is Unix seconds plus its signed text, so that the text that
//! goes into the string to sign is never a second rendering of what the client sent.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// A request's time: seconds since the epoch and the 16 characters that are signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub seconds: i64,
    text: [u8; 16],
}

impl Stamp {
    /// The stamp of `seconds` after the epoch. Years beyond 9999 do not fit in the signed form;
    /// they are clamped, which only a broken clock can reach.
    pub fn from_seconds(seconds: i64) -> Self {
        let at = Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX);
        let at = if at < Timestamp::UNIX_EPOCH { Timestamp::UNIX_EPOCH } else { at };
        let civil = TimeZone::UTC.to_datetime(at);
        let text = format!(
            "{:04}{:02}{:02}T{:02}{:02}{:02}Z",
            civil.year(),
            civil.month(),
            civil.day(),
            civil.hour(),
            civil.minute(),
            civil.second()
        );
        let mut bytes = [b'0'; 16];
        bytes.copy_from_slice(&text.as_bytes()[..16]);
        Self { seconds: at.as_second(), text: bytes }
    }

    /// Reads the ISO 8601 basic form, and nothing else.
    pub fn parse_basic(text: &str) -> Option<Self> {
        let bytes: &[u8; 16] = text.as_bytes().try_into().ok()?;
        if bytes[8] != b'T' || bytes[15] != b'Z' {
            return None;
        }
        let digits = |from: usize, to: usize| -> Option<i16> {
            bytes[from..to].iter().try_fold(0i16, |sum, byte| {
                byte.is_ascii_digit().then(|| sum * 10 + i16::from(byte - b'0'))
            })
        };
        let small = |from: usize| digits(from, from + 2).and_then(|n| i8::try_from(n).ok());
        let civil = DateTime::new(
            digits(0, 4)?,
            small(4)?,
            small(6)?,
            small(9)?,
            small(11)?,
            small(13)?,
            0,
        )
        .ok()?;
        let at = TimeZone::UTC.to_timestamp(civil).ok()?;
        Some(Self { seconds: at.as_second(), text: *bytes })
    }

    /// Reads a `Date` header: the basic form, or an HTTP date, of which the basic form is signed.
    pub fn parse_date_header(text: &str) -> Option<Self> {
        Self::parse_basic(text).or_else(|| {
            let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
            Some(Self::from_seconds(at.as_second()))
        })
    }

    /// `20150830T123600Z`.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.text).unwrap_or("00000000T000000Z")
    }

    /// `20150830`, the date of the credential scope.
    pub fn date(&self) -> &str {
        &self.text()[..8]
    }

    /// `2015-08-30T12:36:00Z`, as S3 writes times in its errors.
    pub fn extended(&self) -> String {
        let t = self.text();
        let (y, mo, d) = (&t[..4], &t[4..6], &t[6..8]);
        format!("{y}-{mo}-{d}T{}:{}:{}Z", &t[9..11], &t[11..13], &t[13..15])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_form_round_trips() {
        let stamp = Stamp::parse_basic("20150830T123600Z").unwrap();
        assert_eq!(stamp.seconds, 1_440_938_160);
        assert_eq!(Stamp::from_seconds(stamp.seconds), stamp);
        assert_eq!((stamp.date(), stamp.extended().as_str()), ("20150830", "2015-08-30T12:36:00Z"));
    }

    #[test]
    fn other_forms_are_refused_or_converted() {
        for bad in ["", "20150830T12360Z", "20151330T123600Z", "2015-08-30T12:36Z", "２０１５083"]
        {
            assert_eq!(Stamp::parse_basic(bad), None, "{bad}");
        }
        let date = Stamp::parse_date_header("Sun, 30 Aug 2015 12:36:00 GMT").unwrap();
        assert_eq!(date.text(), "20150830T123600Z");
        assert_eq!(Stamp::parse_date_header("yesterday"), None);
    }
}
