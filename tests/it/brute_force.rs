//! What `nearby` answers, against the distance of every decoration by GeographicLib: thousands of viewpoints
//! at poles, on the antimeridian, in crowds, and with decorations right at the limit.
//!
//! `AR_TEST_FULL=1` asks the full number.

use std::collections::HashMap;

use ar_supervisor::geo::LatLng;
use geographiclib_rs::{DirectGeodesic, Geodesic};

use crate::support::{Proof, Random, TestServer, geodesic, position, query_count};

/// How near to the limit an answer may go either way.
const TOLERANCE_M: f64 = 0.01;

fn crowd(random: &mut Random, number: usize) -> LatLng {
    match number % 16 {
        0 => position(random.between(89.0, 90.0), random.between(-180.0, 180.0)),
        1 => position(random.between(-90.0, -89.0), random.between(-180.0, 180.0)),
        2 => position(
            random.between(-1.0, 1.0),
            if random.below(2) == 0 { random.between(-180.0, -179.5) } else { random.between(179.5, 180.0) },
        ),
        3 => position(
            random.between(64.8, 65.2),
            if random.below(2) == 0 { random.between(-180.0, -179.0) } else { random.between(179.0, 180.0) },
        ),
        4 => position(random.between(48.0, 48.3), random.between(11.3, 11.8)),
        5 => *random.one_of(&[position(90.0, 0.0), position(-90.0, 0.0), position(0.0, 180.0), position(0.0, 0.0), position(65.0, 180.0)]),
        6..=8 => position(random.between(-0.3, 0.3), random.between(-0.3, 0.3)),
        9..=11 => position(random.between(-20.0, 20.0), 180.0),
        _ => position(random.between(-90.0, 90.0), random.between(-180.0, 180.0)),
    }
}

/// A viewer and a radius (metres) such that some decoration often lies right at the limit.
fn viewpoint(random: &mut Random, places: &[LatLng]) -> (LatLng, f64) {
    let target = *random.one_of(places);
    let reach_m = match random.below(12) {
        0 => 0.0,
        1 => 50_000.0,
        _ => 10.0_f64.powf(random.between(-1.0, 4.69)),
    };
    let (lat_deg, lng_deg): (f64, f64) = Geodesic::wgs84().direct(target.lat_deg(), target.lng_deg(), random.between(0.0, 360.0), reach_m);
    let viewer = position(lat_deg.clamp(-90.0, 90.0), lng_deg.clamp(-180.0, 180.0));
    let (distance_m, _) = geodesic(viewer, target);
    let slack_m = match random.below(4) {
        0 => TOLERANCE_M * 1.5,
        1 => -TOLERANCE_M * 1.5,
        2 => 0.0,
        _ => random.between(-100.0, 100.0),
    };
    (viewer, (distance_m + slack_m).clamp(0.0, 50_000.0))
}

/// A place on the unit sphere, for telling at once what is surely too far.
fn unit_vector(place: LatLng) -> [f64; 3] {
    let (lat, lng) = (place.lat_deg().to_radians(), place.lng_deg().to_radians());
    [lat.cos() * lng.cos(), lat.cos() * lng.sin(), lat.sin()]
}

/// Square of the chord beyond which a place is surely farther than `radius_m`: the sphere is at most 0.56 %
/// off, and 1 % is allowed for.
fn far_chord_squared(radius_m: f64) -> f64 {
    (2.0 * ((radius_m * 1.01 + 1.0) / 6_371_008.8 / 2.0).sin()).powi(2)
}

#[tokio::test]
async fn nearby_equals_brute_force() {
    let t = TestServer::start().await;
    let mut random = Random::seeded("nearby against brute force");
    let places: Vec<LatLng> = (0..2_000).map(|number| crowd(&mut random, number)).collect();
    let ids = t.decoration("").insert_at_each(&places).await;
    let known: Vec<(LatLng, [f64; 3], String)> =
        places.iter().zip(ids).map(|(place, id)| (*place, unit_vector(*place), id.to_string())).collect();
    let tries = query_count(100_000);
    let mut proof = Proof::of("P14", "viewpoints against GeographicLib").seeded(random.seed());
    let (mut wrong, mut found, mut at_limit) = (Vec::new(), 0, 0);
    for _ in 0..tries {
        let (viewer, radius_m) = viewpoint(&mut random, &places);
        let asked = format!("lat={}&lng={}&radius={radius_m}", viewer.lat_deg(), viewer.lng_deg());
        let mut answered: HashMap<String, f64> = HashMap::new();
        let mut last = (0.0, String::new());
        for page in t.all_pages(&format!("/api/v1/decorations/nearby?{asked}&limit=500")).await {
            for item in page.items() {
                let (distance_m, id) =
                    (item["distance_meters"].as_f64().expect("a number"), item["id"].as_str().expect("an id").to_owned());
                if (distance_m, &id) <= (last.0, &last.1) {
                    wrong.push(format!("{asked}: {id} at {distance_m} m comes after {last:?}"));
                }
                last = (distance_m, id.clone());
                answered.insert(id, distance_m);
            }
        }
        found += answered.len();
        let (from, far) = (unit_vector(viewer), far_chord_squared(radius_m));
        for (place, to, id) in &known {
            let is_far = (from[0] - to[0]).powi(2) + (from[1] - to[1]).powi(2) + (from[2] - to[2]).powi(2) > far;
            if is_far && !answered.contains_key(id) {
                continue;
            }
            let answer = answered.remove(id);
            let (distance_m, _) = geodesic(viewer, *place);
            if (distance_m - radius_m).abs() <= TOLERANCE_M * 2.0 {
                at_limit += 1;
            }
            match answer {
                Some(answer_m) if (answer_m - distance_m).abs() > 1e-4 => {
                    wrong.push(format!("{asked}: {place:?} is {distance_m} m away, not {answer_m}"));
                }
                Some(_) if distance_m > radius_m + TOLERANCE_M => wrong.push(format!("{asked}: {place:?} at {distance_m} m is too far")),
                None if distance_m < radius_m - TOLERANCE_M => wrong.push(format!("{asked}: {place:?} at {distance_m} m is missing")),
                _ => {}
            }
        }
        wrong.extend(answered.keys().map(|id| format!("{asked}: {id} is nowhere")));
    }
    proof.tried(tries);
    proof.failed(wrong.len());
    proof.measured(format!("{found} decorations found, {at_limit} within 2 cm of the limit"));
    println!("{tries} tries, {} failures; {found} decorations found, {at_limit} within 2 cm of the limit", wrong.len());
    assert!(wrong.is_empty(), "{} of {tries}: {:#?}", wrong.len(), &wrong[..wrong.len().min(20)]);
    assert!(at_limit > tries / 4, "the limit is really tried: {at_limit}");
}
