//! How PostgreSQL answers the statements that the service really sends: by which index, and never by reading
//! a whole table or through an opaque function. The texts are those of `.sqlx/`, against which the build
//! checks its queries; the connections are the service's own, with their way of planning.

use std::sync::Arc;

use ar_supervisor::db::{Db, ReadPool};
use serde_json::Value;
use sqlx::AssertSqlSafe;
use tokio::sync::OnceCell;

use crate::support::{Random, TestDb, TestServer, config_of, position};

/// Tables that grow: none of them may be read from end to end.
const LARGE: [&str; 12] = [
    "decorations",
    "edge_servers",
    "edge_coverage",
    "region_parts",
    "regions",
    "h3_cells",
    "device_connections",
    "edge_device_notices",
    "users",
    "user_sessions",
    "audit_log",
    "decoration_sync",
];

/// A database of 20,000 decorations and devices, 10,000 edges and 400 regions, made once for all tests of this file.
pub(crate) async fn seeded() -> &'static TestDb {
    static SEEDED: OnceCell<TestDb> = OnceCell::const_new();
    SEEDED
        .get_or_init(|| async {
            let db = TestDb::create().await;
            let t = TestServer::on(db.options(), crate::support::Config::default()).await;
            let mut random = Random::seeded("plans");
            for category in ["art", "news", "food", "rare"] {
                let count = if category == "rare" { 50 } else { 6_650 };
                let places: Vec<_> = (0..count).map(|_| position(random.between(-70.0, 70.0), random.between(-180.0, 180.0))).collect();
                t.decoration("").category(category).insert_at_each(&places).await;
            }
            sqlx::raw_sql(
                "INSERT INTO ar.edge_servers (name, region, api_url, websocket_url, location, service_area)
                 SELECT 'e', 'label-' || n % 400, 'https://e', 'wss://e', p.place, gis.circle_area(p.place, 5000)
                 FROM generate_series(1, 2000) AS n, LATERAL (SELECT ST_MakePoint(n * 0.17 - 170, n % 120 - 60)::geography AS place) AS p;
                 INSERT INTO ar.regions (code, name, kind, border)
                 SELECT 'R' || n, 'Region ' || n, 'custom', ST_Multi(ST_Buffer(ST_SetSRID(ST_MakePoint(n % 30 * 10 - 150, n / 30 * 9 - 60), 4326), 4, 64))
                 FROM generate_series(0, 399) AS n;
                 INSERT INTO ar.edge_coverage (h3_cell, edge_server_id)
                 SELECT DISTINCT d.h3_r7, e.id FROM (SELECT id, row_number() OVER () AS n FROM ar.edge_servers) e
                 JOIN (SELECT h3_r7, row_number() OVER () AS n FROM ar.decorations) d ON d.n % 2000 = e.n % 2000;
                 UPDATE ar.decorations SET deleted_at = now() WHERE id IN (SELECT id FROM ar.decorations WHERE category = 'food' LIMIT 100);
                 INSERT INTO ar.users (email, password_hash, full_name, role, created_at)
                 SELECT n || '@example.org', 'x', 'U', 'user', now() - n * interval '1 s' FROM generate_series(1, 20000) AS n;
                 INSERT INTO ar.user_sessions (user_id, token_id, refresh_token_hash, expires_at)
                 SELECT id, id::text, sha256(id::text::bytea), now() + interval '1 day' FROM ar.users;
                 INSERT INTO ar.decoration_sync (edge_server_id, decoration_id, sync_status)
                 SELECT e.id, d.id, 'pending' FROM (SELECT id, row_number() OVER () AS n FROM ar.edge_servers) e
                 JOIN (SELECT id, row_number() OVER () AS n FROM ar.decorations) d ON d.n % 2000 = e.n % 2000;
                 INSERT INTO ar.edge_servers (name, region, api_url, websocket_url, location, service_area)
                 SELECT 'e', 'more-' || n, 'https://e', 'wss://e', location, service_area FROM ar.edge_servers, generate_series(1, 4) AS n;
                 INSERT INTO ar.device_connections (device_id, user_id, edge_server_id, position, cell_centre, h3_r7, h3_r9)
                 SELECT 'phone-' || p.n, u.id, e.id, e.location, d.location, d.h3_r7, d.h3_r9
                 FROM generate_series(1, 20000) AS p(n)
                 JOIN (SELECT id, row_number() OVER () AS n FROM ar.users) u ON u.n = p.n % 7000 + 1
                 JOIN (SELECT id, location, row_number() OVER () AS n FROM ar.edge_servers) e ON e.n = p.n % 10000 + 1
                 JOIN (SELECT location, h3_r7, h3_r9, row_number() OVER () AS n FROM ar.decorations) d ON d.n = p.n;
                 INSERT INTO ar.edge_keys (edge_server_id, key_hash)
                 SELECT id, sha256(id::text::bytea) FROM ar.edge_servers WHERE region LIKE 'label-7%';
                 INSERT INTO ar.edge_sessions (edge_server_id, session_id, instance_id, generation, lease_until, key_id)
                 SELECT edge_server_id, id, '00000000-0000-0000-0000-000000000001', 1, now() + interval '1 day', id FROM ar.edge_keys;
                 INSERT INTO ar.edge_device_notices (edge_server_id, device_id, assigned)
                 SELECT edge_server_id, 'phone-' || n, true FROM ar.edge_sessions, generate_series(1, 400) AS n;
                 INSERT INTO ar.audit_log (at, action, object_kind)
                 SELECT now() - n * interval '1 s', 'decoration.replace', 'decoration' FROM generate_series(1, 20000) AS n;",
            )
            .execute(&t.sql)
            .await
            .expect("seeds");
            t.fold_counts().await;
            // As autovacuum does; it also sorts in what new rows left for the text index.
            sqlx::raw_sql("VACUUM ANALYZE").execute(&t.sql).await.expect("analyzes");
            db
        })
        .await
}

