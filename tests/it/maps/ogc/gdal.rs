//! GDAL's own driver for OGC API – Features against the service: what it finds without being told anything but the
//! address. It asks in pages of ten, so some tens of features are several pages.

use serde_json::Value;
use sqlx::AssertSqlSafe;

use super::super::{gdal, printed};
use super::COLLECTIONS;
use crate::support::{Random, TestServer, position};

fn source(t: &TestServer) -> String {
    format!("OAPIF:http://{}/ogc", t.address)
}

/// `ogrinfo` on the service.
async fn ogrinfo(t: &TestServer, arguments: &[&str]) -> (String, Vec<String>) {
    let (options, layer): (Vec<&str>, Vec<&str>) = arguments.iter().partition(|argument| !COLLECTIONS.contains(argument));
    let all = ["-ro"].into_iter().chain(options).map(str::to_owned).chain([source(t)]).chain(layer.into_iter().map(str::to_owned));
    printed(&gdal("ogrinfo", all.collect()).await)
}

/// A collection as `ogr2ogr` reads it, as GeoJSON features.
async fn ogr2ogr(t: &TestServer, collection: &str, arguments: &[&str]) -> (Vec<Value>, Vec<String>) {
    let fixed = ["-f", "GeoJSONSeq", "/vsistdout/"].map(str::to_owned);
    let all = fixed.into_iter().chain([source(t), collection.to_owned()]).chain(arguments.iter().map(|argument| (*argument).to_owned()));
    let (text, asked) = printed(&gdal("ogr2ogr", all.collect()).await);
    (text.lines().filter(|line| !line.is_empty()).map(|line| serde_json::from_str(line).expect("a feature")).collect(), asked)
}

async fn with_many() -> TestServer {
    let t = TestServer::start().await;
    let mut random = Random::seeded("gdal");
    let places: Vec<_> = (0..33).map(|_| position(random.between(-80.0, 80.0), random.between(-170.0, 170.0))).collect();
    t.decoration("").category("filler").insert_at_each(&places).await;
    t.decoration("Žižkov – 東京 & \"Ω\"").at(50.08, 14.45).category("Kunst & Töne").insert().await;
    t.decoration("fiji").at(-17.0, 179.5).insert().await;
    t.decoration("dateline").at(-15.0, -180.0).insert().await;
    for (region, lat, lng) in [("eu", 50.0, 14.0), ("pacific", -17.0, 179.99), ("polar", 89.99, 10.0)] {
        t.edge(region).at(lat, lng).insert().await;
    }
    t.new_region("CZ", "Česko").boxes(&[[48.5, 12.0, 51.1, 18.9]]).insert().await;
    t.new_region("FJ", "Viti").boxes(&[[-20.0, 177.0, -16.0, 180.0], [-20.0, -180.0, -16.0, -178.0]]).insert().await;
    t.fold_counts().await;
    t.draw_cells().await;
    t
}

#[tokio::test]
async fn gdal_lists_the_collections_and_knows_what_they_have() {
    let t = with_many().await;
    let (text, _) = ogrinfo(&t, &[]).await;
    for (number, collection) in COLLECTIONS.iter().enumerate() {
        assert!(text.contains(&format!("{}: {collection} (title: ", number + 1)), "{text}");
    }
    for (collection, geometry) in COLLECTIONS.into_iter().zip(["Point", "Point", "Multi Polygon", "Multi Polygon", "Multi Polygon"]) {
        let (text, asked) = ogrinfo(&t, &["-so", collection]).await;
        let stored: i64 =
            sqlx::query_scalar(AssertSqlSafe(format!("SELECT count(*) FROM gis.{collection}"))).fetch_one(&t.sql).await.expect("counts");
        assert!(text.contains(&format!("Feature Count: {stored}")), "{collection}: {stored}: {text}");
        assert!(text.contains(&format!("Geometry: {geometry}")), "{collection}: {text}");
        assert!(stored <= 10 || asked.iter().any(|url| url.contains("resultType=hits")), "counted by the service: {asked:#?}");
        assert!(asked.len() < 8, "{asked:#?}");
    }
    let (text, _) = ogrinfo(&t, &["-so", "decorations"]).await;
    assert!(text.contains("radius_meters: Integer") && text.contains("updated_at: DateTime") && text.contains("\"EPSG\",4326"), "{text}");
}

