CREATE FUNCTION gis.tile_clusters(tile_z integer, tile_x integer, tile_y integer)
RETURNS TABLE (cell bigint, n bigint, place geometry)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT c.cell, c.n::bigint, ST_SetSRID(ST_MakePoint(c.lng, c.lat), 4326)
    FROM gis.tile_bounds(tile_z, tile_x, tile_y, 1.0 / 64) AS t, (
        SELECT k.cell, k.n, k.lng_deg AS lng, k.lat_deg AS lat
        FROM gis.tile_counts(tile_z, tile_x, tile_y) AS k
        WHERE tile_z <= 8
        UNION ALL
        SELECT f.cell, f.n, f.lng_deg, f.lat_deg
        FROM gis.tile_fine_counts(tile_z, tile_x, tile_y) AS f
        WHERE tile_z > 8
    ) AS c
    WHERE c.lat BETWEEN t.south_deg AND t.north_deg
      AND (c.lng BETWEEN t.west_deg AND t.east_deg OR c.lng >= t.west_deg + 360 OR c.lng <= t.east_deg - 360);
END;
COMMENT ON FUNCTION gis.tile_clusters(integer, integer, integer) IS 'Active decorations counted by H3 cell for a Web Mercator tile of zoom 0 to 11 (zoom, column, row), by finer cells at larger zooms: some 40 to 80 pixels of a 512-pixel tile apart. A cell is always counted whole, and drawn once, in the middle of its decorations: it belongs to the tile in which that lies (and is also in those that have it within 1/64 of their width, for drawing across edges), so neighbours agree on it and the tiles of a zoom add up to all decorations. Up to zoom 8 the counts may be some seconds behind.';
