CREATE VIEW gis.h3_cells AS
SELECT c.cell, gis.h3_hex(c.cell) AS hex, c.resolution, c.boundary, gis.h3_hex(c.cell) AS h3_hex, gis.h3_gid(c.cell) AS gid
FROM ar.h3_cells c;
COMMENT ON VIEW gis.h3_cells IS 'Outlines of the H3 cells in use (resolutions 0 to 5, and 7), split where they cross the antimeridian.';
COMMENT ON COLUMN gis.h3_cells.cell IS 'H3 cell.';
COMMENT ON COLUMN gis.h3_cells.hex IS 'The cell in its usual hexadecimal form; h3_hex is the same.';
COMMENT ON COLUMN gis.h3_cells.resolution IS 'H3 resolution.';
COMMENT ON COLUMN gis.h3_cells.boundary IS 'Outline of the cell, EPSG:4326.';
COMMENT ON COLUMN gis.h3_cells.h3_hex IS 'The cell in its usual hexadecimal form.';
COMMENT ON COLUMN gis.h3_cells.gid IS 'Number of the cell for GIS tools.';
