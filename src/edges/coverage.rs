//! Which H3 cells an edge's area touches: the index by which a position finds its candidates.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};

use geo_types::{Coord, LineString, MultiPolygon, Polygon};
use h3o::Resolution;

use crate::geo::{Cell, LatLng, Metres};

/// Most cells an area is covered with; a larger one takes a coarser resolution.
const MAX_CELLS: usize = 2_000;

/// Resolutions that positions are looked up at, finest first, with an upper bound of the distance in metres
/// from a cell's centre to its corners (H3's cells are largest in the middle of an icosahedron's face).
const RESOLUTIONS: [(Resolution, f64); 3] = [(Resolution::Nine, 260.0), (Resolution::Seven, 1_800.0), (Resolution::Five, 12_500.0)];

/// h3o measures on a sphere; the spheroid's distances differ by 0.56 % at most.
const SPHERE_SLACK: f64 = 1.006;

/// Most positions that a border is followed by, so that the most crooked one still takes a bounded time. One so
/// long is followed in longer steps, and cells a little farther outside are among its own.
const MAX_STEPS: f64 = 20_000.0;

/// Metres in a degree of latitude at the poles, and of longitude at the equator: nowhere are they longer.
const DEGREE_M: [f64; 2] = [111_695.0, 111_320.0];

/// Most pieces that edges are cut into to see how far an area reaches, besides one for each edge.
const MAX_PIECES: f64 = 2_000.0;

/// The spheroid of WGS 84: radius of its equator in metres, and the square of its eccentricity.
const EQUATOR_M: f64 = 6_378_137.0;
const ECCENTRICITY_SQUARED: f64 = 0.006_694_379_990_14;
/// Its radii of curvature in metres: the smallest along a meridian at the equator, the largest at the poles.
const SMALLEST_CURVATURE_M: f64 = 6_335_439.0;
const LARGEST_CURVATURE_M: f64 = 6_399_594.0;

/// Cells that hold every position within `radius` of `centre`, at the finest of resolutions 9, 7 and 5 that
/// needs at most 2,000, else at 5. Anywhere on Earth, the poles and the antimeridian included; some cells
/// just outside may be among them.
#[must_use]
pub fn circle_cells(centre: LatLng, radius: Metres) -> Vec<Cell> {
    finest(|resolution, corner_m, most| flood(centre, resolution, (radius.0 + corner_m) * SPHERE_SLACK, most))
}

/// Cells that hold every position of `area` and every one within `margin` of it, at the finest of resolutions 9,
/// 7 and 5 that needs at most 2,000, else at 5. Edges are plain in latitude and longitude, as RFC 7946 has them,
/// an edge along a pole is one place, and an area across the antimeridian is two polygons that meet there. Some
/// cells just outside may be among them.
///
/// Takes as long as the area is large: refuse what is too far [`across`] first.
#[must_use]
pub fn area_cells(area: &MultiPolygon<f64>, margin: Metres) -> Vec<Cell> {
    finest(|resolution, corner_m, most| grown(area, margin, resolution, corner_m, most))
}

/// What `cover` answers at the finest resolution that needs no more cells than are good. It gets a resolution,
/// the distance from centre to corner in metres and the most cells, and answers `None` when they are not enough.
fn finest(cover: impl Fn(Resolution, f64, usize) -> Option<Vec<Cell>>) -> Vec<Cell> {
    let with = |(resolution, corner_m): (Resolution, f64), most: usize| cover(resolution, corner_m, most);
    let [fine, medium, coarse] = RESOLUTIONS;
    with(fine, MAX_CELLS).or_else(|| with(medium, MAX_CELLS)).or_else(|| with(coarse, usize::MAX)).unwrap_or_default()
}

