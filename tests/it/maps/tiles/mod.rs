//! Vector tiles, read by a decoder that is not ours, and compared with the formulas of Web Mercator.

mod adding_up;
mod asking;
mod drawing;
mod gdal;
mod keeping;
mod plans;

use std::collections::BTreeMap;

use geo_types::{Geometry, MultiPolygon, Polygon};
use mvt_reader::Reader;
use mvt_reader::feature::Value;

use crate::support::{Answer, TestServer};

/// Width of a tile in its own units.
const EXTENT: f64 = 4096.0;

/// A feature of a tile.
#[derive(Clone, Debug)]
struct Feature {
    id: u64,
    geometry: Geometry<i32>,
    properties: BTreeMap<String, Value>,
}

/// Column and row of a tile.
type Spot = (u32, u32);

/// The features of a tile's bytes, whose only layer has that name.
fn features(layer: &str, bytes: &[u8]) -> Vec<Feature> {
    if bytes.is_empty() {
        return Vec::new();
    }
    let reader = Reader::new(bytes.to_vec()).expect("a vector tile");
    let layers = reader.get_layer_metadata().expect("layers");
    assert_eq!(layers.len(), 1);
    assert_eq!((layers[0].name.as_str(), layers[0].version, layers[0].extent), (layer, 2, 4096));
    let features = reader.get_features_as::<i32>(0).expect("features");
    let features = features.into_iter().map(|feature| Feature {
        id: feature.id.expect("every feature has a number"),
        geometry: feature.geometry,
        properties: feature.properties.unwrap_or_default().into_iter().collect(),
    });
    features.collect()
}

/// What is in a tile that an answer brings.
fn drawn(layer: &str, answer: &Answer) -> Vec<Feature> {
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/vnd.mapbox-vector-tile")), "{}", answer.text());
    features(layer, &answer.body)
}

fn path(layer: &str, z: u32, (x, y): Spot) -> String {
    format!("/tiles/{layer}/{z}/{x}/{y}.mvt")
}

/// Asks the service for a tile.
async fn tile(t: &TestServer, layer: &str, z: u32, spot: Spot) -> Vec<Feature> {
    drawn(layer, &t.get(&path(layer, z, spot)).await)
}

/// Where a place is on the map, in tiles of a zoom from the north-west.
fn on_map(z: u32, lat_deg: f64, lng_deg: f64) -> (f64, f64) {
    let tiles = f64::from(1_u32 << z);
    ((lng_deg + 180.0) / 360.0 * tiles, (1.0 - lat_deg.to_radians().tan().asinh() / std::f64::consts::PI) / 2.0 * tiles)
}

/// The tile that a place lies in.
fn spot_of(z: u32, lat_deg: f64, lng_deg: f64) -> Spot {
    let (x, y) = on_map(z, lat_deg, lng_deg);
    let last = f64::from((1_u32 << z) - 1);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the map")]
    let spot = (x.floor().clamp(0.0, last) as u32, y.floor().clamp(0.0, last) as u32);
    spot
}

/// Where a place is in a tile, in the tile's units.
fn in_tile(z: u32, (x, y): Spot, lat_deg: f64, lng_deg: f64) -> (f64, f64) {
    let (column, row) = on_map(z, lat_deg, lng_deg);
    ((column - f64::from(x)) * EXTENT, (row - f64::from(y)) * EXTENT)
}

impl Feature {
    fn text(&self, name: &str) -> &str {
        match &self.properties[name] {
            Value::String(text) => text,
            other => panic!("{name}: {other:?}"),
        }
    }

    fn number(&self, name: &str) -> i64 {
        match &self.properties[name] {
            Value::Int(number) | Value::SInt(number) => *number,
            Value::UInt(number) => i64::try_from(*number).expect("small"),
            other => panic!("{name}: {other:?}"),
        }
    }

    /// A point in the tile's units.
    fn point(&self) -> (i32, i32) {
        match &self.geometry {
            Geometry::Point(point) => point.x_y(),
            Geometry::MultiPoint(points) if points.0.len() == 1 => points.0[0].x_y(),
            other => panic!("{other:?}"),
        }
    }

    /// Whether it belongs to this tile, and is not only drawn across its edge.
    fn is_at_home(&self) -> bool {
        let (x, y) = self.point();
        (0..4096).contains(&x) && (0..4096).contains(&y)
    }

    fn area(&self) -> MultiPolygon<i32> {
        match self.geometry.clone() {
            Geometry::Polygon(polygon) => MultiPolygon(vec![polygon]),
            Geometry::MultiPolygon(area) => area,
            other => panic!("{other:?}"),
        }
    }

    /// Whether a place in the tile's units is inside the area: how many borders are to its east?
    fn covers(&self, x: f64, y: f64) -> bool {
        let crossings = |polygon: &Polygon<i32>| {
            let rings = std::iter::once(polygon.exterior()).chain(polygon.interiors());
            let lines = rings.flat_map(|ring| ring.lines().collect::<Vec<_>>());
            let crossed = lines.filter(|line| {
                let [(ax, ay), (bx, by)] = [line.start, line.end].map(|end| (f64::from(end.x), f64::from(end.y)));
                (ay > y) != (by > y) && x < ax + (y - ay) / (by - ay) * (bx - ax)
            });
            crossed.count()
        };
        self.area().0.iter().map(crossings).sum::<usize>() % 2 == 1
    }
}

fn names(features: &[Feature]) -> Vec<&str> {
    let mut names: Vec<&str> = features.iter().map(|feature| feature.text("name")).collect();
    names.sort_unstable();
    names
}

/// How many decorations a tile's clusters stand for.
fn counted(features: &[Feature]) -> i64 {
    features.iter().filter(|feature| feature.is_at_home()).map(|feature| feature.number("count")).sum()
}
