//! The fields of one object, from a JSON body or a row of a table, read one by one with every fault noted.

use chrono::{DateTime, SubsecRound, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{FaultKind, Faults, IntegerText, check_text, decimal, integer, read_time};
use crate::geo::LatLng;

/// One field as it came: a JSON value, or a cell of a table.
#[derive(Clone, Debug)]
pub(crate) enum Raw {
    Json(Value),
    Cell(String),
}

/// The fields of one object. Taken out one by one; what is left over is unknown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields(pub(crate) Vec<(String, Raw)>);

impl From<Map<String, Value>> for Fields {
    fn from(members: Map<String, Value>) -> Self {
        Self(members.into_iter().map(|(name, value)| (name, Raw::Json(value))).collect())
    }
}

impl Raw {
    /// JSON null and an empty cell are no value.
    fn is_none(&self) -> bool {
        match self {
            Self::Json(value) => value.is_null(),
            Self::Cell(text) => text.is_empty(),
        }
    }
}

/// Reads fields, and keeps the faults found so far. A reading that answers `None` or a default for a faulty
/// field has noted the fault.
pub(crate) struct FieldReader {
    fields: Fields,
    pub(crate) faults: Faults,
}

impl FieldReader {
    pub(crate) fn new(fields: Fields) -> Self {
        Self { fields, faults: Faults::default() }
    }

    /// Names that were given and not asked for, and the faults found.
    pub(crate) fn finish(self) -> (Vec<String>, Faults) {
        (self.fields.0.into_iter().map(|(name, _)| name).collect(), self.faults)
    }

    /// Lets fields pass that are ours to decide: accepted and ignored, so that get, edit, put works.
    pub(crate) fn ignore(&mut self, names: &[&str]) {
        self.fields.0.retain(|(name, _)| !names.contains(&name.as_str()));
    }

    /// Whether a field was given and not taken yet, be it null.
    pub(crate) fn is_given(&self, name: &str) -> bool {
        self.fields.0.iter().any(|(known, _)| known == name)
    }

    /// Whether a field was given a value and not taken yet.
    pub(crate) fn is_filled(&self, name: &str) -> bool {
        self.fields.0.iter().any(|(known, raw)| known == name && !raw.is_none())
    }

    /// A field's value; JSON null and an empty cell are none.
    pub(crate) fn take(&mut self, name: &str) -> Option<Raw> {
        let at = self.fields.0.iter().position(|(known, _)| known == name)?;
        Some(self.fields.0.swap_remove(at).1).filter(|raw| !raw.is_none())
    }

    pub(crate) fn require(&mut self, name: &str) -> Option<Raw> {
        let raw = self.take(name);
        if raw.is_none() {
            self.faults.unreadable(name, "missing", "is required");
        }
        raw
    }

    fn read_text(&mut self, name: &str, raw: Raw, max_chars: usize, multi_line: bool) -> Option<String> {
        let (Raw::Cell(text) | Raw::Json(Value::String(text))) = raw else {
            self.faults.unreadable(name, "not_a_text", "is not a text");
            return None;
        };
        check_text(&mut self.faults, name, &text, max_chars, multi_line);
        Some(text)
    }

    /// A text of at most `max_chars` code points that may be given.
    pub(crate) fn text(&mut self, name: &str, max_chars: usize, multi_line: bool) -> Option<String> {
        let raw = self.take(name)?;
        self.read_text(name, raw, max_chars, multi_line)
    }

    pub(crate) fn required_text(&mut self, name: &str, max_chars: usize) -> Option<String> {
        let raw = self.require(name)?;
        self.read_text(name, raw, max_chars, false)
    }

    pub(crate) fn uuid(&mut self, name: &str) -> Option<Uuid> {
        let text = self.text(name, 36, false)?;
        let uuid = Uuid::try_parse(&text).ok();
        if uuid.is_none() {
            self.faults.unreadable(name, "not_a_uuid", "is not a UUID");
        }
        uuid
    }

    fn read_decimal(&mut self, name: &str, raw: &Raw) -> Option<f64> {
        let number = match raw {
            Raw::Json(value) => value.as_f64(),
            Raw::Cell(text) => decimal(text),
        };
        if number.is_none() {
            self.faults.unreadable(name, "not_a_number", "is not a finite decimal number such as 12.5");
        }
        number
    }

    /// A number between `least` and `most`, if given.
    pub(crate) fn decimal(&mut self, name: &str, least: f64, most: f64) -> Option<f64> {
        let number = self.take(name).and_then(|raw| self.read_decimal(name, &raw))?;
        if !(least..=most).contains(&number) {
            self.faults.out_of_domain(name, "out_of_range", format!("{number} is outside {least} to {most}"));
            return None;
        }
        Some(number + 0.0)
    }

    /// A time that may be given, in the form of RFC 3339; kept to the microsecond, as the database does.
    pub(crate) fn time(&mut self, name: &str) -> Option<DateTime<Utc>> {
        let (Raw::Cell(text) | Raw::Json(Value::String(text))) = self.take(name)? else {
            self.faults.unreadable(name, "not_a_time", "is not a text with a time such as 2026-11-24T12:00:00Z");
            return None;
        };
        match read_time(&text) {
            Ok(time) => return Some(time.trunc_subsecs(6)),
            Err(kind @ FaultKind::OutOfDomain) => self.faults.note(name, "not_a_time", "has no zone, or is out of range", kind),
            Err(kind) => self.faults.note(name, "not_a_time", "is not a time such as 2026-11-24T12:00:00Z", kind),
        }
        None
    }

    /// A JSON object that may be given, of at most `max_bytes` when it is written.
    pub(crate) fn object(&mut self, name: &str, max_bytes: usize) -> Option<Value> {
        let Raw::Json(value @ Value::Object(_)) = self.take(name)? else {
            self.faults.unreadable(name, "not_an_object", "is not a JSON object");
            return None;
        };
        if value.to_string().len() > max_bytes {
            self.faults.out_of_domain(name, "too_long", format!("has more than {max_bytes} bytes"));
        }
        if has_control_character(&value) {
            self.faults.out_of_domain(name, "control_character", "has a control character in a name or a text");
        }
        Some(value)
    }

    /// A number with at most two decimals.
    pub(crate) fn hundredths(&mut self, name: &str, least: f64, most: f64, default: f64) -> f64 {
        let Some(number) = self.take(name).and_then(|raw| self.read_decimal(name, &raw)) else { return default };
        if !(least..=most).contains(&number) {
            self.faults.out_of_domain(name, "out_of_range", format!("{number} is outside {least} to {most}"));
            return default;
        }
        #[expect(clippy::float_cmp, reason = "the nearest double of a number with two decimals is what we want, exactly")]
        if (number * 100.0).round() / 100.0 != number {
            self.faults.out_of_domain(name, "too_many_decimals", "has more than two decimals");
        }
        number + 0.0
    }

    fn read_integer(&mut self, name: &str, raw: &Raw, least: i64, most: i64) -> Option<i64> {
        let number = match raw {
            Raw::Json(Value::Number(number)) => match (number.as_i64(), number.as_f64()) {
                (Some(number), _) => IntegerText::Fits(number),
                // Whole, and beyond 64 bits.
                (None, Some(number)) if number.abs() >= 9.2e18 => IntegerText::TooLong,
                (None, _) => IntegerText::NotAnInteger,
            },
            Raw::Json(_) => IntegerText::NotAnInteger,
            Raw::Cell(text) => integer(text),
        };
        match number {
            IntegerText::Fits(number) if (least..=most).contains(&number) => return Some(number),
            IntegerText::NotAnInteger => self.faults.unreadable(name, "not_an_integer", "is not a whole number"),
            IntegerText::Fits(_) | IntegerText::TooLong => {
                self.faults.out_of_domain(name, "out_of_range", format!("is outside {least} to {most}"));
            }
        }
        None
    }

    pub(crate) fn integer(&mut self, name: &str, least: i64, most: i64) -> Option<i64> {
        let raw = self.take(name)?;
        self.read_integer(name, &raw, least, most)
    }

    pub(crate) fn required_integer(&mut self, name: &str, least: i64, most: i64) -> Option<i64> {
        let raw = self.require(name)?;
        self.read_integer(name, &raw, least, most)
    }

    /// True or false, if given.
    pub(crate) fn boolean(&mut self, name: &str) -> Option<bool> {
        match self.take(name)? {
            Raw::Json(Value::Bool(value)) => Some(value),
            Raw::Cell(text) if text == "true" || text == "false" => Some(text == "true"),
            _ => {
                self.faults.unreadable(name, "not_a_boolean", "is neither true nor false");
                None
            }
        }
    }

    /// One of a few words, if given.
    pub(crate) fn word<T>(&mut self, name: &str, words: &str, make: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let word = self.text(name, 50, false)?;
        self.read_word(name, &word, words, make)
    }

    pub(crate) fn required_word<T>(&mut self, name: &str, words: &str, make: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let word = self.required_text(name, 50)?;
        self.read_word(name, &word, words, make)
    }

    fn read_word<T>(&mut self, name: &str, word: &str, words: &str, make: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let value = make(word);
        if value.is_none() {
            self.faults.out_of_domain(name, "unknown_value", format!("is none of {words}"));
        }
        value
    }

    /// `lat` and `lng`, both required.
    pub(crate) fn position(&mut self) -> Option<LatLng> {
        let [lat_deg, lng_deg] = ["lat", "lng"].map(|name| self.require(name).and_then(|raw| self.read_decimal(name, &raw)));
        self.faults.check_position(lat_deg, lng_deg)
    }
}

/// Line ends and tabs are none here.
fn has_control_character(value: &Value) -> bool {
    let is_bad = |text: &str| text.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r'));
    match value {
        Value::String(text) => is_bad(text),
        Value::Array(items) => items.iter().any(has_control_character),
        Value::Object(members) => members.iter().any(|(name, value)| is_bad(name) || has_control_character(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}
