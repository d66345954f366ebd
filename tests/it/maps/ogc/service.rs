//! What the service says about itself: landing page, conformance, collections, and its description in OpenAPI 3.0.

use reqwest::Method;
use serde_json::{Value, json};

use super::{COLLECTIONS, items, link, path_of, with_some_of_all};
use crate::support::{Answer, TestServer};

#[tokio::test]
async fn the_landing_page_leads_everywhere() {
    let t = with_some_of_all().await;
    let landing = t.get("/ogc").await.ok();
    assert_eq!(landing.header("content-type"), Some("application/json"));
    let body = landing.json();
    let links = body["links"].as_array().expect("links");
    for rel in ["self", "alternate", "service-desc", "service-doc", "conformance", "data"] {
        assert!(links.iter().any(|link| link["rel"] == rel), "{rel}: {links:#?}");
    }
    for link in links {
        let answer = t.get(&path_of(&t, link["href"].as_str().expect("an address"))).await.ok();
        let kind = answer.header("content-type").expect("a type");
        let promised = link["type"].as_str().expect("a type");
        assert!(kind.starts_with(promised), "{link}: {kind}");
        let written =
            format!("<{}>; rel=\"{}\"; type=\"{promised}\"", link["href"].as_str().expect("text"), link["rel"].as_str().expect("text"));
        assert!(landing.header("link").is_some_and(|header| header.contains(&written)), "{written} is in the header, too");
    }
    let slash = t.get("/ogc/?f=html").await;
    assert_eq!((slash.status, slash.header("location")), (308, Some("/ogc?f=html")));
}

#[tokio::test]
async fn links_are_whole_as_the_client_wrote_the_host() {
    let t = TestServer::start().await;
    let asked = async |host: &str| Answer::of(t.request(Method::GET, "/ogc").header("host", host)).await.ok();
    assert_eq!(link(&asked("maps.example.org:8443").await, "data").as_deref(), Some("http://maps.example.org:8443/ogc/collections"));
    // What is no host is not repeated.
    assert_eq!(link(&asked("user@evil.example").await, "data").as_deref(), Some("/ogc/collections"));
    let behind_tls = TestServer::start_with(crate::support::Config::of("TRUSTED_PROXIES", "127.0.0.1")).await;
    let request = behind_tls.request(Method::GET, "/ogc").header("host", "maps.example.org").header("x-forwarded-proto", "https");
    assert_eq!(link(&Answer::of(request).await.ok(), "data").as_deref(), Some("https://maps.example.org/ogc/collections"));
}

#[tokio::test]
async fn the_conformance_classes_are_those_of_part_1() {
    let t = TestServer::start().await;
    let classes =
        ["core", "oas30", "html", "geojson"].map(|class| format!("http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/{class}"));
    assert_eq!(t.get("/ogc/conformance").await.ok().json(), json!({"conformsTo": classes}));
}

#[tokio::test]
async fn every_collection_is_listed_as_it_stands_by_itself() {
    let t = with_some_of_all().await;
    let listed = t.get("/ogc/collections").await.ok().json();
    let collections = listed["collections"].as_array().expect("collections");
    assert_eq!(collections.iter().map(|one| one["id"].as_str().expect("text")).collect::<Vec<_>>(), COLLECTIONS);
    for about in collections {
        let id = about["id"].as_str().expect("text");
        let alone = t.get(&format!("/ogc/collections/{id}")).await.ok();
        assert_eq!(&alone.json(), about);
        let crs = "http://www.opengis.net/def/crs/OGC/1.3/CRS84";
        assert_eq!((&about["crs"], &about["storageCrs"], &about["itemType"]), (&json!([crs]), &json!(crs), &json!("feature")));
        for rel in ["self", "alternate", "items"] {
            t.get(&path_of(&t, &link(&alone, rel).expect("a link"))).await.ok();
        }
    }
    // All that there is lies in it, the antimeridian too.
    assert_eq!(collections[0]["extent"]["spatial"]["bbox"], json!([[14.45, -17.0, 180.0, 50.08]]));
    assert_eq!(collections[1]["extent"]["spatial"]["bbox"], json!([[14.4, -17.0, 179.99, 50.0]]));
    assert_eq!(collections[3]["extent"]["spatial"]["bbox"], json!([[-180.0, -90.0, 180.0, 90.0]]));
    t.get("/ogc/collections/devices").await.problem(404, "unknown_route");
    t.get("/ogc/collections/nothing/items").await.problem(404, "unknown_route");
}

