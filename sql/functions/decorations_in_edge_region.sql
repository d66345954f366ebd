CREATE FUNCTION gis.decorations_in_edge_region(region text) RETURNS SETOF gis.decorations
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT d.*
    FROM gis.decorations d
    WHERE d.id IN (
        SELECT m.id
        FROM gis.edges e
        JOIN gis.decorations m ON ST_DWithin(m.location, e.location, e.service_radius_km * 1000)
        WHERE NOT e.service_area_given
          AND lower(e.region COLLATE "und-x-icu") = lower(decorations_in_edge_region.region COLLATE "und-x-icu")
        UNION ALL
        SELECT m.id
        FROM gis.edges e
        JOIN gis.decorations m ON ST_Covers(e.service_area, m.location)
        WHERE e.service_area_given
          AND lower(e.region COLLATE "und-x-icu") = lower(decorations_in_edge_region.region COLLATE "und-x-icu")
    );
END;
COMMENT ON FUNCTION gis.decorations_in_edge_region(text) IS 'Active decorations in the union of the service areas of the active edge servers with that region label, whatever its case.';
