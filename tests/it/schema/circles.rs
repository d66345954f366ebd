//! The polygon around a service circle narrows a search, so it may never lose a point of the circle.

use geographiclib_rs::{DirectGeodesic, Geodesic};

use crate::support::{Random, TestDb};

/// Centres on plain ground, at the antimeridian, near and on the poles, and radii up to the largest allowed.
#[tokio::test]
async fn the_polygon_around_a_circle_holds_every_point_of_it() {
    let db = TestDb::create().await;
    let mut connection = db.connect().await;
    let mut random = Random::seeded("circles");
    let wgs84 = Geodesic::wgs84();
    let mut circles = Vec::new();
    for (lat, lng) in [
        (48.0, 11.0),
        (0.0, 0.0),
        (0.0, 180.0),
        (-17.0, 179.9),
        (65.0, -179.9),
        (89.9, 0.0),
        (-89.5, 120.0),
        (90.0, 0.0),
        (-90.0, 0.0),
        (85.0, 179.0),
        (-81.1, -45.0),
    ] {
        circles.extend([10.0, 5_000.0, 100_000.0, 999_990.0].map(|radius_m| (lat, lng, radius_m)));
    }
    for _ in 0..40 {
        circles.push((random.between(-90.0, 90.0), random.between(-180.0, 180.0), 10.0_f64 * 10.0_f64.powf(random.between(0.0, 5.0))));
    }
    let mut lost = Vec::new();
    for (lat, lng, radius_m) in circles {
        let (mut lngs, mut lats) = (Vec::new(), Vec::new());
        for step in 0..200 {
            // All around on the rim, where the polygon is nearest, and some inside.
            let reach = if step % 4 == 0 { random.between(0.0, 1.0) } else { 1.0 };
            let (point_lat, point_lng): (f64, f64) = wgs84.direct(lat, lng, f64::from(step) * 1.8, radius_m * reach);
            lats.push(point_lat);
            lngs.push(point_lng);
        }
        let outside: i64 = sqlx::query_scalar(
            "WITH area AS MATERIALIZED (SELECT gis.circle_area(ST_MakePoint($1, $2)::geography, $3) AS area)
             SELECT count(*) FROM area, unnest($4::float8[], $5::float8[]) AS p (lng, lat)
             WHERE NOT (area && ST_MakePoint(p.lng, p.lat)::geography AND ST_Covers(area, ST_MakePoint(p.lng, p.lat)::geography))",
        )
        .bind(lng)
        .bind(lat)
        .bind(radius_m)
        .bind(&lngs)
        .bind(&lats)
        .fetch_one(&mut connection)
        .await
        .unwrap_or_else(|error| panic!("{lat} {lng} {radius_m}: {error}"));
        if outside > 0 {
            lost.push(format!("{outside} of 200 points of the circle of {radius_m} m at {lat} {lng}"));
        }
    }
    assert!(lost.is_empty(), "{lost:#?}");
}

#[tokio::test]
async fn the_polygon_is_not_much_larger_than_its_circle() {
    let db = TestDb::create().await;
    let mut connection = db.connect().await;
    for (lat, lng) in [(48.0, 11.0), (0.0, 180.0), (-17.0, 179.9), (65.0, -179.9), (89.9, 0.0), (-90.0, 0.0)] {
        let ratio: f64 =
            sqlx::query_scalar("SELECT ST_Area(gis.circle_area(ST_MakePoint($1, $2)::geography, 50000)) / (pi() * 50000 * 50000)")
                .bind(lng)
                .bind(lat)
                .fetch_one(&mut connection)
                .await
                .expect("an area");
        assert!((1.0..1.01).contains(&ratio), "{ratio} at {lat} {lng}");
    }
}
