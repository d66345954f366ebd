CREATE VIEW gis.coverage_overlaps AS
SELECT c.cell, c.h3_hex, c.resolution, c.decorations, c.uncovered, c.unserved, c.edges_least, c.edges_most, c.boundary, c.gid
FROM gis.coverage_by_cell c
WHERE c.edges_most > 1;
COMMENT ON VIEW gis.coverage_overlaps IS 'Overlaps: cells with decorations that more than one active edge server covers. Columns and words of gis.coverage_by_cell.';
COMMENT ON COLUMN gis.coverage_overlaps.cell IS 'H3 cell.';
COMMENT ON COLUMN gis.coverage_overlaps.h3_hex IS 'The cell in its usual hexadecimal form.';
COMMENT ON COLUMN gis.coverage_overlaps.resolution IS 'H3 resolution: 5.';
COMMENT ON COLUMN gis.coverage_overlaps.decorations IS 'Active decorations in it.';
COMMENT ON COLUMN gis.coverage_overlaps.uncovered IS 'Those in no active edge server''s service area.';
COMMENT ON COLUMN gis.coverage_overlaps.unserved IS 'Those in none whose edge server takes devices.';
COMMENT ON COLUMN gis.coverage_overlaps.edges_least IS 'Fewest active edge servers that cover one of them.';
COMMENT ON COLUMN gis.coverage_overlaps.edges_most IS 'Most active edge servers that cover one of them.';
COMMENT ON COLUMN gis.coverage_overlaps.boundary IS 'Outline of the cell, EPSG:4326.';
COMMENT ON COLUMN gis.coverage_overlaps.gid IS 'Number of the cell for GIS tools.';
