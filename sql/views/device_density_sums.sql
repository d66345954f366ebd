CREATE VIEW gis.device_density_sums AS
SELECT s.bucket_start, s.resolution, s.cell, gis.h3_hex(s.cell) AS h3_hex, s.users, s.cells, c.boundary, gis.h3_gid(s.cell, s.bucket_start) AS gid
FROM (
    SELECT d.bucket_start, r.resolution, gis.h3_parent(d.cell, r.resolution) AS cell, sum(d.users) AS users, count(*) AS cells
    FROM gis.device_density d
    CROSS JOIN generate_series(0, 5) AS r (resolution)
    GROUP BY d.bucket_start, r.resolution, gis.h3_parent(d.cell, r.resolution)
) AS s
LEFT JOIN ar.h3_cells c ON c.cell = s.cell;
COMMENT ON VIEW gis.device_density_sums IS 'gis.device_density added up to coarser H3 cells, to draw: filter by bucket_start and resolution (0 to 5). Only published cells are in a sum, so a sum less its parts is nothing. Who was in two cells of one quarter-hour counts in both.';
COMMENT ON COLUMN gis.device_density_sums.bucket_start IS 'Start of the quarter-hour.';
COMMENT ON COLUMN gis.device_density_sums.resolution IS 'H3 resolution, 0 to 5.';
COMMENT ON COLUMN gis.device_density_sums.cell IS 'H3 cell: the ancestor of the cells added up.';
COMMENT ON COLUMN gis.device_density_sums.h3_hex IS 'The cell in its usual hexadecimal form.';
COMMENT ON COLUMN gis.device_density_sums.users IS 'Sum of the users of the published cells in it.';
COMMENT ON COLUMN gis.device_density_sums.cells IS 'Published r7 cells in it.';
COMMENT ON COLUMN gis.device_density_sums.boundary IS 'Outline of the cell, EPSG:4326; null where it was never drawn.';
COMMENT ON COLUMN gis.device_density_sums.gid IS 'Number of this cell in this quarter-hour for GIS tools.';
