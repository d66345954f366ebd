//! How PostgreSQL answers the statements that are really sent: they are read off the connections that sent them.

use std::sync::Arc;

use ar_supervisor::db::Db;

use super::items;
use crate::plans::{Plan, plan, pools};
use crate::support::{Random, TestServer, config_of, position};

/// The statement for pages of a collection, with the numbers of its parameters.
async fn sent(view: &str) -> String {
    let t = TestServer::start().await;
    let collection = view.strip_prefix("gis.").expect("a view of gis");
    t.get(&items(collection, "")).await.ok();
    let pattern: Arc<str> = Arc::from(format!("SELECT v.% FROM {view} AS v %LIMIT $2"));
    let found: Vec<String> = t
        .state
        .db
        .shaped()
        .run("reading what was sent", |connection| {
            let pattern = Arc::clone(&pattern);
            Box::pin(async move {
                sqlx::query_scalar("SELECT statement FROM pg_prepared_statements WHERE statement LIKE $1")
                    .bind(pattern.as_ref())
                    .fetch_all(connection)
                    .await
            })
        })
        .await
        .expect("reads");
    assert_eq!(found.len(), 1, "{found:#?}");
    found.into_iter().next().expect("one")
}

/// Envelopes for the index, as SQL: west, south, east, north.
fn envelope([west, south, east, north]: [f64; 4]) -> String {
    format!("ST_MakeEnvelope({west}, {south}, {east}, {north}, 4326)")
}

/// A page of decorations: after a number, of a box, since a time, of a category.
async fn decorations(after: &str, bbox: Option<[f64; 4]>, since: &str, category: &str) -> Plan {
    let (text, db) = (sent("gis.decorations").await, pools().await);
    let boxes = match bbox {
        Some([west, south, east, north]) if west > east => {
            format!(
                "{}, {}, NULL, NULL, NULL, {south}, {west}, {north}, {east}",
                envelope([west, south, 180.0, north]),
                envelope([-180.0, south, east, north])
            )
        }
        Some(bbox @ [west, south, east, north]) => format!("{}, NULL, NULL, NULL, NULL, {south}, {west}, {north}, {east}", envelope(bbox)),
        None => ["NULL"; 9].join(", "),
    };
    plan(db.shaped(), &text, &format!("{after}, 101, {boxes}, {since}, NULL, NULL, NULL, {category}, NULL")).await
}

#[tokio::test]
async fn a_small_box_is_a_scan_of_the_geometry_index_wherever_it_lies() {
    for bbox in [[11.0, 48.0, 12.0, 49.0], [179.5, -1.0, -179.5, 1.0], [-180.0, 10.0, -179.0, 11.0], [11.0, 48.0, 11.0, 48.0]] {
        for (after, category) in [("NULL", "NULL"), ("5000", "NULL"), ("NULL", "'art'")] {
            decorations(after, Some(bbox), "NULL", category).await.uses(&["decorations_geometry_gist"]);
        }
    }
}

/// By the number, in order: a page of the world costs a page, not the world.
#[tokio::test]
async fn a_large_box_is_read_in_the_order_of_the_numbers() {
    for bbox in [None, Some([-180.0, -90.0, 180.0, 89.0]), Some([-170.0, -80.0, 170.0, 80.0]), Some([20.0, -90.0, -20.0, 90.0])] {
        for (after, category) in [("NULL", "NULL"), ("5000", "NULL"), ("5000", "'art'")] {
            decorations(after, bbox, "NULL", category).await.uses(&["decorations_gid_key"]).has_no("Sort");
        }
    }
}

#[tokio::test]
async fn what_is_rare_is_found_by_its_own_index() {
    decorations("NULL", None, "NULL", "'rare'").await.uses(&["decorations_category_idx"]);
    decorations("NULL", None, "now() + interval '1 hour'", "NULL").await.uses(&["decorations_updated_at_idx"]);
}

#[tokio::test]
async fn areas_are_found_by_their_index_and_paged_in_their_order() {
    let (text, db) = (sent("gis.regions").await, pools().await);
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
    let (text, db) = (sent("gis.decoration_cells").await, Db::new(&config_of(t.db().options())));
    let small = format!("NULL, 101, {}, NULL, NULL, NULL, NULL, NULL", envelope([11.0, 48.0, 12.0, 49.0]));
    plan(db.shaped(), &text, &small).await.uses(&["h3_cells_boundary_gist", "decoration_counts_pkey"]);
    for rest in ["NULL, 101, NULL, NULL, NULL, NULL, NULL, NULL", "599542362481295359, 101, NULL, NULL, NULL, NULL, NULL, 5"] {
        plan(db.shaped(), &text, rest).await.uses(&["decoration_counts_pkey", "h3_cells_pkey"]).has_no("Sort");
    }
}
