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
    SELECT s.id, s.name, s.region, s.api_url, s.websocket_url, s.location, s.distance_m, s.load, s.health_status, s.in_service_area,
           s.distance_score, s.load_score, s.health_score, s.score, s.score * CASE WHEN s.id = held_by THEN 1.15::double precision ELSE 1 END, s.reason
    FROM (
        SELECT m.*, CASE WHEN m.id IS NOT NULL THEN greatest(0, 1 - m.distance_m / search_radius_m) END AS distance_score,
               weight_distance * greatest(0, 1 - m.distance_m / search_radius_m) + weight_load * m.load_score + weight_health * m.health_score AS score
        FROM (
            SELECT c.*, ST_Distance(c.location, place) AS distance_m, CASE WHEN c.id IS NOT NULL THEN greatest(0, 1 - c.load) END AS load_score,
                   CASE c.health_status WHEN 'healthy' THEN 1 WHEN 'degraded' THEN 0.5::double precision WHEN 'unknown' THEN 0.25::double precision END AS health_score
            FROM (
                SELECT coalesce(f.id, o.edge_server_id) AS id, coalesce(f.name, o.name) AS name, coalesce(f.region, o.region) AS region,
                       coalesce(f.api_url, o.api_url) AS api_url, coalesce(f.websocket_url, o.websocket_url) AS websocket_url,
                       coalesce(f.location, o.location) AS location, coalesce(f.load, o.load) AS load,
                       coalesce(f.health_status, o.health_status) AS health_status,
                       CASE WHEN f.id IS NOT NULL THEN true WHEN o.edge_server_id IS NOT NULL THEN false END AS in_service_area, o.reason
                FROM (SELECT) AS always
                LEFT JOIN (
                    SELECT e.*
                    FROM (
                        -- None twice: an edge's cells are all of one resolution.
                        SELECT c.edge_server_id FROM gis.coverage_cells c WHERE c.cell = ANY (place_cells)
                        UNION ALL
                        SELECT a.id FROM gis.edges a WHERE place_cells IS NULL AND a.service_area && place
                    ) AS near(id)
                    -- Each by its keys: the planner thinks more of them than there are, and would read all loads at once.
                    CROSS JOIN LATERAL (
                        SELECT e.id, e.name, e.region, e.api_url, e.websocket_url, e.location, e.load, e.health_status
                        FROM gis.edges e
                        WHERE e.id = near.id AND NOT e.draining AND e.health_status <> 'offline' AND (e.load < 1 OR e.id = held_by)
                          -- Cells and the stored area's index narrow, also for a circle; then the word itself decides.
                          AND CASE WHEN e.service_area_given THEN ST_Covers(e.service_area, place)
                                   ELSE ST_DWithin(e.location, place, e.service_radius_km * 1000) END
                        OFFSET 0
                    ) AS e
                ) AS f ON true
                -- Strict, so it does nothing but where there is no first choice; nor is it planned or started before.
                LEFT JOIN LATERAL gis.edge_fallback_if(CASE WHEN f.id IS NULL THEN place END, search_radius_m, coalesce(held_by, '00000000-0000-0000-0000-000000000000')) AS o ON true
            ) AS c
            -- So that a distance is measured once and not wherever it is used.
            OFFSET 0
        ) AS m
    ) AS s;
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
