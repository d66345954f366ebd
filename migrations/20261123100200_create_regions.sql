-- Named areas of the Earth. Borders are plain latitude/longitude edges as RFC 7946 means them.
CREATE TABLE ar.regions (
    code        varchar(20) CONSTRAINT regions_pkey PRIMARY KEY CONSTRAINT regions_code_not_blank CHECK (code <> ''),
    name        varchar(255) NOT NULL CONSTRAINT regions_name_not_blank CHECK (name <> ''),
    kind        varchar(20) NOT NULL CONSTRAINT regions_kind_known CHECK (kind IN ('country', 'admin1', 'custom')),
    parent_code varchar(20) CONSTRAINT regions_parent_code_fkey REFERENCES ar.regions (code) ON DELETE SET NULL,
    border      geometry(MultiPolygon, 4326) NOT NULL
        CONSTRAINT regions_border_valid CHECK (ST_IsValid(border) AND NOT ST_IsEmpty(border))
        CONSTRAINT regions_border_on_earth CHECK (ST_XMin(border) >= -180 AND ST_XMax(border) <= 180 AND ST_YMin(border) >= -90 AND ST_YMax(border) <= 90),
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now()
);
-- ICU's root collation folds the case of every script, whatever the database's own locale is.
CREATE UNIQUE INDEX regions_code_folded_key ON ar.regions (lower(code COLLATE "und-x-icu"));
CREATE INDEX regions_name_folded_idx ON ar.regions (lower(name COLLATE "und-x-icu"));
CREATE INDEX regions_parent_code_idx ON ar.regions (parent_code);
CREATE INDEX regions_border_gist ON ar.regions USING gist (border);
COMMENT ON TABLE ar.regions IS 'Countries, their first-level divisions, and areas that admins draw.';
COMMENT ON COLUMN ar.regions.code IS 'ISO 3166-1 alpha-2, ISO 3166-2, or the admin''s own code; unique without regard to case.';
COMMENT ON COLUMN ar.regions.name IS 'English name; not unique.';
COMMENT ON COLUMN ar.regions.kind IS '`country`, `admin1` or `custom`.';
COMMENT ON COLUMN ar.regions.parent_code IS 'The region it is part of.';
COMMENT ON COLUMN ar.regions.border IS 'Its area, as drawn.';
COMMENT ON COLUMN ar.regions.created_at IS 'When it was added.';
COMMENT ON COLUMN ar.regions.updated_at IS 'When it was last changed.';

CREATE TABLE ar.region_parts (
    region_code varchar(20) NOT NULL CONSTRAINT region_parts_region_code_fkey REFERENCES ar.regions (code) ON DELETE CASCADE ON UPDATE CASCADE,
    part        geometry(Polygon, 4326) NOT NULL
);
CREATE INDEX region_parts_region_code_idx ON ar.region_parts (region_code);
CREATE INDEX region_parts_part_gist ON ar.region_parts USING gist (part);
COMMENT ON TABLE ar.region_parts IS 'Regions cut into pieces of at most 128 vertices: what "inside a region" is tested against.';
COMMENT ON COLUMN ar.region_parts.region_code IS 'The region it is a piece of.';
COMMENT ON COLUMN ar.region_parts.part IS 'The piece.';

CREATE TABLE ar.region_seams (
    region_code varchar(20) NOT NULL CONSTRAINT region_seams_region_code_fkey REFERENCES ar.regions (code) ON DELETE CASCADE ON UPDATE CASCADE,
    seam        geometry(LineString, 4326) NOT NULL
);
CREATE INDEX region_seams_region_code_idx ON ar.region_seams (region_code);
CREATE INDEX region_seams_seam_gist ON ar.region_seams USING gist (seam);
COMMENT ON TABLE ar.region_seams IS 'Where a region touches longitude -180 or a pole, in the spelling that positions there are stored in: longitude 180, and longitude 0 at a pole.';
COMMENT ON COLUMN ar.region_seams.region_code IS 'The region.';
COMMENT ON COLUMN ar.region_seams.seam IS 'A line along longitude 180, of no length where the region touches it in a point, or at a pole.';

CREATE FUNCTION ar.split_region() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM ar.region_parts WHERE region_code = NEW.code;
    DELETE FROM ar.region_seams WHERE region_code = NEW.code;
    INSERT INTO ar.region_parts (region_code, part)
    SELECT NEW.code, (ST_Dump(ST_Subdivide(NEW.border, 128))).geom;
    INSERT INTO ar.region_seams (region_code, seam)
    SELECT NEW.code, CASE WHEN ST_Dimension(touch) = 0 THEN ST_MakeLine(touch, touch) ELSE touch END
    FROM (
        SELECT (ST_Dump(ST_Translate(ST_Intersection(NEW.border, 'SRID=4326;LINESTRING(-180 -90, -180 90)'::geometry), 360, 0))).geom AS touch
        WHERE ST_XMin(NEW.border) = -180
        UNION ALL
        SELECT ST_SetSRID(ST_MakePoint(0, pole_lat_deg), 4326)
        FROM unnest(ARRAY[-90, 90]) AS pole_lat_deg
        WHERE pole_lat_deg IN (ST_YMin(NEW.border), ST_YMax(NEW.border))
    ) AS touches;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION ar.split_region() IS 'Keeps region_parts and region_seams in step with regions.';
CREATE TRIGGER regions_split AFTER INSERT OR UPDATE OF border ON ar.regions
    FOR EACH ROW EXECUTE FUNCTION ar.split_region();
