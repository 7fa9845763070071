//! The typed values that conditions compare: numbers, dates and address blocks.
//!
//! Policies and requests both carry them as text. What cannot be read as the type compares with
//! nothing, so a condition over it does not hold (and its negation does), as on AWS.

use std::cmp::Ordering;
use std::net::IpAddr;

/// A number; whole numbers are compared exactly.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Number {
    Whole(i128),
    Fraction(f64),
}

impl Number {
    pub(crate) fn parse(text: &str) -> Option<Number> {
        let text = text.trim();
        if let Ok(whole) = text.parse() {
            return Some(Number::Whole(whole));
        }
        text.parse::<f64>().ok().filter(|n| n.is_finite()).map(Number::Fraction)
    }

    pub(crate) fn compare(self, other: Number) -> Ordering {
        match (self, other) {
            (Number::Whole(a), Number::Whole(b)) => a.cmp(&b),
            (a, b) => a.as_f64().total_cmp(&b.as_f64()),
        }
    }

    fn as_f64(self) -> f64 {
        match self {
            Number::Whole(n) => n as f64,
            // -0.0 and 0.0 are one number to everyone but `total_cmp`.
            Number::Fraction(n) => n + 0.0,
        }
    }
}

/// A block of IPv4 or IPv6 addresses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cidr {
    bits: u128,
    mask: u128,
    v4: bool,
}

impl Cidr {
    /// Reads `address` or `address/prefix`; host bits may be set, as AWS allows.
    pub(crate) fn parse(text: &str) -> Option<Cidr> {
        let (address, prefix) = match text.trim().split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse::<u32>().ok()?)),
            None => (text.trim(), None),
        };
        let (bits, width) = match address.parse::<IpAddr>().ok()? {
            IpAddr::V4(v4) => (u128::from(v4.to_bits()), 32),
            IpAddr::V6(v6) => (v6.to_bits(), 128),
        };
        let prefix = prefix.unwrap_or(width);
        if prefix > width {
            return None;
        }
        let mask = match width - prefix {
            128 => 0,
            free => u128::MAX << free,
        };
        Some(Cidr { bits: bits & mask, mask, v4: width == 32 })
    }

    pub(crate) fn contains(&self, address: &str) -> bool {
        let Ok(address) = address.trim().parse::<IpAddr>() else { return false };
        // A dual-stack socket shows IPv4 peers as ::ffff:a.b.c.d.
        match address.to_canonical() {
            IpAddr::V4(v4) => self.v4 && u128::from(v4.to_bits()) & self.mask == self.bits,
            IpAddr::V6(v6) => !self.v4 && v6.to_bits() & self.mask == self.bits,
        }
    }
}

/// Reads a date as nanoseconds since 1970: the W3C profile of ISO 8601 in any precision, or epoch
/// seconds. The bounds are the ones AWS's parser shows: years of a Java `long`, lenient digits.
pub(crate) fn parse_date(text: &str) -> Option<i128> {
    let text = text.trim().to_ascii_lowercase();
    if !text.contains(['t', '-']) {
        let seconds: i64 = text.parse().ok()?;
        return (seconds >= 0).then(|| i128::from(seconds) * 1_000_000_000);
    }
    let (date, time) = text.split_once('t').unwrap_or((&text, ""));
    let (sign, date) = match date.strip_prefix('-') {
        Some(date) => (-1, date),
        None => (1, date),
    };
    let mut parts = date.split('-');
    let year = sign * digits(parts.next()?, 9)?;
    let month = parts.next().map_or(Some(1), |part| digits(part, 2))?;
    let day = parts.next().map_or(Some(1), |part| digits(part, 2))?;
    let valid = (-292_275_054..=292_278_993).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && parts.next().is_none();
    if !valid {
        return None;
    }
    let seconds = i128::from(days_from_civil(year, month, day)) * 86_400;
    Some(seconds * 1_000_000_000 + parse_time(time)?)
}

