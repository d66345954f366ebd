//! `GET /decorations/nearby`: order, figures and the hard places of the Earth.

use uuid::Uuid;

use crate::support::{TestServer, geodesic, position};

#[tokio::test]
async fn nearby_sees_across_the_antimeridian() {
    let t = TestServer::start().await;
    t.decoration("buoy").at(0.0, 179.9999).insert().await;
    assert_eq!(t.nearby(0.0, -179.9999, 50.0).await.names(), ["buoy"]); // 22.3 m apart
    assert!(t.nearby(0.0, -179.9999, 22.0).await.names().is_empty());
}

#[tokio::test]
async fn nearby_sees_across_both_poles() {
    let t = TestServer::start().await;
    for (name, lat) in [("north", 89.9999), ("south", -89.9999)] {
        t.decoration(name).at(lat, 0.0).insert().await;
        assert_eq!(t.nearby(lat, 180.0, 50.0).await.names(), [name]); // 22.3 m apart, over the pole
        assert!(t.nearby(lat, 180.0, 22.0).await.names().is_empty());
    }
}

#[tokio::test]
async fn a_place_is_one_however_its_longitude_is_spelled() {
    let t = TestServer::start().await;
    t.decoration("dateline").at(-16.5, -180.0).insert().await;
    t.decoration("pole").at(90.0, 77.0).insert().await;
    t.decoration("null island").at(-0.0, -0.0).insert().await;
    for lng in ["180", "-180", "179.99999999999", "-180.0", "1.8e2"] {
        let answer = t.get(&format!("/api/v1/decorations/nearby?lat=-16.5&lng={lng}&radius=0")).await.ok();
        assert_eq!(answer.names(), ["dateline"], "{lng}");
        assert_eq!(answer.numbers("lng"), [180.0], "{lng}");
        assert_eq!(answer.body, t.get("/api/v1/decorations/nearby?lat=-16.5&lng=180&radius=0").await.ok().body);
    }
    for lng in ["0", "-180", "180", "123.456", "-77"] {
        let answer = t.get(&format!("/api/v1/decorations/nearby?lat=90&lng={lng}&radius=0")).await.ok();
        assert_eq!((answer.names(), answer.numbers("lng")), (vec!["pole".to_owned()], vec![0.0]), "{lng}");
    }
    let answer = t.get("/api/v1/decorations/nearby?lat=-0.0&lng=-0.0&radius=0").await.ok();
    assert_eq!(answer.names(), ["null island"]);
    // As a number: ids have hyphens too.
    assert!(!answer.text().contains(":-0"), "{}", answer.text());
}

#[tokio::test]
async fn nearest_come_first_and_ties_by_id() {
    let t = TestServer::start().await;
    for (name, lat) in [("far", 0.003), ("near", 0.001), ("middle", -0.002)] {
        t.decoration(name).at(lat, 0.0).insert().await;
    }
    for last in [7_u128, 1, 9, 3] {
        t.decoration(&last.to_string()).id(Uuid::from_u128(last)).at(0.0005, 0.0).insert().await;
    }
    let answer = t.nearby(0.0, 0.0, 500.0).await;
    assert_eq!(answer.names(), ["1", "3", "7", "9", "near", "middle", "far"]);
    assert!(answer.numbers("distance_meters").is_sorted());
}

#[tokio::test]
async fn distances_and_bearings_are_those_of_geographiclib() {
    let t = TestServer::start().await;
    let viewers = [(52.52, 13.405), (0.0, 180.0), (-89.999, 45.0), (90.0, 0.0), (-90.0, 0.0), (0.0, 0.0), (-33.9, -179.9999)];
    for (viewer_lat, viewer_lng) in viewers {
        let viewer = position(viewer_lat, viewer_lng);
        for (south_north, west_east) in [(0.2, 0.0), (-0.2, 0.0), (0.0, 0.2), (0.0, -0.2), (0.0001, 0.0001), (-0.01, 0.02)] {
            let lat = (viewer_lat + south_north).clamp(-90.0, 90.0);
            let lng = (viewer_lng + west_east + 540.0_f64).rem_euclid(360.0) - 180.0;
            t.decoration("thing").at(lat, lng).insert().await;
        }
        for item in t.nearby(viewer_lat, viewer_lng, 50_000.0).await.items() {
            let number = |member: &str| item[member].as_f64().expect("a number");
            let (distance_m, bearing_deg) = geodesic(viewer, position(number("lat"), number("lng")));
            assert!((number("distance_meters") - distance_m).abs() < 1e-6, "{viewer:?} {item}");
            if distance_m == 0.0 {
                assert_eq!(number("bearing_degrees"), 0.0, "{viewer:?} {item}");
                continue;
            }
            assert!((0.0..360.0).contains(&number("bearing_degrees")), "{viewer:?} {item}");
            let turn_deg = (number("bearing_degrees") - bearing_deg + 540.0).rem_euclid(360.0) - 180.0;
            assert!(turn_deg.abs() < 1e-6, "{viewer:?} sees at {bearing_deg}: {item}");
        }
    }
}