/// Cells near the border first, by the distance of their centres; then, from neighbour to neighbour, those that
/// the border does not come near, of which each is wholly inside or wholly outside. (h3o's own tiler works on a
/// flat map, where a cell over a pole or the antimeridian has no outline.)
fn grown(area: &MultiPolygon<f64>, margin: Metres, resolution: Resolution, corner_m: f64, most: usize) -> Option<Vec<Cell>> {
    let step_m = step_m(area, corner_m);
    let reach_m = (margin.0 + corner_m + step_m / 2.0) * SPHERE_SLACK;
    let mut cells = HashSet::new();
    // By the cell that the border is in: those around that it may reach from there and has not yet.
    let mut ahead: HashMap<Cell, Vec<Cell>> = HashMap::new();
    for position in edges(area).flat_map(|(a, b)| steps(a, b, step_m)) {
        let around = match ahead.entry(Cell::at(position, resolution)) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let centre = entry.key().centre();
                entry.insert(flood(centre, resolution, reach_m + corner_m * SPHERE_SLACK, most.saturating_mul(2))?)
            }
        };
        around.retain(|&cell| !cells.contains(&cell) && (cell.sphere_distance(position).0 > reach_m || !cells.insert(cell)));
        if cells.len() > most {
            return None;
        }
    }
    let mut waiting: Vec<Cell> = cells.iter().flat_map(|cell| cell.disk(1)).filter(|cell| !cells.contains(cell)).collect();
    waiting.retain(|cell| contains(area, cell.centre()));
    cells.extend(&waiting);
    while let Some(cell) = waiting.pop() {
        if cells.len() > most {
            return None;
        }
        waiting.extend(cell.disk(1).filter(|&neighbour| cells.insert(neighbour)));
    }
    let mut cells: Vec<Cell> = cells.into_iter().collect();
    cells.sort_unstable();
    Some(cells)
}

/// The greatest distance between two positions of an area on the spheroid, for areas up to 3,000 km across: never
/// less, and more by 300 m and one in 5,000 at most. (It may be more for an area with edges so long that they would
/// have to be followed in more than 2,000 pieces of half a degree.) Of a larger area it is only sure that it is more
/// than 3,000 km. Vertices alone would not do: those of a belt around the Earth are all at one meridian.
#[must_use]
pub(super) fn across(area: &MultiPolygon<f64>) -> Metres {
    let span_deg = |(a, b): (Coord<f64>, Coord<f64>)| (b.x - a.x).abs().max((b.y - a.y).abs());
    let piece_deg = (edges(area).map(span_deg).sum::<f64>() / MAX_PIECES).max(0.5);
    let (mut places, mut bulge_m) = (Vec::new(), 0.0_f64);
    for (a, b) in edges(area) {
        let pieces = (span_deg((a, b)) / piece_deg).ceil().max(1.0);
        places.extend(along(a, b, pieces, 0.0).map(in_space));
        let [width, height] = [b.x - a.x, b.y - a.y].map(|deg| (deg / pieces).to_radians().abs());
        // How far a piece leaves the straightest way between its ends: an eighth of its acceleration sideways.
        bulge_m = bulge_m.max(LARGEST_CURVATURE_M * width * (width / 2.0).hypot(2.0 * height) / 8.0);
    }
    let squared = |a: &[f64; 3], b: &[f64; 3]| (0..3).map(|i| (a[i] - b[i]) * (a[i] - b[i])).sum::<f64>();
    let pairs = places.iter().enumerate().flat_map(|(i, a)| places[i + 1..].iter().map(move |b| squared(a, b)));
    let chord_m = pairs.fold(0.0, f64::max).sqrt();
    // No way between two places is longer than the arc over their chord that bends as the spheroid does at most.
    let arc_m = 2.0 * SMALLEST_CURVATURE_M * (chord_m / (2.0 * SMALLEST_CURVATURE_M)).min(1.0).asin();
    Metres(arc_m + 2.0 * bulge_m)
}

/// Cartesian metres from the Earth's centre.
fn in_space(place: Coord<f64>) -> [f64; 3] {
    let ((lng_sin, lng_cos), (lat_sin, lat_cos)) = (place.x.to_radians().sin_cos(), place.y.to_radians().sin_cos());
    let normal_m = EQUATOR_M / (1.0 - ECCENTRICITY_SQUARED * lat_sin * lat_sin).sqrt();
    [normal_m * lat_cos * lng_cos, normal_m * lat_cos * lng_sin, normal_m * (1.0 - ECCENTRICITY_SQUARED) * lat_sin]
}

fn rings(polygon: &Polygon<f64>) -> impl Iterator<Item = &LineString<f64>> {
    std::iter::once(polygon.exterior()).chain(polygon.interiors())
}

