//! Positions and boxes: faults that lie between parameters.

use super::api::{Route, served};

/// Routes that take a box.
fn with_box(routes: Vec<Route>) -> Vec<Route> {
    let boxed: Vec<Route> = routes.into_iter().filter(|route| route.query.iter().any(|parameter| parameter.name == "min_lat")).collect();
    assert!(boxed.len() >= 2);
    boxed
}

#[tokio::test]
async fn swapped_coordinates_get_a_hint() {
    let (t, routes) = served().await;
    for route in routes.iter().filter(|route| route.query.iter().any(|parameter| parameter.name == "lat")) {
        let answer = t.get(&route.with(&[("lat", "139.7"), ("lng", "35.6")])).await;
        assert_eq!(answer.faulty_fields(422), ["lat"]);
        assert!(answer.text().contains("swapped"), "{}", answer.text());
        for (lat, lng) in [("95", "95"), ("95", "200"), ("-91", "-91")] {
            let answer = t.get(&route.with(&[("lat", lat), ("lng", lng)])).await;
            assert!(!answer.text().contains("swapped"), "swapping {lat} and {lng} does not help: {}", answer.text());
        }
        let answer = t.get(&route.with(&[("lat", "95"), ("lng", "200")])).await;
        assert_eq!(answer.faulty_fields(422), ["lat", "lng"]);
    }
}

#[tokio::test]
async fn a_box_with_its_south_in_the_north_is_out_of_domain() {
    let (t, routes) = served().await;
    for route in with_box(routes) {
        for (min_lat, max_lat) in [("55.1", "47.2"), ("90", "-90"), ("0.00000001", "0"), ("1e-300", "0")] {
            let answer = t.get(&route.with(&[("min_lat", min_lat), ("max_lat", max_lat)])).await;
            assert!(answer.faulty_fields(422).contains(&"min_lat".to_owned()), "{min_lat} to {max_lat}: {}", answer.text());
        }
        let answer = t.get(&route.with(&[("min_lat", "10"), ("max_lat", "5"), ("max_lng", "181")])).await;
        assert_eq!(answer.faulty_fields(422), ["max_lng", "min_lat"], "both faults are named");
    }
}

#[tokio::test]
async fn a_part_of_a_box_cannot_be_read() {
    let (t, routes) = served().await;
    let corners = ["min_lat=47", "max_lat=55", "min_lng=5", "max_lng=15"];
    for route in with_box(routes) {
        for chosen in 0..15_u32 {
            let given: Vec<&str> =
                corners.iter().enumerate().filter(|(bit, _)| chosen & (1 << bit) != 0).map(|(_, corner)| *corner).collect();
            let mut missing: Vec<String> = corners
                .iter()
                .filter(|corner| !given.contains(corner))
                .map(|corner| corner.split('=').next().expect("a name").to_owned())
                .collect();
            missing.sort();
            let answer = t.get(&format!("{}?{}", route.path, given.join("&"))).await;
            assert_eq!(answer.faulty_fields(400), missing);
        }
    }
}

#[tokio::test]
async fn lines_points_and_wide_boxes_are_boxes() {
    let (t, routes) = served().await;
    for route in with_box(routes) {
        for [south, west, north, east] in [
            ["1", "1", "1", "1"],
            ["-90", "-180", "90", "180"],
            ["1", "170", "2", "-170"],
            ["-1", "-179", "1", "179"],
            ["90", "0", "90", "0"],
        ] {
            t.get(&route.with(&[("min_lat", south), ("min_lng", west), ("max_lat", north), ("max_lng", east)])).await.ok();
        }
    }
}
