-- Instances keep map tiles in memory. What changes tells them where, so that they ask anew for those tiles alone.

CREATE FUNCTION ar.tile_block(place geometry) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN least(255, greatest(0, floor((1 - asinh(tan(radians(least(85.0511, greatest(-85.0511, ST_Y(place)))))) / pi()) * 128)))::integer * 256
    + least(255, greatest(0, floor((ST_X(place) + 180) / 360 * 256)))::integer;
COMMENT ON FUNCTION ar.tile_block(geometry) IS 'Web Mercator tile of zoom 8 that a place lies in, as 256 times its row and its column; beyond the map''s edge the one at the edge.';

CREATE FUNCTION ar.tell_of_blocks(kind text, blocks integer[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    -- An import touches many, and would send as many notices with every statement.
    IF cardinality(blocks) <= 32 THEN
        PERFORM pg_notify('ar', kind || ':' || block) FROM unnest(blocks) AS block;
    ELSE
        PERFORM pg_notify('ar', kind || ':all');
    END IF;
END $$;
COMMENT ON FUNCTION ar.tell_of_blocks(text, integer[]) IS 'Tells every instance in which tiles of zoom 8 something changed: one by one when they are few, else that there were many.';

CREATE FUNCTION ar.tell_of_decorations() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    blocks integer[];
BEGIN
    -- Where they are and where they were.
    IF TG_OP = 'INSERT' THEN
        SELECT array_agg(DISTINCT ar.tile_block(location::geometry)) INTO blocks
        FROM new_rows WHERE is_active AND deleted_at IS NULL;
    ELSIF TG_OP = 'DELETE' THEN
        SELECT array_agg(DISTINCT ar.tile_block(location::geometry)) INTO blocks
        FROM old_rows WHERE is_active AND deleted_at IS NULL;
    ELSE
        SELECT array_agg(DISTINCT ar.tile_block(location::geometry)) INTO blocks
        FROM (SELECT location FROM new_rows WHERE is_active AND deleted_at IS NULL
              UNION ALL
              SELECT location FROM old_rows WHERE is_active AND deleted_at IS NULL) AS touched;
    END IF;
    IF blocks IS NOT NULL THEN
        PERFORM ar.tell_of_blocks('placed', blocks);
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION ar.tell_of_decorations() IS 'Tells every instance where decorations came, went or changed.';
CREATE TRIGGER decorations_tell_of_inserts AFTER INSERT ON ar.decorations
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION ar.tell_of_decorations();
CREATE TRIGGER decorations_tell_of_updates AFTER UPDATE ON ar.decorations
    REFERENCING NEW TABLE AS new_rows OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION ar.tell_of_decorations();
CREATE TRIGGER decorations_tell_of_deletes AFTER DELETE ON ar.decorations
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION ar.tell_of_decorations();

-- As before, and tells where.
CREATE OR REPLACE FUNCTION ar.fold_decoration_counts() RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    folded bigint;
    blocks integer[];
BEGIN
    -- One folder at a time in the whole database; who comes second has nothing to do.
    IF NOT pg_try_advisory_xact_lock(hashtextextended('ar.fold_decoration_counts', 0)) THEN
        RETURN 0;
    END IF;
    WITH taken AS (
        -- A piece at a time, so that no call takes long however much was imported.
        DELETE FROM ar.decoration_count_deltas
        WHERE ctid = ANY (ARRAY(SELECT ctid FROM ar.decoration_count_deltas LIMIT 20000))
        RETURNING *
    ), raised AS (
        INSERT INTO ar.decoration_counts AS c
        SELECT r, ar.h3_parent(cell, r), coalesce(category, ''), coalesce(asset_type, ''), sum(n),
               min(min_lat_deg), max(max_lat_deg), min(min_lng_deg), max(max_lng_deg)
        FROM taken CROSS JOIN generate_series(0, 5) AS r
        -- Each kind by itself, and all together in a row with neither category nor asset type.
        GROUP BY GROUPING SETS ((r, ar.h3_parent(cell, r), category, asset_type), (r, ar.h3_parent(cell, r)))
        ON CONFLICT (resolution, category, asset_type, cell) DO UPDATE SET
            n = c.n + excluded.n,
            min_lat_deg = least(c.min_lat_deg, excluded.min_lat_deg),
            max_lat_deg = greatest(c.max_lat_deg, excluded.max_lat_deg),
            min_lng_deg = least(c.min_lng_deg, excluded.min_lng_deg),
            max_lng_deg = greatest(c.max_lng_deg, excluded.max_lng_deg)
    )
    SELECT count(*), array_agg(DISTINCT ar.tile_block(ST_MakePoint(
               -- A cell that crosses the antimeridian has an extent as wide as the Earth.
               CASE WHEN max_lng_deg - min_lng_deg > 180 THEN 180 ELSE (min_lng_deg + max_lng_deg) / 2 END,
               (min_lat_deg + max_lat_deg) / 2)))
    INTO folded, blocks FROM taken;
    DELETE FROM ar.decoration_counts WHERE n = 0;
    IF blocks IS NOT NULL THEN
        PERFORM ar.tell_of_blocks('counted', blocks);
    END IF;
    RETURN folded;
END $$;
COMMENT ON FUNCTION ar.fold_decoration_counts() IS 'Adds waiting deltas, 20,000 at the most, to decoration_counts, and tells every instance where; returns how many it took.';

CREATE FUNCTION ar.tell_of_layer() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('ar', TG_ARGV[0] || ':all');
    RETURN NULL;
END $$;
COMMENT ON FUNCTION ar.tell_of_layer() IS 'Tells every instance that something changed in a layer of the map; the argument is the kind of the notice.';
CREATE TRIGGER regions_tell AFTER INSERT OR UPDATE OR DELETE ON ar.regions
    FOR EACH STATEMENT EXECUTE FUNCTION ar.tell_of_layer('regions');
CREATE TRIGGER device_density_tell AFTER INSERT OR UPDATE OR DELETE ON gis.device_density
    FOR EACH STATEMENT EXECUTE FUNCTION ar.tell_of_layer('density');
