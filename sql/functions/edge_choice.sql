CREATE FUNCTION gis.edge_choice(
    place geography, place_cells bigint[], search_radius_m double precision,
    weight_distance double precision, weight_load double precision, weight_health double precision,
    held_by uuid
)
RETURNS TABLE (
    edge_server_id uuid, name varchar, region varchar, api_url varchar, websocket_url varchar, location geography,
    distance_m double precision, load double precision, health_status varchar, in_service_area boolean,
    distance_score double precision, load_score double precision, health_score double precision, score double precision,
    preference double precision, reason text
)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    WITH covering AS MATERIALIZED (
        SELECT e.id, e.name, e.region, e.api_url, e.websocket_url, e.location, e.load, e.health_status,
               e.load >= 1 AND e.id IS DISTINCT FROM held_by AS is_full, e.health_status = 'offline' AS is_offline
        FROM (
            -- Cells or the stored area's index narrow, also for a circle; then the word itself decides.
            SELECT DISTINCT c.edge_server_id FROM gis.coverage_cells c WHERE c.cell = ANY (place_cells)
            UNION ALL
            SELECT a.id FROM gis.edges a WHERE place_cells IS NULL AND a.service_area && place
        ) AS near(id)
        JOIN gis.edges e ON e.id = near.id
        WHERE NOT e.draining
          AND CASE WHEN e.service_area_given THEN ST_Covers(e.service_area, place)
                   ELSE ST_DWithin(e.location, place, e.service_radius_km * 1000) END
    ), judged AS MATERIALIZED (
        SELECT CASE
                   WHEN bool_or(NOT is_full AND NOT is_offline) THEN NULL
                   WHEN bool_or(is_full AND NOT is_offline) THEN 'all_full'
                   WHEN count(*) > 0 THEN 'none_healthy'
                   WHEN EXISTS (SELECT FROM gis.edges e WHERE NOT e.draining AND ST_DWithin(e.location, place, search_radius_m)) THEN 'outside_service_areas'
                   ELSE 'no_edges'
               END AS reason
        FROM covering
    ), measured AS (
        SELECT c.*, ST_Distance(c.location, place) AS distance_m, greatest(0, 1 - c.load) AS load_score,
               CASE c.health_status WHEN 'healthy' THEN 1 WHEN 'degraded' THEN 0.5::double precision ELSE 0.25::double precision END AS health_score
        FROM (
            SELECT c.id, c.name, c.region, c.api_url, c.websocket_url, c.location, c.load, c.health_status, true AS in_service_area
            FROM covering c WHERE NOT c.is_full AND NOT c.is_offline
            UNION ALL
            SELECT e.id, e.name, e.region, e.api_url, e.websocket_url, e.location, e.load, e.health_status, false
            FROM gis.edges e
            WHERE (SELECT j.reason FROM judged j) IN ('all_full', 'none_healthy', 'outside_service_areas')
              AND NOT e.draining AND e.health_status <> 'offline' AND (e.load < 1 OR e.id = held_by)
              AND ST_DWithin(e.location, place, search_radius_m)
        ) AS c
        -- So that a distance is measured once and not wherever it is used.
        OFFSET 0
    ), scored AS (
        SELECT m.*, greatest(0, 1 - m.distance_m / search_radius_m) AS distance_score,
               weight_distance * greatest(0, 1 - m.distance_m / search_radius_m) + weight_load * m.load_score + weight_health * m.health_score AS score
        FROM measured m
    )
    SELECT s.id, s.name, s.region, s.api_url, s.websocket_url, s.location, s.distance_m, s.load, s.health_status, s.in_service_area,
           s.distance_score, s.load_score, s.health_score, s.score, s.score * CASE WHEN s.id = held_by THEN 1.15::double precision ELSE 1 END, j.reason
    FROM judged j LEFT JOIN scored s ON true;
END;
COMMENT ON FUNCTION gis.edge_choice(geography, bigint[], double precision, double precision, double precision, double precision, uuid) IS 'Edge servers that may serve a position, with what their score is made of; unordered: the best first is ORDER BY preference DESC, edge_server_id. Candidates are active, not draining, not offline, with room, and cover the position; where none does, those within search_radius_m metres. place_cells: the position''s H3 cells at resolutions 5, 7 and 9, which find candidates faster; null does without. held_by: the edge that serves it already; it needs no room, and another is preferred only when it scores 15 % better. reason: why there is none (one row without an edge) or only a second choice: all_full, none_healthy, outside_service_areas (none covers it), no_edges (none in reach).';

CREATE FUNCTION gis.edge_choice(lng_deg double precision, lat_deg double precision)
RETURNS TABLE (
    edge_server_id uuid, name varchar, distance_m double precision, load double precision, health_status varchar, in_service_area boolean,
    distance_score double precision, load_score double precision, health_score double precision, score double precision, reason text
)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT c.edge_server_id, c.name, c.distance_m, c.load, c.health_status, c.in_service_area,
           c.distance_score, c.load_score, c.health_score, c.score, c.reason
    FROM gis.edge_choice(ST_SetSRID(ST_MakePoint(lng_deg, lat_deg), 4326)::geography, NULL, 50000, 0.5, 0.3, 0.2, NULL) AS c;
END;
COMMENT ON FUNCTION gis.edge_choice(double precision, double precision) IS 'The same by longitude and latitude in degrees, with the service''s own radius of 50 km and weights of 0.5, 0.3 and 0.2, for a device that no edge serves yet.';
