//! Times as RFC 3339 writes them.

use chrono::{DateTime, Datelike, NaiveDateTime, Utc};

use super::FaultKind;

/// Reads a time with its zone, in the years 1 to 9999.
///
/// # Errors
/// Out of its domain when it is a time without a zone or of another year; unreadable when it is none at all.
pub(crate) fn read_time(text: &str) -> Result<DateTime<Utc>, FaultKind> {
    match DateTime::parse_from_rfc3339(text) {
        Ok(time) if (1..=9999).contains(&time.naive_utc().year()) => Ok(time.to_utc()),
        Ok(_) => Err(FaultKind::OutOfDomain),
        // A time all the same, only not one moment: it lacks its zone, or has more than four digits of a year.
        Err(_) if NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").is_ok() => Err(FaultKind::OutOfDomain),
        Err(_) if DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%#z").is_ok() => Err(FaultKind::OutOfDomain),
        Err(_) if text.bytes().take_while(u8::is_ascii_digit).count() > 4 => match read_time(&format!("+{text}")) {
            Err(FaultKind::OutOfDomain) => Err(FaultKind::OutOfDomain),
            _ => Err(FaultKind::Unreadable),
        },
        Err(_) => Err(FaultKind::Unreadable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("2026-11-24T12:00:00Z", Ok(1_795_521_600))]
    #[case("2026-11-24T13:00:00.5+01:00", Ok(1_795_521_600))]
    #[case("2026-11-24T12:00:00", Err(FaultKind::OutOfDomain))]
    #[case("+10000-01-01T00:00:00Z", Err(FaultKind::OutOfDomain))]
    #[case("10000-01-01T00:00:00Z", Err(FaultKind::OutOfDomain))]
    #[case("2026-11-24", Err(FaultKind::Unreadable))]
    #[case("2026-02-30T12:00:00Z", Err(FaultKind::Unreadable))]
    #[case("now", Err(FaultKind::Unreadable))]
    #[case("1795521600", Err(FaultKind::Unreadable))]
    #[case("", Err(FaultKind::Unreadable))]
    fn a_time_is_one_moment(#[case] text: &str, #[case] expected: Result<i64, FaultKind>) {
        assert_eq!(read_time(text).map(|time| time.timestamp()), expected, "{text}");
    }
}
