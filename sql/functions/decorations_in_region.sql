CREATE FUNCTION gis.decorations_in_region(region_code text) RETURNS SETOF gis.decorations
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT inside.id, d.name, d.description, d.category, d.location, d.geom,
           d.radius_meters, d.height_offset, d.low_res_url, d.medium_res_url, d.high_res_url,
           d.scale_x, d.scale_y, d.scale_z, d.rotation_x, d.rotation_y, d.rotation_z,
           d.asset_type, d.file_size_bytes, d.is_active, d.version,
           d.h3_r5, d.h3_r7, d.h3_r9, d.created_at, d.updated_at, d.gid
    FROM (
        -- UNION, because a position on the cut between two parts lies in both.
        SELECT m.id
        FROM gis.region_parts p
        JOIN gis.decorations m ON ST_Intersects(p.part, m.geom)
        WHERE p.region_code = decorations_in_region.region_code
        UNION
        SELECT m.id
        FROM gis.region_seams s
        JOIN gis.decorations m ON ST_DWithin(s.seam, m.geom, 0)
        WHERE s.region_code = decorations_in_region.region_code
        ORDER BY id
    ) AS inside
    -- Ordered ids and a look-up by key for each (which OFFSET 0 keeps it): a page reads as many rows as it shows.
    -- A merge with the whole key, which the planner would think cheap, reads all that lies before the first id.
    CROSS JOIN LATERAL (SELECT * FROM gis.decorations d WHERE d.id = inside.id OFFSET 0) AS d;
END;
COMMENT ON FUNCTION gis.decorations_in_region(text) IS 'Active decorations inside a region or on its border, by the region''s code as stored (gis.regions_named finds it).';