fn edges(area: &MultiPolygon<f64>) -> impl Iterator<Item = (Coord<f64>, Coord<f64>)> {
    area.iter().flat_map(rings).flat_map(|ring| ring.0.windows(2).map(|edge| (edge[0], edge[1])))
}

/// A length in metres that an edge does not have more of.
fn longest_m(a: Coord<f64>, b: Coord<f64>) -> f64 {
    let crosses_equator = a.y.signum() * b.y.signum() < 0.0;
    let nearest_equator_deg = if crosses_equator { 0.0 } else { a.y.abs().min(b.y.abs()) };
    let [lat_m, lng_m] = DEGREE_M;
    // Longitude is divided by more than a sphere would: the spheroid's parallels are up to 0.34 % longer.
    ((b.y - a.y) * lat_m).hypot((b.x - a.x) * lng_m * 1.0034 * nearest_equator_deg.to_radians().cos())
}

/// In what steps to follow a border: a quarter of a cell, or longer so that they stay few.
fn step_m(area: &MultiPolygon<f64>, corner_m: f64) -> f64 {
    let length_m: f64 = edges(area).map(|(a, b)| longest_m(a, b)).sum();
    (corner_m / 2.0).max(length_m / MAX_STEPS)
}

/// Positions on an edge such that none of its positions is more than half of `step_m` from one of them.
fn steps(a: Coord<f64>, b: Coord<f64>, step_m: f64) -> impl Iterator<Item = LatLng> {
    let pieces = (longest_m(a, b) / step_m).ceil().max(1.0);
    along(a, b, pieces, 0.5).filter_map(|place| LatLng::new(place.y, place.x).ok())
}

/// One place in each of the equal `pieces` of an edge, `offset` of a piece after its beginning.
fn along(a: Coord<f64>, b: Coord<f64>, pieces: f64, offset: f64) -> impl Iterator<Item = Coord<f64>> {
    let places = std::iter::successors(Some(offset), |at| Some(at + 1.0)).take_while(move |&at| at < pieces);
    places.map(move |at| a + (b - a) * (at / pieces))
}

/// Whether a position that is not on the border is inside.
fn contains(area: &MultiPolygon<f64>, position: LatLng) -> bool {
    let (x, y) = (position.lng_deg(), position.lat_deg());
    let crosses = |edge: &&[Coord<f64>]| {
        let (a, b) = (edge[0], edge[1]);
        (a.y > y) != (b.y > y) && x < a.x + (b.x - a.x) * (y - a.y) / (b.y - a.y)
    };
    area.iter().any(|polygon| rings(polygon).flat_map(|ring| ring.0.windows(2)).filter(crosses).count() % 2 == 1)
}

/// The cells whose centres lie within `reach_m` of a position, found from neighbour to neighbour; `None` when
/// there are more than `most`.
fn flood(centre: LatLng, resolution: Resolution, reach_m: f64, most: usize) -> Option<Vec<Cell>> {
    let start = Cell::at(centre, resolution);
    let (mut seen, mut waiting, mut cells) = (HashSet::from([start]), VecDeque::from([start]), Vec::new());
    while let Some(cell) = waiting.pop_front() {
        cells.push(cell);
        if cells.len() > most {
            return None;
        }
        for neighbour in cell.disk(1) {
            if seen.insert(neighbour) && neighbour.sphere_distance(centre).0 <= reach_m {
                waiting.push_back(neighbour);
            }
        }
    }
    Some(cells)
}

#[cfg(test)]
mod tests {
    use super::*;
    use geo_types::{Rect, coord};
    use geographiclib_rs::{DirectGeodesic, Geodesic, InverseGeodesic};
    use proptest::prelude::*;
    use rstest::rstest;

    /// The position so far from a place on the spheroid.
    fn away(place: Coord<f64>, azimuth_deg: f64, distance_m: f64) -> LatLng {
        let (lat_deg, lng_deg): (f64, f64) = Geodesic::wgs84().direct(place.y, place.x, azimuth_deg, distance_m);
        LatLng::new(lat_deg, (lng_deg + 540.0).rem_euclid(360.0) - 180.0).expect("on Earth")
    }

