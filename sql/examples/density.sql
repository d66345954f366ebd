-- Density: where are people?
--
-- gis.device_density holds counts of different users by H3 cell (resolution 7, about 5 km²) and quarter-hour. A cell in
-- which there were fewer than ten is not in it, and was never: what is missing here cannot be found by subtracting.

-- What is the newest quarter-hour that is published, and how much is in it?
SELECT bucket_start, count(*) AS cells, sum(users) AS users
FROM device_density
WHERE bucket_start = (SELECT max(bucket_start) FROM device_density)
GROUP BY bucket_start;

-- Its fullest cells, ready to draw.
SELECT h3_hex, users, ST_AsText(ST_PointOnSurface(boundary), 2) AS somewhere_in_it
FROM device_density_cells
WHERE bucket_start = (SELECT max(bucket_start) FROM device_density)
ORDER BY users DESC, cell
LIMIT 10;

-- Coarser: sums of the published cells at resolution 3.
SELECT h3_hex, users, cells
FROM device_density_sums
WHERE resolution = 3 AND bucket_start = (SELECT max(bucket_start) FROM device_density)
ORDER BY users DESC, cell
LIMIT 10;

-- When is it busiest? The last day by quarter-hour.
SELECT bucket_start, sum(users) AS users, count(*) AS cells
FROM device_density
WHERE bucket_start >= now() - interval '1 day'
GROUP BY bucket_start
ORDER BY bucket_start;

-- In which countries? A cell counts where its middle lies.
SELECT r.name, sum(d.users) AS users
FROM device_density_cells d
JOIN region_parts p ON ST_Intersects(p.part, ST_Centroid(d.boundary))
JOIN regions r ON r.code = p.region_code AND r.kind = 'country'
WHERE d.bucket_start = (SELECT max(bucket_start) FROM device_density)
GROUP BY r.code, r.name
ORDER BY users DESC, r.name
LIMIT 10;
