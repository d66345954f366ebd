CREATE FUNCTION gis.tile_area(tile_z integer, tile_x integer, tile_y integer, area geometry) RETURNS geometry
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ST_AsMVTGeom(
    ST_Transform(
        -- A straight side on a map of latitudes and longitudes is a curve here: it gets corners.
        ST_Segmentize(
            -- Corners on a grid of 4 units, half a pixel: neighbours keep their common border.
            ST_SnapToGrid(
                ST_ClipByBox2D(area, ST_MakeEnvelope(
                    (tile_x - 1.0 / 32) * 360 / (1 << tile_z) - 180, gis.tile_lat(tile_z, tile_y + 1 + 1.0 / 32),
                    (tile_x + 1 + 1.0 / 32) * 360 / (1 << tile_z) - 180, gis.tile_lat(tile_z, tile_y - 1.0 / 32), 4326)),
                360.0 / 1024 / (1 << tile_z)),
            360.0 / 16 / (1 << tile_z)),
        3857),
    ST_TileEnvelope(tile_z, tile_x, tile_y), 4096, 64);
COMMENT ON FUNCTION gis.tile_area(integer, integer, integer, geometry) IS 'An area (EPSG:4326) in the coordinates of a tile of 4096 units, for ST_AsMVT: cut off 64 units outside of it, and with no more corners than can be told apart; null when it is not in the tile or too small to see.';
