CREATE FUNCTION gis.decorations_in_region(region_code text) RETURNS SETOF gis.decorations
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT d.*
    FROM gis.decorations d
    -- By id, because a position on the cut between two parts lies in both.
    WHERE d.id IN (
        SELECT m.id
        FROM gis.region_parts p
        JOIN gis.decorations m ON ST_Intersects(p.part, m.geom)
        WHERE p.region_code = decorations_in_region.region_code
        UNION ALL
        SELECT m.id
        FROM gis.region_seams s
        JOIN gis.decorations m ON ST_DWithin(s.seam, m.geom, 0)
        WHERE s.region_code = decorations_in_region.region_code
    );
END;
COMMENT ON FUNCTION gis.decorations_in_region(text) IS 'Active decorations inside a region or on its border, by the region''s code as stored (gis.regions_named finds it).';
