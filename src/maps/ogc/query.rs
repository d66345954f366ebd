//! What a request for features says. The standard answers every value that is wrong with 400, whether it cannot be read
//! or is out of its domain, which is 422 in the rest of the API; what it does with a limit that is too large, too.

use std::borrow::Cow;

use axum::http::HeaderMap;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::collection::{Collection, Column, Kind};
use crate::geo::Bounds;
use crate::http::{ApiError, Cursor, QueryReader, best_liked};
use crate::input::{IntegerText, decimal, integer, read_time};

/// Features of a page, unless the request says how many.
pub(super) const DEFAULT_LIMIT: i64 = 100;
/// Features of a page at the most.
pub(super) const MAX_LIMIT: i64 = 10_000;

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// JSON; GeoJSON where there are features.
    Json,
    /// A page for people.
    Html,
}

/// A request for the features of a collection.
#[derive(Debug)]
pub(super) struct Items {
    /// What the list is narrowed to.
    pub(super) narrowing: Narrowing,
    /// Features of the page at the most.
    pub(super) limit: i64,
    /// Where the page begins.
    pub(super) cursor: Option<Cursor>,
    /// Whether only their number is asked for.
    pub(super) hits: bool,
    /// The form asked for.
    pub(super) form: Form,
}

/// What a list is narrowed to. Its text is what cursors are bound to.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Narrowing {
    /// Box that features intersect.
    pub(super) bounds: Option<Bounds>,
    /// First and last moment.
    pub(super) times: [Option<DateTime<Utc>>; 2],
    /// For each column that may narrow a list, what it is to be.
    pub(super) filters: Vec<Wanted>,
}

impl Narrowing {
    /// Whether it leaves everything in.
    pub(super) fn is_nothing(&self) -> bool {
        let is_open =
            |wanted: &Wanted| matches!(wanted, Wanted::Id(None) | Wanted::Text(None) | Wanted::Integer(None) | Wanted::Boolean(None));
        self.bounds.is_none() && self.times == [None, None] && self.filters.iter().all(is_open)
    }
}

/// Value that a column is to have, if any.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Wanted {
    Id(Option<Uuid>),
    Text(Option<String>),
    Integer(Option<i64>),
    Boolean(Option<bool>),
}

impl Items {
    /// Reads a query string.
    ///
    /// # Errors
    /// 400 with all faults.
    pub(super) fn read(collection: &Collection, raw: &str, headers: &HeaderMap) -> Result<Self, ApiError> {
        let raw = without_blanks(raw);
        let mut reader = QueryReader::new(&raw);
        let form = form(&mut reader, headers);
        let bounds = reader.optional("bbox", bbox);
        let times = reader.optional("datetime", times);
        let limit = reader.optional("limit", limit);
        let cursor = reader.cursor();
        let hits = reader.optional_word("resultType", "results, hits", |word| match word {
            "results" => Some(false),
            "hits" => Some(true),
            _ => None,
        });
        let filters: Vec<_> = collection.filters().map(|column| wanted(&mut reader, column)).collect();
        let read = || {
            let times = times.ok()?.unwrap_or_default();
            // Where nothing has a time, every time matches.
            let times = if collection.time_column.is_some() { times } else { Default::default() };
            let bounds = bounds.ok()?.filter(|bounds| !is_world(*bounds));
            let narrowing = Narrowing { bounds, times, filters: filters.into_iter().collect::<Result<_, _>>().ok()? };
            let (limit, hits) = (limit.ok()?.unwrap_or(DEFAULT_LIMIT), hits.ok()?.unwrap_or(false));
            Some(Self { narrowing, limit, cursor: cursor.ok()?, hits, form: form.ok()? })
        };
        let read = read();
        reader.into_faults().all_unreadable().or(read)
    }
}

/// Reads the query of an address that takes nothing but its form.
///
/// # Errors
/// 400 with all faults.
pub(super) fn read_form(raw: &str, headers: &HeaderMap) -> Result<Form, ApiError> {
    let mut reader = QueryReader::new(raw);
    let form = form(&mut reader, headers);
    reader.into_faults().all_unreadable().or(form.ok())
}

