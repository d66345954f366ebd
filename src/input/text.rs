//! Words and longer texts.

use super::Faults;

/// Notes what is wrong with a text: empty, longer than `max_chars` code points, or with control characters
/// (U+0000 among them, which PostgreSQL cannot store). `multi_line` lets tab and line ends pass.
pub(crate) fn check_text(faults: &mut Faults, field: &str, text: &str, max_chars: usize, multi_line: bool) {
    if text.is_empty() {
        faults.out_of_domain(field, "empty", "may not be empty");
    }
    if text.len() > max_chars && text.chars().count() > max_chars {
        faults.out_of_domain(field, "too_long", format!("has more than {max_chars} characters"));
    }
    let bad = |c: char| c.is_control() && !(multi_line && matches!(c, '\t' | '\n' | '\r'));
    if let Some(control) = text.chars().find(|&c| bad(c)) {
        faults.out_of_domain(field, "control_character", format!("has the control character U+{:04X}", u32::from(control)));
    }
}
