//! OGC API – Features as the standard has it, as pages, and as GDAL uses it.

mod gdal;
mod items;
mod pages;
mod plans;
mod service;

use serde_json::Value;

use crate::support::{Answer, TestServer};

const COLLECTIONS: [&str; 5] = ["decorations", "edges", "coverage", "regions", "decoration_cells"];

/// Where a collection's features are.
fn items(collection: &str, query: &str) -> String {
    format!("/ogc/collections/{collection}/items?{query}")
}

/// The features of an answer.
#[track_caller]
fn features(answer: &Answer) -> Vec<Value> {
    let page = answer.json();
    assert_eq!(page["type"], "FeatureCollection", "{page}");
    let features = page["features"].as_array().expect("features").clone();
    assert_eq!(page["numberReturned"], features.len(), "{page}");
    features
}

/// One property of all features of an answer, in their order.
#[track_caller]
fn properties(answer: &Answer, name: &str) -> Vec<String> {
    let text = |feature: &Value| feature["properties"][name].as_str().expect("a text").to_owned();
    features(answer).iter().map(text).collect()
}

/// Address of a link in the body of an answer.
fn link(answer: &Answer, rel: &str) -> Option<String> {
    let body = answer.json();
    let links = body["links"].as_array().expect("links");
    links.iter().find(|link| link["rel"] == rel).map(|link| link["href"].as_str().expect("an address").to_owned())
}

/// An absolute address of ours, as a path.
fn path_of(t: &TestServer, url: &str) -> String {
    url.strip_prefix(&t.url("")).unwrap_or_else(|| panic!("{url} is not whole")).to_owned()
}

/// All pages, by their links `next`.
async fn all_pages(t: &TestServer, path: &str) -> Vec<Answer> {
    let mut pages = vec![t.get(path).await.ok()];
    while let Some(next) = pages.last().and_then(|page| link(page, "next")) {
        assert!(pages.len() < 1_000, "the pages do not end");
        pages.push(t.get(&path_of(t, &next)).await.ok());
    }
    pages
}

/// A service with something in every collection.
async fn with_some_of_all() -> TestServer {
    let t = TestServer::start().await;
    t.decoration("Žižkov – 東京 <b>&\"").at(50.08, 14.45).external_id("private-7").insert().await;
    t.decoration("fiji").at(-17.0, 179.0).category("news").asset_type("image").insert().await;
    t.decoration("dateline").at(-15.0, 180.0).insert().await;
    t.decoration("hidden").at(50.0, 14.0).inactive().insert().await;
    t.decoration("gone").at(50.0, 14.0).deleted().insert().await;
    t.edge("eu-central").at(50.0, 14.4).insert().await;
    t.edge("pacific").at(-17.0, 179.99).insert().await;
    t.edge("off").at(10.0, 10.0).inactive().insert().await;
    t.new_region("CZ", "Česko").boxes(&[[48.5, 12.0, 51.1, 18.9]]).insert().await;
    t.new_region("FJ", "Viti").boxes(&[[-20.0, 177.0, -16.0, 180.0], [-20.0, -180.0, -16.0, -178.0]]).insert().await;
    t.fold_counts().await;
    t.draw_cells().await;
    t
}
