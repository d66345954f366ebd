//! Our codec and PostGIS read each other's bytes.

use ar_supervisor::geo::{Geog, Geom};
use geo_types::{Coord, LineString, MultiPolygon, Point, Polygon};
use sqlx::Row;

use crate::support::{Random, TestDb};

fn ring(random: &mut Random) -> LineString<f64> {
    let corners = 3 + random.below(12);
    LineString((0..corners).map(|_| Coord { x: random.between(-180.0, 180.0), y: random.between(-90.0, 90.0) }).collect())
}

fn multi_polygon(random: &mut Random) -> MultiPolygon<f64> {
    let polygons = random.below(4);
    let polygon = |random: &mut Random| {
        let holes = random.below(3);
        Polygon::new(ring(random), (0..holes).map(|_| ring(random)).collect())
    };
    MultiPolygon((0..polygons).map(|_| polygon(random)).collect())
}

/// As PostGIS writes it, with all the digits of a double.
fn wkt(shape: &MultiPolygon<f64>) -> String {
    if shape.0.is_empty() {
        return "MULTIPOLYGON EMPTY".to_owned();
    }
    let ring = |ring: &LineString<f64>| {
        let corners: Vec<String> = ring.0.iter().map(|corner| format!("{} {}", corner.x, corner.y)).collect();
        format!("({})", corners.join(","))
    };
    let polygon = |polygon: &Polygon<f64>| {
        let rings: Vec<String> = std::iter::once(polygon.exterior()).chain(polygon.interiors()).map(ring).collect();
        format!("({})", rings.join(","))
    };
    format!("MULTIPOLYGON({})", shape.0.iter().map(polygon).collect::<Vec<_>>().join(","))
}

#[tokio::test]
async fn multi_polygons_go_to_postgis_and_come_back_unchanged() {
    let db = TestDb::create().await;
    let mut connection = db.connect().await;
    let mut random = Random::seeded("multipolygons");
    for _ in 0..200 {
        let shape = multi_polygon(&mut random);
        let row = sqlx::query("SELECT $1::geometry AS back, ST_SRID($1) AS srid, ST_OrderingEquals($1, ST_GeomFromText($2, 4326)) AS same, ST_GeomFromText($2, 4326) AS theirs")
            .bind(Geom(shape.clone()))
            .bind(wkt(&shape))
            .fetch_one(&mut connection)
            .await
            .expect("round trip");
        assert_eq!(row.get::<Geom<MultiPolygon<f64>>, _>("back").0, shape);
        assert_eq!(row.get::<Geom<MultiPolygon<f64>>, _>("theirs").0, shape, "what PostGIS read from text, we read from bytes");
        assert_eq!(row.get::<i32, _>("srid"), 4326);
        assert!(row.get::<bool, _>("same"), "{}", wkt(&shape));
    }
}

#[tokio::test]
async fn points_go_to_postgis_and_come_back_unchanged() {
    let db = TestDb::create().await;
    let mut connection = db.connect().await;
    let mut random = Random::seeded("points");
    for number in 0..300 {
        let point = match number {
            0 => Point::new(180.0, 0.0),
            1 => Point::new(-180.0, -90.0),
            2 => Point::new(0.0, 90.0),
            3 => Point::new(f64::MIN_POSITIVE, -f64::MIN_POSITIVE),
            _ => Point::new(random.between(-180.0, 180.0), random.between(-90.0, 90.0)),
        };
        let row = sqlx::query("SELECT $1::geography AS geog, $2::geometry AS geom, ST_AsEWKT($1) AS text, ST_X($2) AS x, ST_Y($2) AS y")
            .bind(Geog(point))
            .bind(Geom(point))
            .fetch_one(&mut connection)
            .await
            .expect("round trip");
        assert_eq!(row.get::<Geog<Point<f64>>, _>("geog").0, point);
        assert_eq!(row.get::<Geom<Point<f64>>, _>("geom").0, point);
        assert_eq!((row.get::<f64, _>("x"), row.get::<f64, _>("y")), (point.x(), point.y()));
        assert!(row.get::<String, _>("text").starts_with("SRID=4326;POINT("));
    }
}

#[tokio::test]
async fn arrays_of_places_arrive_in_order() {
    let db = TestDb::create().await;
    let mut connection = db.connect().await;
    let places: Vec<Geog<Point<f64>>> = (0..50).map(|n| Geog(Point::new(f64::from(n), -f64::from(n)))).collect();
    let back: Vec<Geog<Point<f64>>> = sqlx::query_scalar("SELECT g FROM unnest($1::geography[]) WITH ORDINALITY AS n (g, i) ORDER BY i")
        .bind(&places)
        .fetch_all(&mut connection)
        .await
        .expect("round trip");
    assert_eq!(back, places);
}

#[tokio::test]
async fn another_kind_or_reference_system_is_an_error_and_not_a_guess() {
    let db = TestDb::create().await;
    let mut connection = db.connect().await;
    for other in [
        "ST_SetSRID(ST_MakePoint(1, 2), 3857)",
        "ST_MakePoint(1, 2)",
        "ST_SetSRID(ST_MakePoint(1, 2, 3), 4326)",
        "ST_MakeEnvelope(0, 0, 1, 1, 4326)",
    ] {
        let query = format!("SELECT {other}");
        let read = sqlx::query_scalar::<_, Geom<Point<f64>>>(sqlx::AssertSqlSafe(query)).fetch_one(&mut connection).await;
        assert!(matches!(read, Err(sqlx::Error::ColumnDecode { .. })), "{other}: {read:?}");
    }
}
