CREATE VIEW gis.h3_cells AS
SELECT c.cell, gis.h3_hex(c.cell) AS hex, c.resolution, c.boundary
FROM ar.h3_cells c;
COMMENT ON VIEW gis.h3_cells IS 'Outlines of the H3 cells in use (resolutions 0 to 5, and 7), split where they cross the antimeridian.';
