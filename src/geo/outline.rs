//! Rings on the sphere made into polygons on a flat map.

use geo_types::{Coord, LineString, MultiPolygon, Polygon};

/// The polygon of a ring of degrees whose corners are less than 180° of longitude apart on the sphere.
/// A ring across the antimeridian becomes two polygons; one around a pole is closed along that pole.
pub(super) fn of(ring: &[Coord<f64>]) -> MultiPolygon<f64> {
    let unrolled = unroll(ring);
    let turn_deg = last_x(&unrolled) - unrolled.first().map_or(0.0, |corner| corner.x);
    if turn_deg.abs() > 180.0 {
        return around_pole(unrolled);
    }
    let (west, east) = unrolled.iter().fold((f64::MAX, f64::MIN), |(w, e), corner| (w.min(corner.x), e.max(corner.x)));
    // After unrolling, a ring may leave [-180, 180] on one side only: by less than a full turn.
    let seam_deg = if east > 180.0 {
        180.0
    } else if west < -180.0 {
        -180.0
    } else {
        return MultiPolygon(vec![polygon(unrolled)]);
    };
    let inner = clip(&unrolled, |x| (x - seam_deg) * seam_deg.signum() <= 0.0, seam_deg);
    let mut outer = clip(&unrolled, |x| (x - seam_deg) * seam_deg.signum() >= 0.0, seam_deg);
    for corner in &mut outer {
        corner.x -= 2.0 * seam_deg;
    }
    MultiPolygon([inner, outer].into_iter().filter(|part| part.len() >= 3).map(polygon).collect())
}

/// The ring, its first corner again at the end, with longitudes that never jump.
fn unroll(ring: &[Coord<f64>]) -> Vec<Coord<f64>> {
    let mut unrolled: Vec<Coord<f64>> = Vec::with_capacity(ring.len() + 1);
    for &corner in ring.iter().chain(ring.first()) {
        let x = match unrolled.last() {
            // Whole turns, so that a corner keeps its digits and the ring ends exactly where it began.
            Some(before) => corner.x + 360.0 * ((before.x - corner.x) / 360.0).round(),
            None => corner.x,
        };
        unrolled.push(Coord { x, y: corner.y });
    }
    unrolled
}

fn last_x(ring: &[Coord<f64>]) -> f64 {
    ring.last().map_or(0.0, |corner| corner.x)
}

/// A ring that goes once around the Earth: cut at the antimeridian, closed along the pole.
fn around_pole(unrolled: Vec<Coord<f64>>) -> MultiPolygon<f64> {
    let pole_deg = if unrolled.iter().map(|corner| corner.y).sum::<f64>() > 0.0 { 90.0 } else { -90.0 };
    let mut corners = unrolled;
    corners.pop();
    for corner in &mut corners {
        corner.x = (corner.x + 180.0).rem_euclid(360.0) - 180.0;
    }
    corners.sort_by(|a, b| a.x.total_cmp(&b.x));
    let (Some(first), Some(last)) = (corners.first().copied(), corners.last().copied()) else {
        return MultiPolygon(Vec::new());
    };
    // Latitude of the edge between the last and the first corner where it crosses the antimeridian.
    let span_deg = first.x + 360.0 - last.x;
    let seam_lat_deg = if span_deg > 0.0 { last.y + (first.y - last.y) * (180.0 - last.x) / span_deg } else { first.y };
    corners.insert(0, Coord { x: -180.0, y: seam_lat_deg });
    corners.insert(0, Coord { x: -180.0, y: pole_deg });
    corners.push(Coord { x: 180.0, y: seam_lat_deg });
    corners.push(Coord { x: 180.0, y: pole_deg });
    MultiPolygon(vec![polygon(corners)])
}

/// The part of a closed ring on one side of a meridian (Sutherland–Hodgman on one edge).
fn clip(closed: &[Coord<f64>], keep: impl Fn(f64) -> bool, seam_deg: f64) -> Vec<Coord<f64>> {
    let mut kept = Vec::with_capacity(closed.len() + 2);
    for edge in closed.windows(2) {
        let (a, b) = (edge[0], edge[1]);
        if keep(a.x) {
            kept.push(a);
        }
        if keep(a.x) != keep(b.x) {
            kept.push(Coord { x: seam_deg, y: a.y + (b.y - a.y) * (seam_deg - a.x) / (b.x - a.x) });
        }
    }
    kept
}

fn polygon(corners: Vec<Coord<f64>>) -> Polygon<f64> {
    // The constructor closes the ring.
    Polygon::new(LineString(corners), Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;
    use h3o::{CellIndex, Resolution};

    fn outlines(resolution: Resolution) -> Vec<(CellIndex, MultiPolygon<f64>)> {
        CellIndex::base_cells()
            .flat_map(|base| base.children(resolution).collect::<Vec<_>>())
            .map(|cell| (cell, crate::geo::Cell::from_db(u64::from(cell).cast_signed()).expect("a cell").outline()))
            .collect()
    }

    /// Twice the signed area in square degrees.
    fn shoelace(polygon: &Polygon<f64>) -> f64 {
        polygon.exterior().0.windows(2).map(|e| e[0].x * e[1].y - e[1].x * e[0].y).sum()
    }

    #[test]
    fn all_cells_of_a_resolution_tile_the_flat_map() {
        for resolution in [Resolution::Zero, Resolution::One, Resolution::Two] {
            let outlines = outlines(resolution);
            let area: f64 = outlines.iter().flat_map(|(_, outline)| &outline.0).map(|p| shoelace(p).abs() / 2.0).sum();
            assert!((area - 360.0 * 180.0).abs() < 1.0, "{resolution}: {area}");
            for (cell, outline) in outlines {
                for polygon in &outline.0 {
                    for corner in &polygon.exterior().0 {
                        assert!(corner.x.abs() <= 180.0 && corner.y.abs() <= 90.0, "{cell}: {corner:?}");
                    }
                    for edge in polygon.exterior().0.windows(2) {
                        let along_pole = edge[0].y.abs() >= 90.0 && edge[1].y.abs() >= 90.0;
                        assert!(along_pole || (edge[0].x - edge[1].x).abs() < 180.0, "{cell} jumps");
                    }
                }
            }
        }
    }
}
