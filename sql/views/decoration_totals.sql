CREATE VIEW gis.decoration_totals AS
SELECT c.resolution, c.cell, c.n,
       c.min_lat_deg, c.max_lat_deg, c.min_lng_deg, c.max_lng_deg
FROM ar.decoration_counts c
WHERE c.n > 0 AND c.category = '' AND c.asset_type = '';
COMMENT ON VIEW gis.decoration_totals IS 'Active decorations by H3 cell (ancestors of their r9 cells, resolutions 0 to 5), all together, with the extent of their positions; some seconds behind.';
