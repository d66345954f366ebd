-- Decorations, and the counts by H3 cell that clusters and low zooms read.

-- Cells are H3 indexes as bigint. Bits 52 to 55 are the resolution, 59 to 62 the mode (1, a cell), so
-- `cell >> 52` of a cell is 128 + resolution. The cells of a row are computed by h3o at every write.
CREATE TABLE ar.decorations (
    id              uuid CONSTRAINT decorations_pkey PRIMARY KEY DEFAULT gen_random_uuid(),
    external_id     varchar(255) CONSTRAINT decorations_external_id_key UNIQUE,
    name            varchar(255) NOT NULL CONSTRAINT decorations_name_not_blank CHECK (name <> ''),
    description     varchar(4000),
    category        varchar(100) NOT NULL CONSTRAINT decorations_category_not_blank CHECK (category <> ''),
    location        geography(Point, 4326) NOT NULL
        -- PostGIS has wrapped what is out of range before a CHECK runs; this one sees NaN, and a pole or
        -- the antimeridian in another spelling than the one we keep.
        CONSTRAINT decorations_location_canonical CHECK (
            ST_Y(location::geometry) BETWEEN -90 AND 90
            AND ST_X(location::geometry) > -180 AND ST_X(location::geometry) <= 180
            AND (abs(ST_Y(location::geometry)) < 90 OR ST_X(location::geometry) = 0)),
    h3_r5           bigint NOT NULL CONSTRAINT decorations_h3_r5_is_r5 CHECK (h3_r5 >> 52 = 133),
    h3_r7           bigint NOT NULL CONSTRAINT decorations_h3_r7_is_r7 CHECK (h3_r7 >> 52 = 135),
    h3_r9           bigint NOT NULL CONSTRAINT decorations_h3_r9_is_r9 CHECK (h3_r9 >> 52 = 137),
    radius_meters   integer NOT NULL CONSTRAINT decorations_radius_meters_range CHECK (radius_meters BETWEEN 1 AND 10000),
    -- Two decimals, held as the nearest double: a numeric costs a conversion through text at every read.
    height_offset   double precision NOT NULL DEFAULT 0 CONSTRAINT decorations_height_offset_range
        CHECK (height_offset BETWEEN -999.99 AND 999.99 AND height_offset = round(height_offset::numeric, 2)::double precision),
    low_res_url     varchar(500),
    medium_res_url  varchar(500),
    high_res_url    varchar(500),
    scale_x         double precision NOT NULL DEFAULT 1 CONSTRAINT decorations_scale_x_range
        CHECK (scale_x BETWEEN 0.01 AND 999.99 AND scale_x = round(scale_x::numeric, 2)::double precision),
    scale_y         double precision NOT NULL DEFAULT 1 CONSTRAINT decorations_scale_y_range
        CHECK (scale_y BETWEEN 0.01 AND 999.99 AND scale_y = round(scale_y::numeric, 2)::double precision),
    scale_z         double precision NOT NULL DEFAULT 1 CONSTRAINT decorations_scale_z_range
        CHECK (scale_z BETWEEN 0.01 AND 999.99 AND scale_z = round(scale_z::numeric, 2)::double precision),
    rotation_x      double precision NOT NULL DEFAULT 0 CONSTRAINT decorations_rotation_x_range
        CHECK (rotation_x BETWEEN -360 AND 360 AND rotation_x = round(rotation_x::numeric, 2)::double precision),
    rotation_y      double precision NOT NULL DEFAULT 0 CONSTRAINT decorations_rotation_y_range
        CHECK (rotation_y BETWEEN -360 AND 360 AND rotation_y = round(rotation_y::numeric, 2)::double precision),
    rotation_z      double precision NOT NULL DEFAULT 0 CONSTRAINT decorations_rotation_z_range
        CHECK (rotation_z BETWEEN -360 AND 360 AND rotation_z = round(rotation_z::numeric, 2)::double precision),
    asset_type      varchar(50) NOT NULL CONSTRAINT decorations_asset_type_known CHECK (asset_type IN ('3d_model', 'image', 'animation')),
    file_size_bytes bigint CONSTRAINT decorations_file_size_bytes_range CHECK (file_size_bytes >= 0),
    version         bigint NOT NULL DEFAULT 1 CONSTRAINT decorations_version_range CHECK (version >= 1),
    created_by      uuid CONSTRAINT decorations_created_by_fkey REFERENCES ar.users (id) ON DELETE SET NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    is_active       boolean NOT NULL DEFAULT true,
    deleted_at      timestamptz
);
CREATE INDEX decorations_location_gist ON ar.decorations USING gist (location)
    WHERE is_active AND deleted_at IS NULL;
