CREATE VIEW gis.region_counts AS
SELECT r.code, r.name, r.kind, r.parent_code, n.decorations, n.categories,
       ST_Area(r.border::geography) / 1e6 AS area_km2, r.border, r.gid
FROM ar.regions r
CROSS JOIN LATERAL (
    SELECT count(*) AS decorations, count(DISTINCT d.category) AS categories
    FROM (
        -- UNION, because a position on the cut between two parts lies in both.
        SELECT m.id, m.category
        FROM gis.region_parts p
        JOIN gis.decorations m ON ST_Intersects(p.part, m.geom)
        WHERE p.region_code = r.code
        UNION
        SELECT m.id, m.category
        FROM gis.region_seams s
        JOIN gis.decorations m ON ST_DWithin(s.seam, m.geom, 0)
        WHERE s.region_code = r.code
    ) AS d
) AS n;
COMMENT ON VIEW gis.region_counts IS 'Active decorations by country, first-level division and drawn area: inside or on the border, as gis.decorations_in_region finds them. Counted when asked, region by region: filter by kind, code or a box.';
COMMENT ON COLUMN gis.region_counts.code IS 'Code of the region.';
COMMENT ON COLUMN gis.region_counts.name IS 'Its English name.';
COMMENT ON COLUMN gis.region_counts.kind IS '`country`, `admin1` or `custom`.';
COMMENT ON COLUMN gis.region_counts.parent_code IS 'Code of the region it is part of.';
COMMENT ON COLUMN gis.region_counts.decorations IS 'Active decorations in it.';
COMMENT ON COLUMN gis.region_counts.categories IS 'Different categories among them.';
COMMENT ON COLUMN gis.region_counts.area_km2 IS 'Its area on the spheroid in km², of its simplified border.';
COMMENT ON COLUMN gis.region_counts.border IS 'Its border, EPSG:4326.';
COMMENT ON COLUMN gis.region_counts.gid IS 'Number of the region for GIS tools.';
