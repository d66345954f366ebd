CREATE FUNCTION gis.edges_holding(decoration_ids uuid[], sync_margin_m double precision)
RETURNS TABLE (edge_server_id uuid, decoration_id uuid)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT e.id, d.id
    FROM (SELECT DISTINCT unnest(edges_holding.decoration_ids)) AS asked(id)
    -- Each by its key and then by the keys of its cells. OFFSET 0 holds the planner to that: while a table is filled and
    -- not analysed yet, it would take it for an empty one, and measure every decoration against every edge.
    CROSS JOIN LATERAL (
        SELECT d.id, d.location, d.h3_r5, d.h3_r7, d.h3_r9 FROM gis.decorations d WHERE d.id = asked.id OFFSET 0
    ) AS d
    CROSS JOIN LATERAL (
        SELECT c.edge_server_id FROM gis.coverage_cells c WHERE c.cell IN (d.h3_r5, d.h3_r7, d.h3_r9) OFFSET 0
    ) AS c
    JOIN gis.edges e ON e.id = c.edge_server_id
    -- The cells are only near; the area itself decides.
    WHERE CASE WHEN e.service_area_given THEN ST_DWithin(e.service_area, d.location, edges_holding.sync_margin_m)
               ELSE ST_DWithin(e.location, d.location, e.service_radius_km * 1000 + edges_holding.sync_margin_m) END;
END;
COMMENT ON FUNCTION gis.edges_holding(uuid[], double precision) IS 'Which edge servers should hold which of these decorations: the active ones inside a service area grown by sync_margin_m metres (the service''s own margin is 500 unless configured; cells are kept for that much).';
