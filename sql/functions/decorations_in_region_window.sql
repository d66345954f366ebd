CREATE FUNCTION gis.decorations_in_region_window(region_code text, after_id uuid, window_rows bigint) RETURNS SETOF gis.decorations
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT w.*
    FROM (
        SELECT * FROM gis.decorations d
        WHERE after_id IS NULL OR d.id > after_id
        ORDER BY d.id LIMIT window_rows
    ) AS w
    WHERE EXISTS (SELECT FROM gis.region_parts p WHERE p.region_code = decorations_in_region_window.region_code AND ST_Intersects(p.part, w.geom))
       OR EXISTS (SELECT FROM gis.region_seams s WHERE s.region_code = decorations_in_region_window.region_code AND ST_DWithin(s.seam, w.geom, 0));
END;
COMMENT ON FUNCTION gis.decorations_in_region_window(text, uuid, bigint) IS 'Those of the next window_rows decorations by id, after the given id (NULL: from the first), that lie in a region. For a page of a region that holds a good part of all: nothing of it has to be gathered and sorted first.';
