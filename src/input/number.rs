//! Numbers written as text. Rust's own parsers are more generous than the contract: they take `inf`, `nan`,
//! a leading plus and `1e400`.

/// What a text said about an integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IntegerText {
    /// One that fits.
    Fits(i64),
    /// One, but with more digits than 64 bits hold.
    TooLong,
    /// None at all.
    NotAnInteger,
}

/// A finite decimal number such as `-12.5` or `1e3`; nothing else, no blanks, no plus sign, no hexadecimal.
pub(crate) fn decimal(text: &str) -> Option<f64> {
    let starts_right = text.strip_prefix('-').unwrap_or(text).starts_with(|c: char| c.is_ascii_digit());
    let ends_right = text.ends_with(|c: char| c.is_ascii_digit());
    if !starts_right || !ends_right {
        return None;
    }
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// A whole number such as `-12`; `1.0` and `1e3` are none.
pub(crate) fn integer(text: &str) -> IntegerText {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return IntegerText::NotAnInteger;
    }
    text.parse().map_or(IntegerText::TooLong, IntegerText::Fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("0", Some(0.0))]
    #[case("-0.0", Some(0.0))]
    #[case("12.5", Some(12.5))]
    #[case("1e3", Some(1000.0))]
    #[case("", None)]
    #[case(" 1", None)]
    #[case("1 ", None)]
    #[case("+1", None)]
    #[case(".5", None)]
    #[case("5.", None)]
    #[case("0x10", None)]
    #[case("1_000", None)]
    #[case("1,5", None)]
    #[case("nan", None)]
    #[case("inf", None)]
    #[case("-inf", None)]
    #[case("infinity", None)]
    #[case("1e400", None)]
    #[case("-1e400", None)]
    #[case("١", None)]
    fn decimals_are_finite_and_plain(#[case] text: &str, #[case] expected: Option<f64>) {
        assert_eq!(decimal(text), expected);
    }

    #[rstest]
    #[case("7", IntegerText::Fits(7))]
    #[case("-7", IntegerText::Fits(-7))]
    #[case("9223372036854775807", IntegerText::Fits(i64::MAX))]
    #[case("9223372036854775808", IntegerText::TooLong)]
    #[case("1.0", IntegerText::NotAnInteger)]
    #[case("1e3", IntegerText::NotAnInteger)]
    #[case("+7", IntegerText::NotAnInteger)]
    #[case("-", IntegerText::NotAnInteger)]
    #[case("", IntegerText::NotAnInteger)]
    fn integers_are_whole(#[case] text: &str, #[case] expected: IntegerText) {
        assert_eq!(integer(text), expected);
    }
}
