//! How the statements of the sync are answered, on the tables of `plans`.

use crate::plans::{committed, plan, pools};

#[tokio::test]
async fn what_edges_must_learn_is_found_by_their_cells() {
    let (db, query) = (pools().await, committed("gis.edges_holding($1, m.margin_m)"));
    for rest in ["false", "true"] {
        let one = format!("ARRAY['80000000-0000-0000-0000-000000000000']::uuid[], {rest}");
        plan(db.shaped(), &query, &one).await.uses(&["decorations_pkey", "edge_coverage_pkey", "decoration_sync_decoration_id_idx"]);
    }
    let comparing = committed("gis.edges_holding(p.ids, m.margin_m)");
    for after in ["NULL", "'80000000-0000-0000-0000-000000000000'"] {
        let page = format!("{after}, 1000");
        plan(db.shaped(), &comparing, &page).await.uses(&["decorations_pkey", "edge_coverage_pkey", "decoration_sync_decoration_id_idx"]);
    }
}

#[tokio::test]
async fn what_an_edge_should_hold_is_found_by_place() {
    let db = pools().await;
    let indexes = ["edge_servers_pkey", "decorations_location_gist", "decorations_geometry_gist"];
    for (pool, way) in [(db.hot(), "generic"), (db.shaped(), "custom")] {
        println!("{way}");
        plan(pool, "SELECT * FROM gis.decorations_held($1, $2)", "gen_random_uuid(), 500").await.uses(&indexes);
    }
    let marking = committed("gis.decorations_held($1, m.margin_m)");
    plan(db.shaped(), &marking, "gen_random_uuid()").await.uses(&indexes).uses(&["decoration_sync_pkey"]);
}

/// `edge, status, after, limit`; and the sums of an edge.
#[tokio::test]
async fn how_far_an_edge_is_is_read_by_its_own_rows() {
    let db = pools().await;
    let items = committed("AND ($2::text IS NULL OR sync_status = $2) AND ($3::uuid IS NULL OR decoration_id > $3)");
    let edge = "'80000000-0000-0000-0000-000000000000'";
    for rest in ["NULL, NULL, 101", "'synced', NULL, 101", "NULL, '80000000-0000-0000-0000-000000000000', 101"] {
        plan(db.shaped(), &items, &format!("{edge}, {rest}")).await.uses(&["decoration_sync_pkey"]);
    }
    plan(db.shaped(), &items, &format!("{edge}, 'failed', NULL, 101")).await.uses(&["decoration_sync_failed_idx"]);
    plan(db.shaped(), &committed("AS wanted_digest"), edge).await.uses(&["decoration_sync_pkey", "edge_servers_pkey"]);
}

#[tokio::test]
async fn new_numbers_are_given_to_the_edges_own_rows() {
    let (db, query) = (pools().await, committed("decoration_id > $2 ORDER BY decoration_id LIMIT $3 FOR NO KEY UPDATE"));
    let piece = "'80000000-0000-0000-0000-000000000000', '00000000-0000-0000-0000-000000000000', 5000";
    for (pool, way) in [(db.hot(), "generic"), (db.shaped(), "custom")] {
        println!("{way}");
        plan(pool, &query, piece).await.uses(&["decoration_sync_pkey"]);
    }
}

/// What is read for one edge and for sixty-four at once, and what is written of one acknowledged row and of twelve
/// thousand.
#[tokio::test]
async fn what_is_due_and_what_is_acknowledged_is_found_by_its_keys() {
    let db = pools().await;
    let array = |count: u128, item: &dyn Fn(u128) -> String, kind: &str| {
        let items: Vec<String> = (1..=count).map(item).collect();
        format!("'{{{}}}'::{kind}[]", items.join(","))
    };
    let ids = |count: u128| array(count, &|n| uuid::Uuid::from_u128(n << 64).to_string(), "uuid");
    let numbers = |count: u128| array(count, &|n| n.to_string(), "bigint");
    for count in [1, 64] {
        let due = committed("ORDER BY s.sync_version LIMIT asked.most");
        plan(db.shaped(), &due, &format!("{}, {}", ids(count), numbers(count))).await.uses(&["decoration_sync_due_idx"]);
        plan(db.shaped(), &committed("unnest($1::uuid[]) AS asked(edge_id)"), &ids(count)).await.uses(&["decoration_sync_due_idx"]);
        let of_decorations = committed("SELECT DISTINCT edge_server_id FROM ar.decoration_sync WHERE decoration_id = ANY ($1)");
        plan(db.shaped(), &of_decorations, &ids(count)).await.uses(&["decoration_sync_decoration_id_idx"]);
    }
    for count in [1, 200, 12_000] {
        let nothing = array(count, &|_| "NULL".to_owned(), "text");
        let said = format!("{0}, {0}, {0}, {1}, {nothing}, 5", ids(count), numbers(count));
        // Row by row: by the key, or by the decoration where few edges hold the same.
        plan(db.shaped(), &committed("FOR NO KEY UPDATE OF s SKIP LOCKED"), &said).await.uses(&[]);
    }
    let edge = "'80000000-0000-0000-0000-000000000000'";
    let piece = format!("{edge}, true, '00000000-0000-0000-0000-000000000000', 5000");
    plan(db.shaped(), &committed("AS is_to_change"), &piece).await.uses(&["decoration_sync_pkey"]);
    let differences = format!("{edge}, {}, {}", ids(5_000), numbers(5_000));
    plan(db.shaped(), &committed("AS t(id, theirs)"), &differences).await.uses(&[]);
}

#[tokio::test]
async fn the_oldest_change_of_an_edge_is_the_first_of_its_index() {
    let db = pools().await;
    for query in [committed("lag.lag_s AS"), committed("AS oldest ON true")] {
        plan(db.hot(), &query, "").await.uses(&["decoration_sync_due_idx"]).has_no("Sort");
    }
}
