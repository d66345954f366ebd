CREATE FUNCTION gis.edges_in_reach(lng_deg double precision, lat_deg double precision, search_radius_m double precision DEFAULT 50000)
RETURNS TABLE (edge_server_id uuid, name varchar, region varchar, distance_m double precision, in_service_area boolean)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT e.id, e.name, e.region, ST_Distance(e.location, p.point),
           CASE WHEN e.service_area_given THEN ST_Covers(e.service_area, p.point)
                ELSE ST_DWithin(e.location, p.point, e.service_radius_km * 1000) END
    FROM (SELECT ST_SetSRID(ST_MakePoint(lng_deg, lat_deg), 4326)::geography AS point) AS p
    JOIN gis.edges e
      -- The stored area narrows by its index, also for a circle; then the word itself decides.
      ON (e.service_area && p.point
          AND CASE WHEN e.service_area_given THEN ST_Covers(e.service_area, p.point)
                   ELSE ST_DWithin(e.location, p.point, e.service_radius_km * 1000) END)
      OR ST_DWithin(e.location, p.point, search_radius_m);
END;
COMMENT ON FUNCTION gis.edges_in_reach(double precision, double precision, double precision) IS 'Active edge servers whose service area covers the position, and those within search_radius_m metres of it; distance on the spheroid in metres.';