    #[rstest]
    #[case(52.5, 13.4, 300.0, 9)]
    #[case(52.5, 13.4, 5_000.0, 9)]
    #[case(-17.0, 179.99, 40_000.0, 7)]
    #[case(0.0, 0.0, 250_000.0, 5)]
    #[case(90.0, 0.0, 50_000.0, 7)]
    #[case(-89.9, 100.0, 999_990.0, 5)]
    fn every_position_of_the_circle_is_in_a_cell(
        #[case] lat_deg: f64,
        #[case] lng_deg: f64,
        #[case] radius_m: f64,
        #[case] resolution: u8,
    ) {
        let centre = LatLng::new(lat_deg, lng_deg).expect("on Earth");
        let cells: HashSet<Cell> = circle_cells(centre, Metres(radius_m)).into_iter().collect();
        assert!(cells.iter().all(|cell| u8::from(cell.resolution()) == resolution), "{} cells", cells.len());
        for i in 0..2_000_u32 {
            let azimuth_deg = f64::from(i) * 137.507_764;
            let distance_m = radius_m * if i % 3 == 0 { 1.0 } else { (f64::from(i) / 2_000.0).sqrt() };
            let position = away(coord! { x: lng_deg, y: lat_deg }, azimuth_deg, distance_m);
            let cell = Cell::at(position, Resolution::try_from(resolution).expect("a resolution"));
            assert!(cells.contains(&cell), "{position:?} at {distance_m} m");
        }
    }

    fn boxes(bounds: &[[f64; 4]]) -> MultiPolygon<f64> {
        let corners = |&[west, south, east, north]: &[f64; 4]| (coord! { x: west, y: south }, coord! { x: east, y: north });
        MultiPolygon(bounds.iter().map(corners).map(|(a, b)| Rect::new(a, b).to_polygon()).collect())
    }

    /// Cells as a set, of which it is sure that no position asked for is outside: places spread over the edges and
    /// all of `margin` away from there.
    fn covered(area: &MultiPolygon<f64>, margin_m: f64) -> HashSet<Cell> {
        let cells: HashSet<Cell> = area_cells(area, Metres(margin_m)).into_iter().collect();
        let resolution = cells.iter().next().expect("some cells").resolution();
        for (i, (a, b)) in edges(area).enumerate() {
            for (j, place) in along(a, b, 97.0, 0.0).chain([b]).enumerate() {
                let azimuth_deg = f64::from(u32::try_from(i * 98 + j).expect("a few")) * 137.507_764;
                let position = away(place, azimuth_deg, margin_m);
                assert!(cells.contains(&Cell::at(position, resolution)), "{margin_m} m from {place:?} at {azimuth_deg}");
            }
        }
        cells
    }

    fn resolutions(cells: &HashSet<Cell>) -> Vec<u8> {
        cells.iter().map(|cell| u8::from(cell.resolution())).collect::<std::collections::BTreeSet<_>>().into_iter().collect()
    }

    #[rstest]
    #[case::city(&[[13.3, 52.4, 13.5, 52.6]], 500.0, 7)]
    #[case::quarter(&[[13.3, 52.4, 13.35, 52.43]], 500.0, 9)]
    #[case::country(&[[6.0, 47.0, 15.0, 55.0]], 500.0, 5)]
    #[case::antimeridian(&[[179.9, -17.1, 180.0, -17.0], [-180.0, -17.1, -179.9, -17.0]], 500.0, 7)]
    #[case::touching_the_antimeridian(&[[-180.0, 60.0, -179.99, 60.01]], 3_000.0, 9)]
    #[case::arctic(&[[-180.0, 85.0, 180.0, 90.0]], 500.0, 5)]
    #[case::around_the_pole(&[[-180.0, 89.99, 180.0, 90.0]], 500.0, 9)]
    #[case::around_the_south_pole(&[[-180.0, -90.0, 180.0, -89.7]], 5_000.0, 7)]
    #[case::half_of_the_arctic(&[[0.0, 89.6, 180.0, 90.0]], 500.0, 7)]
    #[case::sliver(&[[13.0, 52.0, 14.0, 52.000_000_1]], 0.0, 9)]
    #[case::speck(&[[13.0, 52.0, 13.000_000_1, 52.000_000_1]], 0.0, 9)]
    #[case::two_apart(&[[0.0, 0.0, 0.01, 0.01], [20.0, 0.0, 20.01, 0.01]], 500.0, 9)]
    #[case::wide_margin(&[[13.0, 52.0, 13.1, 52.1]], 100_000.0, 5)]
    fn every_position_of_a_box_is_in_a_cell(#[case] bounds: &[[f64; 4]], #[case] margin_m: f64, #[case] resolution: u8) {
        let area = boxes(bounds);
        let cells = covered(&area, margin_m);
        assert_eq!(resolutions(&cells), [resolution], "{} cells", cells.len());
        assert!(cells.len() <= MAX_CELLS || resolution == 5, "{} cells", cells.len());
        let part = |i: u32, factor: f64| (f64::from(i) * factor).fract();
        for &[west, south, east, north] in bounds {
            for i in 0..2_000 {
                let (lat_deg, lng_deg) = (south + (north - south) * part(i, 0.618_034), west + (east - west) * part(i, 0.754_878));
                let cell = Cell::at(LatLng::new(lat_deg, lng_deg).expect("on Earth"), Resolution::try_from(resolution).expect("good"));
                assert!(cells.contains(&cell), "{lat_deg}, {lng_deg}");
            }
        }
    }

