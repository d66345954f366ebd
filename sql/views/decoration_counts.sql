CREATE VIEW gis.decoration_counts AS
SELECT c.resolution, c.cell, c.category, c.asset_type, c.n,
       c.min_lat_deg, c.max_lat_deg, c.min_lng_deg, c.max_lng_deg, gis.h3_hex(c.cell) AS h3_hex
FROM ar.decoration_counts c
WHERE c.n > 0 AND c.category <> '';
COMMENT ON VIEW gis.decoration_counts IS 'Active decorations by H3 cell (ancestors of their r9 cells, resolutions 0 to 5), category and asset type, with the extent of their positions; some seconds behind.';
COMMENT ON COLUMN gis.decoration_counts.resolution IS 'H3 resolution, 0 to 5.';
COMMENT ON COLUMN gis.decoration_counts.cell IS 'H3 cell.';
COMMENT ON COLUMN gis.decoration_counts.category IS 'Category counted.';
COMMENT ON COLUMN gis.decoration_counts.asset_type IS 'Asset type counted.';
COMMENT ON COLUMN gis.decoration_counts.n IS 'Active decorations.';
COMMENT ON COLUMN gis.decoration_counts.min_lat_deg IS 'Extent of their positions: south, degrees. It may be too wide after a removal, never too narrow.';
COMMENT ON COLUMN gis.decoration_counts.max_lat_deg IS 'Extent: north, degrees.';
COMMENT ON COLUMN gis.decoration_counts.min_lng_deg IS 'Extent: least longitude, degrees.';
COMMENT ON COLUMN gis.decoration_counts.max_lng_deg IS 'Extent: greatest longitude, degrees.';
COMMENT ON COLUMN gis.decoration_counts.h3_hex IS 'The cell in its usual hexadecimal form.';