-- Boxes, tiles and borders mean plain latitude/longitude edges. Every such query uses this very expression.
CREATE INDEX decorations_geometry_gist ON ar.decorations USING gist ((location::geometry(Point, 4326)))
    WHERE is_active AND deleted_at IS NULL;
-- The planner takes no statistics from a partial index: without these every box seems to hold next to nothing.
CREATE STATISTICS ar.decorations_geometry_stats ON (location::geometry(Point, 4326)) FROM ar.decorations;
COMMENT ON STATISTICS ar.decorations_geometry_stats IS 'Where decorations lie, so that the planner knows a large box from a small one.';
CREATE INDEX decorations_h3_r9_idx ON ar.decorations (h3_r9) WHERE is_active AND deleted_at IS NULL;
CREATE INDEX decorations_category_idx ON ar.decorations (category, id) WHERE is_active AND deleted_at IS NULL;
CREATE INDEX decorations_created_at_idx ON ar.decorations (created_at DESC, id DESC);
CREATE INDEX decorations_text_trgm ON ar.decorations USING gin (name gin_trgm_ops, description gin_trgm_ops);
COMMENT ON TABLE ar.decorations IS 'AR decorations: what a phone may show, where, and from which asset.';
COMMENT ON COLUMN ar.decorations.id IS 'Identity, UUID v7 when the service makes it.';
COMMENT ON COLUMN ar.decorations.external_id IS 'Name of the row in the system it was imported from; an import matches by it.';
COMMENT ON COLUMN ar.decorations.name IS 'Title shown to people.';
COMMENT ON COLUMN ar.decorations.description IS 'Longer text, 4,000 characters at most.';
COMMENT ON COLUMN ar.decorations.category IS 'Free grouping that clients filter by.';
COMMENT ON COLUMN ar.decorations.location IS 'Position on the WGS 84 spheroid, 8 decimals; 180 for the antimeridian, longitude 0 at a pole.';
COMMENT ON COLUMN ar.decorations.h3_r5 IS 'H3 cell of the position at resolution 5.';
COMMENT ON COLUMN ar.decorations.h3_r7 IS 'H3 cell of the position at resolution 7.';
COMMENT ON COLUMN ar.decorations.h3_r9 IS 'H3 cell of the position at resolution 9.';
COMMENT ON COLUMN ar.decorations.radius_meters IS 'Detection radius in metres.';
COMMENT ON COLUMN ar.decorations.height_offset IS 'Height above ground in metres, two decimals.';
COMMENT ON COLUMN ar.decorations.low_res_url IS 'Asset for viewing from beyond 50 m.';
COMMENT ON COLUMN ar.decorations.medium_res_url IS 'Asset for viewing from 20 to 50 m.';
COMMENT ON COLUMN ar.decorations.high_res_url IS 'Asset for viewing from under 20 m.';
COMMENT ON COLUMN ar.decorations.scale_x IS 'Scale along x, two decimals.';
COMMENT ON COLUMN ar.decorations.scale_y IS 'Scale along y, two decimals.';
COMMENT ON COLUMN ar.decorations.scale_z IS 'Scale along z, two decimals.';
COMMENT ON COLUMN ar.decorations.rotation_x IS 'Rotation about x in degrees, two decimals.';
COMMENT ON COLUMN ar.decorations.rotation_y IS 'Rotation about y in degrees, two decimals.';
COMMENT ON COLUMN ar.decorations.rotation_z IS 'Rotation about z in degrees, two decimals.';
COMMENT ON COLUMN ar.decorations.asset_type IS '`3d_model`, `image` or `animation`.';
COMMENT ON COLUMN ar.decorations.file_size_bytes IS 'Size of the largest asset in bytes.';
COMMENT ON COLUMN ar.decorations.version IS 'Rises by one at every change; the ETag.';
COMMENT ON COLUMN ar.decorations.created_by IS 'Admin who made it; shown to admins only.';
COMMENT ON COLUMN ar.decorations.created_at IS 'When it was made.';
COMMENT ON COLUMN ar.decorations.updated_at IS 'When it was last changed.';
COMMENT ON COLUMN ar.decorations.is_active IS 'False: kept, but shown to nobody.';
COMMENT ON COLUMN ar.decorations.deleted_at IS 'When it was deleted; the row stays until every edge has removed it.';

