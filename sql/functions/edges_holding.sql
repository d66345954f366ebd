CREATE FUNCTION gis.edges_holding(decoration_ids uuid[], sync_margin_m double precision)
RETURNS TABLE (edge_server_id uuid, decoration_id uuid)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT e.id, d.id
    -- Joined and not compared one by one, as a thousand ids would be where the planner does not know the table's size yet.
    FROM (SELECT DISTINCT unnest(edges_holding.decoration_ids)) AS asked(id)
    JOIN gis.decorations d ON d.id = asked.id
    -- The cells narrow by their key; then the area itself decides.
    JOIN gis.coverage_cells c ON c.cell IN (d.h3_r5, d.h3_r7, d.h3_r9)
    JOIN gis.edges e ON e.id = c.edge_server_id
    WHERE CASE WHEN e.service_area_given THEN ST_DWithin(e.service_area, d.location, edges_holding.sync_margin_m)
               ELSE ST_DWithin(e.location, d.location, e.service_radius_km * 1000 + edges_holding.sync_margin_m) END;
END;
COMMENT ON FUNCTION gis.edges_holding(uuid[], double precision) IS 'Which edge servers should hold which of these decorations: the active ones inside a service area grown by sync_margin_m metres (the service''s own margin is 500; cells are kept for that much).';
