//! An instant in milliseconds, and the three spellings AWS uses for it.

use jiff::fmt::{rfc2822, temporal};

use crate::schema::TimestampFormat;

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp {
    millis: i64,
}

/// The years 0001 to 9999, beyond which none of the spellings is defined. The last hours of 9999 are
/// left out, since they are in the year 10000 somewhere on earth, which jiff refuses.
const MIN_MILLIS: i64 = -62_135_596_800_000;
const MAX_MILLIS: i64 = 253_402_207_200_000;

impl Timestamp {
    pub const fn from_millis(millis: i64) -> Self {
        Timestamp { millis }
    }

    pub const fn from_secs(secs: i64) -> Self {
        Timestamp { millis: secs.saturating_mul(1000) }
    }

    pub const fn as_millis(self) -> i64 {
        self.millis
    }

    /// From seconds with a fraction, to the nearest millisecond; `None` outside the years 1–9999.
    pub fn from_epoch_seconds(seconds: f64) -> Option<Self> {
        let millis = (seconds * 1000.0).round();
        let inside = millis >= MIN_MILLIS as f64 && millis <= MAX_MILLIS as f64;
        inside.then_some(Timestamp { millis: millis as i64 })
    }

    pub fn epoch_seconds(self) -> f64 {
        self.millis as f64 / 1000.0
    }

    fn instant(self) -> jiff::Timestamp {
        let millis = self.millis.clamp(MIN_MILLIS, MAX_MILLIS);
        jiff::Timestamp::from_millisecond(millis).expect("the value is within jiff's range")
    }

    /// `2026-11-21T10:44:00Z`, with milliseconds only where there are some.
    pub fn iso8601(self) -> String {
        // AWS: exactly three digits, or none.
        let digits = if self.millis % 1000 == 0 { 0 } else { 3 };
        let printer = temporal::DateTimePrinter::new().precision(Some(digits));
        printer.timestamp_to_string(&self.instant())
    }

    /// `Sat, 21 Nov 2026 10:44:00 GMT`; the format has no fraction.
    pub fn http_date(self) -> String {
        let second = jiff::Timestamp::from_second(self.instant().as_second());
        let second = second.expect("whole seconds of a valid instant are valid");
        let printer = rfc2822::DateTimePrinter::new();
        printer.timestamp_to_rfc9110_string(&second).unwrap_or_default()
    }

    /// ISO 8601 as AWS accepts it: an offset is optional (UTC), so is the time of day.
    pub fn parse_iso8601(text: &str) -> Option<Self> {
        static PARSER: temporal::DateTimeParser = temporal::DateTimeParser::new();
        let text = text.trim();
        if let Ok(instant) = PARSER.parse_timestamp(text) {
            return Some(Self::from_instant(instant));
        }
        let civil = PARSER.parse_datetime(text).ok()?;
        let zoned = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        Some(Self::from_instant(zoned.timestamp()))
    }

    pub fn parse_http_date(text: &str) -> Option<Self> {
        let parser = rfc2822::DateTimeParser::new();
        // Some clients write a fraction of a second, which RFC 9110 does not know.
        let (whole, millis) = split_fraction(text.trim());
        let instant = parser.parse_timestamp(whole.as_ref()).ok()?;
        Some(Timestamp { millis: Self::from_instant(instant).millis + millis })
    }

    /// Any of the three spellings: readers are lenient about the format, as AWS's are.
    pub fn parse_any(text: &str) -> Option<Self> {
        if let Ok(seconds) = text.trim().parse::<f64>() {
            return Self::from_epoch_seconds(seconds);
        }
        Self::parse_iso8601(text).or_else(|| Self::parse_http_date(text))
    }

    /// The text in a given format.
    pub fn format(self, format: TimestampFormat) -> String {
        match format {
            TimestampFormat::Iso8601 => self.iso8601(),
            TimestampFormat::HttpDate => self.http_date(),
            TimestampFormat::EpochSeconds if self.millis % 1000 == 0 => {
                (self.millis / 1000).to_string()
            }
            TimestampFormat::EpochSeconds => self.epoch_seconds().to_string(),
        }
    }

    fn from_instant(instant: jiff::Timestamp) -> Self {
        Timestamp { millis: instant.as_millisecond() }
    }
}

/// Takes `.123` out of `Sun, 02 Jan 2000 20:34:56.123 GMT`.
fn split_fraction(text: &str) -> (std::borrow::Cow<'_, str>, i64) {
    let Some((before, after)) = text.split_once('.') else { return (text.into(), 0) };
    let digits = after.bytes().take_while(u8::is_ascii_digit).count();
    let millis: String = after[..digits].chars().chain("000".chars()).take(3).collect();
    (format!("{before}{}", &after[digits..]).into(), millis.parse().unwrap_or(0))
}

impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.iso8601())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_spellings() {
        let t = Timestamp::from_millis(1_000_000_000_500);
        assert_eq!(t.iso8601(), "2001-09-09T01:46:40.500Z");
        assert_eq!(t.http_date(), "Sun, 09 Sep 2001 01:46:40 GMT");
        assert_eq!(t.format(TimestampFormat::EpochSeconds), "1000000000.5");
        assert_eq!(Timestamp::parse_any("2001-09-09T01:46:40.5Z"), Some(t));
        assert_eq!(Timestamp::parse_any("2001-09-09T03:46:40.5+02:00"), Some(t));
        assert_eq!(Timestamp::parse_any("1000000000.5"), Some(t));
        assert_eq!(Timestamp::parse_any("Sun, 09 Sep 2001 01:46:40.5 GMT"), Some(t));
        let whole = Timestamp::from_secs(1_000_000_000);
        assert_eq!(Timestamp::parse_any("Sun, 09 Sep 2001 01:46:40 GMT"), Some(whole));
        assert_eq!(Timestamp::parse_any("2001-09-09T01:46:40"), Some(whole));
        assert_eq!(Timestamp::parse_any("nonsense"), None);
        assert_eq!(Timestamp::from_epoch_seconds(f64::NAN), None);
    }

    #[test]
    fn what_is_beyond_all_spellings_is_written_as_their_end() {
        let end = Timestamp::from_secs(i64::MAX / 1000);
        assert_eq!(end.iso8601(), "9999-12-30T22:00:00Z");
        assert_eq!(end.http_date(), "Thu, 30 Dec 9999 22:00:00 GMT");
        assert_eq!(Timestamp::from_secs(i64::MIN / 1000).iso8601(), "0001-01-01T00:00:00Z");
    }
}