/// The one committed query with this in its text.
pub(crate) fn committed(part: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/.sqlx");
    let mut found = Vec::new();
    for file in std::fs::read_dir(folder).expect(".sqlx is committed") {
        let text = std::fs::read_to_string(file.expect("an entry").path()).expect("a text");
        let query: Value = serde_json::from_str(&text).expect("JSON");
        let query = query["query"].as_str().expect("a query").to_owned();
        if query.contains(part) {
            found.push(query);
        }
    }
    assert_eq!(found.len(), 1, "queries with {part}: {found:#?}");
    found.remove(0)
}

/// Nodes of a plan as "type on table using index".
pub(crate) struct Plan {
    pub(crate) nodes: Vec<(String, Option<String>, Option<String>)>,
    pub(crate) text: String,
}

impl Plan {
    fn walk(&mut self, node: &Value) {
        let text = |member: &str| node[member].as_str().map(str::to_owned);
        // An array's elements are no function that hides a plan; those of several side by side have no name.
        let kind = match node["Node Type"].as_str().expect("a node") {
            // Whose plan is looked at by itself.
            "Function Scan" if matches!(text("Function Name").as_deref(), None | Some("unnest" | "edge_fallback_if")) => "Array",
            kind => kind,
        };
        self.nodes.push((kind.to_owned(), text("Relation Name"), text("Index Name")));
        for child in node["Plans"].as_array().into_iter().flatten() {
            self.walk(child);
        }
    }

    /// These indexes are used; no large table is read whole, and no function hides its own plan.
    pub(crate) fn uses(self, indexes: &[&str]) -> Self {
        for index in indexes {
            assert!(self.nodes.iter().any(|(_, _, used)| used.as_deref() == Some(index)), "{index} is not used: {}", self.text);
        }
        for (kind, relation, _) in &self.nodes {
            assert_ne!(kind, "Function Scan", "{}", self.text);
            let large = relation.as_deref().is_some_and(|relation| LARGE.contains(&relation));
            assert!(!(kind == "Seq Scan" && large), "{relation:?} is read whole: {}", self.text);
        }
        self
    }

    pub(crate) fn has_no(self, kind: &str) -> Self {
        assert!(self.nodes.iter().all(|(node, ..)| node != kind), "{kind}: {}", self.text);
        self
    }
}