#[tokio::test]
async fn gdal_reads_every_feature_of_every_collection_over_its_pages() {
    let t = with_many().await;
    for collection in COLLECTIONS {
        let (features, asked) = ogr2ogr(&t, collection, &[]).await;
        let stored: i64 =
            sqlx::query_scalar(AssertSqlSafe(format!("SELECT count(*) FROM gis.{collection}"))).fetch_one(&t.sql).await.expect("counts");
        assert_eq!(i64::try_from(features.len()), Ok(stored), "{collection}");
        if stored > 10 {
            assert!(asked.iter().filter(|url| url.contains("cursor=")).count() >= 3, "{collection}: {asked:#?}");
        }
        let (at_once, asked) = ogr2ogr(&t, collection, &["-oo", "PAGE_SIZE=10000"]).await;
        assert_eq!(at_once.len(), features.len(), "{collection}");
        assert!(asked.iter().all(|url| !url.contains("cursor=")), "{collection}: {asked:#?}");
    }
    let (decorations, _) = ogr2ogr(&t, "decorations", &[]).await;
    let named = |name: &str| {
        decorations.iter().find(|feature| feature["properties"]["name"] == name).unwrap_or_else(|| panic!("{name} is not there"))
    };
    assert_eq!(named("Žižkov – 東京 & \"Ω\"")["geometry"]["coordinates"], serde_json::json!([14.45, 50.08]));
    assert_eq!(named("dateline")["geometry"]["coordinates"], serde_json::json!([180.0, -15.0]));
    let (coverage, _) = ogr2ogr(&t, "coverage", &["-where", "region = 'pacific'"]).await;
    assert_eq!(coverage[0]["geometry"]["coordinates"].as_array().map(Vec::len), Some(2), "in two parts, one on each side");
}

#[tokio::test]
async fn gdal_leaves_boxes_and_conditions_to_the_service() {
    let t = with_many().await;
    let (found, asked) = ogr2ogr(&t, "decorations", &["-spat", "14", "50", "15", "51", "-where", "category = 'Kunst & Töne'"]).await;
    assert_eq!(
        found.iter().map(|feature| feature["properties"]["name"].as_str().expect("text")).collect::<Vec<_>>(),
        ["Žižkov – 東京 & \"Ω\""]
    );
    let last = asked.last().expect("asked");
    assert!(last.contains("bbox=14,50,15,51") && last.contains("category=Kunst"), "{asked:#?}");
    let (found, asked) = ogr2ogr(&t, "decorations", &["-where", "updated_at >= '2999-01-01T00:00:00Z'"]).await;
    assert!(found.is_empty() && asked.iter().any(|url| url.contains("datetime=2999-01-01T00:00:00Z")), "{asked:#?}");
    let (found, asked) = ogr2ogr(&t, "regions", &["-where", "name = 'Česko'"]).await;
    assert!(found.len() == 1 && asked.iter().any(|url| url.contains("name=")), "{asked:#?}");
    let (found, _) = ogr2ogr(&t, "regions", &["-spat", "179", "-18", "180", "-17"]).await;
    assert_eq!(found.len(), 1);
    let (text, _) = ogrinfo(&t, &["-so", "-spat", "179", "-18", "180", "-14", "decorations"]).await;
    let stored: i64 =
        sqlx::query_scalar("SELECT count(*) FROM gis.decorations_in_bounds(-18, 179, -14, 180)").fetch_one(&t.sql).await.expect("counts");
    assert!(stored >= 2 && text.contains(&format!("Feature Count: {stored}")), "{text}");
}

#[tokio::test]
async fn gdal_finds_a_feature_by_its_number() {
    let t = with_many().await;
    let (text, asked) = ogrinfo(&t, &["-fid", "2", "regions"]).await;
    assert!(text.contains("OGRFeature(regions):2") && text.contains("name (String) = Viti"), "{text}");
    assert!(asked.iter().any(|url| url.ends_with("/items/2")), "{asked:#?}");
}
