//! Query strings, read strictly: every fault is named at once, and unknown or repeated parameters are
//! faults. (serde's readers stop at the first fault and let repeated ones pass.)

use std::borrow::Cow;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use percent_encoding::percent_decode;

use super::{ApiError, Cursor};
use crate::geo::{Bounds, BoundsError, LatLng};
use crate::input::{Faults, IntegerText, check_text, decimal, integer};

/// A type that is read from a query string.
pub(crate) trait FromQuery: Sized {
    /// Reads the parameters it knows; `None` when a fault was noted that leaves no value.
    fn from_query(reader: &mut QueryReader) -> Option<Self>;
}

/// The query of a route that takes none.
pub(crate) struct Nothing;

impl FromQuery for Nothing {
    fn from_query(_: &mut QueryReader) -> Option<Self> {
        Some(Self)
    }
}

/// Extractor: a query string read as `T`, or 400/422 with all its faults.
pub(crate) struct StrictQuery<T>(pub(crate) T);

impl<S: Sync, T: FromQuery> FromRequestParts<S> for StrictQuery<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let mut reader = QueryReader::new(parts.uri.query().unwrap_or_default());
        let value = T::from_query(&mut reader);
        let faults = reader.into_faults();
        match value {
            Some(value) if faults.is_empty() => Ok(Self(value)),
            _ => Err(faults.into()),
        }
    }
}

/// The parameters of one request, and the faults found so far.
pub(crate) struct QueryReader {
    /// Name, value, and whether somebody asked for it.
    parameters: Vec<(String, String, bool)>,
    faults: Faults,
}