/// The plan of a statement with these arguments, on a connection of this pool.
pub(crate) async fn plan(pool: &ReadPool, query: &str, arguments: &str) -> Plan {
    let script: Arc<str> = Arc::from(format!("DEALLOCATE ALL; PREPARE asked AS {query}"));
    let arguments = if arguments.is_empty() { String::new() } else { format!("({arguments})") };
    let explain: Arc<str> = Arc::from(format!("EXPLAIN (FORMAT JSON) EXECUTE asked{arguments}"));
    let explained: Vec<Value> = pool
        .run("explaining", |connection| {
            let (script, explain) = (Arc::clone(&script), Arc::clone(&explain));
            Box::pin(async move {
                sqlx::raw_sql(AssertSqlSafe(script)).execute(&mut *connection).await?;
                sqlx::query_scalar(AssertSqlSafe(explain)).persistent(false).fetch_all(connection).await
            })
        })
        .await
        .unwrap_or_else(|error| panic!("{arguments}: {error:?} {:?}", std::error::Error::source(&error)));
    let mut plan = Plan { nodes: Vec::new(), text: serde_json::to_string_pretty(&explained).expect("JSON") };
    plan.walk(&explained[0][0]["Plan"]);
    plan
}

pub(crate) async fn pools() -> Db {
    Db::new(&config_of(seeded().await.options()))
}

/// The service on that database, for tests that only read.
pub(crate) async fn served() -> TestServer {
    let config = crate::support::Config { started: false, ..crate::support::Config::default() };
    TestServer::on(seeded().await.options(), config).await
}

const MUNICH: &str = "'SRID=4326;POINT(11.5 48.1)'::geography";

#[tokio::test]
async fn nearby_is_a_scan_of_the_geography_index() {
    let (db, query) = (pools().await, committed("FROM gis.decorations_near("));
    for rest in [
        "500, NULL, NULL, NULL, NULL, 51",
        "50000, 'art', 'image', NULL, NULL, 501",
        "50000, NULL, NULL, 12.5, gen_random_uuid(), 51",
        "0, NULL, NULL, NULL, NULL, 2",
    ] {
        plan(db.hot(), &query, &format!("{MUNICH}, {rest}")).await.uses(&["decorations_location_gist"]);
    }
}

#[tokio::test]
async fn a_small_box_is_a_scan_of_the_geometry_index_wherever_it_lies() {
    let (db, query) = (pools().await, committed("FROM gis.decorations_in_bounds("));
    for bounds in [
        "48, 11, 49, 12",
        "-1, 179.5, 1, -179.5",
        "10, -180, 11, -179",
        "10, 180, 11, 180",
        "69, 0, 90, 1",
        "-90, 5, -69, 6",
        "48, 11, 48, 11",
    ] {
        for rest in ["NULL, NULL, NULL, 201", "'art', 'image', NULL, 201", "NULL, NULL, '80000000-0000-0000-0000-000000000000', 201"] {
            plan(db.shaped(), &query, &format!("{bounds}, {rest}")).await.uses(&["decorations_geometry_gist"]);
        }
    }
}

/// The planner must know how much a box holds: a tenth of the world is not the world, nor is it nothing.
#[tokio::test]
async fn the_planner_knows_a_large_box_from_a_small_one() {
    let (db, query) = (pools().await, "SELECT FROM gis.decorations_in_bounds($1, $2, $3, $4)");
    for (bounds, rows) in [("-90, -180, 90, 180", 20_000.0), ("-70, 0, 70, 90", 5_000.0), ("10, 10, 20, 20", 40.0)] {
        let plan = plan(db.shaped(), query, bounds).await;
        let explained: Value = serde_json::from_str(&plan.text).expect("JSON");
        let expected = explained[0][0]["Plan"]["Plan Rows"].as_f64().expect("a number");
        assert!(expected > rows / 5.0 && expected < rows * 5.0, "{bounds}: {expected} rows expected, about {rows} are there");
    }
}

/// By the key, in order: a page of the world costs a page, not the world.
#[tokio::test]
async fn the_whole_world_is_read_in_the_order_of_the_key() {
    let (db, query) = (pools().await, committed("FROM gis.decorations_in_bounds("));
    for rest in ["NULL, NULL, NULL, 201", "NULL, NULL, '80000000-0000-0000-0000-000000000000', 201", "'art', NULL, NULL, 201"] {
        let plan = plan(db.shaped(), &query, &format!("-90, -180, 90, 180, {rest}")).await;
        let by_key = |(_, _, index): &(String, Option<String>, Option<String>)| {
            matches!(index.as_deref(), Some("decorations_pkey" | "decorations_category_idx"))
        };
        assert!(plan.nodes.iter().any(by_key), "{}", plan.text);
        plan.uses(&[]).has_no("Sort");
    }
}

