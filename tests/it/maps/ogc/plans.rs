//! How PostgreSQL answers the statements that are really sent: they are read off the connections that sent them.

use std::sync::Arc;

use ar_supervisor::db::Db;

use super::{all_pages, features, items};
use crate::plans::{Plan, plan, pools, served};
use crate::support::{Random, TestServer, config_of, position};

/// How a page of decorations is found.
#[derive(Clone, Copy, Debug)]
enum Way {
    Planned,
    Window,
    Gathered,
}

/// The statement that a request has sent to a service: the one with this in its text.
async fn sent(t: &TestServer, path: &str, part: &str) -> String {
    t.get(path).await.ok();
    let pattern: Arc<str> = Arc::from(format!("SELECT v.%{part}%LIMIT $2"));
    let read = t.state.db.shaped().run("reading what was sent", |connection| {
        let pattern = Arc::clone(&pattern);
        Box::pin(async move {
            let found = sqlx::query_scalar("SELECT statement FROM pg_prepared_statements WHERE statement LIKE $1");
            found.bind(pattern.as_ref()).fetch_all(connection).await
        })
    });
    let found: Vec<String> = read.await.expect("reads");
    assert_eq!(found.len(), 1, "{found:#?}");
    found.into_iter().next().expect("one")
}

/// Envelopes for the index, as SQL: west, south, east, north.
fn envelope([west, south, east, north]: [f64; 4]) -> String {
    format!("ST_MakeEnvelope({west}, {south}, {east}, {north}, 4326)")
}

/// A page of decorations: after a number, of a box, since a time, of a category.
async fn decorations(way: Way, after: &str, bbox: Option<[f64; 4]>, since: &str, category: &str) -> Plan {
    let t = served().await;
    let text = match way {
        Way::Planned => sent(&t, &items("decorations", "limit=1"), "FROM gis.decorations AS v").await,
        Way::Window => sent(&t, &items("decorations", "limit=1&bbox=-180,-90,180,89"), "LIMIT $18) AS v").await,
        Way::Gathered => sent(&t, &items("decorations", "limit=1&bbox=1,1,2,2"), "OFFSET 0) AS v").await,
    };
    let boxes = match bbox {
        Some([west, south, east, north]) if west > east => {
            let parts = [envelope([west, south, 180.0, north]), envelope([-180.0, south, east, north])].join(", ");
            format!("{parts}, NULL, NULL, NULL, {south}, {west}, {north}, {east}")
        }
        Some(bbox @ [west, south, east, north]) => format!("{}, NULL, NULL, NULL, NULL, {south}, {west}, {north}, {east}", envelope(bbox)),
        None => ["NULL"; 9].join(", "),
    };
    let window = if matches!(way, Way::Window) { ", 10000" } else { "" };
    plan(pools().await.shaped(), &text, &format!("{after}, 101, {boxes}, {since}, NULL, NULL, NULL, {category}, NULL{window}")).await
}

#[tokio::test]
async fn a_small_box_is_a_scan_of_the_geometry_index_wherever_it_lies() {
    for bbox in [[11.0, 48.0, 12.0, 49.0], [179.5, -1.0, -179.5, 1.0], [-180.0, 10.0, -179.0, 11.0], [11.0, 48.0, 11.0, 48.0]] {
        for (after, category) in [("NULL", "NULL"), ("5000", "NULL"), ("NULL", "'art'")] {
            decorations(Way::Gathered, after, Some(bbox), "NULL", category).await.uses(&["decorations_geometry_gist"]);
        }
    }
}

/// By the number, in order: a page of the world costs a page, not the world.
#[tokio::test]
async fn all_and_large_boxes_are_read_in_the_order_of_the_numbers() {
    for after in ["NULL", "5000"] {
        decorations(Way::Planned, after, None, "NULL", "NULL").await.uses(&["decorations_gid_key"]).has_no("Sort");
        for bbox in [None, Some([-180.0, -90.0, 180.0, 89.0]), Some([20.0, -90.0, -20.0, 90.0])] {
            decorations(Way::Window, after, bbox, "NULL", "'art'").await.uses(&["decorations_gid_key"]).has_no("Sort");
        }
    }
}

