CREATE FUNCTION gis.decorations_tile(tile_z integer, tile_x integer, tile_y integer) RETURNS TABLE (mvt bytea)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT clusters.mvt
    FROM (
        SELECT ST_AsMVT(drawn, 'decorations', 4096, 'geom', 'gid') AS mvt
        FROM (
            SELECT gis.h3_hex(c.cell) AS cell, c.n AS count, gis.h3_gid(c.cell) AS gid, gis.tile_point(tile_z, tile_x, tile_y, c.place) AS geom
            FROM gis.tile_clusters(tile_z, tile_x, tile_y) AS c
        ) AS drawn
    ) AS clusters
    WHERE tile_z < 12
    UNION ALL
    SELECT singles.mvt
    FROM (
        SELECT ST_AsMVT(drawn, 'decorations', 4096, 'geom', 'gid') AS mvt
        FROM (
            SELECT d.id::text AS id, d.name, d.category, d.asset_type, d.radius_meters, d.gid, gis.tile_point(tile_z, tile_x, tile_y, d.geom) AS geom
            FROM gis.tile_bounds(tile_z, tile_x, tile_y, 1.0 / 64) AS t
            JOIN gis.decorations d
                -- Those beside the antimeridian are NULL mostly, and then the planner drops them.
                ON d.geom && ST_MakeEnvelope(greatest(t.west_deg, -180), t.south_deg, least(t.east_deg, 180), t.north_deg, 4326)
                OR d.geom && CASE WHEN t.west_deg < -180 THEN ST_MakeEnvelope(t.west_deg + 360, t.south_deg, 180, t.north_deg, 4326) END
                OR d.geom && CASE WHEN t.east_deg > 180 THEN ST_MakeEnvelope(-180, t.south_deg, t.east_deg - 360, t.north_deg, 4326) END
        ) AS drawn
    ) AS singles
    WHERE tile_z >= 12;
END;
COMMENT ON FUNCTION gis.decorations_tile(integer, integer, integer) IS 'The decorations of a Web Mercator tile (zoom, column, row) as a Mapbox vector tile with the one layer decorations. From zoom 12 on points with id, name, category, asset_type and radius_meters (metres); below the clusters of gis.tile_clusters with cell and count.';