#[tokio::test]
async fn a_rare_category_of_the_whole_world_is_found_by_its_index() {
    let (db, query) = (pools().await, committed("FROM gis.decorations_in_bounds("));
    plan(db.shaped(), &query, "-90, -180, 90, 180, 'rare', NULL, NULL, 201").await.uses(&["decorations_category_idx"]);
}

#[tokio::test]
async fn a_region_is_searched_by_its_parts() {
    let (db, query) = (pools().await, committed("FROM gis.decorations_in_region("));
    for rest in ["NULL, NULL, NULL, 201", "'art', 'image', '80000000-0000-0000-0000-000000000000', 201"] {
        plan(db.shaped(), &query, &format!("'R77', {rest}")).await.uses(&["region_parts_region_code_idx", "decorations_geometry_gist"]);
    }
}

#[tokio::test]
async fn a_label_is_searched_by_the_circles_of_its_edges() {
    let (db, query) = (pools().await, committed("FROM gis.decorations_in_edge_region("));
    plan(db.shaped(), &query, "'LABEL-7', NULL, NULL, NULL, 201")
        .await
        .uses(&["edge_servers_region_folded_idx", "decorations_location_gist"]);
}

#[tokio::test]
async fn a_word_is_looked_up_by_code_and_by_name() {
    let db = pools().await;
    plan(db.hot(), &committed("FROM gis.regions_named("), "'region 77'")
        .await
        .uses(&["regions_code_folded_key", "regions_name_folded_idx"]);
    plan(db.hot(), &committed("FROM gis.edges WHERE"), "'label-7'").await.uses(&["edge_servers_region_folded_idx"]);
    plan(db.hot(), &committed("FROM gis.regions WHERE lower(code"), "'r77'").await.uses(&["regions_code_folded_key"]);
}

#[tokio::test]
async fn regions_are_listed_in_the_order_of_their_key() {
    let db = pools().await;
    let query = committed("ORDER BY code LIMIT");
    plan(db.shaped(), &query, "NULL, NULL, 'R1', 51").await.uses(&["regions_pkey"]).has_no("Sort");
}

#[tokio::test]
async fn cells_that_the_box_cuts_are_counted_by_ranges_of_r9_cells() {
    let (db, query) = (pools().await, committed("FROM gis.decoration_clusters("));
    for resolution in [0, 3, 5] {
        plan(db.shaped(), &query, &format!("47.3, 10.2, 49.1, 12.7, {resolution}, NULL, NULL, 5001"))
            .await
            .uses(&["decorations_h3_r9_idx"]);
    }
}

#[tokio::test]
async fn fine_cells_of_a_box_are_counted_by_the_geometry_index() {
    let (db, query) = (pools().await, committed("FROM gis.decoration_clusters("));
    for resolution in [6, 9] {
        plan(db.shaped(), &query, &format!("47.3, 10.2, 49.1, 12.7, {resolution}, 'art', NULL, 5001"))
            .await
            .uses(&["decorations_geometry_gist"]);
    }
}

#[tokio::test]
async fn edges_in_reach_are_found_by_their_areas_and_places() {
    let db = pools().await;
    for (pool, way) in [(db.hot(), "generic"), (db.shaped(), "custom")] {
        println!("{way}");
        let query = "SELECT * FROM gis.edges_in_reach($1, $2, $3)";
        plan(pool, query, "11.5, 48.1, 50000").await.uses(&["edge_servers_service_area_gist", "edge_servers_location_gist"]);
    }
}

#[tokio::test]
async fn what_an_analyst_pastes_is_indexed_as_well() {
    let db = pools().await;
    plan(db.shaped(), "SELECT * FROM gis.decorations_near($1, $2, $3) ORDER BY distance_m LIMIT 10", "2.3, 48.9, 3000")
        .await
        .uses(&["decorations_location_gist"]);
    plan(db.shaped(), "SELECT count(*) FROM gis.decorations_in_bounds($1, $2, $3, $4)", "-20, 177, -15, -178")
        .await
        .uses(&["decorations_geometry_gist"]);
}