    #[test]
    fn a_hole_is_left_out_but_for_its_border() {
        let mut area = boxes(&[[13.0, 52.0, 13.1, 52.1]]);
        area.0[0].interiors_push(boxes(&[[13.02, 52.02, 13.08, 52.08]]).0[0].exterior().clone());
        let cells = covered(&area, 500.0);
        assert_eq!(resolutions(&cells), [9]);
        let has = |lat_deg, lng_deg| cells.contains(&Cell::at(LatLng::new(lat_deg, lng_deg).expect("on Earth"), Resolution::Nine));
        assert!(has(52.01, 13.01) && has(52.02, 13.05) && !has(52.05, 13.05));
        // A hole that is no larger than a cell's neighbourhood leaves nothing out.
        area.0[0].interiors_push(boxes(&[[13.01, 52.01, 13.010_1, 52.010_1]]).0[0].exterior().clone());
        assert!(covered(&area, 0.0).len() < cells.len());
    }

    #[test]
    fn what_is_no_place_has_no_cells() {
        assert!(area_cells(&MultiPolygon(Vec::new()), Metres(500.0)).is_empty());
    }

    #[test]
    fn the_most_crooked_area_is_followed_in_few_steps() {
        let ends = |i: u32| coord! { x: f64::from(i % 2) * 12.0, y: f64::from(i) * 0.012 };
        let corners = (0..998).map(ends).chain([coord! { x: -1.0, y: 6.0 }]).collect();
        let area = MultiPolygon(vec![Polygon::new(LineString(corners), Vec::new())]);
        for (_, corner_m) in RESOLUTIONS {
            let step_m = step_m(&area, corner_m);
            assert!(edges(&area).flat_map(|(a, b)| steps(a, b, step_m)).count() <= 21_000);
        }
        // All that a border like this leaves out is less than a cell wide.
        let box_cells = area_cells(&boxes(&[[0.0, 0.0, 12.0, 12.0]]), Metres(500.0)).len();
        assert!((box_cells..box_cells * 3 / 2).contains(&area_cells(&area, Metres(500.0)).len()));
    }

    #[rstest]
    #[case::degree_of_latitude(&[[5.0, 0.0, 5.000_001, 1.0]], 110_574.0)]
    #[case::along_the_equator(&[[0.0, 0.0, 20.0, 0.000_001]], 2_226_390.0)]
    #[case::arctic(&[[-180.0, 85.0, 180.0, 90.0]], 1_116_826.0)]
    #[case::antimeridian(&[[179.0, 0.0, 180.0, 0.000_001], [-180.0, 0.0, -179.0, 0.000_001]], 222_639.0)]
    #[case::belt(&[[-180.0, -1.0, 180.0, 1.0]], 19_903_000.0)]
    #[case::nowhere(&[], 0.0)]
    fn an_area_is_as_far_across_as_its_farthest_positions(#[case] bounds: &[[f64; 4]], #[case] expected_m: f64) {
        let Metres(across_m) = across(&boxes(bounds));
        assert!(across_m >= expected_m - 1.0 && across_m <= expected_m * 1.000_2 + 300.0, "{across_m}");
    }

