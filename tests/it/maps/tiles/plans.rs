//! How tiles are found: by the indexes, for the service as for an analyst.

use ar_supervisor::db::Db;

use crate::plans::{committed, plan, seeded};
use crate::support::config_of;

/// The service, and somebody who may only read `gis`.
async fn readers() -> [Db; 2] {
    let db = seeded().await;
    let service = config_of(db.options());
    // A database that was cloned has lost the analysts' rights to connect, not those in it.
    let analyst = config_of(db.options().username("ar_analyst"));
    [Db::new(&service), Db::new(&analyst)]
}

#[tokio::test]
async fn single_decorations_of_a_tile_are_a_scan_of_the_geometry_index() {
    let query = committed("FROM gis.decorations_tile(");
    for db in readers().await {
        for tile in ["13, 4353, 2845", "12, 0, 2047", "12, 4095, 2047", "16, 34000, 22000", "12, 100, 0", "22, 2200000, 1400000"] {
            plan(db.shaped(), &query, tile).await.uses(&["decorations_geometry_gist"]);
        }
        // Nothing of the other half of the function is left.
        plan(db.shaped(), &query, "13, 4353, 2845").await.has_no("Append").has_no("Nested Loop").has_no("BitmapOr");
    }
}

#[tokio::test]
async fn clusters_of_a_tile_are_counted_from_few_ranges_or_a_small_box() {
    let query = committed("FROM gis.decorations_tile(");
    for db in readers().await {
        for tile in ["2, 2, 1", "5, 16, 10", "8, 136, 88", "8, 0, 100"] {
            let plan = plan(db.shaped(), &query, tile).await.uses(&["decoration_counts_pkey"]);
            assert!(plan.nodes.iter().all(|(_, relation, _)| relation.as_deref() != Some("decorations")), "{}", plan.text);
            assert!(
                !plan.nodes.iter().any(|(kind, relation, _)| kind == "Seq Scan" && relation.as_deref() == Some("decoration_counts")),
                "{}",
                plan.text
            );
        }
        for tile in ["9, 272, 177", "11, 1088, 711", "11, 0, 711"] {
            plan(db.shaped(), &query, tile).await.uses(&["decorations_geometry_gist"]);
        }
    }
}

#[tokio::test]
async fn edges_areas_and_regions_of_a_tile_are_found_by_their_indexes() {
    for db in readers().await {
        for tile in ["6, 34, 22", "13, 4353, 2845", "6, 0, 22"] {
            plan(db.shaped(), &committed("FROM gis.edges_tile("), tile).await.uses(&["edge_servers_geometry_gist"]);
            plan(db.shaped(), &committed("FROM gis.coverage_tile("), tile).await.uses(&["edge_servers_service_area_gist"]);
            plan(db.shaped(), &committed("FROM gis.regions_tile("), tile).await.uses(&["regions_border_gist"]);
        }
    }
}
