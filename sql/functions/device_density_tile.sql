CREATE FUNCTION gis.device_density_tile(tile_z integer, tile_x integer, tile_y integer, at timestamptz DEFAULT NULL) RETURNS TABLE (mvt bytea)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT ST_AsMVT(drawn, 'device_density', 4096, 'geom', 'gid')
    FROM (
        SELECT gis.h3_hex(s.cell) AS cell, s.users, to_char(s.bucket_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS bucket_start,
               gis.h3_gid(s.cell) AS gid, gis.tile_area(tile_z, tile_x, tile_y, o.boundary) AS geom
        FROM (
            SELECT gis.h3_parent(d.cell, (ARRAY[1, 2, 2, 3, 4, 4, 5, 5, 7])[least(tile_z, 8) + 1]) AS cell, d.bucket_start, sum(d.users) AS users
            FROM gis.device_density d
            WHERE d.bucket_start = coalesce(date_bin('15 minutes', at, 'epoch'), (SELECT max(n.bucket_start) FROM gis.device_density n))
            GROUP BY 1, 2
        ) AS s
        JOIN gis.h3_cells o ON o.cell = s.cell
        CROSS JOIN gis.tile_bounds(tile_z, tile_x, tile_y, 1.0 / 32) AS t
        WHERE o.boundary && ST_MakeEnvelope(t.west_deg, t.south_deg, t.east_deg, t.north_deg, 4326)
    ) AS drawn;
END;
COMMENT ON FUNCTION gis.device_density_tile(integer, integer, integer, timestamptz) IS 'gis.device_density in a Web Mercator tile (zoom, column, row) as a Mapbox vector tile with the one layer device_density: hexagons with cell, users and bucket_start (text, UTC), of the quarter-hour that a time lies in, or the newest one. H3 resolution 7 from zoom 8 on; coarser below, whose users are sums of published numbers: somebody who was in two cells counts twice.';
