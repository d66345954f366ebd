CREATE VIEW gis.device_density_cells AS
SELECT d.bucket_start, d.cell, gis.h3_hex(d.cell) AS hex, d.users, c.boundary
FROM gis.device_density d
JOIN ar.h3_cells c USING (cell);
COMMENT ON VIEW gis.device_density_cells IS 'gis.device_density as hexagons to draw.';