CREATE TABLE ar.decoration_counts (
    resolution  smallint NOT NULL CONSTRAINT decoration_counts_resolution_range CHECK (resolution BETWEEN 0 AND 5),
    cell        bigint NOT NULL,
    category    varchar(100) NOT NULL,
    asset_type  varchar(50) NOT NULL,
    n           bigint NOT NULL,
    min_lat_deg double precision NOT NULL CONSTRAINT decoration_counts_min_lat_deg_range CHECK (min_lat_deg BETWEEN -90 AND 90),
    max_lat_deg double precision NOT NULL CONSTRAINT decoration_counts_max_lat_deg_range CHECK (max_lat_deg BETWEEN -90 AND 90),
    min_lng_deg double precision NOT NULL CONSTRAINT decoration_counts_min_lng_deg_range CHECK (min_lng_deg BETWEEN -180 AND 180),
    max_lng_deg double precision NOT NULL CONSTRAINT decoration_counts_max_lng_deg_range CHECK (max_lng_deg BETWEEN -180 AND 180),
    -- In this order, so that the cells of a resolution and category are one range.
    CONSTRAINT decoration_counts_pkey PRIMARY KEY (resolution, category, asset_type, cell),
    CONSTRAINT decoration_counts_cell_is_of_resolution CHECK (cell >> 52 = 128 + resolution)
);
CREATE INDEX decoration_counts_empty_idx ON ar.decoration_counts (n) WHERE n = 0;
COMMENT ON TABLE ar.decoration_counts IS 'Active decorations by H3 cell, the ancestors of their r9 cells at resolutions 0 to 5; at most some seconds behind. Finer cells are counted from the decorations themselves: a box that holds few enough of them is small.';
COMMENT ON COLUMN ar.decoration_counts.resolution IS 'H3 resolution, 0 to 5.';
COMMENT ON COLUMN ar.decoration_counts.cell IS 'H3 cell.';
COMMENT ON COLUMN ar.decoration_counts.category IS 'Category counted; empty in the row of all categories and asset types together.';
COMMENT ON COLUMN ar.decoration_counts.asset_type IS 'Asset type counted; empty in the row of all together.';
COMMENT ON COLUMN ar.decoration_counts.n IS 'Active decorations.';
COMMENT ON COLUMN ar.decoration_counts.min_lat_deg IS 'Extent of the counted positions: south, degrees. An extent may be too wide after a removal, never too narrow.';
COMMENT ON COLUMN ar.decoration_counts.max_lat_deg IS 'Extent: north, degrees.';
COMMENT ON COLUMN ar.decoration_counts.min_lng_deg IS 'Extent: least longitude, degrees.';
COMMENT ON COLUMN ar.decoration_counts.max_lng_deg IS 'Extent: greatest longitude, degrees.';

CREATE TABLE ar.decoration_count_deltas (
    cell        bigint NOT NULL,
    category    varchar(100) NOT NULL,
    asset_type  varchar(50) NOT NULL,
    n           bigint NOT NULL,
    min_lat_deg double precision NOT NULL CONSTRAINT decoration_count_deltas_min_lat_deg_range CHECK (min_lat_deg BETWEEN -90 AND 90),
    max_lat_deg double precision NOT NULL CONSTRAINT decoration_count_deltas_max_lat_deg_range CHECK (max_lat_deg BETWEEN -90 AND 90),
    min_lng_deg double precision NOT NULL CONSTRAINT decoration_count_deltas_min_lng_deg_range CHECK (min_lng_deg BETWEEN -180 AND 180),
    max_lng_deg double precision NOT NULL CONSTRAINT decoration_count_deltas_max_lng_deg_range CHECK (max_lng_deg BETWEEN -180 AND 180)
);
COMMENT ON TABLE ar.decoration_count_deltas IS 'Changes not yet folded into decoration_counts. Writers only append, so that no two of them wait for one counter.';
COMMENT ON COLUMN ar.decoration_count_deltas.cell IS 'H3 cell at resolution 5, ancestor of the r9 cell.';
COMMENT ON COLUMN ar.decoration_count_deltas.category IS 'Category counted.';
COMMENT ON COLUMN ar.decoration_count_deltas.asset_type IS 'Asset type counted.';
COMMENT ON COLUMN ar.decoration_count_deltas.n IS 'Decorations come (positive) or gone (negative).';
COMMENT ON COLUMN ar.decoration_count_deltas.min_lat_deg IS 'Extent of the positions concerned: south, degrees.';
COMMENT ON COLUMN ar.decoration_count_deltas.max_lat_deg IS 'Extent: north, degrees.';
COMMENT ON COLUMN ar.decoration_count_deltas.min_lng_deg IS 'Extent: least longitude, degrees.';
COMMENT ON COLUMN ar.decoration_count_deltas.max_lng_deg IS 'Extent: greatest longitude, degrees.';

