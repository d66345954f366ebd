CREATE FUNCTION gis.decorations_near(viewer geography, radius_m double precision)
RETURNS TABLE (
    id uuid, name varchar, description varchar, category varchar,
    location geography, geom geometry,
    radius_meters integer, height_offset double precision,
    low_res_url varchar, medium_res_url varchar, high_res_url varchar,
    scale_x double precision, scale_y double precision, scale_z double precision,
    rotation_x double precision, rotation_y double precision, rotation_z double precision,
    asset_type varchar, file_size_bytes bigint, is_active boolean, version bigint,
    h3_r5 bigint, h3_r7 bigint, h3_r9 bigint, created_at timestamptz, updated_at timestamptz,
    distance_m double precision, bearing_deg double precision
)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT d.id, d.name, d.description, d.category, d.location, d.geom,
           d.radius_meters, d.height_offset, d.low_res_url, d.medium_res_url, d.high_res_url,
           d.scale_x, d.scale_y, d.scale_z, d.rotation_x, d.rotation_y, d.rotation_z,
           d.asset_type, d.file_size_bytes, d.is_active, d.version,
           d.h3_r5, d.h3_r7, d.h3_r9, d.created_at, d.updated_at,
           ST_Distance(d.location, viewer), coalesce(degrees(ST_Azimuth(viewer, d.location)), 0)
    FROM gis.decorations d
    WHERE ST_DWithin(d.location, viewer, radius_m);
END;
COMMENT ON FUNCTION gis.decorations_near(geography, double precision) IS 'Active decorations within radius_m metres of the viewer on the WGS 84 spheroid, with their distance (metres) and bearing (degrees from true north, seen from the viewer; 0 at the viewer itself). Unordered: add ORDER BY distance_m, id LIMIT n. One index scan of decorations_location_gist.';

CREATE FUNCTION gis.decorations_near(lng_deg double precision, lat_deg double precision, radius_m double precision)
RETURNS TABLE (
    id uuid, name varchar, category varchar, geom geometry, radius_meters integer, asset_type varchar,
    distance_m double precision, bearing_deg double precision
)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT n.id, n.name, n.category, n.geom, n.radius_meters, n.asset_type, n.distance_m, n.bearing_deg
    FROM gis.decorations_near(ST_SetSRID(ST_MakePoint(lng_deg, lat_deg), 4326)::geography, radius_m) AS n;
END;
COMMENT ON FUNCTION gis.decorations_near(double precision, double precision, double precision) IS 'The same by longitude and latitude in degrees, with the columns most asked for.';
