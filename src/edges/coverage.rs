//! Which H3 cells an edge's area touches: the index by which a position finds its candidates.

use std::collections::{HashSet, VecDeque};

use h3o::Resolution;

use crate::geo::{Cell, LatLng, Metres};

/// Most cells an area is covered with; a larger one takes a coarser resolution.
const MAX_CELLS: usize = 2_000;

/// Resolutions that positions are looked up at, finest first, with an upper bound of the distance in metres
/// from a cell's centre to its corners (H3's cells are largest in the middle of an icosahedron's face).
const RESOLUTIONS: [(Resolution, f64); 3] = [(Resolution::Nine, 260.0), (Resolution::Seven, 1_800.0), (Resolution::Five, 12_500.0)];

/// h3o measures on a sphere; the spheroid's distances differ by 0.56 % at most.
const SPHERE_SLACK: f64 = 1.006;

/// Cells that hold every position within `radius` of `centre`, at the finest of resolutions 9, 7 and 5 that
/// needs at most 2,000, else at 5. Anywhere on Earth, the poles and the antimeridian included; some cells
/// just outside may be among them.
#[must_use]
pub fn circle_cells(centre: LatLng, radius: Metres) -> Vec<Cell> {
    let covers =
        |(resolution, corner_m): (Resolution, f64), most: usize| flood(centre, resolution, (radius.0 + corner_m) * SPHERE_SLACK, most);
    let [fine, medium, coarse] = RESOLUTIONS;
    covers(fine, MAX_CELLS).or_else(|| covers(medium, MAX_CELLS)).or_else(|| covers(coarse, usize::MAX)).unwrap_or_default()
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
    use geographiclib_rs::{DirectGeodesic, Geodesic};
    use rstest::rstest;

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
            let (lat_deg, lng_deg): (f64, f64) = Geodesic::wgs84().direct(lat_deg, lng_deg, azimuth_deg, distance_m);
            let position = LatLng::new(lat_deg, (lng_deg + 540.0).rem_euclid(360.0) - 180.0).expect("on Earth");
            let cell = Cell::at(position, Resolution::try_from(resolution).expect("a resolution"));
            assert!(cells.contains(&cell), "{position:?} at {distance_m} m");
        }
    }
}
