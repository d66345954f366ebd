//! GeoJSON for those who ask for it by `Accept`: the same items, as features.

use serde_json::Value;

use crate::support::{Answer, TestServer};

const LISTS: [&str; 4] = [
    "/api/v1/decorations/nearby?lat=0.5&lng=0.5&radius=50000",
    "/api/v1/decorations/bounds?min_lat=0&min_lng=0&max_lat=1&max_lng=1",
    "/api/v1/decorations/region?region=sq",
    "/api/v1/decorations/clusters?min_lat=0&min_lng=0&max_lat=1&max_lng=1&resolution=4",
];

async fn with_some() -> TestServer {
    let t = TestServer::start().await;
    t.new_region("SQ", "Square").insert().await;
    for lng in [0.5, 0.500_1, 0.6] {
        t.decoration("thing").at(0.5, lng).insert().await;
    }
    t.fold_counts().await;
    t
}

#[tokio::test]
async fn every_list_is_a_feature_collection_of_the_same_items() {
    let t = with_some().await;
    for list in LISTS {
        let plain = t.get(list).await.ok();
        let geo = t.get_geo_json(list).await.ok();
        assert_eq!(plain.header("content-type"), Some("application/json"), "{list}");
        assert_eq!(geo.header("content-type"), Some("application/geo+json"), "{list}");
        let collection = geo.json();
        assert_eq!(collection["type"], "FeatureCollection", "{list}");
        let features = collection["features"].as_array().expect("features");
        let items = plain.items();
        assert!(!items.is_empty() && items.len() == features.len(), "{list}");
        for (item, feature) in items.iter().zip(features) {
            assert_eq!((&feature["type"], &feature["geometry"]["type"]), (&Value::from("Feature"), &Value::from("Point")), "{list}");
            assert_eq!(&feature["properties"], item, "{list}");
            assert_eq!(feature["geometry"]["coordinates"], Value::from(vec![item["lng"].clone(), item["lat"].clone()]), "{list}");
            let id = item.get("id").unwrap_or(&item["cell"]);
            assert_eq!(&feature["id"], id, "{list}");
        }
    }
}

#[tokio::test]
async fn pages_go_on_in_either_form() {
    let t = with_some().await;
    for list in &LISTS[..3] {
        let first = t.get_geo_json(&format!("{list}&limit=2")).await.ok();
        let cursor = first.next_cursor().expect("more");
        let rest = t.get(&format!("{list}&limit=2&cursor={cursor}")).await.ok();
        assert_eq!(rest.items().len(), 1, "{list}");
        let rest = t.get_geo_json(&format!("{list}&limit=2&cursor={cursor}")).await.ok();
        assert_eq!(rest.json()["features"].as_array().map(Vec::len), Some(1), "{list}");
        assert_eq!(rest.json()["next_cursor"], Value::Null, "{list}");
    }
}

#[tokio::test]
async fn json_is_for_everybody_else_and_caches_are_told() {
    let t = with_some().await;
    for list in LISTS {
        for accept in ["*/*", "text/html", "application/json", "application/geo+json;q=0", "application/json, application/geo+json"] {
            let request = t.request(reqwest::Method::GET, list).header("accept", accept);
            let answer = Answer::of(request).await.ok();
            assert_eq!(answer.header("content-type"), Some("application/json"), "{list} as {accept}");
            let vary: Vec<_> =
                answer.headers.get_all("vary").iter().map(|value| value.to_str().expect("text").to_ascii_lowercase()).collect();
            assert!(vary.join(",").contains("accept"), "{list}: {vary:?}");
        }
    }
}

#[tokio::test]
async fn a_fault_is_a_problem_document_for_those_who_want_geo_json_too() {
    let t = TestServer::start().await;
    for list in LISTS {
        let answer = t.get_geo_json(&format!("{list}&unknown=1")).await;
        assert_eq!(answer.faulty_fields(400), ["unknown"], "{list}");
    }
}