/// `deleted, category, asset_type, is_active, pattern, after, after_id, limit`
#[tokio::test]
async fn an_admins_list_is_read_newest_first_or_by_its_text() {
    let (db, query) = (pools().await, committed("name ILIKE"));
    for rest in ["NULL, NULL, NULL, NULL, NULL, NULL, 101", "'art', NULL, true, NULL, now(), gen_random_uuid(), 101"] {
        plan(db.shaped(), &query, &format!("false, {rest}")).await.uses(&["decorations_created_at_idx"]).has_no("Sort");
    }
    plan(db.shaped(), &query, "false, NULL, NULL, NULL, '%nowhere at all%', NULL, NULL, 101").await.uses(&["decorations_text_trgm"]);
    plan(db.shaped(), &query, "true, NULL, NULL, NULL, NULL, NULL, NULL, 101").await.uses(&["decorations_deleted_idx"]).has_no("Sort");
}

#[tokio::test]
async fn one_decoration_and_an_exports_page_are_read_by_the_key() {
    let db = pools().await;
    plan(db.shaped(), &committed("FROM ar.decorations WHERE id = $1 FOR NO KEY UPDATE"), "gen_random_uuid()")
        .await
        .uses(&["decorations_pkey"]);
    let page = committed("id > $1) ORDER BY id LIMIT $2");
    for after in ["NULL", "'80000000-0000-0000-0000-000000000000'"] {
        plan(db.shaped(), &page, &format!("{after}, 1000")).await.uses(&["decorations_pkey"]).has_no("Sort");
    }
}

#[tokio::test]
async fn a_new_tokens_session_is_one_look_by_the_key() {
    let (db, query) = (pools().await, committed("s.user_id = $2 AND s.revoked_at IS NULL AND s.expires_at > now() AND u.is_active"));
    plan(db.shaped(), &query, "gen_random_uuid(), gen_random_uuid()").await.uses(&["users_pkey"]);
}

#[tokio::test]
async fn accounts_and_acts_are_listed_newest_first() {
    let db = pools().await;
    let users = committed("FROM ar.users u WHERE ($1::varchar IS NULL OR role = $1)");
    plan(db.shaped(), &users, "NULL, NULL, NULL, NULL, NULL, 101").await.uses(&["users_created_at_idx"]).has_no("Sort");
    plan(db.shaped(), &users, "NULL, NULL, 'Ada@example.org', NULL, NULL, 101").await.uses(&["users_email_key"]);
    let acts = committed("FROM ar.audit_log");
    plan(db.shaped(), &acts, "NULL, NULL, NULL, NULL, now(), gen_random_uuid(), 101").await.uses(&["audit_log_at_idx"]).has_no("Sort");
    plan(db.shaped(), &acts, "gen_random_uuid(), NULL, NULL, NULL, NULL, NULL, 101").await.uses(&["audit_log_actor_id_idx"]);
}

#[tokio::test]
async fn what_changed_of_late_is_found_without_reading_the_sessions() {
    let (db, query) = (pools().await, committed("access_changed_at > now() - make_interval"));
    plan(db.shaped(), &query, "60").await.uses(&["user_sessions_access_changed_at_idx"]);
}

/// `user_id, edge_server_id, status, after, limit, place, radius, slack`
#[tokio::test]
async fn devices_near_a_place_are_found_by_the_centres_of_their_cells() {
    let (db, query) = (pools().await, committed("ST_DWithin(n.cell_centre"));
    for rest in ["NULL, NULL, NULL, NULL, 101", "gen_random_uuid(), NULL, 'connected', 'phone-7', 101"] {
        for radius in [0, 500, 50_000] {
            plan(db.shaped(), &query, &format!("{rest}, {MUNICH}, {radius}, 300")).await.uses(&["device_connections_cell_centre_gist"]);
        }
    }
}

#[tokio::test]
async fn devices_are_listed_by_their_key_their_user_or_their_edge() {
    let (db, query) = (pools().await, committed("AND ($4::text IS NULL OR device_id > $4)"));
    plan(db.shaped(), &query, "NULL, NULL, NULL, 'phone-7', 101").await.uses(&["device_connections_pkey"]).has_no("Sort");
    plan(db.shaped(), &query, "gen_random_uuid(), NULL, NULL, NULL, 101").await.uses(&["device_connections_user_id_idx"]);
    plan(db.shaped(), &query, "NULL, gen_random_uuid(), NULL, NULL, 101").await.uses(&["device_connections_edge_server_id_idx"]);
}

