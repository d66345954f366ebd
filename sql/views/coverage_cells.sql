CREATE VIEW gis.coverage_cells AS
SELECT c.h3_cell AS cell, gis.h3_hex(c.h3_cell) AS hex, c.edge_server_id
FROM ar.edge_coverage c;
COMMENT ON VIEW gis.coverage_cells IS 'H3 cells (resolution 5, 7 or 9) that cover each edge''s area grown by the sync margin.';
