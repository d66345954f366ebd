//! What an attacker would try beside the views: statistics, catalogs, other sessions, internals of PostgreSQL and PostGIS.

/// Questions, and whether worlds with the same number of people must answer them alike. Where not, the answer says
/// physical facts, such as transaction numbers, and is only searched for secrets. `{small}` is a cell of few.
pub(super) const ATTACKS: &[(&str, bool)] = &[
    // PostGIS reads statistics with no regard to rights, and takes a table by its number, too.
    ("SELECT ST_EstimatedExtent('ar', 'device_connections', 'position')", true),
    ("SELECT ST_EstimatedExtent('ar', 'device_connections', 'cell_centre')", true),
    ("SELECT public._postgis_stats((SELECT oid FROM pg_class WHERE relname = 'device_connections')::oid::regclass, 'position')", true),
    (
        "SELECT public._postgis_stats((SELECT oid FROM pg_class WHERE relname = 'device_connections')::oid::regclass, 'cell_centre', '2')",
        true,
    ),
    (
        "SELECT public._postgis_selectivity((SELECT oid FROM pg_class WHERE relname = 'device_connections')::oid::regclass, 'position', ST_MakeEnvelope(-180, -90, 180, 90, 4326))",
        true,
    ),
    (
        "SELECT public._postgis_index_extent((SELECT oid FROM pg_class WHERE relname = 'device_connections')::oid::regclass, 'cell_centre')",
        true,
    ),
    ("SELECT ST_FindExtent('ar', 'device_connections', 'position')", true),
    // PostgreSQL's own statistics.
    ("SELECT * FROM pg_stats WHERE schemaname = 'ar'", true),
    ("SELECT * FROM pg_stats_ext WHERE schemaname = 'ar'", true),
    ("SELECT * FROM pg_stats_ext_exprs WHERE schemaname = 'ar'", true),
    ("SELECT * FROM pg_statistic", true),
    ("SELECT * FROM pg_statistic_ext_data", true),
    ("SELECT tablename, attname, most_common_vals::text, histogram_bounds::text FROM pg_stats WHERE schemaname = 'gis'", true),
    (
        "SELECT relname, reltuples, relpages FROM pg_class WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'ar') AND relkind = 'r' AND relname NOT LIKE 'schema%'",
        false,
    ),
    ("SELECT relname, n_tup_ins, n_live_tup FROM pg_stat_all_tables WHERE schemaname = 'ar'", false),
    ("SELECT indexrelname, idx_scan, idx_tup_read FROM pg_stat_all_indexes WHERE schemaname = 'ar'", false),
    ("SELECT * FROM pg_stat_user_functions", false),
    // Tables by other ways than their names.
    ("SELECT * FROM ar.device_connections", true),
    ("SELECT count(*) FROM ar.device_presence", true),
    ("SELECT users FROM (SELECT h3_r7, count(*) AS users FROM ar.device_presence GROUP BY 1) AS x", true),
    ("EXPLAIN SELECT * FROM ar.device_presence", true),
    ("SELECT table_to_xml((SELECT oid FROM pg_class WHERE relname = 'device_connections')::oid::regclass, true, false, '')", true),
    ("SELECT query_to_xml('SELECT * FROM ar.users', true, false, '')", true),
    ("SELECT * FROM ar.users", true),
    ("COPY (SELECT * FROM ar.device_connections) TO STDOUT", true),
    ("TABLE ar.published_usage", true),
    ("TABLE ar.decoration_usage", true),
    ("SELECT pg_get_viewdef('gis.edges'::regclass)", true),
    ("SELECT ar.sync_digest(NULL, 1)", true),
    ("SELECT currval('ar.edge_health_changes_gid_seq')", true),
    ("SELECT lo_import('/etc/passwd')", true),
    ("SELECT pg_ls_dir('.')", true),
    ("SET ROLE ar_supervisor", true),
    ("SET SESSION AUTHORIZATION DEFAULT", true),
    // Other sessions of this world: what they ask, what they hold. Analysts see each other's questions, and those of the
    // tests beside this one name the very same cells.
    ("SELECT usename, query FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()", false),
    (
        "SELECT pg_stat_get_backend_activity(b) FROM pg_stat_get_backend_idset() AS b WHERE pg_stat_get_backend_dbid(b) = (SELECT oid FROM pg_database WHERE datname = current_database())",
        false,
    ),
    ("SELECT locktype, relation::regclass, page, tuple, classid, objid, mode FROM pg_locks WHERE pid <> pg_backend_pid()", false),
    ("SELECT * FROM pg_prepared_statements", true),
    ("SELECT * FROM pg_cursors", true),
    ("SELECT * FROM pg_stat_progress_analyze", false),
    ("SELECT name, setting FROM pg_settings WHERE name LIKE 'ar.%'", true),
    // Where rows stand, and who wrote them when.
    ("SELECT ctid, cell, bucket_start, users FROM gis.device_density", true),
    ("SELECT xmin, count(*) FROM gis.device_density GROUP BY 1", false),
    ("SELECT tableoid::regclass, cmin, cmax FROM gis.device_density", false),
    ("SELECT xmin FROM gis.edges", true),
    ("SELECT pg_relation_size('gis.device_density'), pg_relation_size('gis.device_density_pkey')", true),
    // Errors as an oracle.
    ("SELECT 1 / (users - 9) FROM gis.device_density", true),
    ("SELECT * FROM gis.edges WHERE 1 / (current_connections - 3) > 5", true),
    ("SELECT * FROM gis.edges WHERE 1 / (load * max_connections - 3) > 5", true),
    ("SELECT (name || id)::integer FROM gis.edges WHERE reported_connections BETWEEN 1 AND 9", true),
    ("SELECT * FROM gis.device_density_cells WHERE cell = {small}", true),
    ("SELECT * FROM gis.h3_cells WHERE cell = {small}", true),
    // What the plan tells.
    ("EXPLAIN (ANALYZE, VERBOSE, TIMING OFF, SUMMARY OFF) SELECT * FROM gis.device_density_cells WHERE users < 10", true),
    ("EXPLAIN (ANALYZE, VERBOSE, TIMING OFF, SUMMARY OFF) SELECT * FROM gis.device_density_sums WHERE users < 100", true),
    ("EXPLAIN (ANALYZE, VERBOSE, TIMING OFF, SUMMARY OFF) SELECT * FROM gis.edges WHERE current_connections BETWEEN 1 AND 9", true),
    ("EXPLAIN (ANALYZE, VERBOSE, TIMING OFF, SUMMARY OFF) SELECT * FROM gis.edges WHERE load > 0 AND load < 0.01", true),
    ("EXPLAIN (ANALYZE, VERBOSE, TIMING OFF, SUMMARY OFF) SELECT * FROM gis.decoration_usage WHERE answers < 1000", true),
    ("EXPLAIN (ANALYZE, VERBOSE, TIMING OFF, SUMMARY OFF) SELECT * FROM gis.edge_samples WHERE connections BETWEEN 1 AND 9", true),
    ("EXPLAIN (ANALYZE, VERBOSE, TIMING OFF, SUMMARY OFF) SELECT * FROM gis.edge_samples WHERE bandwidth_mbps > 0", true),
    ("EXPLAIN (ANALYZE, VERBOSE, BUFFERS, WAL) SELECT * FROM gis.device_density_cells JOIN gis.h3_cells USING (cell)", false),
    ("EXPLAIN (ANALYZE, VERBOSE, BUFFERS) SELECT * FROM gis.load_by_edge", false),
    ("EXPLAIN (ANALYZE, VERBOSE, BUFFERS) SELECT * FROM gis.edge_choice(11.0, 48.0)", false),
    // Parameters that make the planner show what it thinks.
    ("SET enable_seqscan = off; EXPLAIN SELECT * FROM gis.edges WHERE current_connections = 3", true),
    ("SET track_io_timing = on", true),
    ("SET log_statement = 'all'", true),
    ("LOAD 'pageinspect'", true),
    ("SELECT * FROM pg_available_extensions WHERE name = 'pageinspect' AND installed_version IS NOT NULL", true),
    ("CREATE TEMP TABLE t AS SELECT 1", true),
    ("SELECT set_config('default_transaction_read_only', 'off', false)", true),
    (
        "CREATE FUNCTION pg_temp.leak(x bigint) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS $$ BEGIN RAISE NOTICE '%', x; RETURN true; END $$",
        true,
    ),
    ("DO $$ BEGIN PERFORM * FROM ar.device_connections; END $$", true),
];
