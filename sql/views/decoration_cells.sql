CREATE VIEW gis.decoration_cells AS
SELECT n.cell, gis.h3_hex(n.cell) AS hex, n.resolution, n.n, c.boundary, gis.h3_hex(n.cell) AS h3_hex, gis.h3_gid(n.cell) AS gid
FROM ar.decoration_counts n
-- The resolution, too, so that the cells of a box are looked up by the key of the counts.
JOIN ar.h3_cells c ON c.cell = n.cell AND c.resolution = n.resolution
WHERE n.n > 0 AND n.category = '' AND n.asset_type = '';
COMMENT ON VIEW gis.decoration_cells IS 'Active decorations by H3 cell as hexagons to draw: filter by resolution (0 to 5).';
COMMENT ON COLUMN gis.decoration_cells.cell IS 'H3 cell.';
COMMENT ON COLUMN gis.decoration_cells.hex IS 'The cell in its usual hexadecimal form; h3_hex is the same.';
COMMENT ON COLUMN gis.decoration_cells.resolution IS 'H3 resolution, 0 to 5.';
COMMENT ON COLUMN gis.decoration_cells.n IS 'Active decorations.';
COMMENT ON COLUMN gis.decoration_cells.boundary IS 'Outline of the cell, EPSG:4326, split where it crosses the antimeridian.';
COMMENT ON COLUMN gis.decoration_cells.h3_hex IS 'The cell in its usual hexadecimal form.';
COMMENT ON COLUMN gis.decoration_cells.gid IS 'Number of the cell for GIS tools.';
