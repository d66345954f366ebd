//! `GET /decorations/bounds`: plain intervals of latitude and longitude, edges included, and the seams of the map.

use uuid::Uuid;

use crate::support::{Random, TestServer, position};

async fn with(places: &[(&str, f64, f64)]) -> TestServer {
    let t = TestServer::start().await;
    for (name, lat, lng) in places {
        t.decoration(name).at(*lat, *lng).insert().await;
    }
    t
}

async fn sorted_names(t: &TestServer, bounds: [f64; 4]) -> Vec<String> {
    let mut names = t.bounds(bounds).await.names();
    names.sort();
    names
}

#[tokio::test]
async fn edges_belong_to_the_box_to_the_eighth_decimal() {
    let t = with(&[("corner", 10.123_456_78, 20.123_456_78)]).await;
    let hair = 0.000_000_01;
    let (lat, lng) = (10.123_456_78, 20.123_456_78);
    for inside in
        [[lat, lng, lat + 1.0, lng + 1.0], [lat - 1.0, lng - 1.0, lat, lng], [lat, lng - 1.0, lat + 1.0, lng], [lat, lng, lat, lng]]
    {
        assert_eq!(sorted_names(&t, inside).await, ["corner"], "{inside:?}");
    }
    for outside in [
        [lat + hair, lng - 1.0, lat + 1.0, lng + 1.0],
        [lat - 1.0, lng - 1.0, lat - hair, lng + 1.0],
        [lat - 1.0, lng + hair, lat + 1.0, lng + 1.0],
        [lat - 1.0, lng - 1.0, lat + 1.0, lng - hair],
    ] {
        assert!(sorted_names(&t, outside).await.is_empty(), "{outside:?}");
    }
}

#[tokio::test]
async fn a_box_may_cross_the_antimeridian() {
    let t = with(&[("fiji", -17.0, 179.0), ("samoa", -14.0, -172.0), ("london", 51.5, 0.0), ("dateline", -15.0, 180.0)]).await;
    assert_eq!(sorted_names(&t, [-20.0, 178.0, -10.0, -170.0]).await, ["dateline", "fiji", "samoa"]);
    assert_eq!(sorted_names(&t, [-20.0, -173.0, -10.0, 179.5]).await, ["fiji", "samoa"]);
    assert_eq!(sorted_names(&t, [-90.0, 1.0, 90.0, -1.0]).await, ["dateline", "fiji", "samoa"]);
}

#[tokio::test]
async fn a_box_may_be_wider_than_half_the_world() {
    let t = with(&[("tokyo", 35.7, 139.7), ("lima", -12.0, -77.0), ("paris", 48.9, 2.35), ("apia", -13.8, -171.8)]).await;
    assert_eq!(sorted_names(&t, [-90.0, -180.0, 90.0, 180.0]).await, ["apia", "lima", "paris", "tokyo"]);
    assert_eq!(sorted_names(&t, [-90.0, -170.0, 90.0, 170.0]).await, ["lima", "paris", "tokyo"]);
    assert_eq!(sorted_names(&t, [0.0, -100.0, 90.0, 100.0]).await, ["paris"]);
    assert_eq!(sorted_names(&t, [-90.0, 100.0, 90.0, -60.0]).await, ["apia", "lima", "tokyo"]);
}

#[tokio::test]
async fn plus_and_minus_180_are_one_meridian() {
    let t = with(&[("dateline", 5.0, -180.0), ("west", 5.0, -179.0), ("east", 5.0, 179.0)]).await;
    for bounds in [[0.0, 180.0, 10.0, 180.0], [0.0, -180.0, 10.0, -180.0], [0.0, 180.0, 10.0, -180.0]] {
        assert_eq!(sorted_names(&t, bounds).await, ["dateline"], "{bounds:?}");
    }
    assert_eq!(sorted_names(&t, [0.0, -180.0, 10.0, -179.0]).await, ["dateline", "west"]);
    assert_eq!(sorted_names(&t, [0.0, 179.0, 10.0, 180.0]).await, ["dateline", "east"]);
    assert_eq!(sorted_names(&t, [0.0, 179.0, 10.0, -180.0]).await, ["dateline", "east"]);
    assert_eq!(sorted_names(&t, [0.0, 180.0, 10.0, -179.0]).await, ["dateline", "west"]);
    assert_eq!(sorted_names(&t, [0.0, -180.0, 10.0, 180.0]).await, ["dateline", "east", "west"]);
}

