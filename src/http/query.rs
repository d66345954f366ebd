//! Query strings, read strictly: every fault is named at once, and unknown or repeated parameters are
//! faults. (serde's readers stop at the first fault and let repeated ones pass.)

use std::borrow::Cow;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use chrono::{DateTime, Utc};
use percent_encoding::percent_decode;
use uuid::Uuid;

use super::{ApiError, Cursor};
use crate::geo::{Bounds, BoundsError, LatLng, Metres, Radius};
use crate::input::{FaultKind, Faults, IntegerText, check_text, decimal, integer, read_time, whole_seconds};

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
    parameters: Vec<Parameter>,
    faults: Faults,
}

/// One parameter as it came.
struct Parameter {
    name: String,
    /// None when it cannot be decoded, which is noted already, and once it was taken.
    value: Option<String>,
    asked_for: bool,
}

impl QueryReader {
    /// Splits and decodes a raw query string.
    pub(crate) fn new(raw: &str) -> Self {
        let mut faults = Faults::default();
        let mut parameters: Vec<Parameter> = Vec::new();
        for pair in raw.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (Some(name), value) = (decode(name), decode(value)) else {
                faults.unreadable("query", "not_utf8", "is not percent-encoded UTF-8");
                continue;
            };
            if parameters.iter().any(|known| known.name == name) {
                faults.unreadable(&name, "repeated", "is given more than once");
                continue;
            }
            if value.is_none() {
                faults.unreadable(&name, "not_utf8", "is not percent-encoded UTF-8");
            }
            parameters.push(Parameter { name, value, asked_for: false });
        }
        Self { parameters, faults }
    }

    /// The faults found, the unknown parameters among them.
    pub(crate) fn into_faults(mut self) -> Faults {
        for parameter in self.parameters.iter().filter(|parameter| !parameter.asked_for) {
            self.faults.unreadable(&parameter.name, "unknown", "is not a parameter of this route");
        }
        self.faults
    }

    fn is_given(&self, name: &str) -> bool {
        self.parameters.iter().any(|known| known.name == name)
    }

    /// The text of a parameter, if it was given and can be read.
    fn take(&mut self, name: &str) -> Option<String> {
        let parameter = self.parameters.iter_mut().find(|known| known.name == name)?;
        parameter.asked_for = true;
        parameter.value.take()
    }

    fn require(&mut self, name: &str) -> Option<String> {
        let value = self.take(name);
        if !self.is_given(name) {
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

    /// A parameter that may be given in a form of the caller's own, who says with a code and in words why it cannot be
    /// read; `Err(())` when a fault was noted.
    pub(crate) fn optional<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, (&'static str, String)>,
    ) -> Result<Option<T>, ()> {
        let Some(text) = self.take(name) else { return Ok(None) };
        read(&text).map(Some).map_err(|(code, detail)| self.faults.unreadable(name, code, detail))
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
        if !self.is_given(name) {
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

    /// True or false that may be given; `Err(())` when it is neither.
    pub(crate) fn optional_boolean(&mut self, name: &str) -> Result<Option<bool>, ()> {
        let Some(text) = self.take(name) else { return Ok(None) };
        let value = text.parse().ok();
        if value.is_none() {
            self.faults.unreadable(name, "not_a_boolean", "is neither true nor false");
        }
        value.map(Some).ok_or(())
    }

    /// An identifier that may be given; `Err(())` when it is none.
    pub(crate) fn optional_uuid(&mut self, name: &str) -> Result<Option<Uuid>, ()> {
        let Some(text) = self.take(name) else { return Ok(None) };
        let value = Uuid::try_parse(&text).ok().filter(|_| text.len() == 36);
        if value.is_none() {
            self.faults.unreadable(name, "not_a_uuid", "is not a UUID");
        }
        value.map(Some).ok_or(())
    }

    /// A time that may be given, in the form of RFC 3339; `Err(())` when a fault was noted.
    pub(crate) fn optional_time(&mut self, name: &str) -> Result<Option<DateTime<Utc>>, ()> {
        let Some(text) = self.take(name) else { return Ok(None) };
        match read_time(&text) {
            Ok(time) => return Ok(Some(time)),
            Err(kind @ FaultKind::OutOfDomain) => self.faults.note(name, "not_a_time", "has no zone, or is out of range", kind),
            Err(kind) => self.faults.note(name, "not_a_time", "is not a time such as 2026-11-24T12:00:00Z", kind),
        }
        Err(())
    }

    /// Times `from` and `to` that may be given; when both are, the first comes before the second.
    pub(crate) fn time_range(&mut self) -> Result<[Option<DateTime<Utc>>; 2], ()> {
        let (from, to) = (self.optional_time("from"), self.optional_time("to"));
        let range = [from?, to?];
        if let [Some(from), Some(to)] = range
            && from >= to
        {
            self.faults.out_of_domain("from", "out_of_order", "is not before to");
            return Err(());
        }
        Ok(range)
    }

    /// A length of time between `least_s` and `most_s` seconds that may be given, such as `5m`; `Err(())` when a
    /// fault was noted.
    pub(crate) fn optional_duration_s(&mut self, name: &str, least_s: i64, most_s: i64) -> Result<Option<i64>, ()> {
        let Some(text) = self.take(name) else { return Ok(None) };
        match whole_seconds(&text) {
            IntegerText::Fits(length_s) if (least_s..=most_s).contains(&length_s) => return Ok(Some(length_s)),
            IntegerText::NotAnInteger => {
                self.faults.unreadable(name, "not_a_duration", "is not a whole number with a unit, such as 30s, 5m, 1h or 1d");
            }
            IntegerText::Fits(_) | IntegerText::TooLong => {
                self.faults.out_of_domain(name, "out_of_range", format!("is outside {least_s}s to {most_s}s"));
            }
        }
        Err(())
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

    /// A circle that may be given by `lat`, `lng` and `radius` in metres: `lat` and `lng` together, `radius` only with
    /// them; `Err(())` when a fault was noted.
    pub(crate) fn optional_circle(&mut self) -> Result<Option<(LatLng, Radius)>, ()> {
        if !["lat", "lng", "radius"].iter().any(|name| self.is_given(name)) {
            return Ok(None);
        }
        let position = self.position();
        let radius = self.optional_decimal("radius", |metres| Radius::new(Metres(metres)))?;
        Ok(Some((position.ok_or(())?, radius.unwrap_or(Radius::DEFAULT))))
    }

    /// `lat` and `lng`, both required.
    pub(crate) fn position(&mut self) -> Option<LatLng> {
        let (lat_deg, lng_deg) = (self.required_decimal("lat"), self.required_decimal("lng"));
        self.faults.check_position(lat_deg, lng_deg)
    }

    /// `min_lat`, `max_lat`, `min_lng`, `max_lng`, all required.
    pub(crate) fn bounds(&mut self) -> Option<Bounds> {
        let [min_lat_deg, min_lng_deg, max_lat_deg, max_lng_deg] =
            ["min_lat", "min_lng", "max_lat", "max_lng"].map(|name| self.required_decimal(name));
        for (name, deg, most) in [
            ("min_lat", min_lat_deg, 90.0),
            ("max_lat", max_lat_deg, 90.0),
            ("min_lng", min_lng_deg, 180.0),
            ("max_lng", max_lng_deg, 180.0),
        ] {
            if let Some(deg) = deg.filter(|deg| deg.abs() > most) {
                self.faults.out_of_domain(name, "out_of_range", format!("{deg} is outside -{most} to {most} degrees"));
            }
        }
        // The order of the latitudes is judged by itself, whatever the longitudes are.
        if let Some((min_lat_deg, max_lat_deg)) = min_lat_deg.zip(max_lat_deg)
            && let Err(error @ BoundsError::UpsideDown { .. }) = Bounds::new(min_lat_deg, 0.0, max_lat_deg, 0.0)
        {
            self.faults.out_of_domain("min_lat", "out_of_order", error.to_string());
        }
        Bounds::new(min_lat_deg?, min_lng_deg?, max_lat_deg?, max_lng_deg?).ok()
    }
}

/// Percent- and plus-decoding; `None` when the bytes are not UTF-8.
fn decode(text: &str) -> Option<String> {
    let text: Cow<'_, str> = if text.contains('+') { text.replace('+', " ").into() } else { text.into() };
    percent_decode(text.as_bytes()).decode_utf8().ok().map(Cow::into_owned)
}
