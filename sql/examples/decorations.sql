-- Decorations: what is where?
--
-- Run this file with psql -f, or paste statement by statement. Nothing here changes anything: ar_analyst only reads, and
-- schema gis is on its search path, so `decorations` is gis.decorations.

-- How many are there, of which kinds, and how large are they?
SELECT category, asset_type, count(*) AS decorations, round(avg(radius_meters)) AS radius_m, round(sum(file_size_bytes) / 1e6) AS megabytes
FROM decorations
GROUP BY category, asset_type
ORDER BY decorations DESC;

-- Which are nearest to a place? Functions take longitude first, as PostGIS does, and answer in metres.
-- The service answers phones from this very function.
SELECT name, category, round(distance_m / 1000) AS km, round(bearing_deg) AS bearing_deg
FROM decorations_near(8.5403, 47.3779, 200000)
ORDER BY distance_m, id
LIMIT 10;

-- Which are in a box of the map? `geom && box` is what QGIS and GDAL send for the map's extent; an index answers it.
SELECT gid, name, ST_X(geom) AS lng_deg, ST_Y(geom) AS lat_deg
FROM decorations
WHERE geom && ST_MakeEnvelope(5, 45, 11, 48, 4326)
ORDER BY gid
LIMIT 10;

-- How are they spread over hexagons? Counts by H3 cell are kept ready for resolutions 0 (continents) to 5 (towns).
SELECT h3_hex, n, ST_AsText(ST_PointOnSurface(boundary), 2) AS somewhere_in_it
FROM decoration_cells
WHERE resolution = 3
ORDER BY n DESC, cell
LIMIT 10;

-- Finer cells, and a category, are counted from the decorations of a box: south, west, north, east, resolution.
SELECT h3_hex(cell) AS h3_hex, n
FROM decoration_clusters(45, 5, 48, 11, 6, 'art')
ORDER BY n DESC, cell
LIMIT 10;