    /// A star around a place: its corners, on a flat map, and a hole of the same form a third as large.
    fn star() -> impl Strategy<Value = (Coord<f64>, Vec<Coord<f64>>, bool)> {
        let radius_m = (50.0_f64.ln()..300_000.0_f64.ln()).prop_map(f64::exp);
        let spikes = proptest::collection::vec(0.2..1.0_f64, 3..25);
        (-80.0..80.0_f64, -155.0..155.0_f64, radius_m, spikes, any::<bool>()).prop_map(|(lat_deg, lng_deg, radius_m, spikes, hole)| {
            let centre = coord! { x: lng_deg, y: lat_deg };
            let turn = std::f64::consts::TAU / f64::from(u32::try_from(spikes.len()).expect("a few"));
            let mut angle = -turn;
            let corner = |spike: f64| {
                angle += turn;
                let (sin, cos) = angle.sin_cos();
                let reach_deg = radius_m * spike / 111_320.0;
                centre + coord! { x: reach_deg * sin / lat_deg.to_radians().cos(), y: reach_deg * cos }
            };
            (centre, spikes.into_iter().map(corner).collect(), hole)
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn every_position_of_a_star_and_around_it_is_in_a_cell(
            (centre, corners, hole) in star(),
            margin_m in prop_oneof![Just(0.0), 1.0..5_000.0_f64],
            spread in proptest::collection::vec((any::<prop::sample::Index>(), 0.0..1.0_f64, 0.0..1.0_f64), 200),
        ) {
            let shrunk = |factor: f64| LineString(corners.iter().map(|&corner| centre + (corner - centre) * factor).collect());
            let interiors = if hole { vec![shrunk(1.0 / 3.0)] } else { Vec::new() };
            let area = MultiPolygon(vec![Polygon::new(shrunk(1.0), interiors)]);
            let cells = covered(&area, margin_m);
            let [resolution] = resolutions(&cells)[..] else { panic!("one resolution") };
            let resolution = Resolution::try_from(resolution).expect("a resolution");
            for (at, along, outwards) in spread {
                let i = at.index(corners.len());
                let (a, b) = (corners[i], corners[(i + 1) % corners.len()]);
                let outwards = if hole { (1.0 + 2.0 * outwards) / 3.0 } else { outwards };
                let inside = centre + (a + (b - a) * along - centre) * outwards;
                let inside = LatLng::new(inside.y, inside.x).expect("on Earth");
                prop_assert!(cells.contains(&Cell::at(inside, resolution)), "{inside:?}");
            }
            // None is far outside.
            let (_, corner_m) = RESOLUTIONS.into_iter().find(|(known, _)| *known == resolution).expect("one of ours");
            let border: Vec<LatLng> = edges(&area).flat_map(|(a, b)| steps(a, b, corner_m / 2.0)).collect();
            let near_m = (margin_m + 1.6 * corner_m) * SPHERE_SLACK;
            for cell in &cells {
                let near = || border.iter().any(|&place| cell.sphere_distance(place).0 <= near_m);
                prop_assert!(contains(&area, cell.centre()) || near(), "{cell}");
            }
        }

        #[test]
        fn a_star_is_never_farther_across_than_is_said((_, corners, _) in star()) {
            let area = MultiPolygon(vec![Polygon::new(LineString(corners), Vec::new())]);
            let places: Vec<Coord<f64>> = edges(&area).flat_map(|(a, b)| along(a, b, 4.0, 0.0)).collect();
            let distance_m = |a: &Coord<f64>, b: &Coord<f64>| -> f64 { Geodesic::wgs84().inverse(a.y, a.x, b.y, b.x) };
            let pairs = places.iter().flat_map(|a| places.iter().map(move |b| distance_m(a, b)));
            let (farthest_m, Metres(across_m)) = (pairs.fold(0.0, f64::max), across(&area));
            prop_assert!(across_m >= farthest_m - 0.001 && across_m <= farthest_m * 1.000_2 + 300.0, "{across_m} {farthest_m}");
        }
    }
}