#[tokio::test]
async fn what_is_rare_is_found_by_its_own_index() {
    decorations(Way::Gathered, "NULL", None, "NULL", "'rare'").await.uses(&["decorations_category_idx"]);
    decorations(Way::Gathered, "NULL", None, "now() + interval '1 hour'", "NULL").await.uses(&["decorations_updated_at_idx"]);
}

#[tokio::test]
async fn areas_are_found_by_their_index_and_paged_in_their_order() {
    let (text, db) = (sent(&served().await, &items("regions", "limit=1"), "FROM gis.regions AS v").await, pools().await);
    let filters = ["NULL"; 4].join(", ");
    let small = format!("NULL, 101, {}, NULL, NULL, NULL, NULL, {filters}", envelope([11.0, 48.0, 12.0, 49.0]));
    plan(db.shaped(), &text, &small).await.uses(&["regions_border_gist"]);
    let all = format!("100, 11, NULL, NULL, NULL, NULL, NULL, {filters}");
    plan(db.shaped(), &text, &all).await.uses(&["regions_gid_key"]).has_no("Sort");
}

#[tokio::test]
async fn cells_are_found_by_their_outlines_and_paged_in_their_order() {
    let t = TestServer::start().await;
    let mut random = Random::seeded("cells");
    let places: Vec<_> = (0..1_500).map(|_| position(random.between(-70.0, 70.0), random.between(-180.0, 180.0))).collect();
    t.decoration("").insert_at_each(&places).await;
    t.fold_counts().await;
    t.draw_cells().await;
    sqlx::raw_sql("VACUUM ANALYZE").execute(&t.sql).await.expect("analyzes");
    let (text, db) =
        (sent(&t, &items("decoration_cells", "limit=1"), "FROM gis.decoration_cells AS v").await, Db::new(&config_of(t.db().options())));
    let small = format!("NULL, 101, {}, NULL, NULL, NULL, NULL, NULL", envelope([11.0, 48.0, 12.0, 49.0]));
    plan(db.shaped(), &text, &small).await.uses(&["h3_cells_boundary_gist", "decoration_counts_pkey"]);
    for rest in ["NULL, 101, NULL, NULL, NULL, NULL, NULL, NULL", "599542362481295359, 101, NULL, NULL, NULL, NULL, NULL, 5"] {
        plan(db.shaped(), &text, rest).await.uses(&["decoration_counts_pkey", "h3_cells_pkey"]).has_no("Sort");
    }
}

/// However a page is found, its features are the right ones.
#[tokio::test]
async fn pages_of_small_and_large_boxes_follow_each_other_without_a_gap() {
    let t = served().await;
    for (query, [west, south, east, north]) in [
        // More than are gathered at first: windows, and for the last page what is left.
        ("limit=4000&bbox=-180,-90,180,60", [-180.0, -90.0, 180.0, 60.0]),
        ("limit=4000&bbox=20,-90,-20,90", [20.0, -90.0, -20.0, 90.0]),
        ("limit=150&bbox=0,0,30,30", [0.0, 0.0, 30.0, 30.0]),
    ] {
        let pages = all_pages(&t, &items("decorations", query)).await;
        let found: Vec<i64> = pages.iter().flat_map(features).map(|feature| feature["id"].as_i64().expect("a number")).collect();
        let right = sqlx::query_scalar("SELECT gid FROM gis.decorations_in_bounds($1, $2, $3, $4) ORDER BY gid");
        let right: Vec<i64> = right.bind(south).bind(west).bind(north).bind(east).fetch_all(&t.sql).await.expect("reads");
        assert!(pages.len() > 2 && found == right, "{query}: {} of {}", found.len(), right.len());
    }
}
