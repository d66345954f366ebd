//! Lengths of time as a number and a unit: `30s`, `5m`, `1h`, `1d`.

use super::{IntegerText, integer};

/// Reads a length of time in whole seconds; one that is negative or has no unit is none.
pub(crate) fn whole_seconds(text: &str) -> IntegerText {
    let Some(unit) = text.chars().last() else { return IntegerText::NotAnInteger };
    let seconds = match unit {
        's' => 1_i64,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return IntegerText::NotAnInteger,
    };
    match integer(&text[..text.len() - 1]) {
        _ if text.starts_with('-') => IntegerText::NotAnInteger,
        IntegerText::Fits(count) => count.checked_mul(seconds).map_or(IntegerText::TooLong, IntegerText::Fits),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("30s", IntegerText::Fits(30))]
    #[case("5m", IntegerText::Fits(300))]
    #[case("1h", IntegerText::Fits(3600))]
    #[case("1d", IntegerText::Fits(86_400))]
    #[case("0s", IntegerText::Fits(0))]
    #[case("9223372036854775807d", IntegerText::TooLong)]
    #[case("99999999999999999999s", IntegerText::TooLong)]
    #[case("", IntegerText::NotAnInteger)]
    #[case("5", IntegerText::NotAnInteger)]
    #[case("m", IntegerText::NotAnInteger)]
    #[case("-5m", IntegerText::NotAnInteger)]
    #[case("-0s", IntegerText::NotAnInteger)]
    #[case("1.5h", IntegerText::NotAnInteger)]
    #[case("5 m", IntegerText::NotAnInteger)]
    #[case("5M", IntegerText::NotAnInteger)]
    #[case("PT5M", IntegerText::NotAnInteger)]
    #[case("5é", IntegerText::NotAnInteger)]
    fn a_length_of_time_is_a_whole_number_and_a_unit(#[case] text: &str, #[case] expected: IntegerText) {
        assert_eq!(whole_seconds(text), expected, "{text}");
    }
}
