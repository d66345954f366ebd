CREATE FUNCTION gis.decorations_in_edge_region(region text) RETURNS SETOF gis.decorations
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT inside.id, d.name, d.description, d.category, d.location, d.geom,
           d.radius_meters, d.height_offset, d.low_res_url, d.medium_res_url, d.high_res_url,
           d.scale_x, d.scale_y, d.scale_z, d.rotation_x, d.rotation_y, d.rotation_z,
           d.asset_type, d.file_size_bytes, d.is_active, d.version,
           d.h3_r5, d.h3_r7, d.h3_r9, d.created_at, d.updated_at, d.gid
    FROM (
        -- UNION, because areas overlap.
        SELECT m.id
        FROM gis.edges e
        JOIN gis.decorations m ON ST_DWithin(m.location, e.location, e.service_radius_km * 1000)
        WHERE NOT e.service_area_given
          AND lower(e.region COLLATE "und-x-icu") = lower(decorations_in_edge_region.region COLLATE "und-x-icu")
        UNION
        SELECT m.id
        FROM gis.edges e
        JOIN gis.decorations m ON ST_Covers(e.service_area, m.location)
        WHERE e.service_area_given
          AND lower(e.region COLLATE "und-x-icu") = lower(decorations_in_edge_region.region COLLATE "und-x-icu")
        ORDER BY id
    ) AS inside
    -- As in decorations_in_region.
    CROSS JOIN LATERAL (SELECT * FROM gis.decorations d WHERE d.id = inside.id OFFSET 0) AS d;
END;
COMMENT ON FUNCTION gis.decorations_in_edge_region(text) IS 'Active decorations in the union of the service areas of the active edge servers with that region label, whatever its case.';
