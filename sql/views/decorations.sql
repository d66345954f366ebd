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
