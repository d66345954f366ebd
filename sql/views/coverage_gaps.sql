CREATE VIEW gis.coverage_gaps AS
SELECT c.cell, c.h3_hex, c.resolution, c.decorations, c.uncovered, c.unserved, c.edges_least, c.edges_most, c.boundary, c.gid
FROM gis.coverage_by_cell c
WHERE c.uncovered > 0;
COMMENT ON VIEW gis.coverage_gaps IS 'Gaps: cells with decorations that no active edge server covers. Columns and words of gis.coverage_by_cell.';
COMMENT ON COLUMN gis.coverage_gaps.cell IS 'H3 cell.';
COMMENT ON COLUMN gis.coverage_gaps.h3_hex IS 'The cell in its usual hexadecimal form.';
COMMENT ON COLUMN gis.coverage_gaps.resolution IS 'H3 resolution: 5.';
COMMENT ON COLUMN gis.coverage_gaps.decorations IS 'Active decorations in it.';
COMMENT ON COLUMN gis.coverage_gaps.uncovered IS 'Those in no active edge server''s service area.';
COMMENT ON COLUMN gis.coverage_gaps.unserved IS 'Those in none whose edge server takes devices.';
COMMENT ON COLUMN gis.coverage_gaps.edges_least IS 'Fewest active edge servers that cover one of them.';
COMMENT ON COLUMN gis.coverage_gaps.edges_most IS 'Most active edge servers that cover one of them.';
COMMENT ON COLUMN gis.coverage_gaps.boundary IS 'Outline of the cell, EPSG:4326.';
COMMENT ON COLUMN gis.coverage_gaps.gid IS 'Number of the cell for GIS tools.';