/// Nanoseconds since midnight UTC.
fn parse_time(time: &str) -> Option<i128> {
    let (clock, offset) = match time.find(['z', '+', '-']) {
        Some(at) => (&time[..at], parse_offset(&time[at..])?),
        None => (time, 0),
    };
    if clock.is_empty() {
        return Some(0);
    }
    let mut parts = clock.split(':');
    let hour = digits(parts.next()?, 2)?;
    let minute = parts.next().map_or(Some(0), |part| digits(part, 2))?;
    let (second, fraction) =
        match parts.next().map(|part| part.split_once('.').unwrap_or((part, ""))) {
            Some((second, fraction)) => (digits(second, 2)?, fraction),
            None => (0, ""),
        };
    if hour > 23 || minute > 59 || second > 59 || fraction.len() > 9 || parts.next().is_some() {
        return None;
    }
    let nanos = match fraction {
        "" => 0,
        _ => digits(fraction, 9)? * 10_i64.pow(9 - fraction.len() as u32),
    };
    let seconds = hour * 3_600 + minute * 60 + second - offset;
    Some(i128::from(seconds) * 1_000_000_000 + i128::from(nanos))
}

/// Seconds east of UTC.
fn parse_offset(offset: &str) -> Option<i64> {
    if offset == "z" {
        return Some(0);
    }
    let sign = if offset.starts_with('-') { -1 } else { 1 };
    let (hours, minutes) = match offset.get(1..)?.split_once(':') {
        Some((hours, minutes)) if minutes.len() == 2 => (hours, digits(minutes, 2)?),
        Some(_) => return None,
        None => (offset.get(1..)?, 0),
    };
    let hours = (hours.len() == 2).then(|| digits(hours, 2))??;
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 3_600 + minutes * 60))
}

fn digits(text: &str, most: usize) -> Option<i64> {
    let valid = (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    valid.then(|| text.parse().ok())?
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar, counted in 400-year cycles that begin
/// in March, so that the leap day is the last day of its year.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let cycle = year.div_euclid(400);
    let year_of_cycle = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_cycle = year_of_cycle * 365 + year_of_cycle / 4 - year_of_cycle / 100 + day_of_year;
    cycle * 146_097 + day_of_cycle - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        let seconds = |text: &str| parse_date(text).map(|nanos| nanos / 1_000_000_000);
        assert_eq!(seconds("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(seconds("2000-03-01"), Some(951_868_800));
        assert_eq!(seconds("2019-07-01T13:20:15Z"), Some(1_561_987_215));
        assert_eq!(seconds("2019-07-01T13:20Z"), Some(1_561_987_200));
        assert_eq!(seconds("2019-07-01T15:20:15+02:00"), Some(1_561_987_215));
        assert_eq!(seconds("2019-07-01T11:20:15-02:00"), Some(1_561_987_215));
        assert_eq!(seconds("1561987215"), Some(1_561_987_215));
        assert!(parse_date("2016-12-13T21:20:37.593194+00:00").is_some());
        assert!(parse_date("-292275054").is_some() && parse_date("01T").is_some());
        for bad in ["", "x", "234-13", "9223372036854775808", "2019-07-01T24:00Z", "2019-1-1-1"] {
            assert_eq!(parse_date(bad), None, "{bad}");
        }
        for bad in ["2016-12-13t2:00:00.593194+1", "2016-12-13t2:00:00.1999999999+10:59", "-", "t"]
        {
            assert_eq!(parse_date(bad), None, "{bad}");
        }
    }

    #[test]
    fn address_blocks() {
        let contains = |block: &str, address: &str| Cidr::parse(block).unwrap().contains(address);
        assert!(contains("203.0.113.0/24", "203.0.113.77"));
        assert!(contains("203.0.113.9/24", "203.0.113.77"), "host bits are ignored");
        assert!(!contains("203.0.113.0/24", "203.0.114.1"));
        assert!(contains("0.0.0.0/0", "8.8.8.8"));
        assert!(!contains("0.0.0.0/0", "::1"));
        assert!(contains("::/0", "2001:db8::1"));
        assert!(contains("2001:DB8:1234::/48", "2001:db8:1234:5678::1"));
        assert!(contains("10.0.0.1", "::ffff:10.0.0.1"));
        for bad in ["", "10.0.0.0/33", "10.0.0/8", "::/129", "10.0.0.0/-1", "10.0.0.0/a"] {
            assert_eq!(Cidr::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn numbers() {
        let compare = |a, b| Number::parse(a).unwrap().compare(Number::parse(b).unwrap());
        assert_eq!(compare("10", "10.0"), Ordering::Equal);
        assert_eq!(compare("9007199254740993", "9007199254740992"), Ordering::Greater);
        assert_eq!(compare("-0.5", "0"), Ordering::Less);
        assert_eq!(compare("-0.0", "0"), Ordering::Equal);
        assert!(Number::parse("ten").is_none() && Number::parse("NaN").is_none());
    }
}
