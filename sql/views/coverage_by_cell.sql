CREATE VIEW gis.coverage_by_cell AS
SELECT c.cell, gis.h3_hex(c.cell) AS h3_hex, c.resolution, n.decorations, n.uncovered, n.unserved, n.edges_least, n.edges_most, c.boundary,
       gis.h3_gid(c.cell) AS gid
FROM ar.h3_cells c
JOIN ar.decoration_counts t ON t.resolution = 5 AND t.category = '' AND t.asset_type = '' AND t.cell = c.cell AND t.n > 0
-- Cell by cell, so that the cells of a box are worked out and no others.
CROSS JOIN LATERAL (
    SELECT count(*) AS decorations, count(*) FILTER (WHERE k.edges = 0) AS uncovered, count(*) FILTER (WHERE k.edges_open = 0) AS unserved,
           min(k.edges) AS edges_least, max(k.edges) AS edges_most
    FROM gis.decorations d
    CROSS JOIN LATERAL (
        SELECT count(*) AS edges, count(*) FILTER (WHERE NOT e.draining AND e.health_status <> 'offline') AS edges_open
        FROM ar.edge_servers e
        -- The stored area narrows by its index, also for a circle; then the word itself decides.
        WHERE e.is_active AND e.deleted_at IS NULL AND e.service_area && d.location
          AND CASE WHEN e.service_area_given THEN ST_Covers(e.service_area, d.location)
                   ELSE ST_DWithin(e.location, d.location, e.service_radius_km * 1000) END
    ) AS k
    WHERE d.h3_r9 BETWEEN gis.h3_first_r9(c.cell) AND gis.h3_last_r9(c.cell)
) AS n
WHERE c.resolution = 5 AND n.decorations > 0;
COMMENT ON VIEW gis.coverage_by_cell IS 'How the active decorations of an H3 cell (resolution 5, about 250 km²; those whose r9 cell descends from it) are covered by service areas: counted for each decoration by the very words that choose an edge server, so exact. uncovered > 0 is a gap, edges_most > 1 an overlap. Cells without decorations are not here; a new one comes within seconds. Ask for a box (boundary) where there are many decorations.';
COMMENT ON COLUMN gis.coverage_by_cell.cell IS 'H3 cell.';
COMMENT ON COLUMN gis.coverage_by_cell.h3_hex IS 'The cell in its usual hexadecimal form.';
COMMENT ON COLUMN gis.coverage_by_cell.resolution IS 'H3 resolution: 5.';
COMMENT ON COLUMN gis.coverage_by_cell.decorations IS 'Active decorations in it.';
COMMENT ON COLUMN gis.coverage_by_cell.uncovered IS 'Those in no active edge server''s service area.';
COMMENT ON COLUMN gis.coverage_by_cell.unserved IS 'Those in none whose edge server takes devices: it drains or is offline, or there is none.';
COMMENT ON COLUMN gis.coverage_by_cell.edges_least IS 'Fewest active edge servers that cover one of them.';
COMMENT ON COLUMN gis.coverage_by_cell.edges_most IS 'Most active edge servers that cover one of them.';
COMMENT ON COLUMN gis.coverage_by_cell.boundary IS 'Outline of the cell, EPSG:4326.';
COMMENT ON COLUMN gis.coverage_by_cell.gid IS 'Number of the cell for GIS tools.';