impl QueryReader {
    /// Splits and decodes a raw query string.
    pub(crate) fn new(raw: &str) -> Self {
        let mut faults = Faults::default();
        let mut parameters: Vec<(String, String, bool)> = Vec::new();
        for pair in raw.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match (decode(name), decode(value)) {
                (Some(name), Some(value)) if parameters.iter().all(|(known, ..)| *known != name) => {
                    parameters.push((name, value, false));
                }
                (Some(name), Some(_)) => faults.unreadable(&name, "repeated", "is given more than once"),
                (name, _) => faults.unreadable(name.as_deref().unwrap_or("query"), "not_utf8", "is not percent-encoded UTF-8"),
            }
        }
        Self { parameters, faults }
    }

    /// The faults found, the unknown parameters among them.
    fn into_faults(mut self) -> Faults {
        for (name, _, asked_for) in &self.parameters {
            if !asked_for {
                self.faults.unreadable(name, "unknown", "is not a parameter of this route");
            }
        }
        self.faults
    }

    /// The text of a parameter, if it was given.
    fn take(&mut self, name: &str) -> Option<String> {
        let (_, value, asked_for) = self.parameters.iter_mut().find(|(known, ..)| known == name)?;
        *asked_for = true;
        Some(std::mem::take(value))
    }

    fn require(&mut self, name: &str) -> Option<String> {
        let value = self.take(name);
        if value.is_none() {
            self.faults.unreadable(name, "missing", "is required");
        }
        value
    }

    fn read_decimal(&mut self, name: &str, text: &str) -> Option<f64> {
        let number = decimal(text);
        if number.is_none() {
            self.faults.unreadable(name, "not_a_number", "is not a finite decimal number such as 12.5");
        }
        number
    }

    /// A number that must be given.
    pub(crate) fn required_decimal(&mut self, name: &str) -> Option<f64> {
        let text = self.require(name)?;
        self.read_decimal(name, &text)
    }

    /// A number that may be given, made into `T`; `Err(())` when a fault was noted.
    pub(crate) fn optional_decimal<T, E: std::fmt::Display>(
        &mut self,
        name: &str,
        make: impl FnOnce(f64) -> Result<T, E>,
    ) -> Result<Option<T>, ()> {
        let Some(text) = self.take(name) else { return Ok(None) };
        let number = self.read_decimal(name, &text).ok_or(())?;
        make(number).map(Some).map_err(|error| self.faults.out_of_domain(name, "out_of_range", error.to_string()))
    }

    /// A whole number between `least` and `most`, or the default.
    pub(crate) fn integer_or(&mut self, name: &str, default: i64, least: i64, most: i64) -> Option<i64> {
        let Some(text) = self.take(name) else { return Some(default) };
        match integer(&text) {
            IntegerText::Fits(number) if (least..=most).contains(&number) => return Some(number),
            IntegerText::NotAnInteger => self.faults.unreadable(name, "not_an_integer", "is not a whole number"),
            IntegerText::Fits(_) | IntegerText::TooLong => {
                self.faults.out_of_domain(name, "out_of_range", format!("is outside {least} to {most}"));
            }
        }
        None
    }

    /// How many items a page may have.
    pub(crate) fn limit(&mut self, default: i64, most: i64) -> Option<i64> {
        self.integer_or("limit", default, 1, most)
    }

    /// A text of at most `max_chars` code points that may be given; `Err(())` when a fault was noted.
    pub(crate) fn optional_text(&mut self, name: &str, max_chars: usize) -> Result<Option<String>, ()> {
        let Some(text) = self.take(name) else { return Ok(None) };
        let mut faults = Faults::default();
        check_text(&mut faults, name, &text, max_chars, false);
        if faults.is_empty() {
            return Ok(Some(text));
        }
        self.faults.append(faults);
        Err(())
    }

    /// A text that must be given.
    pub(crate) fn required_text(&mut self, name: &str, max_chars: usize) -> Option<String> {
        if self.parameters.iter().all(|(known, ..)| known != name) {
            self.require(name)?;
        }
        self.optional_text(name, max_chars).ok().flatten()
    }

    /// One of a few words that may be given; `Err(())` when it is another one.
    pub(crate) fn optional_word<T>(&mut self, name: &str, words: &str, make: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, ()> {
        let Some(text) = self.take(name) else { return Ok(None) };
        let value = make(&text);
        if value.is_none() {
            self.faults.out_of_domain(name, "unknown_value", format!("is none of {words}"));
        }
        value.map(Some).ok_or(())
    }

    /// A cursor that may be given; its seal is checked by the handler, which knows the filters.
    pub(crate) fn cursor(&mut self) -> Result<Option<Cursor>, ()> {
        let Some(text) = self.take("cursor") else { return Ok(None) };
        let cursor = Cursor::from_text(&text);
        if cursor.is_none() {
            self.faults.unreadable("cursor", "bad_cursor", "is not a cursor of ours");
        }
        cursor.map(Some).ok_or(())
    }

    /// `lat` and `lng`, both required.
    pub(crate) fn position(&mut self) -> Option<LatLng> {
        let (lat_deg, lng_deg) = (self.required_decimal("lat"), self.required_decimal("lng"));
        self.faults.check_position(lat_deg?, lng_deg?)
    }

    /// `min_lat`, `max_lat`, `min_lng`, `max_lng`, all required.
    pub(crate) fn bounds(&mut self) -> Option<Bounds> {
        let corners = ["min_lat", "min_lng", "max_lat", "max_lng"].map(|name| self.required_decimal(name));
        let [Some(min_lat_deg), Some(min_lng_deg), Some(max_lat_deg), Some(max_lng_deg)] = corners else { return None };
        for (name, deg, most) in [
            ("min_lat", min_lat_deg, 90.0),
            ("max_lat", max_lat_deg, 90.0),
            ("min_lng", min_lng_deg, 180.0),
            ("max_lng", max_lng_deg, 180.0),
        ] {
            if deg.abs() > most {
                self.faults.out_of_domain(name, "out_of_range", format!("{deg} is outside -{most} to {most} degrees"));
            }
        }
        let bounds = Bounds::new(min_lat_deg, min_lng_deg, max_lat_deg, max_lng_deg);
        if let Err(error @ BoundsError::UpsideDown { .. }) = bounds {
            self.faults.out_of_domain("min_lat", "out_of_order", error.to_string());
        }
        bounds.ok()
    }
}

/// Percent- and plus-decoding; `None` when the bytes are not UTF-8.
fn decode(text: &str) -> Option<String> {
    let text: Cow<'_, str> = if text.contains('+') { text.replace('+', " ").into() } else { text.into() };
    percent_decode(text.as_bytes()).decode_utf8().ok().map(Cow::into_owned)
}
