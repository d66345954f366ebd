CREATE VIEW gis.device_density_cells AS
SELECT d.bucket_start, d.cell, gis.h3_hex(d.cell) AS hex, d.users, c.boundary, gis.h3_hex(d.cell) AS h3_hex, gis.h3_gid(d.cell, d.bucket_start) AS gid
FROM gis.device_density d
JOIN ar.h3_cells c USING (cell);
COMMENT ON VIEW gis.device_density_cells IS 'gis.device_density as hexagons to draw. What is promised: no number below ten is ever here, for no cell and no time, nor can one be made of these: cells with fewer are left out before anything is written, no number is corrected later, and coarser cells are sums of these and of nothing else. What is not: two numbers may differ by one, and whoever knows nine of ten by other means learns of the tenth.';
COMMENT ON COLUMN gis.device_density_cells.bucket_start IS 'Start of the quarter-hour.';
COMMENT ON COLUMN gis.device_density_cells.cell IS 'H3 cell at resolution 7 (about 5 km²).';
COMMENT ON COLUMN gis.device_density_cells.hex IS 'The cell in its usual hexadecimal form; h3_hex is the same.';
COMMENT ON COLUMN gis.device_density_cells.users IS 'Distinct users seen there in the quarter-hour, 10 or more.';
COMMENT ON COLUMN gis.device_density_cells.boundary IS 'Outline of the cell, EPSG:4326.';
COMMENT ON COLUMN gis.device_density_cells.h3_hex IS 'The cell in its usual hexadecimal form.';
COMMENT ON COLUMN gis.device_density_cells.gid IS 'Number of this cell in this quarter-hour for GIS tools.';