/// The form named by `f`, else by `Accept`.
fn form(reader: &mut QueryReader, headers: &HeaderMap) -> Result<Form, ()> {
    let named = reader.optional("f", |text| match text {
        "json" => Ok(Form::Json),
        "html" => Ok(Form::Html),
        _ => Err(("unknown_value", "is neither json nor html".to_owned())),
    });
    let liked =
        || best_liked(headers, &[("text/html", Form::Html), ("application/geo+json", Form::Json), ("application/json", Form::Json)]);
    Ok(named?.or_else(liked).unwrap_or(Form::Json))
}

/// A form on a page sends all its fields, those that nobody filled in too: under `f=html` they are none.
fn without_blanks(raw: &str) -> Cow<'_, str> {
    let pairs = || raw.split('&');
    if !pairs().any(|pair| pair == "f=html") {
        return raw.into();
    }
    pairs().filter(|pair| !pair.ends_with('=')).collect::<Vec<_>>().join("&").into()
}

/// A limit above the largest is the largest.
fn limit(text: &str) -> Result<i64, (&'static str, String)> {
    match integer(text) {
        IntegerText::Fits(limit @ 1..) => Ok(limit.min(MAX_LIMIT)),
        IntegerText::TooLong if !text.starts_with('-') => Ok(MAX_LIMIT),
        IntegerText::NotAnInteger => Err(("not_an_integer", "is not a whole number".to_owned())),
        IntegerText::Fits(_) | IntegerText::TooLong => Err(("out_of_range", "is less than 1".to_owned())),
    }
}

/// `min_lng,min_lat,max_lng,max_lat`, or the same with heights, which features here do not have.
fn bbox(text: &str) -> Result<Bounds, (&'static str, String)> {
    let numbers: Option<Vec<f64>> = text.split(',').map(decimal).collect();
    let numbers = numbers.ok_or(("not_a_number", "is no list of finite decimal numbers such as 5.8,47.2,15.1,55.1".to_owned()))?;
    let [west, south, east, north] = match *numbers.as_slice() {
        [west, south, east, north] => [west, south, east, north],
        [west, south, low, east, north, high] if low <= high => [west, south, east, north],
        [_, _, low, _, _, high] => return Err(("out_of_order", format!("the lowest height, {low}, is above the highest, {high}"))),
        _ => return Err(("not_a_box", format!("has {} numbers instead of 4, or 6 with heights", numbers.len()))),
    };
    Bounds::new(south, west, north, east).map_err(|error| ("out_of_range", error.to_string()))
}

/// Nothing lies outside, so nothing has to be compared.
fn is_world(bounds: Bounds) -> bool {
    Bounds::new(-90.0, -180.0, 90.0, 180.0) == Ok(bounds)
}

/// A moment, or an interval with its ends, one of which may be open.
fn times(text: &str) -> Result<[Option<DateTime<Utc>>; 2], (&'static str, String)> {
    let unreadable =
        |_| ("not_a_time", "is not a time such as 2026-11-24T12:00:00Z, nor an interval such as 2026-11-24T12:00:00Z/..".to_owned());
    let end = |text: &str| match text {
        "" | ".." => Ok(None),
        text => read_time(text).map(Some),
    };
    let Some((from, to)) = text.split_once('/') else {
        return read_time(text).map(|at| [Some(at), Some(at)]).map_err(unreadable);
    };
    match [end(from).map_err(unreadable)?, end(to).map_err(unreadable)?] {
        [None, None] => Err(("not_a_time", "is an interval without any end".to_owned())),
        [Some(from), Some(to)] if from > to => Err(("out_of_order", "begins after its end".to_owned())),
        times => Ok(times),
    }
}