#[tokio::test]
async fn without_features_there_is_no_extent() {
    let t = TestServer::start().await;
    for collection in ["decorations", "edges"] {
        let about = t.get(&format!("/ogc/collections/{collection}")).await.ok().json();
        assert!(about.get("extent").is_none(), "{about}");
        let page = t.get(&items(collection, "")).await.ok().json();
        assert_eq!((&page["numberReturned"], &page["numberMatched"]), (&json!(0), &json!(0)));
    }
}

/// Everything in it is in the words of 3.0, refers to something that is there, and stands below the landing page.
#[tokio::test]
async fn the_description_in_openapi_3_0_is_the_same_in_its_words() {
    let t = TestServer::start().await;
    let answer = t.get("/ogc/api").await.ok();
    assert_eq!(answer.header("content-type"), Some("application/vnd.oai.openapi+json;version=3.0"));
    let document = answer.json();
    assert_eq!((&document["openapi"], &document["servers"]), (&json!("3.0.3"), &json!([{"url": "/ogc"}])));
    let whole = t.get("/openapi.json").await.ok().json();
    let published = whole["paths"].as_object().expect("paths").iter().filter(|(path, _)| path.starts_with("/ogc"));
    let paths = document["paths"].as_object().expect("paths");
    let mut count = 0;
    for (path, item) in published {
        let below = path.strip_prefix("/ogc").filter(|path| !path.is_empty()).unwrap_or("/");
        assert_eq!(paths[below]["get"]["operationId"], item["get"]["operationId"], "{path}");
        let names = |item: &Value| -> Vec<Value> {
            item["get"]["parameters"].as_array().into_iter().flatten().map(|parameter| parameter["name"].clone()).collect()
        };
        assert_eq!(names(&paths[below]), names(item), "{path}");
        count += 1;
    }
    assert_eq!((count, paths.len()), (4 + 3 * COLLECTIONS.len(), 4 + 3 * COLLECTIONS.len()));
    look_through(&document, &document);
    let parent_code = &document["components"]["schemas"]["OgcFeature_regions"]["properties"]["properties"]["properties"]["parent_code"];
    assert_eq!((&parent_code["type"], &parent_code["nullable"]), (&json!("string"), &json!(true)));
    // QGIS reads the size of its pages here.
    assert_eq!(document["components"]["parameters"]["limit"]["schema"]["maximum"], 10_000);
    let page = Answer::of(t.request(Method::GET, "/ogc/api").header("accept", "text/html")).await;
    assert_eq!((page.status, page.header("location")), (303, Some("/docs/")));
}

fn look_through(document: &Value, value: &Value) {
    match value {
        Value::Object(members) => {
            assert!(!members.get("type").is_some_and(|kind| kind.is_array() || kind == "null"), "{value}");
            assert!(members.get("type") != Some(&json!("array")) || members.contains_key("items"), "{value}");
            assert!(!members.contains_key("const") && !members.contains_key("examples"), "{value}");
            if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
                assert_eq!(members.len(), 1, "{value}");
                assert!(document.pointer(reference.trim_start_matches('#')).is_some_and(Value::is_object), "{reference}");
            }
            members.values().for_each(|member| look_through(document, member));
        }
        Value::Array(items) => items.iter().for_each(|item| look_through(document, item)),
        _ => {}
    }
}