#[tokio::test]
async fn an_edge_is_chosen_by_the_areas_and_places_of_ten_thousand() {
    let db = pools().await;
    let indexes = ["edge_servers_service_area_gist", "edge_servers_pkey", "edge_load_pkey"];
    for (pool, way) in [(db.hot(), "generic"), (db.shaped(), "custom")] {
        println!("{way}");
        let query = "SELECT * FROM gis.edge_choice($1, $2, $3, 0.5, 0.3, 0.2, $4) ORDER BY preference DESC, edge_server_id LIMIT 3";
        plan(pool, query, &format!("{MUNICH}, NULL, 50000, NULL")).await.uses(&indexes);
        let by_cells = ["edge_coverage_pkey", "edge_servers_pkey", "edge_load_pkey"];
        plan(pool, query, &format!("{MUNICH}, ARRAY[599405990164561919, 608413189419302911]::bigint[], 50000, NULL")).await.uses(&by_cells);
        plan(pool, "SELECT * FROM gis.edge_choice($1, $2)", "11.5, 48.1").await.uses(&indexes);
        let fallback = "SELECT * FROM gis.edge_fallback($1, $2, $3)";
        let by_areas_and_places = ["edge_servers_service_area_gist", "edge_servers_location_gist", "edge_load_pkey"];
        plan(pool, fallback, &format!("{MUNICH}, 50000, gen_random_uuid()")).await.uses(&by_areas_and_places);
    }
    // For many devices at once.
    let placing = committed("FROM gis.edge_choice(d.position");
    plan(db.hot(), &placing, "ARRAY['phone-1', 'phone-2'], 50000, 0.5, 0.3, 0.2, 8")
        .await
        .uses(&indexes)
        .uses(&["device_connections_pkey"]);
}

/// One edge may have a long queue: only the first of it is read.
#[tokio::test]
async fn what_edges_are_to_be_told_is_read_edge_by_edge_in_order() {
    let (db, query) = (pools().await, committed("FROM ar.edge_sessions s CROSS JOIN LATERAL"));
    let arguments = "'00000000-0000-0000-0000-000000000001', ARRAY[gen_random_uuid()], 100, 5000";
    let plan = plan(db.shaped(), &query, arguments).await.uses(&["edge_device_notices_edge_server_id_idx"]);
    let sorts = plan.nodes.iter().filter(|(kind, ..)| kind == "Sort").count();
    assert_eq!(sorts, 1, "only what is told is sorted: {}", plan.text);
}

#[tokio::test]
async fn hot_reads_start_no_other_processes() {
    let (db, query) = (pools().await, "SELECT count(*) FROM ar.decorations WHERE length(name) > $1");
    let cheap = "SELECT set_config('parallel_setup_cost', '0', false), set_config('min_parallel_table_scan_size', '0', false) WHERE $1 > 0";
    for (pool, helped) in [(db.hot(), false), (db.shaped(), true)] {
        pool.run("making workers cheap", |connection| Box::pin(async move { sqlx::query(cheap).bind(1).execute(connection).await }))
            .await
            .expect("sets");
        let plan = plan(pool, query, "3").await;
        assert_eq!(plan.nodes.iter().any(|(kind, ..)| kind == "Gather"), helped, "{}", plan.text);
    }
}

#[tokio::test]
async fn reports_of_edges_find_their_devices_in_the_order_given() {
    let (db, query) = (pools().await, committed("UPDATE ar.device_connections d SET last_ping = now()"));
    let arguments = "ARRAY['phone-1', 'phone-2'], ARRAY[gen_random_uuid(), gen_random_uuid()], ARRAY[1, 1], ARRAY[NULL, NULL]::geography[],
        ARRAY[now(), now()], ARRAY[NULL, NULL]::geography[], ARRAY[NULL, NULL]::bigint[], ARRAY[NULL, NULL]::bigint[]";
    let plan = plan(db.hot(), &query, arguments).await.uses(&["device_connections_pkey"]);
    let joins: Vec<&str> =
        plan.nodes.iter().map(|(kind, ..)| kind.as_str()).filter(|kind| kind.contains("Join") || kind.contains("Loop")).collect();
    assert_eq!(joins, ["Nested Loop"], "so rows are locked one after the other: {}", plan.text);
    let reads: Vec<&str> =
        plan.nodes.iter().map(|(kind, ..)| kind.as_str()).filter(|kind| ["Array", "Index Scan"].contains(kind)).collect();
    assert_eq!(reads[..2], ["Array", "Index Scan"], "{}", plan.text);
}