-- H3 parent by bit arithmetic: set the resolution, and fill the digits below it with ones.
CREATE FUNCTION ar.h3_parent(cell bigint, resolution integer) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (cell & ~(15::bigint << 52)) | (resolution::bigint << 52) | ((1::bigint << (3 * (15 - resolution))) - 1);
COMMENT ON FUNCTION ar.h3_parent(bigint, integer) IS 'Ancestor of an H3 cell at a coarser resolution. gis.h3_parent is the same for analysts; this one is what triggers use.';

CREATE FUNCTION ar.note_decoration_counts() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP IN ('INSERT', 'UPDATE') THEN
        INSERT INTO ar.decoration_count_deltas
        SELECT ar.h3_parent(h3_r9, 5), category, asset_type, count(*),
               min(ST_Y(location::geometry)), max(ST_Y(location::geometry)),
               min(ST_X(location::geometry)), max(ST_X(location::geometry))
        FROM new_rows WHERE is_active AND deleted_at IS NULL GROUP BY 1, 2, 3;
    END IF;
    IF TG_OP IN ('UPDATE', 'DELETE') THEN
        INSERT INTO ar.decoration_count_deltas
        SELECT ar.h3_parent(h3_r9, 5), category, asset_type, -count(*),
               min(ST_Y(location::geometry)), max(ST_Y(location::geometry)),
               min(ST_X(location::geometry)), max(ST_X(location::geometry))
        FROM old_rows WHERE is_active AND deleted_at IS NULL GROUP BY 1, 2, 3;
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION ar.note_decoration_counts() IS 'Appends what a statement changed to decoration_count_deltas.';
CREATE TRIGGER decorations_note_inserts AFTER INSERT ON ar.decorations
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION ar.note_decoration_counts();
CREATE TRIGGER decorations_note_updates AFTER UPDATE ON ar.decorations
    REFERENCING NEW TABLE AS new_rows OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION ar.note_decoration_counts();
CREATE TRIGGER decorations_note_deletes AFTER DELETE ON ar.decorations
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION ar.note_decoration_counts();

CREATE FUNCTION ar.fold_decoration_counts() RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    folded bigint;
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
    SELECT count(*) INTO folded FROM taken;
    DELETE FROM ar.decoration_counts WHERE n = 0;
    RETURN folded;
END $$;
COMMENT ON FUNCTION ar.fold_decoration_counts() IS 'Adds waiting deltas, 20,000 at the most, to decoration_counts; returns how many it took.';

CREATE TABLE ar.h3_cells (
    cell       bigint CONSTRAINT h3_cells_pkey PRIMARY KEY,
    resolution smallint NOT NULL CONSTRAINT h3_cells_resolution_range CHECK (resolution BETWEEN 0 AND 7),
    boundary   geometry(MultiPolygon, 4326) NOT NULL,
    CONSTRAINT h3_cells_cell_is_of_resolution CHECK (cell >> 52 = 128 + resolution)
);
CREATE INDEX h3_cells_boundary_gist ON ar.h3_cells USING gist (boundary);
COMMENT ON TABLE ar.h3_cells IS 'Outlines of the H3 cells in use (resolutions 0 to 5, and 7), written by h3o, so that SQL and maps can draw hexagons.';
COMMENT ON COLUMN ar.h3_cells.cell IS 'H3 cell.';
COMMENT ON COLUMN ar.h3_cells.resolution IS 'Its resolution.';
COMMENT ON COLUMN ar.h3_cells.boundary IS 'Its outline in plain latitude/longitude; split where it crosses the antimeridian.';
