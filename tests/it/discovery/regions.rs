//! `GET /regions` and `GET /regions/{code}`.

use ar_supervisor::regions::Kind;
use serde_json::json;

use crate::support::TestServer;

async fn with_regions() -> TestServer {
    let t = TestServer::start().await;
    t.new_region("DE", "Germany").boxes(&[[47.0, 6.0, 55.0, 15.0]]).insert().await;
    t.new_region("AT", "Austria").boxes(&[[46.0, 9.5, 49.0, 17.0]]).insert().await;
    t.new_region("DE-BY", "Bavaria").kind(Kind::Admin1).within("DE").insert().await;
    t.new_region("DE-BE", "Berlin").kind(Kind::Admin1).within("DE").insert().await;
    t.new_region("campus", "Our campus").kind(Kind::Custom).insert().await;
    t
}

fn codes(answer: &crate::support::Answer) -> Vec<String> {
    answer.items().iter().map(|item| item["properties"]["code"].as_str().expect("a code").to_owned()).collect()
}

#[tokio::test]
async fn a_region_is_a_feature_with_its_border_found_in_any_case() {
    let t = with_regions().await;
    for code in ["DE-BY", "de-by", "dE%2dbY"] {
        let answer = t.get(&format!("/api/v1/regions/{code}")).await.ok();
        assert_eq!(answer.header("content-type"), Some("application/geo+json"));
        assert_eq!(
            answer.json(),
            json!({
                "type": "Feature", "id": "DE-BY",
                "geometry": {"type": "MultiPolygon", "coordinates": [[[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]]]},
                "properties": {"code": "DE-BY", "name": "Bavaria", "kind": "admin1", "parent_code": "DE"},
            })
        );
    }
    t.get("/api/v1/regions/nowhere").await.problem(404, "unknown_region");
    t.get("/api/v1/regions/Bavaria").await.problem(404, "unknown_region");
}

#[tokio::test]
async fn regions_are_listed_by_code_in_pages_and_narrowed() {
    let t = with_regions().await;
    let all = t.get("/api/v1/regions?limit=200").await.ok();
    assert_eq!(codes(&all), ["AT", "DE", "DE-BE", "DE-BY", "campus"]);
    for limit in [1, 2, 5] {
        let pages = t.all_pages(&format!("/api/v1/regions?limit={limit}")).await;
        assert_eq!(pages.iter().flat_map(codes).collect::<Vec<_>>(), codes(&all), "limit {limit}");
    }
    assert_eq!(codes(&t.get("/api/v1/regions?kind=country").await.ok()), ["AT", "DE"]);
    assert_eq!(codes(&t.get("/api/v1/regions?parent_code=de").await.ok()), ["DE-BE", "DE-BY"]);
    assert!(codes(&t.get("/api/v1/regions?parent_code=de&kind=custom").await.ok()).is_empty());
    let cursor = t.get("/api/v1/regions?limit=1").await.ok().next_cursor().expect("more");
    let answer = t.get(&format!("/api/v1/regions?limit=1&kind=country&cursor={cursor}")).await;
    assert_eq!(answer.faulty_fields(400), ["cursor"]);
}

#[tokio::test]
async fn a_list_of_regions_is_a_feature_collection_on_demand() {
    let t = with_regions().await;
    let answer = t.get_geo_json("/api/v1/regions?limit=2").await.ok();
    assert_eq!(answer.header("content-type"), Some("application/geo+json"));
    let collection = answer.json();
    assert_eq!(collection["type"], "FeatureCollection");
    assert_eq!(collection["features"].as_array().map(Vec::len), Some(2));
    assert_eq!(collection["features"][1]["properties"]["name"], "Germany");
    assert!(collection["next_cursor"].is_string());
}
