CREATE VIEW gis.regions AS
SELECT r.code, r.name, r.kind, r.parent_code, r.border, r.gid
FROM ar.regions r;
COMMENT ON VIEW gis.regions IS 'Countries, their first-level divisions and areas that admins drew, with plain latitude/longitude borders.';
COMMENT ON COLUMN gis.regions.code IS 'ISO 3166-1 alpha-2, ISO 3166-2, or an admin''s own code.';
COMMENT ON COLUMN gis.regions.name IS 'English name; not unique.';
COMMENT ON COLUMN gis.regions.kind IS '`country`, `admin1` or `custom`.';
COMMENT ON COLUMN gis.regions.parent_code IS 'Code of the region it is part of; null for a country.';
COMMENT ON COLUMN gis.regions.border IS 'Its area, EPSG:4326.';
COMMENT ON COLUMN gis.regions.gid IS 'Number for GIS tools, never given twice.';
