//! The header `traceparent` (W3C Trace Context, level 1): of which trace a request is a part.

use axum::http::{HeaderMap, HeaderName};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// A trace that a caller began, and the span of its that asks us; lower-case hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TraceParent<'a> {
    pub(super) trace_id: &'a str,
    pub(super) parent_id: &'a str,
    pub(super) is_sampled: bool,
}

impl<'a> TraceParent<'a> {
    /// That of a request. One that is malformed, or comes twice, is none, and a new trace begins.
    pub(super) fn of(headers: &'a HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(TRACEPARENT).iter();
        let value = values.next()?;
        if values.next().is_some() {
            return None;
        }
        Self::read(value.to_str().ok()?)
    }

    fn read(text: &'a str) -> Option<Self> {
        let hex = |part: &str, length| part.len() == length && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        let is_id = |part: &str, length| hex(part, length) && part.bytes().any(|b| b != b'0');
        let mut parts = text.split('-');
        let (version, trace_id, parent_id, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        // A later version may say more behind these; ours does not, and ff is none.
        let version_is_good = hex(version, 2) && version != "ff" && (version != "00" || parts.next().is_none());
        let is_good = version_is_good && is_id(trace_id, 32) && is_id(parent_id, 16) && hex(flags, 2);
        let is_sampled = is_good && u8::from_str_radix(flags, 16).is_ok_and(|flags| flags & 1 == 1);
        is_good.then_some(Self { trace_id, parent_id, is_sampled })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use rstest::rstest;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[rstest]
    #[case("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true)]
    #[case("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", false)]
    // Bits that we do not know are let be.
    #[case("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff", true)]
    #[case("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true)]
    #[case("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-the-future-will-be-like", true)]
    fn a_trace_is_gone_on_with(#[case] text: &str, #[case] is_sampled: bool) {
        let parent = TraceParent { trace_id: TRACE, parent_id: "00f067aa0ba902b7", is_sampled };
        assert_eq!(TraceParent::read(text), Some(parent));
    }

    #[rstest]
    #[case("")]
    #[case("00-xyz-00f067aa0ba902b7-01")]
    #[case("00-00000000000000000000000000000000-00f067aa0ba902b7-01")]
    #[case("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01")]
    #[case("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01")]
    #[case("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more")]
    #[case("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1")]
    #[case("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7")]
    #[case("0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")]
    #[case("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")]
    #[case("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.more")]
    #[case(" 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")]
    fn what_is_malformed_begins_a_new_one(#[case] text: &str) {
        assert_eq!(TraceParent::read(text), None);
    }

    #[test]
    fn two_are_none() {
        let mut headers = HeaderMap::new();
        let value = HeaderValue::from_static("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        headers.append(TRACEPARENT, value.clone());
        assert_eq!(TraceParent::of(&headers).map(|parent| parent.trace_id), Some(TRACE));
        headers.append(TRACEPARENT, value);
        assert_eq!(TraceParent::of(&headers), None);
    }
}