#[tokio::test]
async fn a_pole_is_in_every_box_that_touches_it() {
    let t = with(&[("north", 90.0, 33.0), ("south", -90.0, -33.0)]).await;
    for (west, east) in [(-180.0, 180.0), (100.0, 110.0), (-180.0, -180.0), (170.0, -170.0), (0.0, 0.0), (77.0, 77.0)] {
        assert_eq!(sorted_names(&t, [80.0, west, 90.0, east]).await, ["north"], "{west} to {east}");
        assert_eq!(sorted_names(&t, [90.0, west, 90.0, east]).await, ["north"], "{west} to {east}");
        assert_eq!(sorted_names(&t, [-90.0, west, -80.0, east]).await, ["south"], "{west} to {east}");
        assert_eq!(sorted_names(&t, [-90.0, west, 90.0, east]).await, ["north", "south"], "{west} to {east}");
        assert!(sorted_names(&t, [-89.999_999_99, west, 89.999_999_99, east]).await.is_empty(), "{west} to {east}");
    }
}

#[tokio::test]
async fn a_box_of_zero_area_is_a_line_or_a_point() {
    let t = with(&[("on", 1.0, 2.0), ("off", 1.0, 2.000_000_01)]).await;
    assert_eq!(sorted_names(&t, [1.0, 2.0, 1.0, 2.0]).await, ["on"]);
    assert_eq!(sorted_names(&t, [1.0, -180.0, 1.0, 180.0]).await, ["off", "on"]);
    assert_eq!(sorted_names(&t, [-90.0, 2.0, 90.0, 2.0]).await, ["on"]);
}

#[tokio::test]
async fn items_are_ordered_by_id() {
    let t = TestServer::start().await;
    for last in [7_u128, 1, 9, 3] {
        t.decoration(&last.to_string()).id(Uuid::from_u128(last)).at(1.0, 1.0).insert().await;
    }
    assert_eq!(t.bounds([0.0, 0.0, 2.0, 2.0]).await.names(), ["1", "3", "7", "9"]);
}

#[tokio::test]
async fn random_boxes_hold_what_brute_force_says() {
    let t = TestServer::start().await;
    let mut random = Random::seeded("boxes");
    let seams = [-180.0, 180.0, 0.0, 90.0, -90.0, 179.999_999_99, -179.999_999_99, 89.999_999_99, -89.999_999_99];
    let mut degrees = |most: f64| {
        let seam = *random.one_of(&seams);
        if f64::abs(seam) <= most && random.below(4) == 0 { seam } else { random.between(-most, most) }
    };
    let places: Vec<_> = (0..600).map(|_| position(degrees(90.0), degrees(180.0))).collect();
    let ids = t.decoration("").insert_at_each(&places).await;
    for _ in 0..150 {
        let (a, b) = (degrees(90.0), degrees(90.0));
        let (south, north, west, east) = (a.min(b), a.max(b), degrees(180.0), degrees(180.0));
        let (south, north) = (position(south, 0.0).lat_deg(), position(north, 0.0).lat_deg());
        let round = |deg: f64| (deg * 1e8).round() / 1e8;
        let (west, east) = (round(west), round(east));
        let holds = |lat: f64, lng: f64| {
            let on = |lng: f64| if west <= east { (west..=east).contains(&lng) } else { lng >= west || lng <= east };
            (south..=north).contains(&lat) && (lat.abs() == 90.0 || on(lng) || (lng == 180.0 && on(-180.0)))
        };
        let mut expected: Vec<String> =
            places.iter().zip(&ids).filter(|(place, _)| holds(place.lat_deg(), place.lng_deg())).map(|(_, id)| id.to_string()).collect();
        expected.sort();
        assert_eq!(t.bounds([south, west, north, east]).await.texts("id"), expected, "south {south} west {west} north {north} east {east}");
    }
}