/// What a column is to be equal to.
fn wanted(reader: &mut QueryReader, column: &Column) -> Result<Wanted, ()> {
    let name = column.name;
    match column.kind {
        Kind::Id => reader.optional_uuid(name).map(Wanted::Id),
        Kind::Text(max_chars) => reader.optional_text(name, max_chars).map(Wanted::Text),
        Kind::Word(words) => {
            let known = |text: &str| words.contains(&text).then(|| text.to_owned());
            reader.optional_word(name, &words.join(", "), known).map(Wanted::Text)
        }
        Kind::Integer(least, most) => {
            let read = |text: &str| match integer(text) {
                IntegerText::Fits(number) if (least..=most).contains(&number) => Ok(number),
                _ => Err(("out_of_range", format!("is no whole number from {least} to {most}"))),
            };
            reader.optional(name, read).map(Wanted::Integer)
        }
        Kind::Boolean => reader.optional_boolean(name).map(Wanted::Boolean),
        Kind::Decimal | Kind::Time | Kind::Cell => unreachable!("{name} cannot narrow a list: a test looks at all collections"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::collections::COLLECTIONS;
    use super::*;
    use rstest::rstest;

    #[test]
    fn only_what_can_be_read_from_a_parameter_narrows_a_list() {
        for column in COLLECTIONS.iter().flat_map(Collection::filters) {
            assert!(!matches!(column.kind, Kind::Decimal | Kind::Time | Kind::Cell), "{}", column.name);
            assert!(!["bbox", "datetime", "limit", "cursor", "resultType", "f"].contains(&column.name), "{}", column.name);
        }
    }

    #[rstest]
    #[case("5.8,47.2,15.1,55.1", Some([47.2, 5.8, 55.1, 15.1]))]
    #[case("5.8,47.2,-100,15.1,55.1,9000", Some([47.2, 5.8, 55.1, 15.1]))]
    #[case("170,-20,-170,-10", Some([-20.0, 170.0, -10.0, -170.0]))]
    #[case("1,2,1,2", Some([2.0, 1.0, 2.0, 1.0]))]
    #[case("5.8,47.2,9,15.1,55.1,8", None)]
    #[case("1,2,3", None)]
    #[case("1,2,3,4,5", None)]
    #[case("1,2,3,4,5,6,7", None)]
    #[case("1,2,3,", None)]
    #[case("", None)]
    #[case("1, 2, 3, 4", None)]
    #[case("1,2,3,NaN", None)]
    #[case("1,55,3,47", None)]
    #[case("-181,0,1,1", None)]
    #[case("0,0,1,90.1", None)]
    fn a_box_has_four_or_six_numbers(#[case] text: &str, #[case] expected: Option<[f64; 4]>) {
        let read = bbox(text).ok();
        assert_eq!(read.map(|b| [b.min_lat_deg(), b.min_lng_deg(), b.max_lat_deg(), b.max_lng_deg()]), expected);
    }

    #[rstest]
    #[case("1970-01-01T00:00:05Z", Some([Some(5), Some(5)]))]
    #[case("1970-01-01T00:00:05Z/1970-01-01T01:00:09+01:00", Some([Some(5), Some(9)]))]
    #[case("1970-01-01T00:00:05Z/1970-01-01T00:00:05Z", Some([Some(5), Some(5)]))]
    #[case("1970-01-01T00:00:05Z/..", Some([Some(5), None]))]
    #[case("1970-01-01T00:00:05Z/", Some([Some(5), None]))]
    #[case("../1970-01-01T00:00:05Z", Some([None, Some(5)]))]
    #[case("/1970-01-01T00:00:05Z", Some([None, Some(5)]))]
    #[case("../..", None)]
    #[case("..", None)]
    #[case("/", None)]
    #[case("", None)]
    #[case("1970-01-01T00:00:09Z/1970-01-01T00:00:05Z", None)]
    #[case("1970-01-01T00:00:05Z/1970-01-01T00:00:09Z/..", None)]
    #[case("1970-01-01", None)]
    #[case("1970-01-01T00:00:05", None)]
    fn times_are_moments_and_intervals(#[case] text: &str, #[case] expected: Option<[Option<i64>; 2]>) {
        assert_eq!(times(text).ok().map(|times| times.map(|time| time.map(|time| time.timestamp()))), expected);
    }

    #[rstest]
    #[case("1", Some(1))]
    #[case("10000", Some(10_000))]
    #[case("10001", Some(10_000))]
    #[case("99999999999999999999999999", Some(10_000))]
    #[case("0", None)]
    #[case("-1", None)]
    #[case("-99999999999999999999999999", None)]
    #[case("1.0", None)]
    #[case("", None)]
    fn a_limit_above_the_largest_is_the_largest(#[case] text: &str, #[case] expected: Option<i64>) {
        assert_eq!(limit(text).ok(), expected);
    }

    #[test]
    fn what_a_form_leaves_blank_is_not_given() {
        assert_eq!(without_blanks("bbox=&limit=5&f=html&name="), "limit=5&f=html");
        assert_eq!(without_blanks("bbox=&limit=5"), "bbox=&limit=5");
    }
}
