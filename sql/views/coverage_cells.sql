CREATE VIEW gis.coverage_cells AS
SELECT c.h3_cell AS cell, gis.h3_hex(c.h3_cell) AS hex, c.edge_server_id, gis.h3_hex(c.h3_cell) AS h3_hex
FROM ar.edge_coverage c;
COMMENT ON VIEW gis.coverage_cells IS 'H3 cells (resolution 5, 7 or 9) that cover each edge''s area grown by the sync margin.';
COMMENT ON COLUMN gis.coverage_cells.cell IS 'H3 cell.';
COMMENT ON COLUMN gis.coverage_cells.hex IS 'The cell in its usual hexadecimal form; h3_hex is the same.';
COMMENT ON COLUMN gis.coverage_cells.edge_server_id IS 'The edge server.';
COMMENT ON COLUMN gis.coverage_cells.h3_hex IS 'The cell in its usual hexadecimal form.';