#[tokio::test]
async fn radius_0_is_the_exact_point_and_50_km_the_most() {
    let t = TestServer::start().await;
    t.decoration("here").at(48.0, 11.0).insert().await;
    t.decoration("a hair away").at(48.000_000_01, 11.0).insert().await;
    t.decoration("49.9 km").at(48.0, 11.669).insert().await;
    t.decoration("50.1 km").at(48.0, 11.672).insert().await;
    assert_eq!(t.nearby(48.0, 11.0, 0.0).await.names(), ["here"]);
    assert_eq!(t.nearby(48.0, 11.0, 50_000.0).await.names(), ["here", "a hair away", "49.9 km"]);
}

#[tokio::test]
async fn a_radius_reaches_what_is_exactly_on_it() {
    let t = TestServer::start().await;
    t.decoration("rim").at(10.0, 20.001).insert().await;
    let (distance_m, _) = geodesic(position(10.0, 20.0), position(10.0, 20.001));
    assert_eq!(t.nearby(10.0, 20.0, distance_m + 1e-4).await.names(), ["rim"]);
    assert!(t.nearby(10.0, 20.0, distance_m - 1e-4).await.names().is_empty());
}

#[tokio::test]
async fn radius_is_500_m_unless_given() {
    let t = TestServer::start().await;
    t.decoration("490 m").at(0.0, 0.0044).insert().await;
    t.decoration("512 m").at(0.0, 0.0046).insert().await;
    assert_eq!(t.get("/api/v1/decorations/nearby?lat=0&lng=0").await.ok().names(), ["490 m"]);
}

#[tokio::test]
async fn in_range_means_within_its_own_radius() {
    let t = TestServer::start().await;
    t.decoration("wide").at(0.0, 0.001).radius_meters(112).insert().await; // 111.3 m away
    t.decoration("narrow").at(0.0, 0.001).radius_meters(111).insert().await;
    let answer = t.nearby(0.0, 0.0, 500.0).await;
    for item in answer.items() {
        assert_eq!(item["in_range"], item["name"] == "wide", "{item}");
    }
    assert_eq!(answer.items().len(), 2);
}

#[tokio::test]
async fn detail_follows_distance_and_a_missing_asset_is_replaced_by_the_next_coarser_else_finer() {
    const LOW: Option<&str> = Some("https://cdn.example.org/low");
    const MEDIUM: Option<&str> = Some("https://cdn.example.org/medium");
    const HIGH: Option<&str> = Some("https://cdn.example.org/high");
    // At a distance of 11, 33 and 67 m.
    let expectations = [
        ([LOW, MEDIUM, HIGH], [HIGH, MEDIUM, LOW]),
        ([LOW, MEDIUM, None], [MEDIUM, MEDIUM, LOW]),
        ([LOW, None, HIGH], [HIGH, LOW, LOW]),
        ([None, MEDIUM, HIGH], [HIGH, MEDIUM, MEDIUM]),
        ([LOW, None, None], [LOW, LOW, LOW]),
        ([None, None, HIGH], [HIGH, HIGH, HIGH]),
        ([None, None, None], [None, None, None]),
    ];
    let t = TestServer::start().await;
    for (number, (urls, expected)) in expectations.into_iter().enumerate() {
        let lat = f64::from(u32::try_from(number).expect("small"));
        t.decoration("asset").at(lat, 0.0).urls(urls).insert().await;
        for ((lng, lod), asset_url) in [(0.0001, "high"), (0.0003, "medium"), (0.0006, "low")].into_iter().zip(expected) {
            let items = t.nearby(lat, lng, 100.0).await.items();
            assert_eq!(items[0]["lod"], lod);
            assert_eq!(items[0]["asset_url"].as_str(), asset_url, "{urls:?} at level {lod}");
            assert!(items[0].get("asset_url").is_some(), "null is written");
        }
    }
}
