CREATE FUNCTION gis.edge_fallback(place geography, search_radius_m double precision, held_by uuid)
RETURNS TABLE (
    edge_server_id uuid, name varchar, region varchar, api_url varchar, websocket_url varchar, location geography,
    load double precision, health_status varchar, reason text
)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    WITH judged AS MATERIALIZED (
        SELECT CASE
                   WHEN bool_or(c.health_status <> 'offline') THEN 'all_full'
                   WHEN count(*) > 0 THEN 'none_healthy'
                   WHEN EXISTS (SELECT FROM gis.edges e WHERE NOT e.draining AND ST_DWithin(e.location, place, search_radius_m)) THEN 'outside_service_areas'
                   ELSE 'no_edges'
               END AS reason
        FROM (
            SELECT e.health_status FROM gis.edges e
            WHERE NOT e.draining AND e.service_area && place
              AND CASE WHEN e.service_area_given THEN ST_Covers(e.service_area, place)
                       ELSE ST_DWithin(e.location, place, e.service_radius_km * 1000) END
        ) AS c
    )
    SELECT e.id, e.name, e.region, e.api_url, e.websocket_url, e.location, e.load, e.health_status, j.reason
    FROM judged j
    LEFT JOIN gis.edges e
      ON NOT e.draining AND e.health_status <> 'offline' AND (e.load < 1 OR e.id = held_by) AND ST_DWithin(e.location, place, search_radius_m);
END;
COMMENT ON FUNCTION gis.edge_fallback(geography, double precision, uuid) IS 'Where no edge server that covers a position takes a device: those within search_radius_m metres of it that do, and why it is one of them (all_full, none_healthy, outside_service_areas); one row without an edge server when there is none (no_edges in reach, or one of those reasons). held_by: the edge server that serves it already.';

-- Apart from the above, and not in SQL, so that whoever may need it starts nothing, and its plan is kept.
CREATE FUNCTION gis.edge_fallback_if(place geography, search_radius_m double precision, held_by uuid)
RETURNS TABLE (
    edge_server_id uuid, name varchar, region varchar, api_url varchar, websocket_url varchar, location geography,
    load double precision, health_status varchar, reason text
)
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE ROWS 1 SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN QUERY SELECT * FROM gis.edge_fallback(place, search_radius_m, held_by);
END
$$;
COMMENT ON FUNCTION gis.edge_fallback_if(geography, double precision, uuid) IS 'gis.edge_fallback for a position, and nothing for none.';
