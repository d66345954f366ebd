CREATE VIEW gis.decoration_totals AS
SELECT c.resolution, c.cell, c.n,
       c.min_lat_deg, c.max_lat_deg, c.min_lng_deg, c.max_lng_deg, gis.h3_hex(c.cell) AS h3_hex
FROM ar.decoration_counts c
WHERE c.n > 0 AND c.category = '' AND c.asset_type = '';
COMMENT ON VIEW gis.decoration_totals IS 'Active decorations by H3 cell (ancestors of their r9 cells, resolutions 0 to 5), all together, with the extent of their positions; some seconds behind.';
COMMENT ON COLUMN gis.decoration_totals.resolution IS 'H3 resolution, 0 to 5.';
COMMENT ON COLUMN gis.decoration_totals.cell IS 'H3 cell.';
COMMENT ON COLUMN gis.decoration_totals.n IS 'Active decorations.';
COMMENT ON COLUMN gis.decoration_totals.min_lat_deg IS 'Extent of their positions: south, degrees. It may be too wide after a removal, never too narrow.';
COMMENT ON COLUMN gis.decoration_totals.max_lat_deg IS 'Extent: north, degrees.';
COMMENT ON COLUMN gis.decoration_totals.min_lng_deg IS 'Extent: least longitude, degrees.';
COMMENT ON COLUMN gis.decoration_totals.max_lng_deg IS 'Extent: greatest longitude, degrees.';
COMMENT ON COLUMN gis.decoration_totals.h3_hex IS 'The cell in its usual hexadecimal form.';
