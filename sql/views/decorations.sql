CREATE VIEW gis.decorations AS
SELECT d.id, d.name, d.description, d.category,
       d.location, d.location::geometry(Point, 4326) AS geom,
       d.radius_meters, d.height_offset, d.low_res_url, d.medium_res_url, d.high_res_url,
       d.scale_x, d.scale_y, d.scale_z, d.rotation_x, d.rotation_y, d.rotation_z,
       d.asset_type, d.file_size_bytes, d.is_active, d.version,
       d.h3_r5, d.h3_r7, d.h3_r9, d.created_at, d.updated_at, d.gid
FROM ar.decorations d
WHERE d.is_active AND d.deleted_at IS NULL;
COMMENT ON VIEW gis.decorations IS 'Active decorations: everything but who made them. `location` (geography) for distances in metres, `geom` (geometry, EPSG:4326) for boxes and maps; both are indexed. The h3 columns are cells of the position at resolutions 5, 7 and 9.';
COMMENT ON COLUMN gis.decorations.id IS 'Identity.';
COMMENT ON COLUMN gis.decorations.name IS 'Title shown to people.';
COMMENT ON COLUMN gis.decorations.description IS 'Longer text.';
COMMENT ON COLUMN gis.decorations.category IS 'Free grouping that clients filter by.';
COMMENT ON COLUMN gis.decorations.location IS 'Position on the WGS 84 spheroid (geography): distances come in metres.';
COMMENT ON COLUMN gis.decorations.geom IS 'Position as longitude and latitude in degrees, EPSG:4326: for boxes and maps.';
COMMENT ON COLUMN gis.decorations.radius_meters IS 'Detection radius in metres.';
COMMENT ON COLUMN gis.decorations.height_offset IS 'Height above ground in metres.';
COMMENT ON COLUMN gis.decorations.low_res_url IS 'Asset for viewing from beyond 50 m.';
COMMENT ON COLUMN gis.decorations.medium_res_url IS 'Asset for viewing from 20 to 50 m.';
COMMENT ON COLUMN gis.decorations.high_res_url IS 'Asset for viewing from under 20 m.';
COMMENT ON COLUMN gis.decorations.scale_x IS 'Scale along x, a factor.';
COMMENT ON COLUMN gis.decorations.scale_y IS 'Scale along y, a factor.';
COMMENT ON COLUMN gis.decorations.scale_z IS 'Scale along z, a factor.';
COMMENT ON COLUMN gis.decorations.rotation_x IS 'Rotation about x in degrees.';
COMMENT ON COLUMN gis.decorations.rotation_y IS 'Rotation about y in degrees.';
COMMENT ON COLUMN gis.decorations.rotation_z IS 'Rotation about z in degrees.';
COMMENT ON COLUMN gis.decorations.asset_type IS '`3d_model`, `image` or `animation`.';
COMMENT ON COLUMN gis.decorations.file_size_bytes IS 'Size of the largest asset in bytes.';
COMMENT ON COLUMN gis.decorations.is_active IS 'True: this view shows active ones only.';
COMMENT ON COLUMN gis.decorations.version IS 'Rises by one at every change.';
COMMENT ON COLUMN gis.decorations.h3_r5 IS 'H3 cell of the position at resolution 5 (about 250 km²).';
COMMENT ON COLUMN gis.decorations.h3_r7 IS 'H3 cell of the position at resolution 7 (about 5 km²).';
COMMENT ON COLUMN gis.decorations.h3_r9 IS 'H3 cell of the position at resolution 9 (about 0.1 km²).';
COMMENT ON COLUMN gis.decorations.created_at IS 'When it was made.';
COMMENT ON COLUMN gis.decorations.updated_at IS 'When it was last changed.';
COMMENT ON COLUMN gis.decorations.gid IS 'Number for GIS tools, never given twice.';
