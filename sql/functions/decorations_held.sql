CREATE FUNCTION gis.decorations_held(edge_id uuid, sync_margin_m double precision)
RETURNS TABLE (decoration_id uuid)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    WITH drawn AS MATERIALIZED (
        -- The box is the one in which ST_DWithin would look by itself; made once, for it takes as long as the border is.
        SELECT e.service_area, _ST_Expand(e.service_area, decorations_held.sync_margin_m) AS box
        FROM gis.edges e WHERE e.id = decorations_held.edge_id AND e.service_area_given
    ), near AS MATERIALIZED (
        SELECT d.id FROM drawn JOIN gis.decorations d ON d.location && drawn.box
    ), pieces AS MATERIALIZED (
        -- On a flat map, a piece at a time, takes a tenth of the time. It may be wrong by centimetres, for which the margin
        -- makes up.
        SELECT ST_Subdivide(drawn.service_area::geometry, 64) AS piece FROM drawn WHERE decorations_held.sync_margin_m >= 1
    ), inside AS MATERIALIZED (
        SELECT DISTINCT d.id FROM pieces JOIN gis.decorations d ON ST_Intersects(pieces.piece, d.geom)
    )
    -- The words of edges_holding, each apart: only so does the index on locations serve both.
    SELECT d.id
    FROM gis.edges e
    JOIN gis.decorations d ON ST_DWithin(e.location, d.location, e.service_radius_km * 1000 + decorations_held.sync_margin_m)
    WHERE e.id = decorations_held.edge_id AND NOT e.service_area_given
    UNION ALL
    SELECT inside.id FROM inside
    UNION ALL
    -- Sets and keys, because a join would be planned by a guess of how many there are.
    SELECT border.id
    FROM (SELECT near.id FROM near EXCEPT SELECT inside.id FROM inside) AS border
    CROSS JOIN LATERAL (SELECT d.location FROM gis.decorations d WHERE d.id = border.id OFFSET 0) AS d
    JOIN drawn ON ST_DWithin(drawn.service_area, d.location, decorations_held.sync_margin_m);
END;
COMMENT ON FUNCTION gis.decorations_held(uuid, double precision) IS 'What an edge server should hold: the active decorations inside its service area grown by sync_margin_m metres (the service''s own margin is 500 unless configured). The same pairs as edges_holding, seen from the edge.';
