CREATE FUNCTION gis.decorations_held(edge_id uuid, sync_margin_m double precision)
RETURNS TABLE (decoration_id uuid)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    -- The words of edges_holding, each apart: only so does the index on locations serve both.
    SELECT d.id
    FROM gis.edges e
    JOIN gis.decorations d ON ST_DWithin(e.location, d.location, e.service_radius_km * 1000 + decorations_held.sync_margin_m)
    WHERE e.id = decorations_held.edge_id AND NOT e.service_area_given
    UNION ALL
    SELECT d.id
    FROM (
        SELECT e.service_area FROM gis.edges e WHERE e.id = decorations_held.edge_id AND e.service_area_given OFFSET 0
    ) AS e
    -- The box in which ST_DWithin would look by itself.
    JOIN gis.decorations d ON d.location && _ST_Expand(e.service_area, decorations_held.sync_margin_m)
    LEFT JOIN (
        -- On a flat map, a piece at a time, takes a tenth of the time. It may be wrong by centimetres, for which the
        -- margin makes up.
        SELECT DISTINCT i.id
        FROM (
            SELECT ST_Subdivide(e.service_area::geometry, 64) AS piece FROM gis.edges e
            WHERE e.id = decorations_held.edge_id AND e.service_area_given AND decorations_held.sync_margin_m >= 1
        ) AS p
        JOIN gis.decorations i ON ST_Intersects(p.piece, i.geom)
    ) AS inside ON inside.id = d.id
    WHERE CASE WHEN inside.id IS NOT NULL THEN true ELSE ST_DWithin(e.service_area, d.location, decorations_held.sync_margin_m) END;
END;
COMMENT ON FUNCTION gis.decorations_held(uuid, double precision) IS 'What an edge server should hold: the active decorations inside its service area grown by sync_margin_m metres (the service''s own margin is 500 unless configured). The same pairs as edges_holding, seen from the edge.';
