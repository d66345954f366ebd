//! Features as they come out of the database and as GeoJSON writes them.

use chrono::{DateTime, Utc};
use geo_types::{Coord, LineString, MultiPolygon, Point};
use serde::ser::{SerializeMap, SerializeSeq, SerializeStruct};
use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::collection::Collection;
use crate::geo::{Cell, round_deg};

/// A feature of some collection.
#[derive(Debug)]
pub(super) struct Feature {
    /// Its collection's key, as stored.
    pub(super) key: i64,
    pub(super) shape: Shape,
    /// A value for each column of its collection.
    pub(super) values: Vec<Value>,
}

/// Where a feature is.
#[derive(Debug)]
pub(super) enum Shape {
    Point(Point<f64>),
    Area(MultiPolygon<f64>),
}

/// What a feature says.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Value {
    Nothing,
    Id(Uuid),
    Text(String),
    Integer(i64),
    Decimal(f64),
    Boolean(bool),
    Time(DateTime<Utc>),
    Cell(Cell),
}

/// A feature with what is known of its kind.
pub(super) struct Written<'a> {
    pub(super) collection: &'a Collection,
    pub(super) feature: &'a Feature,
}

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_struct("Feature", 4)?;
        members.serialize_field("type", "Feature")?;
        members.serialize_field("id", &self.collection.key.feature(self.feature.key))?;
        members.serialize_field("geometry", &self.feature.shape)?;
        members.serialize_field("properties", &Properties(self))?;
        members.end()
    }
}

struct Properties<'a>(&'a Written<'a>);

impl Serialize for Properties<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Written { collection, feature } = self.0;
        serializer.collect_map(collection.columns.iter().map(|column| column.name).zip(&feature.values))
    }
}

impl Serialize for Shape {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_map(Some(2))?;
        match self {
            Self::Point(point) => {
                members.serialize_entry("type", "Point")?;
                members.serialize_entry("coordinates", &[round_deg(point.x()), round_deg(point.y())])?;
            }
            Self::Area(area) => {
                members.serialize_entry("type", "MultiPolygon")?;
                members.serialize_entry("coordinates", &Polygons(area))?;
            }
        }
        members.end()
    }
}

struct Polygons<'a>(&'a MultiPolygon<f64>);

impl Serialize for Polygons<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut polygons = serializer.serialize_seq(Some(self.0.0.len()))?;
        for polygon in &self.0.0 {
            let outer = std::iter::once(Ring { line: polygon.exterior(), counterclockwise: true });
            let holes = polygon.interiors().iter().map(|line| Ring { line, counterclockwise: false });
            polygons.serialize_element(&outer.chain(holes).collect::<Vec<_>>())?;
        }
        polygons.end()
    }
}

/// A ring as RFC 7946 wants it: the outer ones run counterclockwise and holes clockwise, however they are stored.
struct Ring<'a> {
    line: &'a LineString<f64>,
    counterclockwise: bool,
}

impl Serialize for Ring<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let corners = &self.line.0;
        // The surveyor's formula, from the first corner, so that small rings far from the origin keep their digits.
        let origin = corners.first().copied().unwrap_or_default();
        let doubled_area: f64 =
            corners.windows(2).map(|side| (side[0] - origin, side[1] - origin)).map(|(a, b)| a.x * b.y - b.x * a.y).sum();
        let written = |corner: &Coord<f64>| [round_deg(corner.x), round_deg(corner.y)];
        if (doubled_area >= 0.0) == self.counterclockwise {
            serializer.collect_seq(corners.iter().map(written))
        } else {
            serializer.collect_seq(corners.iter().rev().map(written))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use geo_types::polygon;

    #[test]
    fn shapes_are_written_as_geo_json_with_eight_decimals() {
        let point = serde_json::to_string(&Shape::Point(Point::new(-0.0, 52.123_456_789_4))).expect("writes");
        assert_eq!(point, r#"{"type":"Point","coordinates":[0.0,52.12345679]}"#);
        let ring = polygon!(exterior: [(x: 0., y: 0.), (x: 3., y: 0.), (x: 0., y: 3.)], interiors: [[(x: 1., y: 1.), (x: 1., y: 1.5), (x: 1.5, y: 1.)]]);
        let area = serde_json::to_string(&Shape::Area(MultiPolygon(vec![ring]))).expect("writes");
        let expected = r#"{"type":"MultiPolygon","coordinates":[[[[0.0,0.0],[3.0,0.0],[0.0,3.0],[0.0,0.0]],[[1.0,1.0],[1.0,1.5],[1.5,1.0],[1.0,1.0]]]]}"#;
        assert_eq!(area, expected);
    }

    #[test]
    fn rings_run_as_rfc_7946_wants_them() {
        let clockwise = polygon!(exterior: [(x: 0., y: 0.), (x: 0., y: 3.), (x: 3., y: 0.)], interiors: [[(x: 1., y: 1.), (x: 1.5, y: 1.), (x: 1., y: 1.5)]]);
        let area = serde_json::to_string(&Shape::Area(MultiPolygon(vec![clockwise]))).expect("writes");
        let expected = r#"{"type":"MultiPolygon","coordinates":[[[[0.0,0.0],[3.0,0.0],[0.0,3.0],[0.0,0.0]],[[1.0,1.0],[1.0,1.5],[1.5,1.0],[1.0,1.0]]]]}"#;
        assert_eq!(area, expected);
    }
}
